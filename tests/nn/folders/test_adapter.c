/* test_adapter.c - opening an adapter: its scales are those of PEFT; what is refused. */
#include "nn/family.h"
#include "tests/support/fixtures.h"
#include "tests/support/small_model.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
/* s is alpha / r or alpha / sqrt(r), or a pattern sets it. */
static const struct { const char *json; double s[4]; } scales[] = {
    { "{\"r\":4,\"lora_alpha\":6}", { 1.5, 1.5, 1.5, 1.5 } },
    { "{\"r\":4}", { 2, 2, 2, 2 } },
    { "{\"r\":4,\"lora_alpha\":6,\"use_rslora\":true}", { 3, 3, 3, 3 } },
    { "{\"r\":4,\"lora_alpha\":6,\"alpha_pattern\":{\"h.1.attn.c_attn\":2,\"c_attn\":20}}", { 5, 1.5, 0.5, 1.5 } },
    { "{\"r\":99,\"lora_alpha\":6,\"rank_pattern\":{\"(c_attn|c_proj)\":4}}", { 1.5, 1.5, 1.5, 1.5 } },
    { "{\"r\":4,\"alpha_pattern\":{\".*c_attn\":2,\"c_attn\":4}}", { 0.5, 2, 0.5, 2 } },
    { "{\"r\":4,\"alpha_pattern\":{\"[0-9]\\\\.attn\\\\.c_(attn|fc)\":1}}", { 0.25, 2, 0.25, 2 } },
    { "{\"r\":4,\"alpha_pattern\":{\"attn\":1}}", { 2, 2, 2, 2 } },
    { "{\"r\":8,\"use_rslora\":true,\"alpha_pattern\":{\"c_proj\":2},\"rank_pattern\":{\"c_.*\":4}}", { 4, 1, 4, 1 } },
    { "{\"r\":4,\"bias\":\"none\",\"use_dora\":false,\"modules_to_save\":[],\"a key of tomorrow\":1}", { 2, 2, 2, 2 } },
};
/* clang-format on */

START_TEST(scales_are_those_of_peft)
{
    tiny f = tiny_open();
    char *folder = temporary();
    copy_file(TINY, folder, "adapter_model.safetensors");
    put_file(folder, "adapter_config.json", scales[_i].json);
    tn_adapter_open(f.m, folder, &f.e);
    must(&f.e);
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq(f.m->adapters[i].s, scales[_i].s[i]);
    discard(folder);
    tiny_close(&f);
}
/* clang-format off */
END_TEST

/* Everything in a model that opening an adapter could change. Some weights are frozen, some have
   gradients. */
typedef struct kept {
    const tn_params *params;
    int64_t count;
    struct { const tn_param *p; tn_tensor w, *at; } all[64];
} kept;
/* clang-format on */

static kept keep(tiny *f)
{
    kept k = { .params = f->m->params, .count = tn_params_count(f->m->params) };
    for (int64_t i = 0; i < k.count; i++) {
        k.all[i].p = tn_params_at(k.params, i);
        k.all[i].at = k.all[i].p->w;
        k.all[i].w = *k.all[i].at;
    }
    return k;
}

static void half_trained(tiny *f)
{
    tn_tensor *ids = tn_tape_input(f->t, TN_I32, 2, (int64_t[]){ 1, 2 });
    memset(ids->i, 0, 2 * sizeof *ids->i);
    tn_params_freeze(f->m->params, "*.bias");
    ck_assert_int_eq(tn_backward(f->t, tn_sum(f->t, tn_model_logits(f->m, f->t, ids))), 0);
}

static void is_as_it_was(const tiny *f, const kept *k)
{
    tn_target t;
    ck_assert(!f->m->adapters && !f->m->lora && !f->m->adapter_config);
    ck_assert(f->m->params == k->params);
    ck_assert_int_eq(tn_params_count(k->params), k->count);
    ck_assert_int_eq(tn_params_error(k->params)->code, 0);
    for (int64_t i = 0; f->m->family->target(f->m, i, &t); i++)
        ck_assert_ptr_null(t.layer->lora);
    for (int64_t i = 0; i < k->count; i++) {
        ck_assert_ptr_eq(tn_params_at(k->params, i), k->all[i].p);
        ck_assert_ptr_eq(k->all[i].p->w, k->all[i].at);
        ck_assert_mem_eq(k->all[i].at, &k->all[i].w, sizeof k->all[i].w);
    }
}

