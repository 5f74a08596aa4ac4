/* cache.h - what a row of ids goes on from, or which records it holds. Internal header.
   In generation it goes on from the positions that were seen: a cache has their keys and values. In
   training on packed records a row holds several: a cache then has nothing but their places. */
#ifndef TN_CACHE_H
#define TN_CACHE_H

#include "nn/family.h"

struct tn_cache {
    int64_t layers, room; /* room: positions per row */
    tn_tensor **k, **v;   /* of each layer: (B,room,G D) */
    tn_tensor *start;     /* (B) i32: positions that each row has seen; the owner sets it */
    /* (B,T) i32, of packed records: the place of a token in its record, the number of its record in
       the row. NULL: nothing is packed. If they are set, nothing else is. */
    tn_tensor *places, *segments;
};

tn_cache *tn_cache_new(const tn_model *m, int64_t rows, int64_t room); /* NULL when memory is out */
void tn_cache_free(tn_cache *c);
/* Copies the first length[b] positions of row from[b] of `few` to row b of c, for all rows of c. */
void tn_cache_spread(const tn_cache *few, tn_cache *c, const int64_t *from, const int64_t *length);
/* For a batch (B,T) of packed records with these places (tn_batch); it belongs to the tape. NULL
   when memory is out. */
tn_cache *tn_cache_packed(tn_tape *t, int64_t rows, int64_t width, const int32_t *places);

/* ---- a session, for generate.c (session.c) ---- */

const tn_model *tn_session_model(const tn_session *s);
/* Keeps as much of the text as begins like the prompt, but not its last id, whose logits are
   needed. Returns how many ids. */
int64_t tn_session_find(tn_session *s, const int32_t *ids, int64_t n);
/* The cache, with room for so many positions. NULL when memory is out. */
tn_cache *tn_session_cache(tn_session *s, int64_t room);
/* The cache has the next n ids, too. */
void tn_session_keep(tn_session *s, const int32_t *ids, int64_t n);

#endif
