/* test_adapter_missing.c - a note names the layers of the config that the file does not have. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TINY GOLDEN "tiny_models/gpt2"

/* The file has c_attn and mlp.c_proj of two blocks. The config names layers as PEFT does. */
/* clang-format off */
static const struct { const char *json; int missing, named; const char *first; } rows[] = {
    { "\"target_modules\":[\"c_attn\",\"mlp.c_proj\"]", 0, 0, NULL },
    { "\"target_modules\":[\"c_attn\"]", 0, 0, NULL },
    { "\"target_modules\":[]", 0, 0, NULL },
    { "\"target_modules\":null", 0, 0, NULL },
    { "\"target_modules\":[\"c_attn\",\"c_proj\"]", 2, 6, "0.attn.c_proj" },
    { "\"target_modules\":[\"c_fc\",\"c_attn\"]", 2, 4, "0.mlp.c_fc" },
    { "\"target_modules\":[\"h.1.mlp.c_fc\",\"c_attn\"]", 1, 3, "1.mlp.c_fc" },
    { "\"target_modules\":[\"transformer.h.1.mlp.c_fc\"]", 1, 1, "1.mlp.c_fc" },
    { "\"target_modules\":[\"fc\",\"attn\",\"head\"]", 0, 0, NULL }, /* the end of a name is not a name */
    { "\"target_modules\":\"all-linear\"", 4, 8, "0.attn.c_proj" },
    { "\"target_modules\":\"all-linear\",\"exclude_modules\":[\"c_fc\"]", 2, 6, "0.attn.c_proj" },
    { "\"target_modules\":\"all-linear\",\"exclude_modules\":[\"c_fc\",\"attn.c_proj\"]", 0, 0, NULL },
    { "\"target_modules\":[\"c_fc\"],\"layers_to_transform\":[1]", 1, 1, "1.mlp.c_fc" },
    { "\"target_modules\":[\"c_fc\"],\"layers_to_transform\":[0,1]", 2, 2, "0.mlp.c_fc" },
    { "\"target_modules\":[\"c_fc\"],\"layers_to_transform\":0", 1, 1, "0.mlp.c_fc" },
    { "\"target_modules\":[\"c_fc\"],\"layers_to_transform\":[]", 2, 2, "0.mlp.c_fc" },
    { "\"target_modules\":[\"c_fc\"],\"layers_to_transform\":7", 0, 0, NULL },
    { "\"target_modules\":[\"c_fc\"],\"layers_to_transform\":[1],\"layers_pattern\":\"h\"", 1, 1, "1.mlp.c_fc" },
    { "\"target_modules\":[\"c_fc\"],\"layers_to_transform\":[1],\"layers_pattern\":[\"x\",\"[gh]\"]", 1, 1, "1.mlp.c_fc" },
    { "\"target_modules\":[\"c_fc\"],\"layers_to_transform\":[1],\"layers_pattern\":\"layers\"", 0, 0, NULL },
    { "\"target_modules\":\"all-linear\",\"layers_to_transform\":[1]", 2, 4, "1.attn.c_proj" },
    { "\"target_modules\":\".*c_fc\"", 2, 2, "0.mlp.c_fc" },
    { "\"target_modules\":\"c_fc\"", 0, 0, NULL }, /* a pattern is for whole paths */
    { "\"target_modules\":\".*c_fc\",\"layers_to_transform\":[1]", 2, 2, "0.mlp.c_fc" }, /* only for lists */
    { "\"target_modules\":\".*\\\\.1\\\\.(attn|mlp)\\\\.c_[fp].*\"", 2, 3, "1.attn.c_proj" },
    { "\"target_modules\":[\"c_fc\"],\"exclude_modules\":\".*0.*\"", 1, 1, "1.mlp.c_fc" },
    { "\"target_modules\":\".*?c_fc\"", 0, 0, NULL }, /* not read: unknown */
    { "\"target_modules\":[\"c_fc\"],\"exclude_modules\":\"(?!c_fc)\"", 0, 0, NULL },
};
/* clang-format on */

START_TEST(missing_layers_are_named)
{
    char *folder = temporary(), json[256], note[256];
    tn_error e = { 0 };
    tn_context *c = tn_context_new(NULL);
    tn_model *m = tn_model_open(c, TINY, &e);
    must(&e);
    copy_file(TINY, folder, "adapter_model.safetensors");
    snprintf(json, sizeof json, "{\"r\":4,%s}", rows[_i].json);
    put_file(folder, "adapter_config.json", json);
    tn_adapter_open(m, folder, &e);
    must(&e);
    snprintf(note, sizeof note,
             "/adapter_model.safetensors: %d of %d layers that target_modules names are missing, "
             "the first is transformer.h.%s; they stay as the base has them",
             rows[_i].missing, rows[_i].named, rows[_i].first ? rows[_i].first : "");
    ck_assert_msg(!m->note == !rows[_i].missing, "%s: %s", json, m->note ? m->note : "nothing");
    if (m->note) {
        ck_assert_int_eq(strncmp(m->note, folder, strlen(folder)), 0);
        ck_assert_str_eq(m->note + strlen(folder), note);
    }
    tn_model_free(m);
    tn_context_free(c);
    discard(folder);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, missing_layers_are_named, 0, sizeof rows / sizeof *rows);
}
