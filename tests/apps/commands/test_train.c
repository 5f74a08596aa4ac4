/* test_train.c - tenon train, as its user sees it.
   The number of threads and interruptions change no bit. Signals stop a run. The output folder,
   config.used and the refusals of --resume. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* 12 steps of accumulated batches over 23 records: an epoch ends inside step 3, 6 and 9. */
#define STEPS                                                                                      \
    "--iters 12 --batch-size 3 --grad-accumulation-steps 2 --dropout 0.1 --steps-per-eval 4 --lr " \
    "5e-3"
#define FULL "train --model m --tokenizer chars --data r.jsonl " STEPS
#define LORA                                                                                       \
    "train --model b --data r.jsonl --lora-rank 4 --lora-dropout 0.1 --target-modules "            \
    "all-linear " STEPS

typedef struct kind {
    const char *command, *optimizer;
} kind;

static const kind kinds[] = {
    { FULL, "adamw" },
    { FULL, "sgd --opt momentum=0.9" },
    { LORA, "adam" },
    { LORA, "scaled-adam" },
    { LORA, "scaled-gd" },
    { LORA, "lora-rite" },
    { LORA " --fine-tune-type dora --use-rslora", "lora-rite" },
    { FULL " --packing", "adamw" },
    { LORA " --packing --grad-checkpoint", "lora-rite" },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

/* Makes b, a base model for LoRA. */
static void make_base(const place *p)
{
    ck_assert_int_eq(tenon(p, "train --model m --tokenizer chars --data r.jsonl -o b --iters 3"),
                     0);
}

START_TEST(bits_do_not_depend_on_threads)
{
    place p = place_make();
    const kind *k = &kinds[_i];
    make_base(&p);
    ck_assert_int_eq(tenon(&p, "%s --optimizer %s -o o1 --threads 1", k->command, k->optimizer), 0);
    ck_assert_int_eq(tenon(&p, "%s --optimizer %s -o o5 --threads 5", k->command, k->optimizer), 0);
    place_same(&p, "o1", "o5");
    place_end(&p);
}
END_TEST

/* A run is stopped after step N, in the middle or at the end of an epoch. Then it resumes with
   another number of threads. Its files have the bits of a run that was not stopped. */
START_TEST(resuming_changes_no_bit)
{
    place p = place_make();
    const kind *k = &kinds[_i];
    make_base(&p);
    for (int n = 4; n < 12; n += 3) {
        ck_assert_int_eq(shell(&p, "rm -rf o r"), 0);
        ck_assert_int_eq(tenon(&p, "%s --optimizer %s -o o --save-every %d", k->command,
                               k->optimizer, n),
                         0);
        ck_assert_int_eq(shell(&p, "mkdir r && cp -r o/checkpoint-%d o/config.used r", n), 0);
        ck_assert_int_eq(tenon(&p, "%s --optimizer %s -o r --save-every %d --threads 3 --resume",
                               k->command, k->optimizer, n),
                         0);
        place_has(&p, "out", "resumed");
        place_same(&p, "o", "r");
    }
    place_end(&p);
}
END_TEST

/* If the rate does not depend on the number of steps, a finished run can be continued. */
START_TEST(a_longer_run_continues_a_shorter_one)
{
    place p = place_make();
    const char *how =
        "train --model m --tokenizer chars --data t.txt --lr-scheduler constant --warmup-steps 1";
    ck_assert_int_eq(tenon(&p, "%s --iters 9 -o o", how), 0);
    for (int n = 1; n < 9; n++) {
        ck_assert_int_eq(tenon(&p, "%s --iters %d -o r", how, n), 0);
        ck_assert_int_eq(tenon(&p, "%s --iters 9 -o r --resume", how), 0);
        ck_assert_int_eq(shell(&p, "rm -r r/checkpoint-%d", n), 0);
        /* config.used says that the plan changed; its hash is in the marker */
        ck_assert_int_eq(shell(&p,
                               "sed -i '/^# planned steps before the resume = %d/d' r/config.used; "
                               "sed -i 's/, .config.used.: .[0-9a-f]*.}/}/' o/.tenon-run "
                               "r/.tenon-run",
                               n),
                         0);
        place_same(&p, "o", "r");
        ck_assert_int_eq(shell(&p, "rm -r r"), 0);
    }
    place_end(&p);
}
END_TEST

static const char *const stops[] = { "INT", "TERM", "HUP" };

/* The first signal: the run finishes the step, saves it and ends with status 130. After --resume it
   ends with the same files as a run without a signal. */
START_TEST(a_signal_saves_and_stops)
{
    place p = place_make();
    const char *how =
        "train --model m --tokenizer chars --data r.jsonl --iters 40 --steps-per-report 1";
    ck_assert_int_eq(tenon(&p, "%s -o o", how), 0);
    ck_assert_int_eq(shell(&p, SENDS "%s -o r >out 2>err", stops[_i], "1", "\"step\":20,", how),
                     130);
    place_has(&p, "out", "stopped and saved after step 20\n");
    place_has(&p, "out", "-o r --resume");
    ck_assert_int_eq(shell(&p, "test ! -e r/model.safetensors"), 0);
    ck_assert_int_eq(tenon(&p, "%s -o r --resume", how), 0);
    ck_assert_int_eq(shell(&p, "find o r -path '*checkpoint-*' ! -path '*checkpoint-40*' -delete"),
                     0);
    place_same(&p, "o", "r");
    place_end(&p);
}
END_TEST

/* A finished run that is resumed with another type of file says so in config.used. */
START_TEST(config_used_is_of_the_result)
{
    place p = place_make();
    const char *how = "train --model m --tokenizer chars --data r.jsonl --iters 2 -o o";
    ck_assert_int_eq(tenon(&p, "%s", how), 0);
    ck_assert_int_eq(tenon(&p, "%s --resume --save-dtype bf16", how), 0);
    ck_assert_int_eq(shell(&p, "grep -q 'save-dtype = bf16' o/config.used"), 0);
    place_end(&p);
}
END_TEST

/* Under nohup the run continues when the terminal is closed. */
START_TEST(a_signal_that_was_ignored_stays_so)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p,
                           "trap '' HUP; " SENDS "train --model m --tokenizer chars "
                           "--data r.jsonl --iters 40 -o r >out 2>err",
                           "HUP", "1", "\"step\":20,"),
                     0);
    place_has(&p, "out", "saved r\n");
    place_end(&p);
}
END_TEST

