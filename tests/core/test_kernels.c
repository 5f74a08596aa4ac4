/* test_kernels.c - every kernel against libm, and every ISA against scalar. */
#include "core/kernels/kernels.h"
#include "tests/support/tests.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 1100, OFFSET = 3 }; /* the offset: vectors need not be aligned */

static const char *const isas[] = { "scalar", "avx2", "avx512" };
enum { ISAS = sizeof isas / sizeof *isas };
static const int64_t lengths[] = { 0, 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 47, 100, 768, LONGEST };
enum { LENGTHS = sizeof lengths / sizeof *lengths };

/* What a kernel reads, and what it wrote: y, and one number. */
typedef struct trial {
    int64_t n;
    tn_real x[LONGEST + OFFSET], v[LONGEST + OFFSET], w[LONGEST + OFFSET], b[LONGEST + OFFSET];
    tn_real y[LONGEST + OFFSET], result;
} trial;

static void fill(trial *t, int64_t n, double size)
{
    t->n = n;
    t->result = 0;
    tn_fill_uniform(t->x, LONGEST + OFFSET, size, 1, 1);
    tn_fill_uniform(t->v, LONGEST + OFFSET, 2, 1, 2);
    tn_fill_uniform(t->w, LONGEST + OFFSET, 2, 1, 3);
    tn_fill_uniform(t->b, LONGEST + OFFSET, 2, 1, 4);
    tn_fill_uniform(t->y, LONGEST + OFFSET, 2, 1, 5);
}

/* ---- one row per kernel: how it is called, and what it means ---- */

static long double gelu_of(long double x)
{
    const long double root = 0.797884560802865355879892119868763737L; /* sqrt(2/pi) */
    return x / 2 * (1 + tanhl(root * (x + 0.044715L * x * x * x)));
}

static long double gelu_slope_of(long double x)
{
    const long double root = 0.797884560802865355879892119868763737L;
    long double t = tanhl(root * (x + 0.044715L * x * x * x));
    return (1 + t) / 2 + x / 2 * (1 - t * t) * root * (1 + 3 * 0.044715L * x * x);
}

static long double gelu_erf_of(long double x)
{
    return x / 2 * erfcl(-x * 0.707106781186547524400844362104849039L);
}

static long double gelu_erf_slope_of(long double x)
{
    return erfcl(-x * 0.707106781186547524400844362104849039L) / 2 +
           x * expl(-x * x / 2) * 0.398942280401432677939946059934381868L;
}

/* clang-format off */
static long double silu_of(long double x) { return x / (1 + expl(-x)); }
/* clang-format on */

static long double silu_slope_of(long double x)
{
    long double s = 1 / (1 + expl(-x));
    return s + x * s / (1 + expl(x));
}

enum { MEAN_PER_MILLE = 125, RSTD = 2 };
static const tn_real mean = (tn_real)MEAN_PER_MILLE / 1000, beta = (tn_real)0.75;

#define X (t->x + OFFSET)
#define V (t->v + OFFSET)
#define W (t->w + OFFSET)
#define B (t->b + OFFSET)
#define Y (t->y + OFFSET)

/* clang-format off */
static void call_sum(const tn_kernels *k, trial *t) { t->result = k->sum(t->n, X); }
/* clang-format on */
static void call_dot(const tn_kernels *k, trial *t)
{
    t->result = k->dot(t->n, X, V);
}
static void call_max(const tn_kernels *k, trial *t)
{
    t->result = k->max(t->n, X);
}
static void call_square(const tn_kernels *k, trial *t)
{
    t->result = k->square_sum(t->n, X, mean);
}

/* clang-format off */
static void call_exp(const tn_kernels *k, trial *t) { t->result = k->exp_sum(t->n, X, mean, Y); }
/* clang-format on */
static void call_axpy(const tn_kernels *k, trial *t)
{
    k->axpy(t->n, mean, X, Y);
}
static void call_scale(const tn_kernels *k, trial *t)
{
    k->scale(t->n, mean, Y);
}
static void call_gelu(const tn_kernels *k, trial *t)
{
    k->gelu(t->n, X, Y);
}
static void call_gelu_back(const tn_kernels *k, trial *t)
{
    k->gelu_back(t->n, X, V, beta, Y);
}
static void call_gelu_new(const tn_kernels *k, trial *t)
{
    k->gelu_back(t->n, X, V, 0, Y);
}
static void call_erf(const tn_kernels *k, trial *t)
{
    k->gelu_erf(t->n, X, Y);
}
static void call_erf_back(const tn_kernels *k, trial *t)
{
    k->gelu_erf_back(t->n, X, V, beta, Y);
}
static void call_erf_new(const tn_kernels *k, trial *t)
{
    k->gelu_erf_back(t->n, X, V, 0, Y);
}
static void call_silu(const tn_kernels *k, trial *t)
{
    k->silu(t->n, X, Y);
}
static void call_silu_back(const tn_kernels *k, trial *t)
{
    k->silu_back(t->n, X, V, beta, Y);
}
static void call_silu_new(const tn_kernels *k, trial *t)
{
    k->silu_back(t->n, X, V, 0, Y);
}
static void call_norm(const tn_kernels *k, trial *t)
{
    k->norm(t->n, X, mean, RSTD, W, B, Y);
}

