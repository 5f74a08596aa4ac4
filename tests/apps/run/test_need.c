/* test_need.c - what does not fit into memory is refused early; the message lists its parts. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>

/* True if addresses can be limited. A sanitizer takes terabytes of them. */
static const bool limited = !TESTS_SANITIZED;

/* With 2 GB of addresses: the arguments, the status, and the message. NULL: nothing on standard
   error. */
/* clang-format off */
static const struct { const char *arguments; int status; const char *text; } rows[] = {
    { "train --model m --tokenizer bytes --data t.txt --iters 2 --output-dir x --batch-size 1000000", 1,
      "training does not fit into memory: weights 46.9 kB + gradients 46.9 kB + optimizer 93.8 kB + "
      "activations 119 GB = 119 GB or more, with batches of 1000000 rows of 64 tokens" },
    { "train --model m --tokenizer bytes --data t.txt --dry-run --batch-size 20k", 1, "activations 2.4 GB" },
    { "train --model b --data r.jsonl --iters 1 --dry-run --batch-size 1M", 1, "training does not fit" },
    { "compare --model b --data d --iters 1 --out x --optimizers adamw --batch-size 1M", 1, "training does not fit" },
    { "eval --model b --data long.txt --split train --batch-size 1M", 1, "evaluation does not fit into memory: weights" },
    { "bench step --layers 1 --width 16 --heads 2 --vocab 50 --batch-size 1M", 1, "a step does not fit" },
    { "inspect huge", 0, NULL },
    { "train --model m --tokenizer bytes --data task:lookup:1000000000 --dry-run", 1,
      "task lookup: 1000000000 records take about " },
    { "bench optimizers --pairs 100000 --width 262144", 1,
      "100000 pairs of (262144, r 8) take 3.36e+03 GB or more of memory; expected at most the " },
    { "train --model huge --data t.txt --tokenizer bytes --dry-run", 1, "training does not fit into memory: weights 1.2 TB + gradients 1.2 TB" },
    { "train --model huge --data t.txt --tokenizer bytes --output-dir x", 1, "the weights take 1237 GB of memory" },
    { "eval --model huge --data t.txt", 1, "huge: the weights take 1240 GB of memory" },
    { "train --model m --tokenizer bytes --data t.txt --iters 1 --dry-run --batch-size 64", 0, NULL },
    { "eval --model b --data r.jsonl --batch-size 1M", 0, NULL }, /* of 23 rows */
};
/* clang-format on */

START_TEST(what_cannot_fit_is_refused)
{
    place p = place_make();
    ck_assert_int_eq(
        tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 --output-dir b"), 0);
    ck_assert_int_eq(
        shell(&p,
              "mkdir huge d; cp r.jsonl d/train.jsonl; cp r.jsonl d/valid.jsonl; "
              "sed -e 's/\"n_layer\": 2/\"n_layer\": 96/' -e 's/\"n_embd\": 16/\"n_embd\": 16384/' "
              "-e 's/: 97/: 50257/' m/config.json >huge/config.json"),
        0);
    ck_assert_int_eq(
        shell(&p, "i=0; while test $i -lt 11; do cat t.txt t.txt >long.txt; mv long.txt t.txt; "
                  "i=$((i+1)); done; mv t.txt long.txt; head -n 40 long.txt >t.txt"),
        0);
    const int status = shell(&p, "ulimit -v 2000000; $T %s >out 2>err", rows[_i].arguments);
    ck_assert_msg(status == rows[_i].status, "%s: status %d, %s", rows[_i].arguments, status,
                  place_read("err"));
    if (rows[_i].text)
        place_has(&p, "err", rows[_i].text);
    ck_assert_int_eq(shell(&p, "test `wc -l <err` = %d && test ! -e x", status), 0);
    place_end(&p);
}
END_TEST

/* A part has its line; a model that has no memory for its weights is enough for that. */
START_TEST(a_dry_run_shows_every_part)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 -o b"), 0);
    ck_assert_int_eq(tenon(&p, "train --model b --data t.txt --dry-run --base-dtype bf16"), 0);
    place_has(&p, "out", "\nmemory     weights       ");
    place_has(&p, "out", "  bf16 ");
    place_has(&p, "out", "\n           adapters      ");
    place_has(&p, "out", "\n           gradients     ");
    place_has(&p, "out", "\n           optimizer     ");
    place_has(&p, "out", "  a batch of 4 rows of 64 tokens\n           backward      ");
    place_has(&p, "out", "\n           logits        ");
    place_has(&p, "out", "\n           program       ");
    place_has(&p, "out", " that are available\nmeasured   ");
    ck_assert_int_eq(shell(&p,
                           "mkdir huge; sed -e 's/\"n_layer\": 2/\"n_layer\": 96/' -e "
                           "'s/\"n_embd\": 16/\"n_embd\": 16384/' m/config.json >huge/config.json"),
                     0);
    ck_assert_int_eq(tenon(&p, "train --model huge --data t.txt --tokenizer bytes --dry-run"), 1);
    place_has(&p, "out", "\nmemory     weights         1.2 TB");
    place_has(&p, "out", "\n           all           ");
    ck_assert_int_eq(shell(&p, "test $(grep -c measured out) = 0"), 0);
    place_end(&p);
}
END_TEST

