/* test_watch.c - the rule that stops a run that diverges: it fires on made divergences and on no healthy curve. */
#include "apps/run/watch.h"
#include "tests/support/apps.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- made curves ---- */

typedef struct curve {
    const char *what;
    double start, end, noise; /* losses go from start to end in 40 steps, and vary by noise */
    double jump, back;        /* from step `at` on they are higher by jump, which falls to back */
    int at, fires;            /* fires: 0 never, 1 within 20 steps of `at` */
} curve;

/* clang-format off */
static const curve curves[] = {
    { "falls",                       4,   0.5, 0.1, 0,  0, 0,   0 },
    { "falls to nothing",            4,   0,   0,   0,  0, 0,   0 },
    { "varies and does not fall",    8,   8,   2,   0,  0, 0,   0 },
    { "one batch is bad",            4,   1,   0.1, 9,  0, 99,  0 }, /* `at` of 99: one step */
    { "spoilt by its first step",    3.6, 3.0, 0.3, 7,  3, 2,   1 },
    { "spoilt in its warm-up",       4,   2,   0.3, 6,  4, 6,   1 },
    { "spoilt late",                 4,   0.5, 0.2, 5,  3, 150, 1 },
    { "a small spike late",          4,   0.5, 0.1, 2,  1, 150, 1 },
    { "rises a little late",         4,   0.5, 0.1, 0.3, 0.3, 150, 0 },
};
/* clang-format on */

static double next_random(uint64_t *seed) /* from -1 to 1 */
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(*seed >> 11) / (double)(1LL << 52) - 1;
}

/* The loss of step k, from 1. */
static double loss_of(const curve *c, int k, uint64_t *seed)
{
    const double done = k < 40 ? k / 40.0 : 1, away = k - c->at;
    double loss = c->start + (c->end - c->start) * done + c->noise * next_random(seed);
    if (c->at == 99)
        loss += k == 99 ? c->jump : 0;
    else if (c->at && away >= 0)
        loss += c->back + (c->jump - c->back) * exp(-away / 5);
    return fabs(loss);
}

START_TEST(fires_on_divergences_alone)
{
    const curve *c = &curves[_i];
    for (uint64_t seed = 1; seed <= 200; seed++)
        for (int evaluated = 0; evaluated < 2; evaluated++) {
            uint64_t random = seed;
            int fired = 0;
            tn_run_state s = { 0 };
            if (!evaluated && c->at > 0 && c->at < 10)
                continue; /* nothing tells the start of such a run without an evaluation */
            if (evaluated)
                watch_start(&s, c->start, c->noise / sqrt(3));
            for (int k = 1; k <= 300 && !fired; k++) {
                watch_loss(&s, loss_of(c, k, &random));
                fired = watch_fires(&s) ? k : 0;
            }
            ck_assert_msg(c->fires ? fired >= c->at && fired < c->at + 20 : !fired,
                          "%s, seed %d: fired at step %d", c->what, (int)seed, fired);
        }
}
END_TEST

/* Losses of runs on the bundled base, 4 rows a step, LoRA. Rates that are much too high spoil the
   model in a few steps, and then the loss falls below its start, to what no prompt changes: to 3
   where good rates reach 0.5 and less. */
typedef struct spoilt {
    const char *what;
    bool fires;
    double start, error; /* before step 1; the standard error of a step */
    double losses[24];
} spoilt;

