/* test_torture.c - every optimizer at any rank, with zeros and huge numbers, resumed and reordered.
   Each runs with its presets and with all variants of its settings (optim_mixed.h). The test knows
   only the interface, so it also tests new rows of optim.def. */
#include "tests/support/fixtures.h"
#include "tests/support/optim_mixed.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool all_finite(bool real, const void *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(real ? (double)((const tn_real *)x)[i] : ((const double *)x)[i]))
            return false;
    return true;
}

static void check_finite(problem *p, const char *settings, const char *what, int t)
{
    const char *name = tn_optim_definition(p->optim)->name;
    for (int64_t i = 0; i < tn_params_count(p->params); i++) {
        const tn_param *a = tn_params_at(p->params, i);
        ck_assert_msg(all_finite(true, a->w->x, tn_tensor_count(a->w)), "%s %s, %s: %s at step %d",
                      name, settings, what, a->name, t);
    }
    tn_state_block b;
    for (int64_t i = 0; tn_optim_state(p->optim, i, &b); i++)
        ck_assert_msg(all_finite(b.real, b.data, b.n), "%s %s, %s: %s at step %d", name, settings,
                      what, b.name, t);
}

/* ---- ranks, zeros, sizes ---- */

START_TEST(every_rank)
{
    static const size sizes[] = {
        { 6, 4, 1 },    { 1, 4, 1 },    { 6, 1, 1 },   { 1, 1, 1 },    { 7, 5, 2 },
        { 2, 5, 2 },    { 8, 6, 3 },    { 8, 3, 3 },   { 21, 19, 16 }, { 16, 19, 16 },
        { 69, 67, 64 }, { 64, 67, 64 }, { 13, 11, 8 }, { 8, 8, 8 },    { 64, 64, 64 },
    };
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char what[64];
            problem p;
            snprintf(what, sizeof what, "(%d,%d) of rank %d", (int)sizes[i].out, (int)sizes[i].in,
                     (int)sizes[i].r);
            mixed(&p, sizes[i], 0);
            run(&p, *def, "", 4);
            check_finite(&p, "", what, 4);
            problem_free(&p);
        }
}
END_TEST

START_TEST(a_rank_above_the_sides_is_refused)
{
    static const size sizes[] = { { 1, 4, 2 }, { 4, 1, 2 }, { 9, 7, 8 }, { 64, 67, 65 } };
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            problem p;
            tn_error e = { 0 };
            mixed(&p, sizes[i], 0);
            p.optim = problem_try(&p, *def, "", 0, (tn_schedule){ 0 }, &e);
            ck_assert_msg(!p.optim == (*def)->pairs, "%s", (*def)->name);
            if ((*def)->pairs)
                must_fail(&e, TN_ESHAPE, "is above min(in, out)");
            problem_free(&p);
        }
}
END_TEST

/* Scales of weights and gradients. If both factors are c times as large, so are their gradients.
   For A c and B / c the gradients are 1/c and c times the old ones. */
static const struct torment {
    const char *name;
    kind kind;
    scale weight, gradient;
} torments[] = {
    { "zero gradients first", ZERO_FIRST, { 1, 1 }, { 1, 1 } },
    { "gradients of rank one", RANK_ONE, { 1, 1 }, { 1, 1 } },
    { "a zero row", ZERO_ROW, { 1, 1 }, { 1, 1 } },
    { "a zero column", ZERO_COLUMN, { 1, 1 }, { 1, 1 } },
    { "lora_B zero", NORMAL, { 1, 0 }, { 1, 1 } },
    { "lora_B zero, zero gradients first", ZERO_FIRST, { 1, 0 }, { 1, 1 } },
    { "all zero", NORMAL, { 0, 0 }, { 1, 1 } },
    { "small gradients", NORMAL, { 1, 1 }, { 1e-12, 1e-12 } },
    { "large gradients", NORMAL, { 1, 1 }, { 1e12, 1e12 } },
    { "small weights", NORMAL, { 1e-12, 1e-12 }, { 1e-12, 1e-12 } },
    { "large weights", NORMAL, { 1e12, 1e12 }, { 1e12, 1e12 } },
    { "large lora_A, small lora_B", NORMAL, { 1e12, 1e-12 }, { 1e-12, 1e12 } },
    { "small lora_A, large lora_B", NORMAL, { 1e-12, 1e12 }, { 1e12, 1e-12 } },
    { "small gradients of rank one", RANK_ONE, { 1, 1 }, { 1e-12, 1e-12 } },
};