/* Packed records: the largest batch of all that the run meets, those of accumulated steps too. */
START_TEST(all_batches_of_a_step_count)
{
    place p = place_make();
    /* four records of 11 tokens, and one of 14: a step has the shortest first */
    ck_assert_int_eq(shell(&p, "head -n 4 r.jsonl >s.jsonl; sed -n 11p r.jsonl >>s.jsonl"), 0);
    ck_assert_int_eq(tenon(&p,
                           "train --model m --tokenizer bytes --data s.jsonl --dry-run --packing "
                           "--batch-size 1 --iters 1 --grad-accumulation-steps 5"),
                     0);
    place_has(&p, "out", "  a batch of 1 row of 13 tokens\n");
    place_end(&p);
}
END_TEST

START_TEST(inspect_says_what_training_takes)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "inspect m"), 0);
    place_has(&p, "out", "to train, 4 rows of 64 tokens, adamw:\n");
    place_has(
        &p, "out",
        "  LoRA r=8 on all-linear  weights 53.1 kB + gradients 16.4 kB + optimizer 32.8 kB + activ");
    /* 2 layers x 8 (64 + 32 + 80 + 80) numbers, as a run has them */
    place_has(
        &p, "out",
        "  all weights             weights 36.7 kB + gradients 36.7 kB + optimizer 73.3 kB + activations");
    place_has(&p, "out", "  available  ");
    place_has(&p, "out", "supported  yes: gpt2, ");
    ck_assert_int_eq(shell(&p,
                           "sed -e 's/\"n_embd\": 16/\"n_embd\": 32/' m/config.json >wide.json && "
                           "mkdir wide && mv wide.json wide/config.json"),
                     0);
    ck_assert_int_eq(tenon(&p,
                           "train --model wide --tokenizer bytes --data r.jsonl --iters 1 -o w"),
                     0);
    ck_assert_int_eq(tenon(&p, "inspect --base-dtype q8_0 w"), 0);
    place_has(&p, "out", "weights    frozen: q8_0 37.0 kB + f32 3.6 kB\nto train, ");
    place_end(&p);
}
END_TEST

/* A config alone says what weights of these types will take: 34,848 numbers of matrices with 257
   tokens, 29,728 with 97. */
static const struct {
    const char *type, *train, *inspect;
} types[] = {
    { "bf16", "memory     weights        73.3 kB  bf16 69.7 kB + f32 3.6 kB\n",
      "bf16 59.5 kB + f32 3.6 kB\n" },
    { "q8_0", "memory     weights        40.6 kB  q8_0 37.0 kB + f32 3.6 kB\n",
      "q8_0 31.6 kB + f32 3.6 kB\n" },
    { "q4_0", "memory     weights        23.2 kB  q4_0 19.6 kB + f32 3.6 kB\n",
      "q4_0 16.7 kB + f32 3.6 kB\n" },
};

