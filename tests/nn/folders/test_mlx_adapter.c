/* test_mlx_adapter.c - adapter folders of mlx-lm: read, and written.
   The folder that is read is made here of the golden PEFT adapters, by transposing their
   tensors. */
#include "nn/family.h"
#include "tests/support/golden_model.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = { "gpt2",  "llama", "llama3", "qwen2",
                                     "qwen3", "gemma", "gemma2", "gemma3" };
enum { NAMES = sizeof names / sizeof *names, MOST = 64 };

static const char config[] =
    "{\"fine_tune_type\": \"lora\", \"num_layers\": 16, \"learning_rate\": 1e-5, "
    "\"lora_parameters\": {\"rank\": 4, \"scale\": 2.0, \"dropout\": 0.0, \"keys\": [\"x\"]}}";

/* The PEFT tensor "base_model.model.model.LAYER.lora_A.weight" as "model.LAYER.lora_a". */
static void name_of(const char *peft, char out[192])
{
    static const char prefix[] = "base_model.model.";
    const char *layer = strchr(peft + strlen(prefix), '.') + 1, *end = strstr(layer, ".lora_");
    snprintf(out, 192, "model.%.*s.lora_%c", (int)(end - layer), layer, end[6] - 'A' + 'a');
}

/* Writes the PEFT adapter of a golden model as mlx-lm does. */
static void make_folder(const golden_model *f, const char *folder, tn_error *e)
{
    char path[128], name[MOST][192];
    tn_entry entries[MOST];
    tn_real *made[MOST];
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", f->folder);
    tn_safetensors *s = tn_safetensors_open(path, e);
    const int64_t n = tn_safetensors_count(s);
    ck_assert_int_le(n, MOST);
    for (int64_t k = 0; k < n; k++) {
        const tn_entry *t = tn_safetensors_at(s, k);
        const int64_t rows = t->dim[0], cols = t->dim[1];
        tn_real *x = malloc((size_t)(rows * cols) * sizeof *x);
        made[k] = malloc((size_t)(rows * cols) * sizeof *x);
        tn_entry_real(s, t, x, e);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < cols; j++)
                made[k][j * rows + i] = x[i * cols + j];
        free(x);
        name_of(t->name, name[k]);
        entries[k] = (tn_entry){
            .name = name[k], .type = TN_FILE_F32, .ndim = 2, .dim = { cols, rows }, .real = made[k]
        };
    }
    char *to = tn_path_join(folder, "adapters.safetensors");
    tn_safetensors_write(to, entries, n, NULL, e);
    put_file(folder, "adapter_config.json", config);
    must(e);
    for (int64_t k = 0; k < n; k++)
        free(made[k]);
    free(to);
    tn_safetensors_close(s);
}

START_TEST(computes_the_golden_logits)
{
    golden_model f;
    char *folder = temporary();
    golden_open(&f, names[_i], sizeof(tn_real) == sizeof(double) ? 1e-5 : 1e-4);
    make_folder(&f, folder, &f.e);
    tn_adapter_open(f.m, folder, &f.e);
    must(&f.e);
    golden_logits(&f, "logits.lora");
    ck_assert_int_eq(f.m->lora->rank, 4);
    ck_assert_double_eq(f.m->lora->alpha, 8);
    golden_close(&f);
    discard(folder);
}
END_TEST

/* The same tensors, written from the PEFT folder. */
START_TEST(is_written_bit_for_bit)
{
    golden_model f;
    char *made = temporary(), *written = temporary();
    golden_open(&f, names[_i], 0);
    make_folder(&f, made, &f.e);
    tn_adapter_open(f.m, f.folder, &f.e);
    tn_adapter_save_mlx(f.m, written, TN_FILE_F32, &f.e);
    must(&f.e);
    char *a = tn_path_join(made, "adapters.safetensors"),
         *b = tn_path_join(written, "adapters.safetensors"),
         *c = tn_path_join(written, "adapter_config.json");
    tn_safetensors *want = tn_safetensors_open(a, &f.e), *have = tn_safetensors_open(b, &f.e);
    const tn_json *root = tn_json_read(c, &f.e);
    must(&f.e);
    ck_assert_int_eq(tn_safetensors_count(want), tn_safetensors_count(have));
    for (int64_t i = 0; i < tn_safetensors_count(want); i++) {
        const tn_entry *x = tn_safetensors_at(want, i), *y = tn_safetensors_find(have, x->name);
        ck_assert_msg(y && x->size == y->size && !memcmp(x->dim, y->dim, sizeof x->dim) &&
                          !memcmp(x->bytes, y->bytes, x->size),
                      "%s: %s", names[_i], x->name);
    }
    int64_t blocks = 0, rank = 0;
    double scale = 0;
    const tn_json *p = tn_json_find(root, "lora_parameters");
    tn_json_get_int(root, "num_layers", &blocks, &f.e);
    tn_json_get_int(p, "rank", &rank, &f.e);
    tn_json_get_real(p, "scale", &scale, &f.e);
    must(&f.e);
    ck_assert(blocks == f.m->layers && rank == 4 && scale == 2);
    ck_assert_int_eq(tn_json_find(p, "keys")->count, strcmp(names[_i], "gpt2") ? 3 : 2);
    tn_json_free(root);
    tn_safetensors_close(want);
    tn_safetensors_close(have);
    free(a);
    free(b);
    free(c);
    golden_close(&f);
    discard(made);
    discard(written);
}
END_TEST

