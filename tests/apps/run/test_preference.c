/* test_preference.c - runs on preferences: DPO from the data to an adapter and its figures. */
#include "tests/support/apps.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include "data/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A base b, and p.jsonl: 60 pairs whose chosen answer is 2, whatever is asked. */
static void make(const place *p)
{
    ck_assert_int_eq(tenon(p, "train --model m --tokenizer chars --data r.jsonl -o b --iters 30"),
                     0);
    ck_assert_int_eq(shell(p, "for i in $(seq 1 60); do echo \"{\\\"prompt\\\":\\\"$i + 1\\\","
                              "\\\"chosen\\\":\\\" = 2\\\",\\\"rejected\\\":\\\" = $(($i %% 7 + 3))"
                              "\\\"}\"; done >p.jsonl"),
                     0);
}

#define TRAIN "train --model b --data p.jsonl --lora-rank 2 --batch-size 2 --lr 3e-3 "

/* The number of a member in the last line of a file that has `part`. */
static double last(const char *file, const char *part, const char *key)
{
    double x = (double)NAN;
    char *text = place_read(file);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        tn_error e = { 0 };
        if (!strstr(line, part))
            continue;
        const tn_json *root = tn_json_parse(line, strlen(line), file, 0, &e);
        must(&e);
        x = (double)NAN;
        tn_json_get_real(root, key, &x, &e);
        tn_json_free(root);
    }
    free(text);
    return x;
}

/* Before step 1 the model is its reference: the loss is log 2, and no margin is above 0. */
START_TEST(preferences_are_learnt)
{
    place p = place_make();
    make(&p);
    ck_assert_int_eq(tenon(&p, TRAIN "-o a --iters 60 --steps-per-eval 60"), 0);
    place_has(&p, "out", "p.jsonl  52 records (preference), ");
    place_has(&p, "out",
              "loss       DPO, beta 0.1; the reference is the model without the adapter\n");
    place_has(&p, "out", "valid 0  loss 0.6931 +- 0.0000  margin 0.0000  accuracy 0.000  best\n");
    const double loss = last("a/log.jsonl", "\"valid\",\"step\":60", "loss");
    place_has(&p, "out", "step 1/60  loss 0.6931  margin 0.0000  accuracy 0.000  lr ");
    ck_assert(loss < 0.65 && last("a/log.jsonl", "\"valid\"", "rewards/accuracies") == 1.0);
    ck_assert_int_eq(tenon(&p,
                           "eval --model b --adapter-path a --data p.jsonl --split valid --json"),
                     0);
    ck_assert_double_eq_tol(last("out", "pairs", "loss"), loss, 1e-6);
    ck_assert(last("out", "pairs", "pairs") == 8.0);
    ck_assert_double_eq_tol(last("out", "pairs", "rewards/margins"),
                            last("a/log.jsonl", "\"valid\"", "rewards/margins"), 1e-6);
    ck_assert_int_eq(tenon(&p, "eval --model b --adapter-path a --data p.jsonl --split valid"), 0);
    place_has(&p, "out",
              "accuracy    8 of 8 pairs (100.0 %): the chosen answer has the larger reward\n");
    ck_assert_int_eq(tenon(&p, "eval --model b --data p.jsonl"), 0);
    place_has(&p, "out", "likelier    ");
    ck_assert_int_eq(shell(&p, "! grep reward out"), 0);
    place_end(&p);
}
END_TEST

/* Trained from another adapter, or in full: eval has the rewards of the run's last evaluation. */
static const struct {
    const char *train, *move, *eval;
    bool known;
} references[] = {
    { "--adapter-path first", ":", "--model b --adapter-path a", true },
    { "--adapter-path first", ":", "--model b --adapter-path a/checkpoint-8", true },
    { "--adapter-path first", ":", "--model b --adapter-path a/best", true },
    { "--adapter-path first", "mv first there", "--model b --adapter-path a --reference there",
      true },
    { "--adapter-path first", "mv first there", "--model b --adapter-path a", false },
    { "--adapter-path first/checkpoint-4", ":", "--model b --adapter-path a", true },
    { "--adapter-path first", "cp a/adapter_model.safetensors first", "--model b --adapter-path a",
      false },
    { "--fine-tune-type full", "cp a/model.safetensors b", "--model a", false },
    { "--fine-tune-type full", ":", "--model a", true },
    { "--fine-tune-type full", "rm a/config.used", "--model a --reference b", true },
    { "--fine-tune-type full", "rm a/config.used", "--model a", false },
    { "", "rm a/config.used", "--model b --adapter-path a", true },
    { "", ":", "--model b --adapter-path a --reference b", true },
};

