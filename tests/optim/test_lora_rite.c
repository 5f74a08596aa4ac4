/* test_lora_rite.c - LoRA-RITE: closed forms, and what its runs must not depend on.
   Closed forms of LoRA-RITE's first steps, what its runs must not depend on, and the whole
   method once more in other bases. */
#include "tests/support/fixtures.h"
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With a rate that moves nothing, rank 1 and a partner of length 1, V is the bias-corrected average
   of ||g||^2 / rows. Adam's average is written as a weighted mean: 1 - beta and 1 - beta^t would
   lose the digits that are looked for. */
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

/* A dB^T = -lr Q_A M^T; M has orthogonal columns of length sqrt(n): the square is lr^2 n P_A. */
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
    check_singular_values("lr=0.1 clip=0 eps=1e-6", 1e-4);
    check_singular_values("lr=0.1 clip=0 eps=1e-12", limit_of(1e-9, 1e-4));
}
END_TEST

START_TEST(rite_second_step_moves_by_a_fixed_share)
{
    static const struct { int64_t nonzero, zero; double printed; } cases[] = {
        { 17, 11, 0.9251 }, { 64, 64, 0.7441 }, { 96, 24, 1.4883 }, { 24, 96, 0.3721 } };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        for (int warm = 0; warm < 2; warm++) { /* a rate that doubles doubles the share */
            problem p;
            problem_pair(&p, cases[k].zero, cases[k].nonzero, 4, 2, true);
            tn_error e = { 0 };
            tn_schedule schedule = { .kind = TN_CONSTANT, .steps = 2, .warmup = warm ? 2 : 0 };
            p.optim = problem_try(&p, tn_optim_find("lora-rite"), "lr=0.01 clip=0 eps=1e-12", 0,
                                  schedule, &e);
            must(&e);
            double *g = normals(p.size[0].out * p.size[0].in, 1),
                   *before = problem_factor(&p, false), moved = 0, size = 0;
            for (int t = 0; t < 2; t++) {
                problem_set_gradient(&p, g);
                problem_step(&p);
            }
            double *after = problem_factor(&p, false);
            for (int64_t i = 0; i < 4 * cases[k].nonzero; i++) {
                moved += (after[i] - before[i]) * (after[i] - before[i]);
                size += before[i] * before[i];
            }
            double share = sqrt(moved / size),
                   rows = sqrt((double)cases[k].nonzero / (double)cases[k].zero);
            ck_assert_double_eq_tol(share / ((1 + warm) * rows * sqrt(1.999) / 1.9), 1,
                                    limit_of(1e-6, 1e-3));
            ck_assert_double_eq_tol(share / (1 + warm), cases[k].printed, 1e-3);
            free(g);
            free(before);
            free(after);
            problem_free(&p);
        }
}
END_TEST

/* 30 steps from the same start with gradients times c (and s); the product afterwards. */
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
    run_scaled("lr=0.02 clip=0.01 eps=1e-6", 1e3, 2, 30, other); /* with clipping and eps it does */
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
    for (double s = 2; s <= 8; s += 6) { /* W moves by s times the product, which is the same */
        run_scaled("lr=0.02 clip=0 eps=1e-14", 1, s, 1, other);
        for (int i = 0; i < 63; i++)
            ck_assert_double_eq_tol(other[i], one[i], limit_of(1e-12, 1e-6));
    }
}
END_TEST

/* Of rank 1, with w = ||g||^2 / (||y||^2 rows), a first step has the length
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

/* ---- with other bases, written once more and naively from its equations ---- */

enum { GRAM_SCHMIDT, FLIPPED, POLAR };
enum { ROWS = 9, COLS = 7, RANK = 3 };

typedef struct moments {
    double m[ROWS * RANK], v[RANK * RANK], q_old[ROWS * RANK];
} moments; /* q_old: of the partner */

