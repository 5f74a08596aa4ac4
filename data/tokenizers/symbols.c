/* symbols.c - byte and character tokenizers: one token per symbol, no merges. */
#include "data/tokenizers/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static const char end_token[] = "<|endoftext|>"; /* the name in GPT-2, which other tools know */

tn_tokenizer *tn_tokenizer_make(bool bytes, int64_t size, tn_error *e)
{
    tn_tokenizer *k = calloc(1, sizeof *k);
    if (k == NULL) {
        tn_fail(e, TN_ENOMEM, "tokenizer: out of memory");
        return NULL;
    }
    k->kind = bytes ? TN_KIND_BYTES : TN_KIND_CHARS;
    k->size = size;
    k->end = -1;
    k->table = calloc((size_t)size, sizeof *k->table);
    k->code = calloc((size_t)size, sizeof *k->code);
    if (k->table == NULL || k->code == NULL) {
        tn_fail(e, TN_ENOMEM, "tokenizer: out of memory");
        tn_tokenizer_free(k);
        return NULL;
    }
    for (int64_t i = 0; i < size; i++)
        k->code[i] = TN_NO_CODE;
    return k;
}

bool tn_tokenizer_put(tn_tokenizer *k, uint32_t code, int64_t id)
{
    if (id < 0 || id >= k->size || k->symbols == k->size || k->code[id] != TN_NO_CODE)
        return false;
    k->code[id] = code;
    k->table[k->symbols++] = (tn_symbol){ code, (int32_t)id };
    return true;
}

static int by_code(const void *a, const void *b)
{
    const uint32_t x = ((const tn_symbol *)a)->code, y = ((const tn_symbol *)b)->code;
    return (x > y) - (x < y);
}

static uint64_t hash_of(const tn_tokenizer *k)
{
    const int64_t kind[3] = { k->kind == TN_KIND_BYTES, k->size, k->end };
    const char *end_text = k->end_text ? k->end_text : "";
    const uint64_t h = tn_hash_bulk(kind, sizeof kind, 0);
    return tn_hash_bulk(end_text, strlen(end_text),
                        tn_hash_bulk(k->code, (size_t)k->size * sizeof *k->code, h));
}

tn_tokenizer *tn_tokenizer_finish(tn_tokenizer *k, const char *end_text, int64_t end, tn_error *e)
{
    qsort(k->table, (size_t)k->symbols, sizeof *k->table, by_code);
    for (int b = 0; b < 256; b++)
        k->byte[b] = -1;
    for (int64_t i = 0; i < k->symbols && k->table[i].code < 256; i++)
        k->byte[k->table[i].code] = k->table[i].id;
    if (end_text != NULL) {
        k->end = (int32_t)end;
        k->end_text = strdup(end_text);
        if (k->end_text == NULL) {
            tn_fail(e, TN_ENOMEM, "tokenizer: out of memory");
            tn_tokenizer_free(k);
            return NULL;
        }
    }
    k->hash = hash_of(k);
    return k;
}

/* ---- from the arrays of a file ---- */

/* The symbol that a token is; TN_NO_CODE: it is none. */
static uint32_t symbol_of(const tn_parts_of *p, int64_t id)
{
    enum { MARK = 0x2581 }; /* a space, where tokens are characters */
    const tn_span t = p->token[id];
    uint32_t code = TN_NO_CODE;
    if (p->type[id] != TN_TOKEN_NORMAL || tn_utf8_read(t.s, t.n, &code) != t.n)
        return TN_NO_CODE;
    return p->rules.byte_level ? tn_byte_of_letter(code) : code == MARK ? ' ' : code;
}

bool tn_parts_are_symbols(const tn_parts_of *p, int32_t end)
{
    const tn_rules *r = &p->rules;
    bool all = p->merges == 0 && r->prefix == TN_PREFIX_NONE && r->unknown < 0 && r->begin < 0 &&
               r->after < 0;
    for (int64_t id = 0; all && id < p->size; id++)
        all = p->type[id] == TN_TOKEN_CONTROL ? id == end : symbol_of(p, id) != TN_NO_CODE;
    return all;
}

tn_tokenizer *tn_symbols_of(const tn_parts_of *p, tn_error *e)
{
    tn_tokenizer *k = tn_tokenizer_make(p->rules.byte_level, p->size, e);
    char *end_text = NULL;
    int64_t end = -1;
    for (int64_t id = 0; k != NULL && id < p->size; id++) {
        if (p->type[id] != TN_TOKEN_CONTROL) {
            tn_tokenizer_put(k, symbol_of(p, id), id);
            continue;
        }
        end = id;
        end_text = strndup(p->token[id].s, p->token[id].n);
        if (end_text == NULL)
            tn_fail(e, TN_ENOMEM, "tokenizer: out of memory");
    }
    if (k != NULL && !e->code)
        k = tn_tokenizer_finish(k, end_text, end, e);
    for (int64_t i = 1; k != NULL && !e->code && i < k->symbols; i++)
        if (k->table[i].code == k->table[i - 1].code)
            tn_fail(e, TN_EFORMAT, "%s: tokens %d and %d are the same; expected every token once",
                    p->path, k->table[i - 1].id, k->table[i].id);
    free(end_text);
    if (!e->code)
        return k;
    tn_tokenizer_free(k);
    return NULL;
}

