/* test_chat.c - tenon chat: answers are those of generate; what can be done in a talk. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>

/* Talks by a shell's printf. Extra options come first. */
#define TALK(options, lines) "printf '" lines "' | \"$T\" chat --temp 0 " options " >out 2>err"

#define HI "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"hello\"}]}"

/* clang-format off */
static const struct { const char *talk; int status; const char *test; } talks[] = {
    { TALK("-m co", "red\\nhi\\n"), 0, "printf 'rose\\nhello\\n' | cmp - out" },
    { TALK("-m co --quiet", "red\\n"), 0, "test ! -s err" },
    { TALK("-m co", "red"), 0, "printf 'rose\\n' | cmp - out" }, /* no line end */
    { TALK("-m co", "\\n\\nred\\r\\n"), 0, "printf 'rose\\n' | cmp - out" },
    { TALK("-m co", "red\\nq\\nblue\\n"), 0, "printf 'rose\\n' | cmp - out" },
    { TALK("-m co", "red\\n/quit\\nblue\\n"), 0, "printf 'rose\\n' | cmp - out" },
    { TALK("-m co", "h\\n/help\\n"), 0, "test $(grep -c '^  /reset .*also r$' out) = 2" },
    { TALK("-m co", "/rest\\n"), 0, "grep -q '^tenon: chat \"/rest\": unknown; did you mean /reset?$' err && test ! -s out" },
    { TALK("-m co", "/undo\\n"), 0, "grep -q 'nothing to take back' err" },
    { TALK("-m co", "/adapter\\n"), 0, "grep -q 'there is no adapter' err" },
    { TALK("-m co", "hi\\n/save s\\n/system be kind\\nr\\nyo\\n/save s\\nr\\n/system\\nhi\\n/save s\\n"), 0,
      "(echo '" HI "'; sed -n 2p out >a; printf '{\"messages\":[{\"role\":\"system\",\"content\":\"be kind\"},{\"role\":\"user\",\"content\":\"yo\"},{\"role\":\"assistant\",\"content\":\"%s\"}]}\\n' $(cat a); echo '" HI "') | cmp - s" },
    /* one talk is one line, however often it is saved, until another line follows */
    { TALK("-m co", "hi\\n/save s\\n/save s\\nred\\n/save ./s\\n/undo\\n/save s\\n"), 0, "echo '" HI "' | cmp - s" },
    { "ln -s f s; printf '" HI "' >f; " TALK("-m co", "hi\\n/save s\\n/save f\\n"), 0, "printf '%s\\n%s\\n' '" HI "' '" HI "' | cmp - f && test -L s" },
    { "echo '" HI "' >s; " TALK("-m co", "hi\\n/save s\\n"), 0, "printf '%s\\n%s\\n' '" HI "' '" HI "' | cmp - s" },
    { TALK("-m co", "/save s\\nhi\\n/undo\\n/save s\\n"), 0, "grep -c 'tenon: s: not written; expected a talk with an answer' err | grep -q 2 && test ! -e s" },
    { "echo mine >s; " TALK("-m co", "hi\\n/save s\\n"), 0, "echo mine | cmp - s && grep -q 's:1: no object with \"messages\"; expected a new file' err" },
    { "echo '{\"prompt\":1}' >s; " TALK("-m co", "hi\\n/save s\\n"), 0, "test $(wc -l <s) = 1" },
    { TALK("-m co", "hi\\n/save /dev/null\\n"), 0, "grep -q '^tenon: /dev/null: ' err && test -c /dev/null" },
    { TALK("-m co", "/system be kind\\n/system\\n/reset\\nhi\\n/undo\\n"), 0,
      "test $(grep -c 'the system message is another$\\|there is no system message$\\|all questions and answers are forgotten$\\|the last question and its answer are taken back$' err) = 4" },
    { TALK("-m co", "hi\\nyo\\n/save s.jsonl\\n") " && \"$T\" train --model co --data s.jsonl --valid-split 0 --iters 1 -o again >log", 0, "grep -q 'chats\\|chat' log" },
    { TALK("-m co --stop e", "hi\\n/save s\\n"), 0, "test $(cat out) = h && grep -q '\"h\"' s" },
    { TALK("-m cm", "hi\\n"), 1, "grep -q 'cm: no model.safetensors' err" },
    { "rm co/config.used; sed -i 's/<|im_start|>/x/' co/tokenizer_config.json; " TALK("-m co", "hi\\n"), 1, "grep -q 'co: no chat template that is known; expected one, or --chat-template NAME' err" },
    { "rm co/config.used; sed -i 's/<|im_start|>/x/' co/tokenizer_config.json; " TALK("-m co --chat-template chatml", "hi\\n"), 0, "test $(cat out) = hello" },
    { TALK("-m co --chat-template gemma", "hi\\n"), 1, "grep -q '^tenon: co, chat template gemma (--chat-template): .*no begin token, which the chat template gemma writes' err" },
    { TALK("-m co --chat-template llama3", "hi\\n"), 1, "grep -q 'co, chat template llama3 (--chat-template): the tokenizer has no token <|begin_of_text|>; expected another chat template: .*chatml' err" },
};
/* clang-format on */

