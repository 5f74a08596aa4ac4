/* test_properties.c - what must hold of the optimizers by their definition, whatever the numbers.
   Resuming is in test_checkpoint.c. */
#include "tests/fixtures.h"
#include "tests/optim_problem.h"
#include "tests/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the plain optimizers written once more ---- */

typedef struct plain {
    const char *name, *settings;
    double l2, decay, mu;
    bool nesterov, adam;
} plain;

START_TEST(semantics_of_torch)
{
    static const plain all[] = {
        { "sgd", "lr=0.1", 0, 0, 0, false, false },
        { "sgd", "lr=0.1 momentum=0.9 weight_decay=0.1", 0.1, 0, 0.9, false, false },
        { "sgd", "lr=0.1 momentum=0.9 nesterov=1 weight_decay=0.1", 0.1, 0, 0.9, true, false },
        { "adam", "lr=0.1 weight_decay=0.1", 0.1, 0, 0, false, true },
        { "adamw", "lr=0.1 weight_decay=0.1", 0, 0.1, 0, false, true },
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        const plain *o = &all[k];
        problem p;
        problem_pair(&p, 1, 1, 1, 1, false);
        problem_optimizer(&p, o->name, o->settings, 0);
        double x = (double)p.b[0]->x[0], m = 0, v = 0;
        for (int t = 1; t <= 50; t++) {
            double raw = normal(5, t);
            p.b[0]->g[0] = (tn_real)raw;
            p.b[0]->has_grad = true;
            problem_step(&p);
            x *= 1 - 0.1 * o->decay;
            double g = raw + o->l2 * x;
            if (o->adam) {
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                x -= 0.1 * (m / (1 - pow(0.9, t))) / (sqrt(v / (1 - pow(0.999, t))) + 1e-8);
            } else {
                m = o->mu * m + g;
                x -= 0.1 * (o->nesterov ? g + o->mu * m : m);
            }
            ck_assert_msg(fabs((double)p.b[0]->x[0] - x) < limit_of(1e-13, 1e-5),
                          "%s %s: step %d: %.17g, expected %.17g", o->name, o->settings, t,
                          (double)p.b[0]->x[0], x);
        }
        problem_free(&p);
    }
}
END_TEST

/* AMSGrad: at beta2 = 0.5 the second moment falls at every other step, its largest value does not. */
START_TEST(amsgrad_keeps_the_largest)
{
    static const char *const names[] = { "adam", "adamw" };
    for (int k = 0; k < 2; k++) {
        problem p;
        problem_pair(&p, 1, 1, 1, 1, false);
        problem_optimizer(&p, names[k], "lr=0.1 beta2=0.5 weight_decay=0 amsgrad=1", 0);
        double x = (double)p.b[0]->x[0], m = 0, v = 0, top = 0;
        for (int t = 1; t <= 20; t++) {
            double g = normal(5, t);
            p.b[0]->g[0] = (tn_real)g;
            p.b[0]->has_grad = true;
            problem_step(&p);
            m = 0.9 * m + 0.1 * g;
            v = 0.5 * v + 0.5 * g * g;
            top = fmax(top, v);
            x -= 0.1 * (m / (1 - pow(0.9, t))) / (sqrt(top / (1 - pow(0.5, t))) + 1e-8);
            ck_assert_double_eq_tol((double)p.b[0]->x[0], x, limit_of(1e-13, 1e-5));
        }
        problem_free(&p);
    }
}
END_TEST

/* ---- ScaledGD ---- */

