/* test_dora.c - DoRA: gradients of PEFT, merging, dropout, frozen types, optimizers, checkpoints. */
#include "core/trace.h"
#include "nn/family.h"
#include "optim/optim.h"
#include "tests/support/fixtures.h"
#include "tests/support/small_model.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOUBLE = sizeof(tn_real) == sizeof(double), IN = 64, OUT = 96, ROWS = 5 };
#define LLAMA GOLDEN "tiny_models/llama"

typedef struct desk {
    tn_context *c;
    tn_tape *t;
    tn_model *m;
    tn_error e;
} desk;

static desk make(const char *model)
{
    desk d = { .c = tn_context_new(&(tn_options){ .threads = 2, .seed = 5 }) };
    d.t = tn_tape_new(d.c);
    d.m = tn_model_open(d.c, model, &d.e);
    must(&d.e);
    return d;
}

static void end(desk *d)
{
    tn_model_free(d->m);
    tn_tape_free(d->t);
    tn_context_free(d->c);
}

static tn_tensor *logits(desk *d)
{
    tn_tensor *x = tn_tape_input(d->t, TN_I32, 2, (int64_t[]){ 1, 12 });
    for (int i = 0; i < 12; i++)
        x->i[i] = (11 * i + 5) % 64;
    tn_tensor *z = tn_model_logits(d->m, d->t, x);
    ck_assert_msg(z != NULL, "%s", tn_tape_error(d->t));
    return z;
}

/* The gradients of all factors and magnitudes are those of PEFT, for a loss on one sequence. */
START_TEST(gradients_are_those_of_peft)
{
    desk d = make(LLAMA);
    int64_t compared = 0, n;
    d.m->recompute = _i;
    tn_adapter_open(d.m, GOLDEN "adapters/dora", &d.e);
    tn_safetensors *expected =
        tn_safetensors_open(GOLDEN "adapters/dora/expected.safetensors", &d.e);
    must(&d.e);
    int32_t ids[12], labels[12];
    for (int i = 0; i < 12; i++) {
        ids[i] = (11 * i + 5) % 64;
        labels[i] = i < 11 ? (11 * (i + 1) + 5) % 64 : -1;
    }
    const tn_batch b = { .rows = 1, .width = 12, .ids = ids, .labels = labels, .tokens = 11 };
    ck_assert_msg(!tn_backward(d.t, tn_model_loss(d.m, d.t, &b, 0)), "%s", tn_tape_error(d.t));
    for (int64_t i = 0; i < tn_params_count(d.m->params); i++) {
        const tn_param *p = tn_params_at(d.m->params, i);
        char name[256];
        if (!p->w->wants_grad)
            continue;
        snprintf(name, sizeof name, "grad.base_model.model.%s", p->name);
        double *g = read_doubles(expected, name, &n);
        ck_assert_int_eq(n, tn_tensor_count(p->w));
        ck_assert_msg(difference(p->w->g, g, n) < (DOUBLE ? 1e-5 : 1e-4), "%s", name);
        compared++;
        free(g);
    }
    ck_assert_int_eq(compared, 42);
    tn_safetensors_close(expected);
    end(&d);
}
END_TEST

/* A new adapter changes nothing: the magnitudes are the norms. */
START_TEST(starts_as_the_base)
{
    desk d = make(_i ? LLAMA : TINY);
    tn_tensor *z = logits(&d);
    const int64_t n = tn_tensor_count(z);
    double *before = calloc((size_t)n, sizeof *before);
    for (int64_t i = 0; i < n; i++)
        before[i] = (double)z->x[i];
    tn_tape_reset(d.t);
    tn_lora_add(d.m,
                &(tn_lora_options){ .rank = 4, .alpha = 8, .dora = true, .targets = "all-linear" },
                &d.e);
    must(&d.e);
    ck_assert_double_lt(difference(logits(&d)->x, before, n), DOUBLE ? 1e-12 : 1e-5);
    free(before);
    end(&d);
}
END_TEST

