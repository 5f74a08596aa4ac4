/* test_best.c - the best checkpoint of a run: kept, named by OUT/best, used, and the end of a run that stops improving. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* The validation loss of this run falls, rises and falls: 15 records for training, 8 others. */
#define HOW "train --model b --data d --lora-rank 4 --target-modules all-linear --progress none "
#define RUN HOW "--lr 0.01 --iters 24 --steps-per-eval 2 "

static place make(void)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "mkdir d; head -n 15 r.jsonl >d/train.jsonl; "
                               "tail -n 8 r.jsonl >d/valid.jsonl"),
                     0);
    ck_assert_int_eq(
        tenon(&p, "train --model m --tokenizer chars --data r.jsonl -o b --iters 9 --lr 1e-2"), 0);
    return p;
}

/* The step with the lowest validation loss, by the log and not by tenon. */
static int best_of(const place *p, const char *folder)
{
    ck_assert_int_eq(shell(p,
                           "grep '\"split\":\"valid\"' %s/log.jsonl | "
                           "sed 's/.*\"step\":\\([0-9]*\\),\"loss\":\\([^,]*\\),.*/\\2 \\1/' | "
                           "sort -g | head -n 1 | cut -d ' ' -f 2 >least",
                           folder),
                     0);
    char *text = place_read("least");
    const int step = atoi(text);
    free(text);
    return step;
}