START_TEST(the_reference_is_what_the_training_began_with)
{
    place p = place_make();
    make(&p);
    ck_assert_int_eq(tenon(&p, TRAIN "-o first --iters 4"), 0);
    ck_assert_int_eq(tenon(&p,
                           "train --model b --data p.jsonl --batch-size 2 --lr 1e-3 --iters 8 "
                           "--save-every 8 -o a %s",
                           references[_i].train),
                     0);
    ck_assert_int_eq(shell(&p, "%s", references[_i].move), 0);
    ck_assert_int_eq(tenon(&p, "eval --data p.jsonl --split valid --json %s", references[_i].eval),
                     0);
    if (references[_i].known) {
        ck_assert_double_eq_tol(last("out", "pairs", "rewards/margins"),
                                last("a/log.jsonl", "\"valid\"", "rewards/margins"), 1e-6);
        ck_assert_double_eq_tol(last("out", "pairs", "loss"),
                                last("a/log.jsonl", "\"valid\"", "loss"), 1e-6);
        const bool assumed = !*references[_i].train && !strncmp(references[_i].move, "rm ", 3);
        ck_assert_int_eq(shell(&p,
                               "test $(grep -c 'a has no config.used of tenon train: the "
                               "reference is the model without the adapter' err) = %d",
                               assumed),
                         0);
    } else {
        place_has(&p, "err", "tenon: note: the reference is not known: ");
        ck_assert_int_eq(shell(&p, "! grep reward out"), 0);
    }
    place_end(&p);
}
END_TEST

/* A line of the log has one step's loss, margin and accuracy, however many steps it stands for. */
START_TEST(a_line_is_its_last_step)
{
    static const char *const keys[] = { "loss", "rewards/chosen", "rewards/rejected",
                                        "rewards/margins", "rewards/accuracies" };
    place p = place_make();
    make(&p);
    ck_assert_int_eq(tenon(&p, TRAIN "-o all --iters 8 --steps-per-report 4"), 0);
    ck_assert_int_eq(tenon(&p, TRAIN "-o each --iters 8 --steps-per-report 1"), 0);
    for (int k = 0; k < 5; k++)
        ck_assert_double_eq(last("all/log.jsonl", "\"train\",\"step\":8,", keys[k]),
                            last("each/log.jsonl", "\"train\",\"step\":8,", keys[k]));
    place_has(&p, "all/log.csv", ",rewards/margins,rewards/accuracies,");
    place_end(&p);
}
END_TEST

/* How a run is made. Stopped after 4 of 8 steps and resumed, it has the same bytes. */
static const char *const hows[] = {
    TRAIN,
    TRAIN "--dropout 0.1 --lora-dropout 0.1 --grad-accumulation-steps 2",
    TRAIN "--packing --grad-checkpoint",
    TRAIN "--fine-tune-type dora --init-lora-weights orthogonal",
    "train --model b --data p.jsonl --batch-size 2 --lr 3e-3 --adapter-path first",
    "train --model b --data p.jsonl --batch-size 2 --lr 1e-3 --fine-tune-type full",
    TRAIN "--base-dtype bf16 --optimizer lora-rite",
};

START_TEST(a_resume_is_the_same_run)
{
    place p = place_make();
    make(&p);
    ck_assert_int_eq(tenon(&p, TRAIN "-o first --iters 4"), 0);
    const char *how = hows[_i];
    ck_assert_int_eq(tenon(&p, "%s --iters 8 --save-every 4 -o whole", how), 0);
    ck_assert_int_eq(shell(&p, "mkdir o; cp -r whole/checkpoint-4 whole/config.used o"), 0);
    ck_assert_int_eq(tenon(&p, "%s --iters 8 --save-every 4 -o o --resume", how), 0);
    place_same(&p, "whole", "o");
    ck_assert(fabs(last("whole/log.jsonl", "\"valid\",\"step\":0", "loss") - log(2)) < 1e-6);
    ck_assert(last("whole/log.jsonl", "\"valid\",\"step\":8", "loss") < log(2));
    place_end(&p);
}
END_TEST

