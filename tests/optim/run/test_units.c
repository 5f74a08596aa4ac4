/* test_units.c - the table of units: pairs by name, weights that are no pair, the state of units. */
#include "tests/support/fixtures.h"
#include "tests/support/optim_named.h"
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <string.h>

START_TEST(pairs_are_found_by_name_in_any_order)
{
    static const char *const one[] = {
        "x.lora_A.weight", "x.lora_B.weight", "y.lora_A.weight", "y.lora_B.weight", "b", NULL
    };
    static const char *const two[] = { "y.lora_B.weight", "b", "x.lora_B.weight", "y.lora_A.weight",
                                       "x.lora_A.weight", NULL };
    static const int64_t d1[][3] = { { 2, 2, 4 }, { 2, 4, 2 }, { 2, 2, 4 }, { 2, 4, 2 }, { 1, 3 } };
    static const int64_t d2[][3] = { { 2, 4, 2 }, { 1, 3 }, { 2, 4, 2 }, { 2, 2, 4 }, { 2, 2, 4 } };
    tn_context *c = tn_context_new(NULL);
    for (const tn_optim_def *const *def = tn_optims; *def; def++) {
        tn_params *p = named(c, one, d1), *q = named(c, two, d2);
        tn_optim *o = named_optimizer(p, (*def)->name, NULL),
                 *u = named_optimizer(q, (*def)->name, NULL);
        for (int k = 0; k < 5; k++) {
            named_gradients(p, k);
            named_gradients(q, k);
            ck_assert_int_eq(tn_optim_step(o), 0);
            ck_assert_int_eq(tn_optim_step(u), 0);
        }
        double close =
            sizeof(tn_real) == sizeof(float) ? 1e-5 : 1e-13; /* sums over units change order */
        for (int i = 0; one[i]; i++) {
            const tn_tensor *a = tn_params_find(p, one[i])->w, *b = tn_params_find(q, one[i])->w;
            for (int64_t k = 0; k < tn_tensor_count(a); k++)
                ck_assert_msg(fabs((double)(a->x[k] - b->x[k])) < close, "%s: %s differs",
                              (*def)->name, one[i]);
        }
        tn_optim_free(o);
        tn_optim_free(u);
        tn_params_free(p);
        tn_params_free(q);
    }
    tn_context_free(c);
}
END_TEST

