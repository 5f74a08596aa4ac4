/* bpe.c - the table of merges, and the merging of a word (bpe.h).

   The pairs of neighbours that can be merged are in a heap, the lowest rank first, and among equal
   ranks the leftmost. A pair that has changed since it came into the heap has another rank, or
   none, and is passed over. */
#include "data/tokenizers/bpe.h"
#include "core/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_SEARCH = 1000, NOWHERE = -1 };

/* ---- the table ---- */

static tn_pair *search(const tn_bpe *b, uint32_t left, uint32_t right)
{
    uint64_t h = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u;
    h = (h ^ h >> 32) * 0xD6E8FEB86659FD93u;
    uint64_t at = (h ^ h >> 32) & b->mask;
    for (int i = 0; i < LONGEST_SEARCH; i++, at = (at + 1) & b->mask) {
        tn_pair *p = &b->pair[at];
        if (p->id < 0 || (p->left == left && p->right == right))
            return p;
    }
    return NULL;
}

const tn_pair *tn_bpe_find(const tn_bpe *b, uint32_t left, uint32_t right)
{
    const tn_pair *p = b->pair == NULL ? NULL : search(b, left, right);
    return p == NULL || p->id < 0 ? NULL : p;
}

/* An empty table for n merges, at most half full. */
static int make_table(tn_bpe *b, int64_t n, const char *path, tn_error *e)
{
    size_t places = 16;
    while (places < 2 * (size_t)n)
        places *= 2;
    *b = (tn_bpe){ .pair = malloc(places * sizeof *b->pair), .mask = places - 1 };
    if (b->pair == NULL)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    for (size_t i = 0; i < places; i++)
        b->pair[i] = (tn_pair){ .id = -1 };
    return TN_OK;
}

static int put(tn_bpe *b, tn_pair pair, const char *path, tn_error *e)
{
    tn_pair *p = search(b, pair.left, pair.right);
    if (p == NULL)
        return tn_fail(e, TN_EFORMAT,
                       "%s: merge %u meets 1000 others in a hash table; expected other merges",
                       path, pair.rank);
    b->pairs += p->id < 0;
    *p = pair;
    return TN_OK;
}

/* The id of the text of two tokens. */
static int32_t find_joined(const tn_vocab *v, tn_span left, tn_span right, tn_text *joined)
{
    joined->n = 0;
    tn_text_bytes(joined, left.s, left.n);
    tn_text_bytes(joined, right.s, right.n);
    return joined->failed ? -1 : tn_vocab_find(v, joined->s, joined->n);
}

static int refuse_merge(const char *path, int64_t rank, tn_span text, tn_error *e)
{
    tn_text quoted = { 0 };
    tn_text_quote(&quoted, text.s, text.n < 60 ? text.n : 60);
    tn_fail(e, quoted.failed ? TN_ENOMEM : TN_EFORMAT,
            "%s: merge %lld needs the token %s; expected one of the vocabulary", path,
            (long long)rank, quoted.failed ? "?" : quoted.s);
    tn_text_free(&quoted);
    return e->code;
}

int tn_bpe_new(tn_bpe *b, const tn_vocab *v, const tn_merge *merges, int64_t n, const char *path,
               tn_error *e)
{
    tn_text joined = { 0 };
    if (n >= INT32_MAX)
        return tn_fail(e, TN_EFORMAT, "%s: %lld merges; expected fewer", path, (long long)n);
    make_table(b, n, path, e);
    for (int64_t i = 0; i < n && !e->code; i++) {
        const tn_merge *m = &merges[i];
        const int32_t left = tn_vocab_find(v, m->left.s, m->left.n);
        const int32_t right = tn_vocab_find(v, m->right.s, m->right.n);
        const int32_t id = find_joined(v, m->left, m->right, &joined);
        if (joined.failed)
            tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
        else if (left < 0 || right < 0)
            refuse_merge(path, i, left < 0 ? m->left : m->right, e);
        else if (id < 0)
            refuse_merge(path, i, (tn_span){ joined.s, joined.n }, e);
        else
            put(b, (tn_pair){ (uint32_t)left, (uint32_t)right, (uint32_t)i, id }, path, e);
    }
    tn_text_free(&joined);
    return e->code;
}

/* ---- merges of scores ---- */

typedef struct scored {
    float score;
    int32_t id;
} scored;

static int by_score(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Calls put for every way to cut a token into two tokens; without a table it only counts them. */
static int64_t cut_token(tn_bpe *b, const tn_vocab *v, int32_t id, uint32_t rank, const char *path,
                         tn_error *e)
{
    const tn_span t = tn_vocab_text(v, id);
    int64_t count = 0;
    for (size_t at = 1; at < t.n && !e->code; at++) {
        if (((unsigned char)t.s[at] & 0xC0) == 0x80)
            continue;
        const int32_t left = tn_vocab_find(v, t.s, at);
        const int32_t right = left < 0 ? -1 : tn_vocab_find(v, t.s + at, t.n - at);
        if (right < 0)
            continue;
        count++;
        if (b != NULL)
            put(b, (tn_pair){ (uint32_t)left, (uint32_t)right, rank, id }, path, e);
    }
    return count;
}

int tn_bpe_of_scores(tn_bpe *b, const tn_vocab *v, const float *score, const char *path,
                     tn_error *e)
{
    scored *order = malloc(((size_t)v->size + 1) * sizeof *order);
    int64_t n = 0, merges = 0;
    if (order == NULL)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    for (int64_t id = 0; id < v->size; id++)
        if (!isnan(score[id]))
            order[n++] = (scored){ score[id], (int32_t)id };
    qsort(order, (size_t)n, sizeof *order, by_score);
    for (int64_t i = 0; i < n; i++)
        merges += cut_token(NULL, v, order[i].id, 0, path, e);
    if (!e->code)
        make_table(b, merges, path, e);
    uint32_t rank = 0;
    for (int64_t i = 0; i < n && !e->code; i++) {
        if (i > 0 && order[i].score != order[i - 1].score) /* equal scores: the leftmost first */
            rank = (uint32_t)i;
        cut_token(b, v, order[i].id, rank, path, e);
    }
    free(order);
    return e->code;
}

static int by_rank(const void *a, const void *b)
{
    const tn_pair *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->left != y->left)
        return x->left < y->left ? -1 : 1;
    return (x->right > y->right) - (x->right < y->right);
}

