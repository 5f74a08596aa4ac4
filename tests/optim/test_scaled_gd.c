/* test_scaled_gd.c - the theorem of the paper about a step, and decay before the step. */
#include "tests/support/optim_pair.h"
#include "tests/support/tests.h"

#include <stdlib.h>

enum { M = PAIR_M, N = PAIR_N, R = PAIR_R };

START_TEST(scaled_gd_moves_the_product_by_projections)
{
    problem p;
    problem_pair(&p, M, N, R, 1, false);
    problem_optimizer(&p, "scaled-gd", "lr=0.1 delta=0", 0);
    double *g = normals(M * N, 1), *a = problem_factor(&p, true), *b = problem_factor(&p, false),
           before[M * N], after[M * N];
    double *pa = projector(M, R, a), *pb = projector(N, R, b), left[M * N], right[M * N];
    multiply(M, M, N, pa, g, false, left);
    multiply(M, N, N, g, pb, false, right);
    problem_product(&p, 0, before);
    problem_set_gradient(&p, g);
    problem_step(&p);
    problem_product(&p, 0, after);
    double *a1 = problem_factor(&p, true), *b1 = problem_factor(&p, false), da[M * R], db[N * R],
           cross[M * N];
    for (int i = 0; i < M * R; i++)
        da[i] = a1[i] - a[i];
    for (int i = 0; i < N * R; i++)
        db[i] = b1[i] - b[i];
    multiply(M, R, N, da, db, true, cross); /* eta^2 ~gA ~gB^T */
    double slope = 0, squares = 0;
    for (int i = 0; i < M * N; i++) {
        double first = (after[i] - before[i] - cross[i]) / -0.1; /* P_A G + G P_B */
        ck_assert_double_eq_tol(first, left[i] + right[i], limit_of(1e-13, 1e-5));
        slope += g[i] * first;
        squares += left[i] * left[i] + right[i] * right[i];
    }
    ck_assert_double_eq_tol(slope / squares, 1, limit_of(1e-12, 1e-5));
    double *all[] = { g, a, b, pa, pb, a1, b1 };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    problem_free(&p);
}
END_TEST

START_TEST(decay_before_all_is_a_step_from_the_decayed_pair)
{
    problem p, q;
    pair_move one, two;
    pair_with(&p, "scaled-gd", "lr=0.1 delta=0.01 weight_decay=2 decay_after=-1");
    pair_with(&q, "scaled-gd", "lr=0.1 delta=0.01");
    pair_step(&p, &one);
    for (int i = 0; i < M * R; i++)
        q.b[0]->x[i] *= (tn_real)0.8;
    for (int i = 0; i < N * R; i++)
        q.a[0]->x[i] *= (tn_real)0.8;
    problem_set_gradient(&q, one.g);
    for (int i = 0; i < M * R; i++) /* the gradients at the weights before decay */
        q.b[0]->g[i] /= (tn_real)0.8;
    for (int i = 0; i < N * R; i++)
        q.a[0]->g[i] /= (tn_real)0.8;
    problem_step(&q);
    pair_take(&q, two.a, two.b);
    for (int i = 0; i < M * R; i++)
        one.a[i] += one.da[i];
    for (int i = 0; i < N * R; i++)
        one.b[i] += one.db[i];
    pair_same("A", M * R, one.a, two.a, limit_of(1e-13, 1e-5));
    pair_same("B", N * R, one.b, two.b, limit_of(1e-13, 1e-5));
    problem_free(&p);
    problem_free(&q);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, scaled_gd_moves_the_product_by_projections);
    tcase_add_test(c, decay_before_all_is_a_step_from_the_decayed_pair);
}
