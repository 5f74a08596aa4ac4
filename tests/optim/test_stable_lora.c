/* test_stable_lora.c - how long lora_A shrinks. */
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>

/* Without gradients only shrinking changes lora_A. Here lora_A has twice as many numbers as
   lora_B. */
START_TEST(stable_lora_shrinks_until_lora_b_has_grown)
{
    static const double size_of_b[] = { 0, 0.49, 0.51, 0.49,
                                        0 }; /* divided by that of lora_A, for each step */
    problem p;
    problem_pair(&p, 4, 8, 2, 1, true);
    problem_optimizer(&p, "stable-lora", "lr=0.1 shrink=0.25", 0);
    for (int t = 0; t < 5; t++) {
        double x = (double)p.a[0]->x[3], square = 0;
        for (int i = 0; i < 16; i++)
            square += (double)p.a[0]->x[i] * (double)p.a[0]->x[i];
        p.b[0]->x[5] = (tn_real)(size_of_b[t] * sqrt(square));
        problem_step(&p);
        ck_assert_msg(fabs((double)p.a[0]->x[3] - (t < 2 ? 0.75 * x : x)) < limit_of(1e-15, 1e-7),
                      "step %d: from %g to %g", t + 1, x, (double)p.a[0]->x[3]);
    }
    problem_free(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, stable_lora_shrinks_until_lora_b_has_grown);
}
