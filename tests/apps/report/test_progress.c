/* test_progress.c - progress.c and progress_block.c: what a run prints, and its log. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <pty.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#define TRAIN "train --model m --tokenizer chars --data r.jsonl "

/* ---- the block before the first step ---- */

/* The counts follow from the shapes of GPT-2 in m: 15 characters, 64 positions, 2 blocks of width
   16. A block has 12 x 16 x 16 + 13 x 16 numbers. LoRA of rank r on (out,in) trains r (out + in)
   numbers. */
/* clang-format off */
static const struct { const char *arguments, *line; } blocks[] = {
    { TRAIN, "model      m  gpt2  2 layers  16 wide  2 heads  7,856 parameters  (tied embedding)\n" },
    { TRAIN, "training   all weights, 7,856 numbers, dropout 0 in the model" },
    { TRAIN "--dropout 0.1", "training   all weights, 7,856 numbers, dropout 0.1\n" },
    { TRAIN, "data       r.jsonl  23 records (completion), 301 tokens, 111 in the loss\n           prompts are masked out" },
    { TRAIN "--no-mask-prompt", "278 in the loss\n           prompts count in the loss\n" },
    { TRAIN "--batch-size 3 --grad-accumulation-steps 2", "plan       1 step x 6 rows, seed 0, " },
    { TRAIN "--optimizer sgd --lr 0.5 --lr-scheduler linear --warmup-steps 1",
      "optimizer  sgd lr 0.5 linear warm-up 1  state 0 B\n" },
    { "train --model b --data r.jsonl --lora-rank 4 --target-modules c_attn",
      "adapter    LoRA r=4 alpha=16 on c_attn, 512 trainable (6.119 %), dropout 0 in" },
    { "train --model b --data r.jsonl --lora-rank 2 --lora-dropout 0.2 --target-modules all-linear",
      "adapter    LoRA r=2 alpha=16 on all-linear, 1,024 trainable (11.532 %), dropout 0.2 before it, " },
    { "train --model b --data r.jsonl --base-dtype bf16", "weights    frozen: bf16 14.8 kB + f32 1.8 kB\n" },
};
/* clang-format on */

START_TEST(the_block_says_what_is_trained)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, TRAIN "--iters 1 -o b"), 0);
    ck_assert_int_eq(tenon(&p, "%s --iters 1 -o o", blocks[_i].arguments), 0);
    place_has(&p, "out", blocks[_i].line);
    place_end(&p);
}
END_TEST

/* ---- the lines of steps ---- */

/* Steps 1, 5, 10 and 12 of 12 are shown: as lines on standard output, or as JSON on standard
   error. */
/* clang-format off */
static const struct { const char *arguments; int lines, records, block; } modes[] = {
    { "--progress lines", 4, 0, 1 },
    { "--progress auto", 4, 0, 1 }, /* the output is not a terminal */
    { "", 4, 0, 1 },
    { "--progress json", 0, 5, 0 }, /* four steps and the header */
    { "--progress none", 0, 0, 0 },
};
/* clang-format on */

START_TEST(a_mode_says_where_steps_are_shown)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, TRAIN "--iters 12 --steps-per-report 5 -o o %s",
                           modes[_i].arguments),
                     0);
    ck_assert_int_eq(
        shell(&p, "grep '^step ' out | cut -d ' ' -f 1-2 >lines; test $(wc -l <lines) = %d",
              modes[_i].lines),
        0);
    if (modes[_i].lines)
        ck_assert_int_eq(shell(&p, "printf 'step %%s/12\\n' 1 5 10 12 | cmp - lines"), 0);
    ck_assert_int_eq(shell(&p, "test $(wc -l <err) = %d", modes[_i].records), 0);
    if (modes[_i].records)
        ck_assert_int_eq(shell(&p, "cmp err o/log.jsonl"), 0);
    ck_assert_int_eq(shell(&p, "test $(grep -c '^model ' out) = %d", modes[_i].block), 0);
    place_end(&p);
}
END_TEST

/* The mean of a line is m(t) / (1 - 0.9^t) with m(t) = 0.9 m(t-1) + 0.1 loss(t), over all steps,
   also those that are not shown. The epoch is the number of rows divided by the 23 records. */
