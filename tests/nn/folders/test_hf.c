/* test_hf.c - Hugging Face folders: saving and opening, their forms, and what is refused. */
#include "tests/support/fixtures.h"
#include "tests/support/small_model.h"
#include "tests/support/tests.h"

#include <math.h>
#include <string.h>

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
    /* Without tie_word_embeddings the weights decide. */
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
END_TEST

static const tn_real zeros[64], nan_inside[64] = { [7] = (tn_real)NAN };

/* Each changes the list of tensors of a small model: wte wpe ln_1.weight ... */
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

/* The last tensor is ln_f.bias (8). */
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

/* The file has the head instead of the embedding that is tied to it. */
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
    small_model s = small_model_make();
    weights[_i].change(s.entries, &s.n);
    put_file(s.folder, "config.json", "{" SMALL ",\"tie_word_embeddings\":true}");
    write_tensors(s.folder, "model.safetensors", s.entries, s.n);
    tn_model *again = tn_model_open(s.c, s.folder, &e);
    if (weights[_i].text)
        must_fail(&e, weights[_i].code, weights[_i].text);
    must(&e);
    ck_assert((again != NULL) == (weights[_i].text == NULL));
    if (again)
        check_same(s.m, again, TN_FILE_F32);
    tn_model_free(again);
    small_model_end(&s);
}
END_TEST

/* A file with a head and without an embedding: the two are tied. If the config says that they are
   not, the embedding is missing. */
START_TEST(a_head_without_an_embedding_is_both)
{
    tn_error e = { 0 };
    small_model s = small_model_make();
    rename_embedding(s.entries, &s.n);
    write_tensors(s.folder, "model.safetensors", s.entries, s.n);
    put_file(s.folder, "config.json", "{" SMALL "}");
    tn_model *again = open_model(s.c, s.folder);
    check_same(s.m, again, TN_FILE_F32);
    ck_assert(again->tied &&
              again->head == tn_params_find(again->params, "transformer.wte.weight")->w);
    tn_model_free(again);
    put_file(s.folder, "config.json", "{" SMALL ",\"tie_word_embeddings\":false}");
    ck_assert_ptr_null(tn_model_open(s.c, s.folder, &e));
    must_fail(&e, TN_EFORMAT, "tensor \"transformer.wte.weight\" is missing");
    small_model_end(&s);
}
END_TEST

/* As in Transformers, the head of GPT-2 is tied unless the config says no. */
START_TEST(a_head_that_repeats_the_embedding_is_tied)
{
    small_model s = small_model_make();
    add_head(s.entries, &s.n);
    write_tensors(s.folder, "model.safetensors", s.entries, s.n);
    for (int given = 0; given < 2; given++) {
        put_file(s.folder, "config.json",
                 given ? "{" SMALL ",\"tie_word_embeddings\":false}" : "{" SMALL "}");
        tn_model *again = open_model(s.c, s.folder);
        ck_assert_int_eq(again->tied, !given);
        ck_assert_int_eq(tn_params_count(again->params), s.n - !given);
        tn_model_free(again);
    }
    small_model_end(&s);
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
    must_fail(&e, TN_EIO, "config.json: one file of a model; expected the folder that has it");
    ck_assert_ptr_null(tn_model_open(c, "README.md", &e));
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
    tcase_add_loop_test(c, weights_must_fit_the_config, 0, sizeof weights / sizeof *weights);
    tcase_add_test(c, a_head_without_an_embedding_is_both);
    tcase_add_test(c, a_head_that_repeats_the_embedding_is_tied);
    tcase_add_test(c, folders_that_are_none_are_refused);
    tcase_add_test(c, what_cannot_be_saved_is_refused);
}