START_TEST(scaled_gd_moves_the_product_by_projections)
{
    enum { M = 9, N = 7, R = 3 };
    problem p;
    problem_pair(&p, M, N, R, 1, false);
    problem_optimizer(&p, "scaled-gd", "lr=0.1 delta=0", 0);
    double *g = normals(M * N, 1), *a = problem_factor(&p, true), *b = problem_factor(&p, false),
           before[M * N], after[M * N];
    double *pa = projector(M, R, a), *pb = projector(N, R, b), left[M * N], right[M * N];
    multiply(M, M, N, pa, g, false, left);
    multiply(M, N, N, g, pb, false, right);
    problem_product(&p, 0, before);
    problem_set_gradient(&p, g);
    problem_step(&p);
    problem_product(&p, 0, after);
    double *a1 = problem_factor(&p, true), *b1 = problem_factor(&p, false), da[M * R], db[N * R],
           cross[M * N];
    for (int i = 0; i < M * R; i++)
        da[i] = a1[i] - a[i];
    for (int i = 0; i < N * R; i++)
        db[i] = b1[i] - b[i];
    multiply(M, R, N, da, db, true, cross); /* eta^2 ~gA ~gB^T */
    double slope = 0, squares = 0;
    for (int i = 0; i < M * N; i++) {
        double first = (after[i] - before[i] - cross[i]) / -0.1; /* P_A G + G P_B */
        ck_assert_double_eq_tol(first, left[i] + right[i], limit_of(1e-13, 1e-5));
        slope += g[i] * first;
        squares += left[i] * left[i] + right[i] * right[i];
    }
    ck_assert_double_eq_tol(slope / squares, 1, limit_of(1e-12, 1e-5));
    double *all[] = { g, a, b, pa, pb, a1, b1 };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    problem_free(&p);
}
END_TEST

/* ---- lack of rank ---- */

START_TEST(rite_moves_under_gradients_of_rank_one)
{
    problem p;
    problem_pair(&p, 9, 7, 4, 2, false);
    problem_optimizer(&p, "lora-rite", "lr=0.001", 0);
    for (int t = 0; t < 200; t++) {
        double g[63];
        for (int i = 0; i < 9; i++)
            for (int j = 0; j < 7; j++)
                g[i * 7 + j] = normal(1, t * 9 + i) * normal(2, t * 7 + j);
        double *a = problem_factor(&p, true), *b = problem_factor(&p, false), da = 0, db = 0;
        problem_set_gradient(&p, g);
        problem_step(&p);
        double *a1 = problem_factor(&p, true), *b1 = problem_factor(&p, false);
        for (int i = 0; i < 36; i++)
            da += fabs(a1[i] - a[i]);
        for (int i = 0; i < 28; i++)
            db += fabs(b1[i] - b[i]);
        ck_assert_msg(isfinite(da) && da > 0 && isfinite(db) && db > 0,
                      "step %d: moved by %g and %g", t, da, db);
        double *all[] = { a, b, a1, b1 };
        for (int i = 0; i < 4; i++)
            free(all[i]);
    }
    problem_free(&p);
}
END_TEST

/* A pair of rank 3 whose third direction is dead in both factors, turned so that no column shows
   it, moves as the pair of rank 2 does that is left of it. */
START_TEST(dead_directions_are_dropped)
{
    static const double turn[2][3] = { { 2 / 3., -1 / 3., 2 / 3. }, { 2 / 3., 2 / 3., -1 / 3. } };
    static const struct { const char *name, *settings; } runs[] = {
        { "lora-rite", "lr=0.02 clip=0" }, { "lora-rite", "lr=0.02 escape=1" },
        { "scaled-gd", "lr=0.002 delta=0" }, { "lora-pro", "lr=0.002 delta=0" },
        { "lora-pro", "lr=0.002 delta=0 split=2" }, { "altlora", "lr=0.002 delta=0" } };
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        problem two, three;
        problem_pair(&two, 9, 7, 2, 1.5, false);
        problem_pair(&three, 9, 7, 3, 1.5, false);
        problem_optimizer(&two, runs[k].name, runs[k].settings, 0);
        problem_optimizer(&three, runs[k].name, runs[k].settings, 0);
        const tn_real *a = two.a[0]->x, *b = two.b[0]->x;
        for (int j = 0; j < 3; j++) {
            for (int i = 0; i < 7; i++)
                three.a[0]->x[j * 7 + i] =
                    (tn_real)((double)a[i] * turn[0][j] + (double)a[7 + i] * turn[1][j]);
            for (int i = 0; i < 9; i++)
                three.b[0]->x[i * 3 + j] =
                    (tn_real)((double)b[2 * i] * turn[0][j] + (double)b[2 * i + 1] * turn[1][j]);
        }
        for (int t = 1; t <= 50; t++) {
            double *g = normals(63, (uint64_t)t), left[63], whole[63];
            problem_set_gradient(&two, g);
            problem_set_gradient(&three, g);
            problem_step(&two);
            problem_step(&three);
            problem_product(&two, 0, left);
            problem_product(&three, 0, whole);
            for (int i = 0; i < 63; i++)
                ck_assert_double_eq_tol(whole[i], left[i], limit_of(1e-10, 1e-5));
            free(g);
        }
        problem_free(&two);
        problem_free(&three);
    }
}
END_TEST

