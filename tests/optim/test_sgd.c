/* test_sgd.c - SGD by the equations of torch, written again in a few lines. */
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>

START_TEST(sgd_of_torch)
{
    static const struct {
        const char *settings;
        double l2, mu;
        bool nesterov;
    } runs[] = { { "lr=0.1", 0, 0, false },
                 { "lr=0.1 momentum=0.9 weight_decay=0.1", 0.1, 0.9, false },
                 { "lr=0.1 momentum=0.9 nesterov=1 weight_decay=0.1", 0.1, 0.9, true } };
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        problem p;
        problem_pair(&p, 1, 1, 1, 1, false);
        problem_optimizer(&p, "sgd", runs[k].settings, 0);
        double x = (double)p.b[0]->x[0], m = 0;
        for (int t = 1; t <= 50; t++) {
            double raw = normal(5, t), g = raw + runs[k].l2 * x;
            p.b[0]->g[0] = (tn_real)raw;
            p.b[0]->has_grad = true;
            problem_step(&p);
            m = runs[k].mu * m + g;
            x -= 0.1 * (runs[k].nesterov ? g + runs[k].mu * m : m);
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
    tcase_add_test(c, sgd_of_torch);
}
