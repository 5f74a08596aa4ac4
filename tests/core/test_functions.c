/* test_functions.c - exp, log, cos, erf and erfc compared with libm's long double functions. */
#include "tests/support/tests.h"

#include <math.h>

static double relative(double ours, long double exact)
{
    return exact == 0 ? fabs(ours) : (double)fabsl((ours - exact) / exact);
}

START_TEST(against_long_double)
{
    double worst_exp = 0, worst_log = 0, worst_cos = 0;
    for (uint64_t i = 0; i < 200000; i++) {
        double u = tn_random_uniform(1, 2, 3, i), x = 1400 * u - 700, y = 200 * u - 100;
        worst_exp = fmax(worst_exp, relative(tn_exp_of(x), expl((long double)x)));
        double p = exp(x / 2);
        if (fabs(p - 1) > 1e-3)
            worst_log = fmax(worst_log, relative(tn_log_of(p), logl((long double)p)));
        worst_cos = fmax(worst_cos, fabs(tn_cos_of(y) - (double)cosl((long double)y)));
    }
    ck_assert_double_le(worst_exp, 1e-15);
    ck_assert_double_le(worst_log, 1e-15);
    ck_assert_double_le(worst_cos, 5e-16);
}
END_TEST

/* Small numbers, numbers where the formula changes, and numbers near 6, where erf becomes 1. */
START_TEST(erf_against_long_double)
{
    static const double at[] = { 0, 2, 6, 1e-3, 1e-300, 4 },
                        around[] = { 1, 0.1, 0.5, 1e-3, 1e-300, 3 };
    double worst = 0, worst_tail = 0;
    for (uint64_t i = 0; i < 200000; i++) {
        double u = tn_random_uniform(1, 2, 5, i), tail = 35 * u - 10;
        worst_tail = fmax(worst_tail, relative(tn_erfc_of(tail), erfcl((long double)tail)));
        double x = at[i % 6] + around[i % 6] * (2 * tn_random_uniform(1, 2, 4, i) - 1);
        worst = fmax(worst, relative(tn_erf_of(x), erfl((long double)x)));
        ck_assert(tn_erf_of(-x) == -tn_erf_of(x));
    }
    ck_assert_double_le(worst, 1e-15);
    ck_assert_double_le(worst_tail, 1e-13);
    ck_assert(tn_erfc_of(INFINITY) == 0 && tn_erfc_of(-INFINITY) == 2 && tn_erfc_of(0) == 1 &&
              isnan(tn_erfc_of(NAN)));
    ck_assert(tn_erf_of(0) == 0 && tn_erf_of(INFINITY) == 1 && tn_erf_of(-INFINITY) == -1 &&
              isnan(tn_erf_of(NAN)));
}
END_TEST

START_TEST(edges)
{
    ck_assert(tn_exp_of(-INFINITY) == 0 && tn_exp_of(INFINITY) == INFINITY && tn_exp_of(0) == 1 &&
              isnan(tn_exp_of(NAN)));
    ck_assert(tn_log_of(0) == -INFINITY && tn_log_of(1) == 0 && isnan(tn_log_of(-1)) &&
              tn_log_of(INFINITY) == INFINITY);
    ck_assert(tn_cos_of(0) == 1 && fabs(tn_log_of(1 + 0x1p-40) * 0x1p40 - 1) < 1e-12);
    ck_assert(tn_power_of(2, 10) == 1024 && tn_power_of(0.5, 0) == 1 &&
              tn_power_of(2, -3) == 0.125);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, against_long_double);
    tcase_add_test(c, erf_against_long_double);
    tcase_add_test(c, edges);
}
