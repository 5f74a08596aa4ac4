/* test_null.c - every function of nn.h and family.h with NULL for each of its pointers. */
#include "nn/cache.h"
#include "tests/support/fixtures.h"
#include "tests/support/null.h"
#include "tests/support/tests.h"

#include <stdlib.h>

typedef struct fixture {
    null_fixture base;
    char *temporary, *fresh, *file;
    const char *word, *name, *all, *key, *folder;
    const int64_t *dim, *lengths;
    tn_params *params, *sketch;
    tn_linear_layer *linear, linear_layer, *adapted_layer, other_layer;
    tn_norm_layer *norm, norm_layer;
    tn_conv_layer *conv, conv_layer;
    tn_recurrent_layer *recurrent, recurrent_layer;
    tn_tensor *x, *image, *state, *q, *ids, *classes;
    const tn_json *config;
    tn_model *m, *adapted;
    tn_cache *cache;
    tn_session *session;
    const tn_attention_form *form;
    const tn_lora_options *lora;
    const tn_open_options *open;
    const tn_sampling *sampling;
    const int32_t *const *prompts;
    int32_t ids_out[4], **outs;
    int64_t *made;
    void *arg;
    tn_tokenizer *tokenizer;
    tn_dataset *data;
    tn_loader *loader;
    const tn_batch *batch;
    tn_target *target, a_target;
    tn_eval *eval;
    double *row_loss;
    int64_t *row_tokens;
    tn_dataset *pair_data;
    tn_loader *pairs;
    tn_reference *reference;
    tn_dpo *dpo;
} fixture;

static const int32_t prompt[] = { 1, 2 };
static const int32_t *const prompts[] = { prompt };
static const int64_t dim[] = { 2, 2 };
static const tn_lora_options lora = { .rank = 1, .alpha = 1 };
static const tn_attention_form form = { .scale = 1 };
static const tn_open_options open_options = { .frozen = true };
static const tn_sampling sampling = { .max_tokens = 1 };

static void open_models(fixture *f)
{
    f->m = tn_model_open(f->base.c, f->folder, &f->base.e);
    f->adapted = tn_model_open(f->base.c, f->folder, &f->base.e);
    tn_lora_add(f->adapted, &lora, &f->base.e);
    f->config = tn_json_read(GOLDEN "tiny_models/gpt2/config.json", &f->base.e);
    must(&f->base.e);
    f->cache = tn_cache_new(f->m, 1, 4);
    f->session = tn_session_new(f->m);
    f->target = &f->a_target;
    f->ids = tn_tensor_new(TN_I32, 2, (int64_t[]){ 1, 2 }, false);
    f->q = tn_tensor_new(TN_REAL, 3,
                         (int64_t[]){ 1, 2, (f->m->heads + 2 * f->m->kv_heads) * f->m->head_size },
                         false);
}

static void open_data(fixture *f)
{
    put_file(f->temporary, "records", "{\"text\": \"abab\"}\n");
    char *path = tn_path_join(f->temporary, "records");
    f->tokenizer = tn_tokenizer_chars("ab", 2, &f->base.e);
    f->data =
        tn_dataset_jsonl(path, f->tokenizer, &(tn_data_options){ .max_length = 4 }, &f->base.e);
    f->loader =
        tn_loader_new(f->data, &(tn_loader_options){ .batch = 1, .in_order = true }, &f->base.e);
    f->batch = tn_loader_next(f->loader);
    must(&f->base.e);
    free(path);
}

static void open_pairs(fixture *f)
{
    put_file(f->temporary, "pairs",
             "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"a\"}\n");
    char *path = tn_path_join(f->temporary, "pairs");
    f->pair_data =
        tn_dataset_jsonl(path, f->tokenizer, &(tn_data_options){ .max_length = 4 }, &f->base.e);
    f->pairs = tn_loader_new(f->pair_data, &(tn_loader_options){ .batch = 1, .in_order = true },
                             &f->base.e);
    f->reference = tn_reference_base(f->adapted, &f->base.e);
    must(&f->base.e);
    free(path);
}

