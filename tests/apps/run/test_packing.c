/* test_packing.c - when a run lays its records side by side, and what its user sees of it. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAIN                                                                                      \
    "train --model m --tokenizer chars --progress lines --steps-per-report 1 --valid-split 0 "

/* Data whose padding is easy to count: records of these numbers of letters, in batches of two. The
   end token is the label of the last letter, so a record of n letters has n inputs. */
typedef struct decision {
    int letters[4];
    const char *flag, *shown;
} decision;

static const decision decisions[] = {
    /* sorted by length: 9 and 10, 10 and 10 make 40 inputs for 39 letters */
    { { 10, 9, 10, 10 }, "", "packing    off: 2.5 % of the tokens computed are padding\n" },
    { { 10, 9, 10, 10 }, "--packing", "packing    on: without it 2.5 % of the tokens computed" },
    /* 10 and 8, 10 and 10: 40 for 38; 10 and 6: 36; 10 and 5 is more than a tenth */
    { { 10, 6, 10, 10 }, "", "packing    off: 10.0 % of the tokens computed are padding\n" },
    { { 10, 5, 10, 10 }, "", "packing    on: without it 12.5 % of the tokens computed" },
    { { 10, 5, 10, 10 }, "--no-packing", "packing    off: 12.5 % of the tokens computed" },
};
enum { DECISIONS = sizeof decisions / sizeof *decisions };

static void write_records(const decision *d)
{
    FILE *f = fopen("p.jsonl", "w");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < 4; i++)
        fprintf(f, "{\"text\":\"%.*s\"}\n", d->letters[i], "abcdefghijklmnop");
    ck_assert_int_eq(fclose(f), 0);
}

START_TEST(the_padding_decides)
{
    place p = place_make();
    write_records(&decisions[_i]);
    ck_assert_int_eq(tenon(&p, TRAIN "--data p.jsonl --batch-size 2 --iters 2 -o o %s",
                           decisions[_i].flag),
                     0);
    place_has(&p, "out", decisions[_i].shown);
    place_end(&p);
}
END_TEST

/* Windows of a text are full. */
START_TEST(a_text_has_no_padding)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, TRAIN "--data t.txt --iters 2 -o o"), 0);
    ck_assert_int_ne(shell(&p, "grep -q '^packing' out"), 0);
    ck_assert_int_eq(tenon(&p, TRAIN "--data t.txt --iters 2 -o r --packing"), 0);
    place_has(&p, "out", "saved r");
    place_end(&p);
}
END_TEST

/* The number behind the last "KEY": of a log. */
static double logged(const char *file, const char *key)
{
    char *text = place_read(file), name[64];
    double last = (double)NAN;
    snprintf(name, sizeof name, "\"%s\":", key);
    for (const char *at = text; (at = strstr(at, name)) != NULL; at++)
        last = strtod(at + strlen(name), NULL);
    free(text);
    ck_assert_msg(!isnan(last), "%s: no %s", file, key);
    return last;
}

/* The same records in the same steps: as many steps of an epoch, and the same loss after all of them. */
START_TEST(the_run_is_the_same_run)
{
    static const char *const flags[] = { "--no-packing", "--packing" };
    double loss[2], step[2], computed[2];
    place p = place_make();
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(tenon(&p,
                               TRAIN "--data r.jsonl --epochs 2 --batch-size 3 --lr 1e-2 "
                                     "--grad-accumulation-steps 2 -o o%d %s",
                               i, flags[i]),
                         0);
        const char *log = i ? "o1/log.jsonl" : "o0/log.jsonl";
        loss[i] = logged(log, "loss");
        step[i] = logged(log, "step");
        computed[i] = logged(log, "tokens");
    }
    ck_assert_double_eq(step[0], step[1]);
    ck_assert_double_eq_tol(loss[0], loss[1], 1e-4 * loss[0]);
    ck_assert_double_lt(computed[1], computed[0]); /* there is padding, and packing computes none */
    place_end(&p);
}
END_TEST

/* A resume must pack as its run did. What is not set is decided again, in the same way. */
START_TEST(a_resume_packs_as_before)
{
    static const char *const flags[] = { "", "--packing", "--no-packing" };
    enum { FLAGS = sizeof flags / sizeof *flags };
    place p = place_make();
    for (int i = 0; i < FLAGS; i++) {
        ck_assert_int_eq(tenon(&p, TRAIN "--data r.jsonl --iters 4 -o o --overwrite %s", flags[i]),
                         0);
        for (int k = 0; k < FLAGS; k++) {
            const int status =
                tenon(&p, TRAIN "--data r.jsonl --iters 4 -o o --resume %s", flags[k]);
            ck_assert_int_eq(status, i == k ? 0 : 2);
            if (i != k)
                place_has(&p, "err", "these differ from o/config.used: --packing;");
        }
    }
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, the_padding_decides, 0, DECISIONS);
    tcase_add_test(c, a_text_has_no_padding);
    tcase_add_test(c, the_run_is_the_same_run);
    tcase_add_test(c, a_resume_packs_as_before);
}
