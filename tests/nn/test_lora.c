/* test_lora.c - which layers are adapted, how an adapter starts, and merging. */
#include "nn/family.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
typedef struct fixture { tn_context *c; tn_tape *t; tn_model *m; tn_error e; } fixture;
/* clang-format on */

static fixture open_fixture(void)
{
    fixture f = { .c = tn_context_new(&(tn_options){ .threads = 1, .seed = 3 }) };
    f.t = tn_tape_new(f.c);
    f.m = tn_model_open(f.c, GOLDEN "tiny_models/gpt2", &f.e);
    must(&f.e);
    return f;
}

static void close_fixture(fixture *f)
{
    tn_model_free(f->m);
    tn_tape_free(f->t);
    tn_context_free(f->c);
}

/* For rank 4 the shapes decide how many numbers are trained: C = 32, F = 128, two blocks. */
/* clang-format off */
static const struct { const char *targets; int64_t trained, first_width, first_col; } patterns[] = {
    { NULL, 2 * 4 * (32 + 96), 96, 0 },
    { "c_attn", 2 * 4 * (32 + 96), 96, 0 },
    { "c_proj", 2 * 4 * (32 + 32 + 128 + 32), 32, 0 },
    { "mlp.c_proj", 2 * 4 * (128 + 32), 32, 0 },
    { " c_attn , mlp.c_proj ", 2 * 4 * (32 + 96 + 128 + 32), 96, 0 },
    { "all-linear", 2 * 4 * (32 + 96 + 32 + 32 + 32 + 128 + 128 + 32), 96, 0 },
    { "c_attn.q,c_attn.v", 2 * 2 * 4 * (32 + 32), 32, 0 },
    { "c_attn.v", 2 * 4 * (32 + 32), 32, 64 },
    { "transformer.h.1.mlp.c_fc", 4 * (32 + 128), 128, 0 },
    { "1.mlp.c_fc,c_fc", 2 * 4 * (32 + 128), 128, 0 },
};
/* clang-format on */

START_TEST(targets_are_found_as_in_peft)
{
    fixture f = open_fixture();
    tn_lora_options o = { .rank = 4, .alpha = 8, .targets = patterns[_i].targets };
    tn_lora_add(f.m, &o, &f.e);
    must(&f.e);
    ck_assert_int_eq(tn_params_trained(f.m->params), patterns[_i].trained);
    ck_assert_int_eq(f.m->adapters->b->dim[0], patterns[_i].first_width);
    ck_assert_int_eq(f.m->adapters->col, patterns[_i].first_col);
    ck_assert_double_eq(f.m->adapters->s, 2);
    ck_assert_int_eq(tn_lora_add(f.m, &o, &f.e), TN_ESTATE);
    close_fixture(&f);
}
/* clang-format off */
END_TEST

static const struct { tn_lora_options o; const char *text; } refused[] = {
    { { .rank = 4, .alpha = 8, .targets = "c_atn" }, "target \"c_atn\" matches no layer" },
    { { .rank = 4, .alpha = 8, .targets = "c_attn,attn" }, "target \"attn\" matches no layer" },
    { { .rank = 4, .alpha = 8, .targets = "_attn" }, "target \"_attn\" matches no layer" },
    { { .rank = 4, .alpha = 8, .targets = "embed_tokens" }, "target \"embed_tokens\" matches no layer" },
    { { .rank = 4, .alpha = 8, .targets = "" }, "no layer is named" },
    { { .rank = 0, .alpha = 8 }, "LoRA rank 0; expected 1 to 65536" },
    { { .rank = 4, .alpha = 0 }, "LoRA alpha 0; expected a number above 0" },
    { { .rank = 4, .alpha = NAN }, "LoRA alpha" },
    { { .rank = 4, .alpha = 8, .dropout = 1 }, "LoRA dropout 1; expected at least 0 and below 1" },
};
/* clang-format on */

/* Names that weights of a user's family may have, and the layers and columns that follow. */
/* clang-format off */
static const struct { const char *weight, *layer, *columns; } layer_names[] = {
    { "h.0.c_attn.weight", "h.0.c_attn", "h.0.c_attn.q" }, { "w", "w", "w.q" },
    { "embedding_matrix", "embedding_matrix", "embedding_matrix.q" }, { ".weight", ".weight", ".weight.q" },
    { NULL, "", "" },
};
/* clang-format on */

