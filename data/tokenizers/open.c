/* open.c - opens the tokenizer of a folder, and finds its end token (readers.h). */
#include "data/formats/gguf_file.h"
#include "data/tokenizers/readers.h"

#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES = 16 << 20 };

static bool has(const char *folder, const char *name, tn_error *e)
{
    char *path = tn_path_newest(folder, name);
    if (path == NULL) {
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
        return false;
    }
    const bool there = tn_path_is(path, NULL, e) != TN_ABSENT;
    free(path);
    return there;
}

/* The name of the file of its own; NULL: the folder has none. */
static const char *own_file(const char *folder, tn_error *e)
{
    static const char *const names[] = { "tokenizer.json", "vocab.json", "tokenizer.model" };
    for (int i = 0; i < 3 && !e->code; i++)
        if (has(folder, names[i], e) && (i != 1 || has(folder, "merges.txt", e)))
            return e->code ? NULL : names[i];
    return NULL;
}

const char *tn_tokenizer_file(const char *folder, tn_error *e)
{
    if (tn_given(e, folder, __func__))
        return NULL;
    const char *name = tn_path_is(folder, NULL, e) == TN_FILE ? NULL : own_file(folder, e);
    char *gguf = name || e->code ? NULL : tn_gguf_of(folder, e);
    if (gguf != NULL && tn_gguf_has_tokenizer(gguf, e))
        name = "tokenizer.ggml.tokens";
    free(gguf);
    return e->code ? NULL : name;
}

static tn_tokenizer *read_files(const char *folder, const char *name, tn_error *e)
{
    const bool two = !strcmp(name, "vocab.json");
    char *path = tn_path_newest(folder, name);
    char *merges = two ? tn_path_newest(folder, "merges.txt") : NULL;
    tn_tokenizer *k = NULL;
    const tn_reader r = { path, e };
    if (path == NULL || (two && merges == NULL))
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    else if (two)
        k = tn_read_gpt2(r, (tn_reader){ merges, e });
    else
        k = !strcmp(name, "tokenizer.model") ? tn_read_sentencepiece(r) : tn_read_json(r);
    free(path);
    free(merges);
    return k;
}

/* ---- the end token ---- */

/* The name that a member has, which is a string or an object with "content"; NULL: none. */
static const tn_json *token_of(tn_reader r, const tn_json *root, const char *member)
{
    const tn_json *v = tn_json_find(root, member);
    if (v != NULL && v->kind == TN_OBJECT)
        v = tn_json_find(v, "content");
    if (tn_json_is_null(v))
        return NULL;
    if (v->kind != TN_STRING)
        tn_json_refuse(v, "a string", r.e);
    return r.e->code ? NULL : v;
}

/* The id of a token by its name; -1: none has it. A token that merging cannot make, because it is
   not in GPT-2's letters, is in no table: all are compared at last. */
static int32_t id_of(const tn_tokenizer *k, const tn_json *name)
{
    if (strlen(name->text) != name->length)
        return -1;
    int32_t id = tn_tokenizer_find(k, name->text);
    if (id >= 0 || !tn_is_bpe(k))
        return id;
    if (k->kind == TN_KIND_BYTE_LEVEL)
        id = tn_byte_level_find(k, (tn_span){ name->text, name->length });
    if (id < 0)
        id = tn_vocab_find(&k->vocab, name->text, name->length);
    for (int32_t i = 0; id < 0 && i < tn_tokenizer_size(k); i++) {
        const tn_span t = tn_vocab_text(&k->vocab, i);
        if (t.n == name->length && !memcmp(t.s, name->text, t.n))
            id = i;
    }
    return id;
}

/* What is put before and after a text. In tokenizer.json the template alone decides it: as in
   Transformers 5. */
static void apply_ends(tn_reader r, const tn_json *root, int32_t begin, int32_t end,
                       tn_tokenizer *k)
{
    bool begins = k->rules.begin >= 0, ends = false;
    tn_json_get_bool(root, "add_bos_token", &begins, r.e);
    tn_json_get_bool(root, "add_eos_token", &ends, r.e);
    if (!begins)
        k->rules.begin = -1;
    else if (begin >= 0)
        k->rules.begin = begin;
    k->rules.after = ends ? end : -1;
}

