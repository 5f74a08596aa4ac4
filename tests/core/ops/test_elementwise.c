/* test_elementwise.c - repeated operands against NumPy's rule; where; the functions of arrays.
   test_ops.c checks all else by the samples of the ops. */
#include "tests/support/op_samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Dimensions of two operands, ended by 0. They repeat single numbers or rows, from a few elements
   up to several blocks and ranges. */
static const int64_t shapes[][2][TN_MAX_NDIM + 1] = {
    { { 5 }, { 1 } },
    { { 1 }, { 2, 3 } },
    { { 7, 1 }, { 3 } },
    { { 1, 1, 1, 1 }, { 2, 1, 3 } },
    { { 2, 1, 5 }, { 2, 1, 1 } }, /* both have a 1 in the middle */
    { { 3000, 3 }, { 3 } },
    { { 3000, 3 }, { 3000, 1 } },
    { { 1, 1025 }, { 70, 1025 } },
    { { 5, 20000 }, { 5, 1 } },
    { { 3, 4, 5000 }, { 4, 1 } },
    { { 2, 3, 90, 100 }, { 3, 1, 1 } },
    { { 300, 200 }, { 1, 1 } },
    { { 600, 1 }, { 1, 500 } },
    { { 1000, 333 }, { 333 } },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* The element of a that NumPy's rule uses for element i of the result. */
static int64_t element_of(const tn_tensor *a, const tn_tensor *out, int64_t i)
{
    int64_t at = 0, step = 1;
    for (int d = 1; d <= out->ndim; d++) {
        const int64_t here = i % out->dim[out->ndim - d];
        const int64_t own = d <= a->ndim ? a->dim[a->ndim - d] : 1;
        at += own > 1 ? here * step : 0;
        step *= own;
        i /= out->dim[out->ndim - d];
    }
    return at;
}

typedef struct pair {
    const char *name;
    tn_tensor *(*op)(tn_tape *t, tn_tensor *a, tn_tensor *b);
    double (*y)(double a, double b);
    double (*da)(double a, double b), (*db)(double a, double b);
} pair;

/* clang-format off */
static double one(double a, double b) { (void)a, (void)b; return 1; }
static double first(double a, double b) { (void)b; return a; }
static double second(double a, double b) { (void)a; return b; }
static double sum(double a, double b) { return a + b; }
static double product(double a, double b) { return a * b; }
static double minus_1(double a, double b) { (void)a, (void)b; return -1; }
static double difference(double a, double b) { return a - b; }
static double quotient(double a, double b) { return a / b; }
static double inverse(double a, double b) { (void)a; return 1 / b; }
static double slope_of_divisor(double a, double b) { return -a / (b * b); }
/* clang-format on */

static const pair pairs[] = {
    { "add", tn_add, sum, one, one },
    { "sub", tn_sub, difference, one, minus_1 },
    { "mul", tn_mul, product, second, first },
    { "div", tn_div, quotient, inverse, slope_of_divisor },
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

/* Numbers of size 0.25 to 1, positive and negative. None is near 0, because div divides by b. */
static tn_tensor *operand(const int64_t dim[])
{
    int ndim = 0;
    while (dim[ndim])
        ndim++;
    tn_tensor *a = tensor(ndim, dim, NULL, true);
    for (int64_t i = 0; i < tn_tensor_count(a); i++)
        a->x[i] = (tn_real)0.75 * a->x[i] + (a->x[i] < 0 ? (tn_real)-0.25 : (tn_real)0.25);
    return a;
}

/* The gradient of operand k, added up element by element. *size becomes the sum of the absolute
   values, which limits the rounding error. */
static void add_up(const pair *p, tn_tensor *const in[2], const tn_tensor *y, int k, double *g,
                   double *size)
{
    double (*const slope)(double, double) = k ? p->db : p->da;
    for (int64_t i = 0; i < tn_tensor_count(y); i++) {
        const double a = (double)in[0]->x[element_of(in[0], y, i)];
        const double b = (double)in[1]->x[element_of(in[1], y, i)];
        const double v = slope(a, b) * (double)(i % 7 - 2);
        g[element_of(in[k], y, i)] += v;
        size[element_of(in[k], y, i)] += fabs(v);
    }
}

static void check_gradient(const pair *p, tn_tensor *const in[2], const tn_tensor *y, int k)
{
    const int64_t count = tn_tensor_count(in[k]);
    double *g = calloc((size_t)(2 * count), sizeof *g), *size = g + count;
    add_up(p, in, y, k, g, size);
    ck_assert(in[k]->has_grad);
    for (int64_t i = 0; i < count; i++)
        ck_assert_msg(fabs((double)in[k]->g[i] - g[i]) <= 1e-6 * size[i],
                      "%s: gradient %d [%ld] is %.9g, not %.9g", p->name, k + 1, (long)i,
                      (double)in[k]->g[i], g[i]);
    free(g);
}

START_TEST(repeated_as_numpy_does)
{
    const pair *p = &pairs[_i / SHAPES];
    bench b = bench_new();
    tn_tensor *in[] = { operand(shapes[_i % SHAPES][0]), operand(shapes[_i % SHAPES][1]) };
    tn_tensor *y = p->op(b.t, in[0], in[1]);
    ck_assert_msg(y != NULL, "%s", tn_tape_error(b.t));
    tn_tensor *weights = tn_tape_input(b.t, TN_REAL, y->ndim, y->dim);
    for (int64_t i = 0; i < tn_tensor_count(y); i++) {
        weights->x[i] = (tn_real)(i % 7 - 2);
        const double want = p->y((double)in[0]->x[element_of(in[0], y, i)],
                                 (double)in[1]->x[element_of(in[1], y, i)]);
        ck_assert_msg(fabs((double)y->x[i] - want) <= 1e-6 * fabs(want),
                      "%s: [%ld] is %.9g, not %.9g", p->name, (long)i, (double)y->x[i], want);
    }
    ck_assert_int_eq(tn_backward(b.t, tn_sum(b.t, tn_mul(b.t, y, weights))), 0);
    check_gradient(p, in, y, 0);
    check_gradient(p, in, y, 1);
    tn_tensor_free(in[0]);
    tn_tensor_free(in[1]);
    bench_free(b);
}
END_TEST

/* where repeats its operands, too. Its condition may be any integer. */
START_TEST(where_picks)
{
    enum { ROWS = 3, COLS = 1500 };
    bench b = bench_new();
    tn_tensor *c = tn_tensor_new(TN_I32, 1, DIM(COLS), false), *x = operand(DIM(ROWS, COLS, 0));
    tn_tensor *y = operand(DIM(ROWS, 1, 0));
    for (int i = 0; i < COLS; i++)
        c->i[i] = i % 5 ? (i % 3) - 1 : 1 << 30;
    tn_tensor *z = tn_where(b.t, c, x, y), *w = tn_tape_input(b.t, TN_REAL, 2, DIM(ROWS, COLS));
    ck_assert_msg(z != NULL, "%s", tn_tape_error(b.t));
    double sums[ROWS] = { 0 };
    for (int i = 0; i < ROWS * COLS; i++) {
        w->x[i] = (tn_real)(i % 7 - 2);
        ck_assert(z->x[i] == (c->i[i % COLS] ? x->x[i] : y->x[i / COLS]));
        sums[i / COLS] += c->i[i % COLS] ? 0 : (double)w->x[i];
    }
    ck_assert_int_eq(tn_backward(b.t, tn_sum(b.t, tn_mul(b.t, z, w))), 0);
    for (int i = 0; i < ROWS * COLS; i++)
        ck_assert(x->g[i] == (c->i[i % COLS] ? w->x[i] : 0));
    for (int i = 0; i < ROWS; i++)
        ck_assert((double)y->g[i] == sums[i]);
    tn_tensor_free(c);
    tn_tensor_free(x);
    tn_tensor_free(y);
    bench_free(b);
}
END_TEST

/* One tensor is both operands. Its gradient is passed on to the op that made it. */
START_TEST(twice_the_same)
{
    bench b = bench_new();
    tn_tensor *a = operand(DIM(4, 0)), *c = tn_tensor_new(TN_I32, 1, DIM(4), false);
    tn_tensor *y = tn_scale(b.t, a, 3); /* a result, whose gradient has no memory yet */
    tn_tensor *all = tn_where(b.t, c, y, y);
    all = tn_add(b.t, tn_add(b.t, all, tn_sub(b.t, y, y)), tn_div(b.t, y, y));
    ck_assert_int_eq(tn_backward(b.t, tn_sum(b.t, all)), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq_tol((double)a->g[i], 3, 1e-5);
    tn_tensor_free(a);
    tn_tensor_free(c);
    bench_free(b);
}
END_TEST

/* The functions of arrays give the bits of the ops, also in place. */
START_TEST(arrays_are_as_ops)
{
    static void (*const arrays[])(const tn_context *, int64_t, const tn_real *,
                                  tn_real *) = { tn_exp_array, tn_log_array, tn_tanh_array,
                                                 tn_sigmoid_array };
    static tn_tensor *(*const ops[])(tn_tape *, tn_tensor *) = { tn_exp, tn_log, tn_tanh,
                                                                 tn_sigmoid };
    enum { N = 777 };
    bench b = bench_new();
    tn_tensor *a = operand(DIM(N, 0));
    for (int i = 0; i < N; i++)
        a->x[i] = (tn_real)fabs(30 * (double)a->x[i]);
    for (size_t f = 0; f < sizeof ops / sizeof *ops; f++) {
        tn_real apart[N + 1], same[N + 1];
        const tn_tensor *y = ops[f](b.t, a);
        apart[N] = same[N] = 7;
        memcpy(same, a->x, N * sizeof *same);
        arrays[f](b.c, N, a->x, apart);
        arrays[f](b.c, N, same, same);
        ck_assert(!memcmp(apart, y->x, N * sizeof *apart) && apart[N] == 7);
        ck_assert(!memcmp(same, y->x, N * sizeof *same) && same[N] == 7);
    }
    tn_tensor_free(a);
    bench_free(b);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, where_picks);
    tcase_add_test(c, twice_the_same);
    tcase_add_test(c, arrays_are_as_ops);
    tcase_add_loop_test(c, repeated_as_numpy_does, 0, PAIRS * SHAPES);
}