START_TEST(layers_have_any_name)
{
    tn_tensor *w = tn_tensor_new(TN_REAL, 2, (int64_t[]){ 4, 2 }, false);
    tn_linear_layer l = { .name = layer_names[_i].weight, .w = w };
    ck_assert_str_eq(tn_target_layer(&l).name, layer_names[_i].layer);
    ck_assert_str_eq(tn_target_columns(&l, "q", 0, 2).name, layer_names[_i].columns);
    tn_tensor_free(w);
}
END_TEST

START_TEST(wrong_options_are_refused)
{
    fixture f = open_fixture();
    tn_lora_add(f.m, &refused[_i].o, &f.e);
    must_fail(&f.e, TN_EARG, refused[_i].text);
    ck_assert_int_eq(tn_params_trained(f.m->params), tn_params_size(f.m->params));
    close_fixture(&f);
}
END_TEST

/* A ~ U(-1/sqrt(in), 1/sqrt(in)) and B = 0. The numbers depend only on the seed and the name. */
START_TEST(adapters_start_as_in_peft)
{
    fixture f = open_fixture(), g = open_fixture();
    tn_lora_add(f.m, &(tn_lora_options){ .rank = 16, .alpha = 8, .targets = "all-linear" }, &f.e);
    tn_lora_add(g.m, &(tn_lora_options){ .rank = 16, .alpha = 8, .targets = "mlp.c_proj" }, &g.e);
    must(&f.e);
    must(&g.e);
    const char *name = "transformer.h.1.mlp.c_proj.lora_A.weight";
    const tn_tensor *a = tn_params_find(f.m->params, name)->w,
                    *same = tn_params_find(g.m->params, name)->w;
    double bound = 1 / sqrt(128.0), sum = 0, n = (double)tn_tensor_count(a);
    for (int64_t i = 0; i < tn_tensor_count(a); i++) {
        ck_assert(fabs((double)a->x[i]) <= bound * (1 + 1e-7));
        sum += (double)a->x[i] * (double)a->x[i];
    }
    ck_assert_double_eq_tol(sqrt(sum / n), bound / sqrt(3.0), 0.05 * bound);
    ck_assert_mem_eq(a->x, same->x, (size_t)tn_tensor_count(a) * sizeof *a->x);
    const tn_param *b = tn_params_find(f.m->params, "transformer.h.1.mlp.c_proj.lora_B.weight");
    for (int64_t i = 0; i < tn_tensor_count(b->w); i++)
        ck_assert(b->w->x[i] == 0);
    ck_assert_double_eq(b->lora_scale, 0.5);
    ck_assert(!tn_params_find(f.m->params, "transformer.wte.weight")->w->wants_grad);
    close_fixture(&f);
    close_fixture(&g);
}
END_TEST

enum { T = 12, V = 64 };

static void logits(fixture *f, tn_real out[T * V])
{
    tn_tensor *ids = tn_tape_input(f->t, TN_I32, 2, (int64_t[]){ 1, T });
    for (int i = 0; i < T; i++)
        ids->i[i] = (11 * i + 5) % V;
    tn_tensor *z = tn_model_logits(f->m, f->t, ids);
    ck_assert_msg(z != NULL, "%s", tn_tape_error(f->t));
    memcpy(out, z->x, T * V * sizeof *out);
    tn_tape_reset(f->t);
}

/* Makes B of every adapter different from zero. */
static void stir(const fixture *f)
{
    for (int64_t i = 0; i < tn_params_count(f->m->params); i++) {
        const tn_param *p = tn_params_at(f->m->params, i);
        if (strstr(p->name, "lora_B"))
            tn_fill_normal(p->w->x, tn_tensor_count(p->w), 0.1, 9, tn_stream(p->name));
    }
}

