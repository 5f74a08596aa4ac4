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

/* The loss on the first 4 rows, before step 1 and after each step: runs on the bundled base (E2E:
   stories260K), 4 rows a step. Rates that are much too high spoil the model in a few steps, and
   then the loss falls below its start, to what no prompt changes: to 2 or 3 where good rates reach
   0.4 and less. Both runs at 0.128 have a warm-up of 8 steps, the others none. */
typedef struct rows_loss {
    const char *what;
    int fires; /* after this step; 0: never */
    double losses[13];
} rows_loss;

/* clang-format off */
static const rows_loss rows_losses[] = {
    { "arithmetic, LoRA, adamw 0.1", 4, { 8.196, 7.971, 7.831, 12.138, 9.786, 6.856, 5.230,
                                          4.274, 3.672, 3.551, 3.421, 3.212, 3.137 } },
    { "arithmetic, LoRA, adamw 0.3", 2, { 8.196, 9.933, 16.934, 12.144, 9.003, 8.601, 8.390,
                                          7.596, 6.504, 5.234, 4.725, 4.298, 3.916 } },
    { "arithmetic, LoRA, muon 1", 2, { 8.196, 12.351, 9.712, 8.857, 8.999, 7.837, 7.799,
                                       6.882, 6.185, 5.082, 4.833, 4.230, 3.612 } },
    { "arithmetic, LoRA, sgd 100", 2, { 8.196, 9.813, 11.203, 13.366, 11.064, 11.744, 6.947,
                                        6.285, 5.001, 5.027, 3.987, 4.824, 6.314 } },
    { "restaurant, LoRA, adamw 0.128", 5, { 3.291, 2.495, 1.801, 3.017, 8.108, 7.546, 6.050,
                                                     10.384, 9.207, 6.288, 6.947, 6.275, 5.911 } },
    { "restaurant, LoRA, muon 0.128", 9, { 3.291, 2.853, 1.842, 1.568, 1.893, 1.762, 2.738,
                                                    4.103, 4.429, 5.605, 4.903, 4.891, 4.709 } },
    { "restaurant, full, sgd 1.6", 0, { 3.291, 3.895, 5.206, 4.113, 3.873, 4.676, 3.629,
                                               4.417, 3.641, 2.724, 3.003, 3.238, 3.007 } },
    { "restaurant, full, adamw 0.0064", 0, { 3.291, 3.425, 3.564, 2.975, 2.869, 2.834, 2.526,
                                                    2.234, 2.229, 2.043, 1.898, 1.803, 1.815 } },
    { "E2E, full, sgd 0.8", 0, { 5.015, 4.939, 5.002, 5.657, 5.343, 4.527, 4.538,
                                        3.876, 4.003, 3.589, 3.749, 3.214, 3.167 } },
};
/* clang-format on */

START_TEST(fires_where_the_loss_falls_again)
{
    const rows_loss *c = &rows_losses[_i];
    tn_run_state s = { 0 }, later = { .watched = 1 };
    int fired = 0;
    for (int i = 0; i < 13; i++) {
        watch_rows(&s, c->losses[i]);
        s.watched = i + 1;
        fired = watch_fires(&s) && !fired ? i : fired;
        watch_rows(&later, c->losses[i]);
    }
    ck_assert_int_eq(fired, c->fires);
    ck_assert_double_eq_tol(watch_rows_first(&s), c->losses[0], 1e-12);
    ck_assert(!watch_fires(&later)); /* which has no loss from before step 1 */
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
    const char *why;
} row;

static const row rows[] = { { "adamw", "3e-3", "0.3", "the loss has risen to " },
                            { "sgd", "0.1", "10", "the loss of the first rows has risen to " },
                            { "muon", "0.02", "2", "the loss of the first rows has risen to " } };

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
    place_has(&p, "err", r->why);
    place_has(&p, "err", ": the run diverges (--no-stop-on-divergence goes on); try --learning-rate ");
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
    tcase_add_loop_test(c, fires_where_the_loss_falls_again, 0,
                        sizeof rows_losses / sizeof *rows_losses);
    tcase_add_test(c, no_healthy_curve_fires);
    tcase_add_test(c, the_log_of_a_diverged_run_is_kept);
    tcase_add_loop_test(c, a_run_that_diverges_is_stopped, 0, sizeof rows / sizeof *rows);
}
