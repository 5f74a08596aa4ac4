/* test_compare_grid.c - how a study chooses rates: grids with known losses, without training. */
#include "tests/support/tests.h"

#include "apps/compare/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The main file of the program defines these. No test needs a command. */
const command commands[] = { { .name = NULL } };
const command *command_find(const char *name)
{
    (void)name;
    return NULL;
}

/* ---- losses as functions of the rate ---- */

static double best_at_1000(double lr)
{
    return 1 + fabs(log10(lr) - 3);
}
static double best_at_1e_minus_9(double lr)
{
    return 1 + fabs(log10(lr) + 9);
}
static double best_at_2(double lr)
{
    return 1 + fabs(lr - 2);
}
static double falls_for_ever(double lr)
{
    return 100 - log10(lr);
}
static double rises_for_ever(double lr)
{
    return 100 + log10(lr);
}
static double is_flat(double lr)
{
    return 3 - 1e-9 * lr;
}
static double is_constant(double lr)
{
    (void)lr;
    return 3;
}
static double levels_off(double lr) /* falls to 2 until 0.1, then stays */
{
    return lr < 0.1 ? 2 - log10(lr) - 1 : 2 - 1e-7 * lr;
}
static double lives_below_1e_minus_5(double lr)
{
    return lr > 1e-5 ? (double)NAN : 1 + fabs(log10(lr) + 7);
}
static double never_lives(double lr)
{
    (void)lr;
    return (double)NAN;
}

typedef struct row {
    const char *grid;
    double (*loss)(double lr); /* NaN: the run diverges */
    double lr_min;
    int rates; /* that were tried at the end */
    edge edge;
    double chosen; /* 0: none */
    const char *why;
    double untrained; /* the loss of the untrained model; 0: not known */
} row;

static const row rows[] = {
    /* the best rate is found, however far away it is */
    { "1e-3:1e-2:log2", best_at_1000, 0, 8, INSIDE, 1e3, "", 0 },
    { "1e-3:1e-2:log2", best_at_1e_minus_9, 0, 9, INSIDE, 1e-9, "", 0 },
    { "1e-3,1e-2,1e2,1e3,1e4", best_at_1000, 0, 5, INSIDE, 1e3, "", 0 },
    { "1e-2,1e-3", best_at_1000, 0, 8, INSIDE, 1e3, "", 0 },
    { "1:1.1:log2", best_at_2, 0, 9, INSIDE, 1.949, "", 0 },
    { "1,1.5,1.6", best_at_2, 0, 7, INSIDE, 1.942, "", 0 },
    { "1e-3:1e-2:log2", lives_below_1e_minus_5, 0, 7, INSIDE, 1e-7, "", 0 },
    /* or the edge is reported */
    { "1e-3:1e-2:log2", falls_for_ever, 0, 18, HIGHEST, 1e14, "at most 16 rates on a side", 0 },
    { "1e6:1e7:log2", rises_for_ever, 0, 18, LOWEST, 1e-10, "at most 16 rates on a side", 0 },
    { "1e-3:1e-2:log2", is_flat, 0, 3, HIGHEST, 0.1, "less than 0.001 %", 0 },
    { "1e-3:1e-2:log2", levels_off, 0, 4, HIGHEST, 1, "less than 0.001 %", 0 },
    { "1e-3", best_at_1000, 0, 1, ONLY, 1e-3, "one rate", 0 },
    { "1e-3:1e-2:log2", rises_for_ever, 2e-4, 2, LOWEST, 1e-3, "below --lr-min", 0 },
    { "1e28:1e29:log2", falls_for_ever, 0, 3, HIGHEST, 1e30, "a rate is from 1e-12 to 1e+30", 0 },
    { "1e-11:1e-10:log2", rises_for_ever, 0, 3, LOWEST, 1e-12, "a rate is from 1e-12 to 1e+30", 0 },
    { "1,1.00001", falls_for_ever, 0, 2, HIGHEST, 1.00001, "the same four digits", 0 },
    /* or it is reported that nothing improved, but only at an edge */
    { "1e-3:1e-2:log2", is_flat, 0, 3, NOWHERE, 0.1, "less than 0.001 %", 3 },
    { "1e-3:1e-2:log2", is_constant, 0, 3, NOWHERE, 1e-4, "less than 0.001 %", 3.00002 },
    { "1e-3", is_constant, 0, 1, NOWHERE, 1e-3, "one rate", 3 },
    { "1e-3:1e-2:log2", is_constant, 0, 3, LOWEST, 1e-4, "less than 0.001 %", 3.001 },
    { "1e-3:1e-2:log2", is_constant, 0, 3, LOWEST, 1e-4, "less than 0.001 %", 2.999 },
    { "1e-3:1e-2:log2", best_at_1000, 0, 8, INSIDE, 1e3, "", 1 },
    { "1e-3:1e-2:log2", never_lives, 0, 11, LOWEST, 0, "a rate is from 1e-12 to 1e+30", 0 },
};