static double apart(const tn_real *a, const tn_real *b)
{
    double most = 0;
    for (int i = 0; i < T * V; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static const char *const merged[] = { "c_attn", "all-linear", "c_attn.q,c_attn.v",
                                      "c_attn.k,mlp.c_proj" };

START_TEST(merging_keeps_the_function)
{
    fixture f = open_fixture();
    tn_real base[T * V], start[T * V], adapted[T * V], after[T * V];
    int64_t size = tn_params_size(f.m->params);
    logits(&f, base);
    tn_lora_add(f.m, &(tn_lora_options){ .rank = 3, .alpha = 5, .targets = merged[_i] }, &f.e);
    must(&f.e);
    logits(&f, start);
    ck_assert_mem_eq(base, start, sizeof base);
    stir(&f);
    logits(&f, adapted);
    tn_lora_merge(f.m, &f.e);
    must(&f.e);
    logits(&f, after);
    ck_assert_double_gt(apart(base, adapted), 0.1);
    ck_assert_double_lt(apart(adapted, after), sizeof(tn_real) == 8 ? 1e-12 : 1e-4);
    ck_assert(!f.m->adapters && !f.m->lora);
    ck_assert_int_eq(tn_params_size(f.m->params), size);
    ck_assert_int_eq(tn_lora_merge(f.m, &f.e), TN_ESTATE);
    close_fixture(&f);
}
END_TEST

/* After a merge the names are free again. */
START_TEST(adapters_follow_each_other)
{
    fixture f = open_fixture();
    for (int i = 0; i < 3; i++) {
        tn_lora_add(f.m, &(tn_lora_options){ .rank = 2 + i, .alpha = 4, .targets = "c_attn" },
                    &f.e);
        must(&f.e);
        ck_assert_int_eq(tn_params_trained(f.m->params), 2 * (2 + i) * (32 + 96));
        tn_lora_merge(f.m, &f.e);
        must(&f.e);
    }
    close_fixture(&f);
}
END_TEST

/* If only B of v changes, the q and k columns of the fused output stay the same. */
START_TEST(an_adapter_changes_its_columns_alone)
{
    fixture f = open_fixture();
    tn_lora_add(f.m, &(tn_lora_options){ .rank = 2, .alpha = 2, .targets = "c_attn.v" }, &f.e);
    must(&f.e);
    stir(&f);
    tn_target t;
    ck_assert(f.m->family->target(f.m, 0, &t));
    ck_assert_str_eq(t.name, "transformer.h.0.attn.c_attn");
    tn_tensor *x = tn_tape_input(f.t, TN_REAL, 2, (int64_t[]){ 1, 32 });
    tn_fill_normal(x->x, 32, 1, 1, 1);
    tn_tensor *with = tn_linear_layer_run(t.layer, f.t, x);
    tn_tensor *without = tn_linear(f.t, x, t.layer->w, t.layer->b, t.layer->layout);
    for (int i = 0; i < 96; i++)
        ck_assert((with->x[i] != without->x[i]) == (i >= 64));
    close_fixture(&f);
}
END_TEST

/* Computes y of a layer with 3 inputs and 2 outputs, and the gradients of its factors, if it has
   any. */
static void run_layer(const tn_linear_layer *l, tn_tape *t, tn_real y[2])
{
    tn_tensor *x = tn_tape_input(t, TN_REAL, 2, (int64_t[]){ 1, 3 });
    memcpy(x->x, (tn_real[]){ 1, -2, 3 }, sizeof(tn_real[3]));
    memcpy(y, tn_linear_layer_run(l, t, x)->x, sizeof(tn_real[2]));
    tn_tape_reset(t);
}

/* A layer without a model, in both layouts. It starts as the base, only the factors are trained,
   and merging gives y = (W + s B A) x. */
START_TEST(a_layer_without_a_family)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 3 });
    tn_tape *t = tn_tape_new(c);
    tn_params *p = tn_params_new(c);
    tn_linear_layer l = tn_linear_layer_new(p, "mine", 3, 2, _i ? TN_IN_OUT : TN_OUT_IN, true, 1);
    const tn_lora_options o = { .rank = 2, .alpha = 3 };
    tn_real base[2], adapted[2], after[2];
    run_layer(&l, t, base);
    tn_lora_add_layer(p, &l, &o, &e);
    must(&e);
    ck_assert_int_eq(tn_params_trained(p), 2 * 3 + 2 * 2);
    ck_assert_double_eq(tn_params_find(p, "mine.lora_B.weight")->lora_scale, 1.5);
    run_layer(&l, t, adapted);
    ck_assert_mem_eq(base, adapted, sizeof base);
    for (int i = 0; i < 4; i++)
        l.lora->b->x[i] = (tn_real)(i - 1);
    run_layer(&l, t, adapted);
    for (int i = 0; i < 2; i++) {
        double sum = 0; // s B A x
        for (int r = 0; r < 2; r++)
            for (int k = 0; k < 3; k++)
                sum += 1.5 * (double)l.lora->b->x[2 * i + r] * (double)l.lora->a->x[3 * r + k] *
                       (double[]){ 1, -2, 3 }[k];
        ck_assert_double_eq_tol((double)(adapted[i] - base[i]), sum, 1e-5);
    }
    tn_lora_add_layer(p, &l, &o, &e);
    must_fail(&e, TN_ESTATE, "mine has an adapter already; merge it first");
    tn_lora_merge_layer(p, &l, &e);
    must(&e);
    run_layer(&l, t, after);
    for (int i = 0; i < 2; i++)
        ck_assert_double_eq_tol((double)after[i], (double)adapted[i], 1e-5);
    ck_assert_int_eq(tn_params_count(p), 2);
    tn_lora_merge_layer(p, &l, &e);
    must_fail(&e, TN_ESTATE, "mine.weight has no adapter to merge");
    tn_params_free(p);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

