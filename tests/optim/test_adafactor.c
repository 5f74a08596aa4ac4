/* test_adafactor.c - Adafactor for a weight of one number, written again in a few lines. */
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>

/* A weight of one number: its row and column sums are equal. From step 5 on 1 / sqrt(t) is less
   than the rate. */
START_TEST(adafactor_of_one_number)
{
    problem p;
    problem_pair(&p, 1, 1, 1, 1, false);
    problem_optimizer(&p, "adafactor", "lr=0.5", 0);
    double x = (double)p.b[0]->x[0], v = 0;
    for (int t = 1; t <= 20; t++) {
        double g = normal(5, t), w = pow(t, -0.8);
        p.b[0]->g[0] = (tn_real)g;
        p.b[0]->has_grad = true;
        problem_step(&p);
        v += w * (g * g - v);
        double u = g / sqrt(v);
        x -= fmin(0.5, 1 / sqrt(t)) * fmax(1e-3, fabs(x)) * u / fmax(1, fabs(u));
        ck_assert_double_eq_tol((double)p.b[0]->x[0], x, limit_of(1e-13, 1e-5));
    }
    problem_free(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, adafactor_of_one_number);
}
