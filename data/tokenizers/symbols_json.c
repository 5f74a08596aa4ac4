/* symbols_json.c - reads a tokenizer.json whose BPE has single symbols and no merges.

   As the tokenizers library (its BPE, ByteLevel and Fuse) defines it:
     chars: pre_tokenizer null, decoder Fuse; a vocabulary entry is a character
     bytes: pre_tokenizer and decoder ByteLevel; an entry is a letter of the byte-level alphabet
   The end token is the one added token. */
#include "data/tokenizers/readers.h"

#include <stdlib.h>
#include <string.h>

/* Is it a template without special tokens? Transformers writes such a template. It adds nothing. */
static bool is_bare_template(const tn_json *post)
{
    const tn_json *single = tn_json_find(post, "single");
    const tn_json *tokens = tn_json_find(post, "special_tokens");
    return tn_json_find(tn_json_at(single, 0), "Sequence") != NULL && single->count == 1 &&
           tokens != NULL && tokens->kind == TN_OBJECT && tokens->count == 0;
}

/* Reads normalizer, pre-tokenizer, post-processor and decoder. Refuses all other pipelines. */
static int read_pipeline(tn_reader r, const tn_json *root, bool *bytes)
{
    const char *normalizer = tn_part_type(r, root, "normalizer");
    const char *pre = tn_part_type(r, root, "pre_tokenizer");
    const char *post = tn_part_type(r, root, "post_processor");
    const char *decoder = tn_part_type(r, root, "decoder");
    if (r.e->code)
        return r.e->code;
    *bytes = !strcmp(pre, "ByteLevel");
    if (*normalizer)
        return tn_reader_refuse(r, "/normalizer", normalizer, "null (no normalizer is supported)");
    if (*pre && !*bytes)
        return tn_reader_refuse(r, "/pre_tokenizer", pre, "null (characters) or ByteLevel (bytes)");
    if (*post && strcmp(post, "ByteLevel") && strcmp(post, "TemplateProcessing"))
        return tn_reader_refuse(r, "/post_processor", post, "null or ByteLevel");
    if (!strcmp(post, "TemplateProcessing") &&
        !is_bare_template(tn_json_find(root, "post_processor")))
        return tn_reader_refuse(r, "/post_processor", post, "one that adds no special tokens");
    if (strcmp(decoder, *bytes ? "ByteLevel" : "Fuse"))
        return tn_reader_refuse(r, "/decoder", decoder, *bytes ? "ByteLevel" : "Fuse");
    bool space = true;
    if (*bytes)
        tn_json_get_bool(tn_json_find(root, "pre_tokenizer"), "add_prefix_space", &space, r.e);
    if (*bytes && space && !r.e->code)
        return tn_reader_refuse(r, "/pre_tokenizer/add_prefix_space", "true", "false");
    return r.e->code;
}

/* Refuses settings of the BPE model that would change its ids. */
static int read_switches(tn_reader r, const tn_json *model)
{
    static const char *const strings[] = { "unk_token", "continuing_subword_prefix",
                                           "end_of_word_suffix" };
    const char *type = "BPE";
    tn_json_get_string(model, "type", &type, r.e);
    if (!r.e->code && strcmp(type, "BPE"))
        return tn_reader_refuse(r, "/model/type", type, "BPE");
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        const tn_json *v = tn_json_find(model, strings[i]);
        if (!tn_json_is_null(v) && !(i > 0 && v->kind == TN_STRING && v->length == 0))
            return tn_json_refuse(v, "null", r.e);
    }
    if (!tn_json_is_null(tn_json_find(model, "dropout")))
        return tn_json_refuse(tn_json_find(model, "dropout"), "null", r.e);
    bool fallback = false;
    tn_json_get_bool(model, "byte_fallback", &fallback, r.e);
    if (fallback)
        return tn_reader_refuse(r, "/model/byte_fallback", "true", "false");
    const tn_json *merges = tn_json_find(model, "merges");
    if (merges == NULL || merges->kind != TN_ARRAY)
        return tn_json_refuse(merges == NULL ? model : merges, "an array of merges", r.e);
    return r.e->code;
}

