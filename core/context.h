/* context.h - what a context holds, and the pool of threads under it. Internal header. */
#ifndef TN_CONTEXT_H
#define TN_CONTEXT_H

#include "core/core.h"
#include "core/kernels/kernels.h"

#include <stdatomic.h>

typedef struct tn_pool tn_pool;

/* A pool of `threads` threads, the caller included. Workers spin briefly, then sleep. NULL if
   memory or threads cannot be allocated. */
tn_pool *tn_pool_new(int threads);
void tn_pool_free(tn_pool *p);
int tn_pool_threads(const tn_pool *p);
/* These do the work of tn_parallel_for and tn_thread_memory. */
int tn_pool_run(tn_pool *p, int64_t n, void (*body)(void *arg, int64_t i, int thread), void *arg);
void *tn_pool_memory(tn_pool *p, int thread, int scratch, size_t bytes);
/* Gives the pool to the calling thread until each enter has had its leave. False if another thread
   has the pool (I12). */
bool tn_pool_enter(tn_pool *p);
void tn_pool_leave(tn_pool *p);

struct tn_context {
    tn_pool *pool;
    const tn_kernels *kernels;
    uint64_t seed;
    atomic_int users; /* its maker, tapes and params; the last of them frees it */
};

#define TN_BUSY "the context runs on another thread; expected one thread at a time"

void tn_context_hold(tn_context *c);
/* tn_pool_enter and tn_pool_leave. */
bool tn_context_enter(tn_context *c);
void tn_context_leave(tn_context *c);

#endif