static void call_norm_plain(const tn_kernels *k, trial *t)
{
    k->norm(t->n, X, mean, RSTD, W, NULL, Y);
}

static void call_norm_back(const tn_kernels *k, trial *t)
{
    k->norm_back(t->n, X, V, mean, RSTD, W, beta, Y);
}

static void call_norm_new(const tn_kernels *k, trial *t)
{
    k->norm_back(t->n, X, V, mean, RSTD, W, 0, Y);
}

static void call_exp_in_place(const tn_kernels *k, trial *t)
{
    memcpy(Y, X, (size_t)t->n * sizeof *Y);
    t->result = k->exp_sum(t->n, Y, mean, Y);
}

/* Element i of y afterwards; t->y still holds what was there before. */
/* clang-format off */
static long double is_kept(const trial *t, int64_t i) { return Y[i]; }
/* clang-format on */
static long double is_exp(const trial *t, int64_t i)
{
    return expl(X[i] - mean);
}
static long double is_axpy(const trial *t, int64_t i)
{
    return (long double)mean * X[i] + Y[i];
}
static long double is_scale(const trial *t, int64_t i)
{
    return (long double)mean * Y[i];
}
static long double is_gelu(const trial *t, int64_t i)
{
    return gelu_of(X[i]);
}
static long double is_gelu_new(const trial *t, int64_t i)
{
    return V[i] * gelu_slope_of(X[i]);
}

static long double is_gelu_back(const trial *t, int64_t i)
{
    return (long double)beta * Y[i] + is_gelu_new(t, i);
}

/* clang-format off */
static long double is_erf(const trial *t, int64_t i) { return gelu_erf_of(X[i]); }
/* clang-format on */
static long double is_erf_new(const trial *t, int64_t i)
{
    return V[i] * gelu_erf_slope_of(X[i]);
}
static long double is_silu(const trial *t, int64_t i)
{
    return silu_of(X[i]);
}
static long double is_silu_new(const trial *t, int64_t i)
{
    return V[i] * silu_slope_of(X[i]);
}

static long double is_erf_back(const trial *t, int64_t i)
{
    return (long double)beta * Y[i] + is_erf_new(t, i);
}

static long double is_silu_back(const trial *t, int64_t i)
{
    return (long double)beta * Y[i] + is_silu_new(t, i);
}

/* clang-format off */
static long double centred(const trial *t, int64_t i) { return ((long double)X[i] - mean) * RSTD; }
/* clang-format on */
static long double is_norm_plain(const trial *t, int64_t i)
{
    return centred(t, i) * W[i];
}
static long double is_norm(const trial *t, int64_t i)
{
    return is_norm_plain(t, i) + B[i];
}

static long double is_norm_new(const trial *t, int64_t i)
{
    long double m1 = 0, m2 = 0;
    for (int64_t j = 0; j < t->n; j++) {
        m1 += (long double)V[j] * W[j];
        m2 += (long double)V[j] * W[j] * centred(t, j);
    }
    return RSTD * ((long double)V[i] * W[i] - m1 / t->n - centred(t, i) * m2 / t->n);
}

static long double is_norm_back(const trial *t, int64_t i)
{
    return (long double)beta * Y[i] + is_norm_new(t, i);
}

/* What element i adds to the result. */
/* clang-format off */
static long double adds_x(const trial *t, int64_t i) { return X[i]; }
/* clang-format on */
static long double adds_product(const trial *t, int64_t i)
{
    return (long double)X[i] * V[i];
}

static long double adds_square(const trial *t, int64_t i)
{
    return powl((long double)X[i] - mean, 2);
}

