/* test_checkpoint_check.c - checkpoints with right checksums but wrong numbers, or another base. */
#include "optim/run/trainer_state.h"
#include "tests/support/fixtures.h"
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The golden pair and a frozen base, after one step. */
static void make(problem *p, const char *optimizer)
{
    golden_problem(p, false, 0);
    tn_fill_uniform(tn_params_add(p->params, "base", 2, (int64_t[]){ 3, 4 })->x, 12, 0.5, 1, 3);
    tn_params_freeze(p->params, "base");
    problem_optimizer(p, optimizer, "", -1);
    golden_gradients(p);
    problem_step(p);
}

static void save(problem *p, const char *folder, int64_t step)
{
    tn_error e = { 0 };
    tn_checkpoint_save(folder, p->params, p->optim, &(tn_run_state){ .step = step, .best = NAN }, 5,
                       &e);
    must(&e);
}

/* A number that is not finite in a file with right hashes. It is the first or the last number of
   the file. A `wide` number is a double. The text names the tensor. */
/* clang-format off */
static const struct { const char *optimizer, *file; double number; bool last, wide; const char *text; } not_finite[] = {
    { "adamw", "model.safetensors", INFINITY, true, false, "layer0.lora_B.weight holds inf at element 9;" },
    { "adamw", "model.safetensors", NAN, false, false, "layer0.lora_A.weight holds nan at element 0;" },
    { "adamw", "optimizer.safetensors", NAN, true, false, "v.layer0.lora_B.weight holds nan at element 9;" },
    { "adamw", "optimizer.safetensors", -INFINITY, false, false, "m.layer0.lora_A.weight holds -inf at element 0;" },
    { "lora-rite", "optimizer.safetensors", INFINITY, false, true, "holds inf at element 0;" }, /* double */
};
/* clang-format on */

START_TEST(numbers_that_are_not_finite_are_refused)
{
    char *folder = temporary(), path[600];
    problem p;
    make(&p, not_finite[_i].optimizer);
    save(&p, folder, 1);
    snprintf(path, sizeof path, "%s/checkpoint-1", folder);
    tn_error e = { 0 };
    tn_state s;
    tn_state_load(path, &s, &e);
    snprintf(path, sizeof path, "%s/checkpoint-1/%s", folder, not_finite[_i].file);
    size_t size;
    char *bytes = tn_file_read(path, 1 << 20, &size, &e);
    must(&e);
    const bool wide = not_finite[_i].wide;
    const tn_real real = (tn_real)not_finite[_i].number;
    const size_t width = wide ? sizeof(double) : sizeof real;
    uint64_t header;
    memcpy(&header, bytes, sizeof header);
    memcpy(bytes + (not_finite[_i].last ? size - width : 8 + header),
           wide ? (const void *)&not_finite[_i].number : &real, width);
    tn_file_write(path, bytes, size, &e);
    free(bytes);
    snprintf(path, sizeof path, "%s/checkpoint-1", folder);
    tn_state_save(path, &s, &e);
    must(&e);
    const uint64_t before = state_hash(p.params, p.optim);
    tn_checkpoint_load(folder, p.params, p.optim, &(tn_run_state){ 0 }, &e);
    must_fail(&e, TN_EFORMAT, not_finite[_i].text);
    ck_assert(state_hash(p.params, p.optim) == before);
    problem_free(&p);
    discard(folder);
}
END_TEST

/* The same without the run: somebody opens only the weights. */
START_TEST(a_checkpoint_is_checked_by_itself)
{
    char *folder = temporary(), path[600], file[700];
    problem p;
    tn_error e = { 0 };
    make(&p, "adamw");
    save(&p, folder, 1);
    snprintf(path, sizeof path, "%s/checkpoint-1", folder);
    tn_checkpoint_check(path, p.params, &e);
    must(&e);
    tn_params_find(p.params, "layer0.lora_A.weight")->lora_scale = 2;
    tn_checkpoint_check(path, p.params, &e);
    must_fail(&e, TN_EARG, "another scale of LoRA");
    tn_params_find(p.params, "layer0.lora_A.weight")->lora_scale = 1.5;
    tn_params_find(p.params, "base")->w->x[5] *= -1;
    tn_checkpoint_check(path, p.params, &e);
    must_fail(&e, TN_EARG, "a base model with other frozen weights");
    save(&p, folder, 2); /* the base is hashed only at the first save: a run does not change it */
    snprintf(path, sizeof path, "%s/checkpoint-2", folder);
    tn_checkpoint_check(path, p.params, &e);
    must_fail(&e, TN_EARG, "a base model with other frozen weights");
    tn_params_find(p.params, "base")->w->x[5] *= -1;
    tn_checkpoint_check(path, p.params, &e);
    must(&e);
    snprintf(file, sizeof file, "%s/optimizer.safetensors", path);
    ck_assert_int_eq(truncate(file, 100), 0);
    tn_checkpoint_check(path, p.params, &e);
    must_fail(&e, TN_EFORMAT, "its checksum is");
    tn_checkpoint_check(folder, p.params, &e);
    must_fail(&e, TN_EIO, "trainer_state.json");
    problem_free(&p);
    discard(folder);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, numbers_that_are_not_finite_are_refused, 0,
                        sizeof not_finite / sizeof *not_finite);
    tcase_add_test(c, a_checkpoint_is_checked_by_itself);
}