/* Adapters on columns, and layers of several ranks and scales, have one rank and one scale there. */
static const struct {
    const char *model;
    tn_lora_options o;
} others[] = {
    { "gpt2", { .rank = 2, .alpha = 4, .targets = "c_attn.q,c_attn.v,c_fc" } },
    { "llama", { .rank = 3, .alpha = 5, .targets = "all-linear", .last_blocks = 1 } },
    { "qwen2",
      { .rank = 3,
        .alpha = 5,
        .targets = "all-linear",
        .rank_pattern = (const tn_lora_pattern[]){ { "q_proj", 2 }, { NULL, 0 } },
        .alpha_pattern = (const tn_lora_pattern[]){ { "k_proj", 7 }, { NULL, 0 } } } },
};

START_TEST(does_the_same_when_read_again)
{
    golden_model f;
    char *folder = temporary();
    golden_open(&f, others[_i].model, 0);
    tn_lora_add(f.m, &others[_i].o, &f.e);
    must(&f.e);
    for (int64_t i = 0; i < tn_params_count(f.m->params); i++) {
        const tn_param *p = tn_params_at(f.m->params, i);
        if (p->lora_scale != 0)
            tn_fill_normal(p->w->x, tn_tensor_count(p->w), 0.3, 7, tn_stream(p->name));
    }
    tn_adapter_save_mlx(f.m, folder, TN_FILE_F32, &f.e);
    tn_model *again = tn_model_open(f.c, f.folder, &f.e);
    tn_adapter_open(again, folder, &f.e);
    must(&f.e);
    tn_tensor *ids = tn_tape_input(f.t, TN_I32, 2, (int64_t[]){ 1, GOLDEN_TOKENS });
    memcpy(ids->i, f.ids, sizeof f.ids);
    const tn_tensor *a = tn_model_logits(f.m, f.t, ids), *b = tn_model_logits(again, f.t, ids);
    for (int64_t i = 0; i < tn_tensor_count(a); i++)
        ck_assert_double_eq_tol((double)a->x[i], (double)b->x[i], 1e-4);
    tn_model_free(again);
    golden_close(&f);
    discard(folder);
}
END_TEST

/* A config that is not read, or tensors that do not fit. */
static const struct {
    const char *from, *to, *says;
} wrong[] = {
    { "\"lora\"", "\"dora\"", "fine_tune_type is the string \"dora\"" },
    { "\"lora\"", "\"full\"", "fine_tune_type is the string \"full\"" },
    { "\"scale\": 2.0, ", "", "expected lora_parameters with a scale" },
    { "2.0", "0", "/lora_parameters/scale" },
    { "\"dropout\": 0.0", "\"dropout\": 1", "/lora_parameters/dropout" },
    { "{\"fine", "[{\"fine", "adapter_config.json" },
};

START_TEST(wrong_configs_are_refused)
{
    golden_model f;
    char *folder = temporary();
    golden_open(&f, "llama", 1e-4);
    make_folder(&f, folder, &f.e);
    tn_text text = { 0 };
    const char *at = strstr(config, wrong[_i].from);
    tn_text_add(&text, "%.*s%s%s", (int)(at - config), config, wrong[_i].to,
                at + strlen(wrong[_i].from));
    put_file(folder, "adapter_config.json", text.s);
    tn_adapter_open(f.m, folder, &f.e);
    must_fail(&f.e, f.e.code, wrong[_i].says);
    ck_assert_ptr_null(f.m->adapters);
    golden_logits(&f, "logits.base");
    tn_text_free(&text);
    golden_close(&f);
    discard(folder);
}
END_TEST

/* The adapter of one model on another. */
START_TEST(another_model)
{
    static const struct {
        const char *model, *says;
    } rows[] = { { "gpt2", "12 of 12 tensors have no place" }, { "qwen3", "; expected (" } };
    golden_model f, other;
    char *folder = temporary();
    golden_open(&f, "llama", 0);
    golden_open(&other, rows[_i].model, 1e-4);
    make_folder(&f, folder, &f.e);
    tn_adapter_open(other.m, folder, &other.e);
    must_fail(&other.e, other.e.code, rows[_i].says);
    ck_assert_ptr_null(other.m->adapters);
    golden_logits(&other, "logits.base");
    golden_close(&f);
    golden_close(&other);
    discard(folder);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, computes_the_golden_logits, 0, NAMES);
    tcase_add_loop_test(c, is_written_bit_for_bit, 0, NAMES);
    tcase_add_loop_test(c, does_the_same_when_read_again, 0, sizeof others / sizeof *others);
    tcase_add_loop_test(c, wrong_configs_are_refused, 0, sizeof wrong / sizeof *wrong);
    tcase_add_loop_test(c, another_model, 0, 2);
}
