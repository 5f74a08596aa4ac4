/* test_terminal.c - what reaches a terminal, and what signals and closed descriptors do to a run. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* C0 but the line end, DEL, and U+0080..U+009F as UTF-8; a byte 0x80..0x9f that belongs to no letter
   shows in the second pattern, as every byte that is no UTF-8 does. */
#define RAW "LC_ALL=C grep -q \"$(printf '[\\001-\\010\\013-\\037\\177]')\\|$(printf '\\302[\\200-\\237]')\" "
#define NO_UTF8 "! iconv -f UTF-8 -t UTF-8 >c2 2>&1 <"

typedef struct row { /* a file with a string of a stranger, and a command that shows it */
    const char *prepare, *command, *shows;
} row;

#define EVIL "\\033[31m\\302\\23331m"
#define SHOWN "\\x1b[31m\\u009b31m"

static const row rows[] = {
    { "printf '{\"text\":\"caf\\303\\251 \\\\u001b[31m\\\\u009b31m\\\\u007f \\\\u202e\"}' >x.jsonl",
      "inspect --tokenizer bytes --data x.jsonl", "caf\xc3\xa9 \\x1b[31m\\u009b31m\\x7f \\u202e" },
    { "printf '{\"a\\\\u001b[31m\":\"\\\\u009b31m\\\\nb\"}' >x.json", "inspect x.json", "a\\x1b[31m" },
    { "printf '{\"a\\\\u001b[31m\":\"\\\\u009b31m\\\\nb\"}' >x.json", "inspect x.json", "\\u009b31m\\nb" },
    { "n=$(printf '" EVIL "'); cp t.txt \"$n.txt\"",
      "train --model m --tokenizer bytes --data \"$n.txt\" --iters 1 -o o", SHOWN },
    { "n=$(printf '" EVIL "'); cp -r m \"$n\"",
      "train --model \"$n\" --tokenizer bytes --data t.txt --iters 1 -o o", SHOWN },
    { "n=$(printf '" EVIL "')", "train --model m --tokenizer bytes --data t.txt --iters 1 -o \"$n\"",
      "saved " SHOWN },
    { "n=$(printf '" EVIL "')", "eval --model \"$n\" --data t.txt", SHOWN },
    { "n=$(printf '\\23331m\\377')", "eval --model \"$n\" --data t.txt", "\\x9b31m\\xff" },
    { "n=$(printf '" EVIL "')", "train --model m --tokenizer bytes --data \"task:$n\" -o o", SHOWN },
    { "n=$(printf '" EVIL "')", "train --model m --tokenizer bytes --data t.txt -o o --optimizer \"$n\"", SHOWN },
    { "n=$(printf '" EVIL "')", "\"$n\"", SHOWN },
    { "printf 'seed = " EVIL "' >c.conf", "train --config c.conf", SHOWN },
    { "n=$(printf '" EVIL "'); mkdir d; cp t.txt \"d/$n\"", "inspect d", SHOWN },
};

START_TEST(nothing_of_a_file_reaches_it_raw)
{
    const row *r = &rows[_i];
    place p = place_make();
    shell(&p, "%s; \"$T\" %s >out 2>err", r->prepare, r->command);
    ck_assert_int_eq(shell(&p, "cat out err >both"), 0);
    place_has(&p, "both", r->shows);
    ck_assert_int_ne(shell(&p, RAW "both"), 0);
    ck_assert_int_ne(shell(&p, NO_UTF8 "both"), 0);
    place_end(&p);
}
END_TEST

/* A report must not go into a file that was given the descriptor of a closed stream. */
START_TEST(closed_descriptors_are_no_files)
{
    static const char *const closed[] = { "<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-" };
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        place p = place_make();
        ck_assert_int_eq(shell(&p, "\"$T\" train --model m --tokenizer bytes --data t.txt --iters 2 "
                                   "-o o --progress lines >out 2>err %s", closed[i]), 0);
        ck_assert_int_eq(shell(&p, "test $(grep -c '^{.*}$' o/log.jsonl) = $(wc -l <o/log.jsonl)"), 0);
        place_end(&p);
    }
}
END_TEST

START_TEST(the_step_is_named_once)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 9 -o o "
                               "--optimizer sgd --lr 1e18"), 1);
    ck_assert_int_eq(shell(&p, "grep -q '^tenon: step [0-9]*: ' err && ! grep -q 'step.*: step' err"), 0);
    place_end(&p);
}
END_TEST

/* Whatever path stands before it, the reason is there. */
START_TEST(a_long_path_keeps_the_reason)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "n=$(printf 'x%%.0s' $(seq 200)); m=$n/$n/$n/$n; "
                               "\"$T\" eval --model $m --data t.txt 2>err; "
                               "grep -q '^tenon: xxx.*\\.\\.\\.xxx' err && "
                               "grep -q 'No such file or directory; expected a model folder$' err"), 0);
    place_end(&p);
}
END_TEST

#define LONG_RUN "train --model m --tokenizer bytes --data t.txt --iters 400 --save-every 100000 " \
                 "--steps-per-report 1 -o o --max-seq-length 64"

/* SIGUSR1 saves and SIGUSR2 tells, between steps; the run ends as if nothing had been. */
START_TEST(two_signals_ask_for_something)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, LONG_RUN " --progress none"), 0);
    ck_assert_int_eq(shell(&p, "mv o whole"), 0);
    ck_assert_int_eq(
        shell(&p, "\"$T\" " LONG_RUN " --progress none >out 2>err & pid=$!; "
                  "until grep -q '\"step\":3,' o/log.jsonl 2>/dev/null || ! kill -0 $pid; do sleep 0.01; done; "
                  "kill -USR1 $pid; kill -USR2 $pid; wait $pid"), 0);
    place_has(&p, "err", "step ");
    place_has(&p, "err", "  checkpoint ");
    ck_assert_int_eq(shell(&p, "test $(ls -d o/checkpoint-* | wc -l) -ge 2"), 0);
    ck_assert_int_eq(shell(&p, "cmp o/model.safetensors whole/model.safetensors"), 0);
    place_end(&p);
}
END_TEST

/* Neither ends a command that does not ask for them. */
START_TEST(they_end_no_command)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 -o b"), 0);
    ck_assert_int_eq(shell(&p, "mkfifo q; \"$T\" generate --model b --max-tokens 2 --prompt - <q >out 2>err & "
                               "pid=$!; exec 3>q; sleep 0.5; kill -USR1 $pid; kill -USR2 $pid; "
                               "echo 1 >&3; exec 3>&-; wait $pid"), 0);
    place_end(&p);
}
END_TEST

/* One place for all output: nothing else in apps/ writes to a standard stream. */
START_TEST(one_place_writes)
{
    place p = place_make();
    ck_assert_int_ne(shell(&p, "cd %s && grep -nE '(^|[^a-z_])(printf|puts|putchar|perror)\\(' apps/run/*.c "
                               "apps/commands/*.c apps/tenon.c", p.before), 0);
    place_end(&p);
}
END_TEST

void tests(TCase *c)
{
    if (sizeof(tn_real) == sizeof(double))
        return; /* there is one program, in float */
    tcase_add_loop_test(c, nothing_of_a_file_reaches_it_raw, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, closed_descriptors_are_no_files);
    tcase_add_test(c, the_step_is_named_once);
    tcase_add_test(c, a_long_path_keeps_the_reason);
    tcase_add_test(c, two_signals_ask_for_something);
    tcase_add_test(c, they_end_no_command);
    tcase_add_test(c, one_place_writes);
}
