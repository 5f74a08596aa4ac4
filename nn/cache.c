/* cache.c - positions and attention of whole rows, of packed records, and after a cache. */
#include "core/op.h"
#include "nn/cache.h"

#include <stdlib.h>
#include <string.h>

tn_cache *tn_cache_new(const tn_model *m, int64_t rows, int64_t room)
{
    tn_cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    const int64_t dim[] = { rows, room, m->kv_heads * m->head_size };
    c->layers = m->layers;
    c->room = room;
    c->k = calloc((size_t)m->layers, sizeof *c->k);
    c->v = calloc((size_t)m->layers, sizeof *c->v);
    c->start = tn_tensor_new(TN_I32, 1, &rows, false);
    bool complete = c->k && c->v && c->start;
    for (int64_t i = 0; i < m->layers && complete; i++) {
        c->k[i] = tn_tensor_new(TN_REAL, 3, dim, false);
        c->v[i] = tn_tensor_new(TN_REAL, 3, dim, false);
        complete = c->k[i] && c->v[i];
    }
    if (complete)
        return c;
    tn_cache_free(c);
    return NULL;
}

void tn_cache_free(tn_cache *c)
{
    if (!c)
        return;
    for (int64_t i = 0; i < c->layers; i++) {
        tn_tensor_free(c->k ? c->k[i] : NULL);
        tn_tensor_free(c->v ? c->v[i] : NULL);
    }
    tn_tensor_free(c->start);
    free(c->k);
    free(c->v);
    free(c);
}

void tn_cache_spread(const tn_cache *few, tn_cache *c, const int64_t *from, const int64_t *length)
{
    for (int64_t i = 0; i < c->layers; i++) {
        const int64_t width = c->k[i]->dim[2];
        for (int64_t b = 0; b < c->k[i]->dim[0]; b++) {
            const int64_t to = b * c->room * width, at = from[b] * few->room * width;
            const size_t bytes = (size_t)(length[b] * width) * sizeof(tn_real);
            memcpy(c->k[i]->x + to, few->k[i]->x + at, bytes);
            memcpy(c->v[i]->x + to, few->v[i]->x + at, bytes);
        }
    }
}

tn_cache *tn_cache_packed(tn_tape *t, int64_t rows, int64_t width, const int32_t *places)
{
    const int64_t dim[] = { rows, width }, n = rows * width;
    tn_cache *c = tn_keep(t, sizeof *c); /* until backward, which may run blocks again */
    if (!c)
        return NULL;
    *c = (tn_cache){ .places = tn_tape_input(t, TN_I32, 2, dim),
                     .segments = tn_tape_input(t, TN_I32, 2, dim) };
    int32_t segment = 0;
    for (int64_t i = 0; i < n && c->places && c->segments; i++) {
        segment += places[i] == 0;
        c->places->i[i] = places[i];
        c->segments->i[i] = segment;
    }
    return c->places && c->segments ? c : NULL;
}

tn_tensor *tn_cache_start(const tn_cache *cache)
{
    return !cache ? NULL : cache->places ? cache->places : cache->start;
}

/* The places of packed records as positions. */
static tn_tensor *packed_positions(const tn_model *m, tn_tape *t, const tn_cache *cache)
{
    tn_tensor *p = cache->places;
    for (int64_t i = 0; i < tn_tensor_count(p); i++)
        if (p->i[i] >= m->positions) {
            tn_refuse(t, &tn_op_embed, TN_ESHAPE, "%lld positions; the model has %lld",
                      (long long)p->i[i] + 1, (long long)m->positions);
            return NULL;
        }
    return p;
}

tn_tensor *tn_positions(const tn_model *m, tn_tape *t, const tn_tensor *ids, const tn_cache *cache)
{
    const bool given = !tn_tape_given(t, m && ids, __func__);
    if (given && cache && cache->places)
        return packed_positions(m, t, cache);
    tn_tensor *p = given ? tn_tape_input(t, TN_I32, ids->ndim, ids->dim) : NULL; // (B,T)
    if (!p)
        return NULL;
    int64_t T = ids->dim[1];
    for (int64_t b = 0; b < ids->dim[0]; b++) {
        int64_t start = cache ? cache->start->i[b] : 0;
        if (start + T > m->positions) {
            tn_refuse(t, &tn_op_embed, TN_ESHAPE, "%lld positions; the model has %lld",
                      (long long)(start + T), (long long)m->positions);
            return NULL;
        }
        for (int64_t i = 0; i < T; i++)
            p->i[b * T + i] = (int32_t)(start + i);
    }
    return p;
}

/* Appends columns [from, from + width) of x (B,T,...) to each row of the cache. */
static void append(const tn_cache *c, tn_tensor *to, const tn_tensor *x, int64_t from)
{
    int64_t T = x->dim[1], cols = x->dim[2], width = to->dim[2];
    for (int64_t b = 0; b < x->dim[0]; b++) {
        for (int64_t i = 0; i < T; i++) {
            tn_real *row = to->x + (b * c->room + c->start->i[b] + i) * width;
            memcpy(row, x->x + (b * T + i) * cols + from, (size_t)width * sizeof *row);
        }
    }
}

tn_tensor *tn_attend(const tn_model *m, tn_tape *t, int64_t layer, tn_tensor *q, tn_tensor *k,
                     tn_tensor *v, const tn_attention_form *asked, tn_cache *cache)
{
    if (tn_tape_given(t, m && q && k && v, __func__))
        return NULL;
    tn_attention_form form = asked ? *asked : (tn_attention_form){ 0 };
    form.heads = m->heads;
    form.kv_heads = m->kv_heads;
    form.segments = cache ? cache->segments : NULL;
    if (!cache || cache->segments)
        return tn_attention(t, q, k, v, form);
    int64_t queries = m->heads * m->head_size, keys = m->kv_heads * m->head_size;
    bool fused = q == k; /* one tensor holds q|k|v */
    append(cache, cache->k[layer], k, fused ? queries : 0);
    append(cache, cache->v[layer], v, fused ? queries + keys : 0);
    q = fused ? tn_slice(t, q, -1, 0, queries) : q; // (B,T,H D)
    form.start = cache->start;
    return tn_attention(t, q, cache->k[layer], cache->v[layer], form);
}
