/* test_checkpoint_save.c - what the files of a checkpoint hold, and when none are written. */
#include "tests/support/fixtures.h"
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Two pairs and a bias that are trained, and a frozen base, after one step. */
static void make(problem *p, const char *optimizer)
{
    problem_new(p, 2, (const pair_size[]){ { 7, 5, 2, 2 }, { 6, 9, 3, 1.0 / 3 } }, 0);
    tn_params_add(p->params, "bias", 1, (int64_t[]){ 5 });
    tn_params_add(p->params, "base", 2, (int64_t[]){ 3, 4 });
    for (int64_t i = 0; i < tn_params_count(p->params); i++) {
        tn_tensor *w = tn_params_at(p->params, i)->w;
        tn_fill_uniform(w->x, tn_tensor_count(w), 0.5, 1, (uint64_t)i);
    }
    tn_params_freeze(p->params, "base");
    problem_optimizer(p, optimizer, "", -1);
    for (int i = 0; i < p->pairs; i++)
        problem_gradients(p, i, (double[54]){ 0 }, 1);
    problem_step(p);
}

/* Saves into a folder as step 3, and opens a file of the checkpoint. */
static tn_safetensors *saved(problem *p, const char *folder, const char *file)
{
    tn_error e = { 0 };
    char path[600];
    tn_checkpoint_save(folder, p->params, p->optim, &(tn_run_state){ .step = 3 }, 1, &e);
    snprintf(path, sizeof path, "%s/checkpoint-3/%s", folder, file);
    tn_safetensors *s = tn_safetensors_open(path, &e);
    must(&e);
    return s;
}

static tn_file_type real_type(void)
{
    return sizeof(tn_real) == sizeof(float) ? TN_FILE_F32 : TN_FILE_F64;
}

/* model.safetensors has every trained weight, bit for bit, and no frozen weight. */
START_TEST(trained_weights_alone_are_saved)
{
    char *folder = temporary();
    problem p;
    make(&p, "lora-rite");
    tn_params_find(p.params, "base")->w->x[5] = (tn_real)NAN; /* frozen, so not checked */
    tn_safetensors *s = saved(&p, folder, "model.safetensors");
    ck_assert_int_eq(tn_safetensors_count(s), 5);
    ck_assert_ptr_null(tn_safetensors_find(s, "base"));
    for (int64_t i = 0; i < tn_params_count(p.params); i++) {
        const tn_param *a = tn_params_at(p.params, i);
        const tn_entry *x = tn_safetensors_find(s, a->name);
        if (!a->w->wants_grad)
            continue;
        ck_assert_ptr_nonnull(x);
        ck_assert(x->type == real_type() && x->ndim == a->w->ndim);
        for (int k = 0; k < x->ndim; k++)
            ck_assert_int_eq(x->dim[k], a->w->dim[k]);
        ck_assert_mem_eq(x->bytes, a->w->x, x->size);
    }
    tn_safetensors_close(s);
    problem_free(&p);
    discard(folder);
}
END_TEST

/* The metadata has the scale of each factor, as a number that is read back exactly, and nothing
   else. */
START_TEST(factors_have_their_scale)
{
    char *folder = temporary();
    problem p;
    make(&p, "adamw");
    tn_safetensors *s = saved(&p, folder, "model.safetensors");
    int scales = 0;
    for (int64_t i = 0; i < tn_params_count(p.params); i++) {
        const tn_param *a = tn_params_at(p.params, i);
        const char *text = tn_safetensors_metadata(s, a->name);
        ck_assert_int_eq(text != NULL, a->lora_scale != 0);
        if (text)
            ck_assert(strtod(text, NULL) == a->lora_scale);
        scales += text != NULL;
    }
    ck_assert_int_eq(scales, 4);
    tn_safetensors_close(s);
    problem_free(&p);
    discard(folder);
}
END_TEST