/* ---- RMSprop ---- */

/* Under constant gradients the variance is zero, and its rounding falls on either side of that. */
START_TEST(centred_rmsprop_stays_finite_under_constant_gradients)
{
    problem p;
    problem_pair(&p, 9, 7, 3, 1, false);
    problem_optimizer(&p, "rmsprop", "lr=1e-9 alpha=0.5 centered=1", 0);
    double *g = normals(27, 1);
    for (int t = 0; t < 100; t++) {
        for (int i = 0; i < 27; i++)
            p.b[0]->g[i] = (tn_real)g[i];
        p.b[0]->has_grad = true;
        problem_step(&p);
    }
    for (int i = 0; i < 27; i++)
        ck_assert(isfinite((double)p.b[0]->x[i]));
    free(g);
    problem_free(&p);
}
END_TEST

/* ---- Shampoo ---- */

/* A weight of one number: both sums are the same. */
START_TEST(shampoo_of_one_number)
{
    static const struct { const char *settings; int interval; bool whitened; } runs[] = {
        { "lr=0.1 eps=0.5", 1, true }, { "lr=0.1 eps=0.5 interval=3", 3, true },
        { "lr=0.1 max_side=0", 1, false } };
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        problem p;
        problem_pair(&p, 1, 1, 1, 1, false);
        problem_optimizer(&p, "shampoo", runs[k].settings, 0);
        double x = (double)p.b[0]->x[0], sum = 0.5, root = 1;
        for (int t = 1; t <= 10; t++) {
            double g = normal(5, t);
            p.b[0]->g[0] = (tn_real)g;
            p.b[0]->has_grad = true;
            problem_step(&p);
            sum += g * g;
            if (runs[k].whitened && (t - 1) % runs[k].interval == 0)
                root = sqrt(sum);
            x -= 0.1 * g / root;
            ck_assert_msg(fabs((double)p.b[0]->x[0] - x) < limit_of(1e-13, 1e-5),
                          "%s: step %d: %.17g, expected %.17g", runs[k].settings, t,
                          (double)p.b[0]->x[0], x);
        }
        problem_free(&p);
    }
}
END_TEST

/* ---- Stable-LoRA ---- */

/* Without gradients only the shrinking moves lora_A, here of twice as many numbers as lora_B. */
START_TEST(stable_lora_shrinks_until_lora_b_has_grown)
{
    static const double size_of_b[] = { 0, 0.49, 0.51, 0.49, 0 }; /* in that of lora_A, step by step */
    problem p;
    problem_pair(&p, 4, 8, 2, 1, true);
    problem_optimizer(&p, "stable-lora", "lr=0.1 shrink=0.25", 0);
    for (int t = 0; t < 5; t++) {
        double x = (double)p.a[0]->x[3], square = 0;
        for (int i = 0; i < 16; i++)
            square += (double)p.a[0]->x[i] * (double)p.a[0]->x[i];
        p.b[0]->x[5] = (tn_real)(size_of_b[t] * sqrt(square));
        problem_step(&p);
        ck_assert_msg(fabs((double)p.a[0]->x[3] - (t < 2 ? 0.75 * x : x)) < limit_of(1e-15, 1e-7),
                      "step %d: from %g to %g", t + 1, x, (double)p.a[0]->x[3]);
    }
    problem_free(&p);
}
END_TEST

/* ---- SGD-SaI ---- */

