/* session.c - keeps the keys and values of a text between two calls of tn_generate. */
#include "core/op.h"
#include "nn/cache.h"

#include <stdlib.h>
#include <string.h>

struct tn_session {
    const tn_model *m;
    tn_cache *cache; /* NULL: not made yet */
    int32_t *ids;    /* (n) of the positions in the cache; there is room for cache->room */
    int64_t n, reused;
};

tn_session *tn_session_new(const tn_model *m)
{
    tn_session *s = m ? calloc(1, sizeof *s) : NULL;
    if (s)
        s->m = m;
    return s;
}

void tn_session_free(tn_session *s)
{
    if (!s)
        return;
    tn_cache_free(s->cache);
    free(s->ids);
    free(s);
}

void tn_session_clear(tn_session *s)
{
    if (s)
        s->n = s->reused = 0;
}

int64_t tn_session_reused(const tn_session *s)
{
    return s ? s->reused : 0;
}

const tn_model *tn_session_model(const tn_session *s)
{
    return s->m;
}

int64_t tn_session_find(tn_session *s, const int32_t *ids, int64_t n)
{
    int64_t same = 0;
    while (same < s->n && same < n - 1 && s->ids[same] == ids[same])
        same++;
    s->n = s->reused = same;
    return same;
}

/* Copies the first n positions of each layer. */
static void copy(const tn_session *s, tn_cache *to)
{
    for (int64_t i = 0; i < to->layers; i++) {
        const size_t bytes = (size_t)(s->n * to->k[i]->dim[2]) * sizeof *to->k[i]->x;
        memcpy(to->k[i]->x, s->cache->k[i]->x, bytes);
        memcpy(to->v[i]->x, s->cache->v[i]->x, bytes);
    }
}

tn_cache *tn_session_cache(tn_session *s, int64_t room)
{
    const int64_t had = s->cache ? s->cache->room : 0, twice = 2 * had;
    if (room <= had)
        return s->cache;
    room = room > twice ? room : twice < s->m->positions ? twice : s->m->positions;
    tn_cache *larger = tn_cache_new(s->m, 1, room);
    int32_t *ids = realloc(s->ids, (size_t)room * sizeof *ids);
    s->ids = ids ? ids : s->ids;
    if (!larger || !ids) {
        tn_cache_free(larger);
        return NULL;
    }
    if (s->n)
        copy(s, larger);
    tn_cache_free(s->cache);
    s->cache = larger;
    return larger;
}

void tn_session_keep(tn_session *s, const int32_t *ids, int64_t n)
{
    memcpy(s->ids + s->n, ids, (size_t)n * sizeof *ids);
    s->n += n;
}