START_TEST(a_talk_does_what_its_lines_say)
{
    place p = place_make();
    place_chat(&p);
    const int status = shell(&p, "%s", talks[_i].talk);
    place_has(&p, "err", "");
    ck_assert_int_eq(status, talks[_i].status);
    char *out = place_read("out"), *err = place_read("err");
    ck_assert_msg(shell(&p, "%s", talks[_i].test) == 0, "%s: got %s%s", talks[_i].talk, out, err);
    free(out);
    free(err);
    place_end(&p);
}
END_TEST

/* The model was trained for two steps only, so that an answer depends on all that was said. */
static place make_green(void)
{
    place p = place_make();
    place_chat(&p);
    ck_assert_int_eq(tenon(&p, "train --model cm --data chat.jsonl --valid-split 0 --iters 40 "
                               "--learning-rate 3e-3 -o green"),
                     0);
    return p;
}

/* Each answer is the one of `generate` for the whole text so far. */
START_TEST(answers_are_those_of_generate)
{
    place p = make_green();
    ck_assert_int_eq(shell(&p, TALK("-m green -n 4 --system-prompt 'a b'",
                                    "red\\nblue\\nhi there\\nyo\\n")),
                     0);
    ck_assert_int_eq(
        shell(&p,
              "set -e; printf '<|im_start|>system\\na b<|im_end|>\\n' >text; k=0; "
              "for q in red blue 'hi there' yo; do k=$((k + 1)); "
              "printf '<|im_start|>user\\n%%s<|im_end|>\\n<|im_start|>assistant\\n' \"$q\" >>text;"
              "(cat text; echo) | \"$T\" generate -m green --special --temp 0 -n 4 -p - --stop "
              "'<|im_end|>' --json >one; "
              "sed 's/.*\"text\":\"\\(.*\\)\",\"prompt_tokens.*/\\1/' one >answer; "
              "sed -n ${k}p out | cmp - answer; "
              "printf '%%s<|im_end|>\\n' \"$(cat answer)\" >>text; done"),
        0);
    place_end(&p);
}
END_TEST

START_TEST(undo_and_reset_forget)
{
    place p = make_green();
    ck_assert_int_eq(shell(&p,
                           TALK("-m green -n 4", "yo\\nred\\n/undo\\nblue\\n") " && mv out with"),
                     0);
    ck_assert_int_eq(shell(&p, TALK("-m green -n 4", "yo\\nblue\\n")), 0);
    ck_assert_int_eq(shell(&p, "sed 2d with | cmp - out"), 0);
    ck_assert_int_eq(shell(&p, TALK("-m green -n 4",
                                    "red\\nyo\\n/reset\\nyo\\nblue\\n") " && sed 1,2d out >with"),
                     0);
    ck_assert_int_eq(shell(&p, TALK("-m green -n 4", "yo\\nblue\\n")), 0);
    ck_assert_int_eq(shell(&p, "cmp with out"), 0);
    place_end(&p);
}
END_TEST

