/* test_step.c - gradients, counts, decay, threads and refusals of a step, for every optimizer.
   test_units.c has units and their state, test_settings.c the settings. */
#include "tests/support/busy.h"
#include "tests/support/fixtures.h"
#include "tests/support/optim_named.h"
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <string.h>

START_TEST(decay_falls_on_matrices)
{
    static const char *const names[] = { "w", "b", NULL };
    static const int64_t dims[][3] = { { 2, 2, 3 }, { 1, 3 } };
    tn_context *c = tn_context_new(NULL);
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int everywhere = 0; everywhere < 2 && (*def)->decay && !(*def)->pairs; everywhere++) {
            tn_params *p = named(c, names, dims), *before = named(c, names, dims);
            tn_error e = { 0 };
            tn_optim *o = tn_optim_new(
                p, *def,
                &(tn_optim_options){ .lr = 0.1, .weight_decay = 0.5, .decay_all = everywhere }, &e);
            must(&e);
            ck_assert_int_eq(tn_optim_step(o), 0); /* no gradient: only decay */
            for (int i = 0; i < 2; i++)
                for (int k = 0; k < 3; k++) {
                    double x = (double)tn_params_at(p, i)->w->x[k],
                           x0 = (double)tn_params_at(before, i)->w->x[k];
                    ck_assert_msg((x != x0) == (i == 0 || everywhere), "%s: %s", (*def)->name,
                                  names[i]);
                    bool l2 = !strcmp((*def)->name, "adam") || !strcmp((*def)->name, "rmsprop");
                    ck_assert(fabs(x) <= fabs(x0) || l2);
                }
            tn_optim_free(o);
            tn_params_free(p);
            tn_params_free(before);
        }
    tn_context_free(c);
}
END_TEST

START_TEST(a_step_ends_with_zero_gradients_and_counts)
{
    static const char *const names[] = { "w", NULL };
    static const int64_t dims[][3] = { { 2, 2, 3 } };
    tn_context *c = tn_context_new(NULL);
    tn_params *p = named(c, names, dims);
    tn_error e = { 0 };
    tn_optim *o =
        tn_optim_new(p, tn_optim_find("sgd"),
                     &(tn_optim_options){
                         .lr = 2, .weight_decay = -1, .schedule = { TN_CONSTANT, 10, 4, 0, 0 } },
                     &e);
    must(&e);
    tn_tensor *w = tn_params_at(p, 0)->w;
    for (int i = 0; i < 6; i++)
        w->g[i] = (tn_real)(i == 0 ? 3 : i == 1 ? 4 : 0);
    w->has_grad = true;
    ck_assert_int_eq(tn_optim_step(o), 0);
    ck_assert(!w->has_grad);
    ck_assert(tn_optim_lr(o) == 0.5);
    ck_assert(tn_optim_grad_norm(o) == 5);
    ck_assert_int_eq(tn_optim_steps(o), 1);
    double x = (double)w->x[0];
    ck_assert_int_eq(tn_optim_step(o), 0); /* old numbers in w->g do not count */
    ck_assert((double)w->x[0] == x);
    ck_assert(tn_optim_grad_norm(o) == 0);
    ck_assert_int_eq(tn_optim_error(o)->code, 0);
    tn_params_freeze(p, "*");
    ck_assert_int_eq(tn_optim_step(o), TN_ESTATE);
    ck_assert_str_eq(tn_optim_error(o)->text,
                     "w: frozen after the optimizer was made; expected before");
    tn_optim_free(o);
    tn_optim_free(NULL);
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

/* While another thread is inside a call of the context, a step is refused and changes nothing. */
START_TEST(a_step_on_a_second_thread_is_refused)
{
    static const char *const names[] = { "w", NULL };
    static const int64_t dims[][3] = { { 2, 2, 3 } };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 2 });
    tn_params *p = named(c, names, dims);
    tn_error e = { 0 };
    tn_optim *o = tn_optim_new(p, tn_optim_find("adamw"), &(tn_optim_options){ .lr = 0.1 }, &e);
    must(&e);
    tn_tensor *w = tn_params_at(p, 0)->w;
    for (int i = 0; i < 6; i++)
        w->g[i] = 1;
    w->has_grad = true;
    uint64_t before = tn_params_hash(p, false);
    busy other;
    busy_begin(&other, c);
    ck_assert_int_eq(tn_optim_step(o), TN_ESTATE);
    ck_assert_str_eq(tn_optim_error(o)->text,
                     "step 1: the context runs on another thread; expected one thread at a time");
    busy_end(&other);
    ck_assert(tn_params_hash(p, false) == before && w->has_grad && tn_optim_steps(o) == 0);
    ck_assert_int_eq(tn_optim_step(o), 0);
    ck_assert(tn_params_hash(p, false) != before);
    tn_optim_free(o);
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

