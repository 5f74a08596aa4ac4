/* test_gguf_save.c - models written as GGUF files.
   model.gguf of the golden models was made by a program that follows llama.cpp's conversion, and
   llama.cpp computes the golden logits from it. */
#include "data/gguf.h"
#include "nn/family.h"
#include "tests/support/golden_model.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    "gpt2", "llama", "llama3", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "smollm3", "phi3"
}; /* the last two have narrow rows */
enum { NAMES = sizeof names / sizeof *names, WIDE = NAMES - 2 };

/* ---- the tensors and keys of the golden file ---- */

static void same_tensor(const tn_entry *a, const tn_entry *b)
{
    ck_assert_msg(a != NULL, "%s is missing", b->name);
    ck_assert_int_eq(a->type, b->type);
    ck_assert_int_eq(a->ndim, b->ndim);
    ck_assert_mem_eq(a->dim, b->dim, sizeof a->dim);
    ck_assert_uint_eq(a->size, b->size);
    if (strcmp(b->name, "rope_freqs.weight") != 0)
        ck_assert_msg(!memcmp(a->bytes, b->bytes, a->size), "%s has other numbers", b->name);
    for (size_t i = 0; i < a->size; i += sizeof(float)) {
        float x, y;
        memcpy(&x, (const char *)a->bytes + i, sizeof x);
        memcpy(&y, (const char *)b->bytes + i, sizeof y);
        ck_assert_float_eq_tol(x, y, 1e-6f * fabsf(y));
    }
}

START_TEST(tensors_and_keys_are_those_of_llama_cpp)
{
    golden_model f;
    char file[128];
    scratch s;
    scratch_open(&s);
    golden_open(&f, names[_i], 0);
    snprintf(file, sizeof file, "%s/model.gguf", f.folder);
    tn_model_save_gguf(f.m, NULL, scratch_path(&s, "m.gguf"), TN_FILE_F32, &f.e);
    tn_gguf *a = tn_gguf_open(s.path, &f.e), *b = tn_gguf_open(file, &f.e);
    must(&f.e);
    ck_assert_int_eq(tn_gguf_count(a), tn_gguf_count(b));
    for (int64_t i = 0; i < tn_gguf_count(b); i++)
        same_tensor(tn_gguf_find(a, tn_gguf_at(b, i)->name), tn_gguf_at(b, i));
    for (int64_t i = 0; i < tn_gguf_keys(b); i++) {
        const tn_gguf_value *want = tn_gguf_key(b, i), *have = tn_gguf_value_of(a, want->key);
        if (!strcmp(want->key, "general.name"))
            continue;
        ck_assert_msg(have && have->kind == want->kind && have->size == want->size &&
                          !memcmp(have->bytes, want->bytes, want->size),
                      "%s: %s", names[_i], want->key);
    }
    tn_gguf_close(a);
    tn_gguf_close(b);
    golden_close(&f);
    scratch_close(&s);
}
END_TEST

/* ---- other types ---- */

static const struct type {
    tn_file_type type;
    const char *matrices, *embedding;
    double tolerance;
} types[] = {
    { TN_FILE_F32, "F32", "F32", 1e-5 },    { TN_FILE_F16, "F16", "F16", 5e-3 },
    { TN_FILE_BF16, "BF16", "BF16", 4e-2 }, { TN_FILE_Q8_0, "Q8_0", "Q8_0", 8e-2 },
    { TN_FILE_Q4_0, "Q4_0", "Q8_0", 8e-1 },
};
enum { TYPES = sizeof types / sizeof *types };