static const spoilt spoilts[] = {
    { "arithmetic, sgd 100 with a warm-up", true, 8.525, 1.016, { 7.578, 6.512, 5.425, 8.904, 13.31,
                                                                  17.76, 12.03, 20.18, 19.51, 11.4,
                                                                  10.61, 12.93, 8.859, 7.861, 5.553,
                                                                  5.242, 4.875, 6.395, 7.19,  5.99,
                                                                  4.896, 4.655, 4.053, 4.218 } },
    { "arithmetic, sgd 10", true, 8.525, 1.016, { 7.578, 6.784, 5.667, 10.63, 13.92, 9.901,
                                                  28.78, 19.31, 14.06, 12.94, 12.26, 9.413,
                                                  10.01, 9.481, 6.879, 6.329, 5.32,  5.071,
                                                  5.687, 4.008, 5.549, 4.742, 4.819, 4.192 } },
    { "restaurant, adamw 0.1", true, 3.294, 0.2967, { 3.487, 2.586, 2.386, 3.427, 6.36,  9.422,
                                                      6.538, 8.027, 6.019, 6.449, 5.561, 4.425,
                                                      4.079, 3.79,  3.604, 3.643, 3.67,  3.596,
                                                      3.831, 3.672, 3.48,  3.546, 3.494, 3.386 } },
    { "restaurant, sgd 10", true, 3.294, 0.2967, { 3.487, 2.847, 4.64,  4.749, 9.654, 7.92,
                                                   13.17, 5.958, 19.75, 7.873, 5.692, 10.2,
                                                   12.43, 8.923, 7.129, 7.508, 6.409, 5.149,
                                                   5.122, 4.74,  3.811, 4.231, 4.142, 3.796 } },
    { "arithmetic, adamw 1e-3", false, 8.525, 1.016, { 7.578, 7.953, 6.21,  7.606, 10.14, 7.132,
                                                       7.995, 9.439, 6.775, 7.615, 5.538, 7.342,
                                                       7.272, 6.631, 7.664, 6.193, 5.839, 5.06,
                                                       6.853, 7,     4.67,  5.356, 4.512, 5.442 } },
    { "arithmetic, muon 1e-2 with a warm-up",
      false,
      8.525,
      1.016,
      { 7.578, 7.958, 6.235, 7.65,  10.19, 7.229, 8.131, 9.668, 6.947, 7.816, 5.83,  7.633,
        7.446, 6.728, 7.996, 6.378, 5.831, 4.979, 6.93,  7.025, 4.56,  4.99,  4.192, 5.022 } },
    { "restaurant, sgd 1 with a warm-up",
      false,
      3.294,
      0.2967,
      { 3.487, 3.076, 3.118, 3.678, 2.686, 3.119, 3.111, 3.105, 2.706, 1.724, 2.461,  2.534,
        1.66,  2.018, 1.729, 1.614, 1.489, 1.377, 2.071, 1.141, 1.269, 1.043, 0.9876, 1.069 } },
};

START_TEST(fires_where_the_loss_falls_again)
{
    const spoilt *c = &spoilts[_i];
    tn_run_state s = { 0 };
    bool fired = false;
    watch_start(&s, c->start, c->error);
    for (int i = 0; i < 24; i++) {
        watch_loss(&s, c->losses[i]);
        fired = fired || watch_fires(&s);
    }
    ck_assert_int_eq(fired, c->fires);
}
END_TEST

/* The curves that another program computed for the same training. */
START_TEST(no_healthy_curve_fires)
{
    static const char *const models[] = { "gpt2", "llama" };
    static const char *const ways[] = { "full_adam", "full_adamw", "full_sgd_nesterov",
                                        "lora_adam", "lora_adamw", "lora_sgd_nesterov",
                                        "dora_adamw" };
    tn_error e = { 0 };
    int seen = 0;
    for (int i = 0; i < 14; i++) {
        char path[200];
        size_t size;
        tn_run_state s = { 0 };
        snprintf(path, sizeof path, GOLDEN "curves/tiny_%s_%s/curve.json", models[i / 7],
                 ways[i % 7]);
        char *text = tn_file_read(path, 1 << 20, &size, &e);
        const tn_json *root = text ? tn_json_parse(text, size, path, 0, &e) : NULL;
        must(&e);
        const tn_json *losses = tn_json_find(root, "losses");
        for (const tn_json *v = losses ? losses->child : NULL; v; v = v->next, seen++) {
            double loss;
            ck_assert(tn_json_real(v, &loss));
            watch_loss(&s, loss);
            ck_assert_msg(!watch_fires(&s), "%s", path);
        }
        tn_json_free(root);
        free(text);
    }
    ck_assert_int_gt(seen, 100);
}
END_TEST

