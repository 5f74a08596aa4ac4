/* test_resume.c - a stopped run resumes only if it is still the same run, or a longer one. */
#include "optim/run/trainer_state.h"
#include "tests/support/apps.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* There are a base b, data d (train and valid) and a text t.txt. In o a run stopped after 4 of 8
   steps. */
#define LORA "train --model b --data d --lora-rank 2 --batch-size 2 --save-every 4 "
#define TEXT                                                                                       \
    "train --model m --tokenizer bytes --data t.txt --max-seq-length 32 --save-every 4 --lr 1e-3 "

static void make(const place *p, const char *how)
{
    ck_assert_int_eq(shell(p, "mkdir d; head -n 15 r.jsonl >d/train.jsonl; "
                              "tail -n 8 r.jsonl >d/valid.jsonl"),
                     0);
    ck_assert_int_eq(tenon(p, "train --model m --tokenizer chars --data r.jsonl -o b --iters 2"),
                     0);
    ck_assert_int_eq(tenon(p, "%s --iters 8 -o whole", how), 0);
    ck_assert_int_eq(shell(p, "mkdir o; cp -r whole/checkpoint-4 whole/config.used o"), 0);
}

#define EDIT(file, from, to) "sed -i 's/" from "/" to "/' " file " && grep -q '" to "' " file

typedef struct row { /* a command between save and resume; the message of a refusal */
    const char *how, *change, *options, *refusal;
} row;

/* clang-format off */
static const row rows[] = {
    { LORA, ":", "--iters 8", NULL },
    { TEXT, ":", "--iters 8", NULL },
    { LORA, "cp -r b c", "--iters 8 --model c --threads 3 --save-every 3", NULL },

    /* the base: its config, its weights, its tokenizer */
    { LORA, EDIT("b/config.json", "\"n_head\": 2", "\"n_head\": 4"), "--iters 8",
      "o/checkpoint-4: of a run on a model with another config" },
    { LORA, EDIT("b/config.json", "1e-05", "1e-06"), "--iters 8",
      "o/checkpoint-4: of a run on a model with another config" },
    { LORA, "cp -r b c; " EDIT("c/config.json", "\"n_head\": 2", "\"n_head\": 1"),
      "--iters 8 --model c", "o/checkpoint-4: of a run on a model with another config" },
    { LORA, "\"$T\" train --model m --tokenizer chars --data r.jsonl -o b --iters 2 --overwrite "
      "--seed 1 >c", "--iters 8", "starting weights" },
    { LORA, "\"$T\" train --model m --tokenizer chars --data r.jsonl -o b --iters 2 --overwrite "
      "--save-dtype bf16 >c", "--iters 8", "starting weights" },
    { LORA, EDIT("b/tokenizer.json", "<|endoftext|>", "<|eot|>") "; "
      EDIT("b/tokenizer_config.json", "<|endoftext|>", "<|eot|>"), "--iters 8", "tokenizer" },
    { TEXT, "cp -r m n; " EDIT("n/config.json", "\"n_head\": 2", "\"n_head\": 4"),
      "--iters 8 --model n", "o/checkpoint-4: of a run on a model with another config" },

    /* the data */
    { LORA, EDIT("d/train.jsonl", "3 + 6", "3 + 5"), "--iters 8", "training data" },
    { LORA, "head -n 1 r.jsonl >>d/train.jsonl", "--iters 8", "training data" },
    { LORA, EDIT("d/valid.jsonl", "20 + 23", "20 + 22"), "--iters 8", "validation data" },
    { LORA, "rm d/valid.jsonl", "--iters 8", "validation data" },
    { TEXT, "printf 'And so on.\\n' >>t.txt", "--iters 8", "training data" },
    { TEXT " --valid-split 0", "truncate -s -1 t.txt; printf '!' >>t.txt", "--iters 8",
      "training data" }, /* the last byte, after the last whole window */

    /* options */
    { LORA, ":", "--iters 8 --lora-alpha 8", "--lora-alpha" },
    { LORA, ":", "--iters 8 --target-modules c_attn.q", "--target-modules" },
    { LORA, EDIT("o/config.used", "batch-size = 2", "batch-size = 3"), "--iters 8 --batch-size 3",
      "o/checkpoint-4: made with other options than those in o/config.used" },
    { LORA, "sed -i '/^lora-alpha/d' o/config.used", "--iters 8", NULL }, /* its default */
    { LORA, "rm o/config.used", "--iters 8", "o/config.used: cannot open" },

    /* the checkpoint itself */
    { LORA, "mv o/checkpoint-4 o/checkpoint-6", "--iters 8",
      "step is 4; expected 6, the number of its folder; remove checkpoint-6" },
    { LORA, EDIT("o/checkpoint-4/trainer_state.json", "\"step\": 4", "\"step\": 3"), "--iters 8",
      "its checksum does not fit its content" },

    /* fewer steps: refused if the rate depends on their number, or if more were already done */
    { LORA, ":", "--iters 6", "steps (6, were 8); expected as many or more" },
    { LORA " --lr-scheduler constant", ":", "--iters 6", NULL },
    { LORA " --lr-scheduler constant", ":", "--iters 3", "expected at least the 4" },
};
/* clang-format on */

