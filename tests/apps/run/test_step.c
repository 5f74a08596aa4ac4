/* test_step.c - step.c in one process: a step of several batches, and the time of its update. */
#include "apps/run/run.h"
#include "nn/nn.h"
#include "tests/support/apps.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct trainer { /* keeps its address: a setup is in it */
    options o;
    setup s;
    run r;
} trainer;

/* A run on the records of the folder, all weights trained by SGD at the rate 0.1. */
static trainer *open_run(const char *batch, const char *batches)
{
    const char *const words[] = { "tenon",
                                  "train",
                                  "--model",
                                  "m",
                                  "--data",
                                  "r.jsonl",
                                  "--tokenizer",
                                  "chars",
                                  "--output-dir",
                                  "o",
                                  "--optimizer",
                                  "sgd",
                                  "--lr",
                                  "0.1",
                                  "--valid-split",
                                  "0",
                                  "--max-grad-norm",
                                  "0",
                                  "--batch-size",
                                  batch,
                                  "--grad-accumulation-steps",
                                  batches };
    enum { WORDS = sizeof words / sizeof *words };
    char *argv[WORDS];
    trainer *t = calloc(1, sizeof *t);
    tn_error e = { 0 };
    for (int i = 0; i < WORDS; i++)
        argv[i] = (char *)(uintptr_t)words[i];
    options_parse(&t->o, command_find("train"), WORDS, argv, &e);
    must(&e);
    setup_model(&t->s, &t->o, 0, &e);
    setup_both(&t->s, &t->o, &e);
    setup_train(&t->s, &t->o, &e);
    run_open(&t->r, &t->s, &t->o, &(recipe){ .optimizer = "sgd", .lr = 0.1, .set = t->o.opt }, &e);
    must(&e);
    return t;
}

static void close_run(trainer *t)
{
    run_close(&t->r);
    setup_close(&t->s);
    options_free(&t->o);
    free(t);
}

/* Batches of a step give the weights that one batch with all their rows gives, up to rounding. */
START_TEST(batches_are_one_large_batch)
{
    static const char *const cuts[][2] = { { "3", "4" }, { "1", "12" }, { "6", "2" } };
    const double near = sizeof(tn_real) == sizeof(double) ? 1e-12 : 1e-5;
    place p = place_make();
    trainer *one = open_run("12", "1"), *cut = open_run(cuts[_i][0], cuts[_i][1]);
    tn_error e = { 0 };
    run_event a, b;
    for (int k = 0; k < 3; k++) {
        run_step(&one->r, &a, &e);
        run_step(&cut->r, &b, &e);
        must(&e);
        ck_assert_double_eq_tol(a.loss, b.loss, near);
        ck_assert_double_eq_tol(a.grad_norm, b.grad_norm, near);
    }
    const tn_params *w = one->s.model->params, *v = cut->s.model->params;
    for (int64_t i = 0; i < tn_params_count(w); i++)
        for (int64_t k = 0; k < tn_tensor_count(tn_params_at(w, i)->w); k++)
            ck_assert_double_eq_tol((double)tn_params_at(w, i)->w->x[k],
                                    (double)tn_params_at(v, i)->w->x[k], near);
    close_run(one);
    close_run(cut);
    place_end(&p);
}
END_TEST

/* The sum of a step is that of the separate gradients in the order of the batches, to the bit. */
START_TEST(gradients_are_added_in_order)
{
    enum { BATCHES = 5 };
    place p = place_make();
    trainer *t = open_run("2", "5");
    tn_error e = { 0 };
    tn_params *w = t->s.model->params;
    tn_real *sum = NULL;
    int64_t n = 0, tokens = 0;
    for (int i = 0; i < BATCHES; i++) {
        tn_loader_seek(t->r.loader, i);
        tokens += tn_loader_next(t->r.loader)->tokens;
    }
    for (int i = 0; i < BATCHES; i++) {
        tn_loader_seek(t->r.loader, i);
        tn_tape_train(t->s.tape, (uint64_t)i);
        tn_params_clear(w);
        tn_tensor *loss = tn_model_loss(t->s.model, t->s.tape, tn_loader_next(t->r.loader), tokens);
        ck_assert_int_eq(tn_backward(t->s.tape, loss), 0);
        tn_tape_reset(t->s.tape);
        const tn_real *g = tn_params_gradients(w, &n, &e);
        sum = sum ? sum : calloc((size_t)n, sizeof *sum);
        for (int64_t k = 0; k < n; k++)
            sum[k] += g[k];
    }
    tn_params_clear(w);
    run_event step;
    run_step(&t->r, &step, &e);
    must(&e);
    ck_assert_int_eq(memcmp(sum, t->r.sum, (size_t)n * sizeof *sum), 0);
    free(sum);
    close_run(t);
    place_end(&p);
}
END_TEST

/* ---- times ---- */

enum { REST_MS = 3 };

static void rest(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = REST_MS * 1000000L }, NULL);
}

static void slow_update(tn_unit *u)
{
    (void)u;
    rest();
}

static void slow_op(void *ops, const tn_event *event)
{
    (void)event;
    rest();
    ++*(int *)ops;
}

static int check_times(void *ops, run *r, const run_event *step)
{
    (void)r;
    ck_assert_double_ge(step->update, 1e-3 * REST_MS);
    ck_assert_double_ge(step->seconds - step->update, 1e-3 * REST_MS * *(int *)ops);
    return 1; /* one step is enough */
}

/* The time of the update is that of the optimizer, and no time of an op is in it. */
START_TEST(an_update_has_its_time)
{
    static const tn_optim_def slow = { .name = "slow",
                                       .step = slow_update,
                                       .hyper = { { "lr", 1, TN_FROM_0, "" } } };
    place p = place_make();
    trainer *t = open_run("3", "2");
    tn_error e = { 0 };
    int ops = 0;
    tn_optim_free(t->r.optim);
    t->r.optim = tn_optim_new(t->s.model->params, &slow, NULL, &e);
    must(&e);
    tracer_count(&t->s.tracer, slow_op, &ops);
    ck_assert_int_eq(run_go(&t->r, check_times, &ops, &e), 1);
    must(&e);
    ck_assert_int_gt(ops, 0);
    close_run(t);
    place_end(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, batches_are_one_large_batch, 0, 3);
    tcase_add_test(c, gradients_are_added_in_order);
    tcase_add_test(c, an_update_has_its_time);
}