static void run_cells(study *y, double (*loss)(double lr), double untrained)
{
    for (int64_t i = 0; i < y->count; i++) {
        cell *c = &y->cells[i];
        if (c->done)
            continue;
        const double l = loss(c->lr);
        c->done = true;
        c->diverged = isnan(l);
        c->valid.loss = l;
        c->untrained = untrained > 0 ? untrained : (double)NAN;
    }
}

START_TEST(grows_until_the_best_lies_inside)
{
    const row *r = &rows[_i];
    const options o = { .lr_grid = r->grid, .lr_min = r->lr_min, .seeds = 1 };
    study y = { .o = &o, .names = { "sgd" }, .optimizers = 1 };
    tn_error e = { 0 };
    double rates[MOST_RATES];
    ck_assert_int_eq(study_fill(&y, &e), 0);
    do
        run_cells(&y, r->loss, r->untrained);
    while (study_extend(&y, &e) > 0);
    const place p = study_place(&y, 0);
    ck_assert_msg(study_rates(&y, 0, rates) == r->rates, "%s: %d rates; expected %d", r->grid,
                  study_rates(&y, 0, rates), r->rates);
    ck_assert_int_eq(p.edge, r->edge);
    ck_assert_double_eq_tol(study_chosen(&y, 0), r->chosen, 1e-12 * r->chosen + 1e-300);
    ck_assert_msg(strstr(p.why, r->why) && !*p.why == !*r->why, "found \"%s\"", p.why);
    study_close(&y);
}
END_TEST

/* A rate has a mean only after all its seeds are done. A rate is chosen only after the grid is
   done. */
START_TEST(means_are_over_the_same_seeds)
{
    const options o = { .lr_grid = "1,2,4", .seeds = 3 };
    study y = { .o = &o, .names = { "sgd" }, .optimizers = 1 };
    tn_error e = { 0 };
    ck_assert_int_eq(study_fill(&y, &e), 0);
    for (int64_t left = y.count; left > 0; left--) {
        int64_t i = 7 * left % y.count; /* every cell once, in another order */
        ck_assert(!y.cells[i].done);
        y.cells[i].done = true;
        y.cells[i].diverged = 0;
        y.cells[i].valid.loss = best_at_2(y.cells[i].lr) + 0.1 * (double)y.cells[i].seed;
        int64_t done[5] = { 0 };
        for (int64_t k = 0; k < y.count; k++)
            done[(int)y.cells[k].lr] += y.cells[k].done;
        for (int lr = 1; lr <= 4; lr *= 2) {
            const double mean = study_summary(&y, 0, lr).valid;
            ck_assert_int_eq(study_summary(&y, 0, lr).runs, done[lr]);
            ck_assert(isfinite(mean) == (done[lr] == 3));
            ck_assert(done[lr] < 3 || fabs(mean - best_at_2(lr) - 0.1) < 1e-12);
        }
        ck_assert_double_eq(study_chosen(&y, 0), left > 1 ? 0 : 2);
    }
    study_close(&y);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, grows_until_the_best_lies_inside, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, means_are_over_the_same_seeds);
}
