/* test_setup.c - the adapter that a command adds to its model, from a finished run or checkpoint-N.
   Here b is a base, o is a LoRA run on it with checkpoints after steps 2 and 4, and a is one that
   ended after step 2. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>

#define RUN                                                                                        \
    "train --model b --data r.jsonl --lr 1e-2 --lr-scheduler constant --warmup-steps 0 --save-every 2 "

static place make(const char *lora)
{
    place p = place_make();
    ck_assert_int_eq(
        tenon(&p, "train --model m --tokenizer chars --data r.jsonl --iters 3 --lr 1e-2 -o b"), 0);
    ck_assert_int_eq(tenon(&p, RUN "--iters 4 -o o %s", lora), 0);
    ck_assert_int_eq(tenon(&p, RUN "--iters 2 -o a %s", lora), 0);
    return p;
}

static const char *const loras[] = {
    "",
    "--lora-rank 3 --lora-alpha 1",
    "--fine-tune-type dora --target-modules c_attn,c_fc --lora-dropout 0.2",
    "--target-modules c_attn.q,c_attn.v,c_fc --lora-dropout 0.2",
    "--target-modules all-linear --lora-rank 1",
};

static const char *const commands_of_adapters[] = {
    "eval --model b --data r.jsonl",
    "eval --model b --data u.txt --max-seq-length 16",
    "generate --model b --prompt 1 --prompt 7 --max-tokens 20",
};

/* The checkpoint of a step gives the same numbers as the adapter that was written after that
   step. */
