/* tokenizer_json.c - reads a tokenizer.json of the tokenizers library: a BPE with merges.

   The merges are many (514,906 in Gemma's), so they are taken from the parser one by one: two
   spans for each, and no tree. */
#include "data/formats/json.h"
#include "data/tokenizers/readers.h"

#include <stdlib.h>
#include <string.h>

/* ---- arrays ---- */

bool tn_parts_new(tn_parts_of *p, int64_t most, int64_t added)
{
    p->token = calloc((size_t)most + 1, sizeof *p->token);
    p->type = calloc((size_t)most + 1, sizeof *p->type);
    p->found = calloc((size_t)most + 1, sizeof *p->found);
    p->added = calloc((size_t)added + 1, sizeof *p->added);
    return p->token && p->type && p->found && p->added;
}

void tn_parts_end(tn_parts_of *p)
{
    free(p->token);
    free(p->type);
    free(p->found);
    free(p->added);
    free(p->merge);
    free(p->score);
}

int tn_parts_vocab(tn_reader r, tn_parts_of *p, const tn_json *vocab, int64_t most)
{
    if (vocab == NULL || vocab->kind != TN_OBJECT || vocab->count == 0)
        return tn_fail(r.e, TN_EFORMAT, "%s: no vocabulary; expected an object of tokens and ids",
                       r.path);
    for (const tn_json *v = vocab->child; v != NULL; v = v->next) {
        int64_t id = -1;
        if (!tn_json_int(v, &id))
            return tn_json_refuse(v, "an integer", r.e);
        if (id < 0 || id >= most || p->token[id].s != NULL)
            return tn_json_refuse(v, "an id of its own below the number of tokens", r.e);
        p->token[id] = (tn_span){ v->key, strlen(v->key) };
        p->type[id] = TN_TOKEN_NORMAL;
        p->found[id] = true;
    }
    p->size = vocab->count;
    return TN_OK;
}

/* ---- merges ---- */

typedef struct taken {
    tn_merge *merge;
    int64_t n, room;
} taken;

bool tn_merge_of_text(const char *s, size_t n, tn_merge *out)
{
    const char *space = n ? memchr(s, ' ', n) : NULL;
    if (space == NULL || space == s || space + 1 == s + n)
        return false;
    out->left = (tn_span){ s, (size_t)(space - s) };
    out->right = (tn_span){ space + 1, n - out->left.n - 1 };
    return memchr(space + 1, ' ', out->right.n) == NULL;
}

static bool merge_of(const tn_json *v, tn_merge *out)
{
    if (v->kind == TN_STRING)
        return tn_merge_of_text(v->text, v->length, out);
    const tn_json *left = tn_json_at(v, 0), *right = tn_json_at(v, 1);
    if (v->count != 2 || !left || !right || left->kind != TN_STRING || right->kind != TN_STRING)
        return false;
    out->left = (tn_span){ left->text, left->length };
    out->right = (tn_span){ right->text, right->length };
    return left->length && right->length;
}

static int take_merge(void *to, const tn_json *v, tn_error *e)
{
    taken *t = to;
    if (t->n == t->room) {
        const int64_t room = t->room ? 2 * t->room : 1024;
        tn_merge *more = realloc(t->merge, (size_t)room * sizeof *more);
        if (more == NULL)
            return tn_fail(e, TN_ENOMEM, "merges: out of memory");
        t->merge = more;
        t->room = room;
    }
    if (!merge_of(v, &t->merge[t->n]))
        return tn_json_refuse(v, "a merge: \"a b\" or [\"a\", \"b\"]", e);
    t->n++;
    return TN_OK;
}

/* ---- added tokens ---- */

/* Reads an added token, which has an id of the vocabulary or the next one. */
static int read_added(tn_reader r, const tn_json *v, int64_t most, tn_parts_of *p)
{
    const char *name = NULL;
    int64_t id = -1;
    bool special = false, single = false;
    tn_added *a = &p->added[p->n_added++];
    tn_json_get_string(v, "content", &name, r.e);
    tn_json_get_int(v, "id", &id, r.e);
    tn_json_get_bool(v, "special", &special, r.e);
    a->normalized = !special;
    tn_json_get_bool(v, "normalized", &a->normalized, r.e);
    tn_json_get_bool(v, "lstrip", &a->lstrip, r.e);
    tn_json_get_bool(v, "rstrip", &a->rstrip, r.e);
    tn_json_get_bool(v, "single_word", &single, r.e);
    if (r.e->code)
        return r.e->code;
    if (v->kind != TN_OBJECT || name == NULL || !*name || id < 0 || id >= most)
        return tn_json_refuse(v, "a token with content, and an id below the number of tokens", r.e);
    if (single)
        return tn_json_refuse(tn_json_find(v, "single_word"), "false", r.e);
    if (p->token[id].s == NULL) {
        p->token[id] = (tn_span){ name, strlen(name) };
        p->size++;
    } else if (p->type[id] != TN_TOKEN_NORMAL || strcmp(p->token[id].s, name) != 0) {
        return tn_json_refuse(tn_json_find(v, "id"), "an id that no other token has", r.e);
    }
    a->id = (int32_t)id;
    a->special = special;
    p->type[id] = special ? TN_TOKEN_CONTROL : TN_TOKEN_USER;
    return TN_OK;
}