/* Runs 8 steps of six pairs and a long vector, with active clipping, on this many threads. */
static uint64_t run_threads(const tn_optim_def *def, int threads, const char *isa, const char *set)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = threads, .isa = isa });
    tn_params *p = tn_params_new(c);
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 2; k++) {
            char name[32] = "0.lora_A.weight";
            name[0] = (char)('0' + i);
            name[7] = "AB"[k];
            int64_t r = 3 + i % 3, in = 130 + i, out = 300 - 7 * i;
            tn_tensor *w =
                tn_params_add(p, name, 2, k ? (int64_t[]){ out, r } : (int64_t[]){ r, in });
            tn_fill_normal(w->x, tn_tensor_count(w), 0.1, 1, tn_stream(name));
        }
    tn_params_add(p, "long", 1, (int64_t[]){ 100000 });
    tn_error e = { 0 };
    tn_optim *o = tn_optim_new(p, def,
                               &(tn_optim_options){ .lr = 0.01,
                                                    .set = (const char *const[]){ set, NULL },
                                                    .weight_decay = def->decay ? 0.1 : -1,
                                                    .max_grad_norm = -1 },
                               &e);
    must(&e);
    for (int t = 0; t < 8; t++) {
        for (int64_t i = 0; i < tn_params_count(p); i++) {
            tn_tensor *w = tn_params_at(p, i)->w;
            tn_fill_normal(w->g, tn_tensor_count(w), 0.1, (uint64_t)t, (uint64_t)i);
            w->has_grad = true;
        }
        ck_assert_msg(tn_optim_step(o) == 0, "%s", tn_optim_error(o)->text);
    }
    uint64_t h = state_hash(p, o);
    tn_optim_free(o);
    tn_params_free(p);
    tn_context_free(c);
    return h;
}

START_TEST(threads_and_vectors_change_no_bit)
{
    for (const tn_optim_def *const *def = tn_optims; *def; def++) {
        uint64_t one = run_threads(*def, 1, NULL, NULL),
                 balanced = run_threads(*def, 1, NULL, "balora=2");
        for (int threads = 2; threads <= 7; threads++)
            ck_assert_msg(run_threads(*def, threads, NULL, NULL) == one, "%s on %d threads",
                          (*def)->name, threads);
        ck_assert_msg(run_threads(*def, 2, "scalar", NULL) == one, "%s without vectors",
                      (*def)->name);
        ck_assert(balanced != one);
        ck_assert_msg(run_threads(*def, 7, NULL, "balora=2") == balanced,
                      "%s on 7 threads with balora", (*def)->name);
        ck_assert_msg(run_threads(*def, 2, "scalar", "balora=2") == balanced,
                      "%s with balora, without vectors", (*def)->name);
    }
}
END_TEST

START_TEST(a_gradient_that_is_not_finite_is_refused_as_a_whole)
{
    static const double bad[] = { NAN, INFINITY, -INFINITY };
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int k = 0; k < 6; k++) {
            problem p;
            problem_new(&p, 2, (pair_size[]){ { 7, 5, 2, 2 }, { 6, 9, 3, 2 } }, 4);
            problem_optimizer(&p, (*def)->name, "", 0);
            double target[54] = { 1, 2, 3 };
            for (int t = 0; t < 3; t++) {
                for (int i = 0; i < 2; i++) {
                    tn_fill_normal(p.a[i]->x, 2, 0.5, (uint64_t)t, 9);
                    problem_gradients(&p, i, target, 1);
                }
                if (t == 2)
                    (k % 2 ? p.b[1] : p.a[0])->g[4] = (tn_real)bad[k / 2];
                uint64_t before = state_hash(p.params, p.optim);
                int code = tn_optim_step(p.optim);
                ck_assert_int_eq(code, t == 2 ? TN_ENONFINITE : 0);
                if (t < 2)
                    continue;
                ck_assert_msg(state_hash(p.params, p.optim) == before, "%s changed something",
                              (*def)->name);
                ck_assert_ptr_nonnull(strstr(tn_optim_error(p.optim)->text,
                                             k % 2 ? "gradient of layer1.lora_B.weight"
                                                   : "gradient of layer0.lora_A.weight"));
                ck_assert_int_eq(tn_optim_steps(p.optim), 2);
                for (int i = 0; i < 2; i++)
                    problem_gradients(&p, i, target, 1);
                problem_step(&p); /* the run continues */
            }
            problem_free(&p);
        }
}
END_TEST