/* clang-format off */
typedef struct end_token { const char *text; int64_t id; } end_token;
/* clang-format on */

/* Reads the added token, if there is one. It must be special, because no text is ever encoded as
   this token. */
static int read_added(tn_reader r, const tn_json *root, end_token *end)
{
    const tn_json *added = tn_json_find(root, "added_tokens");
    if (tn_json_is_null(added))
        return TN_OK;
    if (added->kind != TN_ARRAY || added->count > 1)
        return tn_json_refuse(added, "an array of one added token, the end token", r.e);
    const tn_json *token = tn_json_at(added, 0);
    if (token == NULL)
        return TN_OK;
    bool special = false;
    end->id = -1;
    tn_json_get_string(token, "content", &end->text, r.e);
    tn_json_get_int(token, "id", &end->id, r.e);
    tn_json_get_bool(token, "special", &special, r.e);
    if (!r.e->code && (end->text == NULL || !*end->text || end->id < 0 || !special))
        return tn_json_refuse(token, "a special token with content and id", r.e);
    return r.e->code;
}

/* Reads one entry of the vocabulary: the end token again, or a single symbol. */
static int read_entry(tn_reader r, const tn_json *entry, const end_token *end, tn_tokenizer *k)
{
    int64_t id = -1;
    uint32_t code = TN_NO_CODE;
    const size_t length = strlen(entry->key);
    if (!tn_json_int(entry, &id))
        return tn_json_refuse(entry, "an integer", r.e);
    if (end->text != NULL && !strcmp(entry->key, end->text))
        return id == end->id ? TN_OK : tn_json_refuse(entry, "the id of the added token", r.e);
    const bool single = length > 0 && tn_utf8_read(entry->key, length, &code) == length;
    if (single && k->kind == TN_KIND_BYTES)
        code = tn_byte_of_letter(code);
    if (!single || code == TN_NO_CODE)
        return tn_reader_refuse(r, "a token of /model/vocab", entry->key,
                                k->kind == TN_KIND_BYTES ? "one letter of the byte-level alphabet"
                                                         : "one character");
    if (id == end->id || !tn_tokenizer_put(k, code, id))
        return tn_json_refuse(entry, "an id of its own below the number of tokens", r.e);
    return TN_OK;
}

static tn_tokenizer *read_vocab(tn_reader r, const tn_json *vocab, bool bytes, const end_token *end)
{
    if (vocab == NULL || vocab->kind != TN_OBJECT || vocab->count == 0) {
        tn_fail(r.e, TN_EFORMAT, "%s: /model/vocab: nothing found; expected an object", r.path);
        return NULL;
    }
    const bool listed = end->text != NULL && tn_json_find(vocab, end->text) != NULL;
    const int64_t size = vocab->count + (end->text != NULL && !listed);
    if (end->id >= size) {
        tn_fail(r.e, TN_EFORMAT,
                "%s: the end token has id %lld; expected ids 0 to %lld, no "
                "gaps",
                r.path, (long long)end->id, (long long)size - 1);
        return NULL;
    }
    tn_tokenizer *k = tn_tokenizer_make(bytes, size, r.e);
    if (k == NULL)
        return NULL;
    for (const tn_json *v = vocab->child; v != NULL; v = v->next) {
        if (read_entry(r, v, end, k)) {
            tn_tokenizer_free(k);
            return NULL;
        }
    }
    return tn_tokenizer_finish(k, end->text, end->id, r.e);
}

tn_tokenizer *tn_read_symbols(tn_reader r, const tn_json *root)
{
    bool bytes = false;
    end_token end = { .id = -1 };
    const tn_json *model = tn_json_find(root, "model");
    if (read_pipeline(r, root, &bytes) || read_switches(r, model) || read_added(r, root, &end))
        return NULL;
    return read_vocab(r, tn_json_find(model, "vocab"), bytes, &end);
}
