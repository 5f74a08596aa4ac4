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

#endif
