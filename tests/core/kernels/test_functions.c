/* test_functions.c - exp, log, tanh, sigmoid and softplus over all numbers, on every ISA. */
#include "tests/support/kernels.h"

#include <float.h>
#include <string.h>

static long double sigmoid_by_libm(long double x)
{
    return 1 / (1 + expl(-x));
}

static long double softplus_by_libm(long double x)
{
    return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x));
}

typedef struct function {
    const char *name;
    size_t formula; /* its offset in tn_formula_table */
    long double (*exactly)(long double x);
    long double at[11]; /* the results for `edges` */
} function;

static const double edges[] = { 0,      -0.0,  INFINITY, -INFINITY, NAN,         1e-45,
                                -1e-40, 88.72, 3e38,     -3e38,     -103.2789268 };
enum { EDGES = sizeof edges / sizeof *edges };
#define AT(name) offsetof(tn_formula_table, name)
#define E88 3.39318e38L /* e^88.72 */

/* clang-format off */
static const function functions[] = {
    { "exp", AT(exp), expl, { 1, 1, INFINITY, 0, NAN, 1, 1, E88, INFINITY, 0, 1.4e-45L } },
    { "log", AT(log), logl, { -INFINITY, -INFINITY, INFINITY, NAN, NAN, -103.2789L, NAN, 4.48548L, 88.59688L, NAN, NAN } },
    { "tanh", AT(tanh), tanhl, { 0, -0.0L, 1, -1, NAN, 1.4e-45L, -1e-40L, 1, 1, -1, -1 } },
    { "sigmoid", AT(sigmoid), sigmoid_by_libm, { 0.5L, 0.5L, 1, 0, NAN, 0.5L, 0.5L, 1, 1, 0, 1.4e-45L } },
    { "softplus", AT(softplus), softplus_by_libm, { 0.693147181L, 0.693147181L, INFINITY, 0, NAN, 0.693147181L, 0.693147181L, 88.72L, 3e38L, 0, 1.4e-45L } },
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };
/* clang-format on */

static const tn_formulas *formulas_of(const tn_kernels *k, const function *f)
{
    return (const tn_formulas *)((const char *)k->formulas + f->formula);
}

/* How many units in the last place y is away from the exact value. */
static long double units(tn_real y, long double exactly)
{
    const bool in_double = sizeof(tn_real) == sizeof(double);
    int power;
    frexpl(exactly, &power);
    const int least = in_double ? DBL_MIN_EXP : FLT_MIN_EXP;
    power = power > least ? power : least;
    return fabsl(y - exactly) / ldexpl(1, power - (in_double ? DBL_MANT_DIG : FLT_MANT_DIG));
}

static bool is_right(tn_real y, long double exactly)
{
    if (isnan(exactly))
        return isnan(y);
    if (isinf((tn_real)exactly)) /* the largest finite number is right, too */
        return y == (tn_real)exactly || units(y, exactly) <= 2;
    return units(y, exactly) <= (sizeof(tn_real) == sizeof(float) ? 2 : 4);
}

/* Here sigmoid would be wrong by more than 2 units without the correction of its quotient. */
static const double hard[] = { -3.44121528, -4.15434265 };

/* Rows of random bits, which give numbers of every size, and NaNs. In every other row the numbers
   are about 1 in size. */
START_TEST(functions_are_accurate)
{
    enum { ROW = 1000, ROWS = 400 };
    const function *f = &functions[_i];
    static tn_real x[ROW], y[ROW], scalar[ROW];
    for (int row = 0; row < ROWS; row++) {
        for (int i = 0; i < ROW; i++) {
            const uint32_t bits = tn_random(1, 1, (uint32_t)row, (uint64_t)i);
            float any;
            memcpy(&any, &bits, sizeof any);
            x[i] = row % 2 ? (tn_real)any : (tn_real)((double)bits * 0x1p-32 * (row - ROWS / 2));
        }
        for (size_t i = 0; i < sizeof hard / sizeof *hard; i++)
            x[i] = (tn_real)hard[i];
        result_of(formulas_of(&tn_kernels_scalar, f), ROW, x, scalar);
        for (int i = 0; i < ROW; i++)
            ck_assert_msg(is_right(scalar[i], f->exactly(x[i])), "%s(%.9g) is %.9g, not %.9Lg",
                          f->name, (double)x[i], (double)scalar[i], f->exactly(x[i]));
        for (int isa = 1; isa < ISAS && tn_kernels_select(tn_isas[isa]); isa++) {
            result_of(formulas_of(tn_kernels_select(tn_isas[isa]), f), ROW, x, y);
            for (int i = 0; i < ROW; i++)
                ck_assert_msg(isnan(y[i]) ? isnan(scalar[i])
                                          : !memcmp(&y[i], &scalar[i], sizeof *y),
                              "%s(%a): %s gives %a, scalar %a", f->name, (double)x[i], tn_isas[isa],
                              (double)y[i], (double)scalar[i]);
        }
    }
}
END_TEST

static bool is_far(double x)
{
    return x != 0 && isfinite(x) && fabs(log(fabs(x))) > 4;
}

START_TEST(functions_at_the_edges)
{
    const function *f = &functions[_i];
    for (int isa = 0; isa < ISAS; isa++) {
        const tn_kernels *k = tn_kernels_select(tn_isas[isa]);
        for (int e = 0; k && e < EDGES; e++) {
            if (sizeof(tn_real) == sizeof(double) && is_far(edges[e]))
                continue;         /* the ends of the range of float are no ends in double */
            tn_real x[20], y[20]; /* 16 in a vector, 4 after it */
            for (int i = 0; i < 20; i++)
                x[i] = (tn_real)edges[e];
            result_of(formulas_of(k, f), 20, x, y);
            for (int i = 0; i < 20; i++) {
                const long double want = f->at[e];
                const bool near = isnan(want) ? isnan(y[i])
                                              : y[i] == (tn_real)want ||
                                                    fabsl(y[i] - want) <= 2e-5L * fabsl(want);
                ck_assert_msg(near && (want != 0 || !signbit(y[i]) == !signbit(want)),
                              "%s(%g) is %g, not %Lg", f->name, edges[e], (double)y[i], want);
            }
        }
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, functions_are_accurate, 0, FUNCTIONS);
    tcase_add_loop_test(c, functions_at_the_edges, 0, FUNCTIONS);
}
