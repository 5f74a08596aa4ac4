/* test_scaled_adam.c - scaled-adam and scaled-gd when a Gram matrix has no inverse. */
#include "tests/support/optim_pair.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>

enum { M = PAIR_M, N = PAIR_N, R = PAIR_R };

/* The step of lora_A in units of -gB. Only one column of lora_B is not zero; it has this size. */
static double share_of_gradient(const char *name, const char *settings, double size)
{
    problem p;
    pair_move o;
    pair_with(&p, name, settings);
    for (int i = 0; i < M * R; i++)
        p.b[0]->x[i] = (tn_real)(i % R ? 0 : size * cos(i));
    pair_step(&p, &o);
    double along = 0, square = 0, off = 0;
    for (int i = 0; i < N * R; i++) {
        along -= o.db[i] * o.gb[i];
        square += o.gb[i] * o.gb[i];
    }
    for (int i = 0; i < N * R; i++)
        off += fabs(o.db[i] + along / square * o.gb[i]);
    ck_assert_double_le(off, 1e-4 * along + limit_of(1e-12, 1e-5)); /* the step is along gB */
    problem_free(&p);
    return along / square;
}

/* With an eps that is much larger than all gradients ScaledAdamW becomes ScaledGD. */
START_TEST(where_there_is_no_inverse)
{
    static const struct {
        const char *name, *settings;
    } all[] = { { "scaled-gd", "lr=1" }, { "scaled-adam", "lr=1e9 beta1=0 beta2=0 eps=1e9" } };
    double square = 0, close = limit_of(1e-4, 1e-3);
    for (int i = 0; i < M * R; i += R)
        square += cos(i) * cos(i);
    for (int k = 0; k < 2; k++) {
        static const struct {
            const char *settings;
            double size;
            bool identity;
        } runs[] = { { "delta=0", 1, false },
                     { "delta=0 fallback=1", 1, true },
                     { "preset=mix-of-show", 1, true },
                     { "preset=object-generation delta=0", 1, false },
                     { "preset=object-generation delta=0", 1e-3, false },
                     { "preset=object-generation delta=0", 1e-4, true } };
        for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
            char settings[128];
            snprintf(settings, sizeof settings, "%s %s", runs[i].settings, all[k].settings);
            double share = share_of_gradient(all[k].name, settings, runs[i].size);
            double want = runs[i].identity ? 1 : 1 / (square * runs[i].size * runs[i].size);
            ck_assert_msg(fabs(share / want - 1) < close, "%s %s: %g, expected %g", all[k].name,
                          settings, share, want);
        }
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, where_there_is_no_inverse);
}