START_TEST(opens_with_the_logits)
{
    const struct type *t = &types[_i % TYPES];
    golden_model f;
    scratch s;
    scratch_open(&s);
    golden_open(&f, names[_i / TYPES], t->tolerance);
    tn_model_save_gguf(f.m, NULL, scratch_path(&s, "m.gguf"), t->type, &f.e);
    tn_model *golden = f.m;
    f.m = tn_model_open_as(f.c, s.path, &(tn_open_options){ .frozen = true }, &f.e);
    tn_gguf *g = tn_gguf_open(s.path, &f.e);
    must(&f.e);
    golden_logits(&f, "logits.base");
    for (int64_t i = 0; i < tn_gguf_count(g); i++) {
        const tn_entry *entry = tn_gguf_at(g, i);
        const bool outer =
            !strcmp(entry->name, "token_embd.weight") || !strcmp(entry->name, "output.weight");
        ck_assert_str_eq(tn_gguf_type(g, entry),
                         entry->ndim == 1 || !strcmp(entry->name, "position_embd.weight") ? "F32"
                         : outer ? t->embedding
                                 : t->matrices);
    }
    tn_gguf_close(g);
    tn_model_free(golden);
    golden_close(&f);
    scratch_close(&s);
}
END_TEST

/* ---- what such a file does not say ---- */

/* The config of a golden model with a change: `from` becomes `to`. says NULL: it is written. */
static const struct {
    const char *name, *from, *to, *says;
} changes[] = {
    { "gpt2", "\"gelu_new\"", "\"gelu\"", "activation_function is the string \"gelu\"" },
    { "llama", "\"silu\"", "\"relu\"", "hidden_act is the string \"relu\"" },
    { "llama", "\"mlp_bias\": false", "\"mlp_bias\": true", "mlp_bias is a boolean" },
    { "llama", "\"attention_bias\": false", "\"attention_bias\": true", NULL },
    { "qwen3", "\"attention_bias\": false", "\"attention_bias\": true",
      "attention_bias is a boolean" },
    { "qwen2", "\"use_sliding_window\": false", "\"use_sliding_window\": true",
      "use_sliding_window" },
    { "qwen2", "\"rope_theta\": 1000000.0",
      "\"rope_theta\": 1e6, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, "
      "\"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 32}",
      "/rope_scaling/rope_type is the string \"llama3\"" },
    { "qwen2", "\"rope_theta\": 1000000.0",
      "\"rope_theta\": 1e6, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 8.0}", NULL },
    { "smollm3", "\"no_rope_layers\": [\n    1", "\"no_rope_layers\": [\n    0",
      "/no_rope_layers/0 is a number, expected 0 in every fourth layer" },
    { "gemma", "\"vocab_size\"", "\"tie_word_embeddings\": false, \"vocab_size\"",
      "tie_word_embeddings" },
    { "gemma2", "\"query_pre_attn_scalar\": 16", "\"query_pre_attn_scalar\": 17",
      "query_pre_attn_scalar" },
    { "gemma2", "\"final_logit_softcapping\": 30.0", "\"final_logit_softcapping\": null",
      "final_logit_softcapping is null" },
    { "gemma2", "\"vocab_size\"",
      "\"layer_types\": [\"full_attention\", \"sliding_attention\"], \"vocab_size\"",
      "/layer_types/0 is the string \"full_attention\"" },
    { "gemma3", "\"sliding_window_pattern\": 6", "\"sliding_window_pattern\": 5",
      "/layer_types/4" },
    { "gemma3", "\"rope_local_base_freq\": 10000.0", "\"rope_local_base_freq\": 20000.0",
      "rope_local_base_freq" },
    { "gemma3", "\"vocab_size\"", "\"final_logit_softcapping\": 30.0, \"vocab_size\"",
      "final_logit_softcapping" },
};

static tn_model *changed_model(tn_context *c, int i, tn_error *e)
{
    char path[96];
    size_t size;
    snprintf(path, sizeof path, GOLDEN "tiny_models/%s/config.json", changes[i].name);
    char *text = tn_text_read(path, 1 << 16, &size, e), *at = strstr(text, changes[i].from);
    tn_text out = { 0 };
    ck_assert_msg(at != NULL, "%s has no %s", path, changes[i].from);
    tn_text_bytes(&out, text, (size_t)(at - text));
    tn_text_add(&out, "%s%s", changes[i].to, at + strlen(changes[i].from));
    const tn_json *config = tn_json_parse(out.s, out.n, path, 0, e);
    tn_model *m = tn_model_new(c, config, 0, -1, e);
    must(e);
    tn_json_free(config);
    tn_text_free(&out);
    free(text);
    return m;
}

