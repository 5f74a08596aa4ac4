/* test_adapter_save.c - a saved adapter computes the same function, and has the form of PEFT. */
#include "nn/family.h"
#include "tests/support/fixtures.h"
#include "tests/support/small_model.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { T = 12, V = 64 };

static const double TOLERANCE = sizeof(tn_real) == sizeof(double) ? 1e-12 : 1e-5;

static void logits(tiny *f, double out[T * V])
{
    tn_tensor *ids = tn_tape_input(f->t, TN_I32, 2, (int64_t[]){ 1, T });
    for (int i = 0; i < T; i++)
        ids->i[i] = (11 * i + 5) % V;
    tn_tensor *z = tn_model_logits(f->m, f->t, ids);
    ck_assert_msg(z != NULL, "%s", tn_tape_error(f->t));
    for (int i = 0; i < T * V; i++)
        out[i] = (double)z->x[i];
    tn_tape_reset(f->t);
}

static double apart(const double *a, const double *b)
{
    double most = 0;
    for (int i = 0; i < T * V; i++)
        most = fmax(most, fabs(a[i] - b[i]));
    return most;
}

/* Adds adapters whose B is not zero. Their numbers are exact in every file type. */
static void adapt(tiny *f, const char *targets, int64_t rank, double alpha)
{
    tn_lora_add(f->m, &(tn_lora_options){ .rank = rank, .alpha = alpha, .targets = targets },
                &f->e);
    must(&f->e);
    for (int64_t i = 0; i < tn_params_count(f->m->params); i++) {
        const tn_param *p = tn_params_at(f->m->params, i);
        for (int64_t k = 0; p->lora_scale != 0 && k < tn_tensor_count(p->w); k++)
            p->w->x[k] = (tn_real)((double)((7 * k + i) % 17 - 8) / 64);
    }
}

/* clang-format off */
static const struct {
    const char *targets;
    int64_t rank;
    double alpha;
    const char *config[5]; /* what adapter_config.json must say */
} trips[] = {
    { "c_attn", 4, 8, { "\"target_modules\": [\"c_attn\"]", "\"r\": 4,", "\"lora_alpha\": 8,",
                        "\"fan_in_fan_out\": true", "\"rank_pattern\": {}," } },
    { "all-linear", 2, 3, { "[\"c_attn\",\"c_proj\",\"c_fc\"]", "\"r\": 2,", "\"lora_alpha\": 3," } },
    { "c_attn,mlp.c_proj", 3, 8, { "[\"c_attn\",\"mlp.c_proj\"]", "\"r\": 3,", "\"lora_alpha\": 8," } },
    { "transformer.h.1.mlp.c_fc", 3, 8, { "[\"1.mlp.c_fc\"]" } },
    { "c_attn.q,c_attn.v", 4, 8, { "[\"c_attn\"]", "\"r\": 8,", "\"lora_alpha\": 16,", "\"rank_pattern\": {}," } },
    { "c_attn.q,c_attn.k,c_attn.v", 3, 7, { "\"r\": 9,", "\"lora_alpha\": 21," } },
    { "c_attn.v,c_fc", 4, 8, { "\"r\": 4,", "\"rank_pattern\": {}," } },
    { "c_attn.q,c_attn.v,c_fc", 4, 8, { "\"r\": 8,", "\"transformer.h.1.mlp.c_fc\": 4",
                                        "\"transformer.h.0.mlp.c_fc\": 8", "[\"c_attn\",\"c_fc\"]" } },
};
/* clang-format on */

static void check_config(const char *folder, const char *const parts[])
{
    tn_error e = { 0 };
    size_t n;
    char *path = tn_path_join(folder, "adapter_config.json"),
         *text = tn_file_read(path, 1 << 20, &n, &e);
    must(&e);
    for (int i = 0; i < 5 && parts[i]; i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "%s\nlacks %s", text, parts[i]);
    free(text);
    free(path);
}

/* An adapter that is saved and opened computes the same function, also for some columns of a
   layer. */