/* ---- new ones ---- */

tn_tokenizer *tn_tokenizer_bytes(tn_error *e)
{
    if (tn_given(e, true, __func__))
        return NULL;
    tn_tokenizer *k = tn_tokenizer_make(true, 257, e);
    if (k == NULL)
        return NULL;
    for (uint32_t b = 0; b < 256; b++)
        tn_tokenizer_put(k, b, b);
    return tn_tokenizer_finish(k, end_token, 256, e);
}

/* Marks every code point of the text in `seen`. Returns their number, or an error code. */
static int64_t collect(const char *text, size_t n, unsigned char *seen, tn_error *e)
{
    int64_t count = 0;
    for (size_t at = 0; at < n;) {
        uint32_t code = 0;
        const size_t bytes = tn_utf8_read(text + at, n - at, &code);
        if (bytes == 0 || code == 0)
            return tn_fail(e, TN_EFORMAT, "byte %zu: %s; expected UTF-8 text", at,
                           bytes ? "a zero byte" : "malformed UTF-8");
        count += !seen[code];
        seen[code] = 1;
        at += bytes;
    }
    if (count == 0)
        return tn_fail(e, TN_EFORMAT, "an empty text; expected characters for a vocabulary");
    return count;
}

tn_tokenizer *tn_tokenizer_chars(const char *text, size_t n, tn_error *e)
{
    if (tn_given(e, text || !n, __func__))
        return NULL;
    unsigned char *seen = calloc(TN_NO_CODE, 1);
    if (seen == NULL) {
        tn_fail(e, TN_ENOMEM, "tokenizer: out of memory");
        return NULL;
    }
    const int64_t count = collect(text, n, seen, e);
    tn_tokenizer *k = count < 0 ? NULL : tn_tokenizer_make(false, count + 1, e);
    for (uint32_t code = 0; k != NULL && code < TN_NO_CODE; code++) {
        if (seen[code])
            tn_tokenizer_put(k, code, k->symbols);
    }
    free(seen);
    return k == NULL ? NULL : tn_tokenizer_finish(k, end_token, count, e);
}

/* ---- a text ---- */

/* The id of a symbol, or -1. */
static int32_t find(const tn_tokenizer *k, uint32_t code)
{
    if (code < 256)
        return k->byte[code];
    const tn_symbol wanted = { .code = code };
    const tn_symbol *s = bsearch(&wanted, k->table, (size_t)k->symbols, sizeof *k->table, by_code);
    return s == NULL ? -1 : s->id;
}

/* Writes the ids of one character: those of its bytes, or that of its code point. Returns their
   number, or 0 if a symbol is unknown. */
static int64_t encode_one(const tn_tokenizer *k, const char *s, size_t bytes, uint32_t code,
                          int32_t *out)
{
    const int64_t n = k->kind == TN_KIND_BYTES ? (int64_t)bytes : 1;
    for (int64_t i = 0; i < n; i++) {
        out[i] = find(k, k->kind == TN_KIND_BYTES ? (unsigned char)s[i] : code);
        if (out[i] < 0)
            return 0;
    }
    return n;
}

void tn_symbols_next(tn_walk *w)
{
    const int64_t most = w->plain ? 1 : 256; /* a chat wants each character with its place */
    int32_t ids[4];
    while (w->at < w->end && w->word.n < most && !w->e->code) {
        uint32_t code = 0;
        const char *s = w->text + w->at;
        const size_t bytes = tn_utf8_read(s, w->end - w->at, &code);
        const int64_t given = bytes == 0 ? 0 : encode_one(w->k, s, bytes, code, ids);
        if (bytes == 0)
            tn_fail(w->e, TN_EFORMAT, "byte %zu: malformed UTF-8; expected text", w->base + w->at);
        else if (code == 0 && w->no_zeros)
            tn_fail(w->e, TN_EFORMAT, "byte %zu: a zero byte; expected UTF-8 text",
                    w->base + w->at);
        else if (given == 0)
            tn_walk_unknown(w, s, code);
        w->at += bytes;
        for (int64_t i = 0; i < given; i++)
            tn_word_add(&w->word, ids[i], w->e);
    }
}

void tn_symbols_text(const tn_tokenizer *k, int32_t id, tn_text *out)
{
    char s[4];
    const uint32_t code = k->code[id];
    *s = (char)code;
    if (code != TN_NO_CODE)
        tn_text_bytes(out, s, k->kind == TN_KIND_BYTES ? 1 : tn_utf8_write(code, s));
}
