/* test_schedule.c - learning rates as in Transformers, and clipping as in torch.
   The functions are get_scheduler and clip_grad_norm_. During warm-up our step k has the rate of
   their step k, so that no step has rate 0. After warm-up it has the rate of their step k - 1. */
#include "tests/support/fixtures.h"
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
typedef struct known { const char *name, *arguments; tn_schedule ours; } known;
/* clang-format on */

static const known all[] = {
    { "constant", "{}", { .kind = TN_CONSTANT, .steps = 100 } },
    { "constant_with_warmup", "{}", { .kind = TN_CONSTANT, .steps = 100, .warmup = 10 } },
    { "linear", "{}", { .kind = TN_LINEAR, .steps = 100, .warmup = 10 } },
    { "cosine", "{}", { .kind = TN_COSINE, .steps = 100, .warmup = 10 } },
    { "cosine_with_min_lr",
      "min_lr_rate",
      { .kind = TN_COSINE, .steps = 100, .warmup = 10, .min = 1e-4 } },
    { "inverse_sqrt", "{}", { .kind = TN_INVERSE_SQRT, .steps = 100, .warmup = 10 } },
    { "warmup_stable_decay",
      "decay_type",
      { .kind = TN_WSD, .steps = 100, .warmup = 10, .min = 1e-4, .decay = 30 } },
};

/* The row of `all` for a row of the file: the one without arguments, or the one with these
   arguments. */
static const known *known_of(const tn_json *row)
{
    const tn_json *arguments = tn_json_find(row, "args");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(tn_json_find(row, "name")->text, all[i].name) &&
            (all[i].arguments[0] == '{' ? arguments->count == 0
                                        : tn_json_find(arguments, all[i].arguments) != NULL))
            return &all[i];
    return NULL;
}

START_TEST(rates_of_transformers)
{
    tn_error e = { 0 };
    const tn_json *root = tn_json_read(GOLDEN "schedules.json", &e);
    must(&e);
    int ours = 0;
    for (const tn_json *row = tn_json_find(root, "schedules")->child; row; row = row->next) {
        const known *k = known_of(row);
        if (!k)
            continue;
        ours++;
        int64_t n, from = k->ours.kind == TN_WSD
                              ? 11
                              : 1; /* with a minimum, their warm-up does not begin at 0 */
        double *lr = read_numbers(row, "lr", &n);
        ck_assert_int_eq(n, 100);
        for (int64_t step = from; step <= n; step++) {
            double want = step <= k->ours.warmup ? lr[step] : lr[step - 1],
                   got = tn_schedule_rate(&k->ours, 1e-3, step);
            ck_assert_msg(fabs(got - want) <= 1e-15, "%s: step %d: %.17g, expected %.17g", k->name,
                          (int)step, got, want);
        }
        double last = 0;
        tn_json_get_real(row, "lr_after_last", &last, &e);
        ck_assert_double_eq_tol(tn_schedule_rate(&k->ours, 1e-3, n + 1), last, 1e-15);
        free(lr);
    }
    ck_assert_int_eq(ours, 7);
    tn_json_free(root);
}
END_TEST

START_TEST(edges)
{
    tn_schedule s = { .kind = TN_LINEAR, .steps = 10, .warmup = 4, .min = 0.1 };
    ck_assert(tn_schedule_rate(&s, 2, 1) == 0.5);
    ck_assert(tn_schedule_rate(&s, 2, 4) == 2);
    ck_assert(tn_schedule_rate(&s, 2, 5) == 2);
    ck_assert_double_eq_tol(tn_schedule_rate(&s, 2, 10), 2 - 1.9 * 5 / 6, 1e-15);
    ck_assert_double_eq_tol(tn_schedule_rate(&s, 2, 1000), 0.1, 1e-15); /* after the end it stays */
    s.kind = TN_COSINE;
    ck_assert_double_eq_tol(tn_schedule_rate(&s, 2, 14), 0.1, 1e-15); /* it does not rise again */
    s.kind = TN_LINEAR;
    s.warmup = 10;
    ck_assert(tn_schedule_rate(&s, 2, 10) == 2); /* all steps are warm-up */
    s = (tn_schedule){ .kind = TN_WSD, .steps = 10, .decay = 5 };
    ck_assert(tn_schedule_rate(&s, 2, 5) == 2);
    ck_assert(tn_schedule_rate(&s, 2, 6) == 2);
    ck_assert_double_eq_tol(tn_schedule_rate(&s, 2, 10), 2.0 / 5, 1e-15);
    s.decay = 0;
    ck_assert(tn_schedule_rate(&s, 2, 10) == 2);
    s = (tn_schedule){ .kind = TN_EXPONENTIAL, .steps = 9, .warmup = 1, .min = 1e-5 };
    ck_assert(tn_schedule_rate(&s, 1e-3, 1) == 1e-3);
    ck_assert_double_eq_tol(tn_schedule_rate(&s, 1e-3, 6), 1e-4, 1e-17); /* half of the way */
    ck_assert_double_eq_tol(tn_schedule_rate(&s, 1e-3, 100), 1e-5, 1e-18);
    ck_assert_double_eq_tol(tn_schedule_rate(&s, 1e-7, 6), 1e-6, 1e-19); /* it may rise */
}
END_TEST