START_TEST(round_trips_keep_the_function)
{
    double base[T * V], before[T * V], after[T * V];
    tiny f = tiny_open(), g = tiny_open();
    char *folder = temporary();
    logits(&f, base);
    adapt(&f, trips[_i].targets, trips[_i].rank, trips[_i].alpha);
    logits(&f, before);
    ck_assert_double_gt(apart(base, before), 0.01);
    tn_adapter_save(f.m, folder, TN_FILE_BF16, &f.e);
    must(&f.e);
    check_config(folder, trips[_i].config);
    tn_adapter_open(g.m, folder, &g.e);
    must(&g.e);
    logits(&g, after);
    ck_assert_double_lt(apart(before, after), TOLERANCE);
    discard(folder);
    tiny_close(&f);
    tiny_close(&g);
}
END_TEST

/* An adapter of PEFT that is opened and saved has the same tensors. */
START_TEST(what_peft_wrote_is_written_again)
{
    tiny f = tiny_open();
    char *folder = temporary(), *path = tn_path_join(folder, "adapter_model.safetensors");
    tn_adapter_open(f.m, TINY, &f.e);
    must(&f.e);
    ck_assert_str_eq(f.m->lora->targets, "c_attn,mlp.c_proj");
    ck_assert(f.m->lora->rank == 4 && f.m->lora->alpha == 8);
    tn_adapter_save(f.m, folder, TN_FILE_F32, &f.e);
    tn_safetensors *a = tn_safetensors_open(TINY "/adapter_model.safetensors", &f.e);
    tn_safetensors *b = tn_safetensors_open(path, &f.e);
    must(&f.e);
    ck_assert_int_eq(tn_safetensors_count(a), tn_safetensors_count(b));
    for (int64_t i = 0; i < tn_safetensors_count(a); i++) {
        const tn_entry *x = tn_safetensors_at(a, i), *y = tn_safetensors_find(b, x->name);
        ck_assert(y && x->size == y->size && !memcmp(x->bytes, y->bytes, x->size));
    }
    tn_safetensors_close(a);
    tn_safetensors_close(b);
    free(path);
    discard(folder);
    tiny_close(&f);
}
END_TEST

/* clang-format off */
/* Members of an adapter_config.json that is opened, and what PEFT 0.21.2 has of them after it has
   read and saved it. NULL: not there. Only paths, which are of another machine, become ours. */
static const struct { const char *members, *key, *saved; } members[] = {
    { "\"base_model_name_or_path\": \"openai-community/gpt2\", \"revision\": \"v1.0\"", "base_model_name_or_path", "\"openai-community/gpt2\"" },
    { "\"base_model_name_or_path\": \"gpt2\", \"revision\": \"v1.0\"", "revision", "\"v1.0\"" },
    { "\"base_model_name_or_path\": \"/home/a/gpt2\", \"revision\": \"v1.0\"", "base_model_name_or_path", "\"" TINY "\"" },
    { "\"base_model_name_or_path\": \"/home/a/gpt2\", \"revision\": \"v1.0\"", "revision", "\"v1.0\"" },
    { "\"revision\": \"main\"", "revision", "\"main\"" },
    { "\"megatron_core\": \"other.core\"", "megatron_core", "\"other.core\"" },
    { "\"loftq_config\": {\"loftq_bits\": 4}", "loftq_config", "{\n    \"loftq_bits\": 4\n  }" },
    { "\"base_model_name_or_path\": \"../gpt2\"", "base_model_name_or_path", "\"" TINY "\"" },
    { "\"base_model_name_or_path\": \"models/new/gpt2\"", "base_model_name_or_path", "\"" TINY "\"" },
    { "\"base_model_name_or_path\": \"C:\\\\gpt2\"", "base_model_name_or_path", "\"" TINY "\"" },
    { "\"base_model_name_or_path\": null", "base_model_name_or_path", "\"" TINY "\"" },
    { "\"auto_mapping\": {\"base_model_class\": \"GPT2LMHeadModel\"}", "auto_mapping", "{\n    \"base_model_class\": \"GPT2LMHeadModel\"\n  }" },
    { "\"task_type\": \"FEATURE_EXTRACTION\"", "task_type", "\"FEATURE_EXTRACTION\"" },
    { "\"task_type\": null", "task_type", "\"CAUSAL_LM\"" },
    { "\"init_lora_weights\": \"eva\", \"eva_config\": {\"rho\": 2.0}", "init_lora_weights", "\"eva\"" },
    { "\"init_lora_weights\": \"eva\", \"eva_config\": {\"rho\": 2.0}", "eva_config", "{\n    \"rho\": 2.0\n  }" },
    { "\"init_lora_weights\": false", "init_lora_weights", "false" },
    { "\"init_lora_weights\": \"gaussian\"", "init_lora_weights", "\"gaussian\"" },
    { "\"exclude_modules\": [\"lm_head\"]", "exclude_modules", "[\n    \"lm_head\"\n  ]" },
    { "\"qalora_group_size\": 16", "qalora_group_size", "16" },
    { "\"ensure_weight_tying\": false", "ensure_weight_tying", "false" },
    { "\"a key of tomorrow\": {\"x\": [1]}", "a key of tomorrow", "{\n    \"x\": [\n      1\n    ]\n  }" },
    { "\"peft_version\": \"0.21.2\"", "peft_version", NULL },
    { "\"lora_dropout\": 0.25", "lora_dropout", "0.25" },
};
/* clang-format on */

