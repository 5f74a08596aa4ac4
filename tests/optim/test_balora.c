/* test_balora.c - balancing after a step.
   The product stays the same, A^T A becomes B^T B, and runs of invariant optimizers do not change.
   Here A = lora_B (m,r) and B = lora_A^T (n,r). */
#include "tests/support/fixtures.h"
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { M = 9, N = 7, R = 3 };

static void begin(problem *p, const char *name, const char *settings)
{
    problem_pair(p, M, N, R, 1.5, false);
    problem_optimizer(p, name, settings, 0);
}

/* X^T Y for the factor A or B of two problems. */
static void gram(const problem *p, const problem *q, bool a, double *out)
{
    double *x = problem_factor(p, a), *y = problem_factor(q, a);
    for (int i = 0; i < R; i++)
        for (int j = 0; j < R; j++) {
            out[i * R + j] = 0;
            for (int k = 0; k < (a ? M : N); k++)
                out[i * R + j] += x[k * R + i] * y[k * R + j];
        }
    free(x);
    free(y);
}

/* For every optimizer: the step before balancing has the same bits as a step without it, and
   balancing keeps the product. */
START_TEST(after_every_optimizer)
{
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int kind = 1; kind <= 2; kind++) {
            char settings[64];
            snprintf(settings, sizeof settings, "lr=0.01 balora=%d balora_every=3", kind);
            problem p, q;
            begin(&p, (*def)->name, settings);
            begin(&q, (*def)->name, "lr=0.01");
            problem_descend(&p, 2);
            problem_descend(&q, 2);
            ck_assert_msg(tn_params_hash(p.params, false) == tn_params_hash(q.params, false),
                          "%s: something moved before the third step", (*def)->name);
            problem_descend(&p, 1);
            problem_descend(&q, 1);
            double off = problem_difference(&p, &q), a[R * R], b[R * R];
            ck_assert_msg(off < limit_of(1e-13, 1e-5), "%s: the product moved by %g", (*def)->name,
                          off);
            gram(&p, &p, true, a);
            gram(&p, &p, false, b);
            for (int i = 0; i < R * R; i++)
                ck_assert_msg(fabs(a[i] - b[i]) < limit_of(1e-11, 1e-4),
                              "%s: [%d] of A^T A is %.12g, of B^T B %.12g", (*def)->name, i, a[i],
                              b[i]);
            problem_free(&p);
            problem_free(&q);
        }
}
END_TEST

START_TEST(invariant_runs_do_not_notice)
{
    static const struct {
        const char *name, *plain, *balanced;
        bool same;
    } runs[] = { { "lora-rite", "lr=0.02", "lr=0.02 balora=1", true },
                 { "lora-rite", "lr=0.02", "lr=0.02 balora=2 balora_every=7", true },
                 { "scaled-gd", "lr=0.02 delta=0", "lr=0.02 delta=0 balora=1", true },
                 { "altlora", "lr=0.02 delta=0", "lr=0.02 delta=0 balora=1", true },
                 { "adamw", "lr=0.02", "lr=0.02 balora=1", false } };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        problem p, q;
        begin(&p, runs[i].name, runs[i].plain);
        begin(&q, runs[i].name, runs[i].balanced);
        problem_descend(&p, 50);
        problem_descend(&q, 50);
        double off = problem_difference(&p, &q);
        ck_assert_msg(runs[i].same ? off < limit_of(1e-9, 1e-4) : off > 0.1,
                      "%s with %s: the product differs by %g", runs[i].name, runs[i].balanced, off);
        problem_free(&p);
        problem_free(&q);
    }
}
END_TEST