START_TEST(results_stay_finite)
{
    char settings[TEXT];
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int k = 0; variant(*def, k, settings); k++) {
            if (!legal(*def, settings))
                continue;
            for (size_t i = 0; i < sizeof torments / sizeof *torments; i++) {
                const struct torment *m = &torments[i];
                problem p;
                mixed_part(&p, (size){ 9, 7, 3 }, 0, 0, m->weight);
                must_try(&p, *def, settings);
                for (int t = 1; t <= 8; t++) {
                    mixed_gradients(&p, m->kind, m->gradient, t);
                    problem_step(&p);
                    check_finite(&p, settings, m->name, t);
                }
                problem_free(&p);
            }
        }
}
END_TEST

/* ---- resuming ---- */

enum { STEPS = 12 };

/* Copies all weights and all state to or from memory. Returns the size; memory NULL: copies
   nothing. */
static size_t transfer(problem *p, char *memory, bool save)
{
    size_t at = 0;
    tn_state_block b;
    int64_t weights = tn_params_count(p->params);
    for (int64_t i = 0; i < weights || tn_optim_state(p->optim, i - weights, &b); i++) {
        if (i < weights) {
            tn_tensor *w = tn_params_at(p->params, i)->w;
            b = (tn_state_block){ .real = true, .n = tn_tensor_count(w), .data = w->x };
        }
        size_t bytes = (size_t)b.n * (b.real ? sizeof(tn_real) : sizeof(double));
        if (memory)
            memcpy(save ? memory + at : b.data, save ? b.data : memory + at, bytes);
        at += bytes;
    }
    return at;
}

static void check_resume(const tn_optim_def *def, const char *settings)
{
    problem p;
    mixed(&p, (size){ 9, 7, 3 }, 0);
    must_try(&p, def, settings);
    size_t bytes = transfer(&p, NULL, true);
    char *saved = malloc((STEPS + 1) * bytes), *end = malloc(bytes);
    for (int t = 1; t <= STEPS; t++) {
        transfer(&p, saved + (size_t)(t - 1) * bytes, true);
        mixed_gradients(&p, NORMAL, (scale){ 1, 1 }, t);
        problem_step(&p);
    }
    transfer(&p, saved + STEPS * bytes, true);
    for (int from = 0; from < STEPS; from++) {
        must_try(&p, def, settings);
        transfer(&p, saved + (size_t)from * bytes, false);
        tn_optim_set_steps(p.optim, from);
        for (int t = from + 1; t <= STEPS; t++) {
            mixed_gradients(&p, NORMAL, (scale){ 1, 1 }, t);
            problem_step(&p);
        }
        transfer(&p, end, true);
        ck_assert_msg(!memcmp(end, saved + STEPS * bytes, bytes),
                      "%s %s: resumed after %d steps it ends elsewhere", def->name, settings, from);
    }
    free(saved);
    free(end);
    problem_free(&p);
}

START_TEST(a_resumed_run_is_the_same_run)
{
    char settings[TEXT];
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int k = 0; variant(*def, k, settings); k++)
            if (legal(*def, settings))
                check_resume(*def, settings);
}
END_TEST

/* ---- orders and neighbours ---- */

