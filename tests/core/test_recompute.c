/* test_recompute.c - blocks that run again in backward.
   The oracle is the same program without recomputing: loss and gradients have the same bits. */
#include "tests/support/tests.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { N = 5, C = 8, R = 2, WEIGHTS = 5, BLOCKS = 3 };

/* ---- programs of three blocks ---- */

typedef struct model {
    tn_tensor *w[WEIGHTS]; /* (C,C), (C), (R,C), (C,R), (N,C) */
    int depth; /* 0: nothing is recomputed; 1: blocks are; 2: a part inside each block too */
    double p;
} model;

/* Runs the block; with tn_recompute if `again` is set. */
static tn_tensor *run(tn_tape *t, model *m, tn_block *block, tn_tensor *x, bool again)
{
    return again ? tn_recompute(t, block, m, x) : block(t, m, x);
}

static tn_tensor *lora_of(tn_tape *t, void *arg, tn_tensor *x)
{
    model *m = arg;
    tn_tensor *y = tn_linear(t, x, m->w[0], m->w[1], TN_OUT_IN);
    return tn_lora(t, y, x, m->w[2], m->w[3], 2, 0, m->p, 7);
}

static tn_tensor *residual(tn_tape *t, void *arg, tn_tensor *x)
{
    model *m = arg;
    tn_tensor *h = run(t, m, lora_of, tn_gelu(t, x), m->depth > 1);
    return tn_add(t, tn_dropout(t, h, m->p, 8), tn_mul(t, x, x));
}

/* The block uses a weight that may also be its x. */
static tn_tensor *uses_x_twice(tn_tape *t, void *arg, tn_tensor *x)
{
    model *m = arg;
    return tn_add(t, tn_mul(t, x, m->w[4]), tn_silu(t, m->w[4]));
}

static tn_tensor *gives_x(tn_tape *t, void *arg, tn_tensor *x)
{
    (void)t;
    (void)arg;
    return x;
}

static tn_tensor *gives_weight(tn_tape *t, void *arg, tn_tensor *x)
{
    (void)t;
    (void)x;
    return ((model *)arg)->w[4];
}

static tn_tensor *consumes_x(tn_tape *t, void *arg, tn_tensor *x)
{
    model *m = arg;
    return tn_lora(t, x, m->w[4], m->w[2], m->w[3], 2, 0, m->p, 9);
}

static tn_tensor *views_x(tn_tape *t, void *arg, tn_tensor *x)
{
    (void)arg;
    return tn_reshape(t, x, 2, (int64_t[]){ N, C });
}

static tn_block *const blocks[] = { residual,     lora_of,    uses_x_twice, gives_x,
                                    gives_weight, consumes_x, views_x };
enum { KINDS = sizeof blocks / sizeof *blocks };

/* The loss after three blocks. If `result` is set, the first x is a result of an op, else a
   weight. */
static tn_tensor *loss_of(tn_tape *t, model *m, tn_block *block, bool result)
{
    tn_tensor *x = result ? tn_scale(t, m->w[4], 0.5) : m->w[4];
    for (int i = 0; i < BLOCKS; i++) {
        tn_tensor *y = run(t, m, block, x, m->depth > 0);
        x = block == consumes_x ? y : tn_add(t, y, x); /* x has two readers */
    }
    return tn_mean(t, tn_mul(t, x, x));
}

static model new_model(double p, unsigned frozen)
{
    static const int64_t dims[WEIGHTS][2] = { { C, C }, { C }, { R, C }, { C, R }, { N, C } };
    model m = { .p = p };
    for (int i = 0; i < WEIGHTS; i++) {
        m.w[i] = tn_tensor_new(TN_REAL, i == 1 ? 1 : 2, dims[i], true);
        tn_fill_normal(m.w[i]->x, tn_tensor_count(m.w[i]), 0.4, 3, (uint64_t)i);
        if (frozen >> i & 1)
            tn_tensor_freeze(m.w[i]);
    }
    return m;
}

static void free_model(model *m)
{
    for (int i = 0; i < WEIGHTS; i++)
        tn_tensor_free(m->w[i]);
}

/* Runs two micro-batches, whose gradients are added. Returns the sum of the losses. */
static double train(tn_tape *t, model *m, tn_block *block, bool result)
{
    double sum = 0;
    for (uint64_t draw = 4; draw < 6; draw++) {
        tn_tape_reset(t);
        tn_tape_train(t, draw);
        tn_tensor *loss = loss_of(t, m, block, result);
        ck_assert_msg(!tn_backward(t, loss), "%s", tn_tape_error(t));
        sum += (double)loss->x[0];
    }
    return sum;
}

