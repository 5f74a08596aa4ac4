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
             "tenon: note: --prompt 1: ended after %d token%s of --max-tokens %d, at the end of "
             "the model's 64 positions\n",
             lengths[_i].made, lengths[_i].made == 1 ? "" : "s", lengths[_i].max_tokens);
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

/* ---- chat templates ---- */

/* clang-format off */
static const struct { const char *made, *command, *test; } templates[] = {
    /* the template of the model: the same as when it is written by hand */
    { "", "generate --model co -p red --temp 0", "test \"$(cat out)\" = rose && grep -q '^tenon: note: chat template chatml (as in the training of the model);' err" },
    { "", "generate --model co -p red --temp 0 -q", "test \"$(cat out)\" = rose && test ! -s err" },
    { "rm co/config.used", "generate --model co -p red --temp 0", "test \"$(cat out)\" = rose && grep -q \"chat template chatml (the model's own)\" err" },
    { "printf '<|im_start|>user\\nred<|im_end|>\\n<|im_start|>assistant\\n\\n' >p", "generate --model co --special -p - -n 3 --temp 0 <p", "test $(tail -n 1 out) = rose && test ! -s err" },
    { "", "generate --model co -p red --temp 0 --ignore-chat-template -n 4", "grep -q ^red out && test ! -s err" },
    { "", "generate --model cm -p red --temp 0 --chat-template chatml -n 4", "" },
    { "", "generate --model co -p red -p blue --temp 0", "printf 'rose\\n---\\nsky\\n' | cmp - out" },
    { "", "generate --model co -p red --temp 0 --system-prompt x --json", "grep -q '\"prompt_tokens\":26,' out" },
    /* an adapter is asked as it was trained */
    { "\"$T\" train --model co --data r.jsonl --iters 1 -o a >log", "generate --model co --adapter-path a -p red -n 4 --temp 0", "grep -q ^red out && grep -q 'plain text, without a chat template (as in the training of the adapter)' err" },
    { "\"$T\" train --model co --data r.jsonl --iters 1 -o a >log", "generate --model co --adapter-path a/checkpoint-1 -p red -n 4 --temp 0", "grep -q ^red out" },
    { "\"$T\" train --model co --data r.jsonl --iters 1 -o a >log", "generate --model co --adapter-path a -p red --temp 0 --chat-template chatml", "grep -q ^rose out" },
    { "\"$T\" train --model co --data r.jsonl --iters 1 -o a >log; rm a/config.used", "generate --model co --adapter-path a -p red --temp 0", "grep -q ^rose out" },
    { "\"$T\" train --model co --data chat.jsonl --valid-split 0 --iters 1 -o a >log", "generate --model co --adapter-path a -p red --temp 0", "grep -q ^rose out && grep -q 'chatml (as in the training of the adapter)' err" },
    { "sed -i 's/<|im_start|>/<|strange|>/' co/tokenizer_config.json; rm co/config.used", "generate --model co -p red --temp 0 -n 3", "grep -q ^red out && grep -q \"the model's own is not known\" err" },
    /* stops, over the borders of tokens */
    { "", "generate --model co -p hi --temp 0 --stop lx --stop lo", "test \"$(cat out)\" = hel" },
    { "", "generate --model co -p hi --temp 0 --stop llx --stop loy", "test \"$(cat out)\" = hello" },
    { "", "generate --model co -p hi --temp 0 --stop hello", "test \"$(cat out)\" = ''" },
    { "", "generate --model co -p hi --temp 0 --stop lo --json", "grep -q '^{\"prompt\":\"hi\",\"text\":\"hel\",\"prompt_tokens\":[0-9]*,\"tokens\":[0-9]*,\"seconds\":[0-9.e-]*,\"reason\":\"stop\"}$' out" },
    { "", "generate --model co -p hi --temp 0 --json", "grep -q '\"text\":\"hello\".*\"reason\":\"end\"}$' out" },
    { "", "generate --model co -p hi --temp 0 --json -n 1", "grep -q '\"tokens\":1,.*\"reason\":\"length\"}$' out" },
    { "", "generate --model co --ignore-chat-template -p hi --temp 0 --json -n 1000", "grep -q '\"reason\":\"positions\"}$' out" },
    /* prompts of a file, samples */
    { "printf 'red\\n\\nblue\\r\\nhi' >p", "generate --model co --prompt-file p --temp 0", "printf 'rose\\n---\\nsky\\n---\\nhello\\n' | cmp - out" },
    { "printf 'blue\\n' >p", "generate --model co -p red --prompt-file p --temp 0 --num-samples 2", "printf 'rose\\n---\\nrose\\n---\\nsky\\n---\\nsky\\n' | cmp - out" },
    { "\"$T\" generate --model co -p red --temp 9 -n 9 --num-samples 16 --json | sed 's/\"seconds[^,]*//' >less 2>log", "generate --model co -p red --temp 9 -n 9 --num-samples 20 --json", "sed 's/\"seconds[^,]*//' out | head -n 16 | cmp - less && test $(sort -u out | wc -l) = 20" },
    /* the seconds are those of a row, a tick per token: the first one ends with its first token */
    { TICKS "generate --model co -p hi -p red --temp 0 --stop h --json >ticks 2>log", "generate --model co -p hi -p red --temp 0 --stop h --json", "sed 's/.*\"tokens\":\\([0-9]*\\),\"seconds\":\\([0-9.e-]*\\),.*/\\1 \\2/' ticks | awk 'NR == 1 { ok = $1 == 1 && $2 == 0.001 } NR == 2 { ok = ok && $1 > 1 && $2 == ($1 + 1) / 1000 } END { exit !ok }'" },
    /* a penalty and min-p */
    { "", "generate --model co --ignore-chat-template -p hi --temp 0 -n 9 --repeat-penalty 1e6 --repeat-last-n -1 --json", "! grep -q '<|im_end|>.*<|im_end|>' out" },
    { "\"$T\" generate --model co --ignore-chat-template -p hi --temp 0 -n 9 >plain", "generate --model co --ignore-chat-template -p hi --temp 0 -n 9 --repeat-penalty 1e6 --repeat-last-n 0", "cmp out plain" },
    { "\"$T\" generate --model co -p hi --temp 0 >plain", "generate --model co -p hi --temp 9 --min-p 1", "cmp out plain" },
};

