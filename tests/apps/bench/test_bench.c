/* test_bench.c - the benchmarks with small sizes.
   They run, and a script can read the output of `bench step`. */
#include "tests/support/tests.h"

#include "apps/bench/bench.h"
#include "apps/report/machine.h"
#include "optim/optim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The output of a benchmark. The caller frees it. */
static char *output_of(int (*run)(const options *o, tn_error *e), const options *o)
{
    tn_error e = { 0 };
    FILE *file = tmpfile();
    fflush(stdout);
    int keep = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    int status = run(o, &e);
    fflush(stdout);
    dup2(keep, STDOUT_FILENO);
    close(keep);
    ck_assert_msg(!status && !e.code, "%s", e.text);
    char *text = calloc(1, 1 << 16);
    rewind(file);
    ck_assert_uint_gt(fread(text, 1, (1 << 16) - 1, file), 0);
    fclose(file);
    return text;
}

static double number_after(const char *text, const char *words)
{
    const char *at = strstr(text, words);
    ck_assert_msg(at != NULL, "no \"%s\" in: %s", words, text);
    return strtod(at + strlen(words), NULL);
}

START_TEST(median)
{
    double odd[] = { 3, 1, 2 }, even[] = { 4, 1, 3, 2 };
    ck_assert_double_eq(bench_median(odd, 3), 2);
    ck_assert_double_eq(bench_median(even, 4), 2.5);
}
END_TEST

static options small(const char *mode)
{
    return (options){ .layers = 2,
                      .heads = 2,
                      .width = 16,
                      .vocab = 31,
                      .batch_size = 3,
                      .max_seq_length = 8,
                      .lora_rank = 2,
                      .lora_alpha = 4,
                      .mode = mode,
                      .precision = "f32",
                      .threads = 2,
                      .iters = 3,
                      .pairs = 3 };
}

START_TEST(step)
{
    static const char *const modes[] = { "full", "lora-qv", "lora-all" };
    for (int i = 0; i < 3; i++) {
        options o = small(modes[i]);
        char *text = output_of(bench_step, &o);
        char *line = strchr(text, '\n');
        ck_assert(line && !line[1]); /* one line */
        double rate = number_after(text, "tok/s med "), ms = number_after(text, " med ");
        ck_assert_double_eq_tol(rate * ms * 1e-3, 3 * 8, 3 * 8 * 2e-3); /* four digits */
        ck_assert_double_gt(number_after(text, "peak RSS "), 1);
        ck_assert_double_eq_tol(number_after(text, "loss "), 3.434, 0.1); /* ln 31 */
        free(text);
    }
}
END_TEST

/* The printed steps per second fit the printed time, and CPU time is at most threads x time. */
START_TEST(small_network)
{
    options o = small("mlp");
    char *text = output_of(bench_step, &o);
    double us = number_after(text, "2T: "), rate = number_after(text, "step | ");
    ck_assert_double_eq_tol(us * rate * 1e-6, 1, 1e-3 + 1 / rate);
    ck_assert_double_gt(number_after(text, "steps/s, "), rate / 2.5);
    free(text);
}
END_TEST

START_TEST(optimizers)
{
    options o = small("full");
    char *text = output_of(bench_optimizers, &o);
    for (int i = 0; tn_optims[i]; i++)
        ck_assert_ptr_nonnull(strstr(text, tn_optims[i]->name));
    ck_assert_ptr_nonnull(strstr(text, "3 pairs of (16, r 2)"));
    free(text);
}
END_TEST

/* An optimizer says how many steps its warm-up has. The steps after them are timed. */
START_TEST(warm_ups)
{
    const options o = small("full");
    tn_error e = { 0 };
    tn_context *c = bench_context(NULL, 1, &e);
    for (int i = 0; tn_optims[i]; i++) {
        tn_params *p = bench_pairs(c, &o, &e);
        tn_optim *optim = tn_optim_new(p, tn_optims[i], &(tn_optim_options){ 0 }, &e);
        ck_assert_msg(!e.code, "%s", e.text);
        int64_t wanted = 0;
        for (const tn_hyper *h = tn_optims[i]->hyper; h->name; h++)
            if (strstr(h->name, "warm"))
                wanted = (int64_t)h->value;
        ck_assert_int_eq(bench_warm_up(optim), wanted);
        tn_optim_free(optim);
        tn_params_free(p);
    }
    tn_context_free(c);
}
END_TEST

enum { SLOW = 30 };

/* An optimizer whose first steps are slow. Only 20 steps are timed. */
static void slow_at_first(tn_unit *u)
{
    const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
    if (u->t <= SLOW)
        nanosleep(&pause, NULL);
}

/* At least 10 of the timed steps take as long as their median. They come after the slow ones, and
   all together take no longer than the clock shows. */
START_TEST(a_cost_is_that_behind_the_warm_up)
{
    tn_optim_def slow = { .name = "slow",
                          .step = slow_at_first,
                          .hyper = { { "lr", 1, TN_FROM_0, "" },
                                     { "warmup_steps", SLOW, TN_WHOLE, "" } } };
    options o = small("full");
    o.pairs = 1;
    tn_error e = { 0 };
    tn_context *c = bench_context(NULL, 1, &e);
    const double begun = now_seconds();
    const double behind = bench_cost_of(c, &slow, &o, &e).seconds;
    const double all = now_seconds() - begun;
    slow.hyper[1].value = 0; /* it says that it has no warm-up: the slow steps are timed */
    const double within = bench_cost_of(c, &slow, &o, &e).seconds;
    ck_assert_msg(!e.code, "%s", e.text);
    ck_assert_double_ge(within, 5e-3);
    ck_assert_double_le(SLOW * 5e-3 + 10 * behind, all);
    tn_context_free(c);
}
END_TEST

#ifndef TN_DOUBLE /* the double build is for tests, and slow */

START_TEST(ops)
{
    options o = small("full");
    char *text = output_of(bench_ops, &o);
    for (int i = 0; tn_ops[i]; i++)
        ck_assert_msg(strstr(text, tn_ops[i]->name) != NULL, "no %s", tn_ops[i]->name);
    ck_assert_double_gt(number_after(text, "overhead of the tape: "), 1);
    free(text);
}
END_TEST

START_TEST(peak)
{
    options o = small("full");
    char *text = output_of(bench_peak, &o);
    ck_assert_double_gt(number_after(text, "\nscalar"), 0.01);
    ck_assert_double_gt(number_after(text, "\ntriad"), 0.01);
    free(text);
}
END_TEST

#endif

void tests(TCase *c)
{
    tcase_add_test(c, median);
    tcase_add_test(c, step);
    tcase_add_test(c, small_network);
    tcase_add_test(c, optimizers);
    tcase_add_test(c, warm_ups);
    tcase_add_test(c, a_cost_is_that_behind_the_warm_up);
#ifndef TN_DOUBLE
    tcase_add_test(c, ops);
    tcase_add_test(c, peak);
#endif
}