typedef struct kernel_case {
    const char *name;
    void (*call)(const tn_kernels *k, trial *t);
    long double (*element)(const trial *t, int64_t i);
    long double (*adds)(const trial *t, int64_t i); /* NULL: the result is not a sum */
    double size;                                    /* x is uniform in (-size, size) */
    double error; /* allowed, times max(1, |x|, |right|), or, if relative, |right| */
    bool relative;
} kernel_case;

static const kernel_case cases[] = {
    { "sum", call_sum, is_kept, adds_x, 10, 2e-7, false },
    { "dot", call_dot, is_kept, adds_product, 10, 2e-7, false },
    { "max", call_max, is_kept, NULL, 10, 0, false },
    { "square_sum", call_square, is_kept, adds_square, 10, 2e-7, false },
    { "exp_sum", call_exp, is_exp, is_exp, 80, 2e-7, true },
    { "exp_sum near", call_exp, is_exp, is_exp, 1, 2e-7, true },
    { "exp_sum same", call_exp_in_place, is_exp, is_exp, 10, 2e-7, true },
    { "axpy", call_axpy, is_axpy, NULL, 10, 1e-7, false },
    { "scale", call_scale, is_scale, NULL, 10, 1e-7, true },
    { "gelu", call_gelu, is_gelu, NULL, 8, 1e-6, false },
    { "gelu far", call_gelu, is_gelu, NULL, 100, 1e-6, false },
    { "gelu_back", call_gelu_back, is_gelu_back, NULL, 8, 2e-6, false },
    { "gelu_back new", call_gelu_new, is_gelu_new, NULL, 100, 2e-6, false },
    { "gelu_erf", call_erf, is_erf, NULL, 12, 5e-7, true },
    { "gelu_erf far", call_erf, is_erf, NULL, 100, 1e-7, false },
    { "gelu_erf_back", call_erf_back, is_erf_back, NULL, 8, 1e-6, false },
    { "gelu_erf new", call_erf_new, is_erf_new, NULL, 100, 1e-6, false },
    { "silu", call_silu, is_silu, NULL, 80, 5e-7, true },
    { "silu_back", call_silu_back, is_silu_back, NULL, 8, 1e-6, false },
    { "silu_back new", call_silu_new, is_silu_new, NULL, 100, 1e-6, false },
    { "norm", call_norm, is_norm, NULL, 10, 1e-6, false },
    { "norm plain", call_norm_plain, is_norm_plain, NULL, 10, 1e-6, false },
    { "norm_back", call_norm_back, is_norm_back, NULL, 10, 5e-6, false },
    { "norm_back new", call_norm_new, is_norm_new, NULL, 10, 5e-6, false },
};
enum { CASES = sizeof cases / sizeof *cases };

static void check_near(const kernel_case *c, const trial *before, int64_t i, long double got)
{
    const trial *t = before;
    long double right = c->element(t, i), scale = fabsl(right);
    if (!c->relative)
        scale = fmaxl(fmaxl(1, fabsl((long double)X[i])), scale);
    ck_assert_msg(fabsl(got - right) <= c->error * scale,
                  "%s, n %ld, [%ld]: x %.9g gives %.9Lg, not %.9Lg", c->name, (long)t->n, (long)i,
                  (double)X[i], got, right);
}

static void check_result(const kernel_case *c, const trial *before, tn_real got)
{
    long double sum = 0, size = 0;
    for (int64_t i = 0; c->adds && i < before->n; i++) {
        sum += c->adds(before, i);
        size += fabsl(c->adds(before, i));
    }
    if (c->adds)
        ck_assert_msg(fabsl(got - sum) <= 2e-6L * size, "%s, n %ld: %.9g, not %.9Lg", c->name,
                      (long)before->n, (double)got, sum);
}

START_TEST(right_and_the_same_everywhere)
{
    const kernel_case *c = &cases[_i];
    trial *before = calloc(3, sizeof *before), *t = before + 1, *scalar = before + 2;
    for (int s = 0; s < LENGTHS; s++)
        for (int isa = 0; isa < ISAS && tn_kernels_select(isas[isa]); isa++) {
            fill(before, lengths[s], c->size);
            *t = *before;
            c->call(tn_kernels_select(isas[isa]), t);
            for (int64_t i = 0; isa == 0 && i < t->n; i++)
                check_near(c, before, i, Y[i]);
            check_result(c, before, t->result);
            if (isa == 0)
                *scalar = *t;
            ck_assert_msg(!memcmp(t, scalar, sizeof *t), "%s: %s and scalar differ at n %ld",
                          c->name, isas[isa], (long)lengths[s]);
        }
    free(before);
}
END_TEST

