/* test_hf.c - Hugging Face folders: round trips, the forms they come in, and what is refused. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double F32_STEP = sizeof(tn_real) == sizeof(float) ? 0 : 0x1p-24;

#define TINY GOLDEN "tiny_models/gpt2"

static tn_model *open_model(tn_context *c, const char *folder)
{
    tn_error e = { 0 };
    tn_model *m = tn_model_open(c, folder, &e);
    must(&e);
    return m;
}

/* Same names, and numbers as the type leaves them. */
static void check_same(const tn_model *a, const tn_model *b, tn_file_type type)
{
    ck_assert_int_eq(tn_params_count(a->params), tn_params_count(b->params));
    for (int64_t i = 0; i < tn_params_count(a->params); i++) {
        const tn_param *p = tn_params_at(a->params, i), *q = tn_params_at(b->params, i);
        double step = type == TN_FILE_BF16 ? 0x1p-8 : type == TN_FILE_F16 ? 0x1p-11 : F32_STEP;
        ck_assert_str_eq(p->name, q->name);
        for (int64_t k = 0; k < tn_tensor_count(p->w); k++) {
            double x = (double)p->w->x[k], y = (double)q->w->x[k];
            double most = step * fabs(x) + (step > 0 ? 0x1p-25 : 0);
            ck_assert_msg(fabs(x - y) <= most, "%s: %g, expected %g", p->name, y, x);
        }
    }
}

static const tn_file_type types[] = { TN_FILE_F32, TN_FILE_F16, TN_FILE_BF16 };

START_TEST(saved_models_open_again)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary();
    tn_model *m = open_model(c, TINY);
    ck_assert(m->end == 1 && m->tied && m->layers == 2 && m->heads == 4 && m->head_size == 8 &&
              m->positions == 32);
    ck_assert_str_eq(m->source, TINY);
    tn_model_save(m, folder, types[_i], &e);
    must(&e);
    tn_model *again = open_model(c, folder);
    check_same(m, again, types[_i]);
    ck_assert(again->end == 1 && again->tied && again->heads == 4 && again->positions == 32);
    tn_model_free(again);
    tn_model_free(m);
    discard(folder);
    tn_context_free(c);
}
END_TEST

static tn_model *new_model(tn_context *c, const char *text)
{
    tn_error e = { 0 };
    const tn_json *config = tn_json_parse(text, strlen(text), "config.json", 0, &e);
    must(&e);
    tn_model *m = tn_model_new(c, config, 0, -1, &e);
    must(&e);
    tn_json_free(config);
    return m;
}

#define SMALL                                                                                      \
    "\"model_type\":\"gpt2\",\"n_embd\":8,\"n_head\":2,\"n_layer\":1,\"n_positions\":4,\"vocab_size\":5"

START_TEST(an_untied_head_is_kept)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary();
    tn_model *m =
        new_model(c, "{" SMALL
                     ",\"n_inner\":24,\"eos_token_id\":[3,4],\"tie_word_embeddings\":false}");
    ck_assert(!m->tied && m->end == 3 && m->head == tn_params_find(m->params, "lm_head.weight")->w);
    tn_model_save(m, folder, TN_FILE_F32, &e);
    must(&e);
    tn_model *again = open_model(c, folder);
    check_same(m, again, TN_FILE_F32);
    ck_assert(!again->tied && again->end == 3);
    tn_model_free(again);
    /* Where the config does not say, the weights do. */
    put_file(folder, "config.json", "{" SMALL ",\"n_inner\":24}");
    again = open_model(c, folder);
    ck_assert(!again->tied && again->end == -1);
    tn_model_free(again);
    put_file(folder, "config.json", "{" SMALL ",\"n_inner\":24,\"tie_word_embeddings\":true}");
    ck_assert_ptr_null(tn_model_open(c, folder, &e));
    must_fail(&e, TN_EFORMAT, "\"lm_head.weight\" differs from the embedding");
    tn_model_free(m);
    discard(folder);
    tn_context_free(c);
}
END_TEST

/* The tensors of a model as a file has them, in the order of the params. */
static int64_t list(const tn_model *m, tn_entry *entries)
{
    int64_t n = tn_params_count(m->params);
    for (int64_t i = 0; i < n; i++) {
        const tn_param *p = tn_params_at(m->params, i);
        entries[i] =
            (tn_entry){ .name = p->name, .type = TN_FILE_F32, .ndim = p->w->ndim, .real = p->w->x };
        memcpy(entries[i].dim, p->w->dim, sizeof p->w->dim);
    }
    return n;
}

