/* test_lora_rite_naive.c - LoRA-RITE written again, directly from its equations.
   It uses orthonormal bases of three kinds. With each kind the run must be that of lora_rite.c. */
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRAM_SCHMIDT, FLIPPED, POLAR };
enum { ROWS = 9, COLS = 7, RANK = 3 };

typedef struct moments {
    double m[ROWS * RANK], v[RANK * RANK], q_old[ROWS * RANK];
} moments; /* q_old: the old basis of the partner */

/* out = x^-1 (RANK,RANK), by Gauss-Jordan elimination. */
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

/* x^1/2 and x^-1/2 of a symmetric positive x, by the iteration of Denman and Beavers. */
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

/* x = q rr, where q is a basis of this kind. */
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

/* The largest eigenvalue of a symmetric positive v, by power iteration. */
static double largest(const double *v)
{
    double x[RANK] = { 1, 0.9, 1.1 }, y[RANK], size = 0;
    for (int turn = 0; turn < 3000; turn++) {
        multiply(RANK, RANK, 1, v, x, false, y);
        size = 0;
        for (int i = 0; i < RANK; i++)
            size += y[i] * y[i];
        size = sqrt(size);
        for (int i = 0; i < RANK; i++)
            x[i] = y[i] / size;
    }
    return size;
}

/* M of one factor (n rows), from its gradient g and the basis q, rr of the partner (o rows). There
   is no clipping, skipping or escape. The prior counts like so many gradients in every
   direction. */
static void naive_moments(int n, int o, const double *g, const double *q, const double *rr,
                          moments *s, int t, double prior)
{
    double b1 = 0.9 * (1 - pow(0.9, t - 1)) / (1 - pow(0.9, t));
    double b2 = 0.999 * (1 - pow(0.999, t - 1)) / (1 - pow(0.999, t));
    double inverse[RANK * RANK], u[ROWS * RANK], p[RANK * RANK] = { 0 }, pv[RANK * RANK],
                                                          moved[RANK * RANK], v[RANK * RANK];
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
    double seen = 1 / (1 - b2), unseen = RANK * prior, top = largest(s->v);
    for (int i = 0; i < RANK * RANK; i++)
        v[i] = (seen * s->v[i] + (i % (RANK + 1) ? 0 : unseen * top)) / (seen + unseen);
    double root[RANK * RANK], h[RANK * RANK], d[ROWS * RANK], carried[ROWS * RANK];
    roots(v, root, h); /* without eps, which is 1e-30 in this test */
    multiply(n, RANK, RANK, u, h, false, d);
    multiply(n, RANK, RANK, s->m, p, true, carried);
    for (int i = 0; i < n * RANK; i++)
        s->m[i] = (1 - b1) * d[i] + b1 * carried[i];
    memcpy(s->q_old, q, (size_t)(o * RANK) * sizeof *q);
}

/* x -= lr M R^-T, where R is that of the partner. */
static void naive_step(int n, double *x, const double *m, const double *rr, double lr)
{
    double inverse[RANK * RANK], step[ROWS * RANK];
    invert(rr, inverse);
    multiply(n, RANK, RANK, m, inverse, true, step);
    for (int i = 0; i < n * RANK; i++)
        x[i] -= lr * step[i];
}

/* B for which A B^T is nearest to z (ROWS,COLS): B^T = (A^T A)^-1 A^T z. */
static void nearest(const double *a, const double *z, double *b)
{
    double aa[RANK * RANK] = { 0 }, inverse[RANK * RANK], za[COLS * RANK] = { 0 };
    for (int k = 0; k < ROWS; k++)
        for (int j = 0; j < RANK; j++) {
            for (int i = 0; i < RANK; i++)
                aa[i * RANK + j] += a[k * RANK + i] * a[k * RANK + j];
            for (int i = 0; i < COLS; i++)
                za[i * RANK + j] += z[k * COLS + i] * a[k * RANK + j];
        }
    invert(aa, inverse);
    multiply(COLS, RANK, RANK, za, inverse, false, b);
}

