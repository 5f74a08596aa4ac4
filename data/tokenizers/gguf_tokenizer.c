/* gguf_tokenizer.c - reads the tokenizer inside of a GGUF file (readers.h).

   Source: the keys tokenizer.ggml.* of ggml-org/ggml docs/gguf.md, and what llama.cpp does where a
   key is missing.

     model      "gpt2": byte-level BPE; "llama": SentencePiece BPE. Others are refused by name.
     tokens     (size) strings: in GPT-2's letters for bytes, or with U+2581 for a space
     token_type (size) tn_token_type; without it all are normal
     pre        gpt2: which split
     merges     gpt2: "a b" in order of rank
     scores     llama: (size)
     bos_token_id, eos_token_id, unknown_token_id; one outside of the vocabulary means none
     add_bos_token, add_eos_token, add_space_prefix
   Without merges, tokens of one byte or character are a tokenizer of bytes or characters.
   Names of control tokens are special. Those of user-defined ones are found in any text. Unused
   tokens at the end fill up the rows of the embedding: they are left out. */
#include "data/gguf.h"
#include "data/tokenizers/readers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml."

typedef struct source {
    const tn_gguf *g;
    tn_reader r;
    tn_parts_of p;
    int32_t end; /* -1: none */
} source;

typedef struct pre {
    const char *name; /* as the files have it */
    tn_split split;
    bool nfc, ignore_merges, begin; /* begin: a text begins with the first token */
} pre;

static const pre pres[] = {
    { "gpt-2", TN_SPLIT_GPT2, false, false, false },
    { "phi-2", TN_SPLIT_GPT2, false, false, false },
    { "smollm", TN_SPLIT_SMOLLM, false, false, false },
    { "llama-bpe", TN_SPLIT_LLAMA3, false, true, true },
    { "llama-v3", TN_SPLIT_LLAMA3, false, true, true },
    { "llama3", TN_SPLIT_LLAMA3, false, true, true },
    { "qwen2", TN_SPLIT_QWEN2, true, false, false },
};

/* ---- arrays ---- */

/* An array of a key. count -1: of any size. NULL after an error, or if it is not there. */
static const tn_gguf_value *array_of(source *s, const char *key, int64_t count, bool strings)
{
    const tn_gguf_value *v = tn_gguf_value_of(s->g, key);
    if (v == NULL || s->r.e->code)
        return NULL;
    const bool right = v->array && (v->kind == TN_GGUF_STRING) == strings;
    if (!right)
        tn_fail(s->r.e, TN_EFORMAT, "%s: %s is no array of %s; expected one", s->r.path, key,
                strings ? "strings" : "numbers");
    else if (count >= 0 && v->count != count)
        tn_fail(s->r.e, TN_EFORMAT, "%s: %s has %lld elements; expected %lld, one for each token",
                s->r.path, key, (long long)v->count, (long long)count);
    return s->r.e->code ? NULL : v;
}

static int refuse_element(source *s, const char *key, int64_t i, const char *found,
                          const char *expected)
{
    return tn_fail(s->r.e, TN_EFORMAT, "%s: %s%s[%lld] is %s; expected %s", s->r.path, KEY, key,
                   (long long)i, found, expected);
}

static int read_type(source *s, const tn_gguf_value *types, int64_t i)
{
    int64_t type = TN_TOKEN_NORMAL;
    const tn_span t = s->p.token[i];
    const bool level = s->p.rules.byte_level;
    if (types != NULL && (!tn_gguf_int(types, i, &type) || type < 1 || type > TN_TOKEN_BYTE))
        return refuse_element(s, "token_type", i, "no type of a token", "1 to 6");
    if (type == TN_TOKEN_BYTE && (level || tn_byte_of_name(t) < 0))
        return refuse_element(s, "token_type", i, "6, a byte",
                              level ? "another one beside " KEY "model gpt2"
                                    : "another one, or a token like \"<0x41>\"");
    s->p.type[i] = (unsigned char)type;
    s->p.found[i] = !level || type == TN_TOKEN_NORMAL || tn_token_is_plain(t);
    if (type == TN_TOKEN_CONTROL || type == TN_TOKEN_UNKNOWN || type == TN_TOKEN_USER)
        s->p.added[s->p.n_added++] =
            (tn_added){ .id = (int32_t)i, .special = type != TN_TOKEN_USER };
    if (type == TN_TOKEN_UNKNOWN && !level)
        s->p.rules.unknown = (int32_t)i;
    s->p.rules.byte_fallback |= type == TN_TOKEN_BYTE;
    return TN_OK;
}