START_TEST(what_is_no_pair_is_refused)
{
    static const char *const names[] = { "x.lora_A.weight", "x.lora_B.weight", NULL };
    static const int64_t good[][3] = { { 2, 2, 4 }, { 2, 4, 2 } },
                         bad[][3] = { { 2, 2, 4 }, { 2, 4, 3 } };
    static const int64_t wide[][3] = { { 2, 5, 9 }, { 2, 4, 5 } };
    tn_context *c = tn_context_new(NULL);
    tn_optim_options o = { .weight_decay = -1 };
    tn_params *p = named(c, names, good);
    tn_params_freeze(p, "*lora_B*");
    named_refused(
        p, "lora-rite", &o, TN_EARG,
        "x.lora_A.weight: its partner x.lora_B.weight is not trained; lora-rite needs both");
    tn_params_free(p);
    p = named(c, names, good);
    tn_params_freeze(p, "*lora_A*");
    named_refused(p, "scaled-gd", &o, TN_EARG,
                  "x.lora_B.weight: its partner x.lora_A.weight is not trained");
    tn_optim *single = named_optimizer(p, "adamw", NULL); /* adamw does not need pairs */
    tn_optim_free(single);
    named_refused(p, "adamw",
                  &(tn_optim_options){ .weight_decay = -1,
                                       .set = (const char *[]){ "balora=1", NULL } },
                  TN_EARG, "its partner x.lora_A.weight is not trained; balora needs both");
    tn_params_free(p);
    p = named(c, names, bad);
    named_refused(p, "lora-rite", &o, TN_ESHAPE,
                  "x: lora_A is (2,4) and lora_B (4,3); expected (R,in) and (out,R)");
    tn_params_free(p);
    p = named(c, names, wide);
    named_refused(p, "lora-rite", &o, TN_ESHAPE, "x: rank 5 is above min(in, out) = min(9, 4)");
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

/* A bias and a matrix, with a pair or alone: AdamW trains them, with its own defaults and the
   schedule. With a pair the rate is fallback_lr, by default that of AdamW; alone it is the
   optimizer's rate. */
START_TEST(what_is_left_over_goes_to_adamw)
{
    static const char *const names[] = { "x.lora_A.weight", "x.lora_B.weight", "bias",
                                         "head.weight", NULL };
    static const int64_t dims[][3] = { { 2, 2, 4 }, { 2, 4, 2 }, { 1, 6 }, { 2, 3, 5 } };
    static const struct {
        const char *name, *set;
        bool alone;
        double rate;
    } runs[] = {
        { "lora-rite", NULL, false, 0 },
        { "scaled-gd", "fallback_lr=0.02", false, 0.02 },
        { "scaled-adam", NULL, true, 0.1 },
        { "lora-muon", "fallback_lr=0.02", true, 0.1 },
    };
    tn_context *c = tn_context_new(NULL);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        tn_params *p = named(c, names + 2 * runs[i].alone, dims + 2 * runs[i].alone),
                  *q = named(c, names + 2, dims + 2);
        tn_error e = { 0 };
        tn_schedule schedule = { .kind = TN_LINEAR, .steps = 6, .warmup = 2 };
        tn_optim *o =
            tn_optim_new(p, tn_optim_find(runs[i].name),
                         &(tn_optim_options){ .lr = 0.1,
                                              .weight_decay = 0,
                                              .schedule = schedule,
                                              .set = (const char *const[]){ runs[i].set, NULL } },
                         &e);
        tn_optim *u = tn_optim_new(q, tn_optim_find("adamw"),
                                   &(tn_optim_options){ .lr = runs[i].rate,
                                                        .weight_decay = -1,
                                                        .max_grad_norm = 0,
                                                        .schedule = schedule },
                                   &e);
        must(&e);
        double rate;
        ck_assert_int_eq(tn_optim_left_over(o, &rate), 21);
        ck_assert(rate == tn_optim_hyper(u, "lr"));
        ck_assert_int_eq(tn_optim_left_over(u, &rate), 0);
        for (int k = 0; k < 6; k++) {
            named_gradients(p, k);
            named_gradients(q, k);
            ck_assert_int_eq(tn_optim_step(o), 0);
            ck_assert_int_eq(tn_optim_step(u), 0);
        }
        for (int k = 2; k < 4; k++) {
            const tn_tensor *a = tn_params_find(p, names[k])->w,
                            *b = tn_params_find(q, names[k])->w;
            ck_assert_mem_eq(a->x, b->x, (size_t)tn_tensor_count(a) * sizeof *a->x);
        }
        tn_optim_free(o);
        tn_optim_free(u);
        tn_params_free(p);
        tn_params_free(q);
    }
    tn_context_free(c);
}
END_TEST