START_TEST(a_line_has_the_mean_of_all_losses)
{
    place p = place_make();
    const char *how = TRAIN "--iters 12 --batch-size 4 --lr 1e-2";
    ck_assert_int_eq(tenon(&p, "%s --steps-per-report 1 -o a", how), 0);
    ck_assert_int_eq(
        shell(&p,
              "sed -n 's/.*\"step\":\\([0-9]*\\),\"epoch\":\\([0-9.]*\\),\"loss\":\\([0-9.]*\\).*/"
              "\\1 \\2 \\3/p' a/log.jsonl >losses; test $(wc -l <losses) = 12; "
              "awk '{ m = 0.9 * m + 0.1 * $3; d = $2 - $1 * 4 / 23; if (d * d > 1e-8) exit 1; "
              "printf \"%%.3f\\n\", m / (1 - 0.9 ^ NR) }' losses >expected"),
        0);
    ck_assert_int_eq(tenon(&p, "%s --steps-per-report 4 -o b", how), 0);
    ck_assert_int_eq(
        shell(&p, "sed -n 's/^step.*(ema \\([0-9.]*\\)).*/\\1/p' out >shown; "
                  "sed -n '1p;4p;8p;12p' expected | paste - shown | "
                  "awk '{ d = $1 - $2; if (d * d > 1e-6) exit 1; n++ } END { exit n != 4 }'"),
        0);
    place_end(&p);
}
END_TEST

/* ---- the log ---- */

/* A program that reads the output through a pipe gets each record at once: one is there although
   the run is killed before it writes the next. */
START_TEST(records_come_at_once)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p,
                           "{ " SENDS
                           "train --model m --tokenizer chars --data t.txt -o o --iters 9 "
                           "--valid-split 0 --progress json 2>&1 >out; echo $? >status; } | "
                           "cat >lines; grep -q '^{\"tenon\":.*}$' lines && "
                           "test $(cat status) = 137",
                           "KILL", "1", "\"step\":1,"),
                     0);
    place_end(&p);
}
END_TEST

START_TEST(the_log_says_what_happened)
{
    place p = place_make();
    ck_assert_int_eq(
        tenon(&p,
              "train --model m --tokenizer chars --data t.txt --iters 20 -o o --steps-per-report 5 "
              "--steps-per-eval 10 --opt beta1=0.8 --opt eps=1e-6"),
        0);
    place_has(&p, "o/log.jsonl", "\"opt\":[\"beta1=0.8\",\"eps=1e-6\"]");
    place_has(&p, "o/log.jsonl", "{\"tenon\":");
    place_has(&p, "o/log.jsonl", "\"iters\":20");
    ck_assert_int_eq(shell(&p, "test $(grep -c '\"split\":\"train\",\"step\":' o/log.jsonl) = 5"),
                     0); /* 1, 5, ... 20 */
    ck_assert_int_eq(shell(&p, "test $(grep -c '\"split\":\"valid\"' o/log.jsonl) = 3"),
                     0); /* 0, 10, 20 */
    ck_assert_int_eq(shell(&p, "grep '\"step\":1,' o/log.jsonl | grep -q '\"eta_s\":null'"), 0);
    ck_assert_int_eq(shell(&p, "grep '\"step\":5,' o/log.jsonl | grep -q '\"eta_s\":[0-9]'"), 0);
    place_end(&p);
}
END_TEST

/* A full disk or a kill may leave an unfinished line. The next line does not continue it. */
START_TEST(a_resumed_log_has_whole_lines)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, TRAIN "--iters 12 -o o --save-every 4"), 0);
    ck_assert_int_eq(shell(&p, "rm -r o/model.safetensors o/checkpoint-12 && "
                               "printf '{\"split\":\"tra' >>o/log.jsonl"),
                     0);
    ck_assert_int_eq(tenon(&p, TRAIN "--iters 12 -o o --save-every 4 --resume"), 0);
    ck_assert_int_eq(shell(&p, "test $(grep -c '^{.*}$' o/log.jsonl) = $(wc -l <o/log.jsonl)"), 0);
    ck_assert_int_eq(shell(&p, "test $(grep -c '^{\"tenon\":' o/log.jsonl) = 2"), 0);
    place_end(&p);
}
END_TEST

/* ---- the width of a terminal ---- */

#define LONG_RUN                                                                                   \
    "train --model m --tokenizer bytes --data t.txt --iters 40 --save-every 100000 "               \
    "--steps-per-report 1 -o o --max-seq-length 64"

enum { OLD = 6, NEW = 12 };

/* Runs the program on a terminal with this many columns; it stops before it shows bar OLD. Returns
   the other end of the terminal. */
