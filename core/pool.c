/* pool.c - threads that share the indices of a loop, and their scratch.
   tn_pool_run publishes one job. Every thread that is awake joins it, and takes the next index
   until none is left. The caller works, too. It waits only for the threads that joined. So a worker
   that sleeps, or that gets no CPU, delays nobody. */
#include "core/context.h"
#include "core/op.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* How often a thread looks at a flag before it sleeps: about 50 us. Waking it takes 5 us. */
enum { SPINS = 2000 };

typedef struct job {
    int64_t n;
    void (*body)(void *arg, int64_t i, int thread);
    void *arg;
} job;

typedef struct worker {
    tn_pool *pool;
    pthread_t id;
    int thread; /* 1 .. threads-1; the caller of tn_pool_run is 0 */
} worker;

typedef struct scratch {
    void *data;
    size_t bytes;
} scratch;

struct tn_pool {
    int threads;
    int started;             /* workers that exist */
    worker *workers;         /* (threads - 1) */
    scratch *memory;         /* (threads, TN_SCRATCHES) */
    _Atomic uintptr_t owner; /* the thread that is inside a call; 0: no thread */
    int depth;               /* of nested calls; only the owner reads it */
    bool running;            /* the owner is inside tn_pool_run */

    pthread_mutex_t lock; /* guards job, open, stop and changes of round and joined */
    pthread_cond_t wake;  /* a round has begun */
    pthread_cond_t left;  /* the last worker has left a round */
    job job;
    bool open, stop;      /* the round may be joined; the pool ends */
    atomic_uint round;    /* counts the jobs */
    atomic_int joined;    /* workers inside the present round */
    _Atomic int64_t next; /* the first index that nobody has taken */
};

static void relax(void)
{
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

static void take_indices(tn_pool *p, job j, int thread)
{
    int64_t i;
    while ((i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < j.n)
        j.body(j.arg, i, thread);
}

/* Waits for a round other than `seen`, and joins it if it is still open. False: the pool ends. */
static bool next_round(tn_pool *p, unsigned *seen, int thread)
{
    for (int i = 0; i < SPINS && atomic_load(&p->round) == *seen; i++)
        relax();
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->round) == *seen)
        pthread_cond_wait(&p->wake, &p->lock);
    *seen = atomic_load(&p->round);
    bool stop = p->stop, join = p->open;
    job j = p->job;
    if (join)
        atomic_fetch_add(&p->joined, 1);
    pthread_mutex_unlock(&p->lock);
    if (!join)
        return !stop;
    take_indices(p, j, thread);
    pthread_mutex_lock(&p->lock);
    if (atomic_fetch_sub(&p->joined, 1) == 1)
        pthread_cond_signal(&p->left);
    pthread_mutex_unlock(&p->lock);
    return true;
}

static void *work(void *arg)
{
    worker *w = arg;
    unsigned seen = 0;
    while (next_round(w->pool, &seen, w->thread))
        ;
    return NULL;
}

