/* test_samples.c - --sample: it changes no bit of a run, and shows what generate makes of the result. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdlib.h>

#define FULL                                                                                       \
    "train --model m --tokenizer chars --data d --iters 12 --batch-size 3 --steps-per-eval 4 "     \
    "--save-every 4 --keep 9 --steps-per-report 1 --dropout 0.1 "
#define LORA                                                                                       \
    "train --model b --data d --iters 12 --batch-size 3 --steps-per-eval 4 --save-every 4 "        \
    "--keep 9 --steps-per-report 1 --lora-dropout 0.1 --target-modules all-linear "

static const char *const kinds[] = { FULL, FULL "--packing --grad-checkpoint ", LORA,
                                     LORA "--fine-tune-type dora --optimizer lora-rite " };

static place make(void)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "mkdir d; head -n 20 r.jsonl >d/train.jsonl; "
                               "tail -n 3 r.jsonl >d/valid.jsonl; printf '1\\n\\n12\\n' >f"),
                     0);
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data d --iters 3 -o b"), 0);
    return p;
}

/* All files but those that name the options; of the log, the losses. */
START_TEST(a_run_has_the_same_bits_with_samples)
{
    place p = make();
    ck_assert_int_eq(tenon(&p, "%s -o o", kinds[_i]), 0);
    ck_assert_int_eq(tenon(&p, "%s -o s --sample 1 --sample-file f --sample-tokens 9", kinds[_i]),
                     0);
    ck_assert_int_eq(shell(&p, "test $(grep -c '\"split\":\"sample\"' s/log.jsonl) = 12"), 0);
    ck_assert_int_eq(shell(&p, "rm s/config.used o/config.used s/.tenon-run o/.tenon-run; "
                               "for f in o s; do sed -n 's/.*\\(\"loss\":[^,]*\\).*/\\1/p' "
                               "$f/log.jsonl >$f.losses; done; cmp o.losses s.losses"),
                     0);
    place_same(&p, "o", "s");
    place_end(&p);
}
END_TEST

START_TEST(a_resumed_run_has_the_same_samples)
{
    place p = make();
    ck_assert_int_eq(tenon(&p, FULL "-o o --sample 1 --sample 12"), 0);
    ck_assert_int_eq(shell(&p, "mkdir r; cp -r o/checkpoint-4 o/config.used r"), 0);
    ck_assert_int_eq(tenon(&p, FULL "-o r --sample 1 --sample 12 --resume"), 0);
    ck_assert_int_eq(shell(&p, "for f in o r; do grep 'split\":\"sample\",\"step\":\\(8\\|12\\),' "
                               "$f/log.jsonl >$f.samples; done; cmp o.samples r.samples && "
                               "test $(wc -l <o.samples) = 4"),
                     0);
    place_end(&p);
}
END_TEST

/* The last sample is what generate makes of the result, token for token, and so it is for chats. */
START_TEST(a_sample_is_what_generate_makes)
{
    place p = make();
    ck_assert_int_eq(tenon(&p, FULL "-o o --sample 12 --sample-tokens 7"), 0);
    ck_assert_int_eq(tenon(&p, "generate --model o --temp 0 -n 7 --prompt 12 --json"), 0);
    ck_assert_int_eq(shell(&p, "sed 's/.*\"text\":\\(.*\\),\"prompt_tokens.*/\\1/' out >a; "
                               "grep split.:.sample o/log.jsonl | tail -n 1 | "
                               "sed 's/.*\"text\":\\(.*\\),\"tokens\".*/\\1/' | cmp - a"),
                     0);
    ck_assert_int_eq(shell(&p, "test $(grep -c sample o/log.csv) = 0"), 0);
    place_chat(&p);
    ck_assert_int_eq(tenon(&p, "train --model co --data chat.jsonl --iters 1 --lr 1e-12 -o c "
                               "--sample red --sample sky"),
                     0);
    place_has(&p, "out", "sample 1  red -> rose\n");
    place_has(
        &p, "c/log.jsonl",
        "{\"split\":\"sample\",\"step\":1,\"prompt\":\"red\",\"text\":\"rose\",\"tokens\":3}\n");
    place_end(&p);
}
END_TEST

typedef struct row {
    const char *options;
    int status;
    const char *says; /* in err; of a run that ends well, in out */
} row;

static const row rows[] = {
    { "--sample ~", 1, "--sample: " },
    { "--sample 1 --fast-dev-run", 0, "sample 1  1 -> " },
    { "--sample \"$(printf '1%.0s' $(seq 40))\" --iters 1", 0,
      "sample 1  11111111111111111111... -> " },
    { "--sample 1 --sample-tokens 200 --iters 1", 0,
      "sample 1  1 -> " }, /* it ends at the last position */
    { "--sample-file none", 1, "none: " },
    { "--sample-file big", 1, "big:3: 300 tokens; expected at most the model's" },
    { "--sample-tokens 3", 2, "--sample-tokens: only for --sample, which is not given" },
    { "--sample \"$(printf '1%.0s' $(seq 70))\"", 1, "--sample: 70 tokens; expected at most" },
};

START_TEST(samples_are_asked_for)
{
    place p = make();
    ck_assert_int_eq(shell(&p, "printf '1\\n\\n%%0300d\\n' 1 | tr 0 1 >big"), 0);
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data d -o o %s",
                           rows[_i].options),
                     rows[_i].status);
    place_has(&p, rows[_i].status ? "err" : "out", rows[_i].says);
    if (rows[_i].status)
        ck_assert_int_eq(shell(&p, "test $(wc -l <err) = 1 -a ! -e o"), 0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, a_run_has_the_same_bits_with_samples, 0, sizeof kinds / sizeof *kinds);
    tcase_add_test(c, a_resumed_run_has_the_same_samples);
    tcase_add_test(c, a_sample_is_what_generate_makes);
    tcase_add_loop_test(c, samples_are_asked_for, 0, sizeof rows / sizeof *rows);
}
