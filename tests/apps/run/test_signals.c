/* test_signals.c - what signals do to a run, a study and the other commands. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_RUN                                                                                   \
    "train --model m --tokenizer bytes --data t.txt --iters 400 --save-every 100000 "              \
    "--steps-per-report 1 -o o --max-seq-length 64"

/* Between two steps SIGUSR1 saves a checkpoint and SIGUSR2 prints the progress. The result of the
   run does not change. */
START_TEST(two_signals_ask_for_something)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, LONG_RUN " --progress none"), 0);
    ck_assert_int_eq(shell(&p, "mv o whole"), 0);
    ck_assert_int_eq(
        shell(
            &p,
            "\"$T\" " LONG_RUN " --progress none >out 2>err & pid=$!; "
            "until grep -q '\"step\":3,' o/log.jsonl 2>/dev/null || ! kill -0 $pid; do sleep 0.01; done; "
            "kill -USR1 $pid; kill -USR2 $pid; wait $pid"),
        0);
    place_has(&p, "err", "step ");
    place_has(&p, "err", "  checkpoint ");
    ck_assert_int_eq(shell(&p, "test $(ls -d o/checkpoint-* | wc -l) -ge 2"), 0);
    ck_assert_int_eq(shell(&p, "cmp o/model.safetensors whole/model.safetensors"), 0);
    place_end(&p);
}
END_TEST

#define STUDY                                                                                      \
    "compare --model m --tokenizer bytes --data t.txt --optimizers sgd,adam --lr-grid 1e-3,1e-2 "  \
    "--iters 60 --max-seq-length 64 --steps-per-report 1 -o o"

/* A study prints how far it is. Its result does not change. */
START_TEST(a_study_answers_both)
{
    static const char *const asked[] = { "USR1", "USR2" };
    place p = place_make();
    ck_assert_int_eq(tenon(&p, STUDY), 0);
    ck_assert_int_eq(shell(&p, "mv o whole"), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(shell(&p,
                               "rm -rf o; \"$T\" " STUDY " >out 2>err & pid=$!; "
                               "until grep -q '^{' o/runs.jsonl 2>/dev/null || ! kill -0 $pid; do "
                               "sleep 0.01; done; kill -%s $pid; wait $pid",
                               asked[i]),
                         0);
        ck_assert_int_eq(
            shell(&p, "grep -qE '^tenon: note: (sgd|adam) lr 0.0?01 seed 0: step [0-9]+/60  loss "
                      "[0-9.]+; [1-9] of [4-9] runs are done and in o$' err && "
                      "test $(wc -l <err) = 1"),
            0);
        ck_assert_int_eq(shell(&p, "cmp o/curves.jsonl whole/curves.jsonl"), 0);
    }
    place_end(&p);
}
/* clang-format off */
END_TEST

/* Commands that take long, and the status with which they end. */
static const struct { const char *command; int status; } long_ones[] = {
    { LONG_RUN, 0 },
    { STUDY, 0 },
    { "eval --model b --task lookup --count 400", 0 },
    { "generate --model b -p 1 -n 60 -p 2 -p 3", 0 },
    { "inspect b", 0 },
    { "optimizers", 0 },
    { "bench optimizers --pairs 3 --width 64", 0 },
    { "task restaurant --count 20000", 0 },
    { "lab init-scale", 0 },
    { "demo", 130 }, /* takes minutes, so it is interrupted */
};
/* clang-format on */

/* Neither signal ends a command that works. They are sent as soon as the command has handlers for
   them. */
START_TEST(they_end_none_that_works)
{
    const bool demo = long_ones[_i].status != 0;
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 -o b"), 0);
    const int status =
        shell(&p,
              "cd %s; \"$T\" %s >%s/out 2>%s/err & pid=$!; n=0; "
              "until grep -q '^SigBlk:.*a00$' /proc/$pid/status || [ $n = 1000 ]; do n=$((n + 1)); "
              "done 2>/dev/null; for i in $(seq 20); do kill -USR1 $pid; kill -USR2 $pid; "
              "sleep 0.02; done 2>/dev/null; %s; wait $pid",
              demo ? p.before : ".", long_ones[_i].command, p.folder, p.folder,
              demo ? "kill -INT $pid" : ":");
    ck_assert_int_eq(status, long_ones[_i].status);
    place_end(&p);
}
END_TEST

/* Neither signal ends a command that waits for its input. */
START_TEST(they_end_no_command)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 -o b"), 0);
    ck_assert_int_eq(
        shell(&p, "mkfifo q; \"$T\" generate --model b --max-tokens 2 --prompt - <q >out 2>err & "
                  "pid=$!; exec 3>q; sleep 0.5; kill -USR1 $pid; kill -USR2 $pid; "
                  "echo 1 >&3; exec 3>&-; wait $pid"),
        0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, two_signals_ask_for_something);
    tcase_add_test(c, a_study_answers_both);
    tcase_add_loop_test(c, they_end_none_that_works, 0, sizeof long_ones / sizeof *long_ones);
    tcase_add_test(c, they_end_no_command);
}
