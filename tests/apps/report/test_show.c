/* test_show.c - what reaches a terminal, and what happens when output cannot be written. */
#include "apps/commands/commands.h"
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RAW finds control characters except the line end, DEL, and U+0080..U+009F as UTF-8. NO_UTF8 finds
   bytes that are not UTF-8, such as a single byte 0x80..0x9f. */
#define RAW                                                                                        \
    "LC_ALL=C grep -q \"$(printf '[\\001-\\010\\013-\\037\\177]')\\|$(printf '\\302[\\200-\\237]')\" "
#define NO_UTF8 "! iconv -f UTF-8 -t UTF-8 >c2 2>&1 <"

typedef struct row { /* a file with a string from somebody else, and a command that shows it */
    const char *prepare, *command, *shows;
} row;

#define EVIL "\\033[31m\\302\\23331m\\177"
#define SHOWN "\\x1b[31m\\u009b31m\\x7f"
#define IN_JSON "\\u001b[31m\\u009b31m\\u007f"

/* clang-format off */
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
    { "n=$(printf '" EVIL "'); cp t.txt \"$n.txt\"",
      "train --model m --tokenizer bytes --data \"$n.txt\" --iters 1 -o o --progress json", IN_JSON },
    { "n=$(printf '" EVIL "')",
      "compare --model m --tokenizer bytes --data t.txt --optimizers sgd --lr-grid 1e-3 --iters 1 -o \"$n\"",
      "written: " SHOWN },
    { "n=$(printf '" EVIL "')", "compare --model m --data t.txt -o c --lr-grid \"$n\"", SHOWN },
    { "n=$(printf '" EVIL "')", "lab paths --svg \"$n/x\"", SHOWN },
    { "n=$(printf '" EVIL "')", "lab paths --svg \"$n\"", "written: " SHOWN },
    { "n=$(printf '" EVIL "')", "bench \"$n\"", SHOWN },
    { "n=$(printf '" EVIL "')", "task \"$n\"", SHOWN },
    { "n=$(printf '" EVIL "')", "optimizers \"$n\"", SHOWN },
};
/* clang-format on */

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

/* The files of a run do not have such bytes, either. config.used still gives the same run. */
START_TEST(nothing_of_it_is_in_a_file)
{
    place p = place_make();
    ck_assert_int_eq(
        shell(&p, "n=$(printf '" EVIL "'); cp -r m \"$n\"; cp t.txt \"$n.txt\"; \"$T\" train "
                  "--model \"$n\" --data \"$n.txt\" --tokenizer bytes --iters 1 -o o >out"),
        0);
    ck_assert_int_eq(
        shell(&p, "for f in log.jsonl config.used config.json tokenizer.json .tenon-run; do "
                  "cat o/$f || exit 1; done >both"),
        0);
    place_has(&p, "both", IN_JSON);
    ck_assert_int_ne(shell(&p, RAW "both"), 0);
    ck_assert_int_eq(tenon(&p, "train --config o/config.used -o again"), 0);
    ck_assert_int_eq(shell(&p, "cmp o/model.safetensors again/model.safetensors"), 0);
    place_end(&p);
}
END_TEST

/* If a standard stream is closed, a file may get its descriptor. Output must not go into that
   file. */
START_TEST(closed_descriptors_are_no_files)
{
    static const char *const closed[] = { "<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-" };
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        place p = place_make();
        ck_assert_int_eq(shell(&p,
                               "\"$T\" train --model m --tokenizer bytes --data t.txt --iters 2 "
                               "-o o --progress lines >out 2>err %s",
                               closed[i]),
                         0);
        ck_assert_int_eq(shell(&p, "test $(grep -c '^{.*}$' o/log.jsonl) = $(wc -l <o/log.jsonl)"),
                         0);
        place_end(&p);
    }
}
END_TEST

START_TEST(the_step_is_named_once)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 9 -o o "
                               "--optimizer sgd --lr 1e18"),
                     1);
    ck_assert_int_eq(shell(&p,
                           "grep -q '^tenon: step [0-9]*: ' err && ! grep -q 'step.*: step' err"),
                     0);
    place_end(&p);
}
END_TEST

/* A message has its reason, however long the path before it is. */
START_TEST(a_long_path_keeps_the_reason)
{
    place p = place_make();
    ck_assert_int_eq(
        shell(&p,
              "n=$(printf 'x%%.0s' $(seq 200)); m=$n/$n/$n/$n; "
              "\"$T\" eval --model $m --data t.txt 2>err; "
              "grep -q '^tenon: xxx.*\\.\\.\\.xxx' err && "
              "grep -q 'No such file or directory; expected a model folder or a GGUF file$' err"),
        0);
    place_end(&p);
}
END_TEST

/* ---- output that cannot be written ---- */

