/* test_sketch.c - sketches (models without weights), and the memory that models take.

   A sketch counts the same numbers as its model. A model that does not fit is refused before it is
   made. */
#include "nn/family.h"
#include "optim/optim.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char config[] = "{\"model_type\":\"gpt2\",\"n_layer\":%d,\"n_head\":4,\"n_embd\":%d,"
                             "\"n_positions\":512,\"vocab_size\":%d,\"tie_word_embeddings\":%s}";

/* clang-format off */
static const struct shape { int layers, width, vocab; bool tied; const char *targets; } shapes[] = {
    { 1, 8, 11, true, NULL },
    { 3, 16, 50, false, NULL },
    { 2, 64, 300, true, "c_attn" },
    { 3, 32, 40, false, "all-linear" },
    { 2, 32, 40, true, "c_attn.q,c_attn.v" },
};
/* clang-format on */

static char *folder_of(const struct shape *s)
{
    char text[512];
    char *folder = temporary();
    snprintf(text, sizeof text, config, s->layers, s->width, s->vocab, s->tied ? "true" : "false");
    put_file(folder, "config.json", text);
    return folder;
}

static void adapt(tn_model *m, const struct shape *s, tn_error *e)
{
    const tn_lora_options how = { .rank = 3, .alpha = 6, .targets = s->targets };
    if (s->targets)
        tn_lora_add(m, &how, e);
}

START_TEST(a_sketch_counts_like_the_model)
{
    tn_error e = { 0 };
    const struct shape *s = &shapes[_i];
    char *folder = folder_of(s);
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_model *m = tn_model_open(c, folder, &e), *k = tn_model_sketch(c, folder, &e);
    must(&e);
    adapt(m, s, &e);
    adapt(k, s, &e);
    must(&e);
    ck_assert(tn_params_is_sketch(k->params) && !tn_params_is_sketch(m->params));
    ck_assert_int_eq(tn_params_size(k->params), tn_params_size(m->params));
    ck_assert_int_eq(tn_params_trained(k->params), tn_params_trained(m->params));
    ck_assert_int_eq(tn_params_count(k->params), tn_params_count(m->params));
    for (int64_t i = 0; i < tn_params_count(m->params); i++) {
        const tn_param *a = tn_params_at(m->params, i), *b = tn_params_at(k->params, i);
        ck_assert_str_eq(a->name, b->name);
        ck_assert_mem_eq(a->w->dim, b->w->dim, sizeof a->w->dim);
        ck_assert_ptr_null(b->w->x);
    }
    ck_assert(tn_model_activations(k, 3, 7, true) == tn_model_activations(m, 3, 7, true));
    const tn_optim_options how = { .weight_decay = -1, .max_grad_norm = -1 };
    for (const tn_optim_def *const *def = tn_optims; *def; def++) {
        tn_optim *a = tn_optim_new(m->params, *def, &how, &e),
                 *b = tn_optim_new(k->params, *def, &how, &e);
        must(&e);
        ck_assert_uint_eq(tn_optim_state_bytes(a), tn_optim_state_bytes(b));
        ck_assert_uint_eq(tn_optim_scratch_bytes(a), tn_optim_scratch_bytes(b));
        ck_assert_int_eq(tn_optim_step(b), TN_ESTATE);
        tn_optim_free(a);
        tn_optim_free(b);
    }
    tn_model_free(m);
    tn_model_free(k);
    tn_context_free(c);
    discard(folder);
}
/* clang-format off */
END_TEST

/* Batches. The estimate is at most what the tape takes, and at least the share `trained` of it in
   training, `evaluated` in evaluation. A thread's tile of attention, 64 kB, is not part of it. */
static const struct step { struct shape shape; double dropout; int64_t rows, width; double trained, evaluated; } steps[] = {
    { { 6, 128, 100, true, NULL }, 0, 4, 64, 0.75, 0.96 },
    { { 6, 128, 100, true, "c_attn" }, 0, 4, 64, 0.75, 0.96 },
    { { 6, 128, 100, true, "all-linear" }, 0, 16, 128, 0.8, 0.99 },
    { { 12, 64, 100, false, NULL }, 0, 8, 128, 0.88, 0.98 },
    { { 12, 64, 100, true, "mlp.c_proj" }, 0, 8, 128, 0.88, 0.98 },
    { { 1, 64, 100, true, "c_attn" }, 0, 1, 512, 0.5, 0.95 },
    { { 4, 64, 100, true, NULL }, 0.1, 8, 64, 0.75, 0.95 },
    { { 1, 8, 11, true, "mlp.c_proj" }, 0, 1, 1, 0, 0 },
};
/* clang-format on */

