/* test_profile.c - profile.c: the sums of given times, and the table of train --profile. */
#include "apps/report/profile.h"
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A step whose ops took these seconds: fast 0.001 forward, slow `slow` forward and twice backward. */
static void step(profile *p, tracer *r, double slow)
{
    profile_begin(p, r);
    for (int i = 0; i < 2; i++) {
        r->count(r->arg, &(tn_event){ .op = "fast", .seconds = 0.001 });
        r->count(r->arg, &(tn_event){ .op = "slow", .seconds = slow / 2 });
    }
    r->count(r->arg, &(tn_event){ .op = "slow", .backward = true, .seconds = 2 * slow });
    profile_end(p, r, 0.25);
}

START_TEST(the_table_has_the_means)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    tracer r = { .tape = t };
    profile p = { 0 };
    tn_text text = { 0 };
    tn_error e = { 0 };
    step(&p, &r, 100); /* the first one does not count */
    step(&p, &r, 0.1);
    step(&p, &r, 0.3);
    ck_assert(!r.count);
    p.seconds = 2; /* of two steps, whatever the clock says */
    profile_text(&p, 3, &text);
    ck_assert_str_eq(tn_text_done(&text, "a table", &e),
                     "profile of a step, in milliseconds: mean of 2 steps, 3 threads\n"
                     "op                   calls   forward  backward      both    share\n"
                     "slow                     2   200.000   400.000   600.000   60.0 %\n"
                     "fast                     2     2.000     0.000     2.000    0.2 %\n"
                     "the optimizer                                    250.000   25.0 %\n"
                     "all else                                         148.000   14.8 %\n"
                     "a step                                          1000.000  100.0 %\n");
    tn_text_free(&text);
    profile_free(&p);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

#define TRAIN                                                                                      \
    "train --model m --tokenizer chars --data t.txt --batch-size 3 --grad-accumulation-steps 2 "   \
    "--steps-per-eval 2 "

/* Two blocks in two batches: four calls per step, whatever evaluations are between the steps. */
START_TEST(train_makes_a_profile)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, TRAIN "--iters 5 -o o --profile"), 0);
    ck_assert_int_eq(shell(&p,
                           "sed -n '/^profile of a step/,/^a step/p' out | cmp - o/profile.txt"),
                     0);
    place_has(&p, "o/profile.txt", "mean of 4 steps");
    ck_assert_int_eq(shell(&p,
                           "test \"$(awk '$1 == \"attention\" { print $2 }' o/profile.txt)\" = 4"),
                     0);
    ck_assert_int_eq(shell(&p, "test \"$(awk '$1 == \"linear_xent\" { print $2 }' o/profile.txt)\" "
                               "= 2"),
                     0);
    ck_assert_int_eq(shell(&p, "awk '/%%$/ { s += $(NF - 1) } "
                               "END { d = s - 200; exit !(NR > 8 && d * d < 4) }' o/profile.txt"),
                     0);
    ck_assert_int_eq(tenon(&p, TRAIN "--iters 5 -o r"), 0);
    ck_assert_int_eq(shell(&p, "test ! -e r/profile.txt && ! grep -q profile out"), 0);
    ck_assert_int_eq(shell(&p, "cmp o/model.safetensors r/model.safetensors"), 0);
    place_end(&p);
}
END_TEST

START_TEST(a_dry_run_prints_it)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, TRAIN "--dry-run -o o --profile"), 0);
    place_has(&p, "out", "mean of 1 step,");
    ck_assert_int_eq(shell(&p, "test ! -e o"), 0);
    place_end(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, the_table_has_the_means);
}

void tests_of_program(TCase *c)
{
    tcase_add_test(c, train_makes_a_profile);
    tcase_add_test(c, a_dry_run_prints_it);
}