START_TEST(what_else_a_config_says_stays)
{
    tiny f = tiny_open();
    char config[1024], *from = temporary(), *to = temporary();
    char *path = tn_path_join(to, "adapter_config.json");
    tn_text value = { 0 };
    snprintf(config, sizeof config,
             "{\"r\": 4, \"lora_alpha\": 8, \"target_modules\": [\"c_attn\", \"mlp.c_proj\"], %s}",
             members[_i].members);
    put_file(from, "adapter_config.json", config);
    copy_file(TINY, from, "adapter_model.safetensors");
    tn_adapter_open(f.m, from, &f.e);
    remove_all(from); /* what was read is kept */
    tn_adapter_save(f.m, to, TN_FILE_F32, &f.e);
    must(&f.e);
    const tn_json *saved = tn_json_read(path, &f.e), *v = tn_json_find(saved, members[_i].key);
    must(&f.e);
    tn_text_json(&value, v, 1);
    ck_assert_int_eq(v != NULL, members[_i].saved != NULL);
    if (v)
        ck_assert_str_eq(tn_text_done(&value, path, &f.e), members[_i].saved);
    tn_lora_merge(f.m, &f.e); /* nothing of it stays for another adapter */
    adapt(&f, "c_attn", 2, 4);
    tn_adapter_save(f.m, to, TN_FILE_F32, &f.e);
    must(&f.e);
    tn_json_free(saved);
    saved = tn_json_read(path, &f.e);
    ck_assert(tn_json_find(saved, "peft_type") && !tn_json_find(saved, "a key of tomorrow"));
    tn_json_free(saved);
    tn_text_free(&value);
    free(path);
    free(from);
    discard(to);
    tiny_close(&f);
}
END_TEST

START_TEST(a_save_that_fails_says_so)
{
    tiny f = tiny_open();
    char *folder = temporary(), *config = tn_path_join(folder, "adapter_config.json"),
         *weights = tn_path_join(folder, "adapter_model.safetensors");
    tn_adapter_save(f.m, folder, TN_FILE_F32, &f.e);
    must_fail(&f.e, TN_ESTATE, "the model has no adapters to save");
    adapt(&f, "c_attn.q,c_attn.v", 2, 4);
    tn_adapter_save(f.m, "/nowhere/at/all", TN_FILE_F32, &f.e);
    must_fail(&f.e, TN_EIO, "/nowhere/at/all");
    tn_real *b = f.m->adapters[1].b->x + 5;
    *b = 70000;
    tn_adapter_save(f.m, folder, TN_FILE_F16, &f.e);
    must_fail(&f.e, TN_ENONFINITE, "c_attn.lora_B.weight holds 70000 at element ");
    *b = (tn_real)NAN;
    tn_adapter_save(f.m, folder, TN_FILE_F32, &f.e);
    must_fail(&f.e, TN_ENONFINITE, "c_attn.lora_B.weight holds nan at element ");
    ck_assert(access(config, F_OK) && access(weights, F_OK)); /* nothing is half written */
    *b = 70000;
    tn_adapter_save(f.m, folder, TN_FILE_BF16, &f.e);
    must(&f.e);
    free(weights);
    free(config);
    discard(folder);
    tiny_close(&f);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, round_trips_keep_the_function, 0, sizeof trips / sizeof *trips);
    tcase_add_test(c, what_peft_wrote_is_written_again);
    tcase_add_loop_test(c, what_else_a_config_says_stays, 0, sizeof members / sizeof *members);
    tcase_add_test(c, a_save_that_fails_says_so);
}
