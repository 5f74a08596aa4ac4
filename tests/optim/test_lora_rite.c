/* test_lora_rite.c - LoRA-RITE: steps that are known exactly, and what runs must not depend on.
   test_lora_rite_naive.c writes the whole method again. */
#include "tests/support/fixtures.h"
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* If the rate moves nothing, the rank is 1 and the partner has length 1, V is Adam's bias-corrected
   average of ||g||^2 / rows. The test computes it as a weighted mean: with 1 - beta and 1 - beta^t
   it would lose the digits that are compared. */
START_TEST(average_is_adams_corrected_one)
{
    static const double betas[] = { 0.5, 0.99, 0.999, 0.999999 };
    for (size_t k = 0; k < sizeof betas / sizeof *betas; k++) {
        char settings[64];
        problem p;
        problem_pair(&p, 6, 4, 1, 1, false);
        for (int i = 0; i < 4; i++)
            p.a[0]->x[i] = (tn_real)0.5;
        snprintf(settings, sizeof settings, "lr=1e-30 clip=0 beta2=%g", betas[k]);
        problem_optimizer(&p, "lora-rite", settings, 0);
        double sum = 0, weights = 0;
        for (int t = 1; t <= 100; t++) {
            double *g = normals(24, (uint64_t)t), gg = 0;
            problem_set_gradient(&p, g);
            for (int i = 0; i < 6; i++)
                gg += (double)p.b[0]->g[i] * (double)p.b[0]->g[i];
            sum = betas[k] * sum + gg / 6;
            weights = betas[k] * weights + 1;
            problem_step(&p);
            tn_state_block v;
            for (int64_t i = 0; tn_optim_state(p.optim, i, &v) && strcmp(v.name, "v.B.layer0"); i++)
                ;
            double off = *(double *)v.data / (sum / weights) - 1;
            ck_assert_msg(fabs(off) < limit_of(1e-14, 1e-6), "beta %g, step %d: off by %g",
                          betas[k], t, off);
            free(g);
        }
        problem_free(&p);
    }
}
END_TEST

START_TEST(rite_rests_the_other_factor_at_a_zero_start)
{
    problem p;
    problem_pair(&p, 9, 7, 3, 2, true);
    problem_optimizer(&p, "lora-rite", "lr=0.1", 0);
    double *g = normals(63, 1), *before = problem_factor(&p, false);
    problem_set_gradient(&p, g);
    problem_step(&p);
    double *after = problem_factor(&p, false);
    ck_assert_mem_eq(before, after, 21 * sizeof *after);
    ck_assert(p.b[0]->x[0] != 0);
    free(g);
    free(before);
    free(after);
    problem_free(&p);
}
END_TEST

/* A dB^T = -lr Q_A M^T. M has orthogonal columns of length sqrt(n), so A dB^T times its transpose
   is lr^2 n P_A. */
static void check_singular_values(const char *settings, double close)
{
    enum { M = 9, N = 7, R = 3 };
    problem p;
    problem_pair(&p, M, N, R, 1.5, false);
    problem_optimizer(&p, "lora-rite", settings, 0);
    double *g = normals(M * N, 1), *a = problem_factor(&p, true), *b = problem_factor(&p, false);
    problem_set_gradient(&p, g);
    problem_step(&p);
    double *a1 = problem_factor(&p, true), *b1 = problem_factor(&p, false);
    for (int i = 0; i < M * R; i++)
        a1[i] -= a[i];
    for (int i = 0; i < N * R; i++)
        b1[i] -= b[i];
    double *pa = projector(M, R, a), *pb = projector(N, R, b), w[M * N], square[M * M];
    multiply(M, R, N, a, b1, true, w);
    multiply(M, N, M, w, w, true, square);
    for (int i = 0; i < M * M; i++)
        ck_assert_double_eq_tol(square[i] / (0.01 * N), pa[i], close);
    multiply(N, R, M, b, a1, true, w);
    multiply(N, M, N, w, w, true, square);
    for (int i = 0; i < N * N; i++)
        ck_assert_double_eq_tol(square[i] / (0.01 * M), pb[i], close);
    double *all[] = { g, a, b, pa, pb, a1, b1 };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    problem_free(&p);
}

START_TEST(rite_first_step_has_equal_singular_values)
{
    check_singular_values("preset=authors skip=0 lr=0.1 clip=0 eps=1e-6", 1e-4);
    check_singular_values("preset=authors skip=0 lr=0.1 clip=0 eps=1e-12", limit_of(1e-9, 1e-4));
}
END_TEST

/* ||dB|| / ||B|| of the second step, from A = 0 and with the same gradient. `warm`: the first step
   had half the rate. */
static double second_share(int64_t nonzero, int64_t zero, const char *settings, bool warm)
{
    problem p;
    problem_pair(&p, zero, nonzero, 4, 2, true);
    tn_error e = { 0 };
    tn_schedule schedule = { .kind = TN_CONSTANT, .steps = 2, .warmup = warm ? 2 : 0 };
    p.optim = problem_try(&p, tn_optim_find("lora-rite"), settings, 0, schedule, &e);
    must(&e);
    double *g = normals(zero * nonzero, 1), *before = problem_factor(&p, false), moved = 0,
           size = 0;
    for (int t = 0; t < 2; t++) {
        problem_set_gradient(&p, g);
        problem_step(&p);
    }
    double *after = problem_factor(&p, false);
    for (int64_t i = 0; i < 4 * nonzero; i++) {
        moved += (after[i] - before[i]) * (after[i] - before[i]);
        size += before[i] * before[i];
    }
    free(g);
    free(before);
    free(after);
    problem_free(&p);
    return sqrt(moved / size);
}