START_TEST(activations_are_an_estimate_from_below)
{
    tn_error e = { 0 };
    const struct step *s = &steps[_i];
    const int64_t n = s->rows * s->width;
    char *folder = folder_of(&s->shape);
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_model *m = tn_model_open(c, folder, &e);
    must(&e);
    m->dropout = s->dropout;
    adapt(m, &s->shape, &e);
    must(&e);
    int32_t *ids = calloc((size_t)n, sizeof *ids);
    const tn_batch b = {
        .rows = s->rows, .width = s->width, .ids = ids, .labels = ids, .tokens = n
    };
    tn_tape *train = tn_tape_new(c), *eval = tn_tape_new(c);
    ck_assert_int_eq(tn_backward(train, tn_model_loss(m, train, &b, 0)), 0);
    tn_tape_eval(eval);
    tn_tensor *in = tn_tape_input(eval, TN_I32, 2, (int64_t[]){ s->rows, s->width });
    memcpy(in->i, ids, (size_t)n * sizeof *ids);
    ck_assert_ptr_nonnull(m->family->hidden(m, eval, in, NULL));
    const double trained =
        tn_model_activations(m, s->rows, s->width, true) / (double)tn_tape_memory(train);
    const double evaluated =
        tn_model_activations(m, s->rows, s->width, false) / (double)tn_tape_memory(eval);
    ck_assert_msg(trained <= 1 && trained >= s->trained, "of a step %g", trained);
    ck_assert_msg(evaluated <= 1 && evaluated >= s->evaluated, "of an evaluation %g", evaluated);
    free(ids);
    tn_tape_free(train);
    tn_tape_free(eval);
    tn_model_free(m);
    tn_context_free(c);
    discard(folder);
}
END_TEST

/* ---- the estimate of a step, and of an evaluation, beside the bytes that the tape counts ---- */

#define GPT                                                                                        \
    "{\"model_type\":\"gpt2\",\"n_layer\":4,\"n_head\":4,\"n_embd\":64,\"n_positions\":512,"       \
    "\"vocab_size\":300}"
#define LLAMA(type, vocab, more)                                                                   \
    "{\"model_type\":\"" type "\",\"hidden_size\":64,\"intermediate_size\":160,"                   \
    "\"num_hidden_layers\":4,\"num_attention_heads\":4,\"num_key_value_heads\":2,"                 \
    "\"rope_theta\":10000,\"max_position_embeddings\":512,\"vocab_size\":" vocab more "}"

/* targets NULL: all weights are trained */
typedef struct estimate {
    const char *config, *targets;
    bool again;
    double dropout; /* of the adapters */
    int64_t rows, width;
    bool dora;
} estimate;

static const estimate estimates[] = {
    { GPT, NULL, false, 0, 4, 64, false },
    { GPT, "c_attn", false, 0, 8, 128, false },
    { GPT, "all-linear", false, 0, 1, 512, false },
    { GPT, "all-linear", true, 0, 8, 128, false },
    { GPT, "all-linear", false, 0.1, 8, 64, false },
    { LLAMA("llama", "300", ""), "q_proj,v_proj", false, 0, 8, 128, false },
    { LLAMA("llama", "300", ""), "all-linear", false, 0, 1, 512, false },
    { LLAMA("llama", "300", ""), NULL, false, 0, 4, 64, false },
    { LLAMA("llama", "20000", ""), "q_proj,v_proj", false, 0, 8, 128,
      false }, /* the logits are most */
    { LLAMA("llama", "20000", ""), NULL, false, 0, 8, 128, false },
    { LLAMA("llama", "300", ""), "all-linear", true, 0, 8, 128, false },
    { LLAMA("llama", "300", ""), "all-linear", false, 0.1, 8, 64, false },
    { GPT, "all-linear", false, 0, 4, 64, true },
    { GPT, "c_attn", true, 0, 4, 64, true },
    { LLAMA("llama", "300", ""), "all-linear", false, 0, 8, 64, true },
    { LLAMA("llama", "300", ""), "all-linear", false, 0.1, 8, 64, true },
    { LLAMA("qwen3", "300", ",\"head_dim\":32"), "all-linear", false, 0, 8, 64, false },
    { LLAMA("gemma2", "300", ",\"head_dim\":16"), "all-linear", false, 0, 8, 64, false },
    { LLAMA("gemma2", "300", ",\"head_dim\":16"), "q_proj", true, 0, 8, 64, false },
    { LLAMA("phi3", "300", ",\"pad_token_id\":0"), "all-linear", false, 0, 8, 64, false },
};

