/* test_fuse.c - tenon fuse: the model that it writes computes what base and adapter compute. */
#include "tests/support/apps.h"
#include "tests/support/golden_model.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const models[] = { "gpt2",  "llama", "llama3", "qwen2",
                                      "qwen3", "gemma", "gemma2", "gemma3" };
/* The largest difference of a logit, relative to the largest logit. */
static const struct {
    const char *name, *path;
    double tolerance;
} types[] = { { "f32", "o", 1e-5 },
              { "f16", "o", 5e-3 },
              { "bf16", "o", 4e-2 },
              { "f32", "o.gguf", 1e-5 },
              { "q8_0", "o.gguf", 8e-2 } };
enum { MODELS = sizeof models / sizeof *models, TYPES = sizeof types / sizeof *types };

/* The logits of the golden model with its adapter, from the merged model. */
START_TEST(computes_what_the_adapter_does)
{
    golden_model f;
    tn_model *golden;
    golden_open(&f, models[_i / TYPES], types[_i % TYPES].tolerance);
    char *folder = realpath(f.folder, NULL);
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "fuse --model %s --adapter-path %s --save-path %s --dtype %s",
                           folder, folder, types[_i % TYPES].path, types[_i % TYPES].name),
                     0);
    golden = f.m;
    f.m = tn_model_open(f.c, types[_i % TYPES].path, &f.e);
    must(&f.e);
    golden_logits(&f, "logits.lora");
    ck_assert_int_eq(f.m->tied, golden->tied);
    tn_model_free(golden);
    golden_close(&f);
    place_end(&p);
    free(folder);
}
END_TEST

/* The head of smollm3 is tied to its embedding, and the adapter is on the head: the config that is
   carried over must not say so any more. */
START_TEST(unties_a_head)
{
    golden_model f;
    golden_open(&f, "smollm3", 1e-5);
    char *base = realpath(f.folder, NULL), *adapter = realpath(GOLDEN "adapters/head_tied", NULL);
    tn_safetensors *expected =
        tn_safetensors_open(GOLDEN "adapters/head_tied/expected.safetensors", &f.e);
    must(&f.e);
    tn_safetensors_close(f.expected);
    f.expected = expected;
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "fuse --model %s --adapter-path %s --save-path o", base, adapter),
                     0);
    tn_model_free(f.m);
    f.m = tn_model_open(f.c, "o", &f.e);
    must(&f.e);
    ck_assert(!f.m->tied);
    golden_logits(&f, "logits");
    golden_close(&f);
    place_end(&p);
    free(base);
    free(adapter);
}
END_TEST

/* What the output says of types that cannot be kept and of a window that is lost, and a folder
   that is made for a file. The size is that of 22688 weights of 4 bytes, and 64 kB for the other
   files. */
START_TEST(says_what_changes)
{
    static const struct {
        const char *made, *arguments, *says;
    } rows[] = {
        { "", "--model g/q.gguf --save-path n/o",
          "F32, 156 kB, as q8_0 cannot be written to a folder; --dtype bf16 or f16 is smaller\n" },
        { "", "--model g/q.gguf --save-path n/m/o.gguf", "saved      n/m/o.gguf: Q8_0" },
        { "sed -i 's/\"llama\"/\"mistral\", \"sliding_window\": 20/' b/config.json; ",
          "--model b --save-path o.gguf",
          "window     the file has no sliding window: llama.cpp takes the model up to 20 of its 64 "
          "positions" },
        { "sed -i 's/\"llama\"/\"mistral\", \"sliding_window\": 5/' b/config.json; ",
          "--model b --save-path o.gguf", "(5 tokens)\n" }, /* fewer than the probe takes */
    };
    char *golden = realpath(GOLDEN "tiny_models", NULL);
    place p = place_make();
    char command[1024];
    snprintf(command, sizeof command,
             "G=%s; mkdir -p b g; cp $G/llama/config.json $G/llama/model.safetensors b; %s", golden,
             rows[_i].made);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(tenon(&p, "export --model b --save-path g/q.gguf --format gguf --dtype q8_0"),
                     0);
    ck_assert_int_eq(tenon(&p, "export --format %s %s",
                           strstr(rows[_i].arguments, "o.gguf") ? "gguf" : "safetensors",
                           rows[_i].arguments),
                     0);
    place_has(&p, "out", rows[_i].says);
    place_end(&p);
    free(golden);
}
END_TEST

