/* test_examples.c - each example runs, prints what its first comment shows, and ends with status 0. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* $R is the root of the tree. */
static const struct {
    const char *run, *printed;
} examples[] = {
    { "linear_regression", "line           2.0450 x -0.4553\nleast squares  2.0450 x -0.4553\n" },
    { "mlp", "256 of 256 right" },
    { "own_optimizer", "bias 0.50 1.00 1.50" },
    { "own_op", "soft_abs: 0 findings\nslope 1.99" },
    { "own_lora .", "resumed  step  400  loss 0.0067\nthe same bits" },
    { "own_gpt \"$R\"/LICENSE", "step 600  loss" },
    { "own_llama \"$R\"/tests/golden/tiny_models/llama", "all 1536 at most 0.00000" },
    { "two_models", "beside the other the same bits\n" },
    { "own_digits", "1923 of 2000 new digits right" },
    { "own_char_lstm \"$R\"/LICENSE", "step 400  loss 0.154" },
    { "base_text 3 1 short", "{\"prompt\":" },
    { "use", "curve  0.841  network  0.8" },
};

/* Only make knows whether there is a C++ compiler. */
static bool is_left_out(const char *run)
{
    const char *cxx = getenv("CXX");
    const bool out = !strcmp(run, "use") && cxx && !*cxx;
    if (out)
        printf("left out: %s, because there is no C++ compiler\n", run);
    return out;
}

START_TEST(runs_and_ends_well)
{
    if (is_left_out(examples[_i].run))
        return;
    place p = place_make();
    ck_assert_int_eq(shell(&p, "R='%s'; \"$(dirname \"$T\")\"/examples/%s >out 2>err", p.before,
                           examples[_i].run),
                     0);
    place_has(&p, "out", examples[_i].printed);
    ck_assert_int_eq(shell(&p, "test ! -s err"), 0);
    if (strncmp(examples[_i].run, "base_text ", 10)) /* only make base runs base_text */
        ck_assert_int_eq(shell(&p,
                               "R='%s'; set -- %s; sh \"$R\"/tests/support/head.sh"
                               " \"$R\"/apps/examples/\"$1\".c* >head; diff head out",
                               p.before, examples[_i].run),
                         0);
    place_end(&p);
}
END_TEST

static const char *const refusing[] = { "linear_regression",
                                        "mlp",
                                        "own_optimizer",
                                        "own_op",
                                        "own_lora .",
                                        "own_gpt t.txt",
                                        "own_digits",
                                        "own_char_lstm t.txt",
                                        "own_llama .",
                                        "two_models",
                                        "use" };

/* If there is no context, an example ends with a status, not with a crash. */
START_TEST(ends_without_a_context)
{
    if (is_left_out(refusing[_i]))
        return;
    place p = place_make();
    ck_assert_int_eq(shell(&p, "TN_ISA=none \"$(dirname \"$T\")\"/examples/%s >out 2>err",
                           refusing[_i]),
                     1);
    place_end(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, runs_and_ends_well, 0, sizeof examples / sizeof *examples);
    tcase_add_loop_test(c, ends_without_a_context, 0, sizeof refusing / sizeof *refusing);
}
