/* test_gguf_adapter.c - adapter files of llama.cpp: read, and written.
   adapter.gguf of the golden models was made by a program that follows llama.cpp, which computes
   the golden logits from it. */
#include "data/gguf.h"
#include "nn/family.h"
#include "tests/support/golden_model.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = sizeof(tn_real) == sizeof(double) ? 1e-5 : 1e-4;

static const char *const names[] = { "gpt2",  "llama", "llama3", "qwen2",
                                     "qwen3", "gemma", "gemma2", "gemma3" };
enum { NAMES = sizeof names / sizeof *names };

static void golden_file(const golden_model *f, char out[128])
{
    snprintf(out, 128, "%s/adapter.gguf", f->folder);
}

START_TEST(computes_the_golden_logits)
{
    golden_model f;
    char file[128];
    golden_open(&f, names[_i], TOLERANCE);
    golden_file(&f, file);
    tn_adapter_open(f.m, file, &f.e);
    must(&f.e);
    golden_logits(&f, "logits.lora");
    ck_assert_int_eq(f.m->lora->rank, 4);
    golden_close(&f);
}
END_TEST

/* Written from the PEFT folder of the same adapter. */
START_TEST(is_written_bit_for_bit)
{
    golden_model f;
    char file[128];
    scratch s;
    scratch_open(&s);
    golden_open(&f, names[_i], 0);
    golden_file(&f, file);
    tn_adapter_open(f.m, f.folder, &f.e);
    tn_adapter_save_gguf(f.m, scratch_path(&s, "a.gguf"), TN_FILE_F32, &f.e);
    tn_gguf *a = tn_gguf_open(s.path, &f.e), *b = tn_gguf_open(file, &f.e);
    must(&f.e);
    ck_assert_int_eq(tn_gguf_count(a), tn_gguf_count(b));
    for (int64_t i = 0; i < tn_gguf_count(b); i++) {
        const tn_entry *want = tn_gguf_at(b, i), *have = tn_gguf_find(a, want->name);
        ck_assert_msg(have && have->type == want->type && have->size == want->size &&
                          !memcmp(have->dim, want->dim, sizeof have->dim) &&
                          !memcmp(have->bytes, want->bytes, want->size),
                      "%s: %s", file, want->name);
    }
    for (int64_t i = 0; i < tn_gguf_keys(b); i++) {
        const tn_gguf_value *want = tn_gguf_key(b, i), *have = tn_gguf_value_of(a, want->key);
        ck_assert_msg(!strcmp(want->key, "general.name") ||
                          (have && have->kind == want->kind && have->size == want->size &&
                           !memcmp(have->bytes, want->bytes, want->size)),
                      "%s: %s", file, want->key);
    }
    tn_gguf_close(a);
    tn_gguf_close(b);
    golden_close(&f);
    scratch_close(&s);
}
END_TEST

/* Adapters on columns, and layers of several ranks and scales, become one file that does the same. */
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
        .rslora = true,
        .rank_pattern = (const tn_lora_pattern[]){ { "q_proj", 2 }, { NULL, 0 } },
        .alpha_pattern = (const tn_lora_pattern[]){ { "k_proj", 7 }, { NULL, 0 } } } },
};

static const tn_tensor *run(golden_model *f, tn_model *m)
{
    tn_tensor *ids = tn_tape_input(f->t, TN_I32, 2, (int64_t[]){ 1, GOLDEN_TOKENS });
    memcpy(ids->i, f->ids, sizeof f->ids);
    const tn_tensor *z = tn_model_logits(m, f->t, ids);
    ck_assert_msg(z != NULL, "%s", tn_tape_error(f->t));
    return z;
}

START_TEST(does_the_same_when_read_again)
{
    golden_model f;
    scratch s;
    scratch_open(&s);
    golden_open(&f, others[_i].model, 0);
    tn_lora_add(f.m, &others[_i].o, &f.e);
    must(&f.e);
    for (int64_t i = 0; i < tn_params_count(f.m->params); i++) {
        const tn_param *p = tn_params_at(f.m->params, i);
        if (p->lora_scale != 0)
            tn_fill_normal(p->w->x, tn_tensor_count(p->w), 0.3, 7, tn_stream(p->name));
    }
    tn_adapter_save_gguf(f.m, scratch_path(&s, "a.gguf"), TN_FILE_F32, &f.e);
    tn_model *again = tn_model_open(f.c, f.folder, &f.e);
    tn_adapter_open(again, s.path, &f.e);
    must(&f.e);
    const tn_tensor *a = run(&f, f.m), *b = run(&f, again);
    double most = 0, far = 0;
    for (int64_t i = 0; i < tn_tensor_count(a); i++) {
        most = fmax(most, fabs((double)a->x[i]));
        far = fmax(far, fabs((double)a->x[i] - (double)b->x[i]));
    }
    ck_assert_msg(far < 1e-5 * most, "%s: %g of %g", others[_i].model, far, most);
    tn_model_free(again);
    golden_close(&f);
    scratch_close(&s);
}
END_TEST

