/* test_plan.c - how long a run is, on which batches, and that a trial writes nothing. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* 20 records for training, 3 others: 10 batches are an epoch. */
#define RUN "train --model m --tokenizer chars --data d --batch-size 2 --progress none -o o "

static place make(void)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "mkdir d; head -n 20 r.jsonl >d/train.jsonl; "
                               "tail -n 3 r.jsonl | tee d/test.jsonl >d/valid.jsonl"),
                     0);
    return p;
}

typedef struct row {
    const char *options;
    int status;
    const char *check; /* a shell command that succeeds; or, of a failed run, what is in err */
} row;

#define STEPS(n) "test \"$(ls -d o/checkpoint-* | sort -V | tail -n 1)\" = o/checkpoint-" #n
#define LAST(pattern) "tail -n 1 o/log.jsonl | grep -q '" pattern "'"

/* clang-format off */
static const row rows[] = {
    { "--epochs 1", 0, STEPS(10) },
    { "--limit-batches 3 --epochs 1", 0, STEPS(3) },
    { "--limit-batches 3 --epochs 2", 0, STEPS(6) },
    { "--limit-batches 3 --epochs 2 --grad-accumulation-steps 2", 0, STEPS(3) },
    { "--limit-batches 99 --epochs 1", 0, STEPS(10) },
    { "--limit-batches 1 --iters 4", 0, STEPS(4) " && " LAST("valid") },
    { "--overfit-batches 2", 0, STEPS(100) },
    { "--overfit-batches 2 --epochs 3", 0, STEPS(6) },
    { "--overfit-batches 1 --iters 300 --lr 0.01", 0, "grep '\"step\":300' o/log.jsonl | grep -q 'loss\":0\\.0'" },
    { "--overfit-batches 1 --limit-batches 1", 2, "--overfit-batches and --limit-batches: use only one" },
    /* a step has 2 rows of at most 13 tokens */
    { "--max-tokens 60 --keep 99", 0, "test -e o/model.safetensors && test $(grep '\"split\":\"train\"' o/log.jsonl | tail -n 1 | "
      "sed 's/.*tokens\":\\([0-9]*\\).*/\\1/') -le 86 && ! test -e o/checkpoint-6 && " LAST("valid") },
    { "--max-tokens-total 1k --epochs 1", 0, STEPS(10) },
    { "--iters 1000000 --max-time 0.5s", 0, "test -e o/model.safetensors -a ! -e o/checkpoint-1000000" },
    { "--max-time 1h30m --epochs 1", 0, STEPS(10) },
    { "--max-time 2x", 2, "--max-time: \"2x\"; expected a time, such as 90s, 15m or 1h30m" },
    { "--max-time 2h30", 2, "expected a time" },
    { "--max-time -1s", 2, "expected a time" },
    { "--warmup-ratio 0.3 --epochs 1 --lr 1e-3", 0, "grep -q 'learning_rate\":0.000333' o/log.jsonl" }, /* of 1e-3 */
    { "--warmup-steps 3 --warmup-ratio 0.3", 2, "--warmup-steps and --warmup-ratio: use only one" },
    { "--fast-dev-run --dry-run", 2, "--fast-dev-run and --dry-run: use only one" },
    { "--fast-dev-run --resume", 2, "--fast-dev-run and --resume: use only one" },
    { "--fast-dev-run --auto-resume", 2, "--fast-dev-run and --auto-resume: use only one" },
    { "--fast-dev-run --find-lr", 2, "--fast-dev-run and --find-lr: use only one" },
    { "--dry-run --find-lr", 2, "--dry-run and --find-lr: use only one" },
    { "--resume --overwrite", 2, "--resume and --overwrite: use only one" },
    { "--auto-resume --overwrite", 2, "--auto-resume and --overwrite: use only one" },
    { "--dump-graph g.svg --resume", 2, "--dump-graph and --resume: use only one; a new run draws its first step" },
    { "--epochs 1 --iters 1", 2, "--iters and --epochs: use only one" },
    { "--packing --no-packing", 2, "--packing and --no-packing: use only one" },
    { "--no-mask-prompt --mask-prompt=true", 2, "--mask-prompt and --no-mask-prompt: use only one" },
    { "--load-best --no-save-best", 2, "--load-best and --no-save-best: use only one" },
    { "--min-delta 0.1", 2, "--min-delta: only for --patience, which is not given" },
    { "--min-delta 0 --epochs 1", 0, STEPS(10) },
    { "--report-to none,csv", 2, "--report-to none,csv: none beside others; expected none alone, or a list" },
    { "--find-lr -n 1", 2, "--find-lr: 1 steps; expected 10 or more" },
    { "--overfit-batches 11", 2, "--overfit-batches 11: expected at most the 10 of the data" },
    { "--overfit-batches 10 --epochs 1", 0, STEPS(10) },
    { "--packing --packing --epochs 2 --epochs 1", 0, STEPS(10) }, /* the last value counts */
};
/* clang-format on */

