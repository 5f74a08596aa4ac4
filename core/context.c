/* context.c - threads, seed and kernels on one object. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "core/context.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

/* The CPUs that this process may use: its affinity mask, which also shows a container's limit. A
   system without such masks (macOS) gives all CPUs. */
static int usable_cpus(void)
{
#ifdef CPU_COUNT
    cpu_set_t set;
    CPU_ZERO(&set);
    if (!sched_getaffinity(0, sizeof set, &set) && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
#endif
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

tn_context *tn_context_new(const tn_options *options)
{
    tn_options o = options ? *options : (tn_options){ 0 };
    tn_context *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    atomic_init(&c->users, 1);
    c->seed = o.seed;
    c->kernels = tn_kernels_select(o.isa);
    c->pool = c->kernels ? tn_pool_new(o.threads > 0 ? o.threads : usable_cpus()) : NULL;
    if (!c->pool) {
        tn_context_free(c);
        return NULL;
    }
    return c;
}

void tn_context_hold(tn_context *c)
{
    atomic_fetch_add(&c->users, 1);
}

void tn_context_free(tn_context *c)
{
    if (!c || atomic_fetch_sub(&c->users, 1) > 1)
        return;
    tn_pool_free(c->pool);
    free(c);
}

const char *tn_version(void)
{
    return TN_VERSION;
}

int tn_context_threads(const tn_context *c)
{
    return c ? tn_pool_threads(c->pool) : 0;
}

uint64_t tn_context_seed(const tn_context *c)
{
    return c ? c->seed : 0;
}

const char *tn_context_isa(const tn_context *c)
{
    return c ? c->kernels->isa : NULL;
}

const tn_kernels *tn_kernels_of(const tn_context *c)
{
    return c->kernels;
}

bool tn_context_enter(tn_context *c)
{
    return tn_pool_enter(c->pool);
}

void tn_context_leave(tn_context *c)
{
    tn_pool_leave(c->pool);
}
