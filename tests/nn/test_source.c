/* test_source.c - frozen weights that lie in a mapped file: the same bits as weights in memory. */
#include "core/op.h"
#include "tests/support/fixtures.h"
#include "tests/support/small_model.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { T = 24 };

/* The golden GPT-2, written in a type, as a folder. */
typedef struct folder {
    tn_context *c;
    tn_tape *t;
    char *path;
    tn_error e;
} folder;

static folder make_folder(tn_file_type type)
{
    folder f = { .c = tn_context_new(&(tn_options){ .threads = 2, .seed = 1 }),
                 .path = temporary() };
    f.t = tn_tape_new(f.c);
    tn_model *m = open_model(f.c, TINY);
    tn_model_save(m, f.path, type, &f.e);
    must(&f.e);
    tn_model_free(m);
    return f;
}

static void end_folder(folder *f)
{
    tn_tape_free(f->t);
    tn_context_free(f->c);
    discard(f->path);
}

static tn_model *open_frozen(folder *f, const char *dtype)
{
    tn_model *m =
        tn_model_open_as(f->c, f->path, &(tn_open_options){ .frozen = true, .base_dtype = dtype },
                         &f->e);
    must(&f->e);
    return m;
}

static tn_tensor *logits(folder *f, const tn_model *m)
{
    tn_tensor *ids = tn_tape_input(f->t, TN_I32, 2, (int64_t[]){ 1, T });
    for (int i = 0; i < T; i++)
        ids->i[i] = 7 * i % 64;
    tn_tensor *z = tn_model_logits(m, f->t, ids);
    ck_assert_msg(z != NULL, "%s", tn_tape_error(f->t));
    return z;
}

static void check_same_logits(folder *f, const tn_model *a, const tn_model *b)
{
    const tn_tensor *y = logits(f, a), *z = logits(f, b);
    ck_assert_mem_eq(y->x, z->x, (size_t)tn_tensor_count(y) * sizeof *y->x);
    tn_tape_reset(f->t);
}

static const tn_file_type stored[] = { TN_FILE_F64, TN_FILE_F32, TN_FILE_F16, TN_FILE_BF16 };

/* The type of a matrix that stays as it is in its file. */
static tn_dtype kept(tn_file_type type)
{
    return type == TN_FILE_F16 ? TN_F16 : type == TN_FILE_BF16 ? TN_BF16 : TN_REAL;
}

START_TEST(a_frozen_model_is_the_model_in_memory)
{
    const tn_file_type type = stored[_i];
    folder f = make_folder(type);
    tn_model *m = open_model(f.c, f.path), *k = open_frozen(&f, NULL);
    const bool is_real = type == (sizeof(tn_real) == 4 ? TN_FILE_F32 : TN_FILE_F64);
    check_same_logits(&f, m, k);
    for (int64_t i = 0; i < tn_params_count(k->params); i++) {
        const tn_tensor *w = tn_params_at(k->params, i)->w;
        const bool borrowed = w->release != NULL;
        ck_assert(!w->wants_grad && !w->g && tn_params_at(m->params, i)->w->wants_grad);
        ck_assert_int_eq(w->dtype, w->ndim == 2 ? kept(type) : TN_REAL);
        ck_assert_int_eq(borrowed, is_real || w->dtype != TN_REAL);
    }
    for (int64_t i = 0; i < tn_params_count(m->params); i++)
        tn_tensor_freeze(tn_params_at(m->params, i)->w);
    const tn_base a = tn_params_base(m->params), b = tn_params_base(k->params);
    ck_assert_uint_eq(a.frozen, b.frozen);
    ck_assert_uint_eq(a.config, b.config);
    ck_assert_uint_eq(tn_params_hash(m->params, false), tn_params_hash(k->params, false));
    tn_model_free(m);
    tn_model_free(k);
    end_folder(&f);
}
END_TEST

