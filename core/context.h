/* context.h - what a context holds, and the pool of threads under it. Internal header. */
#ifndef TN_CONTEXT_H
#define TN_CONTEXT_H

#include "core/core.h"
#include "core/kernels/kernels.h"

#include <stdatomic.h>

typedef struct tn_pool tn_pool;

/* A pool of `threads` threads, the caller counted in. Workers spin briefly, then sleep. */
tn_pool *tn_pool_new(int threads); /* NULL: no memory or no threads to be had */
void tn_pool_free(tn_pool *p);
int tn_pool_threads(const tn_pool *p);
/* tn_parallel_for. */
int tn_pool_run(tn_pool *p, int64_t n, void (*body)(void *arg, int64_t i, int thread), void *arg);
/* The calling thread has the pool for itself until as many calls of leave; false: another one has
   it. */
bool tn_pool_enter(tn_pool *p);
void tn_pool_leave(tn_pool *p);
void *tn_pool_memory(tn_pool *p, int thread, int scratch, size_t bytes);

struct tn_context {
    tn_pool *pool;
    const tn_kernels *kernels;
    uint64_t seed;
    atomic_int users; /* the caller who made it, tapes and params: the last one frees it */
};

#define TN_BUSY "the context runs on another thread; expected one thread at a time"

void tn_context_hold(tn_context *c);
bool tn_context_enter(tn_context *c); /* tn_pool_enter */
void tn_context_leave(tn_context *c);

#endif