START_TEST(state_is_named_and_counted)
{
    static const char *const names[] = { "x.lora_A.weight", "x.lora_B.weight", "bias", NULL };
    static const int64_t dims[][3] = { { 2, 2, 5 }, { 2, 4, 2 }, { 1, 3 } };
    static const struct {
        const char *name, *set;
        size_t reals, doubles;
        int blocks;
        const char *one;
    } want[] = {
        { "sgd", NULL, 0, 0, 0, NULL },
        { "sgd", "momentum=0.9", 21, 0, 3, "v.bias" },
        { "adam", NULL, 42, 0, 6, "m.x.lora_B.weight" },
        { "adamw", NULL, 42, 0, 6, "v.x.lora_A.weight" },
        { "scaled-gd", NULL, 6, 0, 2, "m.bias" }, /* state of the fallback */
        { "scaled-adam", NULL, 42, 0, 6, "m.x.lora_A.weight" },
        { "lora-rite", NULL, 42, 18, 12, "v.B.x" },
        { "lion", NULL, 21, 0, 3, "m.x.lora_A.weight" },
        { "lamb", NULL, 42, 0, 6, "v.bias" },
        { "rmsprop", NULL, 21, 0, 3, "v.bias" },
        { "rmsprop", "centered=1", 42, 0, 6, "a.x.lora_B.weight" },
        { "rmsprop", "momentum=0.5", 42, 0, 6, "b.x.lora_A.weight" },
        { "loraplus", NULL, 42, 0, 6, "m.x.lora_B.weight" },
        { "adafactor", NULL, 19, 0, 6, "C.x.lora_B.weight" }, /* 7 + 6 of matrices, 6 of the bias */
        { "projected-gd", NULL, 6, 0, 2, "m.bias" },
        { "lora-rite-paper", NULL, 42, 18, 12, "rho.A.x" },
        { "muon", NULL, 24, 0, 4, "m.x.lora_B.weight" },
        { "shampoo", NULL, 6, 49, 6, "L.x.lora_B.weight" },
        { "shampoo", "interval=10", 6, 98, 10, "root_R.x.lora_A.weight" },
        { "shampoo", "max_side=2", 6, 8, 4, "R.x.lora_B.weight" },
        { "lorafa", NULL, 22, 0, 4, "v.x.lora_B.weight" },
        { "altlora", NULL, 42, 0, 6, "old.x.lora_A.weight" },
        { "altlora-plus", NULL, 60, 0, 8, "old.x.lora_B.weight" },
        { "reflora", NULL, 42, 0, 6, "m.x.lora_A.weight" },
        { "reflora", "adamw=0", 6, 0, 2, "m.bias" },
        { "reflora-s", NULL, 42, 0, 6, "v.x.lora_B.weight" },
        { "adamw", "balora=1", 42, 0, 6, "v.x.lora_A.weight" },
        { "lora-muon", NULL, 42, 8, 8, "c.B.x" },
        { "lora-muon", "gauss_seidel=0", 24, 0, 4, "m.x.lora_B.weight" },
        { "lora-muon", "beta=0", 6, 0, 2, "v.bias" },
        { "lora-tsd", NULL, 6, 0, 2, "m.bias" },
        { "stable-lora", NULL, 42, 1, 7, "ended.x" },
        { "sgd-sai", NULL, 21, 3, 6, "q.x.lora_A.weight" },
    };
    tn_context *c = tn_context_new(NULL);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        tn_params *p = named(c, names, dims);
        tn_optim *o = named_optimizer(p, want[i].name, (const char *const[]){ want[i].set, NULL });
        tn_state_block b;
        int blocks = 0;
        bool found = !want[i].one;
        size_t bytes = 0;
        for (; tn_optim_state(o, blocks, &b); blocks++) {
            found = found || !strcmp(b.name, want[i].one);
            bytes += (size_t)b.n * (b.real ? sizeof(tn_real) : sizeof(double));
            ck_assert_uint_eq((uintptr_t)b.data % 64, 0);
            for (int64_t k = 0; k < b.n; k++) /* state starts as zeros */
                ck_assert(b.real ? ((tn_real *)b.data)[k] == 0 : ((double *)b.data)[k] == 0);
        }
        ck_assert_int_eq(blocks, want[i].blocks);
        ck_assert_msg(found, "%s has no block %s", want[i].name, want[i].one);
        ck_assert_uint_eq(bytes,
                          want[i].reals * sizeof(tn_real) + want[i].doubles * sizeof(double));
        ck_assert_uint_eq(tn_optim_state_bytes(o), bytes);
        tn_optim_free(o);
        tn_params_free(p);
    }
    tn_context_free(c);
}
END_TEST

/* ---- slots of every kind ---- */

/* Slot "half" has state only for lora_B. */
static bool needs(const tn_unit *u, int slot, int k)
{
    return slot != 8 || (k == 1 && u->h[0] > 0);
}

