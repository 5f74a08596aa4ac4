/* test_pool.c - the pool of threads: every index once, nested calls, pools that live briefly. */
#include "core/context.h"
#include "core/op.h"
#include "tests/support/tests.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { MOST = 1000 };

typedef struct counts {
    tn_pool *pool;
    int threads;
    atomic_int seen[MOST];
    atomic_int wrong;
} counts;

static void count(void *arg, int64_t i, int thread)
{
    counts *c = arg;
    atomic_fetch_add(&c->seen[i], 1);
    if (thread < 0 || thread >= c->threads)
        atomic_fetch_add(&c->wrong, 1);
}

static void check_counts(counts *c, int64_t n, int times)
{
    for (int64_t i = 0; i < MOST; i++)
        ck_assert_int_eq(atomic_load(&c->seen[i]), i < n ? times : 0);
    ck_assert_int_eq(atomic_load(&c->wrong), 0);
}

START_TEST(every_index_once)
{
    static const int64_t sizes[] = { 0, 1, 2, 3, 7, 64, MOST };
    for (int threads = 1; threads <= 5; threads++) {
        tn_pool *p = tn_pool_new(threads);
        ck_assert_ptr_nonnull(p);
        ck_assert_int_eq(tn_pool_threads(p), threads);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            counts c = { .pool = p, .threads = threads };
            for (int round = 0; round < 50; round++)
                tn_pool_run(p, sizes[s], count, &c);
            check_counts(&c, sizes[s], 50);
        }
        tn_pool_free(p);
    }
}
END_TEST

/* Writes without atomics. The caller must see the numbers when tn_pool_run returns. */
static void write_square(void *arg, int64_t i, int thread)
{
    (void)thread;
    ((int64_t *)arg)[i] = i * i;
}

START_TEST(results_are_seen)
{
    tn_pool *p = tn_pool_new(3);
    for (int round = 0; round < 200; round++) {
        int64_t x[MOST] = { 0 };
        tn_pool_run(p, MOST, write_square, x);
        for (int64_t i = 0; i < MOST; i++)
            ck_assert_int_eq(x[i], i * i);
    }
    tn_pool_free(p);
}
END_TEST

/* Every index of the outer call waits for the others. So each thread has one index. Each then calls
   tn_pool_run again. */
enum { OUTER = 4 };

/* clang-format off */
typedef struct outer { tn_pool *pool; counts c; atomic_int arrived; } outer;
/* clang-format on */
typedef struct nest {
    counts *c;
    int thread;
} nest;

static void count_inner(void *arg, int64_t i, int thread)
{
    nest *n = arg;
    atomic_fetch_add(&n->c->seen[i], 1);
    if (thread != n->thread)
        atomic_fetch_add(&n->c->wrong, 1);
}

static void run_inner(void *arg, int64_t i, int thread)
{
    (void)i;
    outer *o = arg;
    atomic_fetch_add(&o->c.seen[100 + thread], 1);
    atomic_fetch_add(&o->arrived, 1);
    while (atomic_load(&o->arrived) % OUTER)
        sched_yield();
    tn_pool_run(o->pool, 10, count_inner, &(nest){ &o->c, thread });
}

START_TEST(nested_runs_stay_on_their_thread)
{
    outer o = { .pool = tn_pool_new(OUTER), .c = { .threads = OUTER } };
    for (int round = 0; round < 20; round++)
        tn_pool_run(o.pool, OUTER, run_inner, &o);
    ck_assert_int_eq(atomic_load(&o.c.wrong), 0);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(atomic_load(&o.c.seen[i]), 20 * OUTER);
    for (int thread = 0; thread < OUTER; thread++)
        ck_assert_int_eq(atomic_load(&o.c.seen[100 + thread]), 20);
    tn_pool_free(o.pool);
}
END_TEST

static void fill_memory(void *arg, int64_t i, int thread)
{
    counts *c = arg;
    size_t bytes = (size_t)(i % 17) * 1000;
    for (int scratch = 0; scratch < TN_SCRATCHES; scratch++) {
        unsigned char *m = tn_pool_memory(c->pool, thread, scratch, bytes);
        if (!m || (uintptr_t)m % 64)
            atomic_fetch_add(&c->wrong, 1);
        else
            memset(m, 16 * thread + scratch, bytes);
    }
    for (int scratch = 0; scratch < TN_SCRATCHES; scratch++) {
        unsigned char *m = tn_pool_memory(c->pool, thread, scratch, bytes);
        for (size_t b = 0; b < bytes; b++)
            if (m[b] != 16 * thread + scratch)
                atomic_fetch_add(&c->wrong, 1);
    }
}

START_TEST(memory_is_the_threads_own)
{
    tn_pool *p = tn_pool_new(3);
    counts c = { .pool = p, .threads = 3 };
    tn_pool_run(p, 300, fill_memory, &c);
    ck_assert_int_eq(atomic_load(&c.wrong), 0);
    ck_assert_ptr_null(tn_pool_memory(p, 0, 0, SIZE_MAX));
    ck_assert_ptr_nonnull(tn_pool_memory(p, 0, 0, 0));
    tn_pool_free(p);
}
END_TEST

START_TEST(ten_thousand_lives)
{
    for (int life = 0; life < 10000; life++) {
        tn_pool *p = tn_pool_new(1 + life % 4);
        ck_assert_ptr_nonnull(p);
        counts c = { .pool = p, .threads = 4 };
        tn_pool_run(p, life % 9, count, &c);
        for (int64_t i = 0; i < 9; i++)
            ck_assert_int_eq(atomic_load(&c.seen[i]), i < life % 9);
        tn_pool_free(p);
    }
    tn_pool_free(NULL);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, every_index_once);
    tcase_add_test(c, results_are_seen);
    tcase_add_test(c, nested_runs_stay_on_their_thread);
    tcase_add_test(c, memory_is_the_threads_own);
    tcase_add_test(c, ten_thousand_lives);
}