static int on_terminal(const place *p, int columns, pid_t *child)
{
    const struct winsize size = { .ws_row = 24, .ws_col = (unsigned short)columns };
    int all, end;
    ck_assert_int_eq(openpty(&all, &end, NULL, NULL, &size), 0);
    *child = fork();
    ck_assert_int_ge(*child, 0);
    if (!*child) {
        login_tty(end);
        setenv("TERM", "xterm", 1);
        char line[512];
        snprintf(line, sizeof line, "T=$0; L=${T%%/*}; exec env " SENDS LONG_RUN " --progress bar",
                 "STOP", "6", "\033[K");
        execl("/bin/sh", "sh", "-c", line, p->program, NULL);
        _exit(127);
    }
    close(end);
    return all;
}

/* Reads the next bar: the text between a carriage return and "erase to the end". False if there is
   none. */
static bool next_bar(int terminal, char bar[512])
{
    static const char erase[] = "\033[K";
    size_t n = 0;
    char c;
    while (read(terminal, &c, 1) == 1) {
        n = c == '\r' || n == 511 ? 0 : n;
        bar[n] = c;
        n += c != '\r';
        bar[n] = 0;
        if (n >= 3 && !strcmp(bar + n - 3, erase)) {
            bar[n - 3] = 0;
            return true;
        }
    }
    return false;
}

/* Each bar has the width that the terminal has at that moment. The width changes during the run. */
START_TEST(a_bar_fits_the_terminal_of_now)
{
    static const int widths[][2] = { { 60, 20 }, { 20, 60 }, { 1, 1 }, { 2, 40 }, { 0, 30 } };
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        place p = place_make();
        pid_t child;
        char bar[512];
        int status, bars = 0, longest = 0;
        const struct winsize size = { .ws_row = 24, .ws_col = (unsigned short)widths[i][1] };
        const int terminal = on_terminal(&p, widths[i][0], &child);
        for (; bars < OLD + NEW && next_bar(terminal, bar); bars++) {
            const int n = (int)strlen(bar);
            longest = bars >= OLD && n > longest ? n : longest;
            if (bars == OLD - 2) { /* the next one has the old width */
                ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
                ck_assert(WIFSTOPPED(status));
                ck_assert_int_eq(ioctl(terminal, TIOCSWINSZ, &size), 0);
                ck_assert_int_eq(kill(child, SIGCONT), 0);
            }
        }
        ck_assert_int_eq(bars, OLD + NEW);
        ck_assert_msg(longest < widths[i][1] && (longest > 4 || widths[i][1] < 5), "%d columns: %d",
                      widths[i][1], longest);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        close(terminal);
        place_end(&p);
    }
}
END_TEST

/* One row has no standard error. Neither a line nor the log may show 0 for it. */
START_TEST(one_row_has_no_standard_error)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "mkdir f && head -9 r.jsonl >f/train.jsonl && "
                               "head -1 r.jsonl >f/valid.jsonl && cp f/valid.jsonl f/test.jsonl"),
                     0);
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data f --iters 1 -o o"), 0);
    place_has(&p, "out", "valid 1  loss ");
    place_has(&p, "o/log.jsonl", "\"stderr\":null");
    ck_assert_int_ne(shell(&p, "grep '^valid.*+-' out"), 0);
    ck_assert_int_eq(tenon(&p, "compare --model o --data f --optimizers sgd --lr-grid 0.01 "
                               "--iters 1 --out c"),
                     0);
    place_has(&p, "out", " valid ");
    ck_assert_int_ne(shell(&p, "grep '[0-9] +- ' out"), 0);
    ck_assert_int_ne(shell(&p, "grep stderr c/runs.jsonl"), 0);
    ck_assert_int_eq(shell(&p, "tail -1 c/table.csv | cut -d, -f6 | grep -qx ''"), 0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, the_block_says_what_is_trained, 0, sizeof blocks / sizeof *blocks);
    tcase_add_loop_test(c, a_mode_says_where_steps_are_shown, 0, sizeof modes / sizeof *modes);
    tcase_add_test(c, a_line_has_the_mean_of_all_losses);
    tcase_add_test(c, records_come_at_once);
    tcase_add_test(c, the_log_says_what_happened);
    tcase_add_test(c, a_resumed_log_has_whole_lines);
    tcase_add_test(c, one_row_has_no_standard_error);
    tcase_add_test(c, a_bar_fits_the_terminal_of_now);
}
