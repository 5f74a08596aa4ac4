/* test_config.c - what config.json must contain, and what follows from it. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL                                                                                      \
    "\"model_type\":\"gpt2\",\"n_embd\":8,\"n_head\":2,\"n_layer\":1,\"n_positions\":4,\"vocab_size\":5"

/* Configs that are accepted (text NULL) or refused. */
/* clang-format off */
static const struct { const char *config, *text; } configs[] = {
    { "{" SMALL "}", NULL },
    { "{" SMALL ",\"activation_function\":null,\"n_inner\":null}", NULL },
    { "{" SMALL ",\"scale_attn_weights\":true,\"a key of tomorrow\":{\"x\":[1]},\"eos_token_id\":null}", NULL },
    { "{" SMALL ",\"eos_token_id\":50256,\"attn_pdrop\":0.5,\"n_ctx\":7,\"torch_dtype\":\"float16\"}", NULL },
    { "{" SMALL ",\"activation_function\":\"gelu_pytorch_tanh\"}", NULL },
    { "{" SMALL ",\"activation_function\":\"gelu\"}", NULL },
    { "{" SMALL ",\"activation_function\":\"relu\"}", NULL },
    { "{" SMALL ",\"activation_function\":\"silu\"}", NULL },
    { "{" SMALL ",\"activation_function\":\"mish\"}",
      "/activation_function is the string \"mish\", expected one of gelu_new gelu_pytorch_tanh gelu " },
    { "{" SMALL ",\"activation_function\":[\"gelu\"]}", "/activation_function is an array, expected a string" },
    { "{" SMALL ",\"hidden_size\":8,\"num_attention_heads\":2,\"num_hidden_layers\":1,"
      "\"max_position_embeddings\":4,\"intermediate_size\":null}", NULL },
    { "{" SMALL ",\"hidden_size\":16}", "/hidden_size is a number, expected what n_embd says, the other name of "
      "the same: 8, not 16" },
    { "{" SMALL ",\"num_attention_heads\":4}", "/num_attention_heads is a number, expected what n_head says" },
    { "{" SMALL ",\"num_hidden_layers\":2}", "/num_hidden_layers is a number, expected what n_layer says" },
    { "{" SMALL ",\"max_position_embeddings\":\"4\"}", "/max_position_embeddings is the string \"4\", expected what" },
    { "{" SMALL ",\"n_inner\":24,\"intermediate_size\":16}", "/intermediate_size is a number, expected what n_inner" },
    { "{" SMALL ",\"intermediate_size\":0}", "/intermediate_size is a number, expected an integer from 1" },
    { "[]", "expected an object" },
    { "{}", "a model_type in it" },
    { "{\"model_type\":\"bert\"}", "/model_type is the string \"bert\", expected one of \"gpt2\"" },
    { "{\"model_type\":7}", "/model_type is a number" },
    { "{" SMALL ",\"scale_attn_weights\":false}", "/scale_attn_weights is a boolean, expected true, not false" },
    { "{" SMALL ",\"scale_attn_by_inverse_layer_idx\":true}", "/scale_attn_by_inverse_layer_idx" },
    { "{" SMALL ",\"add_cross_attention\":true}", "/add_cross_attention" },
    { "{" SMALL ",\"quantization_config\":{\"bits\":4}}", "/quantization_config" },
    { "{" SMALL ",\"layer_norm_epsilon\":0}", "/layer_norm_epsilon is a number, expected more than 0" },
    { "{" SMALL ",\"eos_token_id\":-2}", "/eos_token_id" },
    { "{" SMALL ",\"eos_token_id\":\"x\"}", "/eos_token_id" },
    { "{" SMALL ",\"n_inner\":0}", "/n_inner is a number, expected an integer from 1 to 1048576, not 0" },
    { "{" SMALL ",\"n_inner\":2.5}", "/n_inner is a number, expected an integer" },
    { "{" SMALL ",\"tie_word_embeddings\":\"yes\"}", "/tie_word_embeddings is the string \"yes\", expected true or false" },
    { "{\"model_type\":\"gpt2\",\"n_embd\":8,\"n_head\":3}", "expected an n_embd that is a multiple of n_head" },
    { "{\"model_type\":\"gpt2\",\"n_head\":0}", "/n_head is a number, expected an integer from 1" },
    { "{\"model_type\":\"gpt2\",\"n_embd\":99999999}", "/n_embd" },
    { "{\"model_type\":\"gpt2\",\"n_layer\":-1}", "/n_layer" },
    { "{" SMALL ",\"n_embd\":8}", "config.json" },
    { "{" SMALL, "config.json" },
};
/* clang-format on */

START_TEST(configs_are_read_strictly)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary();
    put_file(folder, "config.json", configs[_i].config);
    tn_model *m = tn_model_open(c, folder, &e);
    if (configs[_i].text)
        must_fail(&e, TN_EFORMAT, configs[_i].text);
    must(&e);
    ck_assert((m != NULL) == (configs[_i].text == NULL));
    ck_assert(!m || m->end == -1);
    tn_model_free(m);
    discard(folder);
    tn_context_free(c);
}
END_TEST