/* Merging gives a model that computes the same, and takes all three weights of a layer away. */
START_TEST(merging_keeps_the_function)
{
    desk d = make(_i ? LLAMA : TINY);
    const int64_t before = tn_params_count(d.m->params);
    if (_i)
        tn_adapter_open(d.m, GOLDEN "adapters/dora", &d.e);
    else
        tn_lora_add(d.m, &(tn_lora_options){ .rank = 3, .alpha = 8, .dora = true }, &d.e);
    must(&d.e);
    for (int64_t i = before; i < tn_params_count(d.m->params); i++) {
        tn_tensor *w = tn_params_at(d.m->params, i)->w;
        for (int64_t k = 0; k < tn_tensor_count(w); k++)
            w->x[k] += (tn_real)((k * 7 + i) % 5) / 20;
    }
    tn_tensor *z = logits(&d);
    const int64_t n = tn_tensor_count(z);
    double *expected = calloc((size_t)n, sizeof *expected);
    for (int64_t i = 0; i < n; i++)
        expected[i] = (double)z->x[i];
    tn_tape_reset(d.t);
    tn_lora_merge(d.m, &d.e);
    must(&d.e);
    ck_assert_int_eq(tn_params_count(d.m->params), before);
    ck_assert_double_lt(difference(logits(&d)->x, expected, n), DOUBLE ? 1e-12 : 2e-5);
    free(expected);
    end(&d);
}
END_TEST

/* One layer of any frozen type, with bias and in both layouts, against the formula in double. */
typedef struct form {
    tn_layout layout;
    tn_dtype type;
    double dropout;
} form;

static const form forms[] = {
    { TN_OUT_IN, TN_REAL, 0 },   { TN_IN_OUT, TN_REAL, 0 },   { TN_OUT_IN, TN_BF16, 0 },
    { TN_IN_OUT, TN_BF16, 0 },   { TN_OUT_IN, TN_Q8_0, 0 },   { TN_IN_OUT, TN_Q8_0, 0 },
    { TN_OUT_IN, TN_REAL, 0.5 }, { TN_IN_OUT, TN_REAL, 0.5 },
};

static tn_tensor *weight_of(const form *f)
{
    const bool rows = f->layout == TN_OUT_IN;
    tn_tensor *w =
        tn_tensor_new(f->type, 2, (int64_t[]){ rows ? OUT : IN, rows ? IN : OUT }, false);
    ck_assert_ptr_nonnull(w);
    for (size_t k = 0; f->type != TN_REAL && k < tn_tensor_bytes(w); k++)
        ((unsigned char *)w->data)[k] = (unsigned char)(tn_random(1, 1, 0, k) & 0xbf);
    if (f->type == TN_REAL)
        tn_fill_normal(w->x, IN * OUT, 1, 3, 1);
    return w;
}

/* What the layer computes, in double: change (...) is what the adapter's input sees. */
static void expected(const form *f, const tn_linear_layer *l, const tn_real *x, const tn_real *d,
                     double *y)
{
    tn_real w[IN * OUT];
    tn_widen(l->w->dtype, l->w->data, 0, IN * OUT, w);
    const tn_adapter *a = l->lora;
    for (int o = 0; o < OUT; o++) {
        double v[IN], plain[IN], squares = 0;
        for (int i = 0; i < IN; i++) {
            plain[i] = v[i] = (double)(f->layout == TN_OUT_IN ? w[o * IN + i] : w[i * OUT + o]);
            for (int64_t r = 0; r < a->a->dim[0]; r++)
                v[i] += a->s * (double)a->b->x[o * a->a->dim[0] + r] * (double)a->a->x[r * IN + i];
            squares += v[i] * v[i];
        }
        for (int n = 0; n < ROWS; n++) {
            y[n * OUT + o] = (double)l->b->x[o];
            for (int i = 0; i < IN; i++)
                y[n * OUT + o] += plain[i] * (double)(x[n * IN + i] - d[n * IN + i]) +
                                  (double)a->m->x[o] / sqrt(squares) * v[i] * (double)d[n * IN + i];
        }
    }
}

