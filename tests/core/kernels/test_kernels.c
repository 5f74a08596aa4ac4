/* test_kernels.c - every kernel against libm, and every ISA against scalar, in a table. */
#include "tests/support/kernels.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST = 1100, OFFSET = 3 }; /* arrays begin OFFSET numbers in: they are not aligned */

static const int64_t lengths[] = { 0, 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 47, 100, 768, LONGEST };
enum { LENGTHS = sizeof lengths / sizeof *lengths };

/* The arrays that a kernel reads, and its results: the array y, and one number. */
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

/* ---- one row per kernel: how it is called, and what its result must be ---- */

enum { MEAN_PER_MILLE = 125, RSTD = 2 };
static const tn_real mean = (tn_real)MEAN_PER_MILLE / 1000, beta = (tn_real)0.75;

#define X (t->x + OFFSET)
#define V (t->v + OFFSET)
#define W (t->w + OFFSET)
#define B (t->b + OFFSET)
#define Y (t->y + OFFSET)

/* clang-format off */
static void call_sum(const tn_kernels *k, trial *t) { t->result = k->sum(t->n, X); }
static void call_dot(const tn_kernels *k, trial *t) { t->result = k->dot(t->n, X, V); }
static void call_max(const tn_kernels *k, trial *t) { t->result = k->max(t->n, X); }
static void call_square(const tn_kernels *k, trial *t) { t->result = k->square_sum(t->n, X, mean); }
static void call_exp(const tn_kernels *k, trial *t) { t->result = k->exp_sum(t->n, X, mean, Y); }
static void call_axpy(const tn_kernels *k, trial *t) { k->axpy(t->n, mean, X, Y); }
static void call_scale(const tn_kernels *k, trial *t) { k->scale(t->n, mean, Y); }
static void call_gelu(const tn_kernels *k, trial *t) { result_of(&k->formulas->gelu, t->n, X, Y); }
static void call_gelu_back(const tn_kernels *k, trial *t) { gradient_of(&k->formulas->gelu, t->n, X, V, beta, Y); }
static void call_gelu_new(const tn_kernels *k, trial *t) { gradient_of(&k->formulas->gelu, t->n, X, V, 0, Y); }
static void call_erf(const tn_kernels *k, trial *t) { result_of(&k->formulas->gelu_erf, t->n, X, Y); }
static void call_erf_back(const tn_kernels *k, trial *t) { gradient_of(&k->formulas->gelu_erf, t->n, X, V, beta, Y); }
static void call_erf_new(const tn_kernels *k, trial *t) { gradient_of(&k->formulas->gelu_erf, t->n, X, V, 0, Y); }
static void call_silu(const tn_kernels *k, trial *t) { result_of(&k->formulas->silu, t->n, X, Y); }
static void call_silu_back(const tn_kernels *k, trial *t) { gradient_of(&k->formulas->silu, t->n, X, V, beta, Y); }
static void call_silu_new(const tn_kernels *k, trial *t) { gradient_of(&k->formulas->silu, t->n, X, V, 0, Y); }
static void call_norm(const tn_kernels *k, trial *t) { k->norm(t->n, X, mean, RSTD, W, B, Y); }
static void call_norm_plain(const tn_kernels *k, trial *t) { k->norm(t->n, X, mean, RSTD, W, NULL, Y); }
static void call_norm_back(const tn_kernels *k, trial *t) { k->norm_back(t->n, X, V, mean, RSTD, W, beta, Y); }
static void call_norm_new(const tn_kernels *k, trial *t) { k->norm_back(t->n, X, V, mean, RSTD, W, 0, Y); }
static void call_rms_back(const tn_kernels *k, trial *t) { k->rms_back(t->n, X, V, RSTD, W, beta, Y); }
static void call_rms_new(const tn_kernels *k, trial *t) { k->rms_back(t->n, X, V, RSTD, W, 0, Y); }
static void call_exp_in_place(const tn_kernels *k, trial *t)
{
    memcpy(Y, X, (size_t)t->n * sizeof *Y);
    t->result = k->exp_sum(t->n, Y, mean, Y);
}

