/* layers.c - makes layers, which are plain structs of weights, and runs them. */
#include "core/tape.h"
#include "nn/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* "NAME.WHAT" into out. */
static const char *path(char out[256], const char *name, const char *what)
{
    snprintf(out, 256, "%s.%s", name ? name : "", what);
    return name ? out : NULL;
}

/* Adds the weight "NAME.WHAT", zeros. NULL if the params hold an error. */
static tn_param *add(tn_params *p, const char *name, const char *what, int ndim,
                     const int64_t dim[])
{
    char full[256];
    tn_tensor *w = tn_params_add(p, path(full, name, what), ndim, dim);
    return w ? tn_params_find(p, full) : NULL;
}

/* Adds the vector "NAME.WHAT", all numbers `start`. */
static tn_param *add_vector(tn_params *p, const char *name, const char *what, int64_t n,
                            double start)
{
    tn_param *a = add(p, name, what, 1, &n);
    for (int64_t i = 0; start != 0 && a && a->w->x && !tn_params_has_source(p) && i < n; i++)
        a->w->x[i] = (tn_real)start;
    return a;
}

/* Draws the numbers of a weight: from N(0, std^2), or from U(-1/sqrt(in), 1/sqrt(in)) if std is
   below 0. std 0: they stay zeros. */
static void draw(const tn_params *p, const tn_param *a, double std, int64_t in)
{
    if (!a || !a->w->x || tn_params_has_source(p))
        return;
    const uint64_t seed = tn_context_seed(tn_params_context(p)), stream = tn_stream(a->name);
    if (std > 0)
        tn_fill_normal(a->w->x, tn_tensor_count(a->w), std, seed, stream);
    if (std < 0)
        tn_fill_uniform(a->w->x, tn_tensor_count(a->w), 1 / sqrt((double)in), seed, stream);
}

/* Adds the matrix "NAME.weight". */
static tn_param *add_matrix(tn_params *p, const char *name, int64_t d0, int64_t d1)
{
    char full[256];
    tn_tensor *w = tn_params_add_matrix(p, path(full, name, "weight"), d0, d1);
    return w ? tn_params_find(p, full) : NULL;
}

tn_linear_layer tn_linear_layer_new(tn_params *p, const char *name, int64_t in, int64_t out,
                                    tn_layout l, bool bias, double std)
{
    bool in_out = l == TN_IN_OUT;
    tn_param *w = add_matrix(p, name, in_out ? in : out, in_out ? out : in);
    tn_param *b = bias ? add_vector(p, name, "bias", out, 0) : NULL;
    draw(p, w, std, in);
    draw(p, b, std < 0 ? std : 0, in);
    if (!w || (bias && !b))
        return (tn_linear_layer){ 0 };
    return (tn_linear_layer){ .name = w->name, .w = w->w, .b = b ? b->w : NULL, .layout = l };
}

tn_norm_layer tn_norm_layer_new(tn_params *p, const char *name, int64_t width, double eps)
{
    tn_param *w = add_vector(p, name, "weight", width, 1);
    tn_param *b = add_vector(p, name, "bias", width, 0);
    if (!w || !b)
        return (tn_norm_layer){ 0 };
    return (tn_norm_layer){ .name = w->name, .w = w->w, .b = b->w, .eps = eps };
}

tn_norm_layer tn_rms_layer_new(tn_params *p, const char *name, int64_t width, double eps,
                               double offset)
{
    tn_param *w = add_vector(p, name, "weight", width, 1 - offset);
    if (!w)
        return (tn_norm_layer){ 0 };
    return (tn_norm_layer){ .name = w->name, .w = w->w, .eps = eps, .offset = offset, .rms = true };
}

tn_conv_layer tn_conv_layer_new(tn_params *p, const char *name, int64_t in, int64_t out, int64_t kh,
                                int64_t kw, tn_conv_form form, bool bias, double std)
{
    const int64_t channels = in / (form.groups > 0 ? form.groups : 1);
    tn_param *w = add(p, name, "weight", TN_SHAPE(out, channels, kh, kw));
    tn_param *b = bias ? add_vector(p, name, "bias", out, 0) : NULL;
    if (!w || (bias && !b))
        return (tn_conv_layer){ 0 };
    draw(p, w, std, channels * kh * kw);
    draw(p, b, std < 0 ? std : 0, channels * kh * kw);
    return (tn_conv_layer){ .name = w->name, .w = w->w, .b = b ? b->w : NULL, .form = form };
}