static tn_model *open_estimated(tn_context *c, const estimate *s, tn_error *e)
{
    char *folder = temporary();
    put_file(folder, "config.json", s->config);
    tn_model *m = tn_model_open(c, folder, e);
    const tn_lora_options how = {
        .rank = 4, .alpha = 8, .targets = s->targets, .dropout = s->dropout, .dora = s->dora
    };
    if (m && s->targets)
        tn_lora_add(m, &how, e);
    must(e);
    m->recompute = s->again;
    discard(folder);
    return m;
}

/* As many rows as s says, each of the same tokens, on a tape. */
static void evaluate(const tn_model *m, const estimate *s, const int32_t *ids, tn_tape *t,
                     tn_error *e)
{
    const int32_t *rows[8];
    int64_t length[8], prompt[8];
    for (int i = 0; i < s->rows; i++) {
        rows[i] = ids;
        length[i] = s->width + 1;
        prompt[i] = 0;
    }
    tn_dataset *d = tn_dataset_records(s->rows, rows, length, prompt,
                                       &(tn_data_options){ .max_length = s->width }, e);
    must(e);
    tn_loader *l = tn_loader_new(d, &(tn_loader_options){ .batch = s->rows, .in_order = true }, e);
    tn_eval found;
    tn_evaluate(m, t, l, 0, &found, e);
    must(e);
    tn_loader_free(l);
    tn_dataset_free(d);
}

START_TEST(the_estimate_is_near)
{
    tn_error e = { 0 };
    const estimate *s = &estimates[_i];
    const int64_t rows = s->rows, width = s->width, n = rows * width;
    tn_context *c = tn_context_new(&(tn_options){ .threads = 2 });
    tn_model *m = open_estimated(c, s, &e);
    int32_t *ids = calloc((size_t)n + 1, sizeof *ids);
    const tn_batch b = { .rows = rows, .width = width, .ids = ids, .labels = ids, .tokens = n };
    tn_tape *train = tn_tape_new(c), *eval = tn_tape_new(c);
    ck_assert_int_eq(tn_backward(train, tn_model_loss(m, train, &b, 0)), 0);
    evaluate(m, s, ids, eval, &e);
    const double step = tn_model_activations(m, rows, width, true) +
                        tn_model_backward(m, rows, width) + tn_model_scratch(m, rows, width, true);
    const double pass =
        tn_model_activations(m, rows, width, false) + tn_model_scratch(m, rows, width, false);
    const size_t trained = tn_tape_memory(train);
    const double of_step = step / (double)trained;
    const double of_pass = pass / (double)tn_tape_memory(eval);
    const double least = s->dora ? 0.9 : 0.95;
    ck_assert_msg(of_step > least && of_step < 1.05, "of a step %g", of_step);
    /* With recompute a pass takes less than a step, whose memory it uses again. */
    ck_assert_msg(of_pass > (s->again ? 0.7 : least - 0.12) && of_pass < 1.05,
                  "of an evaluation %g", of_pass);
    /* An evaluation after a step uses its memory again. */
    evaluate(m, s, ids, train, &e);
    ck_assert_uint_le(tn_tape_memory(train), trained + trained / 20);
    free(ids);
    tn_tape_free(train);
    tn_tape_free(eval);
    tn_model_free(m);
    tn_context_free(c);
}
END_TEST

START_TEST(a_model_beyond_memory_is_refused)
{
    tn_error e = { 0 };
    char *folder = folder_of(&(struct shape){ 64, 1 << 18, 50257, true, NULL });
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    ck_assert_ptr_null(tn_model_open(c, folder, &e));
    must_fail(&e, TN_ENOMEM, "GB of memory");
    tn_model *k = tn_model_sketch(c, folder, &e);
    must(&e);
    ck_assert_int_gt(tn_params_size(k->params), (int64_t)1 << 45);
    tn_model_free(k);
    tn_context_free(c);
    discard(folder);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, a_sketch_counts_like_the_model, 0, sizeof shapes / sizeof *shapes);
    tcase_add_loop_test(c, activations_are_an_estimate_from_below, 0, sizeof steps / sizeof *steps);
    tcase_add_loop_test(c, the_estimate_is_near, 0, sizeof estimates / sizeof *estimates);
    tcase_add_test(c, a_model_beyond_memory_is_refused);
}