/* clang-format off */
static const struct { const char *change, *arguments; int status; const char *says; } wrong[] = {
    { ":", "train --model b --data r.jsonl -o x --loss dpo", 2, "--loss dpo: r.jsonl has no preferences; expected records with \"chosen\" and \"rejected\"" },
    { ":", "train --model b --data p.jsonl -o x --loss sft", 2, "--loss sft: the records of p.jsonl have \"chosen\" and \"rejected\"; expected --loss dpo" },
    { ":", "train --model b --data r.jsonl -o x --dpo-beta 0.2", 2, "--dpo-beta: only for records with \"chosen\" and \"rejected\"" },
    { ":", "eval --model b --data r.jsonl --dpo-beta 0.2", 2, "--dpo-beta: only for records with \"chosen\" and \"rejected\"" },
    { ":", "eval --model b --data r.jsonl --reference b", 2, "--reference: only for records with \"chosen\" and \"rejected\"" },
    { ":", "eval --model b --data p.jsonl --reference none", 1, "none: No such file or directory" },
    { ":", "train --model b --data p.jsonl -o x --no-mask-prompt", 2, "--no-mask-prompt: not for preferences" },
    { ":", "train --model b --data p.jsonl -o x --data-format completion", 1, "p.jsonl:1: \"completion\" is missing; expected a text" },
    { ":", "train --model b --data r.jsonl -o x --data-format preference", 1, "r.jsonl:1: \"chosen\" is missing; expected a text or a list of messages" },
    { ":", "train --model b --data p.jsonl --data r.jsonl -o x", 1, "r.jsonl:1: a record without \"chosen\" among records that have it" },
    { ":", "train --model b --data r.jsonl --data p.jsonl -o x", 1, "p.jsonl:1: \"chosen\" and \"rejected\" among records that have neither" },
    { ":", "train --model m --tokenizer bytes --data p.jsonl --data t.txt -o x", 1, "preferences (\"chosen\" and \"rejected\") beside other data" },
    { "mkdir d; cp p.jsonl d/train.jsonl; cp r.jsonl d/valid.jsonl", "train --model b --data d -o x", 1,
      "d: preferences (\"chosen\" and \"rejected\") in one part and other records in the other" },
    { ":", "train --model b --data p.jsonl -o x --beta 0", 2, "--dpo-beta: \"0\"" },
    { ":", "train --model b --data p.jsonl -o x --stage dpo", 2, "records with chosen and rejected by DPO" },
};
/* clang-format on */

START_TEST(what_does_not_fit_is_refused)
{
    place p = place_make();
    make(&p);
    ck_assert_int_eq(shell(&p, "%s", wrong[_i].change), 0);
    ck_assert_int_eq(tenon(&p, "%s", wrong[_i].arguments), wrong[_i].status);
    place_has(&p, "err", wrong[_i].says);
    ck_assert_int_eq(shell(&p, "test $(wc -l <err) = 1 && test ! -e x"), 0);
    place_end(&p);
}
END_TEST

START_TEST(other_commands_know_them)
{
    place p = place_make();
    make(&p);
    ck_assert_int_eq(tenon(&p, "inspect --model b --data p.jsonl --count 1"), 0);
    place_has(&p, "out", "record 0, chosen: ");
    place_has(&p, "out", "  without  1 + 1\n  with      = 2");
    place_has(&p, "out", "record 0, rejected: ");
    place_has(&p, "out", "  without  1 + 1\n  with      = 4");
    ck_assert_int_eq(tenon(&p, TRAIN "-o x --dry-run --iters 4"), 0);
    ck_assert_int_eq(tenon(&p,
                           "train --model b --data p.jsonl -o x --dry-run --fine-tune-type full"),
                     0);
    place_has(&p, "out", "\n           reference     ");
    ck_assert_int_eq(tenon(&p, TRAIN "-o x --fast-dev-run"), 0);
    ck_assert_int_eq(tenon(&p, "train --model b --data p.jsonl --find-lr"), 0);
    ck_assert_int_eq(shell(&p, "sed -n 's/^begin with --learning-rate \\([^,]*\\), .*/\\1/p' out | "
                               "awk '{ ok = $1 > 8e-4 / 4 && $1 < 8e-4 * 4 } END { exit !ok }'"),
                     0); /* the default is 8e-4 */
    ck_assert_int_eq(shell(&p, "cat p.jsonl | \"$T\" train --model b --data - -o i --iters 2 >out"),
                     0);
    place_has(&p, "out", "(preference)");
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data p.jsonl -o n --iters 2"),
                     0); /* whole random weights */
    place_has(&p, "out", "the reference is the model before step 1\n");
    ck_assert_int_eq(shell(&p, "mkdir d; head -n 40 p.jsonl >d/train.jsonl; tail -n 20 p.jsonl "
                               ">d/valid.jsonl; cp d/valid.jsonl d/test.jsonl"),
                     0);
    ck_assert_int_eq(tenon(&p, "compare --model b --data d --optimizers adamw,sgd --iters 2 "
                               "--lr-grid 1e-3 --out c"),
                     0);
    ck_assert_int_eq(shell(&p, "sed 's/= 2/= 1/' d/valid.jsonl >>d/train.jsonl"), 0);
    ck_assert_int_eq(tenon(&p, "train --model b --data d -o x --dry-run"), 0);
    place_has(&p, "out", ", 20 with a prompt that is in the validation data");
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, preferences_are_learnt);
    tcase_add_loop_test(c, the_reference_is_what_the_training_began_with, 0,
                        sizeof references / sizeof *references);
    tcase_add_test(c, a_line_is_its_last_step);
    tcase_add_loop_test(c, a_resume_is_the_same_run, 0, sizeof hows / sizeof *hows);
    tcase_add_loop_test(c, what_does_not_fit_is_refused, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(c, other_commands_know_them);
}
