/* test_lab.c - tenon lab, experiment by experiment.
   The numbers that an experiment prints show what it is meant to show, and it draws them. */
#include "optim/optim.h"
#include "tests/support/apps.h"
#include "tests/support/svg.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = { "invariance", "first-steps", "init-scale", "conditioning",
                                     "paths",      "rank",        "alpha" };
enum { EXPERIMENTS = sizeof names / sizeof *names, LARGEST = 40000, EXACT = 0, APART = 1 };

/* Copies word k of the line of `out` that begins with `beginning` to `word`, which has 64 bytes.
   Words are counted from 0, and those of `beginning` count. Returns word. */
static char *word_of(const char *beginning, int k, char *word)
{
    char *text = place_read("out"), *rest = text;
    word[0] = 0;
    for (char *line; !word[0] && (line = strtok_r(rest, "\n", &rest)) != NULL;) {
        line += strspn(line, " ");
        if (strncmp(line, beginning, strlen(beginning)))
            continue;
        for (int i = 0; i < k; i++) {
            line += strcspn(line, " ");
            line += strspn(line, " ");
        }
        snprintf(word, 64, "%.*s", (int)strcspn(line, " "), line);
    }
    free(text);
    ck_assert_msg(word[0], "no line \"%s\" with a word %d", beginning, k);
    return word;
}

static double number_of(const char *beginning, int k)
{
    char word[64], *end;
    const double number = strtod(word_of(beginning, k, word), &end);
    ck_assert_msg(!*end, "line \"%s\", word %d: \"%s\" is no number", beginning, k, word);
    return number;
}

/* The last three columns are 10 A, B/10; rotated; A T, B T^-T. The loss must also fall. */
START_TEST(invariance_is_exact_for_those_that_claim_it)
{
    static const struct {
        const char *line;
        int loss;
        int class[3];
    } rows[] = {
        { "lora-rite ", 2, { EXACT, EXACT, EXACT } },
        { "scaled-gd delta=0 ", 3, { EXACT, EXACT, EXACT } },
        { "sgd ", 2, { APART, EXACT, APART } },
        { "adam ", 2, { APART, APART, APART } },
    };
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "lab invariance"), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_double_lt(number_of(rows[i].line, rows[i].loss), 20); /* from 52 */
        for (int k = 0; k < 3; k++) {
            char word[64];
            word_of(rows[i].line, rows[i].loss + 1 + k, word);
            const bool diverges = !strcmp(word, "diverges");
            const double apart =
                diverges ? INFINITY : number_of(rows[i].line, rows[i].loss + 1 + k);
            if (rows[i].class[k] == EXACT)
                ck_assert_msg(apart < 1e-4 && apart > 0, "%s%d: %s", rows[i].line, k, word);
            else
                ck_assert_msg(apart > 1e-2, "%s%d: %s", rows[i].line, k, word);
        }
    }
    place_end(&p);
}
END_TEST

/* Every optimizer of the table, with the settings of its claim. If it claims a change of basis,
   runs differ only by rounding. Otherwise they differ more. */
START_TEST(every_claim_is_seen)
{
    const tn_optim_def *d = tn_optims[_i];
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "lab invariance --optimizers %s --learning-rate 0.01", d->name), 0);
    ck_assert_int_eq(shell(&p, "sed -i 's/diverges/1e99/g' out"), 0);
    const char *when = d->claims_when ? d->claims_when : "";
    int first = d->claims_when ? 4 : 3; /* name, settings, rate, loss */
    for (; *when; when++)
        first += *when == ' ';
    char name[64];
    snprintf(name, sizeof name, "%s ", d->name);
    const double rounding = number_of(name, first + 3);
    static const tn_claim needed[3] = { TN_INVARIANT_SCALE, TN_INVARIANT_ROTATION,
                                        TN_INVARIANT_FULL };
    for (int k = 0; k < 3; k++) {
        const double apart = number_of(name, first + k);
        const bool claimed = (d->claims & needed[k]) == needed[k];
        ck_assert_msg(claimed ? apart <= 30 * rounding + 1e-5 : apart > 1e-3,
                      "%s, column %d: %g, rounding %g", d->name, k, apart, rounding);
    }
    place_end(&p);
}
END_TEST