/* x^-1 (RANK,RANK) by Gauss and Jordan. */
static void invert(const double *x, double *out)
{
    double a[RANK][2 * RANK];
    for (int i = 0; i < RANK; i++)
        for (int j = 0; j < RANK; j++) {
            a[i][j] = x[i * RANK + j];
            a[i][RANK + j] = i == j;
        }
    for (int k = 0; k < RANK; k++)
        for (int i = 0; i < RANK; i++) {
            if (i == k)
                continue;
            double f = a[i][k] / a[k][k];
            for (int j = 0; j < 2 * RANK; j++)
                a[i][j] -= f * a[k][j];
        }
    for (int i = 0; i < RANK; i++)
        for (int j = 0; j < RANK; j++)
            out[i * RANK + j] = a[i][RANK + j] / a[i][i];
}

/* x^1/2 and x^-1/2 of a symmetric positive x by Newton's iteration of Denman and Beavers. */
static void roots(const double *x, double *root, double *inverse)
{
    memcpy(root, x, RANK * RANK * sizeof *x);
    for (int i = 0; i < RANK * RANK; i++)
        inverse[i] = i % (RANK + 1) == 0;
    for (int turn = 0; turn < 60; turn++) {
        double a[RANK * RANK], b[RANK * RANK];
        invert(inverse, a);
        invert(root, b);
        for (int i = 0; i < RANK * RANK; i++) {
            double y = 0.5 * (root[i] + a[i]), z = 0.5 * (inverse[i] + b[i]);
            root[i] = y;
            inverse[i] = z;
        }
    }
}

/* x = q rr with this kind of basis. */
static void basis(int kind, int n, const double *x, double *q, double *rr)
{
    orthonormalise(n, RANK, x, q, rr);
    double flip[RANK * RANK] = { 0 }, turned[ROWS * RANK], gram[RANK * RANK] = { 0 },
                       root[RANK * RANK], inverse[RANK * RANK];
    for (int j = 0; j < RANK; j++)
        flip[j * RANK + j] = j % 2 ? 1 : -1;
    if (kind == FLIPPED) {
        multiply(n, RANK, RANK, q, flip, false, turned);
        memcpy(q, turned, (size_t)(n * RANK) * sizeof *q);
        multiply(RANK, RANK, RANK, flip, rr, false, gram);
        memcpy(rr, gram, sizeof gram);
    }
    if (kind != POLAR)
        return;
    for (int i = 0; i < RANK; i++)
        for (int j = 0; j < RANK; j++)
            for (int k = 0; k < n; k++)
                gram[i * RANK + j] += x[k * RANK + i] * x[k * RANK + j];
    roots(gram, root, inverse);
    multiply(n, RANK, RANK, x, inverse, false, q);
    memcpy(rr, root, sizeof root);
}

/* One factor's step: x -= lr M R^-T for the gradient g (n,RANK) and the partner's basis q, rr (o
   rows); without clipping, skipping and escape. */