static void write_tensors(const char *folder, const char *name, const tn_entry *entries, int64_t n)
{
    tn_error e = { 0 };
    char *path = tn_path_join(folder, name);
    tn_safetensors_write(path, entries, n, NULL, &e);
    must(&e);
    free(path);
}

START_TEST(random_weights_without_a_file)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary();
    put_file(folder, "config.json", "{" SMALL "}");
    tn_model *a = tn_model_open(c, folder, &e), *b = new_model(c, "{" SMALL "}");
    must(&e);
    check_same(a, b, TN_FILE_F32);
    ck_assert(a->head->x[3] != 0);
    tn_model_free(a);
    tn_model_free(b);
    discard(folder);
    tn_context_free(c);
}
/* clang-format off */
END_TEST

static const struct { const char *name; bool weights; } beside[] = {
    { "pytorch_model.bin", true }, { "pytorch_model.bin.index.json", true }, { "tf_model.h5", true },
    { "flax_model.msgpack", true }, { "model-00001-of-00002.safetensors", true }, { "model.gguf", true },
    { "consolidated.00.pth", true }, { "model.fp16.safetensors", true }, { "model.safetensors.tmp", false },
    { "model.safetensors.gz", true }, { "pytorch_model.bin.part", true }, { "model.ckpt.index", true },
    { "README.pt.md", false }, { "notes.h5.txt", false },
    { "merges.txt", false }, { "generation_config.json", false }, { "bin", false }, { "README.md", false },
};
/* clang-format on */

/* Random weights take the place of no others, whatever format those have. */
START_TEST(weights_of_other_formats_are_refused)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary();
    put_file(folder, "config.json", "{" SMALL "}");
    put_file(folder, beside[_i].name, "{}");
    tn_model *m = tn_model_open(c, folder, &e);
    ck_assert_int_eq(e.code, beside[_i].weights ? TN_EFORMAT : 0);
    ck_assert(beside[_i].weights ? !m && strstr(e.text, beside[_i].name) != NULL : m && !m->stored);
    e = (tn_error){ 0 };
    ck_assert_int_eq(tn_model_weights(folder, &e), beside[_i].weights ? TN_UNREADABLE : TN_ABSENT);
    tn_model_free(m);
    discard(folder);
    tn_context_free(c);
}
END_TEST

START_TEST(sharded_models_open)
{
    static const char index[] =
        "{\"metadata\":{\"total_size\":1},\"weight_map\":{"
        "\"transformer.wte.weight\":\"a.safetensors\",\"transformer.wpe.weight\":\"b.safetensors\","
        "\"transformer.ln_f.weight\":\"b.safetensors\"}}";
    tn_error e = { 0 };
    tn_entry entries[64];
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary();
    tn_model *m = new_model(c, "{" SMALL "}");
    int64_t n = list(m, entries);
    int here = open(".", O_RDONLY);
    put_file(folder, "config.json", "{" SMALL "}");
    put_file(folder, "model.safetensors.index.json", index);
    ck_assert_ptr_null(tn_model_open(c, folder, &e));
    must_fail(&e, TN_EIO, "are missing: a.safetensors b.safetensors");
    write_tensors(folder, "a.safetensors", entries, 1);
    write_tensors(folder, "b.safetensors", entries + 1, n - 1);
    tn_model *again = open_model(c, folder);
    check_same(m, again, TN_FILE_F32);
    tn_model_free(again);
    write_tensors(folder, "a.safetensors", entries, 2);
    ck_assert_ptr_null(tn_model_open(c, folder, &e));
    must_fail(&e, TN_EFORMAT, "\"transformer.wpe.weight\" is there twice");
    write_tensors(folder, "a.safetensors", entries + 2, 1);
    ck_assert_ptr_null(tn_model_open(c, folder, &e));
    must_fail(&e, TN_EFORMAT, "\"transformer.wte.weight\" is not there, but the index says so");
    put_file(folder, "model.safetensors.index.json",
             "{\"weight_map\":{\"x\":\"../a.safetensors\"}}");
    ck_assert_ptr_null(tn_model_open(c, folder, &e));
    must_fail(&e, TN_EFORMAT, "/weight_map/x");
    ck_assert_int_eq(chdir(folder), 0); /* the folder one stands in */
    put_file(".", "model.safetensors.index.json", index);
    write_tensors(".", "a.safetensors", entries, 1);
    again = open_model(c, "");
    check_same(m, again, TN_FILE_F32);
    tn_model_free(again);
    ck_assert_int_eq(fchdir(here), 0);
    close(here);
    tn_model_free(m);
    discard(folder);
    tn_context_free(c);
}
END_TEST