static null_fixture *open_fixture(void)
{
    fixture *f = calloc(1, sizeof *f);
    *f = (fixture){ .temporary = temporary(),
                    .word = "word",
                    .name = "layer.weight",
                    .all = "*",
                    .key = "n_layer",
                    .folder = GOLDEN "tiny_models/gpt2",
                    .dim = dim,
                    .lengths = dim,
                    .prompts = prompts,
                    .lora = &lora,
                    .open = &open_options,
                    .form = &form,
                    .sampling = &sampling,
                    .arg = f,
                    .outs = malloc(sizeof *f->outs),
                    .made = calloc(1, sizeof *f->made),
                    .eval = calloc(1, sizeof *f->eval),
                    .row_loss = calloc(4, sizeof *f->row_loss),
                    .dpo = calloc(1, sizeof *f->dpo),
                    .row_tokens = calloc(1, sizeof *f->row_tokens) };
    f->fresh = tn_path_join(f->temporary, "fresh");
    f->file = tn_path_join(f->temporary, "weights.safetensors");
    f->outs[0] = f->ids_out;
    f->base.c = tn_context_new(&(tn_options){ .threads = 1 });
    f->base.t = tn_tape_new(f->base.c);
    f->params = tn_params_new(f->base.c);
    f->sketch = tn_params_sketch(f->base.c);
    f->linear_layer = tn_linear_layer_new(f->params, "layer", 2, 2, TN_OUT_IN, false, 1);
    f->norm_layer = tn_norm_layer_new(f->params, "norm", 2, 1e-5);
    f->conv_layer = tn_conv_layer_new(f->params, "conv", 1, 1, 1, 1, (tn_conv_form){ 0 }, false, 1);
    f->recurrent_layer = tn_gru_layer_new(f->params, "gru", 2, 2, false);
    f->other_layer = tn_linear_layer_new(f->params, "other", 2, 2, TN_OUT_IN, false, 1);
    tn_lora_add_layer(f->params, &f->other_layer, &lora, &f->base.e);
    tn_params_save(f->params, NULL, f->file, TN_FILE_F32, &f->base.e);
    f->linear = &f->linear_layer;
    f->adapted_layer = &f->other_layer;
    f->norm = &f->norm_layer;
    f->conv = &f->conv_layer;
    f->recurrent = &f->recurrent_layer;
    f->image = tn_tensor_new(TN_REAL, 4, (int64_t[]){ 1, 1, 2, 2 }, false);
    f->state = tn_tensor_new(TN_REAL, 2, dim, false);
    f->x = tn_tensor_new(TN_REAL, 2, dim, false);
    f->classes = tn_tensor_new(TN_I32, 1, dim, false); /* zeros, like x: every label is right */
    open_models(f);
    open_data(f);
    open_pairs(f);
    return &f->base;
}

static void close_fixture(null_fixture *base)
{
    fixture *f = (fixture *)base;
    tn_reference_free(f->reference);
    tn_loader_free(f->pairs);
    tn_dataset_free(f->pair_data);
    tn_loader_free(f->loader);
    tn_dataset_free(f->data);
    tn_tokenizer_free(f->tokenizer);
    tn_cache_free(f->cache);
    tn_session_free(f->session);
    tn_json_free(f->config);
    tn_model_free(f->m);
    tn_model_free(f->adapted);
    tn_tensor_free(f->x);
    tn_tensor_free(f->image);
    tn_tensor_free(f->state);
    tn_tensor_free(f->q);
    tn_tensor_free(f->ids);
    tn_tensor_free(f->classes);
    tn_params_free(f->params);
    tn_params_free(f->sketch);
    tn_tape_free(f->base.t);
    tn_context_free(f->base.c);
    discard(f->temporary);
    free(f->fresh);
    free(f->file);
    free(f->outs);
    free(f->made);
    free(f->eval);
    free(f->row_loss);
    free(f->dpo);
    free(f->row_tokens);
    free(f);
}

static void each(void *arg, int64_t row, int32_t token)
{
    (void)arg, (void)row, (void)token;
}

static tn_tensor *keep(const tn_model *m, tn_tape *t, int64_t layer, tn_tensor *x, tn_cache *cache)
{
    (void)m, (void)t, (void)layer, (void)cache;
    return x;
}

#define UNREADABLE(result) ((result) == TN_UNREADABLE ? REFUSAL : SUCCESS)
#define HOLDS_ERROR(result) CODE((result)->code)
#define LAYER(result) NONE((result).w)
#define TARGET(result) NONE((result).layer)

DROP(params, tn_params, tn_params_free)
DROP(model, tn_model, tn_model_free)
DROP(session, tn_session, tn_session_free)
DROP(reference, tn_reference, tn_reference_free)

#define NULL_ROWS "tests/nn/null.def"
#include "tests/support/null_rows.h"

START_TEST(every_function_has_a_row)
{
    null_rows_are_all(&table, "nn/nn.h");
    null_rows_are_all(&table, "nn/family.h");
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, null_is_refused, 0, table.rows);
    tcase_add_test(c, every_function_has_a_row);
}
