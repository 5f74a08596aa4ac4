/* test_adam.c - Adam, AdamW and AMSGrad by the equations of torch, written again in a few lines. */
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>

START_TEST(adam_of_torch)
{
    static const struct {
        const char *name;
        double l2, decay;
    } runs[] = { { "adam", 0.1, 0 }, { "adamw", 0, 0.1 } };
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        problem p;
        problem_pair(&p, 1, 1, 1, 1, false);
        problem_optimizer(&p, runs[k].name, "lr=0.1 weight_decay=0.1", 0);
        double x = (double)p.b[0]->x[0], m = 0, v = 0;
        for (int t = 1; t <= 50; t++) {
            double raw = normal(5, t);
            p.b[0]->g[0] = (tn_real)raw;
            p.b[0]->has_grad = true;
            problem_step(&p);
            x *= 1 - 0.1 * runs[k].decay;
            double g = raw + runs[k].l2 * x;
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            x -= 0.1 * (m / (1 - pow(0.9, t))) / (sqrt(v / (1 - pow(0.999, t))) + 1e-8);
            ck_assert_msg(fabs((double)p.b[0]->x[0] - x) < limit_of(1e-13, 1e-5),
                          "%s: step %d: %.17g, expected %.17g", runs[k].name, t,
                          (double)p.b[0]->x[0], x);
        }
        problem_free(&p);
    }
}
END_TEST

/* AMSGrad: with beta2 = 0.5 the second moment falls in every second step. Its largest value does
   not. */
START_TEST(amsgrad_keeps_the_largest)
{
    static const char *const names[] = { "adam", "adamw" };
    for (int k = 0; k < 2; k++) {
        problem p;
        problem_pair(&p, 1, 1, 1, 1, false);
        problem_optimizer(&p, names[k], "lr=0.1 beta2=0.5 weight_decay=0 amsgrad=1", 0);
        double x = (double)p.b[0]->x[0], m = 0, v = 0, top = 0;
        for (int t = 1; t <= 20; t++) {
            double g = normal(5, t);
            p.b[0]->g[0] = (tn_real)g;
            p.b[0]->has_grad = true;
            problem_step(&p);
            m = 0.9 * m + 0.1 * g;
            v = 0.5 * v + 0.5 * g * g;
            top = fmax(top, v);
            x -= 0.1 * (m / (1 - pow(0.9, t))) / (sqrt(top / (1 - pow(0.5, t))) + 1e-8);
            ck_assert_double_eq_tol((double)p.b[0]->x[0], x, limit_of(1e-13, 1e-5));
        }
        problem_free(&p);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, adam_of_torch);
    tcase_add_test(c, amsgrad_keeps_the_largest);
}