static void begin_round(tn_pool *p, job j, bool stop)
{
    pthread_mutex_lock(&p->lock);
    p->job = j;
    p->stop = stop;
    p->open = !stop;
    atomic_store(&p->next, 0);
    atomic_fetch_add(&p->round, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static void end_round(tn_pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->open = false;
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < SPINS && atomic_load(&p->joined); i++)
        relax();
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->joined))
        pthread_cond_wait(&p->left, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

/* The number of the calling thread: a worker has its own, every other thread has 0. */
static int calling_thread(const tn_pool *p)
{
    pthread_t self = pthread_self();
    for (int i = 0; i < p->started; i++)
        if (pthread_equal(self, p->workers[i].id))
            return p->workers[i].thread;
    return 0;
}

bool tn_pool_enter(tn_pool *p)
{
    uintptr_t self = (uintptr_t)pthread_self(), nobody = 0;
    if (atomic_load_explicit(&p->owner, memory_order_relaxed) != self &&
        !atomic_compare_exchange_strong(&p->owner, &nobody, self))
        return false;
    p->depth++;
    return true;
}

void tn_pool_leave(tn_pool *p)
{
    if (--p->depth == 0)
        atomic_store(&p->owner, 0);
}

static void run_alone(job j, int thread)
{
    for (int64_t i = 0; i < j.n; i++)
        j.body(j.arg, i, thread);
}

int tn_pool_run(tn_pool *p, int64_t n, void (*body)(void *arg, int64_t i, int thread), void *arg)
{
    job j = { n, body, arg };
    int thread = calling_thread(p);
    if (thread > 0) {
        run_alone(j, thread);
        return TN_OK;
    }
    if (!tn_pool_enter(p))
        return TN_ESTATE;
    if (n <= 1 || p->threads == 1 || p->running) {
        run_alone(j, 0);
    } else {
        p->running = true;
        begin_round(p, j, false);
        take_indices(p, j, 0);
        end_round(p);
        p->running = false;
    }
    tn_pool_leave(p);
    return TN_OK;
}

tn_pool *tn_pool_new(int threads)
{
    tn_pool *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->threads = threads > 0 ? threads : 1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->left, NULL);
    p->workers = calloc((size_t)p->threads, sizeof *p->workers);
    p->memory = calloc((size_t)p->threads * TN_SCRATCHES, sizeof *p->memory);
    bool ok = p->workers && p->memory;
    for (int i = 0; ok && i < p->threads - 1; i++) {
        worker *w = &p->workers[i];
        w->pool = p;
        w->thread = i + 1;
        ok = !pthread_create(&w->id, NULL, work, w);
        p->started += ok;
    }
    if (ok)
        return p;
    tn_pool_free(p);
    return NULL;
}

void tn_pool_free(tn_pool *p)
{
    if (!p)
        return;
    begin_round(p, (job){ 0 }, true);
    for (int i = 0; i < p->started; i++)
        pthread_join(p->workers[i].id, NULL);
    for (int i = 0; p->memory && i < p->threads * TN_SCRATCHES; i++)
        free(p->memory[i].data);
    pthread_cond_destroy(&p->left);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->memory);
    free(p->workers);
    free(p);
}

int tn_pool_threads(const tn_pool *p)
{
    return p->threads;
}

void *tn_pool_memory(tn_pool *p, int thread, int which, size_t bytes)
{
    scratch *s = &p->memory[thread * TN_SCRATCHES + which];
    if (bytes <= s->bytes && s->data)
        return s->data;
    size_t rounded = (bytes / 64 + 1) * 64;
    free(s->data);
    s->data = rounded > bytes ? aligned_alloc(64, rounded) : NULL;
    s->bytes = s->data ? rounded : 0;
    return s->data;
}

/* ---- the public calls ---- */

int tn_parallel_for(tn_context *c, int64_t n, void (*body)(void *arg, int64_t i, int thread),
                    void *arg)
{
    return c && body ? tn_pool_run(c->pool, n, body, arg) : TN_EARG;
}

void *tn_thread_memory(tn_context *c, int thread, int which, size_t bytes)
{
    bool known =
        c && thread >= 0 && thread < c->pool->threads && which >= 0 && which < TN_SCRATCHES;
    return known ? tn_pool_memory(c->pool, thread, which, bytes) : NULL;
}

typedef struct ranges {
    int64_t count, length;
    tn_range_body *body;
    void *arg;
} ranges;

static void run_range(void *arg, int64_t i, int thread)
{
    const ranges *r = arg;
    int64_t from = i * r->length, left = r->count - from;
    r->body(r->arg, from, from + (left < r->length ? left : r->length), thread);
}

int tn_parallel_ranges(tn_context *c, int64_t count, int64_t length, tn_range_body *body, void *arg)
{
    if (!body || length < 1)
        return TN_EARG;
    ranges r = { .count = count, .length = length, .body = body, .arg = arg };
    return tn_parallel_for(c, count / length + (count % length != 0), run_range, &r);
}
