/* cache.h - the keys and values of the positions that generation has seen. Internal header. */
#ifndef TN_CACHE_H
#define TN_CACHE_H

#include "nn/family.h"

struct tn_cache {
    int64_t layers, room; /* room: positions per row */
    tn_tensor **k, **v;   /* of each layer: (B,room,G D) */
    tn_tensor *start;     /* (B) i32: positions that each row has seen; the owner sets it */
};

tn_cache *tn_cache_new(const tn_model *m, int64_t rows, int64_t room); /* NULL when memory is out */
void tn_cache_free(tn_cache *c);

/* ---- a session, for generate.c (session.c) ---- */

const tn_model *tn_session_model(const tn_session *s);
/* Keeps as much of the text as begins like the prompt, but not its last id, whose logits are needed.
   Returns how many ids. */
int64_t tn_session_find(tn_session *s, const int32_t *ids, int64_t n);
/* The cache, with room for so many positions. NULL when memory is out. */
tn_cache *tn_session_cache(tn_session *s, int64_t room);
/* The cache has the next n ids, too. */
void tn_session_keep(tn_session *s, const int32_t *ids, int64_t n);

#endif