/* The vocabulary and the added tokens: together they have all ids from 0 on. */
static int read_tokens(tn_reader r, const tn_json *root, tn_parts_of *p)
{
    const tn_json *vocab = tn_json_find(tn_json_find(root, "model"), "vocab");
    const tn_json *added = tn_json_find(root, "added_tokens");
    if (!tn_json_is_null(added) && added->kind != TN_ARRAY)
        return tn_json_refuse(added, "an array of added tokens", r.e);
    const int64_t count = added ? added->count : 0, most = (vocab ? vocab->count : 0) + count;
    if (most >= INT32_MAX || !tn_parts_new(p, most, count))
        return tn_fail(r.e, TN_ENOMEM, "%s: out of memory", r.path);
    tn_parts_vocab(r, p, vocab, most);
    for (const tn_json *v = added ? added->child : NULL; v != NULL && !r.e->code; v = v->next)
        read_added(r, v, most, p);
    for (int64_t id = 0; id < p->size && !r.e->code; id++)
        if (p->token[id].s == NULL)
            tn_fail(r.e, TN_EFORMAT, "%s: no token has id %lld; expected ids 0 to %lld, no gaps",
                    r.path, (long long)id, (long long)p->size - 1);
    return r.e->code;
}

/* The unknown token, and what the rules say of the tokens of bytes. */
static int read_unknown(tn_reader r, const tn_json *model, tn_parts_of *p)
{
    const char *name = NULL;
    tn_json_get_string(model, "unk_token", &name, r.e);
    for (int64_t id = 0; id < p->size && !r.e->code; id++) {
        if (name && p->found[id] && !strcmp(p->token[id].s, name))
            p->rules.unknown = (int32_t)id;
        if (p->rules.byte_fallback && p->type[id] == TN_TOKEN_NORMAL &&
            tn_byte_of_name(p->token[id]) >= 0)
            p->type[id] = TN_TOKEN_BYTE;
    }
    if (!r.e->code && name && p->rules.unknown < 0)
        return tn_reader_refuse(r, "/model/unk_token", name, "a token of the vocabulary");
    if (!r.e->code && (p->rules.begin >= p->size || p->rules.after >= p->size))
        return tn_fail(r.e, TN_EFORMAT,
                       "%s: /post_processor has the ids %d and %d; expected ids below %lld", r.path,
                       p->rules.begin, p->rules.after, (long long)p->size);
    return r.e->code;
}

static tn_tokenizer *read_bpe(tn_reader r, const tn_json *root, taken *merges)
{
    const tn_json *model = tn_json_find(root, "model");
    tn_parts_of p = { .path = r.path, .merge = merges->merge, .merges = merges->n };
    merges->merge = NULL;
    tn_tokenizer *k = NULL;
    const char *type = "BPE";
    tn_json_get_string(model, "type", &type, r.e);
    if (!r.e->code && strcmp(type, "BPE") != 0)
        tn_reader_refuse(r, "/model/type", type, "BPE");
    else if (!r.e->code && !tn_pipeline_read(r, root, &p.rules) &&
             !tn_pipeline_post(r, root, &p.rules) && !read_tokens(r, root, &p) &&
             !read_unknown(r, model, &p))
        k = tn_tokenizer_of(&p, r.e);
    tn_parts_end(&p);
    return k;
}

tn_tokenizer *tn_read_json(tn_reader r)
{
    taken merges = { 0 };
    const tn_json_taker taker = {
        .object = "model", .key = "merges", .take = take_merge, .to = &merges
    };
    tn_tokenizer *k = NULL;
    const tn_json *root = tn_json_read_taking(r.path, &taker, r.e);
    const tn_json *model = tn_json_find(root, "model");
    if (root != NULL && (model == NULL || model->kind != TN_OBJECT))
        tn_json_refuse(model == NULL ? root : model, "an object \"model\"", r.e);
    else if (root != NULL && merges.n > 0)
        k = read_bpe(r, root, &merges);
    else if (root != NULL)
        k = tn_read_symbols(r, root);
    tn_json_free(root);
    free(merges.merge);
    return k;
}
