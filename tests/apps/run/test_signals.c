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
    "train --model m --tokenizer bytes --data t.txt --iters 40 --save-every 100000 "               \
    "--steps-per-report 1 -o o --max-seq-length 64"

/* Between two steps SIGUSR1 saves a checkpoint and SIGUSR2 prints the progress. The result of the
   run does not change. */
START_TEST(two_signals_ask_for_something)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, LONG_RUN " --progress none"), 0);
    ck_assert_int_eq(shell(&p, "mv o whole"), 0);
    ck_assert_int_eq(shell(&p, SENDS LONG_RUN " --progress none >out 2>err", "USR1 USR2", "1",
                           "\"step\":3,"),
                     0);
    ck_assert_int_eq(shell(&p, "grep -q '^step 3/40 .*  checkpoint 3$' err && "
                               "test $(wc -l <err) = 1 && test -e o/checkpoint-3"),
                     0);
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
        ck_assert_int_eq(shell(&p, "rm -rf o; " SENDS STUDY " >out 2>err", asked[i], "1",
                               "\"untrained_loss\":"),
                         0);
        ck_assert_int_eq(shell(&p, "grep -qE '^tenon: note: sgd lr 0.01 seed 0: step 1/60  loss "
                                   "[0-9.]+; 1 of 4 runs are done and in o$' err && "
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

/* Neither signal ends a command that works: they come before its first write. */
START_TEST(they_end_none_that_works)
{
    const bool demo = long_ones[_i].status != 0;
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 -o b"), 0);
    const int status = shell(&p, "cd %s; " SENDS "%s >%s/out 2>%s/err", demo ? p.before : ".",
                             demo ? "USR1 USR2 INT" : "USR1 USR2", "1", "", long_ones[_i].command,
                             p.folder, p.folder);
    ck_assert_int_eq(status, long_ones[_i].status);
    place_end(&p);
}
END_TEST

/* Neither signal ends a command that waits for its input: it has written which template it uses. */
START_TEST(they_end_no_command)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 -o b"), 0);
    ck_assert_int_eq(shell(&p,
                           "mkfifo q; \"$T\" chat --model b --chat-template alpaca <q >out 2>err & "
                           "exec 3>q; await grep -q alpaca err; kill -USR1 $pid; "
                           "kill -USR2 $pid; echo /help >&3; exec 3>&-; wait $pid"),
                     0);
    place_has(&p, "out", "/reset");
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
