/* test_rank.c - gradients and factors without full rank, or of zeros only. */
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>

enum { M = 9, N = 7, R = 3 };

START_TEST(rite_moves_under_gradients_of_rank_one)
{
    problem p;
    problem_pair(&p, 9, 7, 4, 2, false);
    problem_optimizer(&p, "lora-rite", "lr=0.001", 0);
    for (int t = 0; t < 200; t++) {
        double g[63];
        for (int i = 0; i < 9; i++)
            for (int j = 0; j < 7; j++)
                g[i * 7 + j] = normal(1, t * 9 + i) * normal(2, t * 7 + j);
        double *a = problem_factor(&p, true), *b = problem_factor(&p, false), da = 0, db = 0;
        problem_set_gradient(&p, g);
        problem_step(&p);
        double *a1 = problem_factor(&p, true), *b1 = problem_factor(&p, false);
        for (int i = 0; i < 36; i++)
            da += fabs(a1[i] - a[i]);
        for (int i = 0; i < 28; i++)
            db += fabs(b1[i] - b[i]);
        ck_assert_msg(isfinite(da) && da > 0 && isfinite(db) && db > 0,
                      "step %d: moved by %g and %g", t, da, db);
        double *all[] = { a, b, a1, b1 };
        for (int i = 0; i < 4; i++)
            free(all[i]);
    }
    problem_free(&p);
}
END_TEST

/* A pair of rank 3 has a direction that is zero in both factors. It is rotated, so that no column
   is zero. It must move like the pair of rank 2 without this direction. */
START_TEST(dead_directions_are_dropped)
{
    static const double turn[2][3] = { { 2 / 3., -1 / 3., 2 / 3. }, { 2 / 3., 2 / 3., -1 / 3. } };
    static const struct {
        const char *name, *settings;
    } runs[] = { { "lora-rite", "lr=0.02 clip=0" },
                 { "lora-rite", "lr=0.02 escape=1" },
                 { "scaled-gd", "lr=0.002 delta=0" },
                 { "projected-gd", "lr=0.002 delta=0" },
                 { "projected-gd", "lr=0.002 delta=0 split=2" },
                 { "altlora", "lr=0.002 delta=0" } };
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        problem two, three;
        problem_pair(&two, 9, 7, 2, 1.5, false);
        problem_pair(&three, 9, 7, 3, 1.5, false);
        problem_optimizer(&two, runs[k].name, runs[k].settings, 0);
        problem_optimizer(&three, runs[k].name, runs[k].settings, 0);
        const tn_real *a = two.a[0]->x, *b = two.b[0]->x;
        for (int j = 0; j < 3; j++) {
            for (int i = 0; i < 7; i++)
                three.a[0]->x[j * 7 + i] =
                    (tn_real)((double)a[i] * turn[0][j] + (double)a[7 + i] * turn[1][j]);
            for (int i = 0; i < 9; i++)
                three.b[0]->x[i * 3 + j] =
                    (tn_real)((double)b[2 * i] * turn[0][j] + (double)b[2 * i + 1] * turn[1][j]);
        }
        for (int t = 1; t <= 50; t++) {
            double *g = normals(63, (uint64_t)t), left[63], whole[63];
            problem_set_gradient(&two, g);
            problem_set_gradient(&three, g);
            problem_step(&two);
            problem_step(&three);
            problem_product(&two, 0, left);
            problem_product(&three, 0, whole);
            for (int i = 0; i < 63; i++)
                ck_assert_double_eq_tol(whole[i], left[i], limit_of(1e-10, 1e-5));
            free(g);
        }
        problem_free(&two);
        problem_free(&three);
    }
}
END_TEST

/* At the start `columns` columns of lora_B, and of lora_A^T if `both`, are not zero. Returns the
   size of the product after five steps. */
static double size_after(const char *name, const char *settings, int columns, bool both)
{
    problem p;
    double product[M * N], size = 0;
    problem_pair(&p, M, N, R, 1.5, false);
    problem_optimizer(&p, name, settings, 0);
    for (int i = 0; i < M * R; i++)
        p.b[0]->x[i] *= (tn_real)(i % R < columns);
    for (int i = 0; i < N * R && both; i++)
        p.a[0]->x[i] *= (tn_real)(i / N < columns);
    problem_step(&p); /* no gradient */
    problem_descend(&p, 5);
    problem_product(&p, 0, product);
    for (int i = 0; i < M * N; i++)
        size += fabs(product[i]);
    problem_free(&p);
    return size;
}

START_TEST(a_start_without_full_rank_neither_explodes_nor_dies)
{
    for (const tn_optim_def *const *def = tn_optims; *def; def++) {
        const char *runs[] = { "", (*def)->claims_when, "warmup_steps=0" };
        bool refactors = tn_optim_find("reflora") == *def || tn_optim_find("reflora-s") == *def;
        runs[1] = runs[1] ? runs[1] : "";
        for (int k = 0; (*def)->pairs && k < (refactors ? 3 : 2); k++)
            for (int columns = 0; columns < R; columns++)
                for (int both = 0; both <= (columns > 0); both++) {
                    double size = size_after((*def)->name, runs[k], columns, both);
                    ck_assert_msg(isfinite(size) && size > 0 && size < 1e4,
                                  "%s %s: %d columns of %s: the product has size %g", (*def)->name,
                                  runs[k], columns, both ? "both" : "lora_B", size);
                }
    }
}
END_TEST

static void stays_finite(const char *name, const char *settings, bool zero)
{
    problem p;
    golden_problem(&p, zero, 0);
    problem_optimizer(&p, name, settings, 0);
    for (int t = 0; t < 9; t++) { /* three steps without a gradient, three with, three without */
        golden_gradients(&p);
        for (int i = 0; i < 10 && t / 3 != 1; i++)
            p.b[0]->g[i] = p.a[0]->g[i % 8] = 0;
        problem_step(&p);
        for (int i = 0; i < 10; i++)
            ck_assert_msg(isfinite((double)p.b[0]->x[i]) && isfinite((double)p.a[0]->x[i % 8]),
                          "%s %s: step %d", name, settings, t + 1);
    }
    problem_free(&p);
}

START_TEST(zero_gradients_and_factors_leave_finite_weights)
{
    for (int zero = 0; zero < 2; zero++) {
        for (const tn_optim_def *const *def = tn_optims; *def; def++)
            stays_finite((*def)->name, "", zero);
        stays_finite("adafactor", "eps1=1e-30", zero);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, rite_moves_under_gradients_of_rank_one);
    tcase_add_test(c, dead_directions_are_dropped);
    tcase_add_test(c, a_start_without_full_rank_neither_explodes_nor_dies);
    tcase_add_test(c, zero_gradients_and_factors_leave_finite_weights);
}
