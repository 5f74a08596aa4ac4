/* test_rmsprop.c - centred RMSProp when the variance is zero. */
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>

/* With constant gradients the variance is zero. Rounding may make it slightly negative. */
START_TEST(centred_rmsprop_stays_finite_under_constant_gradients)
{
    problem p;
    problem_pair(&p, 9, 7, 3, 1, false);
    problem_optimizer(&p, "rmsprop", "lr=1e-9 alpha=0.5 centered=1", 0);
    double *g = normals(27, 1);
    for (int t = 0; t < 100; t++) {
        for (int i = 0; i < 27; i++)
            p.b[0]->g[i] = (tn_real)g[i];
        p.b[0]->has_grad = true;
        problem_step(&p);
    }
    for (int i = 0; i < 27; i++)
        ck_assert(isfinite((double)p.b[0]->x[i]));
    free(g);
    problem_free(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, centred_rmsprop_stays_finite_under_constant_gradients);
}
