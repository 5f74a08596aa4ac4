/* test_completion.c - what bash, zsh and fish offer after a line that ends within a word. */
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
    { "tenon finetune --no-", "--no-mask-prompt --no-stop-on-divergence --no-save-best\n" },
    { "tenon train --tokenizer \"\"", "bytes chars\n" },
    { "tenon train --tokenizer =", "bytes chars\n" }, /* for bash "=" is a word of its own */
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
              " \"$T\" %s --help-all | sed -n 's/^ .....--\\(.no-.\\)*\\([a-z-]*\\).*/--\\2/p' |"
              " sort | diff - offered",
              commands[_i].name),
        0);
    place_end(&p);
}
END_TEST

/* ---- zsh and fish ---- */

/* False, and a line that says so, where the shell is not there. */
static bool has(const place *p, const char *name)
{
    const bool there = !shell(p, "command -v %s >/dev/null", name);
    if (!there)
        printf("left out: there is no %s\n", name);
    return there;
}

static const struct {
    const char *line, *becomes;
} in_zsh[] = {
    { "tenon tr", "tenon train \n" },
    { "tenon --v", "tenon --version \n" },
    { "tenon train --lora-a", "tenon train --lora-alpha=\n" },
    { "tenon finetune --no-m", "tenon finetune --no-mask-prompt \n" },
    { "tenon train --tokenizer by", "tenon train --tokenizer bytes \n" },
    { "tenon train --tokenizer=by", "tenon train --tokenizer=bytes \n" },
    { "tenon train --optimizer lora-ri", "tenon train --optimizer lora-rite\n" },
    { "tenon optimizers scaled-a", "tenon optimizers scaled-adam \n" },
    { "tenon bench pe", "tenon bench peak \n" },
    { "tenon eval --task loo", "tenon eval --task lookup \n" },
    { "tenon task loo", "tenon task lookup \n" },
    { "tenon train -m t.", "tenon train -m t.txt \n" },         /* a file */
    { "tenon train --seed t.", "tenon train --seed t.\n" },     /* a number */
    { "tenon train -n 4 --iter", "tenon train -n 4 --iter\n" }, /* is there by another name */
    { "tenon eval --iter", "tenon eval --iter\n" },             /* no option of this command */
};

START_TEST(zsh_completes)
{
    place p = place_make();
    if (has(&p, "zsh")) {
        ck_assert_int_eq(shell(&p, "\"$T\" --completion zsh >_tenon"), 0);
        ck_assert_int_eq(shell(&p, "timeout 200 zsh -f '%s/tests/support/complete.zsh' '%s' >said",
                               p.before, in_zsh[_i].line),
                         0);
        char *said = place_read("said");
        ck_assert_str_eq(said, in_zsh[_i].becomes);
        free(said);
    }
    place_end(&p);
}
END_TEST

static const struct {
    const char *line, *offered;
} in_fish[] = {
    { "tenon tr", "train\n" },
    { "tenon --v", "--version\n" },
    { "tenon train --lora-a", "--lora-alpha\n" },
    { "tenon finetune --no-", "--no-mask-prompt\n--no-save-best\n--no-stop-on-divergence\n" },
    { "tenon train --tokenizer ", "bytes\nchars\n" },
    { "tenon train --tokenizer=b", "--tokenizer=bytes\n" },
    { "tenon train --optimizer lora-rit", "lora-rite\nlora-rite-paper\n" },
    { "tenon optimizers sca", "scaled-adam\nscaled-gd\n" },
    { "tenon bench pe", "peak\n" },
    { "tenon eval --task loo", "lookup\n" },
    { "tenon task loo", "lookup\n" },
    { "tenon train -m t.", "t.txt\n" },
    { "tenon train --seed t.", "" },
    { "tenon eval --iter", "" },
};

/* Writes the words that fish offers to the file `said`. */
static void complete_in_fish(const place *p, const char *line)
{
    ck_assert_int_eq(tenon(p, "--completion fish"), 0);
    ck_assert_int_eq(shell(p,
                           "HOME=\"$PWD\" fish --no-config -c 'source out; complete -C \"%s\"'"
                           " 2>err | cut -f 1 >said; test ! -s err",
                           line),
                     0);
}

START_TEST(fish_offers_what_fits)
{
    place p = place_make();
    if (has(&p, "fish")) {
        complete_in_fish(&p, in_fish[_i].line);
        char *said = place_read("said");
        ck_assert_str_eq(said, in_fish[_i].offered);
        free(said);
    }
    place_end(&p);
}
END_TEST

START_TEST(fish_offers_every_option_of_the_help)
{
    place p = place_make();
    if (has(&p, "fish")) {
        char line[64];
        snprintf(line, sizeof line, "tenon %s --", commands[_i].name);
        complete_in_fish(&p, line);
        ck_assert_int_eq(
            shell(&p,
                  "sed 's/^--no-/--/' said | sort >offered; \"$T\" %s --help-all |"
                  " sed -n 's/^ .....--\\(.no-.\\)*\\([a-z-]*\\).*/--\\2/p' | sort >want;"
                  " test -z \"$(comm -23 want offered)\"",
                  commands[_i].name),
            0);
    }
    place_end(&p);
}
END_TEST

/* zsh has one specification for each name of an option. */
START_TEST(zsh_knows_every_option_of_the_help)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "--completion zsh"), 0);
    ck_assert_int_eq(
        shell(
            &p,
            "sed -n '/^    %s\\( |.*\\)*)$/,/;;$/p' out |"
            " grep -o '^ *[^[]*' | grep -o -- '--[a-z-]*' | sed 's/^--no-/--/' | sort -u >offered;"
            " \"$T\" %s --help-all |"
            " sed -n 's/^ .....--\\(.no-.\\)*\\([a-z-]*\\).*/--\\2/p' | sort >want;"
            " test -s offered && test -z \"$(comm -23 want offered)\"",
            commands[_i].name, commands[_i].name),
        0);
    place_end(&p);
}
END_TEST

START_TEST(unknown_shell_is_refused)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "--completion zhs"), 2);
    place_has(&p, "err", "tenon: shell \"zhs\": unknown; did you mean zsh?");
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    int n = 0;
    while (commands[n].name)
        n++;
    tcase_add_test(c, unknown_shell_is_refused);
    tcase_add_loop_test(c, zsh_completes, 0, sizeof in_zsh / sizeof *in_zsh);
    tcase_add_loop_test(c, fish_offers_what_fits, 0, sizeof in_fish / sizeof *in_fish);
    tcase_add_loop_test(c, fish_offers_every_option_of_the_help, 0, n);
    tcase_add_loop_test(c, zsh_knows_every_option_of_the_help, 0, n);
    tcase_add_loop_test(c, offers_what_fits, 0, sizeof cases / sizeof *cases);
    tcase_add_loop_test(c, offers_every_option_of_the_help, 0, n);
}