/* clang-format off */
static const struct { const char *json, *text; int code; } refused[] = {
    { "[]", "expected an object", TN_EFORMAT },
    { "{\"r\":5}", "has 4 rows; expected r of adapter_config.json, 5", TN_ESHAPE },
    { "{\"r\":4,\"use_dora\":true}", "is there without \"base_model.model.transformer.h.0.attn.c_attn.lora_magnitude_vector\"", TN_EFORMAT },
    { "{\"r\":4,\"use_dora\":1}", "/use_dora", TN_EFORMAT },
    { "{\"r\":4,\"use_qalora\":true}", "/use_qalora", TN_EFORMAT },
    { "{\"r\":4,\"use_bdlora\":{\"nblocks\":2}}", "/use_bdlora", TN_EFORMAT },
    { "{\"r\":4,\"layer_replication\":[[0,2]]}", "/layer_replication", TN_EFORMAT },
    { "{\"r\":4,\"megatron_config\":{\"a\":1}}", "/megatron_config", TN_EFORMAT },
    { "{\"r\":4,\"arrow_config\":{\"top_k\":3}}", "/arrow_config", TN_EFORMAT },
    { "{\"r\":4,\"kasa_config\":{\"beta\":1}}", "/kasa_config", TN_EFORMAT },
    { "{\"r\":4,\"monteclora_config\":{\"a\":1}}", "/monteclora_config", TN_EFORMAT },
    { "{\"r\":4,\"velora_config\":{\"a\":1}}", "/velora_config", TN_EFORMAT },
    { "{\"r\":4,\"init_lora_weights\":\"olora\"}", "/init_lora_weights", TN_EFORMAT },
    { "{\"r\":4,\"init_lora_weights\":\"corda\"}", "/init_lora_weights", TN_EFORMAT },
    { "{\"r\":4,\"init_lora_weights\":\"loftq\"}", "/init_lora_weights", TN_EFORMAT },
    { "{\"r\":4,\"init_lora_weights\":\"lora_ga\"}", "/init_lora_weights", TN_EFORMAT },
    { "{\"r\":4,\"lora_bias\":true}", "/lora_bias", TN_EFORMAT },
    { "{\"r\":4,\"bias\":\"all\"}", "/bias", TN_EFORMAT },
    { "{\"r\":4,\"modules_to_save\":[\"lm_head\"]}", "/modules_to_save", TN_EFORMAT },
    { "{\"r\":4,\"alora_invocation_tokens\":[1]}", "/alora_invocation_tokens", TN_EFORMAT },
    { "{\"r\":4,\"trainable_token_indices\":[1]}", "/trainable_token_indices", TN_EFORMAT },
    { "{\"r\":4,\"target_parameters\":[\"a\"]}", "/target_parameters", TN_EFORMAT },
    { "{\"r\":4,\"peft_type\":\"IA3\"}", "/peft_type", TN_EFORMAT },
    { "{\"r\":4,\"init_lora_weights\":\"pissa_niter_16\"}", "/init_lora_weights", TN_EFORMAT },
    { "{\"r\":4,\"alpha_pattern\":{\".*?c_attn\":2}}", "/alpha_pattern/.*?c_attn is a number, expected another key: \"?\" in the "
      "pattern \".*?c_attn\": not supported; expected literals", TN_EFORMAT },
    { "{\"r\":4,\"rank_pattern\":{\"(c_attn\":4}}", "/rank_pattern/(c_attn is a number, expected another key: \"(\"", TN_EFORMAT },
    { "{\"r\":4,\"alpha_pattern\":{\"c_attn\":\"2\"}}", "/alpha_pattern/c_attn is the string", TN_EFORMAT },
    { "{\"r\":4,\"rank_pattern\":{\"c_attn\":4.5}}", "/rank_pattern/c_attn is a number, expected a whole number", TN_EFORMAT },
    { "{\"r\":4,\"rank_pattern\":{\"c_attn\":0}}", "/rank_pattern/c_attn is a number, expected a whole number", TN_EFORMAT },
    { "{\"r\":4,\"rank_pattern\":[4]}", "/rank_pattern is an array, expected an object", TN_EFORMAT },
    { "{\"r\":4,\"rank_pattern\":{\"c_attn\":5}}", "c_attn.lora_A.weight\" has 4 rows; expected r of adapter_config.json, 5", TN_ESHAPE },
    { "{\"r\":99,\"rank_pattern\":{\"c_attn\":4}}", "c_proj.lora_A.weight\" has 4 rows; expected r of adapter_config.json, 99", TN_ESHAPE },
    { "{\"r\":4,\"alpha_pattern\":{\"c_attn\":-1}}", "the scale of transformer.h.0.attn.c_attn is -0.25; expected", TN_EFORMAT },
    { "{\"r\":4,\"lora_alpha\":0}", "expected lora_alpha above 0", TN_EFORMAT },
    { "{\"r\":4,\"lora_alpha\":\"8\"}", "/lora_alpha is the string \"8\", expected a number", TN_EFORMAT },
    { "{\"r\":4,\"lora_dropout\":1}", "/lora_dropout", TN_EFORMAT },
};
/* clang-format on */

START_TEST(other_adapters_are_refused_by_name)
{
    tiny f = tiny_open();
    char *folder = temporary();
    copy_file(TINY, folder, "adapter_model.safetensors");
    put_file(folder, "adapter_config.json", refused[_i].json);
    half_trained(&f);
    const kept before = keep(&f);
    tn_adapter_open(f.m, folder, &f.e);
    must_fail(&f.e, refused[_i].code, refused[_i].text);
    is_as_it_was(&f, &before);
    discard(folder);
    tiny_close(&f);
}
/* clang-format off */
END_TEST

