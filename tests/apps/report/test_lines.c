/* test_lines.c - lines fit the terminal; in a pipe and on a dumb terminal they stay whole. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#define RUN                                                                                        \
    "train --model b --data r.jsonl --valid-split 0.3 --iters 30 --steps-per-eval 10 "             \
    "--sample '1 + 4 = 5. 2 + 3 = 5. 3 + 4 = 7. 4 + 5 = 9.' "

/* Runs the command on a terminal. Its bytes go to the file `shown`. */
static void on_terminal(const place *p, int columns, const char *type, const char *command)
{
    const struct winsize size = { .ws_row = 24, .ws_col = (unsigned short)columns };
    char line[1024], bytes[512];
    int all, end, status;
    snprintf(line, sizeof line, "exec \"$0\" %s", command);
    ck_assert_int_eq(openpty(&all, &end, NULL, NULL, &size), 0);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (!child) {
        login_tty(end);
        setenv("TERM", type, 1);
        execl("/bin/sh", "sh", "-c", line, p->program, NULL);
        _exit(127);
    }
    close(end);
    FILE *f = fopen("shown", "w");
    ck_assert_ptr_nonnull(f);
    for (ssize_t n; (n = read(all, bytes, sizeof bytes)) > 0;)
        fwrite(bytes, 1, (size_t)n, f);
    fclose(f);
    close(all);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

#define STUDY                                                                                      \
    "compare --model b --data r.jsonl --valid-split 0.3 --optimizers adamw,sgd --lr-grid 0.01 "    \
    "--iters 2 -o c"

static const struct row {
    int columns;
    const char *type, *command, *has; /* has: a line, or a part of it */
    bool fits;
} rows[] = {
    { 60, "xterm", RUN "-o o", "\n           (34.270 %), dropout 0", true },
    { 80, "xterm", RUN "-o o", "(34.270 %), dropout\n           0 in the model", true },
    { 120, "xterm", RUN "-o o",
      "on all-linear, 4,096 trainable (34.270 %), dropout 0 in the model (a", true },
    { 60, "xterm", RUN "--dry-run", "activations     ", true },
    { 80, "xterm", RUN "--fast-dev-run", "trial ", true },
    { 60, "dumb", RUN "-o o", "dropout 0 in the model (a config's own is ignored)\n", false },
    { 0, "xterm", RUN "-o o", "dropout 0 in the model (a config's own is ignored)\n", false },
    { 60, "xterm", RUN "--find-lr", "\nrate         ", true },
    { 60, "dumb", RUN "--find-lr", "\nrate         ", false },
    { 60, "xterm", "eval --model b --data r.jsonl", "the\n            part that train keeps apart)",
      true },
    { 60, "dumb", "eval --model b --data r.jsonl", "part that train keeps apart)\n", false },
    { 60, "xterm", STUDY, "test loss\n             exact    ms/step    update     state\n", true },
    { 80, "xterm", STUDY, "exact    ms/step\n             update     state\n", true },
    { 120, "xterm", STUDY, "exact    ms/step    update     state\n", true },
    { 60, "dumb", STUDY, "exact    ms/step    update     state\n", false },
    { 60, "xterm", "inspect --model b", "(2 of\n           keys), 15 tokens, 64 positions\n", true },
    { 80, "xterm", "optimizers", "tangent\n                                    space\n", true },
    { 60, "xterm", "optimizers", "every T\n  LoRA-TSD", true },
    { 60, "xterm", "optimizers lora-rite", "U^T\n            U / rows", true },
    { 60, "dumb", "optimizers", "in the tangent space\n", false },
    { 60, "xterm", "task", "its one\n             sentence\n", true },
    { 60, "xterm", "lab", "which\n              optimizers", true },
    { 45, "xterm", "inspect --data r.jsonl --model b", "\nlengths: ", true },
    { 50, "xterm", "plot b", "\nb  step 1 ", true },
    { 60, "xterm", "export --model b --format gguf --save-path b.gguf", "(16 tokens)\n", true },
    { 60, "xterm", "--help", "\n               train one from random weights\n", true },
    { 60, "xterm", "train --help", "constant|linear|cosine|wsd|\n                             inverse-sqrt [cosine]\n", true },
    { 60, "dumb", "help train", "tenon train - fine-tune a model with LoRA or in full, or train one from random\n", false },
    { 70, "xterm", "eval --help-all", "completion|text|\n                             preference\n", true },
    { 60, "xterm", "lab alpha", "  0.0312\n           0.0625 ", true },
    { 60, "xterm", "lab conditioning", "kappa 10\n                          kappa 100 ", true },
    { 80, "xterm", "lab first-steps", "       8\n                 9      10\n", true },
    { 60, "xterm", "lab init-scale", " lora-rite\n          scaled-adam\n", true },
    { 80, "xterm", "lab invariance", "     rotated A T, B T^-T\n  ", true },
    { 60, "xterm", "lab paths", "rate 0.01\n  loss ", true },
    { 60, "xterm", "lab rank", "   lora-muon\n        lora-muon*\n", true },
    { 60, "dumb", "lab rank", "   lora-muon  lora-muon*\n", false },
    { 60, "xterm", "bench optimizers --pairs 1 --width 16",
      "bytes/number\n                  x adam\n", true },
    { 60, "xterm", "bench peak", "\n  GFLOP/s, multiply-adds in registers\n", true },
};

START_TEST(lines_fit_the_terminal)
{
    const struct row *r = &rows[_i];
    place p = place_make();
    size_t longest = 0, n = 0;
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data r.jsonl --iters 1 -o b"),
                     0);
    on_terminal(&p, r->columns, r->type, r->command);
    char *text = place_read("shown");
    char *to = text;
    for (const char *s = text; *s; s++) { /* "\r", "erase to the end" */
        n = *s == '\r' || *s == '\n' ? 0 : n + 1;
        if (!strncmp(s, "\033[K", 3)) {
            s += 2;
            n--;
            continue;
        }
        longest = n > longest ? n : longest;
        if (*s != '\r')
            *to++ = *s;
    }
    *to = 0;
    ck_assert_msg(strstr(text, r->has) != NULL, "%s", text);
    ck_assert_msg(r->fits == (longest < (size_t)r->columns), "%d: %zu\n%s", r->columns, longest,
                  text);
    free(text);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, lines_fit_the_terminal, 0, sizeof rows / sizeof *rows);
}
