/* tokenizer.c - what all kinds of tokenizers do: facts, ids of a text, the end of one. */
#include "data/tokenizers/tokenizer.h"
#include "data/tokenizers/unicode.h"

#include <stdlib.h>
#include <string.h>

void tn_tokenizer_free(tn_tokenizer *k)
{
    if (k == NULL)
        return;
    tn_vocab_end(&k->vocab);
    tn_bpe_end(&k->bpe);
    tn_piece_cache_free(k->cache);
    tn_names_free(k->raw);
    tn_names_free(k->normal);
    tn_text_free(&k->forms);
    void *const all[] = {
        k->table, k->code, k->end_text, k->type, k->added, k->seam, k->config, k
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

int64_t tn_tokenizer_size(const tn_tokenizer *k)
{
    return k ? k->size : 0;
}

int32_t tn_tokenizer_end(const tn_tokenizer *k)
{
    return k ? k->end : -1;
}

int32_t tn_tokenizer_begin(const tn_tokenizer *k)
{
    return !k || !tn_is_bpe(k) ? -1 : k->rules.begin;
}

int32_t tn_tokenizer_after(const tn_tokenizer *k)
{
    return !k || !tn_is_bpe(k) ? -1 : k->rules.after;
}

int32_t tn_tokenizer_find(const tn_tokenizer *k, const char *name)
{
    if (!k || !name)
        return -1;
    if (k->end_text != NULL && !strcmp(k->end_text, name))
        return k->end;
    for (int64_t i = 0; i < k->n_added; i++)
        if (k->added[i].name.n == strlen(name) && !memcmp(k->added[i].name.s, name, strlen(name)))
            return k->added[i].id;
    return -1;
}

const char *tn_tokenizer_kind(const tn_tokenizer *k)
{
    static const char *const names[] = { [TN_KIND_BYTES] = "bytes",
                                         [TN_KIND_CHARS] = "chars",
                                         [TN_KIND_BYTE_LEVEL] = "byte-level BPE",
                                         [TN_KIND_PIECES] = "SentencePiece BPE" };
    return k ? names[k->kind] : NULL;
}

uint64_t tn_tokenizer_hash(const tn_tokenizer *k)
{
    return k ? k->hash : 0;
}

/* ---- making a BPE ---- */

static uint64_t hash_of(const tn_tokenizer *k, const tn_parts_of *p)
{
    const tn_rules *r = &k->rules;
    const int64_t facts[] = {
        r->byte_level,      (int64_t)r->split, r->nfc,           r->ignore_merges,
        (int64_t)r->prefix, r->trim,           r->byte_fallback, r->fuse_unknown,
        r->strip,           r->unknown,        k->size,          p->n_added
    };
    uint64_t h = tn_hash_bulk(facts, sizeof facts, 0);
    h = tn_hash_bulk(k->vocab.start, (size_t)(k->size + 1) * sizeof *k->vocab.start, h);
    h = tn_hash_bulk(k->vocab.memory, k->vocab.start[k->size], h);
    h = tn_hash_bulk(k->type, (size_t)k->size, h);
    return tn_hash_bulk(k->bpe.pair, (size_t)(k->bpe.mask + 1) * sizeof *k->bpe.pair, h);
}

bool tn_token_is_plain(tn_span name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.s[i] <= ' ' || name.s[i] > '~')
            return false;
    return true;
}

bool tn_token_is_text(tn_span name)
{
    for (size_t at = 0, n; at < name.n; at += n) {
        uint32_t code;
        n = tn_utf8_read(name.s + at, name.n - at, &code);
        if (n == 0 || code == 0)
            return false;
    }
    return true;
}

/* Names that are found in normalised text are normalised themselves. */
static void make_forms(tn_tokenizer *k, tn_error *e)
{
    const tn_part_place alone = { true, true, true };
    size_t at = 0;
    for (int pass = 0; pass < 2; pass++) /* the memory of `forms` stays where it is in the second */
        for (int64_t i = 0; i < k->n_added; i++) {
            tn_added *a = &k->added[i];
            const size_t from = k->forms.n;
            if (pass == 1) {
                a->form.s = a->normalized ? k->forms.s + at : a->name.s;
                at += a->normalized ? a->form.n : 0;
                continue;
            }
            if (a->normalized && k->rules.byte_level && k->rules.nfc)
                tn_nfc(a->name.s, a->name.n, &k->forms);
            else if (a->normalized && !k->rules.byte_level)
                tn_pieces_normalise(k, a->name, alone, &k->forms);
            else if (a->normalized)
                tn_text_bytes(&k->forms, a->name.s, a->name.n);
            a->form.n = a->normalized ? k->forms.n - from : a->name.n;
        }
    if (k->forms.failed)
        tn_fail(e, TN_ENOMEM, "tokenizer: out of memory");
}

/* Copies the added tokens; their names are then those in the tokenizer. */
static int copy_added(tn_tokenizer *k, const tn_parts_of *p, tn_error *e)
{
    k->added = calloc((size_t)p->n_added + 1, sizeof *k->added);
    k->type = malloc((size_t)p->size + 1);
    if (k->added == NULL || k->type == NULL)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", p->path);
    memcpy(k->type, p->type, (size_t)p->size);
    k->n_added = p->n_added;
    for (int64_t i = 0; i < p->n_added && !e->code; i++) {
        const tn_span name = tn_vocab_text(&k->vocab, p->added[i].id);
        const int32_t id = tn_vocab_find(&k->vocab, name.s, name.n);
        k->added[i] = p->added[i];
        k->added[i].name = name;
        if (id >= 0 && id != p->added[i].id && (!p->rules.byte_level || tn_token_is_plain(name)))
            tn_fail(e, TN_EFORMAT,
                    "%s: added token %lld has id %d; expected %d, as the vocabulary has it",
                    p->path, (long long)i, p->added[i].id, id);
    }
    if (!e->code)
        make_forms(k, e);
    if (!e->code)
        k->raw = tn_names_new(k->added, k->n_added, false, p->path, e);
    if (!e->code)
        k->normal = tn_names_new(k->added, k->n_added, true, p->path, e);
    return e->code;
}

tn_tokenizer *tn_tokenizer_of(const tn_parts_of *p, tn_error *e)
{
    tn_tokenizer *k = e->code ? NULL : calloc(1, sizeof *k);
    if (k == NULL) {
        tn_fail(e, TN_ENOMEM, "%s: out of memory", p->path);
        return NULL;
    }
    k->kind = p->rules.byte_level ? TN_KIND_BYTE_LEVEL : TN_KIND_PIECES;
    k->rules = p->rules;
    k->size = p->size;
    k->end = -1;
    k->cache = tn_piece_cache_new(p->path, e);
    if (p->rules.byte_level)
        tn_byte_level_start(k, p, e);
    else
        tn_pieces_start(k, p, e);
    if (!e->code && k->bpe.pairs == 0)
        tn_fail(e, TN_EFORMAT, "%s: no merges; expected some", p->path);
    if (e->code || copy_added(k, p, e)) {
        tn_tokenizer_free(k);
        return NULL;
    }
    k->hash = hash_of(k, p);
    return k;
}

int tn_tokenizer_set_end(tn_tokenizer *k, int32_t id, tn_error *e)
{
    const tn_span name = tn_vocab_text(&k->vocab, id);
    k->end = id;
    free(k->end_text);
    k->end_text = strndup(name.s, name.n);
    if (k->end_text == NULL)
        return tn_fail(e, TN_ENOMEM, "tokenizer: out of memory");
    k->hash = tn_hash_bulk(&id, sizeof id, k->hash);
    return TN_OK;
}

/* ---- ids of a text ---- */

/* Makes room for `more` ids after the first n. It at least doubles: appending takes linear time. */
static int grow(int32_t **ids, int64_t n, int64_t *room, size_t more, tn_error *e)
{
    if (more <= (size_t)(*room - n))
        return TN_OK;
    size_t want = 0, size = 0;
    if (__builtin_add_overflow((size_t)n, more, &want))
        return tn_fail(e, TN_ENOMEM, "text: out of memory");
    if (want / 2 < (size_t)*room)
        want = (size_t)*room * 2;
    int32_t *grown = __builtin_mul_overflow(want, sizeof **ids, &size) ? NULL : realloc(*ids, size);
    if (grown == NULL)
        return tn_fail(e, TN_ENOMEM, "text: out of memory");
    *ids = grown;
    *room = (int64_t)want;
    return TN_OK;
}

static int encode(tn_walk w, int32_t **ids, int64_t *n, int64_t *room, const char *name)
{
    const int missing = tn_given(w.e, w.k && (w.text || !w.end) && ids && n && room, name);
    if (missing)
        return missing;
    if (*n < 0 || *n > *room || (*room > 0 && !*ids))
        return tn_fail(w.e, TN_EARG,
                       "%lld ids in room for %lld; expected 0 in no room, or ids that grew here",
                       (long long)*n, (long long)*room);
    int64_t end = *n;
    const int32_t *some;
    for (int64_t given; (given = tn_walk_next(&w, &some)) > 0; end += given) {
        if (grow(ids, end, room, (size_t)given, w.e))
            break;
        memcpy(*ids + end, some, (size_t)given * sizeof *some);
    }
    tn_walk_end(&w);
    if (!w.e->code)
        *n = end;
    return w.e->code;
}

int tn_encode(const tn_tokenizer *k, const char *text, size_t length, int32_t **ids, int64_t *n,
              int64_t *room, int64_t *skipped, tn_error *e)
{
    return encode((tn_walk){ .k = k, .text = text, .end = length, .skipped = skipped, .e = e }, ids,
                  n, room, __func__);
}

int tn_encode_after(const tn_tokenizer *k, const char *text, size_t length, int32_t **ids,
                    int64_t *n, int64_t *room, int64_t *skipped, tn_error *e)
{
    return encode(
        (tn_walk){
            .k = k, .text = text, .end = length, .continues = true, .skipped = skipped, .e = e },
        ids, n, room, __func__);
}

int tn_encode_template(const tn_tokenizer *k, const char *text, size_t length, int32_t **ids,
                       int64_t *n, int64_t *room, int64_t *skipped, tn_error *e)
{
    return encode(
        (tn_walk){
            .k = k, .text = text, .end = length, .special = true, .skipped = skipped, .e = e },
        ids, n, room, __func__);
}