#define ATTN "base_model.model.transformer.h.0.attn.c_attn"
#define A { .name = ATTN ".lora_A.weight", .type = TN_FILE_F32, .ndim = 2, .dim = { 4, 32 }, .real = numbers }
/* clang-format on */
#define B                                                                                          \
    {                                                                                              \
        .name = ATTN ".lora_B.weight", .type = TN_FILE_F32, .ndim = 2, .dim = { 96, 4 },           \
        .real = numbers                                                                            \
    }

static const tn_real numbers[1024], broken[384] = { [200] = (tn_real)INFINITY };

/* clang-format off */
static const struct { tn_entry entries[3]; const char *text; int code; } files[] = {
    { { A, B }, NULL, 0 },
    { { { 0 } }, "no tensor; expected lora_A and lora_B", TN_EFORMAT },
    { { A }, "is there without \"" ATTN ".lora_B.weight\"", TN_EFORMAT },
    { { B }, "is there without \"" ATTN ".lora_A.weight\"", TN_EFORMAT },
    { { A, B, { .name = ATTN ".lora_magnitude_vector", .type = TN_FILE_F32, .ndim = 1, .dim = { 96 }, .real = numbers } },
      "lora_magnitude_vector\" has no place in this model", TN_EFORMAT },
    { { A, B, { .name = "base_model.model.transformer.h.2.attn.c_attn.lora_A.weight", .type = TN_FILE_F32, .ndim = 2,
                .dim = { 4, 32 }, .real = numbers } }, "h.2.attn.c_attn.lora_A.weight\" has no place", TN_EFORMAT },
    { { A, B, { .name = ATTN ".lora_A.default.weight", .type = TN_FILE_F32, .ndim = 2, .dim = { 4, 32 }, .real = numbers } },
      ATTN ".lora_A.default.weight\" is there under another name, too", TN_EFORMAT },
    { { A, { .name = ATTN ".lora_B.default.weight", .type = TN_FILE_F32, .ndim = 2, .dim = { 96, 4 }, .real = numbers } }, NULL, 0 },
    { { A, B, { .name = ATTN ".lora_B.other.weight", .type = TN_FILE_F32, .ndim = 2, .dim = { 96, 4 }, .real = numbers } },
      "lora_B.other.weight\" has no place in this model", TN_EFORMAT },
    { { A, { .name = ATTN ".lora_B.weight", .type = TN_FILE_F32, .ndim = 2, .dim = { 95, 4 }, .real = numbers } },
      "lora_B.weight\" is (95,4); expected (96,4)", TN_ESHAPE },
    { { { .name = ATTN ".lora_A.weight", .type = TN_FILE_F32, .ndim = 2, .dim = { 4, 31 }, .real = numbers }, B },
      "lora_A.weight\" is (4,31); expected (4,32)", TN_ESHAPE },
    { { A, { .name = ATTN ".lora_B.weight", .type = TN_FILE_F32, .ndim = 2, .dim = { 96, 4 }, .real = broken } },
      "lora_B.weight\" holds inf at element 200", TN_ENONFINITE },
};
/* clang-format on */

START_TEST(tensors_must_fit)
{
    tiny f = tiny_open();
    char *folder = temporary(), *path = tn_path_join(folder, "adapter_model.safetensors");
    int64_t n = 0;
    while (n < 3 && files[_i].entries[n].name)
        n++;
    tn_safetensors_write(path, files[_i].entries, n, NULL, &f.e);
    put_file(folder, "adapter_config.json", "{\"r\":4}");
    must(&f.e);
    half_trained(&f);
    const kept before = keep(&f);
    tn_adapter_open(f.m, folder, &f.e);
    if (files[_i].text) {
        must_fail(&f.e, files[_i].code, files[_i].text);
        is_as_it_was(&f, &before);
    }
    must(&f.e);
    free(path);
    discard(folder);
    tiny_close(&f);
}
END_TEST

START_TEST(folders_must_be_complete)
{
    tiny f = tiny_open();
    char *folder = temporary();
    tn_adapter_open(f.m, folder, &f.e);
    must_fail(&f.e, TN_EIO, "adapter_config.json");
    put_file(folder, "adapter_config.json", "{\"r\":4}");
    tn_adapter_open(f.m, folder, &f.e);
    must_fail(&f.e, TN_EIO, "adapter_model.safetensors");
    put_file(folder, "adapter_model.bin", "pickle");
    tn_adapter_open(f.m, folder, &f.e);
    must_fail(&f.e, TN_EFORMAT, "pickle");
    discard(folder);
    tiny_close(&f);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, scales_are_those_of_peft, 0, sizeof scales / sizeof *scales);
    tcase_add_loop_test(c, other_adapters_are_refused_by_name, 0, sizeof refused / sizeof *refused);
    tcase_add_loop_test(c, tensors_must_fit, 0, sizeof files / sizeof *files);
    tcase_add_test(c, folders_must_be_complete);
}