/* What tokenizer_config.json says of a tokenizer. older: that is not in a tokenizer.json. */
static int apply_config(tn_reader r, const tn_json *root, bool older, tn_tokenizer *k)
{
    const tn_json *end = token_of(r, root, "eos_token"), *begin = token_of(r, root, "bos_token");
    const int32_t id = end ? id_of(k, end) : -1;
    if (r.e->code)
        return r.e->code;
    if (end && id < 0)
        return tn_reader_refuse(r, "/eos_token", end->text,
                                tn_is_bpe(k) ? "a token of the tokenizer"
                                             : "the added token of tokenizer.json");
    if (!tn_is_bpe(k))
        return TN_OK;
    if (older)
        apply_ends(r, root, begin ? id_of(k, begin) : -1, id < 0 ? k->end : id, k);
    return end ? tn_tokenizer_set_end(k, id, r.e) : r.e->code;
}

/* Reads tokenizer_config.json, which may be absent. */
static int read_config(tn_reader r, bool older, tn_tokenizer *k)
{
    if (tn_path_is(r.path, NULL, r.e) == TN_ABSENT)
        return r.e->code;
    char *text = tn_text_read(r.path, CONFIG_BYTES, &k->config_size, r.e);
    const tn_json *root = text ? tn_json_parse(text, k->config_size, r.path, 0, r.e) : NULL;
    if (root != NULL)
        apply_config(r, root, older, k);
    if (tn_is_bpe(k))
        k->config = text;
    else
        free(text);
    tn_json_free(root);
    return r.e->code;
}

/* The id of the special token, if there is only one; else -1. */
static int32_t only_special(const tn_tokenizer *k)
{
    int32_t only = -1;
    int64_t n = 0;
    for (int64_t i = 0; i < k->n_added; i++) {
        n += k->added[i].special;
        only = k->added[i].special ? k->added[i].id : only;
    }
    return n == 1 ? only : -1;
}

/* The only special token is the end token; else the model's config.json names one by its id. */
static int guess_end(tn_reader r, tn_tokenizer *k)
{
    const int32_t only = only_special(k);
    int64_t id = -1;
    if (only >= 0)
        return tn_tokenizer_set_end(k, only, r.e);
    const tn_json *root =
        tn_path_is(r.path, NULL, r.e) == TN_ABSENT ? NULL : tn_json_read(r.path, r.e);
    const tn_json *v = tn_json_find(root, "eos_token_id");
    if (v != NULL && v->kind == TN_ARRAY)
        v = tn_json_at(v, 0);
    if (tn_json_int(v, &id) && id >= 0 && id < k->size)
        tn_tokenizer_set_end(k, (int32_t)id, r.e);
    tn_json_free(root);
    return r.e->code;
}

static int find_end(const char *folder, bool older, tn_tokenizer *k, tn_error *e)
{
    char *config = tn_path_newest(folder, "tokenizer_config.json");
    char *model = tn_path_newest(folder, "config.json");
    if (config == NULL || model == NULL)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    else if (!read_config((tn_reader){ config, e }, older, k) && k->end < 0 && tn_is_bpe(k))
        guess_end((tn_reader){ model, e }, k);
    free(config);
    free(model);
    return e->code;
}

static tn_tokenizer *open_gguf(const char *path, tn_error *e)
{
    tn_tokenizer *k = tn_read_gguf((tn_reader){ path, e });
    const int32_t only = k != NULL && k->end < 0 ? only_special(k) : -1;
    if (only >= 0)
        tn_tokenizer_set_end(k, only, e);
    return k;
}

static tn_tokenizer *open_folder(const char *folder, const char *name, tn_error *e)
{
    static const char json[] = "tokenizer.json";
    tn_tokenizer *k = read_files(folder, name ? name : json, e);
    if (k != NULL)
        find_end(folder, name != NULL && strcmp(name, json) != 0, k, e);
    return k;
}

tn_tokenizer *tn_tokenizer_open(const char *folder, tn_error *e)
{
    if (tn_given(e, folder, __func__))
        return NULL;
    const bool file = tn_path_is(folder, NULL, e) == TN_FILE;
    const char *name = file || e->code ? NULL : own_file(folder, e);
    char *gguf = name || e->code ? NULL : tn_gguf_of(folder, e);
    if (file && gguf == NULL)
        tn_fail(e, TN_EFORMAT, "%s: a file that is not in GGUF; expected a folder or a GGUF file",
                folder);
    tn_tokenizer *k = NULL;
    if (gguf != NULL)
        k = open_gguf(gguf, e);
    else if (!e->code)
        k = open_folder(folder, name, e);
    free(gguf);
    if (!e->code)
        return k;
    tn_tokenizer_free(k);
    return NULL;
}
