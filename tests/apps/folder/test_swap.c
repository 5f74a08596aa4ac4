/* test_swap.c - a run replaces another and is killed at any moment: one of the two is complete.
   The tests make by hand the files that a kill between two renames leaves. */
#include "apps/folder/output.h"
#include "apps/folder/swap.h"
#include "tests/support/apps.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdlib.h>

const command commands[] = { { .name = NULL } }; /* this program has no commands */

#define HOW "--tokenizer chars --iters 4 --save-every 2 --threads 1 "
#define OLD "train --model m --data t.txt " HOW
#define NEW "train --model n --data u.txt " HOW
#define SAME "diff -r -x log.jsonl -x log.csv -x loss.svg "

/* Makes a finished run in old. new is the same folder after another run, with another model and
   tokenizer, has replaced it. */
static place make(void)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "tr a-z A-Z <t.txt >u.txt; yes '012 345' | head -n 99 >v.txt; "
                               "cp -r m n; sed -i 's/\"n_embd\": 16/\"n_embd\": 8/' n/config.json"),
                     0);
    ck_assert_int_eq(tenon(&p, OLD "-o old"), 0);
    ck_assert_int_eq(shell(&p, "cp -r old new"), 0);
    ck_assert_int_eq(tenon(&p, NEW "-o new --overwrite"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model new --data v.txt"), 0);
    ck_assert_int_eq(shell(&p, "grep loss out >loss"), 0);
    return p;
}

#define RESULT ".tenon-run model.safetensors config.json tokenizer.json tokenizer_config.json"
enum { MOVED = 5 };

/* The new result is complete, and _i of its files have been moved up. Commands read the new result,
   and the next run moves the other files. */
START_TEST(a_result_moves_whole)
{
    place p = make();
    ck_assert_int_eq(
        shell(&p,
              "cp -r old o; rm -r o/checkpoint-*; cp -r new/checkpoint-* new/config.used o; "
              "mkdir o/.tenon-new; i=0; for f in " RESULT "; do "
              "if [ $i -lt %d ]; then cp new/$f o; else cp new/$f o/.tenon-new; fi; "
              "i=$((i + 1)); done",
              _i),
        0);
    ck_assert_int_eq(tenon(&p, "eval --model o --data v.txt"), 0);
    ck_assert_int_eq(shell(&p, "grep loss out | cmp - loss"), 0);
    ck_assert_int_eq(tenon(&p, NEW "-o o"), 1);
    place_has(&p, "err", "holds a finished run");
    ck_assert_int_eq(shell(&p, SAME "new o"), 0);
    place_end(&p);
}
END_TEST

/* Puts into o what a new run has there before its first checkpoint, or after it if `checkpoint` is
   set. */
static void wait_in_o(const place *p, bool checkpoint)
{
    ck_assert_int_eq(
        shell(
            p,
            "run() { sed -n 's/.*\"run\": \"\\(.*\\)\".*/\\1/p' $1/.tenon-run; }; "
            "cp -r old o; w=o/.tenon-$(run new).tmp; mkdir $w; cp new/log.jsonl new/config.used $w; "
            "sed \"s/$(run old)/$(run new)/; s/  .files/  \\\"before\\\": \\\"$(run old)\\\",\\n&/; "
            "s/files.: ./&\\\"older-config.used\\\", \\\"older-log.jsonl\\\", /; "
            "s/, .config.used.: .[0-9a-f]*.}/}/\" old/.tenon-run >$w/.tenon-run; "
            "if %s; then rm -r o/checkpoint-2; cp -r new/checkpoint-2 o; fi",
            checkpoint ? "true" : "false"),
        0);
}

/* After its first checkpoint the folder belongs to the new run. Other checkpoints of the older run
   are removed. The old result stays until the new one is complete. */
START_TEST(a_first_checkpoint_counts)
{
    place p = make();
    wait_in_o(&p, true);
    ck_assert_int_eq(tenon(&p, NEW "-o o"), 1);
    place_has(&p, "err", "o: holds a finished run");
    ck_assert_int_eq(
        shell(&p, "! ls -A o | grep tmp && cmp o/model.safetensors old/model.safetensors && "
                  "cmp o/config.used new/config.used && test ! -e o/checkpoint-4 && "
                  "cmp o/older-config.used old/config.used && cmp o/older-log.jsonl old/log.jsonl"),
        0);
    ck_assert_int_eq(tenon(&p, NEW "-o o --resume"), 0);
    place_has(&p, "out", "resumed    after step 2");
    ck_assert_int_eq(shell(&p, SAME "new o"), 0);
    place_end(&p);
}
END_TEST

/* Before that the older run is complete. A resume of the new run does not use the checkpoints of
   the older one. */
START_TEST(before_it_the_older_run_stands)
{
    place p = make();
    wait_in_o(&p, false);
    ck_assert_int_eq(tenon(&p, NEW "-o o --resume"), 1);
    place_has(&p, "err", "was killed before its first checkpoint");
    ck_assert_int_eq(shell(&p, SAME "-x '*.tmp' old o && cp -r o q"), 0);
    ck_assert_int_eq(tenon(&p, NEW "-o o --overwrite"), 0);
    ck_assert_int_eq(shell(&p, SAME "new o"), 0);
    ck_assert_int_eq(
        shell(&p, "sed -n 's/.*(\\(rm -r o.*tmp\\) goes.*/\\1/p' err >rm; rm -r o; mv q o"), 0);
    ck_assert_int_eq(tenon(&p, NEW "-o o --resume"), 1);
    ck_assert_int_eq(shell(&p, "sed -n 's/.*(\\(rm -r o.*tmp\\) goes.*/\\1/p' err | sh"), 0);
    ck_assert_int_eq(tenon(&p, OLD "-o o --resume"), 0);
    ck_assert_int_eq(shell(&p, SAME "old o"), 0);
    place_end(&p);
}
END_TEST

/* A run that is killed before its first checkpoint has left the marker that the next run needs. */
START_TEST(what_waits_is_marked_from_the_start)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, OLD "-o o"), 0);
    ck_assert_int_eq(shell(&p,
                           "cp -r o old; " SENDS
                           "train --model m --data t.txt --tokenizer chars --iters 9 "
                           "--steps-per-report 1 -o o --overwrite >out 2>err; test $? = 137 && "
                           "grep -q '\"before\"' o/.tenon-*.tmp/.tenon-run",
                           "KILL", "1", "\"step\":3,"),
                     0);
    ck_assert_int_eq(shell(&p, SAME "-x '.tenon-*.tmp' old o"), 0);
    ck_assert_int_eq(
        tenon(
            &p,
            "train --model m --data t.txt --tokenizer chars -o o --overwrite --learning-rate 1e30"),
        1);
    ck_assert_int_eq(shell(&p, "diff -r old o"), 0); /* nothing is left of either */
    place_end(&p);
}
END_TEST