/* A O is nearest to A (and B O to B) when (A O)^T A + (B O)^T B is symmetric and positive. */
START_TEST(balora_2_changes_least)
{
    problem p, q;
    double n[R * R], other[R * R];
    begin(&p, "sgd", "lr=0.01 balora=2");
    begin(&q, "sgd", "lr=0.01");
    problem_descend(&p, 1);
    problem_descend(&q, 1);
    gram(&p, &q, true, n);
    gram(&p, &q, false, other);
    for (int i = 0; i < R * R; i++)
        n[i] += other[i];
    for (int i = 0; i < R; i++)
        for (int j = 0; j < R; j++)
            ck_assert_double_eq_tol(n[i * R + j], n[j * R + i], limit_of(1e-12, 1e-5));
    double minor = n[0] * n[4] - n[1] * n[3];
    double det =
        n[2] * (n[3] * n[7] - n[4] * n[6]) - n[5] * (n[0] * n[7] - n[1] * n[6]) + n[8] * minor;
    ck_assert(n[0] > 0 && minor > 0 && det > 0);
    problem_free(&p);
    problem_free(&q);
}
END_TEST

/* A = D Q and B = D Q^-T. Their product D^2 is diagonal, with entries of very different size.
   Balancing keeps the digits of every entry. */
START_TEST(steep_products_are_kept)
{
    static const double q[R][R] = { { 1, 0, 0 }, { 0.5, 1, 0 }, { -0.7, 0.8, 1 } },
                        inverse[R][R] = { { 1, -0.5, 1.1 },
                                          { 0, 1, -0.8 },
                                          { 0, 0, 1 } }; /* Q^-T */
    double steep = limit_of(0.03, 0.1);
    for (int kind = 1; kind <= 2; kind++) {
        problem p;
        begin(&p, "sgd", kind == 1 ? "balora=1" : "balora=2");
        for (int i = 0; i < M; i++)
            for (int j = 0; j < R; j++)
                p.b[0]->x[i * R + j] = (tn_real)(i < R ? pow(steep, i) * q[i][j] : 0);
        for (int i = 0; i < N; i++)
            for (int j = 0; j < R; j++)
                p.a[0]->x[j * N + i] = (tn_real)(i < R ? pow(steep, i) * inverse[i][j] : 0);
        uint64_t before = tn_params_hash(p.params, false);
        problem_step(&p); /* no gradient */
        ck_assert(tn_params_hash(p.params, false) != before);
        double product[M * N];
        problem_product(&p, 0, product);
        for (int i = 0; i < R; i++)
            for (int j = 0; j < R; j++)
                ck_assert_double_eq_tol(product[i * N + j] / pow(steep, i + j), i == j,
                                        limit_of(1e-12, 1e-4));
        problem_free(&p);
    }
}
END_TEST

/* lora_B is zero, or both factors do not have a direction. Then nothing is balanced, and no
   direction is lost. */
START_TEST(products_that_lack_rank_are_left_alone)
{
    for (int zero = 0; zero < 2; zero++)
        for (int kind = 1; kind <= 2; kind++) {
            problem p;
            begin(&p, "sgd", kind == 1 ? "lr=0.1 balora=1" : "lr=0.1 balora=2");
            for (int i = 0; i < M * R; i++)
                p.b[0]->x[i] *= (tn_real)(zero ? 0 : i % R < 2);
            for (int i = 0; i < N * R && !zero; i++)
                p.a[0]->x[i] *= (tn_real)(i / N < 2);
            uint64_t before = tn_params_hash(p.params, false);
            problem_step(&p); /* no gradient */
            ck_assert(tn_params_hash(p.params, false) == before);
            problem_descend(&p, 5);
            double product[M * N], sum = 0;
            problem_product(&p, 0, product);
            for (int i = 0; i < M * N; i++)
                sum += fabs(product[i]);
            ck_assert(isfinite(sum) && sum > 0);
            problem_free(&p);
        }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, after_every_optimizer);
    tcase_add_test(c, invariant_runs_do_not_notice);
    tcase_add_test(c, balora_2_changes_least);
    tcase_add_test(c, steep_products_are_kept);
    tcase_add_test(c, products_that_lack_rank_are_left_alone);
}
