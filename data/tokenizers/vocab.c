/* vocab.c - the texts of all ids, and the id of a text (bpe.h). */
#include "data/tokenizers/bpe.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_SEARCH = 1000 }; /* places; a table that is half full needs less than 100 */

static uint32_t place_of(const tn_vocab *v, const char *s, size_t n)
{
    const uint64_t h = tn_hash64(s, n, 0);
    return (uint32_t)(h ^ h >> 32) & v->mask;
}

tn_span tn_vocab_text(const tn_vocab *v, int32_t id)
{
    return (tn_span){ v->memory + v->start[id], v->start[id + 1] - v->start[id] };
}

/* The place of a text, or the empty place where it would be. UINT32_MAX: the search is too long. */
static uint32_t search(const tn_vocab *v, const char *s, size_t n)
{
    uint32_t at = place_of(v, s, n);
    for (int i = 0; i < LONGEST_SEARCH; i++, at = (at + 1) & v->mask) {
        if (v->slot[at] == 0)
            return at;
        const tn_span t = tn_vocab_text(v, (int32_t)(v->slot[at] - 1));
        if (t.n == n && !memcmp(t.s, s, n))
            return at;
    }
    return UINT32_MAX;
}

int32_t tn_vocab_find(const tn_vocab *v, const char *s, size_t n)
{
    const uint32_t at = search(v, s, n);
    return at == UINT32_MAX ? -1 : (int32_t)v->slot[at] - 1;
}

static int refuse(const char *path, tn_span text, const char *found, const char *expected,
                  tn_error *e)
{
    tn_text quoted = { 0 };
    size_t n = text.n < 40 ? text.n : 40;
    while (n > 0 && n < text.n && ((unsigned char)text.s[n] & 0xC0) == 0x80)
        n--;
    tn_text_quote(&quoted, text.s, n);
    tn_fail(e, quoted.failed ? TN_ENOMEM : TN_EFORMAT, "%s: the token %s %s; expected %s", path,
            quoted.failed ? "?" : quoted.s, found, expected);
    tn_text_free(&quoted);
    return e->code;
}

static int put(tn_vocab *v, int32_t id, const char *path, tn_error *e)
{
    const tn_span t = tn_vocab_text(v, id);
    const uint32_t at = search(v, t.s, t.n);
    if (at == UINT32_MAX)
        return refuse(path, t, "meets 1000 others in a hash table", "other names", e);
    if (v->slot[at] != 0)
        return refuse(path, t, "is there twice", "every token once", e);
    v->slot[at] = (uint32_t)id + 1;
    return TN_OK;
}

int tn_vocab_new(tn_vocab *v, const tn_span *tokens, const bool *found, int64_t size,
                 const char *path, tn_error *e)
{
    size_t bytes = 0, places = 16;
    for (int64_t i = 0; i < size; i++)
        bytes += tokens[i].n;
    while (places < 2 * (size_t)size)
        places *= 2;
    *v = (tn_vocab){ .size = size, .mask = (uint32_t)(places - 1) };
    if (bytes >= UINT32_MAX || places > UINT32_MAX)
        return tn_fail(e, TN_EFORMAT, "%s: %zu bytes of tokens; expected fewer", path, bytes);
    v->memory = malloc(bytes + 1);
    v->start = malloc(((size_t)size + 1) * sizeof *v->start);
    v->slot = calloc(places, sizeof *v->slot);
    if (v->memory == NULL || v->start == NULL || v->slot == NULL)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    v->start[0] = 0;
    for (int64_t i = 0; i < size; i++) {
        if (tokens[i].n)
            memcpy(v->memory + v->start[i], tokens[i].s, tokens[i].n);
        v->start[i + 1] = v->start[i] + (uint32_t)tokens[i].n;
    }
    for (int64_t i = 0; i < size && !e->code; i++)
        if (tokens[i].s != NULL && (found == NULL || found[i]))
            put(v, (int32_t)i, path, e);
    return e->code;
}

void tn_vocab_end(tn_vocab *v)
{
    free(v->memory);
    free(v->start);
    free(v->slot);
    *v = (tn_vocab){ 0 };
}
