/* test_unreadable.c - a file that cannot be read is not treated as absent.
   Each file that a command may read is replaced by a link that leads nowhere, then by a link to
   itself. No command may continue as if the file did not exist. There are m (a config, random
   weights), o (a trained model, also as two shards in s), a (an adapter on o) and d (train, valid
   and test records). */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>

#define TRAIN_M "train --model m --tokenizer chars --data r.jsonl --iters 1 -o x"
#define TRAIN_O "train --model o --iters 1 -o x --data "
#define COMPARE "compare --model o --iters 1 --lr-grid 1e-3 --optimizers sgd --out x --data "
#define GENERATE "generate --prompt 1 --max-tokens 1 --model "

static const struct {
    const char *file, *arguments;
} rows[] = {
    { "o/model.safetensors", TRAIN_O "r.jsonl" },
    { "o/model.safetensors", TRAIN_O "r.jsonl --fine-tune-type full" },
    { "o/model.safetensors", COMPARE "d" },
    { "o/model.safetensors", "eval --model o --data r.jsonl" },
    { "o/model.safetensors", GENERATE "o" },
    { "o/model.safetensors", "inspect o" },
    { "o/model.safetensors", "inspect o --data r.jsonl" },
    { "o/config.json", "eval --model o --data r.jsonl" },
    { "o/config.json", TRAIN_O "r.jsonl" },
    { "o/tokenizer.json", "eval --model o --data r.jsonl" },
    { "o/tokenizer.json", GENERATE "o --adapter-path a" },
    { "o/tokenizer_config.json", "eval --model o --data r.jsonl" },
    { "o/model.safetensors.index.json", "inspect o" },
    { "m/model.safetensors", TRAIN_M },
    { "m/model.safetensors.index.json", TRAIN_M },
    { "m/model.safetensors", "compare --tokenizer chars --model m --iters 1 --out x --data d" },
    { "m/tokenizer.json", TRAIN_M },
    { "s/model.safetensors", GENERATE "s" },
    { "s/model.safetensors.index.json", GENERATE "s" },
    { "s/model.safetensors.index.json", TRAIN_O "r.jsonl --model s" },
    { "s/one.safetensors", GENERATE "s" },
    { "a/adapter_config.json", GENERATE "o --adapter-path a" },
    { "a/adapter_model.safetensors", GENERATE "o --adapter-path a" },
    { "a/adapter_model.safetensors", "eval --model o --data r.jsonl --adapter-path a" },
    { "d/train.jsonl", TRAIN_O "d" },
    { "d/valid.jsonl", TRAIN_O "d" },
    { "d/test.jsonl", COMPARE "d" },
    { "d/test.jsonl", "eval --model o --data d" },
    { "o", "eval --model o --data r.jsonl" },
    { "a", GENERATE "o --adapter-path a" },
    { "d", TRAIN_O "d" },
    { "r.jsonl", TRAIN_O "r.jsonl" },
    { "r.jsonl", "inspect --data r.jsonl --tokenizer chars" },
    { "used", TRAIN_O "r.jsonl --config used" },
    { "x", TRAIN_O "r.jsonl" },
    { "x", COMPARE "d" },
};

enum { ROWS = sizeof rows / sizeof *rows, WAYS = 2 };

static void make(place *p)
{
    *p = place_make();
    ck_assert_int_eq(tenon(p, "train --model m --tokenizer chars --data r.jsonl --iters 1 -o o"),
                     0);
    ck_assert_int_eq(tenon(p, TRAIN_O "r.jsonl -o a"), 0);
    ck_assert_int_eq(
        shell(
            p,
            "rm -r a/checkpoint-* o/checkpoint-*; cp -r o s; mkdir d; cp r.jsonl d/train.jsonl; "
            "cp r.jsonl d/valid.jsonl; cp r.jsonl d/test.jsonl; : >used; "
            "mv s/model.safetensors s/one.safetensors; echo '{\"weight_map\": "
            "{\"transformer.wte.weight\": \"one.safetensors\"}}' >s/model.safetensors.index.json"),
        0);
}

START_TEST(what_cannot_be_read_is_no_absence)
{
    place p;
    const char *file = rows[_i / WAYS].file, *arguments = rows[_i / WAYS].arguments;
    char way[256];
    make(&p);
    snprintf(way, sizeof way,
             _i % WAYS ? "rm -rf %s; ln -s $(basename %s) %s" : "rm -rf %s; ln -s nowhere %s", file,
             file, file);
    ck_assert_int_eq(shell(&p, "%s", way), 0);
    ck_assert_msg(tenon(&p, "%s", arguments) == 1, "%s: %s", way, arguments);
    snprintf(way, sizeof way, "%s: a link to ", file);
    place_has(&p, "err", way);
    ck_assert_int_eq(shell(&p, "test $(wc -l <err) = 1 && ! test -e x"), 0);
    place_end(&p);
}
END_TEST

/* The same commands with good files. */
START_TEST(good_files_are_read)
{
    place p;
    make(&p);
    ck_assert_msg(!tenon(&p, "%s", rows[_i].arguments), "%s", rows[_i].arguments);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, what_cannot_be_read_is_no_absence, 0, ROWS * WAYS);
    tcase_add_loop_test(c, good_files_are_read, 0, ROWS);
}
