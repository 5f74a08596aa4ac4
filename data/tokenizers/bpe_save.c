/* bpe_save.c - writes the tokenizer.json of a BPE with merges, from its arrays and rules. */
#include "data/tokenizers/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#define MARK "\"\xE2\x96\x81\""

void tn_bpe_write_name(const tn_tokenizer *k, int32_t id, tn_text *t)
{
    const tn_span name = tn_vocab_text(&k->vocab, id);
    tn_text letters = { 0 };
    if (k->kind != TN_KIND_BYTE_LEVEL || tn_vocab_find(&k->vocab, name.s, name.n) != id) {
        tn_text_quote(t, name.s, name.n);
        return;
    }
    tn_byte_letters(name, &letters);
    t->failed |= letters.failed;
    tn_text_quote(t, letters.s ? letters.s : "", letters.n);
    tn_text_free(&letters);
}

static const char *truth(bool flag)
{
    return flag ? "true" : "false";
}

static void write_added(const tn_tokenizer *k, tn_text *t)
{
    for (int64_t i = 0; i < k->n_added; i++) {
        const tn_added *a = &k->added[i];
        tn_text_add(t, "%s\n    {\"id\": %d, \"content\": ", i ? "," : "", a->id);
        tn_text_quote(t, a->name.s, a->name.n);
        tn_text_add(t,
                    ", \"single_word\": false, \"lstrip\": %s, \"rstrip\": %s, \"normalized\": %s, "
                    "\"special\": %s}",
                    truth(a->lstrip), truth(a->rstrip), truth(a->normalized), truth(a->special));
    }
}

/* ---- the steps around the model ---- */

#define LEVEL                                                                                      \
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "              \
    "\"use_regex\": %s}"

static void write_byte_level(const tn_tokenizer *k, tn_text *t)
{
    const tn_split split = k->rules.split;
    const char *regex = truth(split == TN_SPLIT_GPT2 || split == TN_SPLIT_SMOLLM);
    tn_text_add(t, "  \"normalizer\": %s,\n  \"pre_tokenizer\": ",
                k->rules.nfc ? "{\"type\": \"NFC\"}" : "null");
    if (split == TN_SPLIT_SMOLLM) {
        tn_text_add(t, "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", "
                       "\"individual_digits\": true}, ");
    } else if (tn_split_pattern(split) != NULL) {
        tn_text_add(t, "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", "
                       "\"pattern\": {\"Regex\": ");
        tn_text_quote(t, tn_split_pattern(split), strlen(tn_split_pattern(split)));
        tn_text_add(t, "}, \"behavior\": \"Isolated\", \"invert\": false}, ");
    }
    tn_text_add(t, LEVEL, regex);
    tn_text_add(t, "%s,\n  \"decoder\": ",
                split == TN_SPLIT_GPT2 || split == TN_SPLIT_NONE ? "" : "]}");
    tn_text_add(t, LEVEL, regex);
}

static void write_pieces(const tn_tokenizer *k, tn_text *t)
{
    const tn_prefix prefix = k->rules.prefix;
    const bool metaspace = prefix == TN_PREFIX_FIRST || prefix == TN_PREFIX_UNLESS;
    tn_text_add(t, "  \"normalizer\": ");
    if (metaspace) {
        tn_text_add(t, "null");
    } else {
        tn_text_add(t, "{\"type\": \"Sequence\", \"normalizers\": [");
        if (k->rules.trim)
            tn_text_add(t,
                        "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"(?<![\\\\s\\\\S]) +| "
                        "+(?![\\\\s\\\\S])\"}, \"content\": \"\"}, {\"type\": \"Replace\", "
                        "\"pattern\": {\"Regex\": \" {2,}\"}, \"content\": \" \"}, ");
        if (prefix == TN_PREFIX_ALWAYS)
            tn_text_add(t, "{\"type\": \"Prepend\", \"prepend\": " MARK "}, ");
        tn_text_add(t,
                    "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": " MARK
                    "}]}");
    }
    tn_text_add(t, ",\n  \"pre_tokenizer\": ");
    if (metaspace)
        tn_text_add(t,
                    "{\"type\": \"Metaspace\", \"replacement\": " MARK
                    ", \"prepend_scheme\": \"%s\", "
                    "\"split\": false}",
                    prefix == TN_PREFIX_FIRST ? "first" : "always");
    else
        tn_text_add(t, "null");
    tn_text_add(t,
                ",\n  \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", "
                "\"pattern\": {\"String\": " MARK "}, \"content\": \" \"}, {\"type\": "
                "\"ByteFallback\"}, {\"type\": \"Fuse\"}");
    if (k->rules.strip)
        tn_text_add(t, ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}");
    tn_text_add(t, "]}");
}

