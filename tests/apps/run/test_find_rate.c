/* test_find_rate.c - the range test of the rate on descents whose largest stable rate is known. */
#include "apps/run/find_rate.h"
#include "tests/support/tests.h"

#include <math.h>

enum { STEPS = 100 };

/* Gradient descent on the sum of c x^2 / 2 over curvatures c from 0.01 to 1 times the largest is
   stable below the rate 2 / largest, and above it no more. The gradients are those at places up to
   0.2 beside x, like those of batches. */
static const double largest[] = { 1e-3, 0.5, 1, 40, 1e6 };

START_TEST(stays_below_the_largest_stable_rate)
{
    const double stable = 2 / largest[_i];
    tn_schedule s = { .steps = STEPS };
    const double first = find_rate_range(stable / 2, &s);
    double x[5] = { 1, 1, 1, 1, 1 }, before = 0;
    rate_found f = { 0 };
    bool goes_on = true;
    for (int i = 0; i < STEPS && goes_on; i++) {
        const double rate = tn_schedule_rate(&s, first, i + 1);
        double loss = 1;
        for (int k = 0; k < 5; k++) {
            const double c = largest[_i] * pow(10, -0.5 * k);
            loss += c * x[k] * x[k] / 2 / largest[_i];
            x[k] -= rate * c *
                    (x[k] + 0.4 * (tn_random(1, 2, (uint32_t)k, (uint64_t)i) * 0x1p-32 - 0.5));
        }
        before = i ? before : loss;
        goes_on = find_rate_add(&f, rate, loss);
    }
    ck_assert_msg(f.best < stable && f.best > stable / 20, "%g; stable below %g", f.best, stable);
    ck_assert(f.lowest >= 1 && f.lowest < before && !goes_on);
}
END_TEST

/* clang-format off */
static const struct series { double loss[6]; double best; bool ends; } series[] = {
    { { 5, 4, 3, 2, 1, 0.5 }, 6 / 3.0, false }, /* it falls to the end */
    { { 1, 2, 3, 4, 5, 6 }, 1 / 3.0, true },    /* it only rises */
    { { 5, 1, 1, 5, 5, 5 }, 3 / 3.0, false },
};
/* clang-format on */

START_TEST(chooses)
{
    rate_found f = { 0 };
    bool goes_on = true;
    for (int i = 0; i < 6; i++)
        goes_on = find_rate_add(&f, i + 1, series[_i].loss[i]) && goes_on;
    ck_assert_double_eq_tol(f.best, series[_i].best, 1e-12);
    ck_assert_int_eq(goes_on, !series[_i].ends);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, stays_below_the_largest_stable_rate, 0,
                        sizeof largest / sizeof *largest);
    tcase_add_loop_test(c, chooses, 0, sizeof series / sizeof *series);
}