static void same_gradients(const model *a, const model *b)
{
    for (int i = 0; i < WEIGHTS; i++) {
        ck_assert(a->w[i]->has_grad == b->w[i]->has_grad);
        if (a->w[i]->has_grad)
            ck_assert_mem_eq(a->w[i]->g, b->w[i]->g,
                             (size_t)tn_tensor_count(a->w[i]) * sizeof(tn_real));
    }
}

/* First all weights are trained, then only those of LoRA. Then x wants no gradient. */
START_TEST(gradients_are_those_without)
{
    static const unsigned frozen[] = { 0, 1 | 2 | 16 };
    tn_block *block = blocks[_i % KINDS];
    const bool result = _i / KINDS / 2 % 2;
    const bool adapts = block == residual || block == lora_of || block == consumes_x;
    for (int f = 0; f < (adapts ? 2 : 1); f++) {
        if (block == consumes_x && !result)
            continue; /* lora refuses a y that is also its x */
        tn_context *c = tn_context_new(&(tn_options){ .threads = 2, .seed = 1 });
        tn_tape *t = tn_tape_new(c);
        model plain = new_model(0.3, frozen[f]), again = new_model(0.3, frozen[f]);
        again.depth = 1 + _i / KINDS % 2;
        double expected = train(t, &plain, block, result);
        ck_assert(expected == train(t, &again, block, result));
        same_gradients(&plain, &again);
        free_model(&plain);
        free_model(&again);
        tn_tape_free(t);
        tn_context_free(c);
    }
}
END_TEST

/* ---- memory runs out ---- */

/* Allocations that still succeed. The next one fails, and those after it succeed again. */
static atomic_long left = -1;

static bool is_refused(void)
{
    return atomic_fetch_sub(&left, 1) == 0;
}

/* These replace the functions that give core/ memory for results and gradients. */

void *aligned_alloc(size_t alignment, size_t size)
{
    void *memory;
    return is_refused() || posix_memalign(&memory, alignment, size) ? NULL : memory;
}

int mprotect(void *address, size_t size, int protection)
{
    if (is_refused()) {
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_mprotect, address, size, protection);
}

/* Each allocation fails once: the tape has the error, and after a reset all works as before. */
START_TEST(memory_may_run_out_inside)
{
    long refusals = 0;
    for (bool more = true; more; refusals += more) {
        tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
        tn_tape *t = tn_tape_new(c);
        model plain = new_model(0.3, 0), again = new_model(0.3, 0);
        again.depth = 2;
        atomic_store(&left, refusals);
        tn_tape_train(t, 1);
        tn_tensor *loss = loss_of(t, &again, residual, true);
        int code = loss ? tn_backward(t, loss) : tn_tape_code(t);
        more = atomic_exchange(&left, -1) < 0;
        ck_assert_int_eq(code, more ? TN_ENOMEM : 0);
        for (int i = 0; i < WEIGHTS; i++)
            again.w[i]->has_grad = false;
        ck_assert(train(t, &again, residual, true) == train(t, &plain, residual, true));
        same_gradients(&plain, &again);
        free_model(&plain);
        free_model(&again);
        tn_tape_free(t);
        tn_context_free(c);
    }
    ck_assert_int_ge(refusals, 10);
}
END_TEST

/* ---- what else holds ---- */

typedef struct fixture {
    tn_context *c;
    tn_tape *t;
    model m;
} fixture;

static fixture open_fixture(void)
{
    fixture f = { .c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 }),
                  .m = new_model(0.3, 0) };
    f.t = tn_tape_new(f.c);
    f.m.depth = 2;
    return f;
}

static void close_fixture(fixture *f)
{
    free_model(&f->m);
    tn_tape_free(f->t);
    tn_context_free(f->c);
}

START_TEST(evaluation_is_that_of_a_plain_call)
{
    fixture f = open_fixture();
    tn_tape_eval(f.t);
    tn_real with = loss_of(f.t, &f.m, residual, true)->x[0];
    f.m.depth = 0;
    ck_assert(with == loss_of(f.t, &f.m, residual, true)->x[0]);
    close_fixture(&f);
}
END_TEST

START_TEST(a_weight_may_be_the_result)
{
    fixture f = open_fixture();
    tn_tensor *x = tn_tape_input(f.t, TN_REAL, 1, (int64_t[]){ 1 });
    x->x[0] = 1;
    ck_assert_int_eq(tn_backward(f.t, tn_sum(f.t, tn_recompute(f.t, gives_weight, &f.m, x))), 0);
    ck_assert(f.m.w[4]->has_grad && f.m.w[4]->g[N * C - 1] == 1);
    close_fixture(&f);
}
END_TEST

START_TEST(a_rewind_forgets_a_block)
{
    fixture f = open_fixture();
    tn_tensor *x = tn_scale(f.t, f.m.w[4], 0.5);
    tn_mark mark = tn_tape_mark(f.t);
    tn_tensor *first = tn_recompute(f.t, residual, &f.m, x);
    tn_real value = first->x[3];
    tn_tape_rewind(f.t, mark);
    tn_tensor *y = tn_recompute(f.t, residual, &f.m, x);
    ck_assert(y && y->x[3] == value);
    ck_assert_int_eq(tn_backward(f.t, tn_sum(f.t, y)), 0);
    ck_assert(f.m.w[0]->has_grad);
    close_fixture(&f);
}
END_TEST

