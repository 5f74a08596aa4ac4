/* test_optim.c - the table of units: pairs by name, settings, refusals, the fallback, state. */
#include "optim/optim.h"
#include "tests/fixtures.h"
#include "tests/optim_problem.h"
#include "tests/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static tn_params *some(tn_context *c, const char *const names[], const int64_t dims[][3])
{
    tn_params *p = tn_params_new(c);
    for (int i = 0; names[i]; i++) {
        tn_tensor *w = tn_params_add(p, names[i], (int)dims[i][0], &dims[i][1]);
        ck_assert_ptr_nonnull(w);
        tn_fill_uniform(w->x, tn_tensor_count(w), 0.5, 1, tn_stream(names[i]));
    }
    return p;
}

static void set_gradients(tn_params *p, int64_t k)
{
    for (int64_t i = 0; i < tn_params_count(p); i++) {
        tn_tensor *w = tn_params_at(p, i)->w;
        for (int64_t j = 0; j < tn_tensor_count(w) && w->wants_grad; j++)
            w->g[j] = (tn_real)sin((double)(tn_stream(tn_params_at(p, i)->name) % 97) +
                                   (double)(7 * k + 3 * j));
        w->has_grad = w->wants_grad;
    }
}

static tn_optim *optimizer(tn_params *p, const char *name, const char *const *set)
{
    tn_error e = { 0 };
    tn_optim *o = tn_optim_new(p, tn_optim_find(name),
                               &(tn_optim_options){ .set = set, .weight_decay = -1 }, &e);
    must(&e);
    return o;
}

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
        tn_params *p = some(c, one, d1), *q = some(c, two, d2);
        tn_optim *o = optimizer(p, (*def)->name, NULL), *u = optimizer(q, (*def)->name, NULL);
        for (int k = 0; k < 5; k++) {
            set_gradients(p, k);
            set_gradients(q, k);
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

static void refused(tn_params *p, const char *name, const tn_optim_options *o, int code,
                    const char *part)
{
    tn_error e = { 0 };
    ck_assert_ptr_null(tn_optim_new(p, tn_optim_find(name), o, &e));
    must_fail(&e, code, part);
}

START_TEST(what_is_no_pair_is_refused)
{
    static const char *const names[] = { "x.lora_A.weight", "x.lora_B.weight", NULL };
    static const int64_t good[][3] = { { 2, 2, 4 }, { 2, 4, 2 } },
                         bad[][3] = { { 2, 2, 4 }, { 2, 4, 3 } };
    static const int64_t wide[][3] = { { 2, 5, 9 }, { 2, 4, 5 } };
    tn_context *c = tn_context_new(NULL);
    tn_optim_options o = { .weight_decay = -1 };
    tn_params *p = some(c, names, good);
    tn_params_freeze(p, "*lora_B*");
    refused(p, "lora-rite", &o, TN_EARG,
            "x.lora_A.weight: its partner x.lora_B.weight is not trained; lora-rite needs both");
    tn_params_free(p);
    p = some(c, names, good);
    tn_params_freeze(p, "*lora_A*");
    refused(p, "scaled-gd", &o, TN_EARG,
            "x.lora_B.weight: its partner x.lora_A.weight is not trained");
    tn_optim *single = optimizer(p, "adamw", NULL); /* a plain optimizer does not mind */
    tn_optim_free(single);
    refused(p, "adamw",
            &(tn_optim_options){ .weight_decay = -1,
                                 .set = (const char *[]){ "balora=1", NULL } },
            TN_EARG, "its partner x.lora_A.weight is not trained; balora needs both");
    tn_params_free(p);
    p = some(c, names, bad);
    refused(p, "lora-rite", &o, TN_ESHAPE,
            "x: lora_A is (2,4) and lora_B (4,3); expected (R,in) and (out,R)");
    tn_params_free(p);
    p = some(c, names, wide);
    refused(p, "lora-rite", &o, TN_ESHAPE, "x: rank 5 is above min(in, out) = min(9, 4)");
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

START_TEST(settings_by_name)
{
    static const char *const names[] = { "x.lora_A.weight", "x.lora_B.weight", NULL };
    static const int64_t dims[][3] = { { 2, 2, 4 }, { 2, 4, 2 } };
    tn_context *c = tn_context_new(NULL);
    tn_params *p = some(c, names, dims);
    static const struct {
        const char *name, *set;
        double decay, norm;
        const char *part;
    } wrong[] = {
        { "lora-rite", "beta=0.5", -1, -1,
          "lora-rite has no setting \"beta\"; the nearest is \"beta1\"" },
        { "lora-rite", "weightdecay=1", -1, -1, "the nearest is \"weight_decay\"" },
        { "sgd", "momentun=0.9", -1, -1, "the nearest is \"momentum\"" },
        { "sgd", "momentum", -1, -1, "\"momentum\" is no setting; expected momentum=NUMBER" },
        { "sgd", "momentum=", -1, -1, "expected momentum=NUMBER" },
        { "sgd", "momentum=0.9x", -1, -1, "expected momentum=NUMBER" },
        { "sgd", "momentum=nan", -1, -1, "expected momentum=NUMBER" },
        { "sgd", "momentum=1", -1, -1, "sgd: momentum must be at least 0 and below 1" },
        { "sgd", "nesterov=1", -1, -1, "nesterov needs a momentum" },
        { "adam", "beta2=1", -1, -1, "beta1 and beta2" },
        { "adamw", "eps=0", -1, -1, "eps must be above 0" },
        { "adamw", "lr=-1", -1, -1, "adamw: lr is -1; expected a number above 0" },
        { "scaled-gd", "delta=-1", -1, -1, "delta must be at least 0" },
        { "scaled-adam", "weight_decay=-1", -1, -1, "weight_decay must be at least 0" },
        { "lora-rite", "clip=-1", -1, -1, "clip, skip, cap" },
        { "lora-rite", "lr=1", -1, 1, "would break its invariance" },
        { "sgd", "balora=3", -1, -1, "sgd: balora must be 0, 1 or 2" },
        { "sgd", "balora_every=1.5", -1, -1, "balora_every must be a whole number above 0" },
        { "sgd", "balor=1", -1, -1, "sgd has no setting \"balor\"; the nearest is \"balora\"" },
        { "lion", "beta1=1", -1, -1, "beta1 and beta2" },
        { "lamb", "clamp=-1", -1, -1, "weight_decay and clamp must be at least 0" },
        { "rmsprop", "alpha=1", -1, -1, "alpha and momentum" },
        { "loraplus", "ratio=0", -1, -1, "ratio must be above 0" },
        { "adafactor", "beta2_decay=0.8", -1, -1, "beta2_decay must be at most 0" },
        { "adafactor", "d=0", -1, -1, "d must be above 0" },
        { "muon", "ns_steps=0", -1, -1, "ns_steps must be at least 1" },
        { "shampoo", "interval=1.5", -1, -1, "interval a whole number and at least 1" },
        { "stable-lora", "shrink=1", -1, -1, "shrink must be at least 0 and below 1" },
        { "sgd-sai", "eps=0", -1, -1, "eps must be above 0" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refused(p, wrong[i].name,
                &(tn_optim_options){ .set = (const char *[]){ wrong[i].set, NULL },
                                     .weight_decay = wrong[i].decay,
                                     .max_grad_norm = wrong[i].norm },
                TN_EARG, wrong[i].part);
    tn_error e = { 0 };
    tn_optim *o = tn_optim_new(
        p, tn_optim_find("lora-rite"),
        &(tn_optim_options){ .lr = 0.5,
                             .weight_decay = 0.25,
                             .max_grad_norm = -1,
                             .set = (const char *[]){ "beta1=0.75", "escape=1", "balora=2", NULL } },
        &e);
    must(&e);
    ck_assert(tn_optim_hyper(o, "lr") == 0.5);
    ck_assert(tn_optim_hyper(o, "beta1") == 0.75);
    ck_assert(tn_optim_hyper(o, "beta2") == 0.999);
    ck_assert(tn_optim_hyper(o, "escape") == 1);
    ck_assert(tn_optim_hyper(o, "weight_decay") == 0.25);
    ck_assert(tn_optim_hyper(o, "skip") == 0);
    ck_assert(tn_optim_hyper(o, "balora") == 2);
    ck_assert(tn_optim_hyper(o, "balora_every") == 1);
    ck_assert(isnan(tn_optim_hyper(o, "nothing")));
    ck_assert_ptr_eq(tn_optim_definition(o), tn_optim_find("lora-rite"));
    tn_optim_free(o);
    ck_assert_ptr_null(tn_optim_find("adamax"));
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

START_TEST(presets_are_settings_that_pass)
{
    static const char *const names[] = { "x.lora_A.weight", "x.lora_B.weight", NULL };
    static const int64_t dims[][3] = { { 2, 2, 4 }, { 2, 4, 2 } };
    tn_context *c = tn_context_new(NULL);
    tn_params *p = some(c, names, dims);
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int i = 0; i < TN_MAX_PRESETS && (*def)->presets[i].name; i++) {
            char set[64];
            snprintf(set, sizeof set, "preset=%s", (*def)->presets[i].name);
            tn_optim_free(optimizer(p, (*def)->name, (const char *const[]){ set, NULL }));
        }
    tn_optim *o = optimizer(p, "muon", (const char *const[]){ "preset=moonlight", NULL });
    ck_assert(tn_optim_hyper(o, "match_rms") == 1);
    ck_assert(tn_optim_hyper(o, "lr") == 0.001);
    tn_optim_free(o);
    refused(p, "muon", &(tn_optim_options){ .set = (const char *[]){ "preset=jordan", NULL },
                                            .weight_decay = -1 },
            TN_EARG, "muon has no preset \"jordan\"");
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

/* A bias and a matrix beside a pair: AdamW, at the schedule's rate, with its own defaults. */
START_TEST(what_is_left_over_goes_to_adamw)
{
    static const char *const names[] = { "x.lora_A.weight", "bias", "x.lora_B.weight",
                                         "head.weight", NULL };
    static const int64_t dims[][3] = { { 2, 2, 4 }, { 1, 6 }, { 2, 4, 2 }, { 2, 3, 5 } };
    static const char *const others[] = { "bias", "head.weight", NULL };
    static const int64_t other_dims[][3] = { { 1, 6 }, { 2, 3, 5 } };
    tn_context *c = tn_context_new(NULL);
    static const char *const pair_names[] = { "lora-rite", "scaled-gd", "scaled-adam" };
    for (int i = 0; i < 3; i++) {
        tn_params *p = some(c, names, dims), *q = some(c, others, other_dims);
        tn_error e = { 0 };
        tn_schedule schedule = { .kind = TN_LINEAR, .steps = 6, .warmup = 2 };
        tn_optim *o = tn_optim_new(
            p, tn_optim_find(pair_names[i]),
            &(tn_optim_options){ .lr = 0.1, .weight_decay = 0.5, .schedule = schedule }, &e);
        tn_optim *u = tn_optim_new(
            q, tn_optim_find("adamw"),
            &(tn_optim_options){ .lr = 0.1, .weight_decay = -1, .schedule = schedule }, &e);
        must(&e);
        for (int k = 0; k < 6; k++) {
            set_gradients(p, k);
            set_gradients(q, k);
            ck_assert_int_eq(tn_optim_step(o), 0);
            ck_assert_int_eq(tn_optim_step(u), 0);
        }
        for (int k = 0; k < 2; k++) {
            const tn_tensor *a = tn_params_find(p, others[k])->w,
                            *b = tn_params_find(q, others[k])->w;
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

START_TEST(decay_falls_on_matrices)
{
    static const char *const names[] = { "w", "b", NULL };
    static const int64_t dims[][3] = { { 2, 2, 3 }, { 1, 3 } };
    tn_context *c = tn_context_new(NULL);
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int everywhere = 0; everywhere < 2 && (*def)->decay && !(*def)->pairs; everywhere++) {
            tn_params *p = some(c, names, dims), *before = some(c, names, dims);
            tn_error e = { 0 };
            tn_optim *o = tn_optim_new(p, *def, &(tn_optim_options){ .lr = 0.1, .weight_decay = 0.5,
                                                                     .decay_all = everywhere }, &e);
            must(&e);
            ck_assert_int_eq(tn_optim_step(o), 0); /* no gradient at all: decay alone */
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
        { "scaled-gd", NULL, 6, 0, 2, "m.bias" }, /* of the fallback */
        { "scaled-adam", NULL, 42, 0, 6, "m.x.lora_A.weight" },
        { "lora-rite", NULL, 42, 18, 12, "v.B.x" },
        { "lion", NULL, 21, 0, 3, "m.x.lora_A.weight" },
        { "lamb", NULL, 42, 0, 6, "v.bias" },
        { "rmsprop", NULL, 21, 0, 3, "v.bias" },
        { "rmsprop", "centered=1", 42, 0, 6, "a.x.lora_B.weight" },
        { "rmsprop", "momentum=0.5", 42, 0, 6, "b.x.lora_A.weight" },
        { "loraplus", NULL, 42, 0, 6, "m.x.lora_B.weight" },
        { "adafactor", NULL, 19, 0, 6, "C.x.lora_B.weight" }, /* 7 + 6 of matrices, 6 of the bias */
        { "lora-pro", NULL, 6, 0, 2, "m.bias" },
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
        { "lora-muon", NULL, 24, 0, 4, "m.x.lora_B.weight" },
        { "lora-muon", "beta=0", 6, 0, 2, "v.bias" },
        { "lora-tsd", NULL, 6, 0, 2, "m.bias" },
        { "stable-lora", NULL, 42, 1, 7, "ended.x" },
        { "sgd-sai", NULL, 21, 3, 6, "q.x.lora_A.weight" },
    };
    tn_context *c = tn_context_new(NULL);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        tn_params *p = some(c, names, dims);
        tn_optim *o = optimizer(p, want[i].name, (const char *const[]){ want[i].set, NULL });
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

START_TEST(a_step_ends_with_zero_gradients_and_counts)
{
    static const char *const names[] = { "w", NULL };
    static const int64_t dims[][3] = { { 2, 2, 3 } };
    tn_context *c = tn_context_new(NULL);
    tn_params *p = some(c, names, dims);
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
    ck_assert_int_eq(tn_optim_step(o), 0); /* what is left in w->g counts for nothing */
    ck_assert((double)w->x[0] == x);
    ck_assert(tn_optim_grad_norm(o) == 0);
    ck_assert_int_eq(tn_optim_error(o)->code, 0);
    tn_optim_free(o);
    tn_optim_free(NULL);
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

/* ---- a definition without a row of its own ---- */

/* x -= lr; refuses gradients above 1. */
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
    .name = "steady", .hyper = { { "lr", 0.5, "learning rate" } },
    .measure = measure_below_one, .step = descend,
};

START_TEST(what_measure_refuses_moves_nothing)
{
    static const char *const names[] = { "w", "x", NULL };
    static const int64_t dims[][3] = { { 1, 2 }, { 1, 2 } };
    tn_context *c = tn_context_new(NULL);
    tn_params *p = some(c, names, dims);
    tn_error e = { 0 };
    tn_optim *o = tn_optim_new(p, &steady, &(tn_optim_options){ .weight_decay = -1 }, &e);
    must(&e);
    for (int wrong = 1; wrong >= 0; wrong--) {
        double x = (double)tn_params_at(p, 0)->w->x[0];
        set_gradients(p, 1);
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
    tcase_add_test(c, pairs_are_found_by_name_in_any_order);
    tcase_add_test(c, what_is_no_pair_is_refused);
    tcase_add_test(c, settings_by_name);
    tcase_add_test(c, presets_are_settings_that_pass);
    tcase_add_test(c, what_is_left_over_goes_to_adamw);
    tcase_add_test(c, decay_falls_on_matrices);
    tcase_add_test(c, state_is_named_and_counted);
    tcase_add_test(c, a_step_ends_with_zero_gradients_and_counts);
    tcase_add_test(c, what_measure_refuses_moves_nothing);
}