/* gB = s G^T A for G (ROWS,COLS), with s = 1.5. */
static void gradient_of_b(const double *g, const double *a, double *gb)
{
    memset(gb, 0, COLS * RANK * sizeof *gb);
    for (int i = 0; i < COLS; i++)
        for (int j = 0; j < RANK; j++)
            for (int k = 0; k < ROWS; k++)
                gb[i * RANK + j] += 1.5 * g[k * COLS + i] * a[k * RANK + j];
}

/* Writes the product after `steps` steps with this kind of basis. `old`: both factors step from the
   old ones. Otherwise A steps first. Then B becomes the one with which, for the new A, the product
   is nearest to A B^T - lr (M_A Q_B^T + Q_A M_B^T) of the old factors. */
static void naive_run(int kind, int steps, double prior, bool old, double *product)
{
    const double lr = 0.02;
    problem p;
    problem_pair(&p, ROWS, COLS, RANK, 1.5, false);
    double *a = problem_factor(&p, true), *b = problem_factor(&p, false);
    moments sa = { { 0 }, { 0 }, { 0 } }, sb = sa;
    for (int t = 1; t <= steps; t++) {
        double *g = normals(ROWS * COLS, (uint64_t)t), ga[ROWS * RANK], gb[COLS * RANK];
        double qa[ROWS * RANK], ra[RANK * RANK], qb[COLS * RANK], rb[RANK * RANK];
        double z[ROWS * COLS], by_a[ROWS * COLS], by_b[ROWS * COLS];
        multiply(ROWS, COLS, RANK, g, b, false, ga);
        gradient_of_b(g, a, gb);
        for (int i = 0; i < ROWS * RANK; i++)
            ga[i] *= 1.5;
        basis(kind, ROWS, a, qa, ra);
        basis(kind, COLS, b, qb, rb);
        naive_moments(ROWS, COLS, ga, qb, rb, &sa, t, prior);
        naive_moments(COLS, ROWS, gb, qa, ra, &sb, t, prior);
        multiply(ROWS, RANK, COLS, a, b, true, z);
        multiply(ROWS, RANK, COLS, sa.m, qb, true, by_a);
        multiply(ROWS, RANK, COLS, qa, sb.m, true, by_b);
        for (int i = 0; i < ROWS * COLS; i++)
            z[i] -= lr * (by_a[i] + by_b[i]);
        naive_step(ROWS, a, sa.m, rb, lr);
        if (old)
            naive_step(COLS, b, sb.m, ra, lr);
        else
            nearest(a, z, b);
        free(g);
    }
    multiply(ROWS, RANK, COLS, a, b, true, product);
    free(a);
    free(b);
    problem_free(&p);
}

START_TEST(rite_is_the_same_in_every_basis)
{
    static const struct {
        const char *settings;
        double prior;
        bool old;
    } forms[] = {
        { "lr=0.02 clip=0 eps=1e-30 gauss_seidel=0 prior=0 cut=0", 0, true },
        { "lr=0.02 clip=0 eps=1e-30", 1, false },
        { "lr=0.02 clip=0 eps=1e-30 prior=0.1", 0.1, false },
    };
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        double ours[ROWS * COLS], other[ROWS * COLS], plain_qr[ROWS * COLS];
        problem p;
        problem_pair(&p, ROWS, COLS, RANK, 1.5, false);
        problem_optimizer(&p, "lora-rite", forms[f].settings, 0);
        for (int t = 1; t <= 50; t++) {
            double *g = normals(ROWS * COLS, (uint64_t)t);
            problem_set_gradient(&p, g);
            problem_step(&p);
            free(g);
        }
        problem_product(&p, 0, ours);
        naive_run(GRAM_SCHMIDT, 50, forms[f].prior, forms[f].old, plain_qr);
        for (int kind = GRAM_SCHMIDT; kind <= POLAR; kind++) {
            naive_run(kind, 50, forms[f].prior, forms[f].old, other);
            for (int i = 0; i < ROWS * COLS; i++) {
                ck_assert_double_eq_tol(ours[i], other[i], limit_of(1e-10, 1e-5));
                ck_assert_double_eq_tol(plain_qr[i], other[i],
                                        kind == FLIPPED ? limit_of(1e-13, 1e-6)
                                                        : limit_of(1e-10, 1e-5));
            }
        }
        problem_free(&p);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, rite_is_the_same_in_every_basis);
}
