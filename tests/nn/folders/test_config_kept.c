/* test_config_kept.c - keys of a config.json that we do not know survive opening and saving. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const bases[] = { "llama", "gpt2", "qwen2", "gemma3" };

static char *read_config(const char *folder, size_t *n)
{
    tn_error e = { 0 };
    char *path = tn_path_join(folder, "config.json"), *text = tn_file_read(path, 1 << 20, n, &e);
    must(&e);
    free(path);
    return text;
}

/* Copies a model with more keys in its config.json. */
static char *copy_with(const char *base, const char *keys)
{
    char from[128], *folder = temporary();
    size_t n;
    snprintf(from, sizeof from, GOLDEN "tiny_models/%s", base);
    char *text = read_config(from, &n), *whole = calloc(1, n + strlen(keys) + 8);
    while (n && text[n - 1] != '}')
        n--;
    snprintf(whole, n + strlen(keys) + 8, "%.*s%s}", (int)n - 1, text, keys);
    put_file(folder, "config.json", whole);
    copy_file(from, folder, "model.safetensors");
    free(whole);
    free(text);
    return folder;
}

START_TEST(unknown_keys_survive)
{
    static const char keys[] =
        ", \"a key of tomorrow\": {\"x\": [1, \"\\u00e9\\\"\", null, -1.5e-3, true, {}, []]}, "
        "\"use_it\": false, \"dtype\": \"bfloat16\"";
    static const char kept[] =
        "\"a key of tomorrow\": {\n    \"x\": [\n      1,\n      \"\xC3\xA9\\\"\",\n      null,\n"
        "      -1.5e-3,\n      true,\n      {},\n      []\n    ]\n  }";
    tn_error e = { 0 };
    size_t n, again_n;
    char *from = copy_with(bases[_i], keys), *to = temporary(), *again = temporary();
    tn_context *c = tn_context_new(NULL);
    tn_model *m = tn_model_open(c, from, &e);
    tn_model_save(m, to, TN_FILE_F32, &e);
    must(&e);
    char *text = read_config(to, &n);
    ck_assert_msg(strstr(text, kept) && strstr(text, "\"use_it\": false"), "%s", text);
    ck_assert_msg(!strstr(text, "bfloat16"), "%s", text);
    tn_model_free(m);
    m = tn_model_open(c, to, &e); /* it has each key once, and opens */
    tn_model_save(m, again, TN_FILE_F32, &e);
    must(&e);
    char *second = read_config(again, &again_n);
    ck_assert(n == again_n && !memcmp(text, second, n));
    remove_all(to); /* the folder that was read is gone: our keys remain */
    tn_model_save(m, again, TN_FILE_F32, &e);
    must(&e);
    free(second);
    second = read_config(again, &again_n);
    ck_assert(!strstr(second, "tomorrow") && strstr(second, "model_type"));
    tn_model_free(m);
    tn_context_free(c);
    free(text);
    free(second);
    free(to);
    discard(from);
    discard(again);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, unknown_keys_survive, 0, sizeof bases / sizeof *bases);
}
