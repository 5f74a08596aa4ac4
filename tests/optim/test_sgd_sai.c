/* test_sgd_sai.c - the rates that SGD-SaI sets by its first gradients. */
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>

/* From lora_B = 0 the first gradient of lora_A is zero. Its rate is then set in step 2, or
   never. */
START_TEST(sgd_sai_waits_for_a_gradient)
{
    for (int wait = 0; wait < 2; wait++) {
        problem p;
        golden_problem(&p, true, 0);
        problem_optimizer(&p, "sgd-sai", wait ? "lr=0.1" : "lr=0.1 wait=0", 0);
        for (int t = 1; t <= 2; t++) {
            golden_gradients(&p);
            double sum = 0, squares = 0, x[8], g[8];
            for (int i = 0; i < 8; i++) {
                x[i] = (double)p.a[0]->x[i];
                g[i] = (double)p.a[0]->g[i];
                sum += g[i];
                squares += g[i] * g[i];
            }
            double q = wait && t > 1 ? sqrt(squares / ((squares - sum * sum / 8) / 7)) : 0;
            problem_step(&p);
            for (int i = 0; i < 8; i++)
                ck_assert_double_eq_tol((double)p.a[0]->x[i], x[i] - 0.1 * q * g[i],
                                        limit_of(1e-7, 1e-6)); /* because of eps */
        }
        problem_free(&p);
    }
}
END_TEST

/* Entries of the same size with mean zero: ||g|| / std = sqrt(n - 1). */
START_TEST(sgd_sai_of_equal_entries)
{
    problem p;
    problem_pair(&p, 5, 6, 2, 1, false);
    problem_optimizer(&p, "sgd-sai", "lr=0.1 weight_decay=0", 0);
    double before[12];
    for (int i = 0; i < 12; i++) {
        before[i] = (double)p.a[0]->x[i];
        p.a[0]->g[i] = (tn_real)(i % 2 ? 0.5 : -0.5);
    }
    p.a[0]->has_grad = true;
    problem_step(&p);
    for (int i = 0; i < 12; i++)
        ck_assert_double_eq_tol(((double)p.a[0]->x[i] - before[i]) / 0.1,
                                (i % 2 ? -0.5 : 0.5) * sqrt(12 - 1), limit_of(1e-6, 1e-5));
    problem_free(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, sgd_sai_waits_for_a_gradient);
    tcase_add_test(c, sgd_sai_of_equal_entries);
}
