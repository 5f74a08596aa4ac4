/* test_llama.c - Llama and its relatives: logits, losses and gradients.
   The golden values were made by an independent program in double. */
#include "nn/family.h"
#include "tests/support/fixtures.h"
#include "tests/support/golden_model.h"
#include "tests/support/small_model.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = sizeof(tn_real) == sizeof(double) ? 1e-10 : 1e-4;

static const char *const names[] = { "llama", "llama3", "qwen2", "qwen3",
                                     "gemma", "gemma2", "gemma3" };
enum { NAMES = sizeof names / sizeof *names };

START_TEST(base_model_is_as_expected)
{
    golden_model f;
    golden_open(&f, names[_i], TOLERANCE);
    golden_logits(&f, "logits.base");
    golden_loss(&f, "loss_base");
    golden_norms(&f, "");
    golden_close(&f);
}
END_TEST

START_TEST(adapted_model_is_as_expected)
{
    golden_model f;
    golden_open(&f, names[_i], TOLERANCE);
    golden_adapter(&f, 6 * f.m->layers);
    golden_close(&f);
}
END_TEST

/* Saved and opened again, with all that config.json says; and opened frozen: the same logits. */
START_TEST(saved_and_frozen_models_are_the_same)
{
    golden_model f;
    golden_open(&f, names[_i], TOLERANCE);
    char *folder = temporary();
    tn_model *m = f.m;
    tn_model_save(m, folder, TN_FILE_F32, &f.e);
    must(&f.e);
    tn_model *other[] = { open_model(f.c, folder),
                          tn_model_open_as(f.c, f.folder, &(tn_open_options){ .frozen = true },
                                           &f.e) };
    must(&f.e);
    for (int i = 0; i < 2; i++) {
        f.m = other[i];
        ck_assert(f.m->end == m->end && f.m->tied == m->tied && f.m->positions == m->positions);
        ck_assert_uint_eq(tn_params_base(f.m->params).config, tn_params_base(m->params).config);
        golden_logits(&f, "logits.base");
        tn_model_free(f.m);
    }
    f.m = m;
    discard(folder);
    golden_close(&f);
}
END_TEST

/* The same model as a GGUF file: other names, rows of q and k in another order, norms plus 1. */
START_TEST(gguf_files_are_the_same)
{
    char name[80];
    snprintf(name, sizeof name, "golden/tiny_models/%s/model.gguf", names[_i]);
    char *path = assets(name);
    if (!path)
        return;
    golden_model f;
    const bool gemma = strncmp(names[_i], "gemma", 5) == 0; /* 1 + w was rounded to float */
    golden_open(&f, names[_i], gemma && TOLERANCE < 1e-6 ? 1e-6 : TOLERANCE);
    tn_model *m = f.m;
    for (int frozen = 0; frozen < 2; frozen++) {
        f.m = tn_model_open_as(f.c, path, &(tn_open_options){ .frozen = frozen }, &f.e);
        must(&f.e);
        golden_logits(&f, "logits.base");
        tn_model_free(f.m);
    }
    f.m = m;
    free(path);
    golden_close(&f);
}
END_TEST

/* Token by token with a cache: the tokens of whole sequences. */
START_TEST(generation_follows_the_logits)
{
    enum { PROMPT = 5, MADE = 15 };
    golden_model f;
    golden_open(&f, names[_i], TOLERANCE);
    int32_t out[MADE], all[PROMPT + MADE], *outs[] = { out };
    const int32_t *prompts[] = { f.ids };
    const int64_t length[] = { PROMPT };
    int64_t made[1];
    const int32_t none[] = { -1 };
    tn_generate(f.m, 1, prompts, length,
                &(tn_sampling){ .max_tokens = MADE, .ends = none, .end_count = 1 }, outs, made,
                NULL, NULL, &f.e);
    must(&f.e);
    ck_assert_int_eq(made[0], MADE);
    memcpy(all, f.ids, PROMPT * sizeof *all);
    memcpy(all + PROMPT, out, sizeof out);
    tn_tensor *ids = tn_tape_input(f.t, TN_I32, 2, (int64_t[]){ 1, PROMPT + MADE });
    memcpy(ids->i, all, sizeof all);
    const tn_tensor *z = tn_model_logits(f.m, f.t, ids);
    ck_assert_msg(z != NULL, "%s", tn_tape_error(f.t));
    for (int i = 0; i < MADE; i++) {
        const tn_real *row = z->x + (PROMPT + i - 1) * f.m->vocab;
        for (int64_t k = 0; k < f.m->vocab; k++)
            ck_assert_msg((double)row[k] <= (double)row[out[i]] + 1e-4, "%s: token %d", f.folder,
                          i);
    }
    golden_close(&f);
}
END_TEST

/* Recomputed blocks give gradients with the same bits, in less memory. */
START_TEST(recomputing_blocks_changes_no_bit)
{
    golden_model f;
    golden_open(&f, names[_i], TOLERANCE);
    uint64_t hash[2];
    size_t memory[2];
    for (int again = 0; again < 2; again++) {
        f.m->recompute = again;
        f.m->dropout = 0.2;
        tn_tape *t = tn_tape_new(f.c);
        tn_params_clear(f.m->params);
        const tn_batch b = { .rows = 1, .width = 24, .ids = f.ids, .labels = f.ids, .tokens = 24 };
        ck_assert_msg(!tn_backward(t, tn_model_loss(f.m, t, &b, 0)), "%s", tn_tape_error(t));
        hash[again] = 0;
        for (int64_t i = 0; i < tn_params_count(f.m->params); i++) {
            const tn_tensor *w = tn_params_at(f.m->params, i)->w;
            hash[again] = tn_hash64(w->g, (size_t)tn_tensor_count(w) * sizeof *w->g, hash[again]);
        }
        memory[again] = tn_tape_memory(t);
        ck_assert(tn_model_activations(f.m, 1, 24, true) < (double)memory[again]);
        tn_tape_free(t);
    }
    ck_assert_uint_eq(hash[0], hash[1]);
    ck_assert_uint_lt(memory[1], memory[0]);
    golden_close(&f);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, base_model_is_as_expected, 0, NAMES);
    tcase_add_loop_test(c, adapted_model_is_as_expected, 0, NAMES);
    tcase_add_loop_test(c, saved_and_frozen_models_are_the_same, 0, NAMES);
    tcase_add_loop_test(c, gguf_files_are_the_same, 0, NAMES);
    tcase_add_loop_test(c, generation_follows_the_logits, 0, NAMES);
    tcase_add_loop_test(c, recomputing_blocks_changes_no_bit, 0, NAMES);
}
