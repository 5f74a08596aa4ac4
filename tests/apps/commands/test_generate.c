/* test_generate.c - tenon generate: where a text ends, and that the output is always valid text. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static place make(const char *tokenizer)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p,
                           "train --model m --tokenizer %s --data r.jsonl --iters 1 --lr 1e-3 -o o",
                           tokenizer),
                     0);
    return p;
}

/* made: characters of the output after the prompt. told: it says why it ended. The model has 64
   positions. */
/* clang-format off */
static const struct { int prompt, max_tokens, made; bool told; } lengths[] = {
    { 64, 5, 1, true }, { 64, 1, 1, false }, { 63, 5, 2, true }, { 63, 2, 2, false },
    { 60, 4, 4, false }, { 1, 64, 64, false }, { 1, 65, 64, true }, { 1, 1000, 64, true },
};
/* clang-format on */

START_TEST(a_text_ends_with_the_positions_and_says_so)
{
    place p = make("chars");
    const int n = lengths[_i].prompt;
    ck_assert_int_eq(
        shell(&p, "sed -i 's/\"eos_token_id\": *[0-9]*/\"eos_token_id\": null/' o/config.json"), 0);
    ck_assert_int_eq(tenon(&p, "generate --model o --temp 0 --max-tokens %d --prompt %0*d",
                           lengths[_i].max_tokens, n, 0),
                     0);
    char *out = place_read("out");
    ck_assert_int_eq((int)strlen(out) - n - 1, lengths[_i].made);
    free(out);
    char note[160];
    snprintf(note, sizeof note,
             "tenon: note: --prompt 1: ended after %d tokens of --max-tokens %d, at the end of "
             "the model's 64 positions\n",
             lengths[_i].made, lengths[_i].max_tokens);
    char *err = place_read("err");
    ck_assert_str_eq(err, lengths[_i].told ? note : "");
    free(err);
    place_end(&p);
}
END_TEST

/* Random bytes are rarely valid text. */
START_TEST(what_is_written_is_text)
{
    place p = make("bytes");
    const char *more = _i ? "--prompt A" : "";
    ck_assert_int_eq(
        tenon(&p, "generate --model o --prompt caf\xc3\xa9 %s --temp 1000000 --max-tokens 60",
              more),
        0);
    ck_assert_int_eq(
        shell(&p, "iconv -f UTF-8 -t UTF-8 out >copy && cmp out copy && grep -q caf\xc3\xa9 out"),
        0);
    ck_assert_int_eq(shell(&p, "grep -q $(printf '\\357\\277\\275') out"), 0);
    place_end(&p);
}
END_TEST

/* If every token is an end token, nothing is generated. Either file may name the end tokens. */
static const char *const files[] = {
    "sed -i \"s/\\\"eos_token_id\\\": *[0-9]*/\\\"eos_token_id\\\": [$ALL]/\" o/config.json",
    "echo \"{\\\"eos_token_id\\\": [$ALL]}\" >o/generation_config.json",
};

START_TEST(end_tokens_of_both_configs_end_it)
{
    place p = make("chars");
    ck_assert_int_eq(tenon(&p, "generate --model o --prompt 1 --max-tokens 8 --seed 3"), 0);
    ck_assert_int_eq(shell(&p, "test $(wc -c <out) -gt 2"), 0);
    ck_assert_int_eq(shell(&p, "ALL=$(seq -s , 0 96); %s", files[_i]), 0);
    ck_assert_int_eq(tenon(&p, "generate --model o --prompt 1 --max-tokens 8 --seed 3"), 0);
    char *out = place_read("out");
    ck_assert_str_eq(out, "1\n");
    free(out);
    place_end(&p);
}
/* clang-format off */
END_TEST

/* Standard input is one text. If it cannot be read, the message has the reason. */
static const struct { const char *command; int status; const char *says; } inputs[] = {
    { "-p - -p 1 <t.txt", 1, "--prompt: 2239 tokens; expected at most the model's 64" },
    { "-p - </", 1, "standard input: cannot be read: Is a directory\n" },
    { "-p - -p - <t.txt", 2, "--prompt -: given twice; there is one standard input\n" },
    { "-p 1 -p - -p 2 -p - <t.txt", 2, "--prompt -: given twice; there is one standard input\n" },
};
/* clang-format on */

START_TEST(standard_input_is_one_prompt)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 -o b"), 0);
    ck_assert_int_eq(shell(&p, "\"$T\" generate --model b -n 2 %s >out 2>err", inputs[_i].command),
                     inputs[_i].status);
    place_has(&p, "err", inputs[_i].says);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, a_text_ends_with_the_positions_and_says_so, 0,
                        sizeof lengths / sizeof *lengths);
    tcase_add_loop_test(c, what_is_written_is_text, 0, 2);
    tcase_add_loop_test(c, end_tokens_of_both_configs_end_it, 0, sizeof files / sizeof *files);
    tcase_add_loop_test(c, standard_input_is_one_prompt, 0, sizeof inputs / sizeof *inputs);
}