START_TEST(a_run_has_its_length)
{
    place p = make();
    const row *r = &rows[_i];
    ck_assert_int_eq(tenon(&p, RUN "%s", r->options), r->status);
    if (r->status)
        place_has(&p, "err", r->check);
    else
        ck_assert_int_eq(shell(&p, "%s", r->check), 0);
    place_end(&p);
}
END_TEST

/* Whole words of the sequence of batches: a run on its first two batches again and again, and one
   that does not pass them. */
START_TEST(the_same_batches_come_again)
{
    place p = make();
    static const char *const cut =
        "grep split.:.train o/log.jsonl | sed 's/,\"learning_rate.*//' >l%d";
#define LOG "--steps-per-report 1 --learning-rate 1e-12 --overwrite --iters "
    ck_assert_int_eq(tenon(&p, RUN LOG "4"), 0);
    ck_assert_int_eq(shell(&p, cut, 0), 0);
    ck_assert_int_eq(tenon(&p, RUN LOG "4 --overfit-batches 2"), 0);
    ck_assert_int_eq(shell(&p, cut, 1), 0);
    ck_assert_int_eq(shell(&p, "for k in 1 2; do sed -n ${k}p l0 | sed 's/.*loss//' >a; sed -n "
                               "${k}p l1 | sed 's/.*loss//' | cmp - a && sed -n $((k + 2))p l1 | "
                               "sed 's/.*loss//;s/[0-9]$//' >b; sed 's/[0-9]$//' a | cmp - b || "
                               "exit 1; done; ! cmp -s l0 l1"),
                     0);
    ck_assert_int_eq(tenon(&p, RUN LOG "24"), 0);
    ck_assert_int_eq(shell(&p, cut, 0), 0);
    ck_assert_int_eq(tenon(&p, RUN LOG "4 --limit-batches 2"), 0);
    ck_assert_int_eq(shell(&p, cut, 1), 0);
    ck_assert_int_eq(shell(&p, "for k in 1:1 2:2 3:11 4:12; do sed -n ${k#*:}p l0 | sed "
                               "'s/.*loss//;s/[0-9][0-9]$//' >a; sed -n ${k%%:*}p l1 | sed "
                               "'s/.*loss//;s/[0-9][0-9]$//' | cmp - a || exit 1; done"),
                     0);
    place_end(&p);
}
END_TEST

/* A stopped run that resumes has the bits of one that was not stopped. */
START_TEST(a_limited_run_resumes)
{
    static const char *const limits[] = { "--overfit-batches 3", "--limit-batches 3 --epochs 3",
                                          "--max-tokens 100 --epochs 2" };
    for (int i = 0; i < 3; i++) {
        place p = make();
        ck_assert_int_eq(tenon(&p, RUN "%s --save-every 2 --keep 99", limits[i]), 0);
        ck_assert_int_eq(shell(&p,
                               "mv o whole; mkdir o; cp -r whole/checkpoint-2 whole/config.used o"),
                         0);
        ck_assert_int_eq(tenon(&p, RUN "%s --save-every 2 --keep 99 --resume", limits[i]), 0);
        ck_assert_int_eq(shell(&p, "rm -rf */checkpoint-1"), 0);
        place_same(&p, "whole", "o");
        place_end(&p);
    }
}
END_TEST

START_TEST(a_trial_writes_nothing)
{
    place p = make();
    ck_assert_int_eq(shell(&p, "mkdir q; cp -r m d q; touch out err; ls -R >before; "
                               "\"$T\" train --model m --tokenizer chars --data d --fast-dev-run "
                               ">out 2>err; echo $? >>out; ls -R | cmp - before"),
                     0);
    place_has(&p, "out", "step 1/1 ");
    place_has(&p, "out",
              "plan       a trial: 1 step x 4 rows, evaluations of one batch before and "
              "after it, seed 0");
    place_has(&p, "out", "valid 0 ");
    place_has(&p, "out", "valid 1 ");
    place_has(&p, "out", "test  loss ");
    place_has(&p, "out", "nothing was written\n0\n");
    ck_assert_int_eq(shell(&p, "echo nonsense >d/test.jsonl"), 0);
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data d --fast-dev-run"), 1);
    place_has(&p, "err", "d/test.jsonl:1: ");
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, a_run_has_its_length, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, the_same_batches_come_again);
    tcase_add_test(c, a_limited_run_resumes);
    tcase_add_test(c, a_trial_writes_nothing);
}