/* ---- runs ---- */

typedef struct row {
    const char *optimizer, *good, *high; /* a rate that learns, and one hundred times it */
} row;

static const row rows[] = { { "adamw", "3e-3", "0.3" },
                            { "sgd", "0.1", "10" },
                            { "muon", "0.02", "2" } };

#define RUN                                                                                        \
    "train --model m --tokenizer chars --data d --iters 60 --steps-per-eval 10 --batch-size 2 "

START_TEST(a_run_that_diverges_is_stopped)
{
    place p = place_make();
    const row *r = &rows[_i];
    ck_assert_int_eq(shell(&p,
                           "mkdir d; cp r.jsonl d/train.jsonl; tail -n 8 r.jsonl >d/valid.jsonl"),
                     0);
    ck_assert_int_eq(tenon(&p, RUN "-o a --optimizer %s --lr %s", r->optimizer, r->good), 0);
    ck_assert_int_eq(tenon(&p, RUN "-o o --optimizer %s --lr %s --save-every 1", r->optimizer,
                           r->high),
                     1);
    place_has(&p, "err", "the run diverges; try --learning-rate ");
    place_has(&p, "err", "the newest checkpoint is after step ");
    ck_assert_int_eq(shell(&p, "grep -q '<svg' o/loss.svg"), 0);
    ck_assert_int_eq(shell(&p, "test ! -e o/model.safetensors -a $(wc -l <err) = 1"), 0);
    ck_assert_int_eq(tenon(&p, RUN "-o o --optimizer %s --lr %s --save-every 1 --resume",
                           r->optimizer, r->high),
                     1);
    ck_assert_int_eq(shell(&p, "grep -q 'the run diverges' err"), 0);
    ck_assert_int_eq(tenon(&p, RUN "-o c --optimizer %s --lr %s --no-stop-on-divergence",
                           r->optimizer, r->high),
                     0);
    place_end(&p);
}
END_TEST

/* A run that diverged before its first checkpoint has only its log. It is not lost by itself. */
START_TEST(the_log_of_a_diverged_run_is_kept)
{
    place p = place_make();
    const char *how = RUN "-o o --optimizer adamw --lr 0.3";
    ck_assert_int_eq(shell(&p,
                           "mkdir d; cp r.jsonl d/train.jsonl; tail -n 8 r.jsonl >d/valid.jsonl"),
                     0);
    ck_assert_int_eq(tenon(&p, "%s", how), 1);
    ck_assert_int_eq(shell(&p, "test -e o/loss.svg -a ! -e o/checkpoint-1; cp o/log.jsonl kept"),
                     0);
    ck_assert_int_eq(tenon(&p, "%s", how), 1);
    place_has(&p, "err", "o: holds a failed run (loss.svg); --overwrite replaces it");
    ck_assert_int_eq(shell(&p, "cmp kept o/log.jsonl"), 0);
    ck_assert_int_eq(tenon(&p, RUN "-o o --optimizer adamw --lr 3e-3 --overwrite"), 0);
    ck_assert_int_eq(shell(&p, "test -e o/model.safetensors && ! cmp -s kept o/log.jsonl"), 0);
    ck_assert_int_eq(tenon(&p, "%s --overwrite", how), 1); /* the finished run stays as it is */
    ck_assert_int_eq(shell(&p, "test -e o/model.safetensors -a -e o/loss.svg"), 0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, fires_on_divergences_alone, 0, sizeof curves / sizeof *curves);
    tcase_add_loop_test(c, fires_where_the_loss_falls_again, 0, sizeof spoilts / sizeof *spoilts);
    tcase_add_test(c, no_healthy_curve_fires);
    tcase_add_test(c, the_log_of_a_diverged_run_is_kept);
    tcase_add_loop_test(c, a_run_that_diverges_is_stopped, 0, sizeof rows / sizeof *rows);
}