/* A run that replaces another, or takes more steps of it, and stops after its first checkpoint: the
   result is still the old one, and the files that say what made it are beside it. */
START_TEST(an_older_result_keeps_its_story)
{
    static const char *const more[] = { "--overwrite --seed 1", "--overwrite --seed 2",
                                        "--resume" };
    place p = place_make();
    ck_assert_int_eq(tenon(&p, OLD "-o o"), 0);
    ck_assert_int_eq(shell(&p, "cp -r o old"), 0);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        if (i == 2) /* a run whose result is there goes on */
            ck_assert_int_eq(shell(&p, "rm -r o; cp -r old o"), 0);
        ck_assert_int_eq(
            shell(&p,
                  SENDS "train --model m --data t.txt --tokenizer chars --threads 1 --iters 9 "
                        "--save-every 2 --steps-per-report 1 -o o %s >out 2>err",
                  "TERM", "1", "\"step\":8,", more[i]),
            130);
        ck_assert_int_eq(shell(&p, "cmp o/model.safetensors old/model.safetensors && "
                                   "cmp o/older-config.used old/config.used && "
                                   "! cmp -s o/config.used old/config.used"),
                         0);
        const bool kept = !shell(&p, "cmp o/older-log.jsonl old/log.jsonl");
        ck_assert_int_eq(kept, i < 2); /* a resume adds lines to the same log */
    }
    ck_assert_int_eq(tenon(&p, OLD "-o o --overwrite --seed 3"), 0);
    ck_assert_int_eq(shell(&p, "! ls o | grep older"), 0);
    place_end(&p);
}
END_TEST

