/* test_tracer.c - TN_TRACE: each op of a step is a line, and the run computes what it computes without. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <string.h>

#define TRAIN "train --model m --tokenizer chars --data t.txt --valid-split 0 --progress none "

/* One step, without the passes over the first rows that show whether a run diverges. */
#define STEP TRAIN "--iters 1 --no-stop-on-divergence "

/* The ops of the model m, of two blocks: 25 forward, the same 25 backward. Before the backward of
   a linear layer the norm or gelu that it reads runs again: its result was not kept. */
static const char *const order[] = { "embed",     "embed",  "add", "layer_norm", "linear",
                                     "attention", "linear", "add", "layer_norm", "linear",
                                     "gelu",      "linear", "add", "layer_norm", "linear",
                                     "attention", "linear", "add", "layer_norm", "linear",
                                     "gelu",      "linear", "add", "layer_norm", "linear_xent" };
enum { OPS = sizeof order / sizeof *order };

START_TEST(each_op_is_a_line)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "TN_TRACE=1 \"$T\" " STEP "-o o >out 2>err"), 0);
    FILE *f = fopen("want", "w");
    for (int i = 0; i < OPS; i++)
        fprintf(f, "%s\n", order[i]);
    for (int i = OPS - 1; i >= 0; i--) {
        const char *reads = i ? order[i - 1] : "";
        if (!strcmp(order[i], "linear") && (!strcmp(reads, "gelu") || !strcmp(reads, "layer_norm")))
            fprintf(f, "%s\n", reads);
        fprintf(f, "backward of %s\n", order[i]);
    }
    fclose(f);
    ck_assert_int_eq(shell(&p, "sed 's/^trace: *[0-9.]* ms  //; s/ (.*//' err | diff want -"), 0);
    place_has(&p, "err", "embed (64,16) (4,64) -> (4,64,16), with transformer.wpe.weight\n");
    place_has(&p, "err", "gelu (4,64,64) -> (4,64,64), after transformer.h.1.mlp.c_fc.weight\n");
    ck_assert_int_eq(shell(&p, "TN_TRACE=0 \"$T\" " STEP "-o r >out 2>err"), 0);
    ck_assert_int_eq(shell(&p, "test ! -s err"), 0);
    place_same(&p, "o", "r");
    place_end(&p);
}
END_TEST

/* A line says what its op wrote; the ops of a block that runs again are indented. */
START_TEST(a_line_has_more)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "TN_TRACE=1 \"$T\" " TRAIN "--iters 3 --lr 1e30 -o o >out 2>err"),
                     1);
    place_has(&p, "err", "c_attn.weight  infinity\n");
    place_has(&p, "err", "c_attn.weight  NaN\n");
    ck_assert_int_eq(shell(&p, "TN_TRACE=1 \"$T\" " TRAIN
                               "--iters 1 --grad-checkpoint -o r >out 2>err"),
                     0);
    place_has(&p, "err", "ms    gelu (4,64,64)");
    place_has(&p, "err", "ms  recompute (4,64,16)");
    place_end(&p);
}
END_TEST

/* Commands that do not train: what they print does not change. The prompt of two characters and
   each of the two tokens before the last is a pass of 26 ops: 25 of the blocks, and the head. */
START_TEST(other_commands_have_lines)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "\"$T\" " TRAIN "--iters 1 --fine-tune-type full -o o >out 2>err"),
                     0);
    ck_assert_int_eq(shell(&p, "\"$T\" generate --model o --prompt ab --max-tokens 3 >want"), 0);
    ck_assert_int_eq(
        shell(&p, "TN_TRACE=1 \"$T\" generate --model o --prompt ab --max-tokens 3 >got 2>err"), 0);
    ck_assert_int_eq(shell(&p, "cmp want got && grep -c '^trace: .* linear (' err >lines"), 0);
    place_has(&p, "lines", "27\n");
    place_has(&p, "err", "linear (1,16) ");
    ck_assert_int_eq(shell(&p, "\"$T\" eval --model o --data t.txt --split train >want"), 0);
    ck_assert_int_eq(
        shell(&p, "TN_TRACE=1 \"$T\" eval --model o --data t.txt --split train >got 2>err"), 0);
    ck_assert_int_eq(shell(&p, "cmp want got && grep -q '^trace: .* attention (' err"), 0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, each_op_is_a_line);
    tcase_add_test(c, a_line_has_more);
    tcase_add_test(c, other_commands_have_lines);
}