static const struct { const char *command; int status; const char *says; } refusals[] = {
    { "-p red --system-prompt x --ignore-chat-template", 2, "--system-prompt and --ignore-chat-template: use only one" },
    { "-p red --chat-template chatml --special", 2, "--chat-template and --special: use only one" },
    { "-p red --chat-template banana", 2, "--chat-template \"banana\"; expected one of" },
    { "-p red --stop ''", 2, "--stop: empty; expected a text" },
    { "--prompt-file /nowhere", 1, "/nowhere: " },
    { "--prompt-file empty", 1, "empty: no line with a prompt" },
    { "", 2, "--prompt or --prompt-file is missing; expected a text to continue or to answer" },
    { "-p red --min-p 2", 2, "--min-p: \"2\"; expected a number from 0 to 1" },
};
/* clang-format on */

START_TEST(a_prompt_is_asked_as_the_model_was_trained)
{
    place p = place_make();
    place_chat(&p);
    ck_assert_int_eq(shell(&p, "%s", *templates[_i].made ? templates[_i].made : "true"), 0);
    const int status = tenon(&p, "%s", templates[_i].command);
    place_has(&p, "err", "");
    ck_assert_int_eq(status, strstr(templates[_i].command, "--model cm") ? 1 : 0);
    ck_assert_msg(!*templates[_i].test || shell(&p, "%s", templates[_i].test) == 0, "%s: got %s%s",
                  templates[_i].command, place_read("out"), place_read("err"));
    place_end(&p);
}
END_TEST

START_TEST(what_cannot_be_asked_is_refused)
{
    place p = place_make();
    place_chat(&p);
    ck_assert_int_eq(shell(&p, "touch empty"), 0);
    ck_assert_int_eq(tenon(&p, "generate --model co %s", refusals[_i].command),
                     refusals[_i].status);
    place_has(&p, "err", refusals[_i].says);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, a_text_ends_with_the_positions_and_says_so, 0,
                        sizeof lengths / sizeof *lengths);
    tcase_add_loop_test(c, what_is_written_is_text, 0, 2);
    tcase_add_loop_test(c, end_tokens_of_both_configs_end_it, 0, sizeof files / sizeof *files);
    tcase_add_loop_test(c, standard_input_is_one_prompt, 0, sizeof inputs / sizeof *inputs);
    tcase_add_loop_test(c, a_prompt_is_asked_as_the_model_was_trained, 0,
                        sizeof templates / sizeof *templates);
    tcase_add_loop_test(c, what_cannot_be_asked_is_refused, 0, sizeof refusals / sizeof *refusals);
}
