/* tokenizer_save.c - writes tokenizers as Hugging Face files, as tokenizer_json.c reads them. */
#include "data/tokenizers/tokenizer.h"

#include <string.h>

static void write_vocab(const tn_tokenizer *k, tn_text *t)
{
    const char *separator = "";
    for (int64_t id = 0; id < k->size; id++) {
        char s[4];
        if (k->code[id] == TN_NO_CODE)
            continue;
        const size_t n =
            tn_utf8_write(k->kind == TN_KIND_BYTES ? tn_byte_letter(k->code[id]) : k->code[id], s);
        tn_text_add(t, "%s", separator);
        tn_text_quote(t, s, n);
        tn_text_add(t, ": %lld", (long long)id);
        separator = ", ";
    }
}

static void write_symbols(const tn_tokenizer *k, tn_text *t)
{
    static const char level[] = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                                "\"trim_offsets\": true, \"use_regex\": false}";
    tn_text_add(t, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
                   "  \"added_tokens\": [");
    if (k->end_text != NULL) {
        tn_text_add(t, "{\"id\": %d, \"content\": ", (int)k->end);
        tn_text_quote(t, k->end_text, strlen(k->end_text));
        tn_text_add(t, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                       "\"normalized\": false, \"special\": true}");
    }
    tn_text_add(t, "],\n  \"normalizer\": null,\n  \"pre_tokenizer\": %s,\n",
                k->kind == TN_KIND_BYTES ? level : "null");
    tn_text_add(t, "  \"post_processor\": null,\n  \"decoder\": %s,\n",
                k->kind == TN_KIND_BYTES ? level : "{\"type\": \"Fuse\"}");
    tn_text_add(t, "  \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null,\n"
                   "    \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null,\n"
                   "    \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false,\n"
                   "    \"vocab\": {");
    write_vocab(k, t);
    tn_text_add(t, "},\n    \"merges\": []}\n}\n");
}

static void write_tokenizer(const tn_tokenizer *k, tn_text *t)
{
    if (tn_is_bpe(k))
        tn_bpe_write(k, t);
    else
        write_symbols(k, t);
}

/* The one that was read, if there was one: it also has the chat template. */
static void write_config(const tn_tokenizer *k, tn_text *t)
{
    if (k->config != NULL) {
        tn_text_bytes(t, k->config, k->config_size);
        return;
    }
    tn_text_add(t, "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n"
                   "  \"clean_up_tokenization_spaces\": false,\n  \"eos_token\": ");
    if (tn_is_bpe(k) && k->end >= 0)
        tn_bpe_write_name(k, k->end, t);
    else if (k->end_text != NULL)
        tn_text_quote(t, k->end_text, strlen(k->end_text));
    else
        tn_text_add(t, "null");
    tn_text_add(t, "\n}\n");
}

int tn_tokenizer_save(const tn_tokenizer *k, const char *folder, tn_error *e)
{
    const int missing = tn_given(e, k && folder, __func__);
    if (missing)
        return missing;
    static const struct {
        const char *name;
        void (*write)(const tn_tokenizer *k, tn_text *t);
    } files[] = {
        { "tokenizer.json", write_tokenizer },
        { "tokenizer_config.json", write_config },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files && !e->code; i++) {
        tn_text t = { 0 };
        files[i].write(k, &t);
        tn_text_save(&t, folder, files[i].name, e);
    }
    return e->code;
}
