/* test_check.c - a wrong option is named before a model, data or a folder in use is looked at.
   There is no model `none` and no `none.jsonl`; o holds a finished run. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>

typedef struct row {
    const char *arguments, *line;
} row;

#define TRAIN "train --model none --data none.jsonl -o o "
#define FULL TRAIN "--fine-tune-type full "
#define COMPARE "compare --model none --data none.jsonl --out o --optimizers sgd,adamw "
#define EVAL "eval --model none --data none.jsonl "
#define GENERATE "generate --model none --prompt a "

/* clang-format off */
static const row rows[] = {
    /* optimizers */
    { TRAIN "--opt foo=1", "adamw has no setting \"foo\"" },
    { TRAIN "--opt beta1=2", "adamw: beta1 is 2; expected at least 0 and below 1" },
    { TRAIN "--opt beta1", "\"beta1\" is not a setting; expected beta1=NUMBER" },
    { TRAIN "--opt lr=1", "--opt lr=1: expected a rate by --learning-rate" },
    { TRAIN "--opt lr=1 --lr 0.1", "\"lr=1\" beside --learning-rate 0.1; use only one" },
    { TRAIN "--opt preset=zz", "adamw has no preset \"zz\"" },
    { TRAIN "--opt weight_decay=0.2 --weight-decay 0.1", "\"weight_decay=0.2\" beside --weight-decay 0.1" },
    { TRAIN "--optimizer adamW", "optimizer \"adamW\": unknown; did you mean adamw?" },
    { TRAIN "--optimizer lora-rite --max-grad-norm 1", "lora-rite: --max-grad-norm is 1" },
    { COMPARE "--opt foo=1", "sgd has no setting \"foo\"" },
    { COMPARE "--opt adamw.zz=1", "adamw has no setting \"zz\"" },
    { COMPARE "--opt adam.eps=1", "\"adam\" is not among the optimizers" },
    { "compare --model none --data none.jsonl --out o --optimizers zz", "optimizer \"zz\": unknown" },
    { COMPARE "--lr-grid 1:2", "--lr-grid \"1:2\": expected LO:HI:logN" },
    { COMPARE "--lr-grid 1,1", "the rate 1 twice" },
    { COMPARE "--lr-grid 1e-3,1e-1 --lr-min 1e-2", "--lr-min 0.01: expected at most the learning rate 0.001" },

    /* schedules */
    { TRAIN "--lr-decay-steps 3", "--lr-decay-steps: only for --lr-scheduler wsd, which is not given" },
    { TRAIN "--iters 2 --warmup-steps 3", "--warmup-steps 3: expected at most the 2 steps" },
    { COMPARE "--iters 2 --warmup-steps 3", "--warmup-steps 3: expected at most the 2 steps" },
    { TRAIN "--iters 2 --lr-scheduler wsd --lr-decay-steps 3", "--lr-decay-steps 3: expected at most the 2 steps after warm-up" },
    { TRAIN "--lr 1e-3 --lr-min 1e-2", "--lr-min 0.01: expected at most the learning rate 0.001" },
    { TRAIN "--find-lr --iters 3", "--find-lr: 3 steps; expected 10 or more" },

    /* adapters */
    { FULL "--lora-rank 4", "--lora-rank: only for --fine-tune-type lora" },
    { FULL "--rank-pattern a=3", "--rank-pattern: only for --fine-tune-type lora" },
    { FULL "--base-dtype q8_0", "--base-dtype: only for --fine-tune-type lora" },
    { FULL "--adapter-path a", "--adapter-path: only for --fine-tune-type lora" },
    { COMPARE "--fine-tune-type full --lora-rank 4", "--lora-rank: only for --fine-tune-type lora" },
    { TRAIN "--rank-pattern foo", "--rank-pattern: \"foo\"; expected KEY=R, a whole number from 1 to 65536" },
    { TRAIN "--rank-pattern a=1.5", "--rank-pattern: \"a=1.5\"; expected KEY=R" },
    { TRAIN "--rank-pattern a=0", "--rank-pattern: \"a=0\"; expected KEY=R" },
    { TRAIN "--alpha-pattern a=-1", "--alpha-pattern: \"a=-1\"; expected KEY=A, a number above 0" },
    { TRAIN "--rank-pattern '(=3'", "--rank-pattern" },
    { TRAIN "--target-modules '('", "--target-modules" },
    { TRAIN "--num-layers 0", "--num-layers 0: no layer; expected 1 or more, or -1 for all" },

    /* data */
    { TRAIN "--chat-template banana", "--chat-template \"banana\"; expected one of" },
    { COMPARE "--chat-template banana", "--chat-template \"banana\"; expected one of" },
    { EVAL "--chat-template banana", "--chat-template \"banana\"; expected one of" },
    { GENERATE "--chat-template banana", "--chat-template \"banana\"; expected one of" },
    { "chat --model none --chat-template banana", "--chat-template \"banana\"; expected one of" },
    { "inspect none --data none.jsonl --chat-template banana", "--chat-template \"banana\"; expected one of" },
    { TRAIN "--data task:lokup", "task \"lokup\": unknown; did you mean lookup?" },
    { TRAIN "--data task:lookup:0", "expected task:NAME or task:NAME:COUNT" },
    { "eval --model none --task lokup", "task \"lokup\": unknown; did you mean lookup?" },
    { "train --model none --data task:lookup -o o --valid-split 0.1", "--valid-split: only for a .txt, a .bin or a .jsonl" },
    { "train --model none --data task:lookup -o o --data-format chat", "--data-format chat: only for records" },
    { "eval --model none --task lookup --valid-split 0.1", "--valid-split: only for a .txt, a .bin or a .jsonl" },
    { "train --model none -o o --data - --data -", "--data -: given twice; standard input can be read once" },
    { EVAL "--count 3", "--count: only for a task; a file is evaluated as a whole" },
    { COMPARE "--count 3", "--count: only for a task; a file is evaluated as a whole" },
    { "inspect none --count 3", "--count: only for --data, which is not given" },
    { "inspect none --split valid", "--split: only for --data, which is not given" },
    { "task --count 3", "--count: only for the NAME of a task, which is not given" },

    /* options that contradict each other */
    { TRAIN "--report-to zz", "--report-to \"zz\": expected jsonl" },
    { TRAIN "--quiet --progress bar", "--quiet and --progress bar: use only one" },
    { TRAIN "--quiet --progress json", "--quiet and --progress json: use only one" },
    { TRAIN "--resume --auto-resume", "--resume and --auto-resume: use only one" },
    { COMPARE "--resume --auto-resume", "--resume and --auto-resume: use only one" },
    { TRAIN "--find-lr --resume", "--find-lr and --resume: use only one" },
    { TRAIN "--find-lr --auto-resume", "--find-lr and --auto-resume: use only one" },
    { TRAIN "--loss sft --dpo-beta 0.1", "--dpo-beta and --loss sft: use only one" },
    { TRAIN "--loss dpo --no-mask-prompt", "--loss dpo and --no-mask-prompt: use only one" },
    { TRAIN "--valid-split 0 --patience 3", "--patience and --valid-split 0: use only one" },
    { TRAIN "--valid-split 0 --load-best", "--load-best and --valid-split 0: use only one" },
    { GENERATE "--chat-template llama3 --special", "--chat-template and --special: use only one" },
    { GENERATE "--chat-template llama3 --ignore-chat-template", "--chat-template and --ignore-chat-template: use only one" },
    { GENERATE "--system-prompt a --ignore-chat-template", "--system-prompt and --ignore-chat-template: use only one" },
    { GENERATE "--system-prompt a --special", "--system-prompt and --special: use only one" },
    { GENERATE "--stop ''", "--stop: empty; expected a text" },
    { "chat --model none --stop ''", "--stop: empty; expected a text" },
    { "tokenize --model none --prompt a --ids --count", "--ids and --only-count: use only one" },
};
/* clang-format on */

START_TEST(a_wrong_option_is_named_first)
{
    place p = place_make();
    const row *r = &rows[_i];
    ck_assert_int_eq(shell(&p, "mkdir o && : >o/model.safetensors && echo >o/config.used"), 0);
    ck_assert_msg(tenon(&p, "%s", r->arguments) == 2, "%s", r->arguments);
    place_has(&p, "err", r->line);
    place_end(&p);
}
END_TEST

/* The same folders with options that are right: then the folder, or the model, is named. */
START_TEST(right_options_are_not)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "mkdir o && : >o/model.safetensors && echo >o/config.used"), 0);
    ck_assert_int_eq(tenon(&p, TRAIN "--quiet --progress none --opt beta1=0.5 --num-layers 9"), 1);
    place_has(&p, "err", "tenon: o/");
    ck_assert_int_eq(tenon(&p, GENERATE), 1);
    place_has(&p, "err", "tenon: none: ");
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, a_wrong_option_is_named_first, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, right_options_are_not);
}
