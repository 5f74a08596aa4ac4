/* tokenizer.c - byte and character tokenizers: one token per symbol, no merges. */
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
    k->bytes = bytes;
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

tn_tokenizer *tn_tokenizer_finish(tn_tokenizer *k, const char *end_text, int64_t end, tn_error *e)
{
    qsort(k->table, (size_t)k->symbols, sizeof *k->table, by_code);
    if (end_text != NULL) {
        k->end = (int32_t)end;
        k->end_text = strdup(end_text);
        if (k->end_text == NULL) {
            tn_fail(e, TN_ENOMEM, "tokenizer: out of memory");
            tn_tokenizer_free(k);
            return NULL;
        }
    }
    return k;
}

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

void tn_tokenizer_free(tn_tokenizer *k)
{
    if (k == NULL)
        return;
    free(k->table);
    free(k->code);
    free(k->end_text);
    free(k);
}

int64_t tn_tokenizer_size(const tn_tokenizer *k)
{
    return k ? k->size : 0;
}

int32_t tn_tokenizer_end(const tn_tokenizer *k)
{
    return k ? k->end : -1;
}

const char *tn_tokenizer_kind(const tn_tokenizer *k)
{
    return !k ? NULL : k->bytes ? "bytes" : "chars";
}

uint64_t tn_tokenizer_hash(const tn_tokenizer *k)
{
    if (!k)
        return 0;
    const int64_t kind[3] = { k->bytes, k->size, k->end };
    const char *end_text = k->end_text ? k->end_text : "";
    const uint64_t h = tn_hash_bulk(kind, sizeof kind, 0);
    return tn_hash_bulk(end_text, strlen(end_text),
                        tn_hash_bulk(k->code, (size_t)k->size * sizeof *k->code, h));
}

/* The id of a symbol, or -1. */
static int32_t find(const tn_tokenizer *k, uint32_t code)
{
    const tn_symbol wanted = { .code = code };
    const tn_symbol *s = bsearch(&wanted, k->table, (size_t)k->symbols, sizeof *k->table, by_code);
    return s == NULL ? -1 : s->id;
}

/* Writes the ids of one character: those of its bytes, or that of its code point. Returns their
   number, or 0 if a symbol is unknown. */
static int64_t encode_one(const tn_tokenizer *k, const char *s, size_t bytes, uint32_t code,
                          int32_t *out)
{
    const int64_t n = k->bytes ? (int64_t)bytes : 1;
    for (int64_t i = 0; i < n; i++) {
        out[i] = find(k, k->bytes ? (unsigned char)s[i] : code);
        if (out[i] < 0)
            return 0;
    }
    return n;
}

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

int64_t tn_walk_next(tn_walk *w, int32_t *out)
{
    while (w->at < w->end && !w->e->code) {
        uint32_t code = 0;
        const char *s = w->text + w->at;
        const size_t bytes = tn_utf8_read(s, w->end - w->at, &code);
        const int64_t given = bytes == 0 ? 0 : encode_one(w->k, s, bytes, code, out);
        if (bytes == 0)
            tn_fail(w->e, TN_EFORMAT, "byte %zu: malformed UTF-8; expected text", w->at);
        else if (given == 0 && w->skipped == NULL)
            tn_fail(w->e, TN_EFORMAT, "byte %zu: U+%04X is not in the vocabulary", w->at,
                    (unsigned)code);
        else if (given == 0)
            ++*w->skipped;
        w->at += bytes;
        if (given > 0)
            return given;
    }
    return 0;
}

int tn_encode(const tn_tokenizer *k, const char *text, size_t length, int32_t **ids, int64_t *n,
              int64_t *room, int64_t *skipped, tn_error *e)
{
    const int missing = tn_given(e, k && (text || !length) && ids && n && room, __func__);
    if (missing)
        return missing;
    if (*n < 0 || *n > *room || (*room > 0 && !*ids))
        return tn_fail(e, TN_EARG,
                       "%lld ids in room for %lld; expected 0 in no room, or ids that grew here",
                       (long long)*n, (long long)*room);
    if (length == 0)
        return TN_OK;
    if (grow(ids, *n, room, length, e)) /* a character has at most as many ids as bytes */
        return e->code;
    tn_walk w = { .k = k, .text = text, .end = length, .skipped = skipped, .e = e };
    int64_t end = *n;
    for (int64_t given; (given = tn_walk_next(&w, *ids + end)) > 0;)
        end += given;
    if (!e->code)
        *n = end;
    return e->code;
}

/* Writes the bytes of one id to s, which has room for four. Returns their number. */
static size_t decode_one(const tn_tokenizer *k, int32_t id, char *s)
{
    const uint32_t code = id < 0 || id >= k->size ? TN_NO_CODE : k->code[id];
    if (code == TN_NO_CODE)
        return 0;
    *s = (char)code;
    return k->bytes ? 1 : tn_utf8_write(code, s);
}

void tn_decode(const tn_tokenizer *k, const int32_t *ids, int64_t n, tn_text *out)
{
    if (!k || !ids)
        return;
    char s[4];
    for (int64_t i = 0; i < n; i++)
        tn_text_bytes(out, s, decode_one(k, ids[i], s));
}

/* ---- decoding token by token ---- */

/* Are n bytes the beginning of a longer character? Then some continuation bytes complete it. The
   lowest and the highest are tried. */
static bool is_beginning(const char *s, size_t n)
{
    for (int fill = 0x80; fill <= 0xBF && n < 4; fill += 0x3F) {
        char whole[4];
        uint32_t code;
        memset(whole, fill, sizeof whole);
        memcpy(whole, s, n);
        if (tn_utf8_read(whole, sizeof whole, &code) > n)
            return true;
    }
    return false;
}

/* Moves complete characters and wrong bytes from held to out. At the end an incomplete character is
   wrong, too. */
static void release(tn_held *held, bool end, tn_text *out)
{
    while (held->n > 0 && (end || !is_beginning(held->bytes, held->n))) {
        uint32_t code;
        size_t n = tn_utf8_read(held->bytes, held->n, &code);
        if (n > 0) {
            tn_text_bytes(out, held->bytes, n);
        } else {
            for (n = held->n < 3 ? held->n : 3; n > 1 && !is_beginning(held->bytes, n);)
                n--;
            tn_text_bytes(out, "\xEF\xBF\xBD", 3);
        }
        held->n -= n;
        memmove(held->bytes, held->bytes + n, held->n);
    }
}

void tn_decode_next(const tn_tokenizer *k, const int32_t *ids, int64_t n, tn_held *held,
                    tn_text *out)
{
    if (!k || !ids || !held || !out)
        return;
    for (int64_t i = 0; i < n; i++) {
        held->n += decode_one(k, ids[i], held->bytes + held->n);
        release(held, false, out);
    }
}

void tn_decode_end(tn_held *held, tn_text *out)
{
    if (!held || !out)
        return;
    release(held, true, out);
}
