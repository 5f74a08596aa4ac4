/* test_checkpoint.c - a run resumes bit for bit after any step; damaged files are refused. */
#include "optim/run/trainer_state.h"
#include "tests/support/fixtures.h"
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const pair_size sizes[] = { { 7, 5, 2, 2 }, { 6, 9, 3, 0.5 } };

/* Two pairs and a bias are trained by `def`. Another weight is frozen. */
static void make(problem *p, const tn_optim_def *def, int threads)
{
    problem_new(p, 2, sizes, 3);
    tn_params_free(p->params);
    tn_context_free(p->context);
    p->context = tn_context_new(&(tn_options){ .threads = threads });
    p->params = tn_params_new(p->context);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++) {
            char name[64];
            snprintf(name, sizeof name, "layer%d.lora_%c.weight", i, "BA"[k]);
            int64_t dim[2] = { k ? sizes[i].r : sizes[i].out, k ? sizes[i].in : sizes[i].r };
            tn_tensor *w = tn_params_add(p->params, name, 2, dim);
            tn_fill_uniform(w->x, dim[0] * dim[1], 0.5, 1, tn_stream(name));
            *(k ? &p->a[i] : &p->b[i]) = w;
        }
    tn_fill_uniform(tn_params_add(p->params, "bias", 1, (int64_t[]){ 5 })->x, 5, 0.5, 1, 2);
    tn_fill_uniform(tn_params_add(p->params, "base", 2, (int64_t[]){ 3, 4 })->x, 12, 0.5, 1, 3);
    tn_params_freeze(p->params, "base");
    tn_error e = { 0 };
    const char *momentum[] = { "momentum=0.9", NULL };
    p->optim =
        tn_optim_new(p->params, def,
                     &(tn_optim_options){ .lr = 0.02,
                                          .weight_decay = def->decay ? 0.01 : -1,
                                          .max_grad_norm = -1,
                                          .set = strcmp(def->name, "sgd") ? NULL : momentum },
                     &e);
    must(&e);
}

static void step(problem *p, int64_t k)
{
    for (int i = 0; i < 2; i++) {
        double target[54];
        for (int j = 0; j < 54; j++)
            target[j] = cos(0.3 * j + (double)k + i);
        problem_gradients(p, i, target, 1);
    }
    tn_tensor *bias = tn_params_find(p->params, "bias")->w;
    for (int j = 0; j < 5; j++)
        bias->g[j] = (tn_real)sin(j + (double)k);
    bias->has_grad = true;
    problem_step(p);
}

static void save(problem *p, const char *folder, int64_t at, int keep)
{
    tn_error e = { 0 };
    tn_run_state r = { .step = at,
                       .batches = 2 * at,
                       .best = at == 3 ? NAN : 0.1 * (double)at,
                       .options_hash = 77,
                       .tokens = 1000 * at };
    tn_checkpoint_save(folder, p->params, p->optim, &r, keep, &e);
    must(&e);
}

START_TEST(resumes_exactly_after_every_step)
{
    enum { STEPS = 6 };
    for (const tn_optim_def *const *def = tn_optims; *def; def++) {
        char *folder = temporary();
        problem whole;
        make(&whole, *def, 1);
        uint64_t end[STEPS + 1] = { state_hash(whole.params, whole.optim) };
        for (int64_t k = 1; k <= STEPS; k++) {
            step(&whole, k);
            end[k] = state_hash(whole.params, whole.optim);
            save(&whole, folder, k, STEPS);
        }
        for (int64_t k = 1; k <= STEPS; k++) {
            problem again;
            make(&again, *def, 1 + (int)(k % 3));
            char path[600];
            snprintf(path, sizeof path, "%s/checkpoint-%d", folder, (int)k);
            tn_error e = { 0 };
            tn_run_state r = { .options_hash = 77 };
            tn_checkpoint_load(path, again.params, again.optim, &r, &e);
            must(&e);
            ck_assert_int_eq(r.step, k);
            ck_assert_int_eq(r.batches, 2 * k);
            ck_assert_int_eq(r.tokens, 1000 * k);
            ck_assert(k == 3 ? isnan(r.best) : r.best == 0.1 * (double)k);
            ck_assert_int_eq(tn_optim_steps(again.optim), k);
            ck_assert_msg(state_hash(again.params, again.optim) == end[k],
                          "%s: step %d is not what was saved", (*def)->name, (int)k);
            for (int64_t j = k + 1; j <= STEPS; j++) {
                step(&again, j);
                ck_assert_msg(state_hash(again.params, again.optim) == end[j],
                              "%s: saved after %d, differs at %d", (*def)->name, (int)k, (int)j);
            }
            problem_free(&again);
        }
        problem_free(&whole);
        discard(folder);
    }
}
END_TEST

