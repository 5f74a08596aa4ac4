/* test_reflora.c - the geometric mean of reflora, and in which steps reflora and reflora-s act. */
#include "tests/support/optim_pair.h"
#include "tests/support/tests.h"

#include <stdlib.h>

enum { M = PAIR_M, N = PAIR_N, R = PAIR_R };

/* out = X Y^T Y X^T (n,n) for X (n,R) and Y (k,R). */
static void sandwich(int64_t n, int64_t k, const double *x, const double *y, double *out)
{
    double *cross = calloc((size_t)(n * k), sizeof *cross);
    multiply(n, R, k, x, y, true, cross);
    multiply(n, k, n, cross, cross, true, out);
    free(cross);
}

/* dB = -gB S and dA = -gA S^-1, where S A^T A S = B^T B. So dB A^T A dB^T = gB B^T B gB^T and
   dA B^T B dA^T = gA A^T A gA^T. */
START_TEST(reflora_steps_by_the_geometric_mean)
{
    problem p;
    pair_move o;
    double got[M * M], want[M * M], down = 0;
    pair_with(&p, "reflora", "lr=1 adamw=0 warmup_steps=0");
    pair_step(&p, &o);
    sandwich(N, M, o.db, o.a, got);
    sandwich(N, N, o.gb, o.b, want);
    pair_same("S A^T A S", N * N, got, want, limit_of(1e-11, 1e-4));
    sandwich(M, N, o.da, o.b, got);
    sandwich(M, M, o.ga, o.a, want);
    pair_same("S^-1 B^T B S^-1", M * M, got, want, limit_of(1e-11, 1e-4));
    for (int i = 0; i < N * R; i++)
        down += o.db[i] * o.gb[i];
    ck_assert_double_lt(down, 0);
    problem_free(&p);
}
END_TEST

/* With interval=3 reflora acts in steps 3 and 6, reflora-s in steps 2 and 5. All other steps are
   those of the plain optimizer. */
START_TEST(reflora_waits_for_its_turn)
{
    static const char *const names[] = { "reflora", "reflora-s" };
    for (int k = 0; k < 2; k++) {
        problem p, q;
        int differ = 0;
        for (int t = 1; t <= 6; t++) {
            pair_with(&p, names[k], "lr=0.1 adamw=0 warmup_steps=2 interval=3");
            pair_with(&q, "sgd", "lr=0.1");
            for (int from = 1; from <= t; from++) { /* q makes step t from the weights of p */
                double target[M * N] = { 1, 2, 3 };
                if (from == t)
                    for (int i = 0; i < M * R; i++)
                        q.b[0]->x[i] = p.b[0]->x[i];
                if (from == t)
                    for (int i = 0; i < N * R; i++)
                        q.a[0]->x[i] = p.a[0]->x[i];
                problem_gradients(&p, 0, target, 1);
                problem_gradients(&q, 0, target, 1);
                problem_step(&p);
                problem_step(&q);
            }
            if (tn_params_hash(p.params, false) != tn_params_hash(q.params, false))
                differ += 1 << t;
            problem_free(&p);
            problem_free(&q);
        }
        ck_assert_int_eq(differ, k ? 1 << 2 | 1 << 5 : 1 << 3 | 1 << 6);
    }
}
END_TEST

START_TEST(both_forms_of_reflora_s_move_the_product_alike)
{
    problem p, q;
    pair_with(&p, "reflora-s", "lr=0.02 adamw=0 warmup_steps=0");
    pair_with(&q, "reflora-s", "lr=0.02 adamw=0 warmup_steps=0 rescale=0");
    problem_descend(&p, 50);
    problem_descend(&q, 50);
    ck_assert_double_le(problem_difference(&p, &q), limit_of(1e-12, 1e-4));
    problem_free(&p);
    problem_free(&q);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, reflora_steps_by_the_geometric_mean);
    tcase_add_test(c, reflora_waits_for_its_turn);
    tcase_add_test(c, both_forms_of_reflora_s_move_the_product_alike);
}
