/* test_projected_gd.c - the product moves along the gradient, projected onto its tangent space. */
#include "tests/support/optim_pair.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>

enum { M = PAIR_M, N = PAIR_N, R = PAIR_R };

/* P_A G + G P_B - P_A G P_B: the part of G in the tangent space of the products at A B^T. */
static void tangent(const pair_move *o, double *out)
{
    double *pa = projector(M, R, o->a), *pb = projector(N, R, o->b), left[M * N], both[M * N];
    multiply(M, M, N, pa, o->g, false, left);
    multiply(M, N, N, left, pb, false, both);
    multiply(M, N, N, o->g, pb, false, out);
    for (int i = 0; i < M * N; i++)
        out[i] += left[i] - both[i];
    free(pa);
    free(pb);
}

START_TEST(lora_pro_moves_along_the_projected_gradient)
{
    for (int split = 0; split < 3; split++) {
        char settings[64];
        snprintf(settings, sizeof settings, "lr=1 delta=0 split=%d", split);
        problem p;
        pair_move o;
        double got[M * N], want[M * N];
        pair_with(&p, "projected-gd", settings);
        pair_step(&p, &o);
        pair_first_order(&o, got);
        tangent(&o, want);
        for (int i = 0; i < M * N; i++)
            got[i] = -got[i];
        pair_same(settings, M * N, got, want, limit_of(1e-12, 1e-5));
        problem_free(&p);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, lora_pro_moves_along_the_projected_gradient);
}
