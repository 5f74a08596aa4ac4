/* busy.c - a thread that stays inside a call of a context until busy_end. */
#include "tests/support/busy.h"
#include "core/op.h"
#include "tests/support/tests.h"

#include <sched.h>

static void stay(void *arg, int64_t i, int thread)
{
    (void)i;
    (void)thread;
    busy *b = arg;
    atomic_store(&b->inside, 1);
    while (!atomic_load(&b->let_out))
        sched_yield();
}

static void *run(void *arg)
{
    busy *b = arg;
    if (tn_parallel_for(b->c, 1, stay, b))
        atomic_store(&b->inside, -1);
    return NULL;
}

void busy_begin(busy *b, tn_context *c)
{
    *b = (busy){ .c = c };
    ck_assert_int_eq(pthread_create(&b->id, NULL, run, b), 0);
    while (!atomic_load(&b->inside))
        sched_yield();
    ck_assert_int_eq(atomic_load(&b->inside), 1);
}

void busy_end(busy *b)
{
    atomic_store(&b->let_out, 1);
    pthread_join(b->id, NULL);
}
