/* test_adapter_checkpoint.c - opening the factors in a folder checkpoint-N as an adapter. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TINY GOLDEN "tiny_models/gpt2" /* two blocks of width 32 */

#define FACTOR(layer, what, rows, cols)                                                            \
    {                                                                                              \
        .name = "transformer.h." layer what, .type = TN_FILE_F32, .ndim = 2,                       \
        .dim = { rows, cols }, .real = numbers                                                     \
    }
#define A(layer, r) FACTOR(layer, ".lora_A.weight", r, 32)
#define B(layer, out, r) FACTOR(layer, ".lora_B.weight", out, r)
#define SCALE(layer, s) "transformer.h." layer ".lora_A.weight", s

static const tn_real numbers[1024] = { 0.25, -1, 3 }, broken[384] = { [200] = (tn_real)NAN };

typedef struct row {
    tn_entry entries[5];
    const char *metadata[5];
    int adapters;     /* how many, if the folder is accepted */
    const char *text; /* of the error, if it is refused */
    int code;
} row;

/* clang-format off */
static const row rows[] = {
    { { A("0.attn.c_attn", 4), B("0.attn.c_attn", 96, 4) }, { SCALE("0.attn.c_attn", "0.1") }, 1, NULL, 0 },
    { { A("1.mlp.c_fc", 1), B("1.mlp.c_fc", 128, 1), A("0.attn.c_attn.v", 2), B("0.attn.c_attn.v", 32, 2) },
      { SCALE("0.attn.c_attn.v", "2"), SCALE("1.mlp.c_fc", "0.33333333333333331") }, 2, NULL, 0 },
    /* from a run that trained other weights */
    { { { 0 } }, { NULL }, 0, "0 tensors, 0 of them factors", TN_EFORMAT },
    { { { .name = "transformer.wte.weight", .type = TN_FILE_F32, .ndim = 2, .dim = { 4, 32 }, .real = numbers } },
      { NULL }, 0, "1 tensors, 0 of them factors", TN_EFORMAT },
    { { A("0.attn.c_attn", 4), B("0.attn.c_attn", 96, 4), A("2.attn.c_attn", 4), B("2.attn.c_attn", 96, 4) },
      { SCALE("0.attn.c_attn", "2"), SCALE("2.attn.c_attn", "2") }, 0, "4 tensors, 2 of them factors", TN_EFORMAT },
    { { A("0.attn.c_attn", 4), B("0.attn.c_attn", 96, 4), A("1.attn.c_attn", 4) },
      { SCALE("0.attn.c_attn", "2"), SCALE("1.attn.c_attn", "2") }, 0, "3 tensors, 2 of them factors", TN_EFORMAT },
    /* shapes and numbers */
    { { A("0.attn.c_attn", 4), B("0.attn.c_attn", 96, 3) }, { SCALE("0.attn.c_attn", "2") }, 0,
      "lora_B.weight\" is (96,3); expected (96,4)", TN_ESHAPE },
    { { A("0.mlp.c_proj", 4), B("0.mlp.c_proj", 32, 4) }, { SCALE("0.mlp.c_proj", "2") }, 0,
      "lora_A.weight\" is (4,32); expected (4,128)", TN_ESHAPE },
    { { A("1.mlp.c_fc", 1), B("1.mlp.c_fc", 128, 1),
        A("0.attn.c_attn", 4), { .name = "transformer.h.0.attn.c_attn.lora_B.weight", .type = TN_FILE_F32, .ndim = 2,
                                 .dim = { 96, 4 }, .real = broken } },
      { SCALE("0.attn.c_attn", "2"), SCALE("1.mlp.c_fc", "2") }, 0, "holds nan at element 200", TN_ENONFINITE },
    /* scales: missing, as in old files, or wrong */
    { { A("0.attn.c_attn", 4), B("0.attn.c_attn", 96, 4) }, { NULL }, 0,
      "the scale of transformer.h.0.attn.c_attn.lora_A.weight is missing", TN_EFORMAT },
    { { A("1.mlp.c_fc", 1), B("1.mlp.c_fc", 128, 1), A("0.attn.c_attn", 4), B("0.attn.c_attn", 96, 4) },
      { SCALE("0.attn.c_attn", "2") }, 0, "the scale of transformer.h.1.mlp.c_fc.lora_A.weight is missing", TN_EFORMAT },
    { { A("0.attn.c_attn", 4), B("0.attn.c_attn", 96, 4) }, { SCALE("0.attn.c_attn", "") }, 0,
      "expected a number above 0", TN_EFORMAT },
    { { A("0.attn.c_attn", 4), B("0.attn.c_attn", 96, 4) }, { SCALE("0.attn.c_attn", "0") }, 0, "is 0; expected", TN_EFORMAT },
    { { A("0.attn.c_attn", 4), B("0.attn.c_attn", 96, 4) }, { SCALE("0.attn.c_attn", "-2") }, 0, "is -2; expected", TN_EFORMAT },
    { { A("0.attn.c_attn", 4), B("0.attn.c_attn", 96, 4) }, { SCALE("0.attn.c_attn", "2x") }, 0, "is 2x; expected", TN_EFORMAT },
    { { A("0.attn.c_attn", 4), B("0.attn.c_attn", 96, 4) }, { SCALE("0.attn.c_attn", "inf") }, 0,
      "is inf; expected", TN_EFORMAT },
};
/* clang-format on */