/* The tanh form of gelu has two names. It is saved by the name that GPT-2 uses. */
START_TEST(the_other_name_of_gelu_is_the_same_function)
{
    static const char *const texts[] = { "{" SMALL ",\"activation_function\":\"gelu_new\"}",
                                         "{" SMALL
                                         ",\"activation_function\":\"gelu_pytorch_tanh\"}" };
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    tn_tape *t = tn_tape_new(c);
    char *folder = temporary(), *path = tn_path_join(folder, "config.json");
    tn_model *m[2];
    tn_tensor *ids = tn_tape_input(t, TN_I32, 2, (int64_t[]){ 1, 3 }), *logits[2]; // (1,3), (1,3,5)
    memcpy(ids->i, (int32_t[]){ 1, 4, 2 }, 3 * sizeof *ids->i);
    for (int i = 0; i < 2; i++) {
        put_file(folder, "config.json", texts[i]);
        m[i] = tn_model_open(c, folder, &e);
        must(&e);
        logits[i] = tn_model_logits(m[i], t, ids);
    }
    ck_assert_mem_eq(logits[0]->x, logits[1]->x, 15 * sizeof *logits[0]->x);
    tn_model_save(m[1], folder, TN_FILE_F32, &e);
    const tn_json *config = tn_json_read(path, &e);
    must(&e);
    ck_assert_str_eq(tn_json_find(config, "activation_function")->text, "gelu_new");
    tn_json_free(config);
    free(path);
    tn_model_free(m[0]);
    tn_model_free(m[1]);
    tn_tape_free(t);
    discard(folder);
    tn_context_free(c);
}
/* clang-format off */
END_TEST

/* The tokens that end a text: those of config.json, then those of generation_config.json. NULL: the
   file or the key is absent. */
static const struct { const char *config, *generation; int32_t ends[4]; int64_t count; const char *text; } ends[] = {
    { "3", NULL, { 3 }, 1, NULL },
    { "[3,1,3]", NULL, { 3, 1 }, 2, NULL },
    { "null", NULL, { 0 }, 0, NULL },
    { "[]", "{}", { 0 }, 0, NULL },
    { "3", "{\"eos_token_id\":2}", { 3, 2 }, 2, NULL },
    { "3", "{\"eos_token_id\":[2,3,4]}", { 3, 2, 4 }, 3, NULL },
    { "null", "{\"eos_token_id\":[4,2],\"temperature\":0.7}", { 4, 2 }, 2, NULL },
    { "[99,2]", "{\"eos_token_id\":[5,1]}", { 2, 1 }, 2, NULL }, /* there are ids 0 to 4 */
    { "3", "{\"eos_token_id\":null}", { 3 }, 1, NULL },
    { "[3,-1]", NULL, { 0 }, 0, "config.json: /eos_token_id/1 is a number, expected a token id" },
    { "[3,[1]]", NULL, { 0 }, 0, "config.json: /eos_token_id/1 is an array" },
    { "[null]", NULL, { 0 }, 0, "config.json: /eos_token_id/0 is null" },
    { "1.5", NULL, { 0 }, 0, "config.json: /eos_token_id is a number" },
    { "3", "{\"eos_token_id\":\"2\"}", { 0 }, 0, "generation_config.json: /eos_token_id is the string" },
    { "3", "[2]", { 0 }, 0, "generation_config.json: the top value is an array, expected an object" },
    { "3", "{", { 0 }, 0, "generation_config.json" },
};
/* clang-format on */

START_TEST(texts_end_as_both_configs_say)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary(), *copy = temporary(), config[256];
    snprintf(config, sizeof config, "{" SMALL ",\"eos_token_id\":%s}", ends[_i].config);
    put_file(folder, "config.json", config);
    if (ends[_i].generation)
        put_file(folder, "generation_config.json", ends[_i].generation);
    tn_model *m = tn_model_open(c, folder, &e);
    if (ends[_i].text)
        must_fail(&e, TN_EFORMAT, ends[_i].text);
    for (int saved = 0; m && saved < 2; saved++) {
        ck_assert_int_eq(m->end_count, ends[_i].count);
        ck_assert_int_eq(m->end, ends[_i].count ? ends[_i].ends[0] : -1);
        ck_assert(!m->end_count ||
                  !memcmp(m->ends, ends[_i].ends, (size_t)m->end_count * sizeof *m->ends));
        tn_model_save(m, copy, TN_FILE_F32, &e);
        tn_model_free(m);
        m = tn_model_open(c, copy, &e);
        must(&e);
    }
    must(&e);
    ck_assert((m != NULL) == (ends[_i].text == NULL));
    tn_model_free(m);
    discard(folder);
    discard(copy);
    tn_context_free(c);
}
END_TEST

/* A config that needs more weights than the files have is refused before memory is taken for
   them. */
START_TEST(sizes_are_checked_against_the_files)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary();
    copy_file(GOLDEN "tiny_models/gpt2", folder, "model.safetensors");
    put_file(folder, "config.json",
             "{\"model_type\":\"gpt2\",\"n_embd\":65536,\"n_head\":16,\"n_layer\":4000}");
    ck_assert_ptr_null(tn_model_open(c, folder, &e));
    must_fail(&e, TN_EFORMAT, "they are 28544");
    e = (tn_error){ 0 };
    char path[600];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    ck_assert_int_eq(tn_safetensors_write(path, NULL, 0, NULL, &e), 0);
    put_file(folder, "config.json",
             "{\"model_type\":\"gpt2\",\"n_embd\":32,\"n_head\":2,\"n_layer\":2}");
    ck_assert_ptr_null(tn_model_open(c, folder, &e));
    must_fail(&e, TN_EFORMAT, "no number in its weight files");
    discard(folder);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, configs_are_read_strictly, 0, sizeof configs / sizeof *configs);
    tcase_add_test(c, the_other_name_of_gelu_is_the_same_function);
    tcase_add_loop_test(c, texts_end_as_both_configs_say, 0, sizeof ends / sizeof *ends);
    tcase_add_test(c, sizes_are_checked_against_the_files);
}