START_TEST(a_checkpoint_is_an_adapter)
{
    place p = make(loras[_i]);
    ck_assert_int_eq(shell(&p, "head -c 40 t.txt | tr -c '0-9 +=.' 1 >u.txt"),
                     0); /* characters of the tokenizer */
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(tenon(&p, "%s --adapter-path a", commands_of_adapters[i]), 0);
        ck_assert_int_eq(shell(&p, "cp out of_a; test -s out && ! test -s err"), 0);
        ck_assert_int_eq(tenon(&p, "%s --adapter-path o/checkpoint-2/", commands_of_adapters[i]),
                         0);
        ck_assert_int_eq(shell(&p, "cmp out of_a && ! test -s err"), 0);
    }
    ck_assert_int_eq(tenon(&p, "eval --model b --data r.jsonl --adapter-path o/checkpoint-4"), 0);
    ck_assert_int_eq(shell(&p, "cp out four"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model b --data r.jsonl --adapter-path o"), 0);
    ck_assert_int_eq(shell(&p, "cmp out four"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model b --data r.jsonl --adapter-path o/checkpoint-2"), 0);
    ck_assert_int_ne(shell(&p, "cmp -s out four"), 0);
    ck_assert_int_eq(tenon(&p, "inspect o/checkpoint-2"), 0);
    place_has(&p, "out", "lora_A.weight");
    place_end(&p);
}
/* clang-format off */
END_TEST

/* A command that changes the folders, the path of the adapter, and the message. */
static const struct { const char *before, *path, *text; } refused[] = {
    { "true", "none", "tenon: none: No such file or directory; expected an adapter folder" },
    { "true", "o/checkpoint-3", "tenon: o/checkpoint-3: No such file or directory; expected an adapter folder" },
    { "true", "r.jsonl", "tenon: r.jsonl: Not a directory; expected an adapter folder" },
    { "true", "m", "m: no adapter_config.json, but a model's config.json; expected" },
    { "true", "b/checkpoint-3", "b/checkpoint-3/model.safetensors: 28 tensors, 0 of them factors of this model's "
                                "layers; expected the checkpoint of a LoRA run on this model" },
    { "ln -s nowhere l", "l", "tenon: l: a link to nowhere" },
    { "sed -i 's/\"n_head\": 2/\"n_head\": 4/' b/config.json", "o/checkpoint-2", "another config (heads, sizes, ...)" },
    { "\"$T\" train --model m --tokenizer chars --data r.jsonl --iters 4 --lr 1e-2 -o b --overwrite >x 2>&1",
      "o/checkpoint-2", "o/checkpoint-2: of a run on a base model with other frozen weights" },
    { "printf '\\001' | dd of=o/checkpoint-2/model.safetensors bs=1 conv=notrunc seek=$(($(wc -c <"
      "o/checkpoint-2/model.safetensors) - 4)) 2>x", "o/checkpoint-2", "model.safetensors: its checksum is" },
    { "rm o/checkpoint-2/model.safetensors", "o/checkpoint-2", "o/checkpoint-2/model.safetensors: cannot open: No such file" },
    { "rm o/checkpoint-2/trainer_state.json", "o/checkpoint-2", "o/checkpoint-2: no adapter_config.json; expected the folder of an adapter" },
    { "sed -i 's/step/stop/' o/checkpoint-2/trainer_state.json", "o/checkpoint-2", "its checksum does not fit" },
};
/* clang-format on */

START_TEST(what_does_not_fit_is_refused)
{
    place p = make("");
    ck_assert_int_eq(shell(&p, "%s", refused[_i].before), 0);
    ck_assert_int_eq(tenon(&p, "eval --model b --data r.jsonl --adapter-path %s", refused[_i].path),
                     1);
    place_has(&p, "err", refused[_i].text);
    ck_assert_int_eq(shell(&p, "test $(wc -l <err) = 1 && ! test -s out"), 0);
    place_end(&p);
}
END_TEST

/* If the base has no tokenizer, each checkpoint has the one of its run. Otherwise no checkpoint has
   one. */
START_TEST(a_checkpoint_has_the_tokenizer_of_its_run)
{
    place p = make("");
    ck_assert_int_eq(shell(&p, "test ! -e o/checkpoint-2/tokenizer.json && mkdir n && "
                               "cp b/config.json b/model.safetensors n"),
                     0);
    ck_assert_int_eq(tenon(&p,
                           "train --model n --tokenizer chars --data r.jsonl --iters 5 --lr 1e-2 "
                           "--save-every 1 -o q"),
                     0);
    ck_assert_int_eq(shell(&p, "test $(ls -d q/checkpoint-* | wc -l) = 3"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model n --data r.jsonl --adapter-path q"), 0);
    ck_assert_int_eq(shell(&p, "mv out whole"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model n --data r.jsonl --adapter-path q/checkpoint-5"), 0);
    ck_assert_int_eq(shell(&p, "cmp out whole"), 0);
    place_end(&p);
}
END_TEST

/* Every command prints one line on standard error. Its numbers do not change. */
START_TEST(a_missing_layer_is_told)
{
    static const char note[] =
        "tenon: note: a/adapter_model.safetensors: 2 of 4 layers that target_modules names are "
        "missing, the first is transformer.h.0.mlp.c_fc; they stay as the base has them\n";
    place p = make("--target-modules c_attn");
    ck_assert_int_eq(shell(&p, "echo 1 + 2 = 3. | tr -d '\\n' >u.txt"), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(shell(&p,
                               "sed -i 's/\"c_attn\",\"c_fc\"/\"c_attn\"/' a/adapter_config.json"),
                         0);
        ck_assert_int_eq(tenon(&p, "%s --adapter-path a", commands_of_adapters[i]), 0);
        ck_assert_int_eq(shell(&p, "cp out whole && ! test -s err"), 0);
        ck_assert_int_eq(shell(&p,
                               "sed -i 's/\"c_attn\"/\"c_attn\",\"c_fc\"/' a/adapter_config.json"),
                         0);
        ck_assert_int_eq(tenon(&p, "%s --adapter-path a", commands_of_adapters[i]), 0);
        char *err = place_read("err");
        ck_assert_str_eq(err, note);
        free(err);
        ck_assert_int_eq(shell(&p, "cmp out whole"), 0);
    }
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, a_checkpoint_is_an_adapter, 0, sizeof loras / sizeof *loras);
    tcase_add_loop_test(c, what_does_not_fit_is_refused, 0, sizeof refused / sizeof *refused);
    tcase_add_test(c, a_checkpoint_has_the_tokenizer_of_its_run);
    tcase_add_test(c, a_missing_layer_is_told);
}
