/* lab_conditioning.c - tenon lab conditioning: matrix sensing, for X* of several condition numbers.
   Find X* (N,N) of rank R from m = 5 N R numbers <A_i, X*>.
   Tong, Ma and Chi, "Accelerating ill-conditioned low-rank matrix estimation via scaled gradient
   descent", arXiv:2005.08898: the rate of ScaledGD does not depend on the condition number of X*.

   As in the paper, A_i is normal with variance 1/m, and the singular values of X* are evenly
   spaced, here from 1 to 1/kappa. The start is spectral: the R leading singular pairs of sum_i
   <A_i, X*> A_i. Each factor has the square roots of the singular values. The rate is 0.5 for
   ScaledGD, 0.5 / sigma_1(X*) for gradient descent. */
#include "apps/lab/lab.h"
#include "apps/report/lines.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 20, R = 2, M = 5 * N * R, STEPS = 1000, KAPPAS = 5, ROUNDS = 500 };

static const double kappas[KAPPAS] = { 1, 10, 100, 1e3, 1e4 };
static const double close_enough = 1e-5; /* X* counts as found at this relative error */

typedef struct sensing {
    double map[M][N * N];      /* A_i */
    double x[N * N], seen[M];  /* X*, <A_i, X*> */
    double a[N * R], b[N * R]; /* the spectral start */
    double norm;               /* of X* */
} sensing;

typedef struct descent {
    const sensing *s;
    double x[STEPS + 1], error[KAPPAS][STEPS + 1]; /* ||A B^T - X*|| / ||X*|| */
    int reached[KAPPAS];                           /* steps until it is close enough; -1: never */
    int kappa;                                     /* index of the present one */
} descent;

