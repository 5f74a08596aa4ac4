/* test_model.c - the description of a model, by which a checkpoint recognises its base. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <string.h>

typedef struct sizes { /* a config, and LoRA on the model (rank 0: no LoRA) */
    const char *what;
    int heads, layers;
    const char *eps, *more;
    int64_t rank;
    double alpha;
} sizes;

static const sizes rows[] = {
    { "itself", 2, 2, "1e-5", "", 2, 4 },
    { "heads", 4, 2, "1e-5", "", 2, 4 },
    { "layers", 2, 1, "1e-5", "", 2, 4 },
    { "epsilon", 2, 2, "1e-6", "", 2, 4 },
    { "end token", 2, 2, "1e-5", ", \"eos_token_id\": 5", 2, 4 },
    { "scale of LoRA", 2, 2, "1e-5", "", 2, 8 },
    { "no LoRA", 2, 2, "1e-5", "", 0, 0 },
};

enum { ROWS = sizeof rows / sizeof *rows };

static tn_model *make(tn_context *c, const sizes *s)
{
    char text[512];
    tn_error e = { 0 };
    const int n =
        snprintf(text, sizeof text,
                 "{\"model_type\": \"gpt2\", \"n_head\": %d, \"n_layer\": %d, \"n_embd\": 8, "
                 "\"n_positions\": 16, \"vocab_size\": 11, \"layer_norm_epsilon\": %s%s}",
                 s->heads, s->layers, s->eps, s->more);
    const tn_json *config = tn_json_parse(text, (size_t)n, "config.json", 0, &e);
    tn_model *m = tn_model_new(c, config, 0, -1, &e);
    if (s->rank)
        tn_lora_add(m, &(tn_lora_options){ .rank = s->rank, .alpha = s->alpha }, &e);
    must(&e);
    tn_json_free(config);
    return m;
}

/* Two models have the same base only if their whole configs are the same. */
START_TEST(its_params_are_described)
{
    tn_context *c = tn_context_new(NULL);
    for (int i = 0; i < ROWS; i++) {
        tn_model *a = make(c, &rows[0]), *b = make(c, &rows[i]);
        b->dropout = 0.1; /* an option of a run, not part of the config */
        ck_assert_msg((tn_params_base(a->params).config == tn_params_base(b->params).config) ==
                          (i == 0),
                      "%s", rows[i].what);
        tn_model_free(a);
        tn_model_free(b);
    }
    tn_context_free(c);
}
END_TEST

START_TEST(a_folder_describes_as_its_config_does)
{
    tn_context *c = tn_context_new(NULL);
    tn_error e = { 0 };
    const tn_json *config = tn_json_read(GOLDEN "tiny_models/gpt2/config.json", &e);
    tn_model *opened = tn_model_open(c, GOLDEN "tiny_models/gpt2", &e),
             *made = tn_model_new(c, config, 0, -1, &e);
    must(&e);
    ck_assert(tn_params_base(opened->params).config == tn_params_base(made->params).config);
    tn_model_free(opened);
    tn_model_free(made);
    tn_json_free(config);
    tn_context_free(c);
}
END_TEST

START_TEST(merging_changes_no_description)
{
    tn_context *c = tn_context_new(NULL);
    tn_error e = { 0 };
    tn_model *plain = make(c, &rows[ROWS - 1]), *merged = make(c, &rows[0]);
    tn_lora_merge(merged, &e);
    must(&e);
    ck_assert(tn_params_base(plain->params).config == tn_params_base(merged->params).config);
    tn_model_free(plain);
    tn_model_free(merged);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, its_params_are_described);
    tcase_add_test(c, a_folder_describes_as_its_config_does);
    tcase_add_test(c, merging_changes_no_description);
}