/* ---- files that are wrong ---- */

/* The golden adapter of llama with another value of a key, or another tensor in the place of one. */
static const struct {
    const char *key, *value; /* value NULL: the key is left out */
    double alpha;            /* NAN: as it is */
    const char *tensor, *renamed;
    int64_t rows; /* 0: as it is */
    const char *says;
} wrong[] = {
    { "general.type", "model", (double)NAN, NULL, NULL, 0,
      "general.type is model; expected \"adapter\"" },
    { "general.type", NULL, (double)NAN, NULL, NULL, 0, "general.type is missing; expected" },
    { "adapter.type", "control_vector", (double)NAN, NULL, NULL, 0,
      "adapter.type is control_vector" },
    { "general.architecture", "qwen2", (double)NAN, NULL, NULL, 0,
      "general.architecture is qwen2; expected \"llama\"" },
    { NULL, NULL, -1, NULL, NULL, 0, "adapter.lora.alpha is -1" },
    { NULL, NULL, (double)NAN, "blk.0.attn_q.weight.lora_a", "blk.0.attn_x.weight.lora_a", 0,
      "has no place in this model, or the other factor" },
    { NULL, NULL, (double)NAN, "blk.0.attn_q.weight.lora_b", "blk.7.attn_q.weight.lora_b", 0,
      "has no place in this model" },
    { NULL, NULL, (double)NAN, "blk.0.attn_q.weight.lora_b", NULL, 31,
      "\"blk.0.attn_q.weight.lora_b\" is (31,4); expected (32,4)" },
    { NULL, NULL, (double)NAN, "blk.0.attn_q.weight.lora_a", NULL, 3,
      "\"blk.0.attn_q.weight.lora_b\" is (32,4); expected (32,3)" },
};
enum { WRONG = sizeof wrong / sizeof *wrong };

static void write_changed(const char *from, const char *to, int row, tn_error *e)
{
    tn_gguf_list keys = { 0 };
    tn_gguf *g = tn_gguf_open(from, e);
    const int64_t n = tn_gguf_count(g);
    tn_entry *entries = calloc((size_t)n, sizeof *entries);
    for (int64_t i = 0; i < tn_gguf_keys(g); i++) {
        const tn_gguf_value *v = tn_gguf_key(g, i);
        const bool changed = wrong[row].key && !strcmp(v->key, wrong[row].key);
        if (changed && wrong[row].value)
            tn_gguf_add_string(&keys, v->key, wrong[row].value, strlen(wrong[row].value), e);
        else if (!isnan(wrong[row].alpha) && !strcmp(v->key, "adapter.lora.alpha"))
            tn_gguf_add_real(&keys, v->key, wrong[row].alpha, e);
        else if (!changed)
            tn_gguf_add(&keys, v, e);
    }
    for (int64_t i = 0; i < n; i++) {
        entries[i] = *tn_gguf_at(g, i);
        if (!wrong[row].tensor || strcmp(entries[i].name, wrong[row].tensor) != 0)
            continue;
        entries[i].name = wrong[row].renamed ? wrong[row].renamed : entries[i].name;
        if (wrong[row].rows) {
            entries[i].size = entries[i].size / (size_t)entries[i].dim[0] * (size_t)wrong[row].rows;
            entries[i].dim[0] = wrong[row].rows;
        }
    }
    tn_gguf_write(to, &keys, entries, n, e);
    must(e);
    free(entries);
    tn_gguf_list_free(&keys);
    tn_gguf_close(g);
}

/* A refused adapter leaves the model as it was. */
START_TEST(wrong_files_are_refused)
{
    golden_model f;
    char file[128];
    scratch s;
    scratch_open(&s);
    golden_open(&f, "llama", TOLERANCE);
    golden_file(&f, file);
    const int64_t before = tn_params_count(f.m->params);
    write_changed(file, scratch_path(&s, "a.gguf"), _i, &f.e);
    tn_adapter_open(f.m, s.path, &f.e);
    must_fail(&f.e, f.e.code, wrong[_i].says);
    ck_assert_int_eq(tn_params_count(f.m->params), before);
    ck_assert_ptr_null(f.m->adapters);
    golden_logits(&f, "logits.base");
    golden_close(&f);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, computes_the_golden_logits, 0, NAMES);
    tcase_add_loop_test(c, is_written_bit_for_bit, 0, NAMES);
    tcase_add_loop_test(c, does_the_same_when_read_again, 0, sizeof others / sizeof *others);
    tcase_add_loop_test(c, wrong_files_are_refused, 0, WRONG);
}