START_TEST(a_base_type_counts_without_weights)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "sed -i 's/\"n_embd\": 16/\"n_embd\": 32/' m/config.json"), 0);
    ck_assert_int_eq(tenon(&p, "inspect m --base-dtype %s", types[_i].type), 0);
    place_has(&p, "out", types[_i].inspect);
    ck_assert_int_eq(tenon(&p,
                           "train --model m --tokenizer bytes --data r.jsonl --dry-run "
                           "--base-dtype %s",
                           types[_i].type),
                     0);
    place_has(&p, "out", types[_i].train);
    place_has(&p, "out",
              "measured   nothing: m has no weights; --base-dtype is for those of a file");
    ck_assert_int_eq(tenon(&p,
                           "train --model m --tokenizer bytes --data r.jsonl -o x --base-dtype %s",
                           types[_i].type),
                     2);
    place_has(&p, "err", "the weights of m are random; expected a file");
    place_end(&p);
}
END_TEST

/* The reason is the key of the config, and not the weights: there are none. */
START_TEST(inspect_says_what_is_not_supported)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p,
                           "mkdir k && echo '{\"model_type\":\"llama\",\"rope_theta\":10000,"
                           "\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4}}' >k/config.json"),
                     0);
    ck_assert_int_eq(tenon(&p, "inspect k"), 0);
    place_has(&p, "out",
              "supported  no: k/config.json: /rope_scaling/type is the string \"yarn\", expected "
              "default, linear or llama3");
    ck_assert_int_ne(tenon(&p, "train --model k --tokenizer bytes --data r.jsonl --iters 1 "
                               "--output-dir z"),
                     0);
    place_has(&p, "err", "expected default, linear or llama3");
    place_end(&p);
}
END_TEST

/* What a dry run computes is within a tenth of what the system says: of a small model, most of which
   is pages and code, and of steps whose batches are smaller than the largest of the run. */
static const char *const measured[] = {
    "--batch-size 1 --data r.jsonl",
    "--batch-size 64 --max-seq-length 64 --data t.txt",
    "--batch-size 8 --grad-checkpoint --data t.txt",
    "--batch-size 8 --packing --data r.jsonl",
    "--batch-size 64 --iters 9 --valid-split 0 --data long.jsonl",
};

START_TEST(a_dry_run_is_near_what_it_measures)
{
    place p = place_make();
    /* one record is much longer than the 460 others */
    ck_assert_int_eq(
        shell(&p, "for i in 0 1 2 3 4 5 6 7 8 9; do cat r.jsonl r.jsonl; done >long.jsonl; "
                  "sed -i 's/\"n_positions\": 64/\"n_positions\": 512/' m/config.json; "
                  "printf '{\"prompt\": \"1\", \"completion\": \"%%0400d\"}\\n' 1 >>long.jsonl"),
        0);
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --dry-run %s", measured[_i]), 0);
    ck_assert_int_eq(shell(&p,
                           "sed -n 's/^measured .* steps, \\([0-9]*\\) %% of .*/\\1/p' out >n; "
                           "test $(cat n) -ge 90 && test $(cat n) -le 110 || { cat out; false; }"),
                     0);
    place_end(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, what_cannot_fit_is_refused, 0, limited ? sizeof rows / sizeof *rows : 0);
    tcase_add_test(c, a_dry_run_shows_every_part);
    tcase_add_test(c, all_batches_of_a_step_count);
    tcase_add_loop_test(c, a_dry_run_is_near_what_it_measures, 0,
                        limited ? sizeof measured / sizeof *measured : 0);
    tcase_add_test(c, inspect_says_what_training_takes);
    tcase_add_loop_test(c, a_base_type_counts_without_weights, 0, sizeof types / sizeof *types);
    tcase_add_test(c, inspect_says_what_is_not_supported);
}
