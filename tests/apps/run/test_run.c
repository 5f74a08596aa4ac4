/* test_run.c - run.c: a step of accumulated batches, and a step that is refused. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

/* N accumulated batches give the numbers of one batch with all their rows, up to rounding. So every
   token has the same weight. */
START_TEST(accumulation_is_a_larger_batch)
{
    place p = place_make();
    const char *how = "train --model m --tokenizer chars --data r.jsonl --iters 1 --optimizer sgd "
                      "--lr 0.1 --progress json";
    ck_assert_int_eq(tenon(&p, "%s --batch-size 23 -o a", how), 0);
    ck_assert_int_eq(shell(&p,
                           "grep '\"step\":1,' err | sed "
                           "'s/.*\"loss\":\\([0-9.]*\\).*norm\":\\([0-9.]*\\).*/\\1 \\2/' >one"),
                     0);
    ck_assert_int_eq(tenon(&p, "%s --batch-size 1 --grad-accumulation-steps 23 -o b", how), 0);
    ck_assert_int_eq(shell(&p,
                           "grep '\"step\":1,' err | sed "
                           "'s/.*\"loss\":\\([0-9.]*\\).*norm\":\\([0-9.]*\\).*/\\1 \\2/' >two"),
                     0);
    ck_assert_int_eq(
        shell(&p, "paste one two | awk '{ d = $1 - $3; e = $2 - $4; exit !(NF == 4 && $1 > 1 && "
                  "d * d < 1e-10 && e * e < 1e-8) }'"),
        0);
    place_end(&p);
}
END_TEST

START_TEST(what_is_not_finite_stops_the_run)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data t.txt --iters 9 -o o --lr "
                               "1e30 --save-every 1"),
                     1);
    place_has(&p, "err", "tenon: step ");
    place_has(&p, "err", "transformer.");
    place_has(&p, "err", "newest checkpoint is after step 1");
    ck_assert_int_eq(shell(&p, "test $(wc -l <err) = 1 && test ! -e o/model.safetensors"), 0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, accumulation_is_a_larger_batch);
    tcase_add_test(c, what_is_not_finite_stops_the_run);
}