static const tn_real zeros[64], nan_inside[64] = { [7] = (tn_real)NAN };

/* Changes to the list of a small model's tensors: wte wpe ln_1.weight ... */
static void drop_tensor(tn_entry *t, int64_t *n)
{
    t[3] = t[--*n];
}

static void add_tensor(tn_entry *t, int64_t *n)
{
    t[(*n)++] = (tn_entry){ .name = "transformer.h.1.ln_1.weight",
                            .type = TN_FILE_F32,
                            .ndim = 1,
                            .dim = { 8 },
                            .real = zeros };
}

static void add_buffers(tn_entry *t, int64_t *n)
{
    t[(*n)++] = (tn_entry){ .name = "transformer.h.0.attn.bias",
                            .type = TN_FILE_U8,
                            .ndim = 4,
                            .dim = { 1, 1, 4, 4 },
                            .bytes = zeros,
                            .size = 16 };
    t[(*n)++] = (tn_entry){ .name = "h.0.attn.masked_bias", .type = TN_FILE_F32, .real = zeros };
}

/* The last is ln_f.bias (8). */
static void shorten(tn_entry *t, int64_t *n)
{
    t[*n - 1].dim[0] = 7;
}

static void raise_rank(tn_entry *t, int64_t *n)
{
    t[*n - 1].ndim = 2;
}

static void put_nan(tn_entry *t, int64_t *n)
{
    t[*n - 1].real = nan_inside;
}

static void put_integers(tn_entry *t, int64_t *n)
{
    t[*n - 1].type = TN_FILE_I32;
    t[*n - 1].bytes = zeros;
    t[*n - 1].size = 32;
}

static void name_twice(tn_entry *t, int64_t *n)
{
    t[*n] = t[0];
    t[(*n)++].name = "wte.weight";
}

static void add_head(tn_entry *t, int64_t *n)
{
    t[*n] = t[0];
    t[(*n)++].name = "lm_head.weight";
}

/* The head in the place of the embedding that it is tied to. */
static void rename_embedding(tn_entry *t, int64_t *n)
{
    (void)n;
    t[0].name = "lm_head.weight";
}

static void shorten_head(tn_entry *t, int64_t *n)
{
    rename_embedding(t, n);
    t[0].dim[0]--;
}

static void drop_prefix(tn_entry *t, int64_t *n)
{
    for (int64_t i = 0; i < *n; i++)
        t[i].name = strchr(t[i].name, '.') + 1;
}

static const struct {
    void (*change)(tn_entry *t, int64_t *n);
    const char *text; /* NULL: accepted */
    int code;
} weights[] = {
    { drop_prefix, NULL, 0 },
    { add_buffers, NULL, 0 },
    { add_head, NULL, 0 },
    { rename_embedding, NULL, 0 },
    { shorten_head, "tensor \"lm_head.weight\" is (4,8); expected (5,8)", TN_ESHAPE },
    { drop_tensor, "tensor \"transformer.h.0.ln_1.bias\" is missing", TN_EFORMAT },
    { add_tensor, "tensor \"transformer.h.1.ln_1.weight\" has no place in the model", TN_EFORMAT },
    { shorten, "tensor \"transformer.ln_f.bias\" is (7); expected (8)", TN_ESHAPE },
    { raise_rank, "tensor \"transformer.ln_f.bias\" is (8,1); expected (8)", TN_ESHAPE },
    { put_nan, "tensor \"transformer.ln_f.bias\" holds nan at element 7", TN_ENONFINITE },
    { name_twice, "\"wte.weight\" is there twice", TN_EFORMAT },
    { put_integers, "transformer.ln_f.bias", TN_EFORMAT },
};

START_TEST(weights_must_fit_the_config)
{
    tn_error e = { 0 };
    tn_entry entries[64];
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary();
    tn_model *m = new_model(c, "{" SMALL "}");
    int64_t n = list(m, entries);
    weights[_i].change(entries, &n);
    put_file(folder, "config.json", "{" SMALL ",\"tie_word_embeddings\":true}");
    write_tensors(folder, "model.safetensors", entries, n);
    tn_model *again = tn_model_open(c, folder, &e);
    if (weights[_i].text)
        must_fail(&e, weights[_i].code, weights[_i].text);
    must(&e);
    ck_assert((again != NULL) == (weights[_i].text == NULL));
    if (again)
        check_same(m, again, TN_FILE_F32);
    tn_model_free(again);
    tn_model_free(m);
    discard(folder);
    tn_context_free(c);
}
END_TEST

