/* test_llama_config.c - configs of Llama and its relatives: spellings, windows, angles, refusals. */
#include "nn/families/llama.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Members of a small model; blocks, head size and key/value heads as text. */
#define SIZED(blocks, size, groups)                                                                \
    "\"hidden_size\":8,\"num_hidden_layers\":" blocks ",\"num_attention_heads\":4,"                \
    "\"head_dim\":" size ",\"num_key_value_heads\":" groups ",\"intermediate_size\":6,"            \
    "\"vocab_size\":9,\"max_position_embeddings\":16"
#define SIZES SIZED("7", "4", "2")
#define THETA SIZES ",\"rope_theta\":10000"

typedef struct opened {
    tn_context *c;
    tn_model *m;
    tn_error e;
} opened;

static void open_config(opened *o, const char *type, const char *members)
{
    char text[2048];
    snprintf(text, sizeof text, "{\"model_type\":\"%s\",%s}", type, members);
    *o = (opened){ .c = tn_context_new(&(tn_options){ .threads = 1 }) };
    const tn_json *config = tn_json_parse(text, strlen(text), "config.json", 0, &o->e);
    must(&o->e);
    o->m = tn_model_new(o->c, config, 0, -1, &o->e);
    tn_json_free(config);
}

static void close_config(opened *o)
{
    tn_model_free(o->m);
    tn_context_free(o->c);
}

/* clang-format off */
static const struct { const char *type, *members, *text; } refused[] = {
    { "llama", THETA ",\"hidden_act\":\"gelu_fast\"", "/hidden_act is the string \"gelu_fast\", expected one of silu swish gelu_pytorch_tanh gelu_new gelu relu" },
    { "llama", SIZES, "expected rope_theta, or rope_parameters with it" },
    { "llama", SIZES ",\"rope_theta\":-1", "expected a number above 0" },
    { "llama", SIZES ",\"rope_parameters\":{\"rope_type\":\"default\"}", "expected rope_theta, or rope_parameters with it" },
    { "llama", THETA ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}", "/rope_scaling/type is the string \"dynamic\", expected default, linear or llama3" },
    { "llama", THETA ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":2}", "/rope_scaling/rope_type is the string \"yarn\"" },
    { "llama", SIZES ",\"rope_parameters\":{\"rope_type\":\"longrope\",\"rope_theta\":5}", "/rope_parameters/rope_type" },
    { "llama", THETA ",\"rope_scaling\":{\"rope_type\":\"linear\"}", "expected a factor in it" },
    { "llama", THETA ",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":0}", "expected a number above 0" },
    { "llama", THETA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4,\"original_max_position_embeddings\":8}", "a greater high_freq_factor" },
    { "llama", THETA ",\"rope_scaling\":\"linear\"", "/rope_scaling" },
    { "llama", THETA ",\"partial_rotary_factor\":0.5", "expected 1: a head turns as a whole" },
    { "llama", THETA ",\"rms_norm_eps\":0", "/rms_norm_eps" },
    { "llama", SIZED("7", "4", "3"), "multiple of num_key_value_heads" },
    { "llama", SIZED("7", "5", "2"), "a head_dim that is even" },
    { "llama", "\"hidden_size\":4,\"rope_theta\":1", "expected a head_dim from 1 to 4096, not 0" },
    { "llama", SIZED("0", "4", "2"), "/num_hidden_layers" },
    { "llama", THETA ",\"quantization_config\":{\"bits\":4}", "packed weights are not read" },
    { "gemma2", THETA ",\"hidden_activation\":\"quick_gelu\"", "/hidden_activation" },
    { "gemma2", THETA ",\"final_logit_softcapping\":-3", "/final_logit_softcapping" },
    { "gemma3_text", THETA ",\"use_bidirectional_attention\":true", "/use_bidirectional_attention" },
    { "qwen2", THETA ",\"layer_types\":[\"full_attention\"]", "expected an array of 7 strings" },
    { "qwen2", THETA ",\"layer_types\":[\"full_attention\",\"chunked_attention\",\"\",\"\",\"\",\"\",\"\"]", "/layer_types/1 is the string \"chunked_attention\", expected full_attention or sliding_attention" },
    { "qwen2", THETA ",\"layer_types\":[\"full_attention\",\"sliding_attention\",\"\",\"\",\"\",\"\",\"\"]", "as there is no sliding_window" },
    { "qwen2", THETA ",\"use_mrope\":true", "/use_mrope" },
    { "phi3", THETA ",\"partial_rotary_factor\":0.75", "/partial_rotary_factor" },
    { "phi3", SIZES ",\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":5,\"partial_rotary_factor\":0.75}", "/rope_parameters/partial_rotary_factor" },
    { "phi3", THETA ",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1],\"long_factor\":[2]}", "/rope_scaling/type is the string \"longrope\"" },
    { "smollm3", THETA ",\"no_rope_layers\":[1,1]", "/no_rope_layers" },
    { "smollm3", THETA ",\"no_rope_layers\":[1,1,1,0,1,1,2]", "/no_rope_layers/6 is a number, expected 0 or 1" },
    { "smollm3", THETA ",\"no_rope_layers\":7", "/no_rope_layers" },
    { "smollm3", THETA ",\"no_rope_layer_interval\":0", "/no_rope_layer_interval" },
    { "smollm3", THETA ",\"use_sliding_window\":true,\"sliding_window\":3", "/use_sliding_window" },
    { "phi", THETA, "expected one of \"gpt2\" \"llama\" \"mistral\" \"phi3\" \"smollm3\" \"qwen2\" \"qwen3\" \"gemma\" \"gemma2\" \"gemma3_text\"" },
};
/* clang-format on */