START_TEST(the_file_names_the_step_with_the_lowest_loss)
{
    place p = make();
    ck_assert_int_eq(tenon(&p, RUN "-o o --keep 1"), 0);
    const int best = best_of(&p, "o");
    ck_assert_int_gt(best, 0);
    ck_assert_int_lt(best, 24); /* else the test shows nothing */
    ck_assert_int_eq(shell(&p, "test \"$(cat o/best)\" = checkpoint-%d", best), 0);
    ck_assert_int_eq(shell(&p, "test \"$(ls -d o/checkpoint-* | wc -l)\" = 2"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model b --data d --split valid --adapter-path o/best"), 0);
    ck_assert_int_eq(shell(&p, "grep '^loss' out >a"), 0);
    ck_assert_int_eq(
        tenon(&p, "eval --model b --data d --split valid --adapter-path o/checkpoint-%d", best), 0);
    ck_assert_int_eq(shell(&p, "grep '^loss' out | cmp - a"), 0);
    ck_assert_int_eq(tenon(&p, "fuse --model b --adapter-path o/best --save-path f"), 0);
    ck_assert_int_eq(tenon(&p,
                           "export --model b --adapter-path o/best --format peft --save-path x"),
                     0);
    ck_assert_int_eq(tenon(&p, "generate --model b --adapter-path o/best -p 1 -n 2"), 0);
    ck_assert_int_eq(tenon(&p, "inspect o/best"), 0);
    place_end(&p);
}
END_TEST

/* The result of --load-best is that checkpoint, also when a finished run is resumed with it. */
START_TEST(the_best_becomes_the_result)
{
    place p = make();
    ck_assert_int_eq(tenon(&p, RUN "-o o"), 0);
    ck_assert_int_eq(tenon(&p, RUN "-o l --load-best"), 0);
    ck_assert_int_eq(shell(&p, "! cmp -s o/adapter_model.safetensors l/adapter_model.safetensors"),
                     0);
    ck_assert_int_eq(shell(&p, "for f in o l; do diff -r -x log.jsonl -x log.csv -x loss.svg -x config.used -x "
                               ".tenon-run -x adapter_model.safetensors o $f || exit 1; done"),
                     0);
    ck_assert_int_eq(tenon(&p,
                           "export --model b --adapter-path o/best --format peft --save-path x"),
                     0);
    ck_assert_int_eq(shell(&p, "cmp x/adapter_model.safetensors l/adapter_model.safetensors"), 0);
    ck_assert_int_eq(tenon(&p, RUN "-o o --resume --load-best"), 0);
    ck_assert_int_eq(shell(&p, "cmp x/adapter_model.safetensors o/adapter_model.safetensors"), 0);
    place_end(&p);
}
END_TEST

typedef struct row {
    const char *options;
    int patience; /* 99: the run does not stop before its end */
} row;

static const row rows[] = {
    { "", 99 },
    { "--patience 1", 1 },
    { "--patience 2", 2 },
    { "--patience 2 --min-delta 0.002", 2 },
    { "--patience 3 --no-save-best", 3 },
    { "--patience 99", 99 },
};

/* The step at which a run with this patience and delta stops, by the log of one without them. */
static int stop_of(const place *p, const row *r)
{
    const char *delta = strstr(r->options, "delta ");
    ck_assert_int_eq(
        shell(
            p,
            "grep '\"split\":\"valid\"' free/log.jsonl | "
            "sed 's/.*\"step\":\\([0-9]*\\),\"loss\":\\([^,]*\\),.*/\\1 \\2/' | "
            "awk '!f { f = 1; low = $2; next } { last = $1; if ($2 < low - %s) { low = $2; n = 0 } "
            "else if (++n == %d) exit } END { print last }' >last",
            delta ? delta + 6 : "0", r->patience),
        0);
    char *text = place_read("last");
    const int step = atoi(text);
    free(text);
    return step;
}

/* A run that is stopped after any step and resumed has the bits of one that was not, and stops
   after the same step. A kill after a checkpoint was saved may have left an older line in
   `best`. */
START_TEST(a_resume_stops_at_the_same_step)
{
    place p = make();
    const row *r = &rows[_i];
    ck_assert_int_eq(tenon(&p, RUN "-o free"), 0);
    ck_assert_int_eq(tenon(&p, RUN "-o whole --keep 99 --save-every 1 %s", r->options), 0);
    const int last = stop_of(&p, r);
    ck_assert(r->patience == 99 ? last == 24 : last < 24);
    ck_assert_int_eq(shell(&p, "test -e whole/checkpoint-%d -a ! -e whole/checkpoint-%d", last,
                           last + 1),
                     0);
    for (int n = 1; n <= last; n += 5) {
        ck_assert_int_eq(shell(&p,
                               "rm -rf o; mkdir o; cp -r whole/config.used o; for k in "
                               "$(seq %d); do cp -r whole/checkpoint-$k o; done; "
                               "echo checkpoint-1 >o/best",
                               n),
                         0);
        ck_assert_int_eq(tenon(&p, RUN "-o o --keep 99 --save-every 1 --resume %s", r->options), 0);
        if (!strstr(r->options, "no-save"))
            ck_assert_int_eq(shell(&p, "cmp o/best whole/best"), 0);
        ck_assert_int_eq(shell(&p, "diff -rq -x log.jsonl -x log.csv -x loss.svg -x best -x .tenon-run whole o"), 0);
    }
    place_end(&p);
}
END_TEST

typedef struct other {
    const char *made, *command;
    int status;
    const char *says, *check;
} other;

static const other others[] = {
    { "mkdir o; echo mine >o/best", RUN "-o o --overwrite", 1, "o/best: in the way",
      "grep mine o/best" },
    { "\"$T\" " RUN "-o o; echo mine >o/best", RUN "-o o --overwrite", 1, "o/best: in the way",
      "grep mine o/best" },
    { "\"$T\" " RUN "-o o", "train --model b --data r.jsonl --valid-split 0 --iters 2 -o o --overwrite", 0, "",
      "test ! -e o/best" }, /* no validation data */
    { "\"$T\" " RUN "-o o; rm -r o/$(cat o/best)", "eval --model b --data d --adapter-path o/best",
      1, "o/best: names checkpoint-", ":" },
    { "mkdir o; echo x >o/best", "eval --model b --data d --adapter-path o/best", 1,
      "o/best: expected one line, the name of a checkpoint beside it", ":" },
    { ":", "train --model b --data r.jsonl --valid-split 0 -o o --patience 2", 2,
      "--patience and --valid-split 0: use only one", "test ! -e o" },
    { ":", "train --model b --data r.jsonl --valid-split 0 -o o --load-best", 2,
      "--load-best and --valid-split 0: use only one", "test ! -e o" },
    { ":", RUN "-o o --kepp 3", 2, "did you mean --keep?", ":" },
    { ":", RUN "-o o --no-save-best --save-every 4", 0, "",
      "test ! -e o/best -a -e o/checkpoint-24" },
    { "\"$T\" " RUN "-o o --no-save-best", "eval --model b --data d --adapter-path o/best", 1,
      "o/best: this run has no best checkpoint; expected one with --save-best that was validated, or "
      "o/ itself, its result\n", ":" },
    { ":", "eval --model b --data d --adapter-path o/best", 1, "o/best: No such file", ":" },
    { "printf 12 >best", "tokenize --model b best", 0, "", ":" },
};

START_TEST(others_files_and_usage)
{
    place p = make();
    const other *r = &others[_i];
    ck_assert_int_eq(shell(&p, "{ %s; } >made 2>&1", r->made), 0);
    ck_assert_int_eq(tenon(&p, "%s", r->command), r->status);
    place_has(&p, "err", r->says);
    ck_assert_int_eq(shell(&p, "{ %s; } >made", r->check), 0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, the_file_names_the_step_with_the_lowest_loss);
    tcase_add_test(c, the_best_becomes_the_result);
    tcase_add_loop_test(c, a_resume_stops_at_the_same_step, 0, sizeof rows / sizeof *rows);
    tcase_add_loop_test(c, others_files_and_usage, 0, sizeof others / sizeof *others);
}