START_TEST(layers_compute_the_formula)
{
    const form *f = &forms[_i];
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 2 });
    tn_tape *t = tn_tape_new(c);
    tn_params *p = tn_params_new(c);
    tn_tensor *w = weight_of(f), *b = tn_params_add(p, "b", 1, (int64_t[]){ OUT });
    tn_linear_layer l = { .name = "x.weight", .w = w, .b = b, .layout = f->layout };
    const tn_lora_options how = { .rank = 3, .alpha = 6, .dora = true, .dropout = f->dropout };
    tn_lora_add_layer(p, &l, &how, &e);
    must(&e);
    tn_adapter *a = l.lora;
    tn_fill_normal(a->b->x, OUT * 3, 1, 3, 2);
    tn_fill_uniform(a->m->x, OUT, 2, 3, 3);
    tn_fill_normal(b->x, OUT, 1, 3, 4);
    for (int training = 0; training < 2; training++) {
        double y[ROWS * OUT];
        tn_tape_set_mode(t, (tn_mode){ .training = training, .draw = 1 });
        tn_tensor *x = tn_tape_input(t, TN_REAL, 2, (int64_t[]){ ROWS, IN });
        tn_fill_normal(x->x, ROWS * IN, 1, 3, 5);
        tn_tensor *d = tn_dropout(t, x, f->dropout, a->stream);
        tn_tensor *z = tn_linear_layer_run(&l, t, x);
        ck_assert_msg(z != NULL, "%s", tn_tape_error(t));
        expected(f, &l, x->x, d->x, y);
        ck_assert_double_lt(difference(z->x, y, ROWS * OUT), DOUBLE ? 1e-13 : 2e-6);
        ck_assert((memcmp(d->x, x->x, sizeof(tn_real) * ROWS * IN) != 0) ==
                  (training && f->dropout > 0));
        tn_tape_reset(t);
    }
    tn_params_free(p);
    tn_tensor_free(w);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

/* Every optimizer trains the magnitudes. For those of pairs they are left to AdamW. */
START_TEST(every_optimizer_trains_magnitudes)
{
    const tn_optim_def *def = tn_optims[_i];
    desk d = make(TINY);
    double rate;
    int64_t magnitudes = 0;
    tn_lora_add(d.m, &(tn_lora_options){ .rank = 2, .alpha = 4, .dora = true }, &d.e);
    tn_optim *o = tn_optim_new(d.m->params, def, &(tn_optim_options){ .lr = 1e-2 }, &d.e);
    must(&d.e);
    tn_real before[2][96];
    for (int i = 0; i < 2; i++) {
        magnitudes += tn_tensor_count(d.m->adapters[i].m);
        memcpy(before[i], d.m->adapters[i].m->x, sizeof before[i]);
    }
    ck_assert_int_eq(magnitudes, 2 * 96);
    if (def->pairs)
        ck_assert_int_eq(tn_optim_left_over(o, &rate), magnitudes);
    for (int step = 0; step < 3; step++) {
        tn_tensor *z = logits(&d);
        ck_assert(!tn_backward(d.t, tn_mean(d.t, tn_square(d.t, z))));
        ck_assert_msg(!tn_optim_step(o), "%s", tn_optim_error(o)->text);
        tn_tape_reset(d.t);
    }
    for (int i = 0; i < 2; i++)
        ck_assert(memcmp(before[i], d.m->adapters[i].m->x, sizeof before[i]) != 0);
    ck_assert_ptr_null(tn_params_not_finite(d.m->params));
    tn_optim_free(o);
    end(&d);
}
END_TEST

START_TEST(adapter_files_of_llama_cpp_are_refused)
{
    desk d = make(LLAMA);
    tn_lora_add(d.m, &(tn_lora_options){ .rank = 2, .alpha = 4, .dora = true }, &d.e);
    must(&d.e);
    tn_adapter_save_gguf(d.m, "/nowhere/a.gguf", TN_FILE_F32, &d.e);
    must_fail(&d.e, TN_ESTATE, "an adapter file in GGUF has no magnitudes for DoRA");
    end(&d);
}
END_TEST

