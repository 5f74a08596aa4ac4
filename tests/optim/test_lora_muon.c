/* test_lora_muon.c - the first step of LoRA-Muon is that of LoRA-RITE, times a constant. */
#include "tests/support/fixtures.h"
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>

enum { M = 9, N = 7, R = 3 };

/* How one step changes A (M,R) and B (N,R): old minus new, in new memory. */
static void one_step(const char *name, const char *settings, bool zero, double *step[2])
{
    problem p;
    problem_pair(&p, M, N, R, 1.5, zero);
    problem_optimizer(&p, name, settings, 0);
    double *g = normals(M * N, 1), *before[2];
    for (int a = 0; a < 2; a++)
        before[a] = problem_factor(&p, a);
    problem_set_gradient(&p, g);
    problem_step(&p);
    for (int a = 0; a < 2; a++) {
        step[a] = problem_factor(&p, a);
        for (int i = 0; i < (a ? M : N) * R; i++)
            step[a][i] = before[a][i] - step[a][i];
        free(before[a]);
    }
    free(g);
    problem_free(&p);
}

START_TEST(first_step_is_that_of_rite)
{
    for (int zero = 0; zero < 2; zero++) {
        double *rite[2], *muon[2];
        one_step("lora-rite", "lr=1 clip=0 eps=1e-14 gauss_seidel=0 prior=0", zero, rite);
        one_step("lora-muon", "lr=1 beta=0 gauss_seidel=0", zero, muon);
        for (int a = 0; a < 2; a++) {
            double rows = a ? M : N, size = 0;
            for (int i = 0; i < (int)rows * R; i++)
                size = fmax(size, fabs(rite[a][i]));
            ck_assert((size == 0) == (zero && !a));
            for (int i = 0; i < (int)rows * R; i++)
                ck_assert_double_le(fabs(rite[a][i] - 2 * sqrt(rows) * muon[a][i]),
                                    limit_of(1e-10, 1e-4) * size);
            free(rite[a]);
            free(muon[a]);
        }
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, first_step_is_that_of_rite);
}