START_TEST(max_is_the_largest)
{
    tn_real x[100];
    for (int isa = 0; isa < ISAS; isa++) {
        const tn_kernels *k = tn_kernels_select(isas[isa]);
        for (int n = 0; k && n <= 100; n++)
            for (int at = 0; at < n; at++) {
                for (int i = 0; i < n; i++)
                    x[i] = i == at ? -1 : i % 3 ? (tn_real) - (2 + i) : (tn_real)NAN;
                ck_assert(k->max(n, x) == -1);
            }
        ck_assert(!k || k->max(0, x) == -INFINITY);
    }
}
END_TEST

START_TEST(log_is_accurate)
{
    for (int isa = 0; isa < ISAS; isa++) {
        const tn_kernels *k = tn_kernels_select(isas[isa]);
        if (!k)
            continue;
        for (int i = 0; i < 100000; i++) {
            double u = tn_random_uniform(3, 0, 0, (uint64_t)i);
            /* every other one near 1, the rest from denormals to 3e38 */
            tn_real x = (tn_real)(i % 2 ? 0.5 + u : exp(-103 + 191 * u));
            long double right = logl(x);
            ck_assert_msg(fabsl(k->log(x) - right) <= 2e-7L * fabsl(right),
                          "log %.9g is %.9g, not %.9Lg", (double)x, (double)k->log(x), right);
            ck_assert(k->log(x) == tn_kernels_scalar.log(x));
        }
        ck_assert(k->log(1) == 0 && k->log(0) == -INFINITY && k->log(INFINITY) == INFINITY);
        ck_assert(isnan(k->log(NAN)) && isnan(k->log(-1)));
    }
}
END_TEST

/* exp alone is exp_sum of one element; in a row it is the same. */
START_TEST(exp_is_accurate)
{
    enum { ROW = 1000, ROWS = 100 };
    for (int row = 0; row < ISAS * ROWS; row++) {
        const tn_kernels *k = tn_kernels_select(isas[row / ROWS]);
        tn_real x[ROW], y[ROW], one;
        for (int i = 0; k && i < ROW; i++)
            x[i] = (tn_real)(-87.3 +
                             176 * tn_random_uniform(3, 0, (uint32_t)(row % ROWS), (uint64_t)i));
        if (k)
            k->exp_sum(ROW, x, 0, y);
        for (int i = 0; k && i < ROW; i++) {
            long double right = expl(x[i]);
            ck_assert(k->exp_sum(1, &x[i], 0, &one) == one && one == y[i]);
            ck_assert(tn_kernels_scalar.exp_sum(1, &x[i], 0, &one) == y[i]);
            ck_assert_msg(fabsl(y[i] - right) <= 2e-7L * right, "exp %.9g is %.9g, not %.9Lg",
                          (double)x[i], (double)y[i], right);
        }
    }
}
END_TEST

/* Every x in steps of a thousandth, alone and in a row: the errors that kernels.h states. */
START_TEST(activations_are_accurate)
{
    enum { STEPS = 26000 };
    static tn_real x[STEPS], y[STEPS], z[STEPS];
    tn_real one;
    for (int i = 0; i < STEPS; i++)
        x[i] = (tn_real)(i - STEPS / 2) / 1000;
    for (int isa = 0; isa < ISAS; isa++) {
        const tn_kernels *k = tn_kernels_select(isas[isa]);
        if (!k)
            continue;
        k->gelu_erf(STEPS, x, y);
        k->silu(STEPS, x, z);
        for (int i = 0; i < STEPS; i++) {
            long double a = gelu_erf_of(x[i]), b = silu_of(x[i]);
            ck_assert_msg(fabsl(y[i] - a) <= 5e-7L * fabsl(a) &&
                              fabsl(z[i] - b) <= 5e-7L * fabsl(b),
                          "%.9g gives %.9g and %.9g, not %.9Lg and %.9Lg", (double)x[i],
                          (double)y[i], (double)z[i], a, b);
            k->gelu_erf(1, &x[i], &one);
            ck_assert(one == y[i]);
            tn_kernels_scalar.silu(1, &x[i], &one);
            ck_assert(one == z[i]);
        }
    }
}
END_TEST

/* In f32 the last x whose exp is finite, and the next. NaN is NaN whatever its other bits. */
START_TEST(exp_ends_where_floats_do)
{
#ifndef TN_DOUBLE
    for (int isa = 0; isa < ISAS; isa++) {
        const tn_kernels *k = tn_kernels_select(isas[isa]);
        for (uint32_t bits = 0x7f800001; k && bits < 0x7f802000; bits++) {
            float x[9] = { 88.7228317f, 88.7228394f }, y[9];
            memcpy(&x[8], &bits, sizeof bits);
            k->exp_sum(9, x, 0, y);
            ck_assert(fabsl(y[0] - expl(x[0])) <= 2e-7L * y[0] && y[1] == INFINITY);
            ck_assert(isnan(y[8]));
        }
    }
#endif
}
END_TEST