tn_pair *tn_bpe_sorted(const tn_bpe *b, int64_t *n)
{
    tn_pair *order = malloc(((size_t)b->pairs + 1) * sizeof *order);
    *n = 0;
    for (uint64_t i = 0; order != NULL && b->pairs > 0 && i <= b->mask; i++)
        if (b->pair[i].id >= 0)
            order[(*n)++] = b->pair[i];
    if (order != NULL)
        qsort(order, (size_t)*n, sizeof *order, by_rank);
    return order;
}

void tn_bpe_end(tn_bpe *b)
{
    free(b->pair);
    *b = (tn_bpe){ 0 };
}

/* ---- a word ---- */

int tn_word_add(tn_word *w, int32_t id, tn_error *e)
{
    if (w->n == w->room) {
        const int64_t room = w->room ? 2 * w->room : 64;
        int32_t *more = room < UINT32_MAX ? realloc(w->id, (size_t)room * sizeof *more) : NULL;
        if (more == NULL)
            return tn_fail(e, TN_ENOMEM, "text: out of memory");
        w->id = more;
        w->room = room;
    }
    w->id[w->n++] = id;
    return TN_OK;
}

void tn_word_end(tn_word *w)
{
    free(w->id);
    free(w->next);
    free(w->before);
    free(w->heap);
    *w = (tn_word){ 0 };
}

/* Room for the neighbours, and for the heap: at most one entry for each of the n - 1 pairs, and two
   for each of at most n - 1 merges. */
static int make_room(tn_word *w, tn_error *e)
{
    if (w->inner_room >= w->n)
        return TN_OK;
    free(w->next);
    free(w->before);
    free(w->heap);
    w->inner_room = 0;
    const size_t room = (size_t)w->room;
    w->next = malloc(room * sizeof *w->next);
    w->before = malloc(room * sizeof *w->before);
    w->heap = malloc(3 * room * sizeof *w->heap);
    if (w->next == NULL || w->before == NULL || w->heap == NULL)
        return tn_fail(e, TN_ENOMEM, "text: out of memory");
    w->inner_room = w->room;
    return TN_OK;
}

static void sink(uint64_t *heap, size_t n, size_t at)
{
    const uint64_t x = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && heap[child + 1] < heap[child];
        if (x <= heap[child])
            break;
        heap[at] = heap[child];
    }
    heap[at] = x;
}

static void push(uint64_t *heap, size_t *n, uint64_t x)
{
    size_t at = (*n)++;
    for (; at > 0 && x < heap[(at - 1) / 2]; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = x;
}

#define END UINT32_MAX

/* The pair of place `at` and the next. NULL: they are not merged. */
static const tn_pair *pair_at(const tn_bpe *b, const tn_word *w, uint32_t at)
{
    if (w->id[at] < 0 || w->next[at] == END)
        return NULL;
    return tn_bpe_find(b, (uint32_t)w->id[at], (uint32_t)w->id[w->next[at]]);
}

static void push_pair(const tn_bpe *b, tn_word *w, uint32_t at, size_t *n)
{
    const tn_pair *p = pair_at(b, w, at);
    if (p != NULL)
        push(w->heap, n, (uint64_t)p->rank << 32 | at);
}

/* Two neighbours become one at the place of the left one; the right one's id becomes -1. */
static void merge(tn_word *w, uint32_t at, int32_t id)
{
    const uint32_t gone = w->next[at];
    w->id[at] = id;
    w->id[gone] = NOWHERE;
    w->next[at] = w->next[gone];
    if (w->next[at] != END)
        w->before[w->next[at]] = at;
}

int tn_bpe_merge(const tn_bpe *b, tn_word *w, tn_error *e)
{
    const uint32_t count = (uint32_t)w->n;
    size_t n = 0;
    if (count < 2 || make_room(w, e))
        return e->code;
    for (uint32_t i = 0; i < count; i++) {
        w->before[i] = i ? i - 1 : END;
        w->next[i] = i + 1 < count ? i + 1 : END;
    }
    for (uint32_t i = 0; i < count; i++) {
        const tn_pair *p = pair_at(b, w, i);
        if (p != NULL)
            w->heap[n++] = (uint64_t)p->rank << 32 | i;
    }
    for (size_t i = n / 2; i-- > 0;)
        sink(w->heap, n, i);
    while (n > 0) {
        const uint64_t top = w->heap[0];
        const uint32_t at = (uint32_t)top;
        w->heap[0] = w->heap[--n];
        sink(w->heap, n, 0);
        const tn_pair *p = pair_at(b, w, at);
        if (p == NULL || p->rank != top >> 32)
            continue;
        merge(w, at, p->id);
        if (w->before[at] != END)
            push_pair(b, w, w->before[at], &n);
        push_pair(b, w, at, &n);
    }
    int64_t kept = 0;
    for (uint32_t i = 0; i != END; i = w->next[i])
        w->id[kept++] = w->id[i];
    w->n = kept;
    return TN_OK;
}