static tn_tensor *deep(tn_tape *t, void *arg, tn_tensor *x)
{
    (void)arg;
    for (int i = 0; i < 20; i++)
        x = tn_gelu(t, x);
    return x;
}

START_TEST(a_block_keeps_its_result_alone)
{
    size_t bytes[2];
    for (int again = 0; again < 2; again++) {
        tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
        tn_tape *t = tn_tape_new(c);
        tn_tensor *x = tn_tensor_new(TN_REAL, 2, (int64_t[]){ 256, 1024 }, true);
        tn_tensor *y = x;
        for (int i = 0; i < 20; i++)
            y = again ? tn_recompute(t, deep, NULL, y) : deep(t, NULL, y);
        ck_assert_int_eq(tn_backward(t, tn_sum(t, y)), 0);
        bytes[again] = tn_tape_memory(t);
        tn_tensor_free(x);
        tn_tape_free(t);
        tn_context_free(c);
    }
    ck_assert_msg(bytes[1] * 8 < bytes[0], "%zu bytes, without %zu", bytes[1], bytes[0]);
}
END_TEST

/* ---- refusals ---- */

static tn_tensor *gives_null(tn_tape *t, void *arg, tn_tensor *x)
{
    (void)t;
    (void)arg;
    (void)x;
    return NULL;
}

static tn_tensor *goes_wrong(tn_tape *t, void *arg, tn_tensor *x)
{
    (void)arg;
    return tn_scale(t, tn_slice(t, x, 1, 5, 3), 2);
}

static tn_tensor *gives_result_of_outside(tn_tape *t, void *arg, tn_tensor *x)
{
    (void)t;
    (void)x;
    return *(tn_tensor **)arg;
}

static tn_tensor *uses_result_of_outside(tn_tape *t, void *arg, tn_tensor *x)
{
    return tn_add(t, x, *(tn_tensor **)arg);
}

static tn_tensor *nested(tn_tape *t, void *arg, tn_tensor *x)
{
    return tn_recompute(t, goes_wrong, arg, x);
}

static const struct {
    tn_block *block;
    const char *text;
} refused[] = {
    { gives_null, "recompute: the block's result is NULL" },
    { goes_wrong, "slice: elements 5 to 3 of dimension 1; expected 0 <= from < to <= 8" },
    { nested, "slice: elements 5 to 3 of dimension 1; expected 0 <= from < to <= 8" },
    { gives_result_of_outside, "recompute: the block's result belongs to another tape" },
    { uses_result_of_outside, "add: operand 2 belongs to another tape" },
};

START_TEST(mistakes_stick_to_the_tape)
{
    fixture f = open_fixture();
    tn_tensor *x = tn_scale(f.t, f.m.w[4], 0.5);
    ck_assert_ptr_null(tn_recompute(f.t, refused[_i].block, &x, x));
    ck_assert_str_eq(tn_tape_error(f.t), refused[_i].text);
    tn_tape_reset(f.t);
    train(f.t, &f.m, residual, true);
    close_fixture(&f);
}
END_TEST

static tn_tensor *goes_wrong_the_second_time(tn_tape *t, void *arg, tn_tensor *x)
{
    return ++*(int *)arg < 2 ? tn_gelu(t, x) : goes_wrong(t, NULL, x);
}

START_TEST(a_mistake_in_backward_is_told)
{
    fixture f = open_fixture();
    int calls = 0;
    tn_tensor *y = tn_recompute(f.t, goes_wrong_the_second_time, &calls, f.m.w[4]);
    ck_assert_int_eq(tn_backward(f.t, tn_sum(f.t, y)), TN_ESHAPE);
    ck_assert_str_eq(tn_tape_error(f.t),
                     "slice: elements 5 to 3 of dimension 1; expected 0 <= from < to <= 8");
    tn_tape_reset(f.t);
    train(f.t, &f.m, residual, true);
    close_fixture(&f);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, gradients_are_those_without, 0, 4 * KINDS);
    tcase_add_test(c, memory_may_run_out_inside);
    tcase_add_test(c, evaluation_is_that_of_a_plain_call);
    tcase_add_test(c, a_weight_may_be_the_result);
    tcase_add_test(c, a_rewind_forgets_a_block);
    tcase_add_test(c, a_block_keeps_its_result_alone);
    tcase_add_loop_test(c, mistakes_stick_to_the_tape, 0, sizeof refused / sizeof *refused);
    tcase_add_test(c, a_mistake_in_backward_is_told);
}
