/* test_generic.c - maximum, log and exp over their whole range, on every ISA. */
#include "tests/support/kernels.h"

#include <string.h>

START_TEST(max_is_the_largest)
{
    tn_real x[100];
    for (int isa = 0; isa < ISAS; isa++) {
        const tn_kernels *k = tn_kernels_select(tn_isas[isa]);
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
        const tn_kernels *k = tn_kernels_select(tn_isas[isa]);
        if (!k)
            continue;
        for (int i = 0; i < 100000; i++) {
            double u = tn_random_uniform(3, 0, 0, (uint64_t)i);
            /* every other number is near 1, the others are from denormal numbers to 3e38 */
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

/* exp of one element (exp_sum of length 1), and of the same element in a row. */
START_TEST(exp_is_accurate)
{
    enum { ROW = 1000, ROWS = 100 };
    for (int row = 0; row < ISAS * ROWS; row++) {
        const tn_kernels *k = tn_kernels_select(tn_isas[row / ROWS]);
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

/* In float: the largest x whose exp is finite, and the next number. Every NaN gives NaN, whatever
   its other bits are. */
START_TEST(exp_ends_where_floats_do)
{
#ifndef TN_DOUBLE
    for (int isa = 0; isa < ISAS; isa++) {
        const tn_kernels *k = tn_kernels_select(tn_isas[isa]);
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

void tests(TCase *c)
{
    tcase_add_test(c, max_is_the_largest);
    tcase_add_test(c, exp_is_accurate);
    tcase_add_test(c, exp_ends_where_floats_do);
    tcase_add_test(c, log_is_accurate);
}