/* clang-format off */
static const struct { bool broken, empty, taken; tn_lora_options o; int code; const char *text; } layer_refused[] = {
    { .o = { .rank = 0, .alpha = 1 }, .code = TN_EARG, .text = "LoRA rank 0; expected 1 to 65536" },
    { .o = { .rank = 1, .alpha = -1 }, .code = TN_EARG, .text = "LoRA alpha -1" },
    { .empty = true, .o = { .rank = 1, .alpha = 1 }, .code = TN_EARG, .text = "this layer has no weight" },
    { .broken = true, .o = { .rank = 1, .alpha = 1 }, .code = TN_EARG, .text = "mine.weight: there is a weight" },
    { .taken = true, .o = { .rank = 1, .alpha = 1 }, .code = TN_EARG, .text = "mine.lora_B.weight: there is a weight" },
};
/* clang-format on */

/* After a refusal the layer and its weight are as they were, and no factor is left. */
START_TEST(a_layer_is_refused)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_params *p = tn_params_new(c);
    tn_linear_layer l = tn_linear_layer_new(p, "mine", 3, 2, TN_OUT_IN, false, 1);
    if (layer_refused[_i].taken)
        tn_params_add(p, "mine.lora_B.weight", 1, (int64_t[]){ 1 });
    if (layer_refused[_i].broken)
        tn_params_add(p, "mine.weight", 1, (int64_t[]){ 1 });
    const int64_t count = tn_params_count(p);
    tn_linear_layer none = { 0 };
    tn_lora_add_layer(p, layer_refused[_i].empty ? &none : &l, &layer_refused[_i].o, &e);
    must_fail(&e, layer_refused[_i].code, layer_refused[_i].text);
    ck_assert_int_eq(tn_params_count(p), count);
    ck_assert(!l.lora && l.w->wants_grad);
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, a_layer_without_a_family, 0, 2);
    tcase_add_loop_test(c, a_layer_is_refused, 0, sizeof layer_refused / sizeof *layer_refused);
    tcase_add_loop_test(c, targets_are_found_as_in_peft, 0, sizeof patterns / sizeof *patterns);
    tcase_add_loop_test(c, layers_have_any_name, 0, sizeof layer_names / sizeof *layer_names);
    tcase_add_loop_test(c, wrong_options_are_refused, 0, sizeof refused / sizeof *refused);
    tcase_add_test(c, adapters_start_as_in_peft);
    tcase_add_loop_test(c, merging_keeps_the_function, 0, sizeof merged / sizeof *merged);
    tcase_add_test(c, adapters_follow_each_other);
    tcase_add_test(c, an_adapter_changes_its_columns_alone);
}
