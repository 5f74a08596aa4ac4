/* test_shampoo.c - Shampoo for a weight of one number, written again in a few lines. */
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>

/* A weight of one number: the sums L and R are the same. */
START_TEST(shampoo_of_one_number)
{
    static const struct {
        const char *settings;
        int interval;
        bool whitened;
    } runs[] = { { "lr=0.1 eps=0.5", 1, true },
                 { "lr=0.1 eps=0.5 interval=3", 3, true },
                 { "lr=0.1 max_side=0", 1, false } };
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        problem p;
        problem_pair(&p, 1, 1, 1, 1, false);
        problem_optimizer(&p, "shampoo", runs[k].settings, 0);
        double x = (double)p.b[0]->x[0], sum = 0.5, root = 1;
        for (int t = 1; t <= 10; t++) {
            double g = normal(5, t);
            p.b[0]->g[0] = (tn_real)g;
            p.b[0]->has_grad = true;
            problem_step(&p);
            sum += g * g;
            if (runs[k].whitened && (t - 1) % runs[k].interval == 0)
                root = sqrt(sum);
            x -= 0.1 * g / root;
            ck_assert_msg(fabs((double)p.b[0]->x[0] - x) < limit_of(1e-13, 1e-5),
                          "%s: step %d: %.17g, expected %.17g", runs[k].settings, t,
                          (double)p.b[0]->x[0], x);
        }
        problem_free(&p);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, shampoo_of_one_number);
}