/* The share is sqrt(rows of B / rows of A) sqrt(1 + beta2) / (1 + beta1). It is printed as the
   formula, and the measured shares agree with it to three digits at every rate. */
START_TEST(second_step_of_lora_rite)
{
    static const struct {
        const char *line;
        double a, b;
    } rows[] = {
        { "64, 64 ", 64, 64 },
        { "11, 17 ", 11, 17 },
        { "24, 96 ", 24, 96 },
        { "96, 24 ", 96, 24 },
    };
    static const struct {
        const char *options;
        double beta1, beta2;
    } runs[] = {
        { "", 0.9, 0.999 },
        { "--opt lora-rite.beta1=0.5 --opt lora-rite.beta2=0.9 --seed 3 --learning-rate 1", 0.5,
          0.9 },
    };
    place p = place_make();
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        ck_assert_int_eq(tenon(&p, "lab first-steps %s", runs[k].options), 0);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            const double expected =
                sqrt(rows[i].b / rows[i].a) * sqrt(1 + runs[k].beta2) / (1 + runs[k].beta1);
            for (int column = 2; column < 6; column++)
                ck_assert_double_eq_tol(number_of(rows[i].line, column) / expected, 1, 5e-4);
        }
    }
    place_end(&p);
}
END_TEST

/* With Adam, B moves by a share that is proportional to the rate. */
START_TEST(first_steps_of_adam_follow_the_rate)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "lab first-steps --optimizers adam"), 0);
    ck_assert_int_eq(shell(&p, "awk '$1 == \"B\" { print $3 }' out >b"), 0);
    double rate[3];
    char *text = place_read("b");
    ck_assert_int_eq(sscanf(text, "%lf %lf %lf", &rate[0], &rate[1], &rate[2]), 3);
    free(text);
    ck_assert_double_eq_tol(rate[0] / rate[1], 10, 0.5);
    ck_assert_double_eq_tol(rate[1] / rate[2], 10, 0.5);
    place_end(&p);
}
END_TEST

START_TEST(init_scale_is_flat_for_invariant_ones)
{
    static const char *const scales[] = { "0.001 ", "0.0316 ", "1 ", "31.6 ", "1e+03 " };
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "lab init-scale --optimizers ' adam ,scaled-gd, lora-rite'"), 0);
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        for (int column = 2; column < 4; column++)
            ck_assert_double_eq_tol(number_of(scales[i], column) / number_of("1 ", column), 1,
                                    1e-3);
        low = fmin(low, number_of(scales[i], 1));
        high = fmax(high, number_of(scales[i], 1));
    }
    ck_assert_double_lt(number_of("1 ", 3), 20);
    ck_assert_double_gt(high, 10 * low);
    place_end(&p);
}
END_TEST

/* Columns: kappa 1, 10, 100, 1,000, 10,000. */
START_TEST(only_scaled_gd_does_not_mind_the_condition)
{
    place p = place_make();
    for (int seed = 0; seed < 2; seed++) {
        ck_assert_int_eq(tenon(&p, "lab conditioning --optimizers scaled-gd,sgd --seed %d", seed),
                         0);
        const double steps = number_of("scaled-gd delta=0 ", 3);
        ck_assert_double_gt(steps, 10);
        for (int column = 4; column < 8; column++)
            ck_assert_double_le(number_of("scaled-gd delta=0 ", column), 2 * steps);
        char word[64];
        ck_assert_double_ge(number_of("sgd ", 3), 3 * number_of("sgd ", 2));
        ck_assert_str_eq(word_of("sgd ", 8, word),
                         "at"); /* words "at E" in the columns of kappa 100 and above */
        ck_assert_double_gt(number_of("sgd ", 9), 1e-4);
    }
    place_end(&p);
}
END_TEST