START_TEST(what_the_architecture_decides)
{
    tn_error e = { 0 };
    scratch s;
    scratch_open(&s);
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_model *m = changed_model(c, _i, &e);
    tn_model_save_gguf(m, NULL, scratch_path(&s, "m.gguf"), TN_FILE_F32, &e);
    if (changes[_i].says) {
        must_fail(&e, TN_EFORMAT, changes[_i].says);
        ck_assert_int_eq(tn_path_is(s.path, NULL, &e), TN_ABSENT);
    } else { /* what is written is read as the same model */
        tn_tape *t = tn_tape_new(c);
        tn_model *again = tn_model_open(c, s.path, &e);
        must(&e);
        tn_tensor *ids = tn_tape_input(t, TN_I32, 2, (int64_t[]){ 1, 16 });
        for (int i = 0; i < 16; i++)
            ids->i[i] = i * 3;
        const tn_tensor *a = tn_model_logits(m, t, ids), *b = tn_model_logits(again, t, ids);
        for (int64_t i = 0; i < tn_tensor_count(a); i++)
            ck_assert_double_eq_tol((double)a->x[i], (double)b->x[i], 1e-6);
        tn_tape_free(t);
        tn_model_free(again);
    }
    must(&e);
    tn_model_free(m);
    tn_context_free(c);
    scratch_close(&s);
}
END_TEST

/* A Mistral is a llama up to the positions of its window. */
START_TEST(window_of_mistral)
{
    static const char text[] =
        "{\"model_type\": \"mistral\", \"hidden_size\": 32, \"intermediate_size\": 64, "
        "\"num_hidden_layers\": 1, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
        "\"vocab_size\": 64, \"max_position_embeddings\": 64, \"sliding_window\": 24, "
        "\"rope_theta\": 10000.0}";
    tn_error e = { 0 };
    scratch s;
    scratch_open(&s);
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    const tn_json *config = tn_json_parse(text, strlen(text), "config", 0, &e);
    tn_model *m = tn_model_new(c, config, 0, -1, &e);
    tn_model_save_gguf(m, NULL, scratch_path(&s, "m.gguf"), TN_FILE_F32, &e);
    tn_model *again = tn_model_open(c, s.path, &e);
    must(&e);
    ck_assert_str_eq(again->family->type, "llama");
    ck_assert_int_eq(again->positions, 24);
    tn_model_free(m);
    tn_model_free(again);
    tn_json_free(config);
    tn_context_free(c);
    scratch_close(&s);
}
END_TEST

START_TEST(numbers_that_a_type_does_not_hold)
{
    static const struct {
        tn_file_type type;
        double x;
        const char *says;
    } rows[] = {
        { TN_FILE_F32, (double)NAN, "model.embed_tokens.weight holds nan" },
        { TN_FILE_F16, 70000, "model.embed_tokens.weight holds 70000" },
        { TN_FILE_Q8_0, 1e9, "\"token_embd.weight\" holds 1e+09" },
        { TN_FILE_Q4_0, (double)INFINITY, "model.embed_tokens.weight holds inf" },
        { TN_FILE_I32, 0, "written as F32, F16, BF16, Q8_0 or Q4_0" },
    };
    golden_model f;
    scratch s;
    scratch_open(&s);
    golden_open(&f, "llama", 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        f.m->head->x[0] = 0;
        tn_params_find(f.m->params, "model.embed_tokens.weight")->w->x[5] = (tn_real)rows[i].x;
        ck_assert_int_lt(tn_model_save_gguf(f.m, NULL, scratch_path(&s, "m.gguf"), rows[i].type,
                                            &f.e),
                         0);
        must_fail(&f.e, f.e.code, rows[i].says);
        ck_assert_int_eq(tn_path_is(s.path, NULL, &f.e), TN_ABSENT);
    }
    golden_close(&f);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, tensors_and_keys_are_those_of_llama_cpp, 0, NAMES);
    tcase_add_loop_test(c, opens_with_the_logits, 0, WIDE * TYPES);
    tcase_add_loop_test(c, what_the_architecture_decides, 0, sizeof changes / sizeof *changes);
    tcase_add_test(c, window_of_mistral);
    tcase_add_test(c, numbers_that_a_type_does_not_hold);
}