static int read_tokens(source *s)
{
    const tn_gguf_value *tokens = array_of(s, KEY "tokens", -1, true);
    if (tokens == NULL || tokens->count == 0 || tokens->count >= INT32_MAX)
        return tn_fail(s->r.e, TN_EFORMAT, "%s: no " KEY "tokens; expected those of a tokenizer",
                       s->r.path);
    const tn_gguf_value *types = array_of(s, KEY "token_type", tokens->count, false);
    if (!s->r.e->code && !tn_parts_new(&s->p, tokens->count, tokens->count))
        return tn_fail(s->r.e, TN_ENOMEM, "%s: out of memory", s->r.path);
    size_t at = 0;
    for (int64_t i = 0; i < tokens->count && !s->r.e->code; i++) {
        tn_span *t = &s->p.token[i];
        tn_gguf_string(tokens, &at, t);
        if (t->n == 0 || !tn_token_is_text(*t))
            refuse_element(s, "tokens", i, t->n ? "not text in UTF-8" : "empty",
                           "the text of a token");
        else if (!read_type(s, types, i) && s->p.type[i] != TN_TOKEN_UNUSED)
            s->p.size = i + 1;
    }
    return s->r.e->code;
}

static int read_merges(source *s)
{
    const tn_gguf_value *merges = array_of(s, KEY "merges", -1, true);
    size_t at = 0;
    tn_span text;
    if (merges == NULL)
        return tn_fail(s->r.e, TN_EFORMAT, "%s: no " KEY "merges; expected those of a gpt2 model",
                       s->r.path);
    s->p.merge = malloc(((size_t)merges->count + 1) * sizeof *s->p.merge);
    if (s->p.merge == NULL)
        return tn_fail(s->r.e, TN_ENOMEM, "%s: out of memory", s->r.path);
    for (int64_t i = 0; i < merges->count && tn_gguf_string(merges, &at, &text); i++)
        if (!tn_merge_of_text(text.s, text.n, &s->p.merge[s->p.merges++]))
            return refuse_element(s, "merges", i, "not two parts", "a merge \"a b\"");
    return TN_OK;
}

static int read_scores(source *s)
{
    const tn_gguf_value *scores = array_of(s, KEY "scores", -1, false);
    if (s->r.e->code)
        return s->r.e->code;
    if (scores == NULL || scores->count < s->p.size)
        return tn_fail(s->r.e, TN_EFORMAT,
                       "%s: " KEY "scores has %lld numbers; expected one for each of %lld tokens",
                       s->r.path, (long long)(scores ? scores->count : 0), (long long)s->p.size);
    s->p.score = malloc(((size_t)s->p.size + 1) * sizeof *s->p.score);
    if (s->p.score == NULL)
        return tn_fail(s->r.e, TN_ENOMEM, "%s: out of memory", s->r.path);
    for (int64_t i = 0; i < s->p.size; i++) {
        double score = 0;
        if (!tn_gguf_float(scores, i, &score))
            return refuse_element(s, "scores", i, "not finite", "a number");
        s->p.score[i] = s->p.type[i] == TN_TOKEN_NORMAL ? (float)score : NAN;
    }
    return TN_OK;
}

/* ---- settings ---- */

/* found NULL: the key is missing. */
static int refuse_key(source *s, const char *key, const char *found, const char *expected)
{
    if (found != NULL)
        return tn_reader_refuse(s->r, key, found, expected);
    return tn_fail(s->r.e, TN_EFORMAT, "%s: no %s; expected %s", s->r.path, key, expected);
}

/* The rules of `model`, and whether a text begins with the first token if no key decides it. */
static int read_kind(source *s, const char *model, bool *begin)
{
    const char *name = NULL;
    size_t i = 0;
    *begin = model != NULL && !strcmp(model, "llama");
    if (*begin)
        return TN_OK;
    if (model == NULL || strcmp(model, "gpt2") != 0)
        return refuse_key(s, KEY "model", model, "gpt2 or llama");
    tn_gguf_get_string(s->g, KEY "pre", &name, s->r.e);
    while (name != NULL && i < sizeof pres / sizeof *pres && strcmp(name, pres[i].name) != 0)
        i++;
    if (!s->r.e->code && (name == NULL || i == sizeof pres / sizeof *pres))
        return refuse_key(s, KEY "pre", name,
                          "gpt-2, phi-2, smollm, llama-bpe, llama-v3, llama3 or qwen2");
    if (s->r.e->code)
        return s->r.e->code;
    s->p.rules.byte_level = true;
    s->p.rules.split = pres[i].split;
    s->p.rules.nfc = pres[i].nfc;
    s->p.rules.ignore_merges = pres[i].ignore_merges;
    *begin = pres[i].begin;
    return TN_OK;
}