/* A refusal is one line and changes no file. */
START_TEST(is_still_the_same_run)
{
    const row *r = &rows[_i];
    place p = place_make();
    make(&p, r->how);
    ck_assert_int_eq(shell(&p, "%s", r->change), 0);
    ck_assert_int_eq(shell(&p, "cp -r o before"), 0);
    const int status = tenon(&p, "%s -o o --resume %s", r->how, r->options);
    if (r->refusal) {
        place_has(&p, "err", r->refusal);
        ck_assert_int_ne(status, 0);
        ck_assert_int_eq(shell(&p, "test $(wc -l <err) = 1 && diff -r before o"), 0);
    } else {
        place_has(&p, "out", "resumed    after step 4\n");
        ck_assert_int_eq(status, 0);
    }
    place_end(&p);
}
END_TEST

typedef struct longer {
    const char *how, *before, *now, *says, *silent;
} longer;

#define TASK "train --model m --tokenizer chars --data task:lookup --max-seq-length 64 "

static const longer longers[] = {
    { TEXT, "--iters 4", "--iters 12",
      "the schedule is that of 12 steps now, not of 4: step 4 had "
      "the rate 0.0001464, step 5 has 0.00075\n",
      "data grew" },
    { TEXT "--lr-scheduler constant", "--iters 4", "--iters 12", "resumed    after step 4\n",
      "the schedule is" },
    { TEXT "--lr-scheduler constant", "--iters 40", "--iters 100",
      "the schedule is that of 100 steps now, not of 40", "data grew" }, /* warm-up of 1, 3 */
    { TEXT "--lr-scheduler wsd --warmup-steps 0", "--iters 5", "--iters 6",
      "the schedule is that of 6 steps now, not of 5", "data grew" },
    { LORA, "--epochs 1", "--epochs 2", "the schedule is that of 15 steps now, not of 8",
      "data grew" },
    { TASK, "--iters 4", "--iters 8", "the task's data grew from 16 to 31 records", "?" },
    { TASK "--lr-scheduler constant", "--iters 4", "--iters 8",
      "the task's data grew from 16 to 31 records", "the schedule is" },
};

/* A run resumes with more steps, and the output says what differs. config.used becomes that of the
   longer run after its first checkpoint. If the run is killed before or after that, it can
   resume. */