START_TEST(paths_have_sgd_and_adam)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "lab paths --optimizers lora-rite,scaled-gd --opt adam.beta1=0.8"),
                     0);
    ck_assert_double_lt(number_of("sgd ", 4), 1e-3);
    ck_assert_double_lt(number_of("adam beta1=0.8 ", 5), 1e-2);
    ck_assert_double_lt(number_of("lora-rite ", 4), 1e-2);
    place_has(&p, "out", "lora-rite         not there: no LoRA pair");
    ck_assert_int_eq(shell(&p, "sed 's/[(),]//g' out >c && mv c out"), 0);
    const double a[2] = { number_of("sgd ", 6), number_of("scaled-gd delta=0 ", 7) };
    const double b[2] = { number_of("sgd ", 7), number_of("scaled-gd delta=0 ", 8) };
    ck_assert_double_eq_tol(b[0] * b[0] - a[0] * a[0], 3.6 * 3.6 - 1.2 * 1.2,
                            0.2);                  /* gradient flow keeps this difference */
    ck_assert_double_eq_tol(b[1] / a[1], 3, 0.01); /* both factors by the same share */
    place_end(&p);
}
END_TEST

/* Columns: r, adam, lora-rite, as published, lora-muon, as published. The matrix to learn has rank
   4. With a larger r a number stays below 4 times that of r = 4, but as published it is more than
   100 times as large. */
START_TEST(more_rank_than_the_target_has_does_no_harm)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "lab rank"), 0);
    for (int r = 5; r <= 16; r++) {
        char line[16];
        snprintf(line, sizeof line, "%d ", r);
        for (int column = 1; column <= 5; column++) {
            const double share = number_of(line, column) / number_of("4 ", column);
            const bool published = column == 3 || column == 5;
            ck_assert_msg(published ? share > 100 : share < 4, "r %d, column %d: %g times r 4", r,
                          column, share);
        }
    }
    ck_assert_double_lt(number_of("4 ", 2), 0.01 * number_of("1 ", 2));
    place_end(&p);
}
END_TEST

/* The loss in row s at rate 2^k / 1024, in the table of the optimizer whose line has `label`. */
static double loss_at(place *p, const char *label, const char *s, int k)
{
    char row[16], word[64];
    ck_assert_int_eq(shell(p, "sed -n '/^%s/,/^$/p' whole | sed 's/  */ /g' >out", label), 0);
    snprintf(row, sizeof row, "s %s ", s);
    return strtod(word_of(row, k + 2, word), NULL);
}

/* With four times the scale, the same losses come at a quarter of the rate for LoRA-RITE and
   LoRA-Muon, at a sixteenth for ScaledGD, at the same rate for AltLoRA. For Adam a quarter is
   wrong. */
START_TEST(a_rate_does_not_survive_another_alpha)
{
    static const struct {
        const char *label;
        int shift;
        bool exact;
    } rows[] = { { "lora-rite", 2, true },
                 { "lora-muon", 2, true },
                 { "scaled-gd", 4, true },
                 { "altlora", 0, true },
                 { "adam", 2, false } };
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "lab alpha --opt lora-rite.clip=0 --opt lora-rite.eps=1e-12 "
                               "--optimizers lora-rite,lora-muon,scaled-gd,altlora,adam"),
                     0);
    ck_assert_int_eq(shell(&p, "mv out whole"), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double most = 0;
        for (int k = 4; k < 9; k++) {
            const double at_1 = loss_at(&p, rows[i].label, "1", k);
            most = fmax(most, fabs(loss_at(&p, rows[i].label, "4", k - rows[i].shift) / at_1 - 1));
        }
        ck_assert_msg(rows[i].exact ? most < 5e-3 : most > 0.1, "%s: off by %g", rows[i].label,
                      most);
    }
    place_end(&p);
}
END_TEST

START_TEST(pictures_are_small_sound_and_the_same_again)
{
    place p = place_make();
    const char *all = "sgd,adam,adamw,scaled-gd,scaled-adam,lora-rite";
    ck_assert_int_eq(tenon(&p, "lab %s --svg a.svg --threads 1", names[_i]), 0);
    place_has(&p, "out", "written: a.svg");
    ck_assert_int_eq(tenon(&p, "lab %s --svg b.svg --threads 2", names[_i]), 0);
    ck_assert_int_eq(shell(&p, "cmp a.svg b.svg && rm b.svg"), 0);
    ck_assert_int_eq(tenon(&p, "lab %s --svg b.svg --optimizers %s --seed 1", names[_i], all), 0);
    for (const char *file = "a.svg"; file; file = *file == 'a' ? "b.svg" : NULL) {
        char *text = place_read(file);
        check_svg(text);
        ck_assert_uint_le(strlen(text), LARGEST);
        free(text);
    }
    ck_assert_int_eq(shell(&p, "test $(awk '{ print length }' out | sort -n | tail -1) -le 130"),
                     0);
    place_end(&p);
}
END_TEST

