/* test_llama.c - Llama and its relatives: logits, losses and gradients.
   The golden values were made by an independent program in double, or by Transformers and PEFT in
   double: smollm3, phi3, and gemma3_nested, whose folder is that of a model that also sees
   images. */
#include "nn/family.h"
#include "tests/support/fixtures.h"
#include "tests/support/golden_model.h"
#include "tests/support/scratch.h"
#include "tests/support/small_model.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = sizeof(tn_real) == sizeof(double) ? 1e-10 : 1e-4;

static const char *const names[] = { "llama",  "llama3", "qwen2",         "qwen3",   "gemma",
                                     "gemma2", "gemma3", "gemma3_nested", "smollm3", "phi3" };
enum { NAMES = sizeof names / sizeof *names, FILES = NAMES - 3 }; /* the last have no GGUF file */

/* Transformers computes the angles of rope in float. */
static double tolerance(int i)
{
    return i >= FILES && TOLERANCE < 1e-5 ? 1e-5 : TOLERANCE;
}

START_TEST(base_model_is_as_expected)
{
    golden_model f;
    golden_open(&f, names[_i], tolerance(_i));
    golden_logits(&f, "logits.base");
    golden_loss(&f, "loss_base");
    golden_norms(&f, "");
    golden_close(&f);
}
END_TEST

START_TEST(adapted_model_is_as_expected)
{
    golden_model f;
    golden_open(&f, names[_i], tolerance(_i));
    golden_adapter(&f, 6 * f.m->layers); /* three layers of each block, A and B */
    golden_close(&f);
}
END_TEST

/* Saved and opened again, with all that config.json says; and opened frozen: the same logits. */
START_TEST(saved_and_frozen_models_are_the_same)
{
    golden_model f;
    golden_open(&f, names[_i], tolerance(_i));
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
    golden_open(&f, names[_i], tolerance(_i));
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

/* ---- a model of text and images ---- */

static const char nested[] = GOLDEN "tiny_models/gemma3_nested/";

/* Writes a safetensors file again; in the names `from` becomes `to`. */
static void rename_tensors(const char *name, const char *from, const char *to, const char *out)
{
    tn_error e = { 0 };
    char path[128], names_there[128][128];
    tn_entry entries[128];
    snprintf(path, sizeof path, "%s%s", nested, name);
    tn_safetensors *file = tn_safetensors_open(path, &e);
    must(&e);
    const int64_t n = tn_safetensors_count(file);
    for (int64_t i = 0; i < n; i++) {
        entries[i] = *tn_safetensors_at(file, i);
        const char *at = strstr(entries[i].name, from);
        const int before = (int)(at ? at - entries[i].name : 0);
        snprintf(names_there[i], 128, "%.*s%s%s", before, entries[i].name, at ? to : "",
                 at ? at + strlen(from) : entries[i].name);
        entries[i].name = names_there[i];
    }
    tn_safetensors_write(out, entries, n, NULL, &e);
    must(&e);
    tn_safetensors_close(file);
}

/* Transformers before 4.52 had other paths in memory, so PEFT's names were others; and some files
   have the weights under the paths in memory. */
START_TEST(older_and_newer_names)
{
    golden_model f;
    scratch s;
    scratch_open(&s);
    golden_open(&f, "gemma3_nested", 1e-4);
    copy_file(nested, s.folder, "config.json");
    copy_file(nested, s.folder, "adapter_config.json");
    rename_tensors("model.safetensors", "language_model.model.", "model.language_model.",
                   scratch_path(&s, "model.safetensors"));
    rename_tensors("adapter_model.safetensors", "model.language_model.", "language_model.model.",
                   scratch_path(&s, "adapter_model.safetensors"));
    tn_model_free(f.m);
    f.m = tn_model_open(f.c, s.folder, &f.e);
    must(&f.e);
    golden_logits(&f, "logits.base");
    tn_adapter_open(f.m, s.folder, &f.e);
    must(&f.e);
    golden_logits(&f, "logits.lora");
    golden_close(&f);
    scratch_close(&s);
}
END_TEST

/* An adapter is saved with the names that PEFT gave it, and without layers for images. */
START_TEST(adapters_have_the_names_of_peft)
{
    golden_model f;
    scratch s;
    scratch_open(&s);
    golden_open(&f, "gemma3_nested", 1e-4);
    char path[128];
    snprintf(path, sizeof path, "%sadapter_model.safetensors", nested);
    tn_adapter_open(f.m, f.folder, &f.e);
    must(&f.e);
    ck_assert_msg(!f.m->note, "%s", f.m->note);
    tn_adapter_save(f.m, s.folder, TN_FILE_F32, &f.e);
    tn_safetensors *peft = tn_safetensors_open(path, &f.e),
                   *ours = tn_safetensors_open(scratch_path(&s, "adapter_model.safetensors"), &f.e);
    must(&f.e);
    ck_assert_int_eq(tn_safetensors_count(ours), tn_safetensors_count(peft));
    for (int64_t i = 0; i < tn_safetensors_count(peft); i++)
        ck_assert_ptr_nonnull(tn_safetensors_find(ours, tn_safetensors_at(peft, i)->name));
    const tn_json *config = tn_json_read(scratch_path(&s, "adapter_config.json"), &f.e);
    must(&f.e);
    ck_assert_str_eq(tn_json_find(config, "exclude_modules")->text, ".*vision_tower.*");
    tn_json_free(config);
    tn_safetensors_close(peft);
    tn_safetensors_close(ours);
    golden_close(&f);
    scratch_close(&s);
}
END_TEST

/* Recomputed blocks give gradients with the same bits, in less memory. */
START_TEST(recomputing_blocks_changes_no_bit)
{
    golden_model f;
    golden_open(&f, names[_i], tolerance(_i));
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
    tcase_add_loop_test(c, gguf_files_are_the_same, 0, FILES);
    tcase_add_loop_test(c, generation_follows_the_logits, 0, NAMES);
    tcase_add_test(c, older_and_newer_names);
    tcase_add_test(c, adapters_have_the_names_of_peft);
    tcase_add_loop_test(c, recomputing_blocks_changes_no_bit, 0, NAMES);
}
