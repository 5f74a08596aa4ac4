/* test_eta.c - the time that is left, from made-up times of steps, evaluations and checkpoints. */
#include "apps/report/progress.h"
#include "apps/report/machine.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* Steps of which one in four is long. The first takes a minute, which says nothing about the rest. */
static eta steps(double a, double b, int n)
{
    eta s = { 0 };
    for (int i = 0; i < n; i++) {
        const double tokens = i % 4 ? 100 + i % 3 : 2000;
        eta_step(&s, tokens, i ? a + b * tokens : 60);
    }
    return s;
}

START_TEST(the_line_is_found)
{
    const eta_rest rest = { .steps = 90, .tokens = 812.5 };
    for (int n = 3; n < 300; n = n * 2 + 1) {
        const eta s = steps(0.5, 2e-3, n);
        ck_assert_double_eq_tol(eta_left(&s, &rest), 90 * (0.5 + 2e-3 * 812.5), 1e-8);
    }
    const eta few = steps(0.5, 2e-3, 2);
    ck_assert(eta_left(&few, &rest) < 0);
}
END_TEST

/* The line through these times, of which each weighs 0.99 of the next, as numpy.polyfit has it. */
START_TEST(the_line_is_that_of_others)
{
    static const double tokens[] = { 310, 870, 120, 640, 990, 455, 780, 205, 530, 915 };
    static const double seconds[] = { 9.0, 2.31, 0.74, 1.80, 2.62, 1.33, 2.18, 0.95, 1.62, 2.37 };
    eta s = { 0 };
    for (int i = 0; i < 10; i++)
        eta_step(&s, tokens[i], seconds[i]);
    ck_assert_double_eq_tol(eta_left(&s, &(eta_rest){ .steps = 100, .tokens = 700 }),
                            195.64564592251688, 1e-9);
}
END_TEST

/* What chance makes of few steps is no time below 0, and no step that gets faster with more tokens. */
START_TEST(no_line_is_absurd)
{
    eta falls = { 0 }, same = { 0 }, steep = { 0 };
    for (int i = 0; i < 6; i++) {
        eta_step(&falls, 100 + i, 3 - 0.1 * i);
        eta_step(&same, 512, 2);
        eta_step(&steep, 100 + i, 1 + i);
    }
    const eta_rest rest = { .steps = 10, .tokens = 1000 }, few = { .steps = 10, .tokens = 1 };
    const double level = eta_left(&falls, &rest);
    ck_assert_double_gt(level, 25);
    ck_assert_double_lt(level, 30);
    ck_assert_double_eq_tol(eta_left(&same, &(eta_rest){ .steps = 10, .tokens = 512 }), 20, 1e-9);
    ck_assert_double_ge(eta_left(&steep, &few), 0);
}
END_TEST

START_TEST(evaluations_and_checkpoints_count)
{
    eta s = steps(1, 0, 40);
    eta_pause(&s.evaluations, 4);
    eta_pause(&s.evaluations, 6);
    eta_pause(&s.saves, 3);
    const eta_rest rest = { .steps = 100, .tokens = 500, .evaluations = 4, .saves = 2 };
    ck_assert_double_eq_tol(eta_left(&s, &rest), 100 + 4 * 5 + 2 * 3, 1e-8);
    const eta_rest limited = { .steps = 100, .tokens = 500, .most = 30 };
    ck_assert_double_eq_tol(eta_left(&s, &limited), 30, 1e-12);
}
END_TEST

/* A run of 1000 steps of 10 tokens, after step 10. It evaluates never, and saves every 100 steps. */
typedef struct limit {
    int64_t max_tokens_total;
    double until; /* seconds from now on */
    double left;
} limit;

static const limit limits[] = {
    { -1, 0, 990 * 2.0 + 10 * 7 }, { 300, 0, 20 * 2.0 + 7 }, { 300, 30, 30 }, { -1, 1800, 1800 }
};

START_TEST(a_limit_of_the_run_counts)
{
    const limit *l = &limits[_i];
    options o = { .max_tokens_total = l->max_tokens_total, .save_every = 100, .steps_per_eval = 9 };
    setup s = { 0 };
    run r = {
        .s = &s, .o = &o, .steps = 1000, .step_tokens = 10, .state = { .step = 10, .tokens = 100 }
    };
    progress p = { 0 };
    for (int i = 0; i < 10; i++)
        eta_step(&p.eta, 10, 2);
    eta_pause(&p.eta.saves, 7);
    const double begun = now_seconds();
    r.until = l->until > 0 ? begun + l->until : 0;
    const double left = progress_left(&p, &r), passed = now_seconds() - begun;
    ck_assert_double_le(left, l->left + 1e-9);
    ck_assert_double_ge(left, l->left - passed - 1e-9);
}
END_TEST

typedef struct shown {
    double seconds;
    const char *text;
} shown;

/* From Thursday 1970-01-01 00:00 on. */
static const shown showns[] = { { 9, "9.0s" },
                                { 372, "6m12s" },
                                { 3599, "59m59s" },
                                { 3660, "1h01m (01:01)" },
                                { 86399, "23h59m (23:59)" },
                                { 90000, "25h00m (Fri 01:00)" } };

START_TEST(the_clock_is_shown_above_an_hour)
{
    char text[ETA_SHOWN];
    setenv("TZ", "UTC0", 1);
    tzset();
    ck_assert_str_eq(eta_show(showns[_i].seconds, 0, text), showns[_i].text);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, the_line_is_found);
    tcase_add_test(c, the_line_is_that_of_others);
    tcase_add_test(c, no_line_is_absurd);
    tcase_add_test(c, evaluations_and_checkpoints_count);
    tcase_add_loop_test(c, a_limit_of_the_run_counts, 0, sizeof limits / sizeof *limits);
    tcase_add_loop_test(c, the_clock_is_shown_above_an_hour, 0, sizeof showns / sizeof *showns);
}
