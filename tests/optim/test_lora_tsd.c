/* test_lora_tsd.c - how a step of LoRA-TSD changes the product. */
#include "optim/algebra/linalg.h"
#include "tests/support/fixtures.h"
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { M = 17, N = 11, R = 4 };

/* The singular values of X = dA B^T + A dB^T of one step, ascending. The gradient is normal. The
   part of it outside the columns of A and of B is multiplied by `rest`. */
static void singular_values(int rounds, double rest, uint64_t stream, double w[N])
{
    char settings[64];
    problem p;
    problem_pair(&p, M, N, R, 1.5, false);
    snprintf(settings, sizeof settings, "lr=1 rounds=%d", rounds);
    problem_optimizer(&p, "lora-tsd", settings, 0);
    double *a = problem_factor(&p, true), *b = problem_factor(&p, false);
    double *g = normals(M * N, stream), *pa = projector(M, R, a), *pb = projector(N, R, b);
    double half[M * N], core[M * N];
    multiply(M, M, N, pa, g, false, half);
    multiply(M, N, N, half, pb, false, core);
    for (int i = 0; i < M * N; i++)
        g[i] = core[i] + rest * (g[i] - core[i]);
    problem_set_gradient(&p, g);
    problem_step(&p);
    double *da = problem_factor(&p, true), *db = problem_factor(&p, false);
    for (int i = 0; i < M * R; i++)
        da[i] = a[i] - da[i];
    for (int i = 0; i < N * R; i++)
        db[i] = b[i] - db[i];
    double left[M * N], right[M * N], square[N * N], work[N * N + 3 * N], e[N * N];
    multiply(M, R, N, da, b, true, left);
    multiply(M, R, N, a, db, true, right);
    for (int i = 0; i < N * N; i++) {
        square[i] = 0;
        for (int k = 0; k < M; k++)
            square[i] += (left[k * N + i / N] + right[k * N + i / N]) *
                         (left[k * N + i % N] + right[k * N + i % N]);
    }
    tn_eigen(N, square, w, work, e);
    for (int i = 0; i < N; i++)
        w[i] = sqrt(fmax(w[i], 0));
    double *all[] = { g, a, b, da, db, pa, pb };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    problem_free(&p);
}

/* 2 r singular values are about 1, the others 0; with more rounds they are nearer to that. The
   first bound is 2 / sqrt(3), the others are from 200 random pairs and gradients of this size in
   NumPy. */
START_TEST(singular_values_are_near_one)
{
    static const struct {
        int rounds;
        double least, most;
    } cases[] = { { 1, 0.2, 1.1548 }, { 3, 0.8, 1.12 }, { 5, 0.95, 1.04 }, { 30, 0.999, 1.001 } };
    for (uint64_t stream = 1; stream <= 5; stream++)
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
            double w[N];
            singular_values(cases[k].rounds, 1, stream, w);
            ck_assert_double_lt(w[N - 2 * R - 1], limit_of(1e-7, 1e-3));
            ck_assert_double_ge(w[N - 2 * R], cases[k].least);
            ck_assert_double_le(w[N - 1], cases[k].most);
        }
}
END_TEST

/* If most of the gradient lies within the factors, three rounds do not bring all singular values
   near 1. */
START_TEST(a_core_that_dominates_keeps_small_ones)
{
    double least = 1, w[N];
    for (uint64_t stream = 1; stream <= 5; stream++) {
        singular_values(3, 0.03, stream, w);
        least = fmin(least, w[N - 2 * R]);
    }
    ck_assert_msg(least < 0.3, "the smallest is %g", least);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, a_core_that_dominates_keeps_small_ones);
    tcase_add_test(c, singular_values_are_near_one);
}
