/* test_activation.c - gelu in both forms and silu: their errors, and extreme numbers. */
#include "tests/support/kernels.h"

/* x from -13 to 13 in steps of 0.001: the relative error is at most 5e-7. An element alone has the
   same bits as in a row. */
START_TEST(activations_are_accurate)
{
    enum { STEPS = 26000 };
    static tn_real x[STEPS], y[STEPS], z[STEPS];
    tn_real one;
    for (int i = 0; i < STEPS; i++)
        x[i] = (tn_real)(i - STEPS / 2) / 1000;
    for (int isa = 0; isa < ISAS; isa++) {
        const tn_kernels *k = tn_kernels_select(tn_isas[isa]);
        if (!k)
            continue;
        result_of(&k->formulas->gelu_erf, STEPS, x, y);
        result_of(&k->formulas->silu, STEPS, x, z);
        for (int i = 0; i < STEPS; i++) {
            long double a = gelu_erf_of(x[i]), b = silu_of(x[i]);
            ck_assert_msg(fabsl(y[i] - a) <= 5e-7L * fabsl(a) &&
                              fabsl(z[i] - b) <= 5e-7L * fabsl(b),
                          "%.9g gives %.9g and %.9g, not %.9Lg and %.9Lg", (double)x[i],
                          (double)y[i], (double)z[i], a, b);
            result_of(&k->formulas->gelu_erf, 1, &x[i], &one);
            ck_assert(one == y[i]);
            result_of(&tn_kernels_scalar.formulas->silu, 1, &x[i], &one);
            ck_assert(one == z[i]);
        }
    }
}
END_TEST

/* { x, exp(x), gelu(x), gelu'(x) }. silu and gelu_erf have the same values there. NAN means that
   any result is right, unless x is NaN. */
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
        const tn_kernels *k = tn_kernels_select(tn_isas[isa]);
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
            const tn_formulas *const all[] = { &k->formulas->gelu, &k->formulas->gelu_erf,
                                               &k->formulas->silu };
            for (int a = 0; a < 3; a++) { /* the three functions have the same values here */
                result_of(all[a], 20, x, y);
                check_edge(names[a], edges[e][0], (double)y[0], edges[e][2]);
                check_edge(names[a], edges[e][0], (double)y[19], edges[e][2]);
                for (int i = 0; i < 20; i++)
                    y[i] = NAN;
                gradient_of(all[a], 20, x, one, 0, y); /* beta 0: y is not read */
                check_edge(names[a], edges[e][0], (double)y[0], edges[e][3]);
                check_edge(names[a], edges[e][0], (double)y[19], edges[e][3]);
            }
        }
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, activations_are_accurate);
    tcase_add_test(c, edges_make_sense);
}
