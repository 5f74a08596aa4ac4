/* test_source.c - the data of a run: which rows a step and an evaluation take. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The losses of a log's records with this text, as lines of the file `out`. */
static void take_losses(const place *p, const char *log, const char *of, const char *out)
{
    ck_assert_int_eq(
        shell(p, "grep '%s' %s | sed 's/.*\"loss\":\\([0-9.]*\\).*/\\1/' >%s; test -s %s", of, log,
              out, out),
        0);
}

static const char *const data[] = { "--data r.jsonl", "--data t.txt --valid-split 0" };

/* With a rate of almost 0 the loss of a step is a property of its rows. 23 records, 8 a step. */
START_TEST(a_step_takes_the_same_rows_however_it_is_cut)
{
    place p = place_make();
    for (int batch = 8; batch > 0; batch /= 2) {
        ck_assert_int_eq(
            tenon(&p,
                  "train --model m --tokenizer chars %s --iters 12 --optimizer sgd --lr 1e-12 "
                  "--steps-per-report 1 --batch-size %d --grad-accumulation-steps %d -o o%d",
                  data[_i], batch, 8 / batch, batch),
            0);
        char log[32], out[32];
        snprintf(log, sizeof log, "o%d/log.jsonl", batch);
        snprintf(out, sizeof out, "l%d", batch);
        take_losses(&p, log, "\"split\":\"train\"", out);
        ck_assert_int_eq(shell(&p,
                               "paste l8 %s | awk '{ d = $1 - $2; if (d * d > 1e-11 || !($1 > 1)) "
                               "bad = 1 } END { exit !(NR == 12 && !bad) }'", out),
                         0);
    }
    place_end(&p);
}
END_TEST

/* The first 4 N rows, to the last bit, whatever --batch-size is; all where there are not so many. */
START_TEST(validation_takes_the_same_rows_for_every_batch_size)
{
    static const struct { const char *set; int rows; } sets[] = {
        { "--val-batches 1", 4 }, { "--val-batches 3", 12 }, { "--val-batches 6", 23 }, { "--val-batches 0", 23 },
        { "--val-batches -1", 23 },
    };
    place p = place_make();
    ck_assert_int_eq(shell(&p, "mkdir d f; cp r.jsonl d/train.jsonl; cp r.jsonl d/valid.jsonl; "
                               "cp r.jsonl f/train.jsonl; head -%d r.jsonl >f/valid.jsonl",
                           sets[_i].rows),
                     0);
    const char *how = "train --model m --tokenizer chars --iters 1 --optimizer sgd --lr 1e-12";
    ck_assert_int_eq(tenon(&p, "%s --data f --val-batches 0 -o o", how), 0);
    take_losses(&p, "o/log.jsonl", "\"split\":\"valid\",\"step\":0", "all");
    static const int batches[] = { 1, 3, 4, 5, 64 };
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(tenon(&p, "%s --data d %s --batch-size %d -o o --overwrite", how,
                               sets[_i].set, batches[i]),
                         0);
        take_losses(&p, "o/log.jsonl", "\"split\":\"valid\",\"step\":0", "some");
        ck_assert_int_eq(shell(&p, "cmp all some"), 0);
    }
    place_end(&p);
}
END_TEST

void tests(TCase *c)
{
    if (sizeof(tn_real) == sizeof(double))
        return; /* there is one program, in float */
    tcase_add_loop_test(c, a_step_takes_the_same_rows_however_it_is_cut, 0, 2);
    tcase_add_loop_test(c, validation_takes_the_same_rows_for_every_batch_size, 0, 5);
}