/* ---- a definition that is not in the table ---- */

/* Its step is x -= lr. It refuses gradients above 1. */
static double measure_below_one(tn_unit *u)
{
    return u->f[0].g[0] > 1 ? HUGE_VAL : 0;
}

static void descend(tn_unit *u)
{
    for (int64_t i = 0; i < u->f[0].n; i++)
        u->f[0].x[i] -= (tn_real)u->lr;
}

static const tn_optim_def steady = {
    .name = "steady",
    .hyper = { { "lr", 0.5, TN_ABOVE_0, "learning rate" } },
    .measure = measure_below_one,
    .step = descend,
};

/* BROKEN: two weights were added by one name, so the params hold an error. */
enum { FINE, BROKEN, ABSENT };

/* clang-format off */
static const struct {
    const char *text;
    int params;         /* FINE, BROKEN or ABSENT */
    const char *name, *lr, *decay;
    void (*step)(tn_unit *u);
    tn_schedule schedule;
    double max_grad_norm;
} refused[] = {
    { "the params hold an error: w: there is", BROKEN, "own", "lr", NULL, descend, { 0 }, 0 },
    { "no params are given", ABSENT, "own", "lr", NULL, descend, { 0 }, 0 },
    { "has no .name", FINE, NULL, "lr", NULL, descend, { 0 }, 0 },
    { "own: hyper[0] is empty; expected \"lr\"", FINE, "own", NULL, NULL, descend, { 0 }, 0 },
    { "own: hyper[0] is rate; expected \"lr\"", FINE, "own", "rate", NULL, descend, { 0 }, 0 },
    { "own has no .step", FINE, "own", "lr", NULL, NULL, { 0 }, 0 },
    { "own: .decay is wd; expected a name", FINE, "own", "lr", "wd", descend, { 0 }, 0 },
    { "max_grad_norm is nan", FINE, "own", "lr", NULL, descend, { 0 }, NAN },
    { "max_grad_norm is inf", FINE, "own", "lr", NULL, descend, { 0 }, INFINITY },
    { "schedule: 0 steps; expected at least 1", FINE, "own", "lr", NULL, descend, { .kind = TN_LINEAR }, 0 },
    { "schedule: 0 steps; expected at least 1", FINE, "own", "lr", NULL, descend, { .kind = TN_COSINE }, 0 },
    { "schedule: 0 steps; expected at least 1", FINE, "own", "lr", NULL, descend, { .kind = TN_WSD }, 0 },
    { "schedule: -1 steps; expected 0", FINE, "own", "lr", NULL, descend, { .steps = -1 }, 0 },
    { "schedule: kind 77", FINE, "own", "lr", NULL, descend, { .kind = (tn_schedule_kind)77 }, 0 },
    { "a warm-up of -3 steps", FINE, "own", "lr", NULL, descend, { .warmup = -3 }, 0 },
    { "a rate of -1 at the end", FINE, "own", "lr", NULL, descend, { TN_LINEAR, 5, 0, -1, 0 }, 0 },
    { "a rate of nan at the end", FINE, "own", "lr", NULL, descend, { TN_COSINE, 5, 0, NAN, 0 }, 0 },
    { "the last 6 steps fall; expected 0 to 5", FINE, "own", "lr", NULL, descend, { TN_WSD, 5, 0, 0, 6 }, 0 },
};
/* clang-format on */

