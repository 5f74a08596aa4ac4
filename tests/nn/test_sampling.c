/* test_sampling.c - the shares of tokens under penalty, temperature, top-k, top-p and min-p. */
#include "nn/generate.c"
#include "tests/support/tests.h"

enum { V = 8, DRAWS = 200000 };

static const tn_real logits[V] = { 2, -1.5, 0.25, 3, -0.5, 1, 2.5, -3 };
static const int32_t before[] = { 3, 1, 3, 6 }; /* ids of the text so far */

/* Made with the logits processors of Transformers 5.24, in this order: RepetitionPenalty,
   Temperature, TopK, TopP, MinP; then softmax. */
/* clang-format off */
static const struct { double temperature; int64_t k; double p, min_p, penalty; double share[V]; } cases[] = {
    { 1, 0, 1, 0.2, 1, { 0.1863237, 0, 0, 0.5064804, 0, 0, 0.3071959, 0 } },
    { 0.7, 0, 1, 0.05, 1, { 0.1341362, 0, 0, 0.5597144, 0, 0.0321459, 0.2740036, 0 } },
    { 1.5, 5, 1, 0.3, 1, { 0.2302372, 0, 0, 0.4484408, 0, 0, 0.3213219, 0 } },
    { 1, 0, 0.9, 0.25, 1, { 0.1863237, 0, 0, 0.5064804, 0, 0, 0.3071959, 0 } },
    { 1, 0, 1, 0, 1.3, { 0.2540667, 0.004892, 0.0441502, 0.3456024, 0.0208551, 0.0934659, 0.2352559, 0.0017119 } },
    { 1, 0, 1, 0, 0.8, { 0.0951832, 0.0038799, 0.0165404, 0.5477414, 0.0078131, 0.0350159, 0.2931848, 0.0006413 } },
    { 0.8, 6, 0.95, 0.1, 1.5, { 0.3270173, 0, 0.0366903, 0.3270173, 0, 0.093692, 0.2155831, 0 } },
    { 2, 4, 0.8, 0, 1.2, { 0.3006097, 0, 0, 0.3859905, 0, 0, 0.3133997, 0 } },
};
/* clang-format on */

/* The number of draws of each token, of DRAWS at equal distances. */
static void draw_all(const tn_sampling *s, int64_t length, const int32_t *out, int64_t made,
                     int64_t count[V])
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    const tn_model m = { .vocab = V };
    const int32_t *const prompts[] = { before };
    choice choices[V];
    tn_real weights[V], kept[V];
    const generation r = { .m = &m,
                           .s = s,
                           .kernels = tn_kernels_of(c),
                           .prompts = prompts,
                           .length = &length,
                           .choices = choices,
                           .weights = weights,
                           .logits = kept };
    memset(count, 0, V * sizeof *count);
    const tn_real *z = penalise(&r, 0, logits, out, made);
    for (int i = 0; i < DRAWS; i++)
        count[sample(&r, z, (i + 0.5) / DRAWS)]++;
    tn_context_free(c);
}

/* Where the penalty reads 2 ids of the prompt and 2 of its continuation, or all 4 of one. */
START_TEST(shares_are_those_of_transformers)
{
    const int c = _i / 2;
    const tn_sampling s = { .temperature = cases[c].temperature,
                            .top_k = cases[c].k,
                            .top_p = cases[c].p,
                            .min_p = cases[c].min_p,
                            .penalty = cases[c].penalty,
                            .penalty_last = _i % 2 ? -1 : 4 };
    int64_t count[V];
    draw_all(&s, _i % 2 ? 2 : 4, before + 2, _i % 2 ? 2 : 0, count);
    for (int i = 0; i < V; i++)
        ck_assert_msg(fabs((double)count[i] / DRAWS - cases[c].share[i]) < 2e-5,
                      "token %d: %.6f, expected %.7f", i, (double)count[i] / DRAWS,
                      cases[c].share[i]);
}
END_TEST

/* The penalty is for the last ids only: token 3 and 6 are the last two, and 1 is not among them. */
START_TEST(the_penalty_ends)
{
    int64_t two[V], three[V];
    draw_all(&(tn_sampling){ .temperature = 1, .penalty = 2, .penalty_last = 2 }, 4, NULL, 0, two);
    draw_all(&(tn_sampling){ .temperature = 1, .penalty = 2, .penalty_last = 3 }, 4, NULL, 0,
             three);
    ck_assert_int_gt(two[1], three[1]); /* -1.5, or -3 */
    ck_assert(fabs((double)two[1] - (double)two[4] * exp(-1.0)) < 20);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, shares_are_those_of_transformers, 0, 2 * sizeof cases / sizeof *cases);
    tcase_add_test(c, the_penalty_ends);
}