START_TEST(what_is_not_computed_is_refused)
{
    opened o;
    open_config(&o, refused[_i].type, refused[_i].members);
    ck_assert_ptr_null(o.m);
    ck_assert_msg(strstr(o.e.text, refused[_i].text) != NULL, "%s", o.e.text);
    close_config(&o);
}
END_TEST

/* clang-format off */
/* Which blocks have a window. */
static const struct { const char *type, *members, *local; } windows[] = {
    { "llama", ",\"sliding_window\":3", "-------" },
    { "mistral", ",\"sliding_window\":3", "lllllll" },
    { "mistral", "", "lllllll" },
    { "mistral", ",\"sliding_window\":null", "-------" },
    { "phi3", "", "-------" },
    { "phi3", ",\"sliding_window\":3", "lllllll" },
    { "phi3", ",\"sliding_window\":null", "-------" },
    { "qwen2", ",\"sliding_window\":3,\"max_window_layers\":2", "-------" },
    { "qwen2", ",\"sliding_window\":3,\"max_window_layers\":2,\"use_sliding_window\":true", "--lllll" },
    { "qwen3", ",\"sliding_window\":null,\"use_sliding_window\":true", "-------" },
    { "gemma", ",\"sliding_window\":3", "-------" },
    { "gemma2", ",\"sliding_window\":3", "l-l-l-l" },
    { "gemma3_text", ",\"sliding_window\":3", "lllll-l" },
    { "gemma3_text", ",\"sliding_window\":3,\"sliding_window_pattern\":3", "ll-ll-l" },
    { "gemma3_text", ",\"sliding_window\":3,\"layer_types\":[\"full_attention\",\"sliding_attention\",\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\"]", "-l-----" },
};
/* clang-format on */

/* Which blocks rope turns, by the rule of Transformers' configuration_smollm3.py. */
static const struct {
    const char *type, *members, *turned;
} turns[] = {
    { "llama", ",\"no_rope_layers\":[0,0,0,0,0,0,0]", "rrrrrrr" },
    { "smollm3", "", "rrr-rrr" },
    { "smollm3", ",\"no_rope_layers\":null,\"no_rope_layer_interval\":2", "r-r-r-r" },
    { "smollm3", ",\"no_rope_layers\":[0,1,1,1,1,1,0],\"no_rope_layer_interval\":2", "-rrrrr-" },
};

START_TEST(rope_leaves_blocks_out)
{
    opened o;
    char members[1024], turned[8] = "";
    snprintf(members, sizeof members, THETA "%s", turns[_i].members);
    open_config(&o, turns[_i].type, members);
    must(&o.e);
    const tn_llama *g = o.m->impl;
    for (int i = 0; i < 7; i++)
        turned[i] = g->blocks[i].unturned ? '-' : 'r';
    ck_assert_str_eq(turned, turns[_i].turned);
    close_config(&o);
}
END_TEST

START_TEST(blocks_have_their_windows)
{
    opened o;
    char members[1024], local[8] = "";
    snprintf(members, sizeof members, THETA "%s", windows[_i].members);
    open_config(&o, windows[_i].type, members);
    must(&o.e);
    const tn_llama *g = o.m->impl;
    for (int i = 0; i < 7; i++)
        local[i] = g->blocks[i].local ? 'l' : '-';
    ck_assert_str_eq(local, windows[_i].local);
    ck_assert_int_eq(g->window > 0, strchr(local, 'l') != NULL);
    close_config(&o);
}
END_TEST

/* clang-format off */
/* Two spellings of the same model. */
static const struct { const char *type, *a, *b; } spellings[] = {
    { "llama", ",\"rope_theta\":500", ",\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500}" },
    { "llama", ",\"rope_theta\":500,\"rope_scaling\":{\"type\":\"linear\",\"factor\":3}", ",\"rope_parameters\":{\"rope_type\":\"linear\",\"rope_theta\":500,\"factor\":3}" },
    { "gemma", ",\"rope_theta\":500,\"hidden_act\":\"gelu\"", ",\"rope_theta\":500,\"hidden_activation\":\"gelu_pytorch_tanh\"" },
    { "gemma2", ",\"rope_theta\":500", ",\"rope_theta\":500,\"attn_logit_softcapping\":50.0,\"final_logit_softcapping\":30.0,\"query_pre_attn_scalar\":256" },
    { "gemma3_text", ",\"rope_theta\":500,\"rope_local_base_freq\":70,\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8}",
      ",\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"linear\",\"rope_theta\":500,\"factor\":8},\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":70}}" },
};
/* clang-format on */