/* Numbers at the edges: { x, exp(x), gelu(x), gelu'(x) }, silu as gelu, where NAN says "any" unless x is NaN. */
static const double edges[][4] = {
    { 0, 1, 0, 0.5 },
    { -INFINITY, 0, NAN, 0 },
    { -3e38, 0, 0, 0 },
    { 3e38, INFINITY, 3e38, 1 },
    { INFINITY, INFINITY, INFINITY, 1 },
    { -1e-40, 1, 0, 0.5 },
    { 100, INFINITY, 100, 1 },
    { -120, 0, 0, 0 },
    { NAN, NAN, NAN, NAN },
};

static void check_edge(const char *what, double x, double got, double exactly)
{
    double right = (double)(tn_real)exactly;
    bool same = isnan(x) ? isnan(got) : isnan(right) || got == right || fabs(got - right) < 1e-6;
    ck_assert_msg(same, "%s(%g) is %g, not %g", what, x, got, right);
}

START_TEST(edges_make_sense)
{
    static const char *const names[] = { "gelu", "gelu_erf", "silu" };
    for (int isa = 0; isa < ISAS; isa++) {
        const tn_kernels *k = tn_kernels_select(isas[isa]);
        for (size_t e = 0; k && e < sizeof edges / sizeof *edges; e++) {
            tn_real x[20], y[20], one[20];
            for (int i = 0; i < 20; i++) { /* 16 in a vector, 4 after it */
                x[i] = (tn_real)edges[e][0];
                one[i] = 1;
            }
            if (sizeof(tn_real) == 4 || fabs(edges[e][0]) < 80 || !isfinite(edges[e][0])) {
                tn_real sum = k->exp_sum(20, x, 0, y);
                check_edge("exp", edges[e][0], (double)y[0], edges[e][1]);
                check_edge("exp", edges[e][0], (double)y[19], edges[e][1]);
                ck_assert(isnan(x[0]) ? isnan(sum) : sum > 0 || edges[e][1] == 0);
            }
            void (*const up[])(int64_t, const tn_real *, tn_real *) = { k->gelu, k->gelu_erf,
                                                                        k->silu };
            void (*const back[])(int64_t, const tn_real *, const tn_real *, tn_real,
                                 tn_real *) = { k->gelu_back, k->gelu_erf_back, k->silu_back };
            for (int a = 0; a < 3; a++) { /* at the edges they are the same */
                up[a](20, x, y);
                check_edge(names[a], edges[e][0], (double)y[0], edges[e][2]);
                check_edge(names[a], edges[e][0], (double)y[19], edges[e][2]);
                for (int i = 0; i < 20; i++)
                    y[i] = NAN;
                back[a](20, x, one, 0, y); /* beta 0: what was there is not read */
                check_edge(names[a], edges[e][0], (double)y[0], edges[e][3]);
                check_edge(names[a], edges[e][0], (double)y[19], edges[e][3]);
            }
        }
    }
}
END_TEST

START_TEST(selection)
{
    unsetenv("TN_ISA");
    ck_assert_ptr_nonnull(tn_kernels_select(NULL));
    ck_assert_ptr_eq(tn_kernels_select("scalar"), &tn_kernels_scalar);
    ck_assert_ptr_null(tn_kernels_select("mmx"));
    ck_assert_ptr_null(tn_kernels_select(""));
    setenv("TN_ISA", "scalar", 1);
    ck_assert_ptr_eq(tn_kernels_select(NULL), &tn_kernels_scalar);
    setenv("TN_ISA", "mmx", 1);
    if (sizeof(tn_real) == 4)
        ck_assert_ptr_null(tn_kernels_select(NULL));
    ck_assert_ptr_eq(tn_kernels_select("scalar"), &tn_kernels_scalar);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, right_and_the_same_everywhere, 0, CASES);
    tcase_add_test(c, max_is_the_largest);
    tcase_add_test(c, exp_is_accurate);
    tcase_add_test(c, activations_are_accurate);
    tcase_add_test(c, exp_ends_where_floats_do);
    tcase_add_test(c, log_is_accurate);
    tcase_add_test(c, edges_make_sense);
    tcase_add_test(c, selection);
}