/* A folder without a marker: the printed command removes only the files that are in the way. */
START_TEST(an_older_tenons_folder_has_its_rm)
{
    static const char *const asked[] = { OLD "--overwrite ", OLD, OLD "--resume " };
    for (int notes = 0; notes < 2; notes++) {
        place p = place_make();
        ck_assert_int_eq(tenon(&p, OLD "-o 'o d'"), 0);
        ck_assert_int_eq(
            shell(&p,
                  "rm 'o d/.tenon-run'; if [ %d = 1 ]; then echo mine >'o d/notes'; fi; "
                  "cp -r 'o d' kept",
                  notes),
            0);
        ck_assert_int_eq(tenon(&p, "%s -o 'o d'", asked[_i]), 1);
        place_has(&p, "err", "o d: written by a tenon that did not mark what is its own");
        ck_assert_int_eq(shell(&p, "test $(wc -l <err) = 1 && diff -r 'o d' kept"), 0);
        ck_assert_int_eq(
            shell(&p, "sed -n 's/.*to remove it: //p' err >rm && grep -q '^rm -r ' rm && sh rm"),
            0);
        ck_assert_int_eq(shell(&p, "test %d = 0 || cmp 'o d/notes' kept/notes", notes), 0);
        ck_assert_int_eq(tenon(&p, "%s -o 'o d'", asked[_i]), 0);
        place_end(&p);
    }
}
END_TEST

/* If the disk has too little space for a run, this is reported before the first step, and no file
   is left. */
START_TEST(a_full_disk_is_seen_before)
{
    place p = place_make();
    tn_error e = { 0 };
    output out;
    const options o = { 0 };
    ck_assert_int_eq(output_open(&out, &output_train, "x/y", &o, false, &e), 0);
    output_begin(&out, 1, 1e21, &e);
    must_fail(&e, TN_EIO, "x/y: ");
    output_begin(&out, 1, 1e21, &e);
    must_fail(&e, TN_EIO, " free on this disk; expected ");
    output_close(&out);
    ck_assert_int_eq(shell(&p, "test ! -e x"), 0);
    place_end(&p);
}
END_TEST

/* clang-format off */
static const struct { const char *name; bool waits; } names[] = {
    { ".tenon-0123456789abcdef.tmp", true }, { ".tenon-0000000000000000.tmp", true },
    { ".tenon-0123456789ABCDEF.tmp", false }, { ".tenon-123456789abcdef.tmp", false },
    { ".tenon-00123456789abcdef.tmp", false }, { ".tenon-mine.tmp", false },
    { ".tenon-0123456789abcdef.tmp2", false }, { ".tenon-new", false }, { "x.tmp", false },
};
/* clang-format on */

/* tenon inspect names what a save removes, and nothing else. */
START_TEST(one_rule_for_what_waits)
{
    place p = place_make();
    uint64_t number;
    ck_assert_int_eq(shell(&p, "mkdir f; cp m/config.json f"), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ck_assert_msg(swap_waits(names[i].name, &number) == names[i].waits, "%s", names[i].name);
        ck_assert_int_eq(shell(&p, "mkdir f/%s", names[i].name), 0);
        ck_assert_int_eq(tenon(&p, "inspect f"), 0);
        ck_assert_int_eq(shell(&p, "grep -q 'f/%s: left by a save' out", names[i].name),
                         names[i].waits ? 0 : 1);
    }
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, one_rule_for_what_waits);
    tcase_add_loop_test(c, a_result_moves_whole, 0, MOVED + 1);
    tcase_add_test(c, a_first_checkpoint_counts);
    tcase_add_test(c, before_it_the_older_run_stands);
    tcase_add_test(c, what_waits_is_marked_from_the_start);
    tcase_add_test(c, an_older_result_keeps_its_story);
    tcase_add_loop_test(c, an_older_tenons_folder_has_its_rm, 0, 3);
    tcase_add_test(c, a_full_disk_is_seen_before);
}
