/* test_completion.c - what bash offers behind a command line that ends in the middle of a word. */
#include "apps/commands/commands.h"
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>

static void complete(const place *p, const char *words)
{
    ck_assert_int_eq(tenon(p, "--completion"), 0);
    ck_assert_int_eq(shell(p,
                           "bash -c '. ./out && COMP_WORDS=(%s) COMP_CWORD=$((${#COMP_WORDS[@]}"
                           " - 1)); _tenon; echo \"${COMPREPLY[*]}\"' >said 2>err",
                           words),
                     0);
    ck_assert_int_eq(shell(p, "test ! -s err"), 0);
}

static const struct {
    const char *words, *offered;
} cases[] = {
    { "tenon tr", "train\n" },
    { "tenon --v", "--version\n" },
    { "tenon train --lora-a", "--lora-alpha\n" },
    { "tenon finetune --no-", "--no-mask-prompt\n" },
    { "tenon train --tokenizer \"\"", "bytes chars\n" },
    { "tenon train --tokenizer =", "bytes chars\n" }, /* bash makes a word of "=" */
    { "tenon train --tokenizer = b", "bytes\n" },
    { "tenon train --optimizer lora-rit", "lora-rite lora-rite-paper\n" },
    { "tenon optimizers sca", "scaled-gd scaled-adam\n" },
    { "tenon bench pe", "peak\n" },
    { "tenon eval --task loo", "lookup\n" },
    { "tenon task loo", "lookup\n" },
    { "tenon train --model \"\"", "\n" }, /* files */
    { "tenon train -m \"\"", "\n" },
    { "tenon eval --iter", "\n" }, /* no option of this command */
};

START_TEST(offers_what_fits)
{
    place p = place_make();
    complete(&p, cases[_i].words);
    char *said = place_read("said");
    ck_assert_str_eq(said, cases[_i].offered);
    free(said);
    place_end(&p);
}
END_TEST

START_TEST(offers_every_option_of_the_help)
{
    place p = place_make();
    char words[64];
    snprintf(words, sizeof words, "tenon %s --", commands[_i].name);
    complete(&p, words);
    ck_assert_int_eq(
        shell(&p,
              "tr ' ' '\\n' <said | grep -v '^--no-\\|^--help' | sort >offered;"
              " \"$T\" %s --help | sed -n 's/^ .....--\\(.no-.\\)*\\([a-z-]*\\).*/--\\2/p' |"
              " sort | diff - offered",
              commands[_i].name),
        0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    int n = 0;
    while (commands[n].name)
        n++;
    tcase_add_loop_test(c, offers_what_fits, 0, sizeof cases / sizeof *cases);
    tcase_add_loop_test(c, offers_every_option_of_the_help, 0, n);
}