/* Loads the checkpoint. This must be refused with a text that contains `part`, and change
   nothing. */
static void refused(problem *p, const char *folder, int code, const char *part)
{
    uint64_t before = state_hash(p->params, p->optim);
    tn_error e = { 0 };
    tn_run_state r = { .options_hash = 77 };
    tn_checkpoint_load(folder, p->params, p->optim, &r, &e);
    must_fail(&e, code, part);
    ck_assert(state_hash(p->params, p->optim) == before);
}

START_TEST(damaged_files_are_refused)
{
    static const char *const files[] = { "model.safetensors", "optimizer.safetensors",
                                         "trainer_state.json" };
    for (int f = 0; f < 3; f++)
        for (int how = 0; how < 12; how++) {
            char *folder = temporary(), path[600];
            problem p;
            make(&p, tn_optim_find("lora-rite"), 1);
            step(&p, 1);
            save(&p, folder, 1, 5);
            step(&p, 2);
            save(&p, folder, 2, 5);
            snprintf(path, sizeof path, "%s/checkpoint-2/%s", folder, files[f]);
            size_t size;
            tn_error e = { 0 };
            char *bytes = tn_file_read(path, 1 << 20, &size, &e);
            must(&e);
            size_t keep = how == 0   ? 0
                          : how == 1 ? size / 2
                          : how == 2 ? size - 1
                                     : size + (how == 3);
            if (how > 3) /* one bit changes, at eight places */
                bytes[size * (size_t)(how - 4) / 8] ^= (char)(1 << (how % 8));
            FILE *out = fopen(path, "wb");
            ck_assert_ptr_nonnull(out);
            ck_assert_uint_eq(fwrite(bytes, 1, keep, out), keep);
            ck_assert_int_eq(fclose(out), 0);
            refused(&p, folder, TN_EFORMAT, "the one before is checkpoint-1");
            free(bytes);
            problem_free(&p);
            discard(folder);
        }
}
END_TEST

START_TEST(a_missing_file_is_refused)
{
    char *folder = temporary(), path[600];
    problem p;
    make(&p, tn_optim_find("adamw"), 1);
    refused(&p, folder, TN_EIO, "there is no checkpoint in it");
    save(&p, folder, 1, 5);
    snprintf(path, sizeof path, "%s/checkpoint-1/optimizer.safetensors", folder);
    ck_assert_int_eq(unlink(path), 0);
    refused(&p, folder, TN_EIO, "optimizer.safetensors");
    snprintf(path, sizeof path, "%s/checkpoint-1", folder);
    refused(&p, path, TN_EIO, "optimizer.safetensors");
    problem_free(&p);
    discard(folder);
}
END_TEST

START_TEST(another_run_is_refused)
{
    char *folder = temporary();
    problem p, other;
    make(&p, tn_optim_find("adamw"), 1);
    step(&p, 1);
    save(&p, folder, 1, 5);
    make(&other, tn_optim_find("adam"), 1);
    refused(&other, folder, TN_EARG, "a run with adamw, this one has adam");
    problem_free(&other);
    make(&other, tn_optim_find("adamw"), 1);
    tn_error e = { 0 };
    tn_run_state r = { .options_hash = 78 };
    tn_checkpoint_load(folder, other.params, other.optim, &r, &e);
    must_fail(&e, TN_EARG, "other options");
    tn_optim_free(other.optim);
    tn_params_freeze(other.params, "bias"); /* trains fewer weights */
    other.optim = tn_optim_new(other.params, tn_optim_find("adamw"),
                               &(tn_optim_options){ .weight_decay = -1 }, &e);
    refused(&other, folder, TN_EFORMAT, "holds 5 weights, expected the 4 that are trained");
    problem_free(&other);
    golden_problem(&other, false, 0); /* other shapes */
    problem_optimizer(&other, "adamw", "", 0);
    refused(&other, folder, TN_EFORMAT, "layer0.lora_A.weight has 10 numbers");
    problem_free(&other);
    other = (problem){ .context = tn_context_new(NULL) };
    other.params = tn_params_new(other.context);
    tn_params_add(other.params, "layer0.lora_A.weight", 2, (int64_t[]){ 5, 2 }); /* was (2,5) */
    problem_optimizer(&other, "adamw", "", 0);
    refused(&other, folder, TN_EFORMAT, "(or the shape differs)");
    problem_free(&other);
    problem_free(&p);
    discard(folder);
}
END_TEST