/* State has a name, a type (double if the optimizer keeps doubles) and a length. */
START_TEST(state_is_saved_by_name)
{
    char *folder = temporary();
    problem p;
    make(&p, "lora-rite");
    tn_safetensors *s = saved(&p, folder, "optimizer.safetensors");
    ck_assert_str_eq(tn_safetensors_metadata(s, "optimizer"), "lora-rite");
    ck_assert_int_eq(tn_safetensors_find(s, "v.A.layer1")->type, TN_FILE_F64);
    ck_assert_int_eq(tn_safetensors_find(s, "v.A.layer1")->dim[0], 9);
    ck_assert_int_eq(tn_safetensors_find(s, "d.layer1.lora_A.weight")->dim[0], 27);
    ck_assert_int_eq(tn_safetensors_find(s, "m.bias")->type, real_type());
    tn_state_block block;
    int64_t blocks = 0;
    for (; tn_optim_state(p.optim, blocks, &block); blocks++) {
        const tn_entry *x = tn_safetensors_find(s, block.name);
        ck_assert_msg(x && tn_entry_count(x) == block.n, "%s", block.name);
        ck_assert_mem_eq(x->bytes, block.data, x->size);
    }
    ck_assert_int_eq(tn_safetensors_count(s), blocks);
    tn_safetensors_close(s);
    problem_free(&p);
    discard(folder);
}
END_TEST

START_TEST(a_save_that_fails_says_so)
{
    char *folder = temporary();
    problem p;
    make(&p, "sgd");
    put_file(folder, "file", "");
    char path[600];
    snprintf(path, sizeof path, "%s/file", folder);
    tn_error e = { 0 };
    tn_run_state r = { .step = 1 };
    tn_checkpoint_save(path, p.params, p.optim, &r, 2, &e); /* the path is a file, not a folder */
    must_fail(&e, TN_EIO, "cannot make this folder");
    snprintf(path, sizeof path, "%s/none/below", folder);
    tn_checkpoint_save(path, p.params, p.optim, &r, 2, &e);
    must_fail(&e, TN_EIO, "cannot make this folder");
    problem_free(&p);
    make(&p, "adamw");
    p.b[0]->x[3] = (tn_real)NAN; /* no run could resume from it */
    tn_checkpoint_save(folder, p.params, p.optim, &r, 2, &e);
    must_fail(&e, TN_ENONFINITE, "step 1 left the weight layer0.lora_B.weight not finite");
    p.b[0]->x[3] = 0;
    tn_state_block block;
    ck_assert(tn_optim_state(p.optim, 1, &block) && block.real);
    ((tn_real *)block.data)[block.n - 1] = (tn_real)INFINITY;
    tn_checkpoint_save(folder, p.params, p.optim, &r, 2, &e);
    must_fail(&e, TN_ENONFINITE, block.name);
    ck_assert_int_eq(tn_checkpoint_newest(folder, 0, &e), -1);
    problem_free(&p);
    discard(folder);
}
END_TEST

static double peak(void)
{
    struct rusage usage;
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return 1024.0 * (double)usage.ru_maxrss;
}

/* To write files, to hash them and to read them back takes no memory of their size. */
START_TEST(files_take_no_memory)
{
    enum { NUMBERS = 8 << 20 };
    char *folder = temporary();
    tn_error e = { 0 };
    tn_run_state r = { .step = 3 };
    problem p;
    problem_new(&p, 1, (const pair_size[]){ { 7, 5, 2, 2 } }, 0);
    tn_tensor *w = tn_params_add(p.params, "large", 2, (int64_t[]){ NUMBERS / 1024, 1024 });
    tn_fill_uniform(w->x, NUMBERS, 0.5, 1, 7);
    problem_optimizer(&p, "adamw", "", -1);
    tn_state_block block;
    for (int64_t i = 0; tn_optim_state(p.optim, i, &block); i++)
        for (int64_t k = 0; k < block.n && block.real; k++)
            ((tn_real *)block.data)[k] = 1;
    const double before = peak();
    tn_checkpoint_save(folder, p.params, p.optim, &r, 1, &e);
    must(&e);
    ck_assert_double_lt(peak() - before, 0.5 * NUMBERS * sizeof(tn_real));
    tn_checkpoint_load(folder, p.params, p.optim, &r, &e);
    must(&e);
    ck_assert_double_lt(peak() - before, 1.5 * NUMBERS * sizeof(tn_real));
    problem_free(&p);
    discard(folder);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, trained_weights_alone_are_saved);
    tcase_add_test(c, factors_have_their_scale);
    tcase_add_test(c, state_is_saved_by_name);
    tcase_add_test(c, a_save_that_fails_says_so);
    tcase_add_test(c, files_take_no_memory);
}