/* From lora_B = 0 the first gradient of lora_A is zero: its rate is set at step 2, or never. */
START_TEST(sgd_sai_waits_for_a_gradient)
{
    for (int wait = 0; wait < 2; wait++) {
        problem p;
        golden_problem(&p, true, 0);
        problem_optimizer(&p, "sgd-sai", wait ? "lr=0.1" : "lr=0.1 wait=0", 0);
        for (int t = 1; t <= 2; t++) {
            golden_gradients(&p);
            double sum = 0, squares = 0, x[8], g[8];
            for (int i = 0; i < 8; i++) {
                x[i] = (double)p.a[0]->x[i];
                g[i] = (double)p.a[0]->g[i];
                sum += g[i];
                squares += g[i] * g[i];
            }
            double q = wait && t > 1 ? sqrt(squares / ((squares - sum * sum / 8) / 7)) : 0;
            problem_step(&p);
            for (int i = 0; i < 8; i++)
                ck_assert_double_eq_tol((double)p.a[0]->x[i], x[i] - 0.1 * q * g[i],
                                        limit_of(1e-7, 1e-6)); /* its eps */
        }
        problem_free(&p);
    }
}
END_TEST

/* ---- nothing to divide by ---- */

static void stays_finite(const char *name, const char *settings, bool zero)
{
    problem p;
    golden_problem(&p, zero, 0);
    problem_optimizer(&p, name, settings, 0);
    for (int t = 0; t < 9; t++) { /* three steps without a gradient, three with, three without */
        golden_gradients(&p);
        for (int i = 0; i < 10 && t / 3 != 1; i++)
            p.b[0]->g[i] = p.a[0]->g[i % 8] = 0;
        problem_step(&p);
        for (int i = 0; i < 10; i++)
            ck_assert_msg(isfinite((double)p.b[0]->x[i]) && isfinite((double)p.a[0]->x[i % 8]),
                          "%s %s: step %d", name, settings, t + 1);
    }
    problem_free(&p);
}

START_TEST(zero_gradients_and_factors_leave_finite_weights)
{
    for (int zero = 0; zero < 2; zero++) {
        for (const tn_optim_def *const *def = tn_optims; *def; def++)
            stays_finite((*def)->name, "", zero);
        stays_finite("adafactor", "eps1=1e-30", zero);
    }
}
END_TEST

/* ---- threads, refusals ---- */

/* Six pairs, a long vector and clipping that is active, 8 steps on this many threads. */
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
    tn_optim *o = tn_optim_new(
        p, def,
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
    uint64_t h = tn_params_hash(p, false);
    tn_state_block b;
    for (int64_t i = 0; tn_optim_state(o, i, &b); i++)
        h = tn_hash64(b.data, (size_t)b.n * (b.real ? sizeof(tn_real) : sizeof(double)), h);
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
                uint64_t before = tn_params_hash(p.params, false);
                tn_state_block b;
                for (int64_t i = 0; tn_optim_state(p.optim, i, &b); i++)
                    before = tn_hash64(
                        b.data, (size_t)b.n * (b.real ? sizeof(tn_real) : sizeof(double)), before);
                int code = tn_optim_step(p.optim);
                ck_assert_int_eq(code, t == 2 ? TN_ENONFINITE : 0);
                if (t < 2)
                    continue;
                uint64_t after = tn_params_hash(p.params, false);
                for (int64_t i = 0; tn_optim_state(p.optim, i, &b); i++)
                    after = tn_hash64(
                        b.data, (size_t)b.n * (b.real ? sizeof(tn_real) : sizeof(double)), after);
                ck_assert_msg(after == before, "%s changed something", (*def)->name);
                ck_assert_ptr_nonnull(strstr(tn_optim_error(p.optim)->text,
                                             k % 2 ? "gradient of layer1.lora_B.weight"
                                                   : "gradient of layer0.lora_A.weight"));
                ck_assert_int_eq(tn_optim_steps(p.optim), 2);
                for (int i = 0; i < 2; i++)
                    problem_gradients(&p, i, target, 1);
                problem_step(&p); /* and goes on */
            }
            problem_free(&p);
        }
}
END_TEST

