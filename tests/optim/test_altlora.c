/* test_altlora.c - altlora, altlora-plus and lorafa: the best step of lora_B alone. */
#include "tests/support/optim_pair.h"
#include "tests/support/tests.h"

#include <stdlib.h>

enum { M = PAIR_M, N = PAIR_N, R = PAIR_R };

/* A change of lora_B moves the product within the rows of lora_A. There the best approximation of G
   is G P_B. */
START_TEST(half_a_step_projects_on_the_rows)
{
    static const struct {
        const char *name, *settings;
    } all[] = { { "altlora", "lr=1 delta=0 beta1=0" },
                { "altlora", "lr=1 delta=0" }, /* the first step has no old moments */
                { "altlora-plus", "lr=1e9 eps=1e9 beta1=0 beta2=0 delta=0" },
                { "lorafa",
                  "lr=1e9 eps=1e9 beta1=0 beta2=0 delta=0" } }; /* a plain step, without Adam */
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        problem p;
        pair_move o;
        double got[M * N], want[M * N];
        pair_with(&p, all[k].name, all[k].settings);
        pair_step(&p, &o);
        for (int i = 0; i < N * R; i++)
            ck_assert(o.db[i] == 0);
        pair_first_order(&o, got);
        double *pb = projector(N, R, o.b);
        multiply(M, N, N, o.g, pb, false, want);
        for (int i = 0; i < M * N; i++)
            want[i] = -want[i];
        pair_same(all[k].name, M * N, got, want,
                  k < 2 ? limit_of(1e-13, 1e-5) : limit_of(1e-6, 1e-5));
        free(pb);
        problem_free(&p);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, half_a_step_projects_on_the_rows);
}
