/* test_gpt.c - GPT-2: logits, losses and gradients are those of Transformers and PEFT in double. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/golden_model.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = sizeof(tn_real) == sizeof(double) ? 1e-10 : 1e-4;

typedef golden_model fixture;

static void open_fixture(fixture *f)
{
    golden_open(f, "gpt2", TOLERANCE);
}

static void close_fixture(fixture *f)
{
    golden_close(f);
}

START_TEST(base_model_is_that_of_transformers)
{
    fixture f;
    open_fixture(&f);
    ck_assert_int_eq(tn_params_size(f.m->params), 28544);
    golden_logits(&f, "logits.base");
    golden_loss(&f, "loss_base");
    golden_norms(&f, "transformer.");
    close_fixture(&f);
}
END_TEST

START_TEST(adapted_model_is_that_of_peft)
{
    fixture f;
    open_fixture(&f);
    golden_adapter(&f, 8);
    close_fixture(&f);
}
END_TEST

/* The numbers of a row depend neither on the other rows of the batch nor on the number of
   threads. */
START_TEST(rows_and_threads_change_no_bit)
{
    fixture f;
    open_fixture(&f);
    tn_real alone[10 * 64];
    int32_t ids[3][10];
    for (int b = 0; b < 3; b++)
        for (int i = 0; i < 10; i++)
            ids[b][i] = b == 1 ? f.ids[i] : (7 * b + 5 * i) % 64;
    for (int run = 0; run < 2; run++) {
        tn_tensor *in = tn_tape_input(f.t, TN_I32, 2, (int64_t[]){ run ? 3 : 1, 10 });
        memcpy(in->i, run ? ids[0] : ids[1], (size_t)tn_tensor_count(in) * sizeof(int32_t));
        tn_tensor *z = tn_model_logits(f.m, f.t, in);
        ck_assert_ptr_nonnull(z);
        if (!run)
            memcpy(alone, z->x, sizeof alone);
        else
            ck_assert_mem_eq(z->x + 640, alone, sizeof alone);
        tn_tape_reset(f.t);
    }
    close_fixture(&f);
}
END_TEST

/* As in GPT-2: the standard deviation is 0.02, and smaller in the layers at the end of attention
   and MLP; biases are 0, weights of norms 1. */
START_TEST(new_model_starts_as_gpt2)
{
    static const struct {
        const char *name;
        double std;
    } weights[] = {
        { "transformer.wte.weight", 0.02 },
        { "transformer.wpe.weight", 0.02 },
        { "transformer.h.1.attn.c_attn.weight", 0.02 },
        { "transformer.h.1.attn.c_proj.weight", 0.01 },
        { "transformer.h.1.mlp.c_fc.weight", 0.02 },
        { "transformer.h.1.mlp.c_proj.weight", 0.01 },
        { "transformer.h.1.mlp.c_fc.bias", 0 },
    };
    static const char text[] =
        "{\"model_type\":\"gpt2\",\"n_embd\":64,\"n_head\":2,\"n_layer\":2,\"vocab_size\":99}";
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 5 });
    const tn_json *config = tn_json_parse(text, sizeof text - 1, "config.json", 0, &e);
    tn_model *m = tn_model_new(c, config, 80, 79, &e);
    must(&e);
    ck_assert(m->vocab == 80 && m->end == 79 && m->tied && m->positions == 1024);
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        const tn_tensor *w = tn_params_find(m->params, weights[i].name)->w;
        double sum = 0, n = (double)tn_tensor_count(w);
        for (int64_t k = 0; k < tn_tensor_count(w); k++)
            sum += (double)w->x[k] * (double)w->x[k];
        ck_assert_double_eq_tol(sqrt(sum / n), weights[i].std, 0.05 * weights[i].std + 1e-9);
    }
    const tn_tensor *norm = tn_params_find(m->params, "transformer.ln_f.weight")->w;
    ck_assert(norm->x[0] == 1 && norm->x[63] == 1);
    tn_model_free(m);
    tn_json_free(config);
    tn_context_free(c);
}
END_TEST

