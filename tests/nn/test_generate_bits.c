/* test_generate_bits.c - the same tokens on every ISA and thread count; logits that are NaN. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/kernels.h"
#include "tests/support/tests.h"

#include <math.h>

enum { V = 64, ROWS = 3, MOST = 20 };

static const int32_t prompt[ROWS][4] = { { 5 }, { 60, 3, 60 }, { 9, 9, 9, 9 } };
static const int64_t lengths[ROWS] = { 1, 3, 4 };

/* clang-format off */
typedef struct result { int32_t ids[ROWS][MOST]; int64_t made[ROWS]; } result;
/* clang-format on */

static tn_model *open_model(const tn_options *options, tn_context **c)
{
    tn_error e = { 0 };
    *c = tn_context_new(options);
    ck_assert(*c != NULL);
    tn_model *m = tn_model_open(*c, GOLDEN "tiny_models/gpt2", &e);
    must(&e);
    return m;
}

static int generate(tn_model *m, const tn_sampling *s, result *r, tn_error *e)
{
    const int32_t *const prompts[ROWS] = { prompt[0], prompt[1], prompt[2] };
    int32_t *const out[ROWS] = { r->ids[0], r->ids[1], r->ids[2] };
    return tn_generate(m, ROWS, prompts, lengths, s, out, r->made, NULL, NULL, e);
}

static const int32_t none[1];
static const tn_sampling settings[] = {
    { .max_tokens = MOST, .ends = none },
    { .max_tokens = MOST, .ends = none, .temperature = 1, .seed = 1 },
    { .max_tokens = MOST, .ends = none, .temperature = 0.7, .seed = 2, .top_k = 5 },
    { .max_tokens = MOST, .ends = none, .temperature = 1.3, .seed = 3, .top_p = 0.8 },
};

START_TEST(same_tokens_on_every_isa_and_thread_count)
{
    static const int threads[] = { 1, 2, 5 };
    result first = { 0 };
    for (int i = 0; i < ISAS; i++)
        for (int k = 0; k < 3 && tn_kernels_select(tn_isas[i]); k++) {
            tn_context *c;
            tn_error e = { 0 };
            result r = { 0 };
            tn_model *m = open_model(&(tn_options){ .threads = threads[k], .isa = tn_isas[i] }, &c);
            generate(m, &settings[_i], &r, &e);
            must(&e);
            if (!i && !k)
                first = r;
            ck_assert_msg(!memcmp(&r, &first, sizeof r), "%s, %d threads", tn_isas[i], threads[k]);
            tn_model_free(m);
            tn_context_free(c);
        }
}
END_TEST

/* A number that is not finite, in the weights of token `id`. The head is tied to the embedding, and
   no prompt has this token. */
static const struct {
    int32_t id;
    tn_real value;
} broken[] = { { 0, NAN }, { 1, NAN }, { 17, NAN }, { V - 1, NAN }, { 17, INFINITY } };

START_TEST(logits_that_are_not_finite_are_refused)
{
    for (int k = 0; k < 2; k++) { /* greedy, and sampling */
        tn_context *c;
        tn_error e = { 0 };
        result r = { 0 };
        tn_model *m = open_model(&(tn_options){ .threads = 1 }, &c);
        tn_tensor *w = tn_params_find(m->params, "transformer.wte.weight")->w;
        for (int64_t i = 0; i < w->dim[1]; i++)
            w->x[broken[_i].id * w->dim[1] + i] = broken[_i].value;
        generate(m, &settings[k], &r, &e);
        must_fail(&e, TN_ENONFINITE, "generation: the logits of row 1 are not finite");
        ck_assert_int_eq(r.made[0], 0);
        tn_model_free(m);
        tn_context_free(c);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, same_tokens_on_every_isa_and_thread_count, 0,
                        sizeof settings / sizeof *settings);
    tcase_add_loop_test(c, logits_that_are_not_finite_are_refused, 0,
                        sizeof broken / sizeof *broken);
}