/* The trained weights have the same names and shapes, but the frozen weights are others. */
START_TEST(another_base_is_refused)
{
    char *folder = temporary();
    problem p, other;
    make(&p, tn_optim_find("adamw"), 1);
    tn_params_describe(p.params, "heads 2");
    step(&p, 1);
    save(&p, folder, 1, 5);
    make(&other, tn_optim_find("adamw"), 1);
    refused(&other, folder, TN_EARG, "a model with another config");
    tn_params_describe(other.params, "heads 4");
    refused(&other, folder, TN_EARG, "a model with another config");
    tn_params_describe(other.params, "heads 2");
    tn_params_find(other.params, "layer1.lora_A.weight")->lora_scale = 2;
    refused(&other, folder, TN_EARG, "another scale of LoRA");
    tn_params_find(other.params, "layer1.lora_A.weight")->lora_scale = 0;
    tn_tensor *base = tn_params_find(other.params, "base")->w;
    for (int i = 0; i < 2; i++) { /* two signs change, as if a row was negated */
        base->x[5 + i] *= -1;
        refused(&other, folder, TN_EARG, "a base model with other frozen weights");
    }
    base->x[5] *= -1;
    base->x[6] *= -1;
    tn_error e = { 0 };
    tn_run_state r = { .options_hash = 77 };
    tn_checkpoint_load(folder, other.params, other.optim, &r, &e);
    must(&e);
    ck_assert(state_hash(p.params, p.optim) == state_hash(other.params, other.optim));
    problem_free(&other);
    problem_free(&p);
    discard(folder);
}
END_TEST

/* checkpoint-2 is renamed to another number, then opened by its own name with and without a
   slash. */
START_TEST(a_renamed_checkpoint_is_refused)
{
    char *folder = temporary(), from[600], to[600];
    problem p;
    make(&p, tn_optim_find("adamw"), 1);
    save(&p, folder, 1, 5);
    save(&p, folder, 2, 5);
    snprintf(from, sizeof from, "%s/checkpoint-2", folder);
    snprintf(to, sizeof to, "%s/checkpoint-30", folder);
    ck_assert_int_eq(rename(from, to), 0);
    refused(&p, folder, TN_EFORMAT, "step is 2; expected 30, the number of its folder");
    refused(&p, folder, TN_EFORMAT, "the one before is checkpoint-1");
    refused(&p, to, TN_EFORMAT, "step is 2; expected 30");
    strcat(to, "/");
    refused(&p, to, TN_EFORMAT, "step is 2; expected 30");
    problem_free(&p);
    discard(folder);
}
END_TEST

/* A run that was saved when the optimizer had its other name. */
START_TEST(a_checkpoint_under_the_second_name_resumes)
{
    const tn_optim_def *def = tn_optim_find("projected-gd");
    tn_optim_def before = *def, other = *def;
    before.name = def->also;
    other.name = "another";
    char *folder = temporary();
    problem saved, again;
    tn_error e = { 0 };
    make(&saved, &before, 1);
    step(&saved, 1);
    save(&saved, folder, 1, 1);
    make(&again, def, 1);
    tn_run_state r = { .options_hash = 77 };
    tn_checkpoint_load(folder, again.params, again.optim, &r, &e);
    must(&e);
    ck_assert(state_hash(saved.params, saved.optim) == state_hash(again.params, again.optim));
    problem_free(&again);
    other.also = NULL;
    make(&again, &other, 1);
    ck_assert_int_ne(tn_checkpoint_load(folder, again.params, again.optim, &r, &e), 0);
    problem_free(&again);
    problem_free(&saved);
    discard(folder);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, a_checkpoint_under_the_second_name_resumes);
    tcase_add_test(c, resumes_exactly_after_every_step);
    tcase_add_test(c, damaged_files_are_refused);
    tcase_add_test(c, a_missing_file_is_refused);
    tcase_add_test(c, another_run_is_refused);
    tcase_add_test(c, another_base_is_refused);
    tcase_add_test(c, a_renamed_checkpoint_is_refused);
}