static const char *const outputs[] = {
    "train --model m --tokenizer bytes --data t.txt --iters 1 -o o",
    "train --model m --tokenizer bytes --data t.txt --dry-run",
    "train --model m --tokenizer bytes --data t.txt --iters 1 -o o --progress bar",
    "eval --model b --data t.txt",
    "eval --model b --task lookup --count 2",
    "generate --model b -p 1 -n 2",
    "generate --model b -p 1 -p 2 -n 2",
    "inspect b",
    "inspect m/config.json",
    "inspect b/model.safetensors",
    "inspect --model b --data t.txt",
    "compare --model b --data t.txt --optimizers sgd --lr-grid 1e-3 --iters 1 -o c",
    "fuse --model b --adapter-path a --save-path f --overwrite",
    "export --model b --format safetensors --save-path f --overwrite",
    "optimizers",
    "optimizers adamw",
    "optimizers --markdown",
    "bench peak",
    "bench step --layers 1 --heads 1 --width 8 --vocab 9 -c 8 -n 1",
    "bench step --mode mlp -n 1",
    "bench optimizers --pairs 1 --width 8",
    "task",
    "task lookup",
    "tokenize --model b -p 1",
    "chat --model b --chat-template alpaca --quiet <help",
    "plot b",
    "lab",
    "lab paths",
    "lab invariance",
    "lab first-steps",
    "lab rank --optimizers adam",
    "lab alpha --optimizers adam",
    "lab conditioning --optimizers sgd",
    "lab init-scale --optimizers sgd",
    "demo",
    "--help",
    "--version",
    "train --help",
};
enum { OUTPUTS = sizeof outputs / sizeof *outputs };

/* The disk is full: one line and status 1. The reader of a pipe has closed it, and says so before
   the program begins: nothing is said; what writes files goes on, and the rest ends by the
   signal. */
START_TEST(what_cannot_be_shown_is_an_error)
{
    static const struct {
        const char *first, *to, *why;
    } ways[] = { { "", ">/dev/full", "tenon: standard output: No space left on device\n" },
                 { "read x <$P/q;", "| { exec <&-; echo closed >$P/q; }", "" } };
    static const char *const files[] = {
        "train ", "compare ", "fuse ", "export ", "lab", "plot "
    };
    bool writes = false;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        writes = writes || !strncmp(outputs[_i], files[i], strlen(files[i]));
    const bool demo = !strcmp(outputs[_i], "demo");
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 -o b"), 0);
    ck_assert_int_eq(shell(&p, "echo /help >help; mkfifo q"), 0);
    if (!strncmp(outputs[_i], "fuse", 4))
        ck_assert_int_eq(tenon(&p,
                               "train --model b --data t.txt --iters 1 --fine-tune-type lora -o a"),
                         0);
    for (int k = 0; k < 2; k++) {
        const char *expected = k == 0 ? "1\n" : writes ? "0\n" : "141\n";
        ck_assert_int_eq(
            shell(&p,
                  "P='%s'; rm -rf o c; cd %s; { %s \"$T\" %s 2>$P/err; echo $? >$P/status; } %s",
                  p.folder, demo ? p.before : ".", ways[k].first, outputs[_i], ways[k].to),
            0);
        char *err = place_read("err"), *status = place_read("status");
        ck_assert_msg(!strcmp(err, ways[k].why), "%s %s: \"%s\"", outputs[_i], ways[k].to, err);
        ck_assert_msg(!strcmp(status, expected), "%s %s: status %s", outputs[_i], ways[k].to,
                      status);
        free(err);
        free(status);
    }
    if (strstr(outputs[_i], "-o o")) /* the result is complete */
        ck_assert_int_eq(shell(&p, "\"$T\" eval --model o --data t.txt >out"), 0);
    place_end(&p);
}
END_TEST

START_TEST(that_is_tried_with_every_command)
{
    for (const command *c = commands; c->name; c++) {
        bool tried = false;
        const size_t n = strlen(c->name);
        for (int k = 0; k < OUTPUTS; k++)
            tried = tried || (!strncmp(outputs[k], c->name, n) && strchr(" ", outputs[k][n]));
        ck_assert_msg(tried, "%s", c->name);
    }
}
END_TEST

/* Only one file of apps/ writes to standard streams. */
START_TEST(one_place_writes)
{
    place p = place_make();
    ck_assert_int_ne(
        shell(&p,
              "cd %s && grep -nE '(^|[^a-z_])(printf|puts|putchar|perror)\\(' apps/[!e]*/*.c "
              "apps/tenon.c",
              p.before),
        0); /* all folders except apps/examples */
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, nothing_of_a_file_reaches_it_raw, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, closed_descriptors_are_no_files);
    tcase_add_test(c, the_step_is_named_once);
    tcase_add_test(c, a_long_path_keeps_the_reason);
    tcase_add_test(c, nothing_of_it_is_in_a_file);
    tcase_add_loop_test(c, what_cannot_be_shown_is_an_error, 0, OUTPUTS);
    tcase_add_test(c, that_is_tried_with_every_command);
    tcase_add_test(c, one_place_writes);
}