/* ---- every optimizer's claim, kept and (a smaller one) broken ---- */

/* Largest change of the product over 20 steps when the pair starts in the basis T. */
static double moved(const tn_optim_def *def, const double t[2][2])
{
    double det = t[0][0] * t[1][1] - t[0][1] * t[1][0], most = 0;
    double u[2][2] = { { t[1][1] / det, -t[1][0] / det },
                       { -t[0][1] / det, t[0][0] / det } }; /* T^-T */
    problem p[2];
    for (int k = 0; k < 2; k++) {
        golden_problem(&p[k], false, 0);
        problem_optimizer(&p[k], def->name, def->claims_when ? def->claims_when : "", 0);
    }
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 2; j++)
            p[1].b[0]->x[2 * i + j] = (tn_real)((double)p[0].b[0]->x[2 * i] * t[0][j] +
                                                (double)p[0].b[0]->x[2 * i + 1] * t[1][j]);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++)
            p[1].a[0]->x[4 * j + i] = (tn_real)((double)p[0].a[0]->x[i] * u[0][j] +
                                                (double)p[0].a[0]->x[4 + i] * u[1][j]);
    for (int step = 0; step < 20; step++) {
        double z[2][20];
        for (int k = 0; k < 2; k++) {
            golden_gradients(&p[k]);
            problem_step(&p[k]);
            problem_product(&p[k], 0, z[k]);
        }
        for (int i = 0; i < 20; i++)
            most = fabs(z[0][i] - z[1][i]) > most ? fabs(z[0][i] - z[1][i]) : most;
    }
    problem_free(&p[0]);
    problem_free(&p[1]);
    return most;
}

START_TEST(claims_hold_and_no_larger_one_does)
{
    static const struct { const char *name; double t[2][2]; tn_claim claim; } kinds[] = {
        { "an unsigned permutation", { { 0, 1 }, { 1, 0 } }, TN_INVARIANT_UNSIGNED },
        { "a permutation", { { 0, -1 }, { 1, 0 } }, TN_INVARIANT_NONE },
        { "a scaling", { { 3, 0 }, { 0, 3 } }, TN_INVARIANT_SCALE },
        { "a rotation", { { 0.6, 0.8 }, { -0.8, 0.6 } }, TN_INVARIANT_ROTATION },
        { "a change of basis", { { 2, 1 }, { -0.5, 0.7 } }, TN_INVARIANT_FULL },
    };
    double exact = sizeof(tn_real) == sizeof(float) ? 2e-5 : 1e-11;
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
            double by = moved(*def, kinds[i].t);
            tn_claim kind = kinds[i].claim, claims = (*def)->claims;
            bool claimed =
                kind == TN_INVARIANT_UNSIGNED || /* all claim at least that */
                (claims != TN_INVARIANT_UNSIGNED && (claims & kind) == kind);
            ck_assert_msg(claimed ? by < exact : by > 1e-3, "%s: %s moves the product by %g",
                          (*def)->name, kinds[i].name, by);
        }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, semantics_of_torch);
    tcase_add_test(c, amsgrad_keeps_the_largest);
    tcase_add_test(c, scaled_gd_moves_the_product_by_projections);
    tcase_add_test(c, rite_moves_under_gradients_of_rank_one);
    tcase_add_test(c, dead_directions_are_dropped);
    tcase_add_test(c, centred_rmsprop_stays_finite_under_constant_gradients);
    tcase_add_test(c, shampoo_of_one_number);
    tcase_add_test(c, stable_lora_shrinks_until_lora_b_has_grown);
    tcase_add_test(c, sgd_sai_waits_for_a_gradient);
    tcase_add_test(c, zero_gradients_and_factors_leave_finite_weights);
    tcase_add_test(c, threads_and_vectors_change_no_bit);
    tcase_add_test(c, a_gradient_that_is_not_finite_is_refused_as_a_whole);
    tcase_add_test(c, claims_hold_and_no_larger_one_does);
}