/* After `made`, which makes a base b and an adapter a, the command is refused, and leaves nothing. */
#define WEIGHTS "cp $G/llama/config.json $G/llama/model.safetensors b; "
#define ADAPTER "cp $G/llama/adapter_* a; "
#define ALPHA(n) "sed -i 's/\"lora_alpha\": 8/\"lora_alpha\": " n "/' a/adapter_config.json; "
static const struct {
    const char *made, *arguments;
    int status;
    const char *says;
} refused[] = {
    { WEIGHTS ADAPTER, "--model b --save-path o", 2, "--adapter-path is missing" },
    { WEIGHTS ADAPTER, "--model b --adapter-path a", 2, "--save-path is missing" },
    { WEIGHTS ADAPTER, "--model b --adapter-path a --save-path o --dtype f64", 2, "f64" },
    { ADAPTER "cp $G/llama/config.json b; ", "--model b --adapter-path a --save-path o", 1,
      "b: no model.safetensors; expected trained weights" },
    { WEIGHTS, "--model b --adapter-path a --save-path o", 1, "a: no adapter_config.json; expected the folder of an adapter" },
    { WEIGHTS "rmdir a; ", "--model b --adapter-path a --save-path o", 1,
      "a: No such file or directory; expected an adapter" },
    { WEIGHTS ADAPTER "sed -i 's/\"r\": 4/\"r\": 3/' a/adapter_config.json; ",
      "--model b --adapter-path a --save-path o", 1, "has 4 rows; expected r" },
    { WEIGHTS "cp $G/gpt2/adapter_* a; ", "--model b --adapter-path a --save-path o", 1,
      "has no place in this model" },
    { WEIGHTS ADAPTER ALPHA("1e9"), "--model b --adapter-path a --save-path o --dtype f16", 1,
      "model.layers.0.self_attn.q_proj.weight holds" },
    { WEIGHTS ADAPTER ALPHA("1e40"), "--model b --adapter-path a --save-path o", 1,
      "model.layers.0.self_attn.q_proj.weight holds" },
    { WEIGHTS ADAPTER
      "head -c 4000 a/adapter_model.safetensors >c; mv c a/adapter_model.safetensors; ",
      "--model b --adapter-path a --save-path o", 1, "a/adapter_model.safetensors" },
};

START_TEST(refuses)
{
    char *golden = realpath(GOLDEN "tiny_models", NULL);
    place p = place_make();
    setenv("G", golden, 1);
    ck_assert_int_eq(shell(&p, "mkdir a b; %s", refused[_i].made), 0);
    const int status = tenon(&p, "fuse %s", refused[_i].arguments);
    place_has(&p, "err", refused[_i].says);
    ck_assert_int_eq(status, refused[_i].status);
    ck_assert_int_eq(
        shell(&p, "test $(wc -l <err) = 1 && test ! -e o && test ! -e x.gguf && ! ls *.tmp"), 0);
    place_end(&p);
    free(golden);
}
END_TEST

/* Files of the folder that are not weights stay as they are. Keys of its config that tenon does not
   know survive. */
START_TEST(carries_what_it_does_not_know)
{
    char *golden = realpath(GOLDEN, NULL);
    place p = place_make();
    setenv("G", golden, 1);
    ck_assert_int_eq(
        shell(&p, "mkdir b && cp $G/tiny_models/llama/model.safetensors $G/tokenizer/tok512/* b && "
                  "sed 's/\"torch_dtype\"/\"mine\": [1.0, {\"a\": null}], \"torch_dtype\"/' "
                  "$G/tiny_models/llama/config.json >b/config.json && "
                  "echo '{\"eos_token_id\": 2, \"top_p\": 0.5}' >b/generation_config.json && "
                  "echo 'a {template}' >b/chat_template.jinja"),
        0);
    ck_assert_int_eq(tenon(&p, "fuse -m b --lora $G/tiny_models/llama --save-path o --dtype bf16"),
                     0);
    ck_assert_int_eq(
        shell(&p,
              "rm b/model.safetensors b/expected.json; for f in b/*; do test $f = b/config.json || "
              "cmp $f o/${f#b/} || exit 1; done"),
        0);
    tn_error e = { 0 };
    const tn_json *before = tn_json_read("b/config.json", &e),
                  *after = tn_json_read("o/config.json", &e);
    must(&e);
    ck_assert_int_eq(before->count, after->count);
    for (const tn_json *a = before->child, *b = after->child; a; a = a->next, b = b->next) {
        tn_text x = { 0 }, y = { 0 };
        tn_text_json(&x, a, 0);
        tn_text_json(&y, b, 0);
        ck_assert_str_eq(a->key, b->key);
        ck_assert_str_eq(y.s, strcmp(a->key, "torch_dtype") ? x.s : "\"bfloat16\"");
        tn_text_free(&x);
        tn_text_free(&y);
    }
    tn_json_free(before);
    tn_json_free(after);
    place_end(&p);
    free(golden);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, computes_what_the_adapter_does, 0, MODELS * TYPES);
    tcase_add_test(c, unties_a_head);
    tcase_add_loop_test(c, says_what_changes, 0, 4);
    tcase_add_loop_test(c, refuses, 0, sizeof refused / sizeof *refused);
    tcase_add_test(c, carries_what_it_does_not_know);
}
