/* test_claims.c - each optimizer has exactly the invariance that it claims.
   A becomes A T and B becomes B T^-T. If the optimizer claims T, all products of the run stay the
   same. If not, they change. test_invariance.c has numbers of another program. */
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>

/* clang-format off */
static const struct basis { const char *name; double t[2][2]; tn_claim claim; } bases[] = {
    { "an unsigned permutation", { { 0, 1 }, { 1, 0 } }, TN_INVARIANT_UNSIGNED },
    { "a permutation", { { 0, -1 }, { 1, 0 } }, TN_INVARIANT_NONE },
    { "a scaling", { { 3, 0 }, { 0, 3 } }, TN_INVARIANT_SCALE },
    { "a rotation", { { 0.6, 0.8 }, { -0.8, 0.6 } }, TN_INVARIANT_ROTATION },
    { "a change of basis", { { 2, 1 }, { -0.5, 0.7 } }, TN_INVARIANT_FULL },
};
/* clang-format on */

enum { BASES = sizeof bases / sizeof *bases };

static bool claimed(const tn_optim_def *def, const struct basis *b)
{
    return b->claim == TN_INVARIANT_UNSIGNED || /* every optimizer claims at least this */
           (def->claims != TN_INVARIANT_UNSIGNED && (def->claims & b->claim) == b->claim);
}

/* The largest change of the product over 20 steps if the pair starts in the basis T. `zero`: lora_B
   starts at 0. *size becomes the largest number of the product. */
static double moved(const tn_optim_def *def, const double t[2][2], bool zero, double *size)
{
    double det = t[0][0] * t[1][1] - t[0][1] * t[1][0], most = 0;
    double u[2][2] = { { t[1][1] / det, -t[1][0] / det },
                       { -t[0][1] / det, t[0][0] / det } }; /* T^-T */
    problem p[2];
    for (int k = 0; k < 2; k++) {
        golden_problem(&p[k], zero, 0);
        problem_optimizer(&p[k], def->name, def->claims_when ? def->claims_when : "", 0);
    }
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 2; j++)
            p[1].b[0]->x[2 * i + j] = (tn_real)((double)p[0].b[0]->x[2 * i] * t[0][j] +
                                                (double)p[0].b[0]->x[2 * i + 1] * t[1][j]);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++)
            p[1].a[0]->x[4 * j + i] = (tn_real)((double)p[0].a[0]->x[i] * u[0][j] +
                                                (double)p[0].a[0]->x[4 + i] * u[1][j]);
    *size = 0;
    for (int step = 0; step < 20; step++) {
        double z[2][20];
        for (int k = 0; k < 2; k++) {
            golden_gradients(&p[k]);
            problem_step(&p[k]);
            problem_product(&p[k], 0, z[k]);
        }
        for (int i = 0; i < 20; i++) {
            most = fmax(most, fabs(z[0][i] - z[1][i]));
            *size = fmax(*size, fabs(z[0][i]));
        }
    }
    problem_free(&p[0]);
    problem_free(&p[1]);
    return most;
}

START_TEST(claims_hold_and_no_larger_one_does)
{
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int i = 0; i < BASES; i++) {
            double size, by = moved(*def, bases[i].t, false, &size);
            ck_assert_msg(claimed(*def, &bases[i]) ? by < limit_of(1e-11, 2e-5) : by > 1e-3,
                          "%s: %s moves the product by %g", (*def)->name, bases[i].name, by);
        }
}
END_TEST

/* From lora_B = 0: a claim that holds only for nonzero factors is broken, or the product stays
   zero. */
START_TEST(claims_from_the_zero_start)
{
    for (const tn_optim_def *const *def = tn_optims; *def; def++) {
        double size = 0, most = 0;
        for (int i = 0; i < BASES; i++)
            if (claimed(*def, &bases[i]))
                most = fmax(most, moved(*def, bases[i].t, true, &size));
        ck_assert_msg((*def)->claims_nonzero ? most >= 1e-3 * size
                                             : size > 0 && most < limit_of(1e-11, 2e-5),
                      "%s: the product, of size %g, moves by %g", (*def)->name, size, most);
    }
}
END_TEST

/* The largest change of the product over 20 steps if A is ten times larger and B ten times smaller.
   Gradients are of size 1e-3. */
static double scaled(const char *settings)
{
    enum { M = 17, N = 11, R = 4 };
    problem p[2];
    double most = 0, target[M * N], z[2][M * N];
    for (int i = 0; i < M * N; i++)
        target[i] = 0.7 * normal(1, i);
    for (int k = 0; k < 2; k++) {
        problem_pair(&p[k], M, N, R, 1, false);
        for (int i = 0; i < M * R && k; i++)
            p[k].b[0]->x[i] *= 10;
        for (int i = 0; i < N * R && k; i++)
            p[k].a[0]->x[i] /= 10;
        problem_optimizer(&p[k], "adafactor", settings, 0);
    }
    for (int step = 0; step < 20; step++) {
        for (int k = 0; k < 2; k++) {
            problem_gradients(&p[k], 0, target, 1e-3);
            problem_step(&p[k]);
            problem_product(&p[k], 0, z[k]);
        }
        for (int i = 0; i < M * N; i++)
            most = fmax(most, fabs(z[0][i] - z[1][i]));
    }
    problem_free(&p[0]);
    problem_free(&p[1]);
    return most;
}

/* By default eps1 is the epsilon of the type of the weights. In float it is larger than the squares
   of small gradients. */
START_TEST(adafactor_needs_a_small_eps1)
{
    double with = scaled(tn_optim_find("adafactor")->claims_when), without = scaled("eps2=0");
    ck_assert_msg(with < limit_of(1e-11, 2e-5), "%g", with);
    ck_assert_msg(sizeof(tn_real) == sizeof(double) || without > 3e-4, "%g", without);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, adafactor_needs_a_small_eps1);
    tcase_add_test(c, claims_hold_and_no_larger_one_does);
    tcase_add_test(c, claims_from_the_zero_start);
}