/* The second signal ends the run at once: step 3 is not written, and there is no checkpoint. */
START_TEST(a_second_signal_leaves_at_once)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p,
                           SENDS "train --model m --tokenizer chars --data r.jsonl --iters 9 "
                                 "--steps-per-report 1 --progress none -o r >out 2>err",
                           "INT INT", "1", "\"step\":3,"),
                     130);
    place_has(&p, "r/log.jsonl", "\"step\":2,");
    ck_assert_int_eq(shell(&p,
                           "! grep '\"step\":3,' r/log.jsonl && test ! -e r/model.safetensors && "
                           "! ls r | grep checkpoint"),
                     0);
    place_end(&p);
}
END_TEST

START_TEST(a_dry_run_writes_nothing)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data t.txt --dry-run -o o"), 0);
    place_has(&p, "out", "measured");
    ck_assert_int_eq(shell(&p, "test ! -e o"), 0);
    place_end(&p);
}
END_TEST

/* A finished run is replaced only with --overwrite. The new run has the files of a first run. */
START_TEST(a_finished_run_is_kept)
{
    place p = place_make();
    const char *how = "train --model m --tokenizer chars --data t.txt --iters 4";
    ck_assert_int_eq(tenon(&p, "%s -o o", how), 0);
    ck_assert_int_eq(tenon(&p, "%s -o r --iters 3 --seed 1", how), 0);
    ck_assert_int_eq(tenon(&p, "%s -o r", how), 1);
    place_has(&p, "err", "holds a finished run (model.safetensors); --overwrite");
    ck_assert_int_eq(shell(&p, "rm r/model.safetensors"), 0);
    ck_assert_int_eq(tenon(&p, "%s -o r", how), 1);
    place_has(&p, "err", "holds a run stopped after step 3; --resume continues it, --overwrite");
    ck_assert_int_eq(tenon(&p, "%s -o r --overwrite", how), 0);
    place_same(&p, "o", "r");
    make_base(&p); /* a result with other files is replaced, too */
    ck_assert_int_eq(tenon(&p, LORA " -o r --overwrite"), 0);
    ck_assert_int_eq(shell(&p, "test ! -e r/model.safetensors && test ! -e r/tokenizer.json"), 0);
    ck_assert_int_eq(tenon(&p, "%s -o r --overwrite", how), 0);
    place_same(&p, "o", "r");
    ck_assert_int_eq(tenon(&p, "%s -o r --resume --overwrite", how), 2);
    place_end(&p);
}
END_TEST

typedef struct other {
    const char *options, *named;
} other;

static const other others[] = {
    { "--seed 1", "--seed" },
    { "--batch-size 2", "--batch-size" },
    { "--optimizer sgd", "--optimizer" },
    { "--lr 1e-2", "--learning-rate" },
    { "--opt beta1=0.8", "--opt" },
    { "--lr-scheduler linear", "--lr-scheduler" },
    { "--data u.txt", "training data" },
    { "--data v.txt", "training data" }, /* after the last whole window, but random ones use it */
    { "--model n", "starting weights" },
    { "--dropout 0.1 --lr-min 1e-9", "--dropout, --lr-min" },
};