/* Without its adapter the model answers as its base. */
START_TEST(the_adapter_is_switched_off_and_on)
{
    place p = place_make();
    place_chat(&p);
    ck_assert_int_eq(shell(&p, "sed 's/rose/sky/g' chat.jsonl >other.jsonl && \"$T\" train --model "
                               "co --data other.jsonl --valid-split 0 --iters 60 --lora-rank 16 "
                               "--learning-rate 1e-2 -o a >log"),
                     0);
    ck_assert_int_eq(shell(&p, TALK("-m co --adapter-path a",
                                    "red\\n/adapter\\n/undo\\nred\\n/undo\\n/adapter on\\nred\\n"
                                    "/undo\\n/adapter off\\nred\\n/adapter maybe\\n")),
                     0);
    ck_assert_int_eq(shell(&p, "printf 'sky\\nrose\\nsky\\nrose\\n' | cmp - out"), 0);
    place_has(&p, "err", "note: the adapter is off\n");
    place_has(&p, "err", "/adapter \"maybe\"; expected on or off");
    place_end(&p);
}
END_TEST

/* A talk that becomes too long goes on without its oldest questions. The system message stays: the
   answer is that of a talk of the last ones only. All messages are saved. */
START_TEST(the_oldest_questions_are_left_out)
{
    place p = make_green();
    ck_assert_int_eq(shell(&p,
                           "(yes yo | head -n 24; echo /save s) | \"$T\" chat --temp 0 -m green "
                           "-n 4 --system-prompt 'a b' >out 2>err"),
                     0);
    place_has(&p, "err", "messages are no longer sent: the model has 256 positions");
    ck_assert_int_eq(shell(&p, "test $(grep -o '\"user\"' s | wc -l) = 24"), 0);
    ck_assert_int_eq(
        shell(&p,
              "set -e; gone=$(sed -n 's/.*the oldest \\([0-9]*\\) messages.*/\\1/p' err | "
              "awk '{ n += $1 / 2 } END { print n }'); "
              "printf '<|im_start|>system\\na b<|im_end|>\\n' >text; "
              "sed -n \"$((gone + 1)),23p\" out | while read -r x; do printf '<|im_start|>user\\n"
              "yo<|im_end|>\\n<|im_start|>assistant\\n%%s<|im_end|>\\n' \"$x\" >>text; done; "
              "printf '<|im_start|>user\\nyo<|im_end|>\\n<|im_start|>assistant\\n' >>text; "
              "(cat text; echo) | \"$T\" generate -m green --special --temp 0 -n 4 -p - --stop "
              "'<|im_end|>' --json >one; "
              "sed 's/.*\"text\":\"\\(.*\\)\",\"prompt_tokens.*/\\1/' one >answer; "
              "sed -n 24p out | cmp - answer"),
        0);
    ck_assert_int_eq(shell(&p, "(yes yo | head -n 300 | tr '\\n' ' '; printf '\\nhi\\n') | \"$T\" "
                               "chat --temp 0 -m green >out 2>err"),
                     0);
    place_has(&p, "err", "tenon: the question: ");
    ck_assert_int_eq(shell(&p, "test $(wc -l <out) = 1"), 0);
    place_end(&p);
}
END_TEST

/* An interrupt comes before the third piece of an answer. It ends the answer, and the talk goes on;
   a second one ends the program. */
START_TEST(an_interrupt_ends_the_answer)
{
    const bool twice = _i;
    place p = place_make();
    place_chat(&p);
    ck_assert_int_eq(shell(&p,
                           "printf 'red\\nhi\\n/save s\\n' >in; " SENDS
                           "chat -m co --temp 9 --quiet <in >out 2>err",
                           twice ? "INT INT" : "INT", "3", ""),
                     twice ? 130 : 0);
    ck_assert_int_eq(shell(&p, "test -s s"), twice ? 1 : 0);
    ck_assert_int_eq(shell(&p, "\"$T\" chat -m co --temp 9 --quiet <in >whole 2>err"), 0);
    ck_assert_int_eq(shell(&p, "n=$(head -n 1 out | tr -d '\\n' | wc -c); test $n -gt 0 && "
                               "test $n -lt $(($(head -n 1 whole | wc -c) - 1)) && "
                               "test \"$(head -c $n out)\" = \"$(head -c $n whole)\""),
                     0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, a_talk_does_what_its_lines_say, 0, sizeof talks / sizeof *talks);
    tcase_add_test(c, answers_are_those_of_generate);
    tcase_add_test(c, undo_and_reset_forget);
    tcase_add_test(c, the_adapter_is_switched_off_and_on);
    tcase_add_test(c, the_oldest_questions_are_left_out);
    tcase_add_loop_test(c, an_interrupt_ends_the_answer, 0, 2);
}
