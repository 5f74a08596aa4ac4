/* test_context.c - one context serves one thread at a time, and lives as long as it is needed. */
#include "core/op.h"
#include "tests/support/busy.h"
#include "tests/support/tests.h"

#include <pthread.h>

/* ---- two threads ---- */

typedef struct side { /* what a thread works with */
    tn_context *c;
    tn_tape *t;
    tn_tensor *w;    /* (1) */
    tn_tensor *loss; /* a loss of w that was made before */
    int calls;       /* how often a body was called */
} side;

static side side_new(tn_context *c)
{
    side s = { .c = c,
               .t = tn_tape_new(c),
               .w = tn_tensor_new(TN_REAL, 1, (int64_t[]){ 1 }, true) };
    s.w->x[0] = 3;
    s.loss = tn_mul(s.t, s.w, s.w);
    return s;
}

static void side_free(side *s)
{
    tn_tape_free(s->t);
    tn_tensor_free(s->w);
}

static void count(void *arg, int64_t i, int thread)
{
    (void)i;
    (void)thread;
    ((side *)arg)->calls++;
}

static void count_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)to;
    count(arg, from, thread);
}

/* Calls of the other thread. Each returns 0, or the code of its refusal. */

static int forward(side *s)
{
    tn_tensor *y = tn_relu(s->t, s->w);
    ck_assert(!y == !!tn_tape_code(s->t));
    return tn_tape_code(s->t);
}

static int backward(side *s)
{
    int code = tn_backward(s->t, s->loss);
    ck_assert(s->w->has_grad == !code);
    ck_assert(code || s->w->g[0] == 6);
    return code;
}

static int loop(side *s)
{
    int code = tn_parallel_for(s->c, 1, count, s);
    ck_assert_int_eq(s->calls, !code);
    return code;
}

static int ranges(side *s)
{
    int code = tn_parallel_ranges(s->c, 1, 10, count_range, s);
    ck_assert_int_eq(s->calls, !code);
    return code;
}

/* clang-format off */
static const struct { const char *name; int (*call)(side *s); const char *text; } calls[] = {
    { "an op", forward, "relu: the context runs on another thread; expected one thread at a time" },
    { "backward", backward, "backward: the context runs on another thread; expected one thread at a time" },
    { "tn_parallel_for", loop, NULL },
    { "tn_parallel_ranges", ranges, NULL },
};
/* clang-format on */

/* While one thread is inside a call, the call of another is refused; afterwards it works. Calls
   that do not use the context's threads are never refused. */
START_TEST(second_thread_is_refused)
{
    for (int threads = 1; threads <= 2; threads++) {
        tn_context *c = tn_context_new(&(tn_options){ .threads = threads });
        side second = side_new(c);
        busy first;
        busy_begin(&first, c);
        ck_assert_int_eq(calls[_i].call(&second), TN_ESTATE);
        if (calls[_i].text)
            ck_assert_str_eq(tn_tape_error(second.t), calls[_i].text);
        tn_tape_reset(second.t);
        ck_assert_ptr_nonnull(tn_tape_input(second.t, TN_REAL, 1, (int64_t[]){ 1 }));
        busy_end(&first);
        second.loss = tn_mul(second.t, second.w, second.w);
        ck_assert_int_eq(calls[_i].call(&second), 0);
        side_free(&second);
        tn_context_free(c);
    }
}
END_TEST

enum { MANY = 4096, ROUNDS = 300 };

/* clang-format off */
typedef struct racer { side s; int served, wrong, odd; } racer; /* rounds; numbers; other errors */
/* clang-format on */

static void *race(void *arg)
{
    racer *r = arg;
    tn_tape *t = r->s.t;
    for (int k = 0; k < ROUNDS; k++) {
        tn_tensor *x = tn_tape_input(t, TN_REAL, 1, (int64_t[]){ MANY });
        for (int i = 0; i < MANY; i++)
            x->x[i] = (tn_real)(i % 7);
        tn_tensor *y = tn_scale(t, x, 2);
        r->served += y != NULL;
        r->odd += !y && tn_tape_code(t) != TN_ESTATE;
        for (int i = 0; y && i < MANY; i++)
            r->wrong += y->x[i] != 2 * x->x[i];
        tn_tape_reset(t);
    }
    return NULL;
}

/* Two threads at the same time: every call that is not refused gives the right result. One thread
   after the other: no call is refused. ThreadSanitizer checks the rest. */
START_TEST(threads_together_and_in_turn)
{
    for (int together = 0; together < 2; together++) {
        tn_context *c = tn_context_new(&(tn_options){ .threads = 2 });
        racer r[2] = { { .s = side_new(c) }, { .s = side_new(c) } };
        pthread_t id[2];
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(pthread_create(&id[i], NULL, race, &r[i]), 0);
            if (!together)
                pthread_join(id[i], NULL);
        }
        for (int i = 0; i < 2; i++) {
            if (together)
                pthread_join(id[i], NULL);
            ck_assert_int_eq(r[i].wrong, 0);
            ck_assert_int_eq(r[i].odd, 0);
            ck_assert(together || r[i].served == ROUNDS);
            side_free(&r[i].s);
        }
        tn_context_free(c);
    }
}
END_TEST

/* One step of training with a frozen weight that another context uses too. */
static void *train(void *arg)
{
    tn_tensor *frozen = arg;
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    side s = side_new(c);
    for (int k = 0; k < ROUNDS; k++) {
        s.w->has_grad = false;
        s.loss = tn_sum(s.t, tn_mul(s.t, tn_reshape(s.t, frozen, 1, (int64_t[]){ 1 }), s.w));
        if (tn_backward(s.t, s.loss) || s.w->g[0] != frozen->x[0])
            return s.w;
        tn_tape_reset(s.t);
    }
    side_free(&s);
    tn_context_free(c);
    return NULL;
}

START_TEST(contexts_share_frozen_weights)
{
    pthread_t id[2];
    tn_tensor *frozen = tn_tensor_new(TN_REAL, 2, (int64_t[]){ 1, 1 }, false);
    frozen->x[0] = 5;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&id[i], NULL, train, frozen), 0);
    for (int i = 0; i < 2; i++) {
        void *wrong;
        pthread_join(id[i], &wrong);
        ck_assert_ptr_null(wrong);
    }
    tn_tensor_free(frozen);
}
END_TEST

/* ---- how long a context lives ---- */

/* The context lives as long as its last tape, whether it is freed first, last or in between. */
START_TEST(lives_as_long_as_its_tapes)
{
    for (int turn = 0; turn < 3; turn++) {
        tn_context *c = tn_context_new(&(tn_options){ .threads = 2, .seed = 7 });
        side s[2] = { side_new(c), side_new(c) };
        for (int i = 0; i < 3; i++) {
            if (i == turn)
                tn_context_free(c);
            if (i == 2)
                break;
            ck_assert_int_eq(tn_backward(s[i].t, s[i].loss), 0);
            ck_assert_uint_eq(tn_context_seed(tn_tape_context(s[i].t)), 7);
            side_free(&s[i]);
        }
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, second_thread_is_refused, 0, sizeof calls / sizeof *calls);
    tcase_add_test(c, threads_together_and_in_turn);
    tcase_add_test(c, contexts_share_frozen_weights);
    tcase_add_test(c, lives_as_long_as_its_tapes);
}