/* If the step of B uses the old A, a doubled rate doubles the share. The new A is 1 + eta_2 / eta_1
   times the old one: if the step of B uses it, the share is divided by this factor. A prior makes
   the share smaller. */
START_TEST(rite_second_step_moves_by_a_fixed_share)
{
    static const struct {
        int64_t nonzero, zero;
        double printed;
    } cases[] = { { 17, 11, 0.9251 }, { 64, 64, 0.7441 }, { 96, 24, 1.4883 }, { 24, 96, 0.3721 } };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        for (int warm = 0; warm < 2; warm++) {
            int64_t b = cases[k].nonzero, a = cases[k].zero;
            double rates = 1 + warm, rows = sqrt((double)b / (double)a);
            double formula = rates * rows * sqrt(1.999) / 1.9;
            double old = second_share(b, a, "clip=0 eps=1e-12 gauss_seidel=0 prior=0", warm);
            double in_turn = second_share(b, a, "clip=0 eps=1e-12 prior=0", warm);
            double share = second_share(b, a, "clip=0 eps=1e-12", warm);
            ck_assert_double_eq_tol(old / formula, 1, limit_of(1e-6, 1e-3));
            ck_assert_double_eq_tol(old / rates, cases[k].printed, 1e-3);
            ck_assert_double_eq_tol(in_turn / formula * (1 + rates), 1, limit_of(1e-6, 1e-3));
            ck_assert_msg(share < 1.3 * in_turn && share > 0.7 * in_turn, "%g of %g", share,
                          in_turn);
        }
}
END_TEST

/* Runs steps from the same start, with gradients times c and scale s. Writes the product at the
   end. */
static void run_scaled(const char *settings, double c, double s, int steps, double *product)
{
    problem p;
    problem_pair(&p, 9, 7, 3, s, true);
    problem_optimizer(&p, "lora-rite", settings, 0);
    for (int t = 0; t < steps; t++) {
        double *g = normals(63, (uint64_t)t + 1);
        for (int i = 0; i < 63; i++)
            g[i] *= c;
        problem_set_gradient(&p, g);
        problem_step(&p);
        free(g);
    }
    problem_product(&p, 0, product);
    problem_free(&p);
}

START_TEST(rite_does_not_see_the_scale_of_the_loss)
{
    double one[63], other[63];
    for (int k = -1; k <= 1; k += 2) {
        run_scaled("lr=0.02 clip=0 eps=1e-15", 1, 2, 30, one);
        run_scaled("lr=0.02 clip=0 eps=1e-15", pow(1e3, k), 2, 30, other);
        for (int i = 0; i < 63; i++)
            ck_assert_double_eq_tol(other[i], one[i], limit_of(1e-9, 1e-5));
    }
    run_scaled("lr=0.02 clip=0.01 eps=1e-6", 1e3, 2, 30, other); /* clip and eps depend on c */
    double most = 0;
    for (int i = 0; i < 63; i++)
        most = fabs(other[i] - one[i]) > most ? fabs(other[i] - one[i]) : most;
    ck_assert(most > 1e-6);
}
END_TEST

START_TEST(rite_first_step_is_proportional_to_s)
{
    double one[63], other[63];
    run_scaled("lr=0.02 clip=0 eps=1e-14", 1, 1, 1, one);
    for (double s = 2; s <= 8; s += 6) { /* W moves by s times the product; this is the same */
        run_scaled("lr=0.02 clip=0 eps=1e-14", 1, s, 1, other);
        for (int i = 0; i < 63; i++)
            ck_assert_double_eq_tol(other[i], one[i], limit_of(1e-12, 1e-6));
    }
}
END_TEST

/* For rank 1, with w = ||g||^2 / (||y||^2 rows), the first step has length
   lr ||g|| / ||y||^2 / (sqrt(w + eps_root) + eps). */
START_TEST(eps_inside_and_outside_the_root)
{
    problem p;
    problem_pair(&p, 6, 5, 1, 1, false);
    problem_optimizer(&p, "lora-rite", "lr=0.1 clip=0 eps=0.25 eps_root=0.5", 0);
    double *g = normals(30, 1), *a = problem_factor(&p, true), *y = problem_factor(&p, false);
    double gg = 0, yy = 0, moved = 0;
    problem_set_gradient(&p, g);
    for (int i = 0; i < 6; i++)
        gg += (double)p.b[0]->g[i] * (double)p.b[0]->g[i];
    for (int i = 0; i < 5; i++)
        yy += y[i] * y[i];
    problem_step(&p);
    for (int i = 0; i < 6; i++)
        moved += pow((double)p.b[0]->x[i] - a[i], 2);
    double want = 0.1 * sqrt(gg) / yy / (sqrt(gg / yy / 6 + 0.5) + 0.25);
    ck_assert_double_eq_tol(sqrt(moved) / want, 1, limit_of(1e-12, 1e-5));
    free(g);
    free(a);
    free(y);
    problem_free(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, average_is_adams_corrected_one);
    tcase_add_test(c, rite_rests_the_other_factor_at_a_zero_start);
    tcase_add_test(c, rite_first_step_has_equal_singular_values);
    tcase_add_test(c, rite_second_step_moves_by_a_fixed_share);
    tcase_add_test(c, rite_does_not_see_the_scale_of_the_loss);
    tcase_add_test(c, rite_first_step_is_proportional_to_s);
    tcase_add_test(c, eps_inside_and_outside_the_root);
}