/* Four sums side by side are twice as fast as one. n is a multiple of four. */
static double dot(const double *x, const double *y, int n)
{
    double sum[4] = { 0 };
    for (int i = 0; i < n; i += 4)
        for (int k = 0; k < 4; k++)
            sum[k] += x[i + k] * y[i + k];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* 1/2 sum_i (<A_i, z> - seen_i)^2 */
static double misfit(const void *problem, const double *z, double *g)
{
    const sensing *s = problem;
    double sum = 0;
    memset(g, 0, N * N * sizeof *g);
    for (int i = 0; i < M; i++) {
        const double off = dot(s->map[i], z, N * N) - s->seen[i];
        sum += 0.5 * off * off;
        for (int k = 0; k < N * N; k++)
            g[k] += off * s->map[i][k];
    }
    return sum;
}

/* y = y / ||y||; returns ||y||. */
static double normalise(double *y)
{
    const double size = sqrt(dot(y, y, N));
    for (int i = 0; i < N; i++)
        y[i] /= size;
    return size;
}

/* out = x v, or x^T v. */
static void apply(const double *x, bool transposed, const double *v, double *out)
{
    memset(out, 0, N * sizeof *out);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            out[transposed ? j : i] += x[i * N + j] * v[transposed ? i : j];
}

/* Finds the R leading singular pairs of x, one after the other, by the power method, and subtracts
   each from x. a and b get the singular vectors times the root of the singular value. */
static void leading_pairs(double *x, double *a, double *b)
{
    for (int r = 0; r < R; r++) {
        double u[N], v[N], sigma = 0;
        for (int i = 0; i < N; i++)
            v[i] = 1 + 0.1 * i;
        for (int k = 0; k < ROUNDS; k++) {
            apply(x, false, v, u);
            normalise(u);
            apply(x, true, u, v);
            sigma = normalise(v);
        }
        for (int i = 0; i < N; i++) {
            a[i * R + r] = sqrt(sigma) * u[i];
            b[i * R + r] = sqrt(sigma) * v[i];
            for (int j = 0; j < N; j++)
                x[i * N + j] -= sigma * u[i] * v[j];
        }
    }
}

/* Makes x random with orthonormal rows, by Gram-Schmidt twice. */
static void orthonormal(const lab *l, const char *stream, double x[R][N])
{
    lab_normal(l, stream, 1, R * N, x[0]);
    for (int r = 0; r < R; r++)
        for (int pass = 0; pass < 2; pass++) {
            for (int k = 0; k < r; k++) {
                const double along = dot(x[k], x[r], N);
                for (int i = 0; i < N; i++)
                    x[r][i] -= along * x[k][i];
            }
            normalise(x[r]);
        }
}

static void make_sensing(const lab *l, double kappa, sensing *s)
{
    double u[R][N], v[R][N], from[N * N] = { 0 };
    lab_normal(l, "measurements", 1 / sqrt(M), (int64_t)M * N * N, s->map[0]);
    orthonormal(l, "left", u);
    orthonormal(l, "right", v);
    memset(s->x, 0, sizeof s->x);
    for (int r = 0; r < R; r++)
        for (int i = 0; i < N * N; i++)
            s->x[i] += (1 + (1 / kappa - 1) * r / (R - 1)) * u[r][i / N] * v[r][i % N];
    s->norm = sqrt(dot(s->x, s->x, N * N));
    for (int i = 0; i < M; i++) {
        s->seen[i] = dot(s->map[i], s->x, N * N);
        for (int k = 0; k < N * N; k++)
            from[k] += s->seen[i] * s->map[i][k];
    }
    leading_pairs(from, s->a, s->b);
}

static void note(void *arg, const lab_state *now)
{
    descent *d = arg;
    double sum = 0;
    for (int i = 0; i < N * N; i++)
        sum += (now->z[i] - d->s->x[i]) * (now->z[i] - d->s->x[i]);
    const double error = sqrt(sum) / d->s->norm;
    d->error[d->kappa][now->step] = error;
    if (error < close_enough && d->reached[d->kappa] < 0)
        d->reached[d->kappa] = now->step;
}

/* The rate of the paper; for other optimizers one chosen on the problem of condition number 1. */
static double rate_of(const lab *l, const lab_choice *how, const lab_task *t, tn_error *e)
{
    const bool theirs = !strcmp(how->def->name, "scaled-gd") || !strcmp(how->def->name, "sgd");
    lab_task brief = *t;
    brief.steps = STEPS / 5;
    return theirs && l->o->learning_rate == NOT_SET ? 0.5 : lab_rate(l, how, &brief, e);
}

static int run_kappas(const lab *l, sensing *s, descent *all, double *rate, tn_error *e)
{
    for (int k = 0; k < KAPPAS && !e->code; k++) {
        make_sensing(l, kappas[k], s);
        const lab_task task = { .out = N,
                                .in = N,
                                .r = R,
                                .a = s->a,
                                .b = s->b,
                                .loss = misfit,
                                .problem = s,
                                .steps = STEPS };
        for (int i = 0; i < l->count && !e->code; i++) {
            descent *d = &all[i];
            d->s = s;
            d->kappa = k;
            d->reached[k] = -1;
            for (int step = 0; step <= STEPS; step++) {
                d->x[step] = step;
                d->error[k][step] = (double)NAN;
            }
            if (!k)
                rate[i] = rate_of(l, &l->chosen[i], &task, e);
            lab_run(l, &l->chosen[i], rate[i], &task, note, d, e);
        }
    }
    return e->code;
}

static void print_table(const lab *l, const descent *all, const double *rate)
{
    lines t = lines_begin();
    t.indent = (size_t)l->width + 7;
    lines_cell(&t, t.indent, "%-*s %6s", l->width, "optimizer", "rate");
    for (int k = 0; k < KAPPAS; k++)
        lines_cell(&t, 14, "  kappa %g", kappas[k]);
    lines_add(&t, "\n");
    for (int i = 0; i < l->count; i++) {
        lines_cell(&t, t.indent, "%-*s %6g", l->width, l->chosen[i].label, rate[i]);
        for (int k = 0; k < KAPPAS; k++) {
            char text[32];
            snprintf(text, sizeof text, "%d", all[i].reached[k]);
            if (all[i].reached[k] < 0)
                snprintf(text, sizeof text, "at %.1e", all[i].error[k][STEPS]);
            lines_cell(&t, 14, "  %s", isnan(all[i].error[k][STEPS]) ? "diverges" : text);
        }
        lines_add(&t, "\n");
    }
}

static int show_curves(const lab *l, const descent *all, tn_error *e)
{
    static const char *const names[KAPPAS] = { "kappa 1", "kappa 10", "kappa 100", "kappa 1,000",
                                               "kappa 10,000" };
    chart charts[LAB_MOST];
    curve curves[LAB_MOST][KAPPAS];
    for (int i = 0; i < l->count; i++) {
        for (int k = 0; k < KAPPAS; k++)
            curves[i][k] = (curve){ names[k], all[i].x, all[i].error[k], STEPS + 1 };
        charts[i] = (chart){ .title = l->chosen[i].label,
                             .x = "step",
                             .y = "relative error",
                             .curves = curves[i],
                             .count = KAPPAS,
                             .log_y = true,
                             .y_range = { 1e-9, 10 } };
    }
    return lab_show(l, charts, l->count, LAB_GRID, e);
}

int lab_conditioning(const lab *l, tn_error *e)
{
    double rate[LAB_MOST];
    sensing *s = calloc(1, sizeof *s);
    descent *all = calloc((size_t)l->count, sizeof *all);
    if (!s || !all)
        tn_fail(e, TN_ENOMEM, "lab: out of memory");
    lines_show(
        "X* (%d,%d) of rank %d, singular values from 1 to 1/kappa, is sought from %d products "
        "with random matrices.\nThe start is the spectral one.\nRates: 0.5 for scaled-gd, "
        "0.5 / sigma_1 for sgd, as in arXiv:2005.08898; for others as they do at kappa 1 in %d "
        "steps.\n" LAB_RATES
        "steps to a relative error of %g (at: the error after %d steps, above that)\n",
        N, N, R, M, STEPS / 5, close_enough, STEPS);
    if (!e->code && !run_kappas(l, s, all, rate, e)) {
        print_table(l, all, rate);
        show_curves(l, all, e);
    }
    free(s);
    free(all);
    return e->code;
}