/* Where the config does not say, a head without an embedding is tied; where it says no, that is missing. */
START_TEST(a_head_without_an_embedding_is_both)
{
    tn_error e = { 0 };
    tn_entry entries[64];
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary();
    tn_model *m = new_model(c, "{" SMALL "}");
    int64_t n = list(m, entries);
    rename_embedding(entries, &n);
    write_tensors(folder, "model.safetensors", entries, n);
    put_file(folder, "config.json", "{" SMALL "}");
    tn_model *again = open_model(c, folder);
    check_same(m, again, TN_FILE_F32);
    ck_assert(again->tied &&
              again->head == tn_params_find(again->params, "transformer.wte.weight")->w);
    tn_model_free(again);
    put_file(folder, "config.json", "{" SMALL ",\"tie_word_embeddings\":false}");
    ck_assert_ptr_null(tn_model_open(c, folder, &e));
    must_fail(&e, TN_EFORMAT, "tensor \"transformer.wte.weight\" is missing");
    tn_model_free(m);
    discard(folder);
    tn_context_free(c);
}
END_TEST

/* As Transformers, whose GPT-2 is tied unless its config says otherwise. */
START_TEST(a_head_that_repeats_the_embedding_is_tied)
{
    tn_entry entries[64];
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary();
    tn_model *m = new_model(c, "{" SMALL "}");
    int64_t n = list(m, entries);
    add_head(entries, &n);
    write_tensors(folder, "model.safetensors", entries, n);
    for (int said = 0; said < 2; said++) {
        put_file(folder, "config.json",
                 said ? "{" SMALL ",\"tie_word_embeddings\":false}" : "{" SMALL "}");
        tn_model *again = open_model(c, folder);
        ck_assert_int_eq(again->tied, !said);
        ck_assert_int_eq(tn_params_count(again->params), n - !said);
        tn_model_free(again);
    }
    tn_model_free(m);
    discard(folder);
    tn_context_free(c);
}
END_TEST

START_TEST(folders_that_are_none_are_refused)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary();
    ck_assert_ptr_null(tn_model_open(c, "/nowhere/at all", &e));
    must_fail(&e, TN_EIO, "/nowhere/at all: No such file or directory; expected a model folder");
    ck_assert_ptr_null(tn_model_open(c, TINY "/config.json", &e));
    must_fail(&e, TN_EIO, "not a folder");
    ck_assert_ptr_null(tn_model_open(c, folder, &e));
    must_fail(&e, TN_EIO, "config.json and model.safetensors are missing");
    put_file(folder, "config.json", "{" SMALL "}");
    put_file(folder, "pytorch_model.bin", "pickle");
    ck_assert_ptr_null(tn_model_open(c, folder, &e));
    must_fail(&e, TN_EFORMAT, "save_pretrained");
    discard(folder);
    tn_context_free(c);
}
END_TEST

START_TEST(what_cannot_be_saved_is_refused)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary();
    tn_model *m = new_model(c, "{" SMALL "}");
    tn_model_save(m, "/nowhere/at/all", TN_FILE_F32, &e);
    must_fail(&e, TN_EIO, "/nowhere/at/all");
    m->head->x[9] = 70000;
    tn_model_save(m, folder, TN_FILE_F16, &e);
    must_fail(&e, TN_ENONFINITE,
              "transformer.wte.weight holds 70000 at element 9, which is not written as F16");
    tn_model_save(m, folder, TN_FILE_BF16, &e);
    must(&e);
    m->head->x[9] = (tn_real)NAN;
    tn_model_save(m, folder, TN_FILE_F32, &e);
    must_fail(&e, TN_ENONFINITE, "transformer.wte.weight holds nan");
    tn_lora_add(m, &(tn_lora_options){ .rank = 1, .alpha = 1 }, &e);
    must(&e);
    tn_model_save(m, folder, TN_FILE_F32, &e);
    must_fail(&e, TN_ESTATE, "merge them");
    tn_model_free(m);
    discard(folder);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, saved_models_open_again, 0, sizeof types / sizeof *types);
    tcase_add_test(c, an_untied_head_is_kept);
    tcase_add_test(c, random_weights_without_a_file);
    tcase_add_loop_test(c, weights_of_other_formats_are_refused, 0, sizeof beside / sizeof *beside);
    tcase_add_test(c, sharded_models_open);
    tcase_add_loop_test(c, weights_must_fit_the_config, 0, sizeof weights / sizeof *weights);
    tcase_add_test(c, a_head_without_an_embedding_is_both);
    tcase_add_test(c, a_head_that_repeats_the_embedding_is_tied);
    tcase_add_test(c, folders_that_are_none_are_refused);
    tcase_add_test(c, what_cannot_be_saved_is_refused);
}