/* Training and merging an adapter gives the same numbers, and the merged model can be saved. */
START_TEST(adapters_on_it_are_the_same)
{
    folder f = make_folder(stored[_i]);
    tn_model *m[2] = { open_model(f.c, f.path), open_frozen(&f, "file") };
    int32_t ids[T];
    tn_real grad[2];
    for (int i = 0; i < T; i++)
        ids[i] = 5 * i % 64;
    const tn_batch batch = { .rows = 1, .width = T, .ids = ids, .labels = ids, .tokens = T };
    for (int k = 0; k < 2; k++) {
        tn_adapter_open(m[k], TINY, &f.e);
        must(&f.e);
        ck_assert_int_eq(tn_backward(f.t, tn_model_loss(m[k], f.t, &batch, 0)), 0);
        grad[k] = m[k]->adapters[0].a->g[3];
        tn_tape_reset(f.t);
    }
    ck_assert(grad[0] == grad[1] && grad[0] != 0);
    check_same_logits(&f, m[0], m[1]);
    for (int k = 0; k < 2; k++)
        tn_lora_merge(m[k], &f.e);
    must(&f.e);
    check_same_logits(&f, m[0], m[1]);
    tn_model_save(m[1], f.path, TN_FILE_F64, &f.e); /* over the file that is mapped */
    must(&f.e);
    tn_model *again = open_model(f.c, f.path);
    check_same_logits(&f, m[0], m[1]);
    check_same_logits(&f, m[0], again);
    tn_model_free(again);
    tn_model_free(m[0]);
    tn_model_free(m[1]);
    end_folder(&f);
}
END_TEST

/* bf16 rounds as a file of bf16 does; f32 keeps every number. */
START_TEST(matrices_are_converted)
{
    folder f = make_folder(TN_FILE_F64), g = make_folder(TN_FILE_BF16);
    tn_model *m = open_model(f.c, f.path), *real = open_frozen(&f, "f32"),
             *half = open_frozen(&f, "bf16"), *file = open_frozen(&g, "bf16"),
             *wide = open_frozen(&g, "f32");
    check_same_logits(&f, m, real);
    for (int64_t i = 0; i < tn_params_count(m->params); i++) {
        const tn_tensor *a = tn_params_at(half->params, i)->w,
                        *b = tn_params_at(file->params, i)->w;
        const tn_tensor *w = tn_params_at(wide->params, i)->w;
        ck_assert_int_eq(w->dtype, TN_REAL);
        if (a->ndim == 1) /* vectors are not rounded */
            continue;
        ck_assert(a->dtype == TN_BF16 && b->dtype == TN_BF16 && !a->release && b->release);
        ck_assert_mem_eq(a->data, b->data, tn_tensor_bytes(a));
    }
    ck_assert_ptr_null(tn_model_open_as(f.c, f.path,
                                        &(tn_open_options){ .frozen = true, .base_dtype = "f8" },
                                        &f.e));
    must_fail(&f.e, TN_EARG, "base type \"f8\"; expected file, f32, bf16, q8_0 or q4_0");
    ck_assert_ptr_null(
        tn_model_open_as(f.c, f.path, &(tn_open_options){ .base_dtype = "bf16" }, &f.e));
    must_fail(&f.e, TN_EARG, "base type bf16: only for a model whose weights are not trained");
    tn_model_free(m);
    tn_model_free(real);
    tn_model_free(half);
    tn_model_free(file);
    tn_model_free(wide);
    end_folder(&f);
    end_folder(&g);
}
END_TEST

/* A base type that does not fit the rows, or the numbers, of one matrix is refused, and so is one
   that a whole model would be trained in. */