START_TEST(too_many_positions_are_refused)
{
    fixture f;
    open_fixture(&f);
    int32_t ids[33] = { 0 };
    tn_batch b = { .rows = 1, .width = 33, .ids = ids, .labels = ids, .tokens = 33 };
    ck_assert_ptr_null(tn_model_loss(f.m, f.t, &b, 0));
    ck_assert_str_eq(tn_tape_error(f.t), "embed: 33 positions; the model has 32");
    close_fixture(&f);
}
END_TEST

/* Dropout changes a training loss, differs from draw to draw, and is off in evaluation. */
START_TEST(dropout_acts_in_training_only)
{
    fixture f;
    open_fixture(&f);
    double plain[4], dropped[4];
    for (int i = 0; i < 4; i++) {
        for (int on = 0; on < 2; on++) {
            f.m->dropout = on ? 0.3 : 0;
            if (i < 3)
                tn_tape_train(f.t, (uint64_t)(i < 2 ? 1 : 2));
            else
                tn_tape_eval(f.t);
            (on ? dropped : plain)[i] = (double)tn_model_loss(f.m, f.t, &f.batch, 0)->x[0];
            tn_tape_reset(f.t);
        }
    }
    ck_assert(plain[0] == plain[1] && plain[0] == plain[2] && plain[0] == plain[3]);
    ck_assert(dropped[0] == dropped[1] && dropped[0] != dropped[2] && dropped[0] != plain[0]);
    ck_assert(dropped[3] == plain[3]);
    close_fixture(&f);
}
END_TEST

/* Returns the hash of the gradients of two micro-batches. */
static uint64_t gradients(fixture *f, size_t *memory)
{
    uint64_t h = 0;
    tn_tape *t = tn_tape_new(f->c);
    tn_params_clear(f->m->params);
    for (uint64_t draw = 1; draw < 3; draw++) {
        tn_tape_reset(t);
        tn_tape_train(t, draw);
        ck_assert_int_eq(tn_backward(t, tn_model_loss(f->m, t, &f->batch, 46)), 0);
    }
    for (int64_t i = 0; i < tn_params_count(f->m->params); i++) {
        const tn_tensor *w = tn_params_at(f->m->params, i)->w;
        if (w->has_grad)
            h = tn_hash64(w->g, (size_t)tn_tensor_count(w) * sizeof *w->g, h);
    }
    *memory = tn_tape_memory(t);
    tn_tape_free(t);
    return h;
}

/* With dropout everywhere, for all weights and for adapters: recomputing gives the same bits and
   takes less memory. */
START_TEST(recomputing_blocks_changes_no_bit)
{
    fixture f;
    open_fixture(&f);
    f.m->dropout = 0.2;
    for (int adapted = 0; adapted < 2; adapted++) {
        uint64_t hash[2];
        size_t memory[2];
        if (adapted)
            tn_lora_add(f.m,
                        &(tn_lora_options){
                            .rank = 2, .alpha = 4, .dropout = 0.3, .targets = "all-linear" },
                        &f.e);
        must(&f.e);
        for (int64_t i = 0; i < tn_params_count(f.m->params); i++) {
            const tn_param *p = tn_params_at(f.m->params, i);
            if (strstr(p->name, "lora_B"))
                tn_fill_normal(p->w->x, tn_tensor_count(p->w), 0.1, 1, tn_stream(p->name));
        }
        for (int again = 0; again < 2; again++) {
            f.m->recompute = again;
            hash[again] = gradients(&f, &memory[again]);
            ck_assert(tn_model_activations(f.m, 1, 24, true) < (double)memory[again]);
        }
        ck_assert_uint_eq(hash[0], hash[1]);
        ck_assert_uint_lt(memory[1], memory[0]);
    }
    close_fixture(&f);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, base_model_is_that_of_transformers);
    tcase_add_test(c, adapted_model_is_that_of_peft);
    tcase_add_test(c, rows_and_threads_change_no_bit);
    tcase_add_test(c, new_model_starts_as_gpt2);
    tcase_add_test(c, too_many_positions_are_refused);
    tcase_add_test(c, dropout_acts_in_training_only);
    tcase_add_test(c, recomputing_blocks_changes_no_bit);
}
