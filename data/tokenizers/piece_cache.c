/* piece_cache.c - a table of pieces with open addresses, which several threads fill (piece_cache.h).

   A place goes from NULL to an entry, once. So a thread that finds an entry can read it without a
   lock. The table has 65536 places, of which a piece may have one of four: a text of words that
   never come again fills it, and then costs four looks for each. The entries of a usual text take
   2 MB, those of any text at most 30 MB. Looking is a third of the time of encoding, most of it for
   memory that is not in the CPU's cache: so an entry is as small as it can be. */
#include "data/tokenizers/piece_cache.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 1 << 16, TRIES = 4, WORDS = 4, LONGEST = WORDS * 8, MOST_IDS = 96 };

typedef struct entry {
    uint32_t hash;
    uint16_t n, count;
    uint64_t words[]; /* the n bytes, padded with zeros; then (count) ids of four bytes */
} entry;

/* A piece in words of eight bytes. */
typedef struct piece {
    uint32_t hash;
    size_t n, words;
    uint64_t word[WORDS];
} piece;

struct tn_piece_cache {
    atomic_bool used; /* false: no place has an entry, and nothing has touched their memory */
    _Atomic(entry *) place[PLACES];
};

tn_piece_cache *tn_piece_cache_new(const char *path, tn_error *e)
{
    tn_piece_cache *c = e->code ? NULL : calloc(1, sizeof *c);
    if (c == NULL)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    return c;
}

void tn_piece_cache_free(tn_piece_cache *c)
{
    const int places = c != NULL && atomic_load(&c->used) ? PLACES : 0;
    for (int i = 0; i < places; i++)
        free(atomic_load_explicit(&c->place[i], memory_order_relaxed));
    free(c);
}

static uint64_t load(const char *s)
{
    uint32_t x;
    memcpy(&x, s, sizeof x);
    return x;
}

/* The 1 to 8 bytes at s, padded with zeros: without a loop, because this is done for every word of
   a text. The loads overlap. */
static uint64_t word_of(const char *s, size_t n)
{
    const unsigned char *b = (const unsigned char *)s;
    uint64_t word;
    if (n < 4)
        return b[0] | (uint64_t)b[n / 2] << n / 2 * 8 | (uint64_t)b[n - 1] << (n - 1) * 8;
    if (n < 8)
        return load(s) | load(s + n - 4) << (n - 4) * 8;
    memcpy(&word, s, sizeof word);
    return word;
}

static piece piece_of(const char *s, size_t n)
{
    piece p = { .n = n };
    uint64_t h = n;
    for (size_t at = 0; at < n; at += 8) {
        const uint64_t word = word_of(s + at, n - at < 8 ? n - at : 8);
        p.word[p.words++] = word;
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
        h ^= h >> 32;
    }
    p.hash = (uint32_t)h;
    return p;
}

static bool is_same(const entry *x, const piece *p)
{
    bool same = x->hash == p->hash && x->n == p->n;
    for (size_t i = 0; i < p->words && same; i++)
        same = x->words[i] == p->word[i];
    return same;
}

bool tn_piece_cache_get(tn_piece_cache *c, const char *s, size_t n, tn_word *w, tn_error *e)
{
    if (n == 0 || n > LONGEST)
        return false;
    const piece p = piece_of(s, n);
    for (uint32_t i = 0; i < TRIES; i++) {
        const entry *x =
            atomic_load_explicit(&c->place[(p.hash + i) % PLACES], memory_order_acquire);
        if (x == NULL)
            return false;
        if (!is_same(x, &p))
            continue;
        const int32_t *ids = (const void *)(x->words + p.words);
        for (int k = 0; k < x->count; k++)
            if (tn_word_add(w, ids[k], e))
                break;
        return true;
    }
    return false;
}

/* NULL when memory is out: the piece is then encoded again the next time. */
static entry *make(const piece *p, const int32_t *ids, int64_t count)
{
    const size_t words = p->words * sizeof *p->word, bytes = (size_t)count * sizeof *ids;
    entry *x = malloc(sizeof *x + words + bytes);
    if (x == NULL)
        return NULL;
    *x = (entry){ .hash = p->hash, .n = (uint16_t)p->n, .count = (uint16_t)count };
    memcpy(x->words, p->word, words);
    memcpy(x->words + p->words, ids, bytes);
    return x;
}

void tn_piece_cache_put(tn_piece_cache *c, const char *s, size_t n, const int32_t *ids,
                        int64_t count)
{
    if (n == 0 || n > LONGEST || count < 1 || count > MOST_IDS)
        return;
    const piece p = piece_of(s, n);
    entry *x = NULL;
    atomic_store_explicit(&c->used, true, memory_order_relaxed);
    for (uint32_t i = 0; i < TRIES; i++) {
        _Atomic(entry *) *place = &c->place[(p.hash + i) % PLACES];
        entry *has = atomic_load_explicit(place, memory_order_acquire);
        if (has != NULL && is_same(has, &p))
            break;
        if (has != NULL || (x == NULL && (x = make(&p, ids, count)) == NULL))
            continue;
        if (atomic_compare_exchange_strong_explicit(place, &has, x, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    free(x);
}