/* These definitions are never run. */
static void stand(tn_unit *u)
{
    (void)u;
}

/* clang-format off */
static const tn_optim_def mixed = {
    .name = "mixed", .hyper = { { "lr", 0.5, TN_ABOVE_0, "learning rate" } }, .pairs = true, .needs = needs,
    .step = stand,
    .slots = { { "s", TN_SCALAR }, { "rr", TN_R_BY_R }, { "b", TN_LIKE_B }, { "x", TN_LIKE_X },
               { "row", TN_ROWS }, { "col", TN_COLS }, { "rows", TN_ROW_SQUARE },
               { "cols", TN_COL_SQUARE }, { "half", TN_ROWS } },
};
/* clang-format on */

START_TEST(slots_of_every_kind)
{
    static const struct {
        const char *name;
        int64_t n;
        bool real;
    } want[] = { /* lora_A (2,5), lora_B (4,2) */
                 { "s.layer0", 1, false },
                 { "rr.layer0", 4, false },
                 { "b.layer0.lora_B.weight", 8, true },
                 { "x.layer0.lora_A.weight", 10, true },
                 { "x.layer0.lora_B.weight", 8, true },
                 { "row.layer0.lora_A.weight", 2, true },
                 { "row.layer0.lora_B.weight", 4, true },
                 { "col.layer0.lora_A.weight", 5, true },
                 { "col.layer0.lora_B.weight", 2, true },
                 { "rows.layer0.lora_A.weight", 4, false },
                 { "rows.layer0.lora_B.weight", 16, false },
                 { "cols.layer0.lora_A.weight", 25, false },
                 { "cols.layer0.lora_B.weight", 4, false },
                 { "half.layer0.lora_B.weight", 4, true }
    };
    enum { BLOCKS = sizeof want / sizeof *want };
    tn_error e = { 0 };
    problem p;
    problem_pair(&p, 4, 5, 2, 1, false);
    p.optim = problem_try(&p, &mixed, "", -1, (tn_schedule){ 0 }, &e);
    must(&e);
    tn_state_block b;
    for (int i = 0; i < BLOCKS; i++) {
        ck_assert(tn_optim_state(p.optim, i, &b));
        ck_assert_str_eq(b.name, want[i].name);
        ck_assert(b.n == want[i].n && b.real == want[i].real);
    }
    ck_assert(!tn_optim_state(p.optim, BLOCKS, &b));
    problem_free(&p);
}
/* clang-format off */
END_TEST

/* An optimizer of single weights keeps a number for each weight, also if balora makes pairs of
   them. */
static const tn_optim_def single = {
    .name = "single", .step = stand, .hyper = { { "lr", 0.5, TN_ABOVE_0, "learning rate" } }, .slots = { { "s", TN_SCALAR } },
};
/* clang-format on */

START_TEST(a_scalar_of_each_weight)
{
    tn_error e = { 0 };
    problem p;
    problem_pair(&p, 4, 5, 2, 1, false);
    for (int k = 0; k < 2; k++) {
        p.optim = problem_try(&p, &single, k ? "balora=1" : "", -1, (tn_schedule){ 0 }, &e);
        must(&e);
        tn_state_block b;
        for (int i = 0; i < 2; i++) {
            ck_assert(tn_optim_state(p.optim, i, &b) && b.n == 1 && !b.real);
            ck_assert_str_eq(b.name, i ? "s.layer0.lora_B.weight" : "s.layer0.lora_A.weight");
        }
        ck_assert(!tn_optim_state(p.optim, 2, &b));
        tn_optim_free(p.optim);
        p.optim = NULL;
    }
    problem_free(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, pairs_are_found_by_name_in_any_order);
    tcase_add_test(c, what_is_no_pair_is_refused);
    tcase_add_test(c, what_is_left_over_goes_to_adamw);
    tcase_add_test(c, state_is_named_and_counted);
    tcase_add_test(c, slots_of_every_kind);
    tcase_add_test(c, a_scalar_of_each_weight);
}