/* The committed pictures of `make figures` are those that the program makes. */
START_TEST(committed_pictures_are_of_this_program)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "lab %s --svg a.svg", names[_i]), 0);
    ck_assert_int_eq(shell(&p, "cmp a.svg '%s/optim/figures/lab-%s.svg'", p.before, names[_i]), 0);
    place_end(&p);
}
END_TEST

START_TEST(the_table_of_the_chapter_is_of_this_program)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "optimizers --markdown"), 0);
    ck_assert_int_eq(
        shell(&p,
              "sed -n '/^<!-- made by: tenon optimizers --markdown -->$/,/^<!-- end -->$/p' "
              "'%s/optim/README.md' | sed '1d;$d' | cmp - out",
              p.before),
        0);
    ck_assert_int_eq(shell(&p, "test $(grep -o ' | ' out | wc -l) = $((7 * ($(wc -l <out) - 1)))"),
                     0);
    ck_assert_int_eq(
        shell(&p,
              "cd '%s/optim' && ls $(sed -n 's/.*](\\([a-z_0-9]*.c\\)).*/\\1/p' %s/out) >/dev/null",
              p.before, p.folder),
        0);
    place_end(&p);
}
END_TEST

START_TEST(lists_are_complete_and_narrow)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "lab"), 0);
    for (int i = 0; i < EXPERIMENTS; i++)
        place_has(&p, "out", names[i]);
    ck_assert_int_eq(shell(&p, "test $(wc -l <out) = %d", EXPERIMENTS), 0);
    ck_assert_int_eq(tenon(&p, "optimizers"), 0);
    ck_assert_int_eq(shell(&p, "test $(awk '{ print length }' out | sort -n | tail -1) -le 100"),
                     0);
    ck_assert_int_eq(tenon(&p, "train --help-all"), 0);
    ck_assert_int_eq(
        shell(&p, "sed '1,/^settings of the optimizers/d' out >s; test $(awk '{ print length }' "
                  "s | sort -n | tail -1) -le 100"),
        0);
    ck_assert_int_eq(shell(&p, "tr -s ' \\n' '  ' <s >one"), 0);
    for (int i = 0; tn_optims[i]; i++)
        for (int k = 0; k < TN_MAX_HYPER && tn_optims[i]->hyper[k].name; k++) {
            char text[300];
            const tn_hyper *h = &tn_optims[i]->hyper[k];
            snprintf(text, sizeof text, k ? "%s=%g (%s)" : "%s=%g", h->name, h->value, h->help);
            place_has(&p, "one", text);
        }
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, invariance_is_exact_for_those_that_claim_it);
    int optimizers = 0;
    while (tn_optims[optimizers])
        optimizers++;
    tcase_add_loop_test(c, every_claim_is_seen, 0, optimizers);
    tcase_add_test(c, second_step_of_lora_rite);
    tcase_add_test(c, first_steps_of_adam_follow_the_rate);
    tcase_add_test(c, init_scale_is_flat_for_invariant_ones);
    tcase_add_test(c, only_scaled_gd_does_not_mind_the_condition);
    tcase_add_test(c, paths_have_sgd_and_adam);
    tcase_add_test(c, more_rank_than_the_target_has_does_no_harm);
    tcase_add_test(c, a_rate_does_not_survive_another_alpha);
    tcase_add_loop_test(c, pictures_are_small_sound_and_the_same_again, 0, EXPERIMENTS);
    tcase_add_loop_test(c, committed_pictures_are_of_this_program, 0, EXPERIMENTS);
    tcase_add_test(c, the_table_of_the_chapter_is_of_this_program);
    tcase_add_test(c, lists_are_complete_and_narrow);
}