START_TEST(the_order_of_weights_does_not_matter)
{
    char settings[TEXT];
    double close = limit_of(1e-12, 1e-4); /* sums over units have another order */
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int k = 0; k <= count_presets(*def); k++) {
            problem p, q;
            variant(*def, k, settings);
            mixed(&p, (size){ 9, 7, 3 }, 0);
            run(&p, *def, settings, 6);
            for (uint64_t shuffle = 1; shuffle <= 4; shuffle++) {
                mixed(&q, (size){ 9, 7, 3 }, shuffle);
                run(&q, *def, settings, 6);
                for (int64_t i = 0; i < WEIGHTS; i++) {
                    const tn_param *a = tn_params_at(p.params, i);
                    const tn_tensor *b = tn_params_find(q.params, a->name)->w;
                    for (int64_t j = 0; j < tn_tensor_count(b); j++)
                        ck_assert_msg(fabs((double)(a->w->x[j] - b->x[j])) <= close,
                                      "%s %s: %s depends on the order of the weights", (*def)->name,
                                      settings, a->name);
                }
                problem_free(&q);
            }
            problem_free(&p);
        }
}
END_TEST

/* Without a pair (or a matrix) an optimizer of pairs (or of matrices) trains all weights by
   AdamW. */
START_TEST(what_is_left_over_is_adamw)
{
    for (const tn_optim_def *const *def = tn_optims; *def; def++) {
        if (!(*def)->pairs && !(*def)->matrices)
            continue;
        int first = (*def)->pairs ? PAIRED : PAIRED + 1;
        problem p, q;
        mixed_part(&p, (size){ 9, 7, 3 }, first, 0, (scale){ 1, 1 });
        mixed_part(&q, (size){ 9, 7, 3 }, first, 0, (scale){ 1, 1 });
        run(&p, *def, "lr=0.02", 6);
        run(&q, tn_optim_find("adamw"), "lr=0.02", 6);
        ck_assert_msg(tn_params_hash(p.params, false) == tn_params_hash(q.params, false), "%s",
                      (*def)->name);
        ck_assert_uint_eq(tn_optim_state_bytes(p.optim), tn_optim_state_bytes(q.optim));
        problem_free(&p);
        problem_free(&q);
    }
}
END_TEST

/* ---- allocations, on one thread: a thread allocates memory when it makes its first product
   ---- */

#if defined __GLIBC__ && !TESTS_SANITIZED

static atomic_int allocations;

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *old, size_t n);
extern void *__libc_memalign(size_t alignment, size_t n);

void *malloc(size_t n)
{
    allocations++;
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t bytes)
{
    allocations++;
    return __libc_calloc(n, bytes);
}

void *realloc(void *old, size_t n)
{
    allocations++;
    return __libc_realloc(old, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
    allocations++;
    return __libc_memalign(alignment, n);
}

START_TEST(no_step_allocates)
{
    char settings[TEXT];
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int k = 0; variant(*def, k, settings); k++) {
            if (!legal(*def, settings))
                continue;
            problem p;
            mixed(&p, (size){ 9, 7, 3 }, 0);
            run(&p, *def, settings, 1);
            mixed_gradients(&p, NORMAL, (scale){ 1, 1 }, 2);
            int before = allocations, code = 0;
            for (int t = 2; t <= 6 && !code; t++)
                code = tn_optim_step(p.optim);
            int taken = allocations - before; /* read before an assertion, which may allocate */
            ck_assert_msg(!code && !taken, "%s %s: %d allocations", (*def)->name, settings, taken);
            problem_free(&p);
        }
    void *counted = malloc(8);
    ck_assert_int_gt(allocations, 0);
    free(counted);
}
END_TEST

#define COUNTED
#endif

void tests(TCase *c)
{
    tcase_add_test(c, every_rank);
    tcase_add_test(c, a_rank_above_the_sides_is_refused);
    tcase_add_test(c, results_stay_finite);
    tcase_add_test(c, a_resumed_run_is_the_same_run);
    tcase_add_test(c, the_order_of_weights_does_not_matter);
    tcase_add_test(c, what_is_left_over_is_adamw);
#ifdef COUNTED
    tcase_add_test(c, no_step_allocates);
#endif
}