/* The id of a key, or `normally`; -1 if it is outside of the vocabulary. */
static int32_t id_of(const source *s, const char *key, int64_t normally)
{
    tn_gguf_get_int(s->g, key, &normally, s->r.e);
    return normally >= 0 && normally < s->p.size ? (int32_t)normally : -1;
}

/* What stands before and after a text. begins: the first token does, if no key decides it. */
static int read_settings(source *s, bool begins)
{
    tn_rules *rules = &s->p.rules;
    const bool pieces = !rules->byte_level;
    bool ends = false, space = true;
    const int32_t begin = id_of(s, KEY "bos_token_id", pieces ? 1 : -1);
    s->end = id_of(s, KEY "eos_token_id", pieces ? 2 : -1);
    tn_gguf_get_bool(s->g, KEY "add_bos_token", &begins, s->r.e);
    tn_gguf_get_bool(s->g, KEY "add_eos_token", &ends, s->r.e);
    tn_gguf_get_bool(s->g, KEY "add_space_prefix", &space, s->r.e);
    rules->begin = begins ? begin : -1;
    rules->after = ends ? s->end : -1;
    if (pieces) {
        const int32_t unknown = id_of(s, KEY "unknown_token_id", rules->unknown);
        rules->unknown = unknown >= 0 ? unknown : rules->unknown;
        rules->prefix = space ? TN_PREFIX_ALWAYS : TN_PREFIX_NONE;
        rules->strip = space;
        rules->fuse_unknown = true;
    }
    return s->r.e->code;
}

/* ---- tokenizer_config.json ---- */

static void add_name(const tn_tokenizer *k, const char *member, int32_t id, tn_text *t)
{
    tn_text_add(t, ",\n  \"%s\": ", member);
    if (id < 0) {
        tn_text_add(t, "null");
        return;
    }
    tn_bpe_write_name(k, id, t);
}

/* What a tokenizer saved beside an adapter needs besides its tokenizer.json. */
static int write_config(const source *s, tn_tokenizer *k)
{
    tn_text t = { 0 };
    const char *template = NULL;
    tn_gguf_get_string(s->g, "tokenizer.chat_template", &template, s->r.e);
    tn_text_add(&t, "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n"
                    "  \"clean_up_tokenization_spaces\": false");
    add_name(k, "bos_token", id_of(s, KEY "bos_token_id", -1), &t);
    add_name(k, "eos_token", s->end, &t);
    if (template != NULL) {
        tn_text_add(&t, ",\n  \"chat_template\": ");
        tn_text_quote(&t, template, strlen(template));
    }
    tn_text_add(&t, "\n}\n");
    tn_text_done(&t, s->r.path, s->r.e);
    k->config = t.s;
    k->config_size = t.n;
    return s->r.e->code;
}

/* ---- the file ---- */

static tn_tokenizer *make(source *s)
{
    const char *model = NULL;
    bool begins = false;
    tn_gguf_get_string(s->g, KEY "model", &model, s->r.e);
    if (s->r.e->code)
        return NULL;
    if (read_kind(s, model, &begins) || read_tokens(s) || read_settings(s, begins) ||
        (s->p.rules.byte_level ? read_merges(s) : read_scores(s)))
        return NULL;
    if (tn_parts_are_symbols(&s->p, s->end))
        return tn_symbols_of(&s->p, s->r.e);
    tn_tokenizer *k = tn_tokenizer_of(&s->p, s->r.e);
    if (k != NULL && s->end >= 0)
        tn_tokenizer_set_end(k, s->end, s->r.e);
    if (k != NULL && !s->r.e->code)
        write_config(s, k);
    if (!s->r.e->code)
        return k;
    tn_tokenizer_free(k);
    return NULL;
}

tn_tokenizer *tn_read_gguf(tn_reader r)
{
    source s = { .r = r,
                 .p = { .path = r.path, .rules = { .unknown = -1, .begin = -1, .after = -1 } } };
    tn_gguf *g = tn_gguf_open(r.path, r.e);
    s.g = g;
    tn_tokenizer *k = g ? make(&s) : NULL;
    tn_parts_end(&s.p);
    tn_gguf_close(g);
    return k;
}

bool tn_gguf_has_tokenizer(const char *path, tn_error *e)
{
    tn_gguf *g = tn_gguf_open(path, e);
    const bool has = tn_gguf_value_of(g, KEY "tokens") != NULL;
    tn_gguf_close(g);
    return has;
}