static void write_folder(const char *folder, const row *r)
{
    tn_error e = { 0 };
    int64_t n = 0;
    while (n < 5 && r->entries[n].name)
        n++;
    char *path = tn_path_join(folder, "model.safetensors");
    tn_safetensors_write(path, r->entries, n, r->metadata[0] ? r->metadata : NULL, &e);
    must(&e);
    free(path);
    put_file(folder, "trainer_state.json", "{}");
}

/* Checks that factors and scales are those of the file, and that all other weights are frozen. */
static void is_as_written(const tn_model *m, const row *r)
{
    for (int i = 0; i < 5 && r->entries[i].name; i++) {
        const tn_param *p = tn_params_find(m->params, r->entries[i].name);
        ck_assert(p && p->w->wants_grad);
        ck_assert_mem_eq(p->w->x, numbers, (size_t)tn_tensor_count(p->w) * sizeof *numbers);
        const char *const *at = r->metadata;
        while (strncmp(*at, p->name, (size_t)(strstr(p->name, "lora_") - p->name))) /* of B, too */
            at += 2;
        ck_assert_double_eq(p->lora_scale, strtod(at[1], NULL));
    }
    for (int i = 0; i < r->adapters; i++)
        ck_assert(m->adapters[i].a &&
                  m->adapters[i].s ==
                      tn_params_at(m->params, tn_params_count(m->params) - 2 * (r->adapters - i))
                          ->lora_scale);
    for (int64_t i = 0; i < tn_params_count(m->params) - 2 * r->adapters; i++)
        ck_assert(!tn_params_at(m->params, i)->w->wants_grad);
}

START_TEST(factors_of_a_checkpoint_are_an_adapter)
{
    const row *r = &rows[_i];
    tn_error e = { 0 };
    tn_context *c = tn_context_new(NULL);
    tn_model *m = tn_model_open(c, TINY, &e);
    must(&e);
    char *folder = temporary();
    const uint64_t before = tn_params_hash(m->params, true);
    write_folder(folder, r);
    tn_adapter_open(m, folder, &e);
    if (r->text) {
        must_fail(&e, r->code, r->text);
        ck_assert(!m->adapters && !m->lora && tn_params_hash(m->params, true) == before);
    } else {
        must(&e);
        is_as_written(m, r);
    }
    tn_model_free(m);
    tn_context_free(c);
    discard(folder);
}
END_TEST

/* A path that is not an adapter folder is refused, and the message says what it is. */
START_TEST(similar_paths_are_distinguished)
{
    static const struct {
        const char *below, *text;
    } others[] = {
        { "", "adapter_config.json" },
        { "/none", "/none: No such file or directory; expected an adapter folder" },
        { "/file", "/file: Not a directory; expected an adapter folder" },
    };
    tn_error e = { 0 };
    tn_context *c = tn_context_new(NULL);
    tn_model *m = tn_model_open(c, TINY, &e);
    must(&e);
    char *folder = temporary();
    put_file(folder, "file", "");
    for (int i = 0; i < 3; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s%s", folder, others[i].below);
        tn_adapter_open(m, path, &e);
        must_fail(&e, TN_EIO, others[i].text);
    }
    put_file(folder, "trainer_state.json", "{}"); /* a checkpoint without its weights */
    tn_adapter_open(m, folder, &e);
    must_fail(&e, TN_EIO, "model.safetensors");
    tn_model_free(m);
    tn_context_free(c);
    discard(folder);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, factors_of_a_checkpoint_are_an_adapter, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, similar_paths_are_distinguished);
}