START_TEST(names)
{
    ck_assert_int_eq(tn_schedule_find("constant"), TN_CONSTANT);
    ck_assert_int_eq(tn_schedule_find("linear"), TN_LINEAR);
    ck_assert_int_eq(tn_schedule_find("cosine"), TN_COSINE);
    ck_assert_int_eq(tn_schedule_find("wsd"), TN_WSD);
    ck_assert_int_eq(tn_schedule_find("inverse-sqrt"), TN_INVERSE_SQRT);
    ck_assert_int_eq(tn_schedule_find("exponential"), TN_EXPONENTIAL);
    ck_assert_int_eq(tn_schedule_find("poly"), -1);
}
END_TEST

/* What falls has other rates in a run of other length. What does not fall has the same. */
START_TEST(falls)
{
    for (int kind = 0; kind <= TN_EXPONENTIAL; kind++) {
        const tn_schedule s = {
            .kind = (tn_schedule_kind)kind, .steps = 10, .min = 1e-4, .decay = 2
        };
        tn_schedule longer = s;
        longer.steps = 20;
        ck_assert_int_eq(tn_schedule_falls(&s),
                         tn_schedule_rate(&s, 1e-3, 10) != tn_schedule_rate(&longer, 1e-3, 10));
    }
}
END_TEST

/* Weights of 0 after a step of gradient descent with rate 1 are minus the clipped gradient. */
static void clip(const tn_safetensors *s, const char *set, double limit)
{
    tn_context *c = tn_context_new(NULL);
    tn_params *p = tn_params_new(c);
    double *gradient[4], *clipped[4];
    for (int i = 0; i < 4; i++) {
        char name[64];
        int64_t n;
        snprintf(name, sizeof name, "%s.clipped%d", set, i);
        clipped[i] = read_doubles(s, name, &n);
        snprintf(name, sizeof name, "%s.grad%d", set, i);
        gradient[i] = read_doubles(s, name, &n);
        tn_tensor *w = tn_params_add(p, name, 1, &n);
        for (int64_t k = 0; k < n; k++)
            w->g[k] = (tn_real)gradient[i][k];
        w->has_grad = true;
    }
    tn_error e = { 0 };
    tn_optim *o = tn_optim_new(p, tn_optim_find("sgd"),
                               &(tn_optim_options){ .lr = 1, .max_grad_norm = limit }, &e);
    must(&e);
    ck_assert_int_eq(tn_optim_step(o), 0);
    double relative = sizeof(tn_real) == sizeof(float) ? 1e-6 : 1e-14;
    for (int i = 0; i < 4; i++) {
        const tn_tensor *w = tn_params_at(p, i)->w;
        for (int64_t k = 0; k < tn_tensor_count(w); k++)
            ck_assert_msg(fabs(-(double)w->x[k] - clipped[i][k]) <= relative * fabs(clipped[i][k]),
                          "%s: %.17g, expected %.17g", set, -(double)w->x[k], clipped[i][k]);
        free(gradient[i]);
        free(clipped[i]);
    }
    int64_t one;
    char name[64];
    snprintf(name, sizeof name, "%s.total_norm", set);
    double *norm = read_doubles(s, name, &one);
    ck_assert(fabs(tn_optim_grad_norm(o) - *norm) <= relative * *norm);
    free(norm);
    tn_optim_free(o);
    tn_params_free(p);
    tn_context_free(c);
}

START_TEST(clipping_of_torch)
{
    tn_error e = { 0 };
    tn_safetensors *s = tn_safetensors_open(GOLDEN "clip_grad.safetensors", &e);
    must(&e);
    clip(s, "above", 1);
    clip(s, "below", 1);
    clip(s, "zero", 1);
    clip(s, "tiny", 1e-9);
    if (sizeof(tn_real) == sizeof(double))
        clip(s, "huge", 1); /* 5e150 */
    tn_safetensors_close(s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, rates_of_transformers);
    tcase_add_test(c, edges);
    tcase_add_test(c, names);
    tcase_add_test(c, falls);
    tcase_add_test(c, clipping_of_torch);
}