START_TEST(resuming_with_other_options_names_them)
{
    place p = place_make();
    ck_assert_int_eq(
        shell(&p, "sed 's/fox/box/' t.txt >u.txt; head -c 2010 t.txt >v.txt; "
                  "printf X >>v.txt; tail -c +2012 t.txt >>v.txt; cp -r m n; sed -i 's/\"n_embd\": "
                  "16/\"n_embd\": 8/' n/*"),
        0);
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 8 -o o"), 0);
    const char *data = strstr(others[_i].options, "--data") ? "" : "--data t.txt";
    const int status = tenon(&p, "train --model m --tokenizer bytes %s --iters 8 -o o --resume %s",
                             data, others[_i].options);
    place_has(&p, "err", "--resume: these differ");
    place_has(&p, "err", others[_i].named);
    ck_assert_int_eq(status, 2);
    place_end(&p);
}
END_TEST

/* config.used alone repeats the run. */
START_TEST(config_used_repeats_the_run)
{
    place p = place_make();
    make_base(&p);
    ck_assert_int_eq(tenon(&p, LORA " --optimizer lora-rite -o o"), 0);
    ck_assert_int_eq(tenon(&p, "train --config o/config.used -o r"), 0);
    place_same(&p, "o", "r");
    ck_assert_int_eq(tenon(&p, FULL " -o f"), 0);
    ck_assert_int_eq(tenon(&p, "train --config f/config.used -o g"), 0);
    place_same(&p, "f", "g");
    place_end(&p);
}
END_TEST

/* A name with characters that have a meaning in config files is read back unchanged. */
START_TEST(config_used_quotes_what_needs_it)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "cp t.txt 'a # b.txt'"), 0);
    ck_assert_int_eq(tenon(&p,
                           "train --model m --tokenizer chars --data 'a # b.txt' --iters 2 -o o"),
                     0);
    ck_assert_int_eq(tenon(&p, "train --config o/config.used -o r"), 0);
    place_same(&p, "o", "r");
    place_end(&p);
}
END_TEST

/* The names of schedules may have underscores instead of dashes, too. */
START_TEST(a_schedule_has_two_spellings)
{
    place p = place_make();
    const char *how = "train --model m --tokenizer chars --data t.txt --iters 9 --warmup-steps 2";
    ck_assert_int_eq(tenon(&p, "%s -o o --lr-scheduler inverse-sqrt", how), 0);
    ck_assert_int_eq(tenon(&p, "%s -o r --lr-scheduler inverse_sqrt", how), 0);
    ck_assert_int_eq(shell(&p, "cmp o/model.safetensors r/model.safetensors"), 0);
    place_end(&p);
}
END_TEST

START_TEST(a_folder_has_one_run_at_a_time)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "mkdir o && flock -n o \"$T\" " FULL " -o o >out 2>err"), 1);
    place_has(&p, "err", "tenon: o: another run is writing there; expected another folder");
    ck_assert_int_eq(shell(&p, "test -z \"$(ls o)\""), 0);
    ck_assert_int_eq(tenon(&p, FULL " -o o"), 0);
    place_end(&p);
}
END_TEST

/* If the base has no tokenizer, the one made from the data is saved with the adapter. */
START_TEST(an_adapter_brings_its_tokenizer)
{
    place p = place_make();
    make_base(&p);
    ck_assert_int_eq(tenon(&p, LORA " -o o"), 0);
    ck_assert_int_eq(shell(&p, "test ! -e o/tokenizer.json && rm b/tokenizer*.json"), 0);
    ck_assert_int_eq(tenon(&p, LORA " -o o2 --tokenizer chars"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model b --adapter-path o2 --data r.jsonl"), 0);
    ck_assert_int_eq(tenon(&p, "generate --model b --adapter-path o2 --prompt 1 -n 3"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model b --data r.jsonl"), 1);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, bits_do_not_depend_on_threads, 0, KINDS);
    tcase_add_loop_test(c, resuming_changes_no_bit, 0, KINDS);
    tcase_add_test(c, a_longer_run_continues_a_shorter_one);
    tcase_add_loop_test(c, a_signal_saves_and_stops, 0, sizeof stops / sizeof *stops);
    tcase_add_test(c, config_used_is_of_the_result);
    tcase_add_test(c, a_signal_that_was_ignored_stays_so);
    tcase_add_test(c, a_second_signal_leaves_at_once);
    tcase_add_test(c, a_dry_run_writes_nothing);
    tcase_add_test(c, a_finished_run_is_kept);
    tcase_add_loop_test(c, resuming_with_other_options_names_them, 0,
                        sizeof others / sizeof *others);
    tcase_add_test(c, config_used_repeats_the_run);
    tcase_add_test(c, config_used_quotes_what_needs_it);
    tcase_add_test(c, a_schedule_has_two_spellings);
    tcase_add_test(c, a_folder_has_one_run_at_a_time);
    tcase_add_test(c, an_adapter_brings_its_tokenizer);
}