START_TEST(a_longer_run_says_what_differs)
{
    const longer *l = &longers[_i];
    place p = place_make();
    make(&p, LORA);
    ck_assert_int_eq(tenon(&p, "%s %s -o r", l->how, l->before), 0);
    ck_assert_int_eq(shell(&p, "rm -r o; cp -r r o"), 0);
    ck_assert_int_eq(tenon(&p, "%s %s -o r --resume", l->how, l->now), 0);
    place_has(&p, "out", l->says);
    ck_assert_int_eq(shell(&p, "test $(grep -c '\"steps_before\":' r/log.jsonl) = 1"), 0);
    ck_assert_int_eq(shell(&p, "! grep -q \"%s\" out", l->silent), 0);
    ck_assert_int_eq(shell(&p, "! cmp -s o/config.used r/config.used"), 0);

    for (int again = 0; again < 2; again++) { /* config.used keeps the plans before */
        ck_assert_int_eq(
            shell(&p, "test \"$(grep '^# planned steps before' r/config.used)\" = \"# planned "
                      "steps before the resume = $(sed -n 's/^# steps = //p' o/config.used), "
                      "until step $(ls o | sed -n 's/checkpoint-//p' | sort -n | tail -n 1)\""),
            0);
        ck_assert_int_eq(tenon(&p, "%s %s -o r --resume", l->how, l->now), 0);
    }

    ck_assert_int_eq(shell(&p, "cp -r r s; cp o/config.used s; rm -r s/*model.safetensors "
                               "s/$(ls -v s | grep checkpoint | tail -n 1)"),
                     0);
    ck_assert_int_eq(tenon(&p, "%s %s -o s --resume", l->how, l->now), 0);
    ck_assert_int_eq(shell(&p, "cd r; for f in *model.safetensors; do cmp $f ../s/$f; done"), 0);
    place_end(&p);
}
END_TEST

/* A state that somebody wrote, with a right checksum, but that does not fit the run. */
START_TEST(what_is_counted_fits)
{
    static const struct {
        int64_t batches, planned;
        const char *says;
    } odd[] = { { 5, 4, "o/checkpoint-4: 5 batches in 4 steps; expected 1 per step" },
                { 4, 3, "o/checkpoint-4: 3 steps planned; expected at least the 4 that it has" } };
    place p = place_make();
    tn_error e = { 0 };
    tn_state s;
    make(&p, TEXT);
    tn_state_load("o/checkpoint-4", &s, &e);
    s.run.batches = odd[_i].batches;
    s.run.planned = odd[_i].planned;
    tn_state_save("o/checkpoint-4", &s, &e);
    must(&e);
    ck_assert_int_eq(tenon(&p, TEXT "--iters 8 -o o --resume"), 1);
    place_has(&p, "err", odd[_i].says);
    place_end(&p);
}
END_TEST

/* A run of an older version, after 4 of 8 steps. Its checkpoint does not know the base. It resumes
   and ends with the bits of the old version. It may get more steps. What its checkpoint knows is
   checked. */
START_TEST(a_run_of_format_1_goes_on)
{
    static const char how[] =
        "train --model m --tokenizer chars --data t.txt --lr 5e-3 -o o --resume";
    place p = place_make();
    ck_assert_int_eq(shell(&p,
                           "cp -r %s/" GOLDEN "run_of_format_1/* . && mkdir o && "
                           "cp -r checkpoint-4 config.used o",
                           p.before),
                     0);
    ck_assert_int_eq(tenon(&p, "%s --iters 8 --seed 1", how), 2);
    place_has(&p, "err", "these differ from o/config.used: --seed, starting weights;");
    ck_assert_int_eq(tenon(&p, "%s --iters 7", how), 2);
    place_has(&p, "err", "steps (7, were 8)");
    ck_assert_int_eq(tenon(&p, "%s --iters 8 --grad-accumulation-steps 2", how), 2);
    ck_assert_int_eq(shell(&p, "cp -r o more"), 0);
    ck_assert_int_eq(tenon(&p, "%s --iters 8", how), 0);
    ck_assert_int_eq(shell(&p, "cmp o/model.safetensors expected.safetensors"), 0);
    ck_assert_int_eq(tenon(&p, "%s --iters 16 -o more", how), 0);
    place_has(&p, "out", "the schedule is that of 16 steps now, not of 8");
    ck_assert_int_eq(shell(&p, "sed -i s/mortise/tenon/ t.txt; rm -r o; mkdir o; "
                               "cp -r checkpoint-4 config.used o"),
                     0);
    ck_assert_int_eq(tenon(&p, "%s --iters 8", how), 2);
    place_has(&p, "err", "training data");
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, is_still_the_same_run, 0, sizeof rows / sizeof *rows);
    tcase_add_loop_test(c, a_longer_run_says_what_differs, 0, sizeof longers / sizeof *longers);
    tcase_add_loop_test(c, what_is_counted_fits, 0, 2);
    tcase_add_test(c, a_run_of_format_1_goes_on);
}