/* One special token of the template, and what it stands for. */
static void write_special(const tn_tokenizer *k, int32_t id, tn_text *single, tn_text *special)
{
    tn_text_add(single, "%s{\"SpecialToken\": {\"id\": ", single->n ? ", " : "");
    tn_bpe_write_name(k, id, single);
    tn_text_add(single, ", \"type_id\": 0}}");
    tn_text_add(special, "%s", special->n ? ", " : "");
    tn_bpe_write_name(k, id, special);
    tn_text_add(special, ": {\"id\": ");
    tn_bpe_write_name(k, id, special);
    tn_text_add(special, ", \"ids\": [%d], \"tokens\": [", id);
    tn_bpe_write_name(k, id, special);
    tn_text_add(special, "]}");
}

static void write_template(const tn_tokenizer *k, tn_text *t)
{
    tn_text single = { 0 }, special = { 0 }, again = { 0 };
    if (k->rules.begin < 0 && k->rules.after < 0) {
        tn_text_add(t, "null");
        return;
    }
    if (k->rules.begin >= 0)
        write_special(k, k->rules.begin, &single, &special);
    tn_text_add(&single, "%s{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}", single.n ? ", " : "");
    if (k->rules.after >= 0)
        write_special(k, k->rules.after, &single,
                      k->rules.after == k->rules.begin ? &again : &special);
    tn_text_free(&again);
    tn_text_add(t, "{\"type\": \"TemplateProcessing\", \"single\": [");
    tn_text_join(t, &single);
    tn_text_add(t, "], \"pair\": [");
    tn_text_join(t, &single);
    tn_text_add(t, ", {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], \"special_tokens\": {");
    tn_text_join(t, &special);
    tn_text_add(t, "}}");
    tn_text_free(&single);
    tn_text_free(&special);
}

/* ---- the model ---- */

/* Merges of equal rank, which a tokenizer.model may have, are written one after the other. */
static void write_merges(const tn_tokenizer *k, tn_text *t)
{
    int64_t n = 0;
    tn_pair *order = tn_bpe_sorted(&k->bpe, &n);
    t->failed |= order == NULL;
    for (int64_t i = 0; i < n; i++) {
        tn_text_add(t, "%s\n      [", i ? "," : "");
        tn_bpe_write_name(k, (int32_t)order[i].left, t);
        tn_text_add(t, ", ");
        tn_bpe_write_name(k, (int32_t)order[i].right, t);
        tn_text_add(t, "]");
    }
    free(order);
}

/* Is the token one that the model has itself, not one that was only added? One that is not spelt
   in letters cannot be found, but is its own. */
static bool is_own(const tn_tokenizer *k, int32_t id)
{
    const tn_span name = tn_vocab_text(&k->vocab, id);
    return k->type[id] == TN_TOKEN_NORMAL || k->type[id] == TN_TOKEN_BYTE ||
           id == k->rules.unknown || tn_vocab_find(&k->vocab, name.s, name.n) == id;
}

/* All up to the last one that is the model's own: the tokenizers library gives an added token
   that is not there the next free id, whatever its id in the file. */
static void write_vocab(const tn_tokenizer *k, tn_text *t)
{
    int32_t last = (int32_t)k->size - 1;
    while (last > 0 && !is_own(k, last))
        last--;
    for (int32_t id = 0; id <= last; id++) {
        tn_text_add(t, "%s\n      ", id ? "," : "");
        tn_bpe_write_name(k, id, t);
        tn_text_add(t, ": %d", id);
    }
}

void tn_bpe_write(const tn_tokenizer *k, tn_text *t)
{
    tn_text_add(t, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
                   "  \"added_tokens\": [");
    write_added(k, t);
    tn_text_add(t, "],\n");
    if (k->rules.byte_level)
        write_byte_level(k, t);
    else
        write_pieces(k, t);
    tn_text_add(t, ",\n  \"post_processor\": ");
    write_template(k, t);
    tn_text_add(t, ",\n  \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": ");
    if (k->rules.unknown >= 0)
        tn_bpe_write_name(k, k->rules.unknown, t);
    else
        tn_text_add(t, "null");
    tn_text_add(t,
                ",\n    \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null,\n"
                "    \"fuse_unk\": %s, \"byte_fallback\": %s, \"ignore_merges\": %s,\n"
                "    \"vocab\": {",
                truth(k->rules.fuse_unknown), truth(k->rules.byte_fallback),
                truth(k->rules.ignore_merges));
    write_vocab(k, t);
    tn_text_add(t, "},\n    \"merges\": [");
    write_merges(k, t);
    tn_text_add(t, "]}\n}\n");
}