/* The right value of element i of y. t->y has the old values. */
static long double is_kept(const trial *t, int64_t i) { return Y[i]; }
static long double is_exp(const trial *t, int64_t i) { return expl(X[i] - mean); }
static long double is_axpy(const trial *t, int64_t i) { return (long double)mean * X[i] + Y[i]; }
static long double is_scale(const trial *t, int64_t i) { return (long double)mean * Y[i]; }
static long double is_gelu(const trial *t, int64_t i) { return gelu_of(X[i]); }
static long double is_gelu_new(const trial *t, int64_t i) { return V[i] * gelu_slope_of(X[i]); }
static long double is_gelu_back(const trial *t, int64_t i) { return (long double)beta * Y[i] + is_gelu_new(t, i); }
static long double is_erf(const trial *t, int64_t i) { return gelu_erf_of(X[i]); }
static long double is_erf_new(const trial *t, int64_t i) { return V[i] * gelu_erf_slope_of(X[i]); }
static long double is_silu(const trial *t, int64_t i) { return silu_of(X[i]); }
static long double is_silu_new(const trial *t, int64_t i) { return V[i] * silu_slope_of(X[i]); }
static long double is_erf_back(const trial *t, int64_t i) { return (long double)beta * Y[i] + is_erf_new(t, i); }
static long double is_silu_back(const trial *t, int64_t i) { return (long double)beta * Y[i] + is_silu_new(t, i); }
static long double centred(const trial *t, int64_t i) { return ((long double)X[i] - mean) * RSTD; }
static long double is_norm_plain(const trial *t, int64_t i) { return centred(t, i) * W[i]; }
static long double is_norm(const trial *t, int64_t i) { return is_norm_plain(t, i) + B[i]; }
static long double is_norm_new(const trial *t, int64_t i)
{
    long double m1 = 0, m2 = 0;
    for (int64_t j = 0; j < t->n; j++) {
        m1 += (long double)V[j] * W[j];
        m2 += (long double)V[j] * W[j] * centred(t, j);
    }
    return RSTD * ((long double)V[i] * W[i] - m1 / t->n - centred(t, i) * m2 / t->n);
}

static long double is_norm_back(const trial *t, int64_t i) { return (long double)beta * Y[i] + is_norm_new(t, i); }
static long double is_rms_new(const trial *t, int64_t i)
{
    long double m2 = 0;
    for (int64_t j = 0; j < t->n; j++)
        m2 += (long double)V[j] * W[j] * X[j] * RSTD;
    return RSTD * ((long double)V[i] * W[i] - (long double)X[i] * RSTD * m2 / t->n);
}

static long double is_rms_back(const trial *t, int64_t i) { return (long double)beta * Y[i] + is_rms_new(t, i); }

/* The term of element i in the result. */
static long double adds_x(const trial *t, int64_t i) { return X[i]; }
static long double adds_product(const trial *t, int64_t i) { return (long double)X[i] * V[i]; }
static long double adds_square(const trial *t, int64_t i) { return powl((long double)X[i] - mean, 2); }
/* clang-format on */

typedef struct kernel_case {
    const char *name;
    void (*call)(const tn_kernels *k, trial *t);
    long double (*element)(const trial *t, int64_t i);
    long double (*adds)(const trial *t, int64_t i); /* NULL: the result is not a sum */
    double size;                                    /* x is uniform in (-size, size) */
    double error; /* the limit, times max(1, |x|, |right|); if `relative`, times |right| */
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
    { "rms_back", call_rms_back, is_rms_back, NULL, 10, 5e-6, false },
    { "rms_back new", call_rms_new, is_rms_new, NULL, 10, 5e-6, false },
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
        for (int isa = 0; isa < ISAS && tn_kernels_select(tn_isas[isa]); isa++) {
            fill(before, lengths[s], c->size);
            *t = *before;
            c->call(tn_kernels_select(tn_isas[isa]), t);
            for (int64_t i = 0; isa == 0 && i < t->n; i++)
                check_near(c, before, i, Y[i]);
            check_result(c, before, t->result);
            if (isa == 0)
                *scalar = *t;
            ck_assert_msg(!memcmp(t, scalar, sizeof *t), "%s: %s and scalar differ at n %ld",
                          c->name, tn_isas[isa], (long)lengths[s]);
        }
    free(before);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, right_and_the_same_everywhere, 0, CASES);
}