START_TEST(base_types_that_do_not_fit)
{
    static const struct {
        const char *dtype;
        double number; /* 0: the model stays as it is */
        int code;
        const char *says;
    } rows[] = {
        { "q8_0", 0, TN_OK, "" },
        { "q4_0", 524032, TN_OK, "" },
        { "q4_0", 524033, TN_ENONFINITE,
          "\"transformer.wte.weight\" holds 524033 at element 33; expected at most 524032 for Q4_0" },
        { "q8_0", 524033, TN_OK, "" },
        { "q8_0", 8319009, TN_ENONFINITE, "holds 8.31901e+06 at element 33; expected at most" },
        { "bf16", 3e38, TN_OK, "" },
        { "bf16", 3.4e38, TN_ENONFINITE, "at element 33; expected at most 3.38953e+38 for BF16" },
        { "f32", 3.4e38, TN_OK, "" },
        { "f32", INFINITY, TN_ENONFINITE, "holds inf at element 33; expected finite numbers" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        folder f = { .c = tn_context_new(&(tn_options){ .threads = 2 }), .path = temporary() };
        tn_model *m = open_model(f.c, TINY);
        tn_entry entries[64];
        const int64_t n = list_tensors(m, entries);
        tn_real *x = (tn_real *)entries[0].real;
        x[33] = rows[i].number != 0 ? (tn_real)rows[i].number : x[33];
        copy_file(TINY, f.path, "config.json");
        write_tensors(f.path, "model.safetensors", entries, n);
        tn_model_free(m);
        m = tn_model_open_as(f.c, f.path,
                             &(tn_open_options){ .frozen = true, .base_dtype = rows[i].dtype },
                             &f.e);
        if (rows[i].code)
            must_fail(&f.e, rows[i].code, rows[i].says);
        must(&f.e);
        ck_assert((m == NULL) == (rows[i].code != 0));
        tn_model_free(m);
        end_folder(&f);
    }
}
END_TEST

/* GPT-2 with blocks of width 8. */
START_TEST(rows_of_no_whole_block)
{
    small_model s = small_model_make();
    tn_error e = { 0 };
    tn_model_save(s.m, s.folder, TN_FILE_F32, &e);
    must(&e);
    for (int sketch = 0; sketch < 2; sketch++) {
        const tn_open_options how = { .frozen = true, .base_dtype = "q4_0", .sketch = sketch };
        ck_assert_ptr_null(tn_model_open_as(s.c, s.folder, &how, &e));
        must_fail(&e, TN_ESHAPE,
                  "model.safetensors: tensor \"transformer.wte.weight\" has rows of 8 numbers; "
                  "expected a multiple of 32 for base type q4_0");
    }
    const tn_open_options trained = { .base_dtype = "q8_0" };
    ck_assert_ptr_null(tn_model_open_as(s.c, s.folder, &trained, &e));
    must_fail(&e, TN_EARG, "base type q8_0: only for a model whose weights are not trained");
    small_model_end(&s);
}
END_TEST

/* The file stays mapped until the last tensor is gone: a tape holds some. */
START_TEST(a_tape_outlives_the_model)
{
    folder f = make_folder(TN_FILE_BF16);
    tn_model *m = open_frozen(&f, NULL);
    tn_lora_add(m, &(tn_lora_options){ .rank = 2, .alpha = 2 }, &f.e);
    must(&f.e);
    tn_tensor *loss = tn_mean(f.t, logits(&f, m));
    tn_model_free(m);
    ck_assert_msg(!tn_backward(f.t, loss), "%s", tn_tape_error(f.t));
    end_folder(&f);
}
END_TEST

/* A sketch has the types of the model, so it counts its bytes; and it compares shapes. */
START_TEST(a_sketch_reads_the_headers)
{
    folder f = make_folder(TN_FILE_F16);
    const tn_open_options how = { .frozen = true, .sketch = true };
    tn_model *m = open_frozen(&f, NULL), *k = tn_model_open_as(f.c, f.path, &how, &f.e);
    must(&f.e);
    for (int64_t i = 0; i < tn_params_count(m->params); i++) {
        const tn_tensor *w = tn_params_at(k->params, i)->w;
        ck_assert_int_eq(w->dtype, tn_params_at(m->params, i)->w->dtype);
        ck_assert(!w->data && !w->wants_grad);
    }
    tn_model_free(m);
    tn_model_free(k);
    put_file(f.path, "config.json",
             "{\"model_type\":\"gpt2\",\"n_embd\":32,\"n_layer\":2,\"n_head\":4,\"n_positions\":31,"
             "\"vocab_size\":64}");
    ck_assert_ptr_null(tn_model_open_as(f.c, f.path, &how, &f.e));
    must_fail(&f.e, TN_ESHAPE, "tensor \"transformer.wpe.weight\" is (32,32); expected (31,32)");
    end_folder(&f);
}
END_TEST

/* Without a file the weights are random, and frozen all the same. */
START_TEST(random_weights_can_be_frozen)
{
    folder f = make_folder(TN_FILE_F32);
    char *path = temporary();
    copy_file(f.path, path, "config.json");
    tn_model *m = open_model(f.c, path),
             *k = tn_model_open_as(f.c, path, &(tn_open_options){ .frozen = true }, &f.e);
    must(&f.e);
    ck_assert_int_eq(tn_params_trained(k->params), 0);
    check_same_logits(&f, m, k);
    tn_model_free(m);
    tn_model_free(k);
    discard(path);
    end_folder(&f);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, a_frozen_model_is_the_model_in_memory, 0, 4);
    tcase_add_loop_test(c, adapters_on_it_are_the_same, 0, 4);
    tcase_add_test(c, matrices_are_converted);
    tcase_add_test(c, base_types_that_do_not_fit);
    tcase_add_test(c, rows_of_no_whole_block);
    tcase_add_test(c, a_tape_outlives_the_model);
    tcase_add_test(c, a_sketch_reads_the_headers);
    tcase_add_test(c, random_weights_can_be_frozen);
}