static void naive_factor(int n, int o, double *x, const double *g, const double *q,
                         const double *rr, moments *s, int t, double lr)
{
    double b1 = 0.9 * (1 - pow(0.9, t - 1)) / (1 - pow(0.9, t));
    double b2 = 0.999 * (1 - pow(0.999, t - 1)) / (1 - pow(0.999, t));
    double inverse[RANK * RANK], u[ROWS * RANK], p[RANK * RANK] = { 0 }, pv[RANK * RANK],
                                                          moved[RANK * RANK];
    invert(rr, inverse);
    multiply(n, RANK, RANK, g, inverse, false, u);
    for (int i = 0; i < RANK; i++)
        for (int j = 0; j < RANK; j++)
            for (int k = 0; k < o; k++)
                p[i * RANK + j] += q[k * RANK + i] * s->q_old[k * RANK + j];
    multiply(RANK, RANK, RANK, p, s->v, false, pv);
    multiply(RANK, RANK, RANK, pv, p, true, moved);
    for (int i = 0; i < RANK; i++)
        for (int j = 0; j < RANK; j++) {
            double uu = 0;
            for (int k = 0; k < n; k++)
                uu += u[k * RANK + i] * u[k * RANK + j];
            s->v[i * RANK + j] =
                (1 - b2) * uu / n + b2 * 0.5 * (moved[i * RANK + j] + moved[j * RANK + i]);
        }
    double root[RANK * RANK], h[RANK * RANK], d[ROWS * RANK], carried[ROWS * RANK],
        step[ROWS * RANK];
    roots(s->v, root, h); /* eps is left out: it is 1e-30 in this test */
    multiply(n, RANK, RANK, u, h, false, d);
    multiply(n, RANK, RANK, s->m, p, true, carried);
    for (int i = 0; i < n * RANK; i++)
        s->m[i] = (1 - b1) * d[i] + b1 * carried[i];
    multiply(n, RANK, RANK, s->m, inverse, true, step);
    for (int i = 0; i < n * RANK; i++)
        x[i] -= lr * step[i];
    memcpy(s->q_old, q, (size_t)(o * RANK) * sizeof *q);
}

/* Product after `steps` of the naive run with this kind of basis. */
static void naive_run(int kind, int steps, double *product)
{
    problem p;
    problem_pair(&p, ROWS, COLS, RANK, 1.5, false);
    double *a = problem_factor(&p, true), *b = problem_factor(&p, false);
    moments sa = { { 0 }, { 0 }, { 0 } }, sb = sa;
    for (int t = 1; t <= steps; t++) {
        double *g = normals(ROWS * COLS, (uint64_t)t), ga[ROWS * RANK], gb[COLS * RANK] = { 0 };
        double qa[ROWS * RANK], ra[RANK * RANK], qb[COLS * RANK], rb[RANK * RANK];
        multiply(ROWS, COLS, RANK, g, b, false, ga);
        for (int i = 0; i < COLS; i++)
            for (int j = 0; j < RANK; j++)
                for (int k = 0; k < ROWS; k++)
                    gb[i * RANK + j] += 1.5 * g[k * COLS + i] * a[k * RANK + j];
        for (int i = 0; i < ROWS * RANK; i++)
            ga[i] *= 1.5;
        basis(kind, ROWS, a, qa, ra);
        basis(kind, COLS, b, qb, rb);
        naive_factor(ROWS, COLS, a, ga, qb, rb, &sa, t, 0.02);
        naive_factor(COLS, ROWS, b, gb, qa, ra, &sb, t, 0.02);
        free(g);
    }
    multiply(ROWS, RANK, COLS, a, b, true, product);
    free(a);
    free(b);
    problem_free(&p);
}

START_TEST(rite_is_the_same_in_every_basis)
{
    double ours[ROWS * COLS], other[ROWS * COLS], plain_qr[ROWS * COLS];
    problem p;
    problem_pair(&p, ROWS, COLS, RANK, 1.5, false);
    problem_optimizer(&p, "lora-rite", "lr=0.02 clip=0 eps=1e-30", 0);
    for (int t = 1; t <= 50; t++) {
        double *g = normals(ROWS * COLS, (uint64_t)t);
        problem_set_gradient(&p, g);
        problem_step(&p);
        free(g);
    }
    problem_product(&p, 0, ours);
    naive_run(GRAM_SCHMIDT, 50, plain_qr);
    for (int kind = GRAM_SCHMIDT; kind <= POLAR; kind++) {
        naive_run(kind, 50, other);
        for (int i = 0; i < ROWS * COLS; i++) {
            ck_assert_double_eq_tol(ours[i], other[i], limit_of(1e-10, 1e-5));
            ck_assert_double_eq_tol(plain_qr[i], other[i],
                                    kind == FLIPPED ? limit_of(1e-13, 1e-6)
                                                    : limit_of(1e-10, 1e-5));
        }
    }
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
    tcase_add_test(c, rite_is_the_same_in_every_basis);
}
