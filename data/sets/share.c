/* share.c - which records of files are kept for validation (share.h).

   The key of a record is a hash of its texts (of a preference: of its prompt), so it is random,
   and equal for equal records. Those with the smallest keys are kept. If a record comes several
   times, and all of them are more than what may still be kept, the next key is tried. */
#include "data/sets/share.h"
#include "data/chat/chat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 40, LEAST = 8 }; /* the default keeps nothing of fewer records, and so many or more */
#define DEFAULT 0.05

static uint64_t add_span(uint64_t hash, tn_span text)
{
    const uint64_t n = text.n;
    hash = tn_hash64(&n, sizeof n, hash);
    return text.n ? tn_hash64(text.s, text.n, hash) : hash;
}

/* One to one. Every bit of x changes about half of the bits of the result; FNV alone leaves texts
   with one beginning side by side. (The finalizer of SplitMix64.) */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

/* Has a preference more of a prompt than a system message? */
static bool has_prompt(const tn_jsonl_record *r)
{
    bool asked = r->prompt.n > 0;
    for (int64_t i = 0; i < r->count; i++)
        asked = asked || (r->messages[i].asked && !tn_role_is(&r->messages[i], "system"));
    return asked && r->kind == TN_RECORD_PREFERENCE;
}

/* A preference is hashed by its prompt alone, so that all answers to it are on one side. */
static uint64_t key_of(const tn_jsonl_record *r)
{
    const uint64_t kind = r->kind;
    const bool whole = !has_prompt(r);
    uint64_t hash = tn_hash64(&kind, sizeof kind, 0);
    hash = add_span(hash, r->prompt);
    hash = whole ? add_span(hash, r->text) : hash;
    for (int64_t i = 0; i < r->count; i++) { /* of a chat, or of the chosen one */
        const tn_message *m = &r->messages[i];
        if (!whole && !m->asked)
            continue;
        hash = add_span(add_span(add_span(hash, m->role), m->text), m->reasoning);
        hash = tn_hash64(&m->asked, sizeof m->asked, hash);
    }
    return mix(hash);
}

/* Makes room for `more` keys. */
static int make_room(tn_share *s, int64_t more, tn_error *e)
{
    if (e->code || more <= s->room - s->n)
        return e->code;
    const int64_t room = s->n + more > 2 * s->room ? s->n + more + 64 : 2 * s->room;
    uint64_t *keys = realloc(s->keys, (size_t)room * sizeof *keys);
    if (!keys)
        return tn_fail(e, TN_ENOMEM, "the validation share: out of memory");
    s->keys = keys;
    s->room = room;
    return TN_OK;
}

int tn_share_add(tn_share *s, const tn_jsonl_record *r, tn_error *e)
{
    if (!make_room(s, 1, e))
        s->keys[s->n++] = key_of(r);
    return e->code;
}

int tn_share_join(tn_share *s, const tn_share *more, tn_error *e)
{
    if (more->n && !make_room(s, more->n, e)) {
        memcpy(s->keys + s->n, more->keys, (size_t)more->n * sizeof *s->keys);
        s->n += more->n;
    }
    return e->code;
}

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* How many of n records are kept at most. */
static int64_t most_kept(int64_t n, double share)
{
    if (share >= 0)
        return (int64_t)floor((share < 1 ? share : 1) * (double)n + 0.5);
    const int64_t most = (int64_t)floor(DEFAULT * (double)n + 0.5);
    return n < FEW ? 0 : most < LEAST ? LEAST : most;
}

void tn_share_choose(tn_share *s, double share)
{
    int64_t left = most_kept(s->n, share), kept = 0;
    if (s->n)
        qsort(s->keys, (size_t)s->n, sizeof *s->keys, by_key);
    for (int64_t i = 0, next; i < s->n && left > 0; i = next) {
        for (next = i; next < s->n && s->keys[next] == s->keys[i];)
            next++;
        if (next - i > left)
            continue;
        left -= next - i;
        s->keys[kept++] = s->keys[i];
    }
    s->n = kept;
}

bool tn_share_has(const tn_share *s, const tn_jsonl_record *r)
{
    if (s->n == 0 || r->skip)
        return false;
    const uint64_t key = key_of(r);
    return bsearch(&key, s->keys, (size_t)s->n, sizeof key, by_key) != NULL;
}

void tn_share_free(tn_share *s)
{
    free(s->keys);
    *s = (tn_share){ 0 };
}