START_TEST(columns_are_refused)
{
    desk d = make(TINY);
    const int64_t before = tn_params_count(d.m->params);
    tn_lora_add(d.m,
                &(tn_lora_options){ .rank = 2, .alpha = 4, .dora = true, .targets = "c_attn.q" },
                &d.e);
    must_fail(&d.e, TN_EARG,
              "h.0.attn.c_attn.q: columns of a layer; expected a whole layer for DoRA");
    ck_assert(!d.m->adapters && tn_params_count(d.m->params) == before);
    end(&d);
}
END_TEST

static void count_norms(void *arg, const tn_event *event)
{
    *(int64_t *)arg += !strcmp(event->op, "lora_norm");
}

/* The likeliest tokens after a prompt, each from the logits of the whole sequence. */
static void one_by_one(desk *d, const int32_t *prompt, int64_t n, int32_t *out, int64_t count)
{
    int32_t all[32];
    memcpy(all, prompt, (size_t)n * sizeof *all);
    for (int64_t k = 0; k < count; k++) {
        tn_tensor *ids = tn_tape_input(d->t, TN_I32, 2, (int64_t[]){ 1, n + k });
        memcpy(ids->i, all, (size_t)(n + k) * sizeof *all);
        const tn_tensor *z = tn_model_logits(d->m, d->t, ids);
        ck_assert_msg(z != NULL, "%s", tn_tape_error(d->t));
        const tn_real *row = z->x + (n + k - 1) * d->m->vocab;
        for (int32_t v = out[k] = 0; v < d->m->vocab; v++)
            out[k] = row[v] > row[out[k]] ? v : out[k];
        all[n + k] = out[k];
        tn_tape_reset(d->t);
    }
}

/* A text has each layer's norms computed once, and the next text those of the weights of then. */
START_TEST(a_text_takes_the_norms_once)
{
    enum { PROMPT = 4, MADE = 9 };
    static const int32_t prompt[PROMPT] = { 5, 16, 27, 38 }, none[] = { -1 };
    const int32_t *prompts[] = { prompt };
    const int64_t length[] = { PROMPT };
    int32_t made[2][MADE], expected[MADE], *outs[1];
    int64_t count[1], norms = 0;
    desk d = make(LLAMA);
    tn_adapter_open(d.m, GOLDEN "adapters/dora", &d.e);
    must(&d.e);
    for (int again = 0; again < 2; again++) {
        for (int64_t i = 0; again && i < tn_params_count(d.m->params); i++) {
            const tn_param *p = tn_params_at(d.m->params, i);
            for (int64_t k = 0; p->lora_scale != 0 && k < tn_tensor_count(p->w); k++)
                p->w->x[k] *= -2;
        }
        outs[0] = made[again];
        tn_tape_trace(d.t, count_norms, &norms);
        tn_generate(d.m, 1, prompts, length,
                    &(tn_sampling){ .max_tokens = MADE, .ends = none, .end_count = 1, .tape = d.t },
                    outs, count, NULL, NULL, &d.e);
        tn_tape_trace(d.t, NULL, NULL);
        must(&d.e);
        ck_assert_int_eq(count[0], MADE);
        ck_assert_ptr_null(d.m->adapters[0].g);
        ck_assert_int_eq(norms, (again + 1) * 14); /* 14 layers have adapters */
        one_by_one(&d, prompt, PROMPT, expected, MADE);
        ck_assert_mem_eq(made[again], expected, sizeof expected);
    }
    ck_assert(memcmp(made[0], made[1], sizeof made[0]) != 0);
    end(&d);
}
END_TEST

void tests(TCase *c)
{
    int optimizers = 0;
    while (tn_optims[optimizers])
        optimizers++;
    tcase_add_loop_test(c, gradients_are_those_of_peft, 0, 2);
    tcase_add_loop_test(c, starts_as_the_base, 0, 2);
    tcase_add_loop_test(c, merging_keeps_the_function, 0, 2);
    tcase_add_loop_test(c, layers_compute_the_formula, 0, sizeof forms / sizeof *forms);
    tcase_add_loop_test(c, every_optimizer_trains_magnitudes, 0, optimizers);
    tcase_add_test(c, a_text_takes_the_norms_once);
    tcase_add_test(c, adapter_files_of_llama_cpp_are_refused);
    tcase_add_test(c, columns_are_refused);
}
