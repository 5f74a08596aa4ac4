/* context.h - what a context holds, and the pool of threads under it. Internal header. */
#ifndef TN_CONTEXT_H
#define TN_CONTEXT_H

#include "core/core.h"
#include "core/kernels/kernels.h"

typedef struct tn_pool tn_pool;

/* A pool of `threads` threads, the caller counted in. Workers spin briefly, then sleep. */
tn_pool *tn_pool_new(int threads); /* NULL: no memory or no threads to be had */
void tn_pool_free(tn_pool *p);
int tn_pool_threads(const tn_pool *p);
void tn_pool_run(tn_pool *p, int64_t n, void (*body)(void *arg, int64_t i, int thread), void *arg);
void *tn_pool_memory(tn_pool *p, int thread, int slot, size_t bytes);

struct tn_context {
    tn_pool *pool;
    const tn_kernels *kernels;
    uint64_t seed;
};

#endif
