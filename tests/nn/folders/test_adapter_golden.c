/* test_adapter_golden.c - adapters of PEFT compute here what they compute there.
   They still do after we wrote them again. */
#include "nn/family.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tiny ones were computed in double, but Transformers takes norms and softmax of a Llama in
   float; the others were computed in float. */
static const double TINY_TOLERANCE = sizeof(tn_real) == sizeof(double) ? 1e-6 : 1e-4;

/* clang-format off */
static const struct {
    const char *adapter, *base;
    bool asset;
    const char *config[4]; /* what our adapter_config.json must say */
} cases[] = {
    { GOLDEN "adapters/rslora", GOLDEN "tiny_models/llama", false,
      { "\"use_rslora\": true", "\"lora_alpha\": 6,", "\"init_lora_weights\": \"gaussian\"", "\"alpha_pattern\": {}" } },
    { GOLDEN "adapters/patterns", GOLDEN "tiny_models/llama", false,
      { "\"model.layers.1.mlp.gate_proj\": 5", "\"model.layers.0.mlp.down_proj\": 2",
        "\"model.layers.1.self_attn.v_proj\": 32", "\"model.layers.0.mlp.gate_proj\": 1" } },
    { GOLDEN "adapters/blocks", GOLDEN "tiny_models/llama", false,
      { "\"layers_to_transform\": [1]", "[\"q_proj\",\"k_proj\",\"v_proj\"]", "\"init_lora_weights\": \"orthogonal\"",
        "\"use_rslora\": false" } },
    { GOLDEN "adapters/dora", GOLDEN "tiny_models/llama", false, { "\"use_dora\": true", "\"r\": 4," } },
    { GOLDEN "adapters/head_tied", GOLDEN "tiny_models/smollm3", false, { "[\"q_proj\",\"lm_head\"]" } },
    { GOLDEN "adapters/head_untied", GOLDEN "tiny_models/phi3", false, { "[\"qkv_proj\",\"lm_head\"]" } },
    { "golden/hf/adapters/dora", "assets/models/stories260K-hf", true, { "\"use_dora\": true" } },
    { "golden/hf/adapters/rslora_all_linear", "assets/models/stories260K-hf", true,
      { "\"use_rslora\": true", "\"lora_alpha\": 8,", "\"r\": 4," } },
    { "golden/hf/adapters/rank_pattern", "assets/models/stories260K-hf", true, { "\"rank_pattern\": {" } },
};
/* clang-format on */

typedef struct desk {
    tn_context *c;
    tn_tape *t;
    tn_model *m;
    tn_safetensors *expected;
    tn_error e;
} desk;

/* Compares the logits of the model with the adapter of a folder with the expected ones. */
static void check_logits(desk *d, const char *base, const char *adapter, bool asset)
{
    d->m = tn_model_open_as(d->c, base, &(tn_open_options){ .frozen = true }, &d->e);
    must(&d->e);
    tn_adapter_open(d->m, adapter, &d->e);
    must(&d->e);
    ck_assert_ptr_null(d->m->note);
    const tn_entry *ids = tn_safetensors_find(d->expected, "input_ids");
    int64_t n = tn_entry_count(ids);
    tn_tensor *x = tn_tape_input(d->t, TN_I32, 2, (int64_t[]){ 1, n });
    tn_entry_int(d->expected, ids, x->i, &d->e);
    tn_tensor *z = tn_model_logits(d->m, d->t, x);
    ck_assert_msg(z != NULL, "%s", tn_tape_error(d->t));
    double *logits = read_doubles(d->expected, asset ? "logits.adapter" : "logits", &n);
    ck_assert_int_eq(n, tn_tensor_count(z));
    ck_assert_double_lt(difference(z->x, logits, n), asset ? 1e-5 : TINY_TOLERANCE);
    tn_tape_reset(d->t);
    free(logits);
}

START_TEST(what_peft_wrote)
{
    char *adapter = cases[_i].asset ? assets(cases[_i].adapter) : strdup(cases[_i].adapter);
    char *base = cases[_i].asset ? assets(cases[_i].base) : strdup(cases[_i].base);
    if (!adapter || !base)
        return;
    desk d = { .c = tn_context_new(&(tn_options){ .threads = 2 }) };
    d.t = tn_tape_new(d.c);
    char *path = tn_path_join(adapter, "expected.safetensors"), *folder = temporary();
    d.expected = tn_safetensors_open(path, &d.e);
    must(&d.e);
    check_logits(&d, base, adapter, cases[_i].asset);
    tn_adapter_save(d.m, folder, TN_FILE_F32, &d.e);
    must(&d.e);
    tn_model_free(d.m);
    check_logits(&d, base, folder, cases[_i].asset);
    size_t n;
    char *config = tn_path_join(folder, "adapter_config.json");
    char *text = tn_file_read(config, 1 << 20, &n, &d.e);
    for (int i = 0; i < 4 && cases[_i].config[i]; i++)
        ck_assert_msg(strstr(text, cases[_i].config[i]) != NULL, "%s\nlacks %s", text,
                      cases[_i].config[i]);
    tn_model_free(d.m);
    tn_safetensors_close(d.expected);
    tn_tape_free(d.t);
    tn_context_free(d.c);
    discard(folder);
    free(config);
    free(text);
    free(path);
    free(adapter);
    free(base);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, what_peft_wrote, 0, sizeof cases / sizeof *cases);
}