START_TEST(both_spellings_are_the_same_model)
{
    opened a, b;
    char members[1024];
    snprintf(members, sizeof members, SIZES "%s", spellings[_i].a);
    open_config(&a, spellings[_i].type, members);
    snprintf(members, sizeof members, SIZES "%s", spellings[_i].b);
    open_config(&b, spellings[_i].type, members);
    must(&a.e);
    must(&b.e);
    ck_assert_uint_eq(tn_params_base(a.m->params).config, tn_params_base(b.m->params).config);
    close_config(&a);
    close_config(&b);
}
END_TEST

static tn_tensor *logits(const opened *o, tn_tape *t)
{
    tn_tensor *ids = tn_tape_input(t, TN_I32, 2, (int64_t[]){ 1, 7 });
    for (int i = 0; i < 7; i++)
        ids->i[i] = i;
    return tn_model_logits(o->m, t, ids);
}

/* Scores are scaled by query_pre_attn_scalar^-1/2 and not by head_dim^-1/2. With 64 for 4, a factor
   of 1/4 in the weights of q does the same. */
START_TEST(queries_have_their_own_scale)
{
    opened a, b;
    open_config(&a, "gemma2", THETA ",\"query_pre_attn_scalar\":64");
    open_config(&b, "gemma2", THETA ",\"query_pre_attn_scalar\":4");
    must(&a.e);
    must(&b.e);
    tn_tape *t = tn_tape_new(b.c), *u = tn_tape_new(a.c);
    tn_tensor *plain = logits(&b, t), *y = logits(&a, u);
    const size_t bytes = (size_t)tn_tensor_count(y) * sizeof *y->x;
    ck_assert(memcmp(plain->x, y->x, bytes) != 0);
    for (int64_t i = 0; i < tn_params_count(b.m->params); i++) {
        const tn_param *p = tn_params_at(b.m->params, i);
        for (int64_t k = 0; strstr(p->name, "q_proj") && k < tn_tensor_count(p->w); k++)
            p->w->x[k] /= 4;
    }
    ck_assert_mem_eq(logits(&b, t)->x, y->x, bytes);
    tn_tape_free(t);
    tn_tape_free(u);
    close_config(&a);
    close_config(&b);
}
END_TEST

/* The frequencies of Llama 3.2 1B in Transformers. Row 1 of the table has the sine of each. */
START_TEST(angles_of_llama_3_2)
{
    static const struct {
        int i;
        double f;
    } golden[] = { { 14, 3.211445995e-03 },
                   { 15, 1.290547928e-03 },
                   { 16, 4.295567966e-04 },
                   { 17, 9.708287803e-05 } };
    opened o;
    open_config(&o, "llama",
                "\"hidden_size\":8,\"num_hidden_layers\":1,\"num_attention_heads\":1,"
                "\"head_dim\":64,\"intermediate_size\":6,\"vocab_size\":9,"
                "\"max_position_embeddings\":16,\"rope_theta\":500000,\"rope_scaling\":{"
                "\"rope_type\":\"llama3\",\"factor\":32,\"low_freq_factor\":1,"
                "\"high_freq_factor\":4,\"original_max_position_embeddings\":8192}");
    must(&o.e);
    tn_tape *t = tn_tape_new(o.c);
    tn_tensor *ids = tn_tape_input(t, TN_I32, 2, (int64_t[]){ 1, 2 });
    ids->i[0] = ids->i[1] = 3;
    ck_assert_ptr_nonnull(tn_model_logits(o.m, t, ids));
    const tn_llama *g = o.m->impl;
    for (size_t k = 0; k < sizeof golden / sizeof *golden; k++)
        ck_assert_double_eq_tol(asin((double)g->rope[0].table->x[64 + 32 + golden[k].i]),
                                golden[k].f, 1e-6 * golden[k].f);
    tn_tape_free(t);
    close_config(&o);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, what_is_not_computed_is_refused, 0, sizeof refused / sizeof *refused);
    tcase_add_loop_test(c, rope_leaves_blocks_out, 0, sizeof turns / sizeof *turns);
    tcase_add_loop_test(c, blocks_have_their_windows, 0, sizeof windows / sizeof *windows);
    tcase_add_loop_test(c, both_spellings_are_the_same_model, 0,
                        sizeof spellings / sizeof *spellings);
    tcase_add_test(c, queries_have_their_own_scale);
    tcase_add_test(c, angles_of_llama_3_2);
}