START_TEST(new_refuses)
{
    static const char *const names[] = { "w", NULL };
    static const int64_t dims[][3] = { { 1, 2 } };
    tn_context *c = tn_context_new(NULL);
    tn_params *p = named(c, names, dims);
    tn_optim_def def = { .name = refused[_i].name,
                         .decay = refused[_i].decay,
                         .step = refused[_i].step };
    def.hyper[0] = (tn_hyper){ refused[_i].lr, 0.5, TN_ABOVE_0, "learning rate" };
    tn_optim_options how = { .weight_decay = -1,
                             .schedule = refused[_i].schedule,
                             .max_grad_norm = refused[_i].max_grad_norm };
    if (refused[_i].params == BROKEN)
        tn_params_add(p, "w", 1, (int64_t[]){ 2 });
    tn_error e = { 0 };
    ck_assert_ptr_null(tn_optim_new(refused[_i].params == ABSENT ? NULL : p, &def, &how, &e));
    ck_assert_int_eq(e.code, TN_EARG);
    ck_assert_msg(strstr(e.text, refused[_i].text), "%s", e.text);
    ck_assert_ptr_null(tn_optim_new(p, &def, &how, NULL));
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

/* Without options an optimizer has its defaults and a constant rate. A schedule that does not end
   needs no number of steps. */
START_TEST(new_takes_what_is_complete)
{
    static const char *const names[] = { "w", NULL };
    static const int64_t dims[][3] = { { 1, 2 } };
    static const tn_schedule_kind endless[] = { TN_CONSTANT, TN_INVERSE_SQRT };
    tn_context *c = tn_context_new(NULL);
    tn_params *p = named(c, names, dims);
    for (int k = -1; k < 2; k++) {
        tn_error e = { 0 };
        tn_optim_options how = { .weight_decay = -1,
                                 .schedule.kind = k < 0 ? TN_CONSTANT : endless[k] };
        tn_optim *o = tn_optim_new(p, tn_optim_find("adamw"), k < 0 ? NULL : &how, &e);
        must(&e);
        ck_assert_int_eq(tn_optim_step(o), 0);
        ck_assert_double_eq(tn_optim_lr(o), tn_optim_find("adamw")->hyper[0].value);
        tn_optim_free(o);
    }
    ck_assert_ptr_null(tn_optim_find(NULL));
    ck_assert_int_eq(tn_schedule_find(NULL), -1);
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

START_TEST(what_measure_refuses_moves_nothing)
{
    static const char *const names[] = { "w", "x", NULL };
    static const int64_t dims[][3] = { { 1, 2 }, { 1, 2 } };
    tn_context *c = tn_context_new(NULL);
    tn_params *p = named(c, names, dims);
    tn_error e = { 0 };
    tn_optim *o = tn_optim_new(p, &steady, &(tn_optim_options){ .weight_decay = -1 }, &e);
    must(&e);
    for (int wrong = 1; wrong >= 0; wrong--) {
        double x = (double)tn_params_at(p, 0)->w->x[0];
        named_gradients(p, 1);
        tn_params_at(p, 1)->w->g[0] = (tn_real)(wrong ? 2 : 0.5);
        ck_assert_int_eq(tn_optim_step(o), wrong ? TN_ENONFINITE : 0);
        ck_assert_double_eq_tol((double)tn_params_at(p, 0)->w->x[0], wrong ? x : x - 0.5, 1e-6);
        ck_assert_int_eq(tn_optim_steps(o), !wrong);
        if (wrong)
            ck_assert_str_eq(tn_optim_error(o)->text,
                             "step 1: the gradients are too large for steady; nothing was changed");
    }
    tn_optim_free(o);
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, decay_falls_on_matrices);
    tcase_add_test(c, a_step_ends_with_zero_gradients_and_counts);
    tcase_add_test(c, a_step_on_a_second_thread_is_refused);
    tcase_add_test(c, threads_and_vectors_change_no_bit);
    tcase_add_test(c, a_gradient_that_is_not_finite_is_refused_as_a_whole);
    tcase_add_loop_test(c, new_refuses, 0, sizeof refused / sizeof *refused);
    tcase_add_test(c, new_takes_what_is_complete);
    tcase_add_test(c, what_measure_refuses_moves_nothing);
}
