/* test_gpt_config.c - GPT-2 by its config: activations and spellings of keys, as in Transformers. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER GOLDEN "tiny_models/activations"

enum { T = 8, V = 11 };

static const double TOLERANCE = sizeof(tn_real) == sizeof(double) ? 1e-10 : 1e-5;

static const char own[] =
    "\"n_embd\":8,\"n_head\":2,\"n_layer\":1,\"n_positions\":8,\"n_inner\":12",
                  other[] = "\"hidden_size\":8,\"num_attention_heads\":2,\"num_hidden_layers\":1,"
                            "\"max_position_embeddings\":8,\"intermediate_size\":12";

/* clang-format off */
static const struct { const char *name, *saved, *sizes; } rows[] = {
    { "gelu_new", "gelu_new", own }, { "gelu_pytorch_tanh", "gelu_new", other }, { "gelu", "gelu", own },
    { "gelu_python", "gelu", other }, { "relu", "relu", own },                    { "silu", "silu", other },
    { "swish", "silu", own },         { NULL, "gelu_new", other },
};
/* clang-format on */

typedef struct fixture {
    tn_context *c;
    tn_tape *t;
    tn_safetensors *expected;
    char *folder;
    tn_error e;
} fixture;

static fixture open_fixture(void)
{
    fixture f = { .c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 }),
                  .folder = temporary() };
    f.t = tn_tape_new(f.c);
    f.expected = tn_safetensors_open(FOLDER "/expected.safetensors", &f.e);
    must(&f.e);
    return f;
}

static void close_fixture(fixture *f)
{
    tn_safetensors_close(f->expected);
    tn_tape_free(f->t);
    discard(f->folder);
    tn_context_free(f->c);
}

static tn_model *open_model(fixture *f, const char *sizes, const char *name)
{
    char config[512];
    snprintf(config, sizeof config, "{\"model_type\":\"gpt2\",\"vocab_size\":%d,%s%s%s%s}", V,
             sizes, name ? ",\"activation_function\":\"" : "", name ? name : "", name ? "\"" : "");
    put_file(f->folder, "config.json", config);
    copy_file(FOLDER, f->folder, "model.safetensors");
    tn_model *m = tn_model_open(f->c, f->folder, &f->e);
    must(&f->e);
    return m;
}

static void is_near(const fixture *f, const char *what, const char *name, const tn_real *x)
{
    char full[64];
    int64_t n;
    snprintf(full, sizeof full, "%s.%s", what, name ? name : "gelu_new");
    double *expected = read_doubles(f->expected, full, &n), d = difference(x, expected, n);
    ck_assert_msg(d < TOLERANCE, "%s differs by %g", full, d);
    free(expected);
}

START_TEST(every_activation_in_both_spellings)
{
    fixture f = open_fixture();
    const char *name = rows[_i].name;
    tn_model *m = open_model(&f, rows[_i].sizes, name);
    int32_t ids[T], targets[T];
    tn_entry_int(f.expected, tn_safetensors_find(f.expected, "input_ids"), ids, &f.e);
    for (int i = 0; i < T; i++)
        targets[i] = i + 1 < T ? ids[i + 1] : -1;
    const tn_batch b = { .rows = 1, .width = T, .ids = ids, .labels = targets, .tokens = T - 1 };
    tn_tensor *in = tn_tape_input(f.t, TN_I32, 2, (int64_t[]){ 1, T });
    memcpy(in->i, ids, sizeof ids);
    is_near(&f, "logits", name, tn_model_logits(m, f.t, in)->x);
    ck_assert_int_eq(tn_backward(f.t, tn_model_loss(m, f.t, &b, 0)), 0);
    is_near(&f, "grad", name, tn_params_find(m->params, "transformer.h.0.mlp.c_fc.weight")->w->g);
    tn_model_save(m, f.folder, TN_FILE_F32, &f.e);
    char *path = tn_path_join(f.folder, "config.json");
    const tn_json *config = tn_json_read(path, &f.e);
    must(&f.e);
    ck_assert_str_eq(tn_json_find(config, "activation_function")->text, rows[_i].saved);
    tn_json_free(config);
    free(path);
    tn_model_free(m);
    close_fixture(&f);
}
END_TEST

/* Without a file of weights only the config decides the sizes. Either spelling must give the
   same. */
START_TEST(a_new_model_has_the_sizes_of_either_spelling)
{
    static const char *const texts[] = {
        "{\"model_type\":\"gpt2\",\"vocab_size\":5,\"n_embd\":8,\"n_head\":4,\"n_layer\":3,\"n_positions\":6,"
        "\"n_inner\":20}",
        "{\"model_type\":\"gpt2\",\"vocab_size\":5,\"hidden_size\":8,\"num_attention_heads\":4,"
        "\"num_hidden_layers\":3,\"max_position_embeddings\":6,\"intermediate_size\":20,\"n_inner\":null}"
    };
    fixture f = open_fixture();
    tn_model *m[2];
    for (int i = 0; i < 2; i++) {
        put_file(f.folder, "config.json", texts[i]);
        m[i] = tn_model_open(f.c, f.folder, &f.e);
        must(&f.e);
        ck_assert(m[i]->layers == 3 && m[i]->heads == 4 && m[i]->kv_heads == 4 &&
                  m[i]->positions == 6);
    }
    ck_assert(tn_params_hash(m[0]->params, false) == tn_params_hash(m[1]->params, false));
    tn_model_free(m[0]);
    tn_model_free(m[1]);
    close_fixture(&f);
}
/* clang-format off */
END_TEST

/* Keys that gpt2 does not have. They are accepted if they agree with what the model computes. */
static const struct { const char *keys, *text; } others[] = {
    { "\"hidden_act\":\"gelu_new\"", NULL },
    { "\"hidden_act\":\"swish\",\"activation_function\":\"silu\"", NULL },
    { "\"hidden_act\":null,\"layer_norm_eps\":1e-5", NULL },
    { "\"layer_norm_eps\":0.001,\"layer_norm_epsilon\":1e-3", NULL },
    { "\"hidden_act\":\"silu\"", "/hidden_act is the string \"silu\", expected activation_function, the key of gpt2" },
    { "\"hidden_act\":\"gelu\",\"activation_function\":\"gelu_new\"", "/hidden_act is the string \"gelu\"" },
    { "\"hidden_act\":\"mish\"", "/hidden_act is the string \"mish\"" },
    { "\"hidden_act\":7", "/hidden_act is a number" },
    { "\"layer_norm_eps\":1e-3", "/layer_norm_eps is a number, expected layer_norm_epsilon, the key of gpt2" },
    { "\"layer_norm_eps\":\"1e-5\"", "/layer_norm_eps is the string" },
};
/* clang-format on */

START_TEST(keys_of_other_models_must_say_the_same)
{
    fixture f = open_fixture();
    char config[512];
    snprintf(config, sizeof config, "{\"model_type\":\"gpt2\",\"vocab_size\":%d,%s,%s}", V, own,
             others[_i].keys);
    put_file(f.folder, "config.json", config);
    tn_model *m = tn_model_open(f.c, f.folder, &f.e);
    if (others[_i].text)
        must_fail(&f.e, TN_EFORMAT, others[_i].text);
    must(&f.e);
    ck_assert(!m == (others[_i].text != NULL));
    tn_model_free(m);
    close_fixture(&f);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, keys_of_other_models_must_say_the_same, 0,
                        sizeof others / sizeof *others);
    tcase_add_loop_test(c, every_activation_in_both_spellings, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, a_new_model_has_the_sizes_of_either_spelling);
}