static tn_recurrent_layer recurrent(tn_params *p, const char *name, int64_t in, int64_t size,
                                    bool bias, bool gru)
{
    const bool sane = tn_shape_is_sane(1, &size); /* else the first weight is refused */
    const int64_t gates = sane ? (gru ? 3 : 4) * size : size;
    tn_param *w_in = add(p, name, "weight_ih_l0", TN_SHAPE(gates, in));
    tn_param *w = add(p, name, "weight_hh_l0", TN_SHAPE(gates, size));
    tn_param *b_in = bias ? add_vector(p, name, "bias_ih_l0", gates, 0) : NULL;
    tn_param *b = bias ? add_vector(p, name, "bias_hh_l0", gates, 0) : NULL;
    if (!w_in || !w || (bias && (!b_in || !b)))
        return (tn_recurrent_layer){ 0 };
    tn_param *all[] = { w_in, w, b_in, b };
    for (int i = 0; i < 4; i++)
        draw(p, all[i], -1, size);
    return (tn_recurrent_layer){ .name = w_in->name,
                                 .w_in = w_in->w,
                                 .b_in = bias ? b_in->w : NULL,
                                 .w = w->w,
                                 .b = bias ? b->w : NULL,
                                 .gru = gru };
}

tn_recurrent_layer tn_lstm_layer_new(tn_params *p, const char *name, int64_t in, int64_t size,
                                     bool bias)
{
    return recurrent(p, name, in, size, bias, false);
}

tn_recurrent_layer tn_gru_layer_new(tn_params *p, const char *name, int64_t in, int64_t size,
                                    bool bias)
{
    return recurrent(p, name, in, size, bias, true);
}

tn_tensor *tn_embedding_new(tn_params *p, const char *name, int64_t rows, int64_t width, double std)
{
    tn_param *w = add_matrix(p, name, rows, width);
    draw(p, w, std < 0 ? 1 : std, width);
    return w ? w->w : NULL;
}

/* The result y of a layer. A layer does not run after a mistake; so if y is NULL, one of its ops
   made the first, and the message gets the layer's name: its weight's name up to the last point. */
static tn_tensor *result(tn_tape *t, tn_tensor *y, const char *name)
{
    const char *end = name ? strrchr(name, '.') : NULL;
    if (!y && end)
        tn_error_add(&t->error, ", in layer %.*s", (int)(end - name), name);
    return y;
}

/* DoRA: y = g (W + s B A) x + b, where g = m / norm of W + s B A for each output. With dropout in
   training, as in PEFT, only the change sees it: y = W x + b + (g (W + s B A) - W) drop(x), and the
   two terms of W are one product of x - drop(x). */
static tn_tensor *run_dora(const tn_linear_layer *l, tn_tape *t, tn_tensor *x)
{
    const tn_adapter *a = l->lora;
    tn_tensor *g = a->g; // (out)
    if (!g)
        g = tn_div(t, a->m, tn_lora_norm(t, l->w, a->a, a->b, a->s, l->layout));
    const bool drops = a->dropout > 0 && tn_tape_mode(t).training;
    tn_tensor *d = drops ? tn_dropout(t, x, a->dropout, a->stream) : x; // (...,in)
    tn_tensor *y = tn_linear(t, d, l->w, NULL, l->layout);              // (...,out)
    y = tn_lora(t, y, d, a->a, a->b, a->s, 0, 0, 0);
    y = tn_then(t, y, tn_mul(t, y, g));
    if (drops)
        return tn_add(t, y, tn_linear(t, tn_sub(t, x, d), l->w, l->b, l->layout));
    return l->b ? tn_then(t, y, tn_add(t, y, l->b)) : y;
}

tn_tensor *tn_linear_layer_run(const tn_linear_layer *l, tn_tape *t, tn_tensor *x)
{
    if (tn_tape_given(t, l, __func__))
        return NULL;
    if (l->lora && l->lora->m)
        return result(t, run_dora(l, t, x), l->name);
    tn_tensor *y = tn_linear(t, x, l->w, l->b, l->layout); // (...,out)
    for (const tn_adapter *a = l->lora; a; a = a->next)
        y = tn_lora(t, y, x, a->a, a->b, a->s, a->col, a->dropout, a->stream);
    return result(t, y, l->name);
}

tn_tensor *tn_norm_layer_run(const tn_norm_layer *l, tn_tape *t, tn_tensor *x)
{
    if (tn_tape_given(t, l, __func__))
        return NULL;
    tn_tensor *y = l->rms ? tn_rms_norm(t, x, l->w, l->eps, l->offset)
                          : tn_layer_norm(t, x, l->w, l->b, l->eps);
    return result(t, y, l->name);
}

tn_tensor *tn_conv_layer_run(const tn_conv_layer *l, tn_tape *t, tn_tensor *x)
{
    if (tn_tape_given(t, l, __func__))
        return NULL;
    return result(t, tn_conv2d(t, x, l->w, l->b, l->form), l->name);
}

tn_tensor *tn_recurrent_layer_run(const tn_recurrent_layer *l, tn_tape *t, tn_tensor *x,
                                  tn_tensor *start)
{
    if (tn_tape_given(t, l, __func__))
        return NULL;
    tn_tensor *gates = tn_linear(t, x, l->w_in, l->b_in, TN_OUT_IN); // (B,T,G)
    tn_tensor *y =
        l->gru ? tn_gru(t, gates, start, l->w, l->b) : tn_lstm(t, gates, start, l->w, l->b);
    return result(t, y, l->name);
}
