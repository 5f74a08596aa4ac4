/* test_export.c - tenon export: models and adapters in other formats. */
#include "tests/support/apps.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>

/* $G is the folder of the golden models. The command must succeed, and `check` after it, too. */
static const struct {
    const char *arguments, *check;
} uses[] = {
    { "--model $G/llama --format safetensors --save-path o",
      "cmp o/model.safetensors $G/llama/model.safetensors" },
    { "--model $G/llama/model.gguf --format safetensors --save-path o",
      "cmp o/model.safetensors $G/llama/model.safetensors" },
    { "--model $G/gpt2/model.gguf --to safetensors -o o --dtype bf16", "test -s o/config.json" },
    { "--model $G/gemma/model.gguf --to gguf -o o.gguf --outtype q8_0", "test -s o.gguf" },
    { "--model $G/llama --adapter-path $G/llama --format peft --save-path o",
      "cmp o/adapter_model.safetensors $G/llama/adapter_model.safetensors" },
    { "--model $G/llama/model.gguf --lora $G/llama/adapter.gguf --format peft -o o",
      "cmp o/adapter_model.safetensors $G/llama/adapter_model.safetensors" },
    { "--model $G/gpt2 --lora $G/gpt2/adapter.gguf --format peft -o o",
      "cmp o/adapter_model.safetensors $G/gpt2/adapter_model.safetensors" },
    { "--model $G/gpt2 --lora $G/gpt2 --format mlx -o mlx && "
      "\"$T\" export --model $G/gpt2 --lora mlx --format peft -o o >out",
      "cmp o/adapter_model.safetensors $G/gpt2/adapter_model.safetensors" },
    { "--model $G/llama --lora $G/llama --format gguf-lora -o o.gguf && "
      "\"$T\" export --model $G/llama --lora o.gguf --format peft -o o >out",
      "cmp o/adapter_model.safetensors $G/llama/adapter_model.safetensors" },
};

START_TEST(writes)
{
    char *golden = realpath(GOLDEN "tiny_models", NULL);
    place p = place_make();
    setenv("G", golden, 1);
    ck_assert_int_eq(shell(&p, "\"$T\" export %s >log 2>&1 || { cat log; exit 1; }",
                           uses[_i].arguments),
                     0);
    ck_assert_int_eq(shell(&p, "%s", uses[_i].check), 0);
    place_end(&p);
    free(golden);
}
END_TEST

static const struct {
    const char *arguments;
    int status;
    const char *says;
} refused[] = {
    { "--model $G/llama --save-path o", 2, "--format is missing" },
    { "--model $G/llama --format npy --save-path o", 2, "npy" },
    { "--model $G/llama --format peft --save-path o", 2, "--format peft: expected --adapter-path" },
    { "--model $G/llama --format gguf-lora --save-path o.gguf", 2, "expected --adapter-path" },
    { "--model $G/llama --lora $G/llama --format gguf --save-path o.gguf", 2,
      "--format gguf: writes a model without its adapter; expected peft, gguf-lora or mlx" },
    { "--model $G/llama --lora $G/llama --format gguf-lora --save-path o", 2, "ends in .gguf" },
    { "--model $G/llama --lora $G/llama --format peft --dtype q8_0 --save-path o", 2,
      "only of a model" },
    { "--model $G/llama --format safetensors --dtype q4_0 --save-path o", 2,
      "only in a GGUF file" },
    { "--model $G/llama --lora $G/qwen2/adapter.gguf --format peft --save-path o", 1,
      "general.architecture is qwen2; expected \"llama\"" },
    { "--model $G/llama --lora $G/llama/model.gguf --format peft --save-path o", 1,
      "general.type" },
    { "--model $G/llama --lora $G/llama/model.safetensors --format peft --save-path o", 1,
      "Not a directory; expected an adapter folder or an adapter in GGUF" },
    { "--model none --format gguf --save-path o.gguf", 1, "none: No such file" },
    { "--model m --format gguf --save-path o.gguf", 1, "m: no model.safetensors" },
};

START_TEST(refuses)
{
    char *golden = realpath(GOLDEN "tiny_models", NULL);
    place p = place_make();
    setenv("G", golden, 1);
    const int status = tenon(&p, "export %s", refused[_i].arguments);
    place_has(&p, "err", refused[_i].says);
    ck_assert_int_eq(status, refused[_i].status);
    ck_assert_int_eq(shell(&p, "test $(wc -l <err) = 1 && test ! -e o && test ! -e o.gguf"), 0);
    place_end(&p);
    free(golden);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, writes, 0, sizeof uses / sizeof *uses);
    tcase_add_loop_test(c, refuses, 0, sizeof refused / sizeof *refused);
}
