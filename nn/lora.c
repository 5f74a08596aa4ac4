/* lora.c - puts adapters on layers found by name, and merges them: W = W0 + s B A, s = alpha / R.
   Hu et al., arXiv:2106.09685; DoRA: Liu et al., arXiv:2402.09353. Names, initial values and scale
   are those of PEFT. */
#include "core/op.h"
#include "core/tape.h"
#include "nn/model.h"
#include "nn/pattern.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- adapters ---- */

int64_t tn_lora_begin(tn_model *m, int64_t adapters, const tn_lora_options *o, tn_error *e)
{
    const tn_error *broken = tn_params_error(m->params);
    if (m->adapters)
        return tn_fail(e, TN_ESTATE, "the model has adapters already; merge them first");
    if (broken->code)
        return tn_fail(e, broken->code, "%s", broken->text);
    tn_adapter *room = calloc((size_t)adapters, sizeof *room);
    tn_lora_options *kept = malloc(sizeof *kept);
    char *targets = strdup(o->targets);
    if (!room || !kept || !targets) {
        free(room);
        free(kept);
        free(targets);
        return tn_fail(e, TN_ENOMEM, "out of memory for the adapters");
    }
    *kept = *o;
    kept->targets = targets;
    kept->init = tn_lora_init_find(o->init);
    kept->last_blocks = o->last_blocks < m->layers ? o->last_blocks : 0;
    kept->rank_pattern = kept->alpha_pattern = NULL;
    m->adapters = room;
    m->lora = kept;
    return tn_params_count(m->params);
}

/* Removes the adapters from the layers and frees them. Their factors stay in the params. */
static void forget_adapters(tn_model *m)
{
    tn_target t;
    for (int64_t i = 0; m->family->target(m, i, &t); i++)
        t.layer->lora = t.layer->off = NULL;
    free(m->adapters);
    if (m->lora)
        free((char *)m->lora->targets);
    free(m->lora);
    free(m->adapter_config);
    m->adapters = NULL;
    m->lora = NULL;
    m->adapter_config = NULL;
}

int tn_lora_end(tn_model *m, int64_t before, tn_error *e)
{
    for (int64_t i = 0; i < before && !e->code; i++)
        tn_tensor_freeze(tn_params_at(m->params, i)->w);
    if (!e->code)
        return 0;
    forget_adapters(m);
    tn_params_cut(m->params, before);
    return e->code;
}

/* Adds the factor NAME.WHAT.weight. */
static tn_tensor *add_factor(tn_params *p, const char *name, const char *what, int64_t rows,
                             int64_t cols, double s)
{
    char full[256];
    snprintf(full, sizeof full, "%s.%s.weight", name, what);
    tn_tensor *w = tn_params_add(p, full, 2, (int64_t[]){ rows, cols });
    if (w)
        tn_params_find(p, full)->lora_scale = s;
    return w;
}

/* DoRA's magnitudes of a target: a weight that is no factor. */
static tn_tensor *add_magnitudes(tn_params *p, const tn_target *t)
{
    char full[256];
    snprintf(full, sizeof full, "%s.lora_magnitude_vector", t->name);
    return tn_params_add(p, full, 1, &t->width);
}

/* Adds the factors of a target to the params. Appends `a`, their adapter, to the layer's list. */
static int put(tn_params *p, tn_adapter *a, const tn_target *t, tn_lora_size z,
               const tn_lora_options *o, tn_error *e)
{
    if (o->dora && t->columns)
        return tn_fail(e, TN_EARG, "%s: columns of a layer; expected a whole layer for DoRA",
                       t->name);
    tn_tensor *A = add_factor(p, t->name, "lora_A", z.rank, t->in, z.s);
    tn_tensor *B = add_factor(p, t->name, "lora_B", t->width, z.rank, z.s);
    tn_tensor *m = o->dora ? add_magnitudes(p, t) : NULL;
    if (!A || !B || (o->dora && !m))
        return tn_fail(e, tn_params_error(p)->code, "%s", tn_params_error(p)->text);
    a->a = A;
    a->b = B;
    a->m = m;
    a->s = z.s;
    a->dropout = o->dropout;
    a->col = t->col;
    a->stream = tn_stream(t->name);
    tn_adapter **end = &t->layer->lora;
    while (*end)
        end = &(*end)->next;
    *end = a;
    return 0;
}

tn_adapter *tn_lora_put(tn_model *m, const tn_target *t, tn_lora_size z, tn_error *e)
{
    tn_adapter *a = m->adapters;
    while (a->a)
        a++;
    return put(m->params, a, t, z, m->lora, e) ? NULL : a;
}

/* ---- new adapters ---- */

static bool is_rank(double rank)
{
    return rank >= 1 && rank <= 1 << 16 && rank == floor(rank);
}

static bool is_alpha(double alpha)
{
    return alpha > 0 && isfinite(alpha);
}

static void check_patterns(const tn_lora_pattern *list, bool (*fits)(double), const char *what,
                           tn_error *e)
{
    for (; list && list->layers && !e->code; list++)
        if (!tn_pattern_check(list->layers, what, TN_EARG, e) && !fits(list->value))
            tn_fail(e, TN_EARG, "LoRA %s of %s: %g; expected %s", what, list->layers, list->value,
                    fits == is_rank ? "a whole number from 1 to 65536" : "a number above 0");
}

static int check_options(const tn_lora_options *o, tn_error *e)
{
    if (!is_rank((double)o->rank))
        return tn_fail(e, TN_EARG, "LoRA rank %lld; expected 1 to 65536", (long long)o->rank);
    if (!is_alpha(o->alpha))
        return tn_fail(e, TN_EARG, "LoRA alpha %g; expected a number above 0", o->alpha);
    if (!(o->dropout >= 0 && o->dropout < 1))
        return tn_fail(e, TN_EARG, "LoRA dropout %g; expected at least 0 and below 1", o->dropout);
    if (o->init && !tn_lora_init_find(o->init))
        return tn_fail(e, TN_EARG, "LoRA init \"%s\"; expected gaussian, orthogonal or none",
                       o->init);
    if (o->last_blocks < 0)
        return tn_fail(e, TN_EARG, "LoRA on the last %lld blocks; expected at least 0",
                       (long long)o->last_blocks);
    check_patterns(o->rank_pattern, is_rank, "rank", e);
    check_patterns(o->alpha_pattern, is_alpha, "alpha", e);
    return e->code;
}

double tn_lora_pattern_value(const tn_lora_pattern *list, const char *layer, double otherwise)
{
    for (; list && list->layers; list++)
        if (tn_pattern_matches(list->layers, layer, true))
            return list->value;
    return otherwise;
}

tn_lora_size tn_lora_size_of(const tn_lora_options *o, const char *layer)
{
    const double rank = tn_lora_pattern_value(o->rank_pattern, layer, (double)o->rank);
    const double alpha = tn_lora_pattern_value(o->alpha_pattern, layer, o->alpha);
    return (tn_lora_size){ (int64_t)rank, alpha / (o->rslora ? sqrt(rank) : rank) };
}

int tn_lora_add(tn_model *m, const tn_lora_options *o, tn_error *e)
{
    const int missing = tn_given(e, m && o, __func__);
    if (missing)
        return missing;
    tn_lora_options kept = *o;
    if (!kept.targets)
        kept.targets = m->family->lora_targets;
    int64_t count = check_options(o, e) ? 0 : tn_lora_count(m, &kept, e);
    int64_t before = e->code ? e->code : tn_lora_begin(m, count, &kept, e);
    if (before < 0)
        return e->code;
    tn_target t;
    for (int64_t i = 0; !e->code && m->family->target(m, i, &t); i++) {
        if (!tn_lora_wants(m, &kept, &t))
            continue;
        tn_adapter *a = tn_lora_put(m, &t, tn_lora_size_of(o, t.name), e);
        if (a)
            tn_lora_start(m->params, &t, a, o->init, e);
    }
    return tn_lora_end(m, before, e);
}

int tn_lora_add_layer(tn_params *p, tn_linear_layer *l, const tn_lora_options *o, tn_error *e)
{
    const int missing = tn_given(e, p && l && o, __func__);
    if (missing)
        return missing;
    const tn_error *broken = tn_params_error(p);
    const tn_target t = tn_target_layer(l);
    if (broken->code)
        return tn_fail(e, broken->code, "%s", broken->text);
    if (!t.layer || l->lora)
        return tn_fail(e, t.layer ? TN_ESTATE : TN_EARG, "%s %s", t.layer ? t.name : "this layer",
                       t.layer ? "has an adapter already; merge it first" : "has no weight");
    const int64_t before = tn_params_count(p);
    tn_adapter *a = check_options(o, e) ? NULL : tn_params_add_adapter(p);
    if (!a)
        return tn_fail(e, TN_ENOMEM, "out of memory for the adapter of %s", t.name);
    if (put(p, a, &t, tn_lora_size_of(o, t.name), o, e) || tn_lora_start(p, &t, a, o->init, e)) {
        l->lora = NULL;
        tn_params_cut(p, before);
        return e->code;
    }
    tn_tensor_freeze(l->w);
    if (l->b)
        tn_tensor_freeze(l->b);
    return 0;
}

/* ---- merging ---- */

/* (W + s B A)[o][i] */
static double merged(const tn_adapter *a, double w, int64_t o, int64_t i)
{
    const int64_t in = a->a->dim[1], rank = a->a->dim[0];
    double sum = 0;
    for (int64_t r = 0; r < rank; r++)
        sum += (double)a->b->x[o * rank + r] * (double)a->a->x[r * in + i];
    return w + a->s * sum;
}

/* W += s B A, or DoRA's m (W + s B A) / norm. W is stored as (out,in) or (in,out). */
static void merge(const tn_linear_layer *l, const tn_adapter *a)
{
    const int64_t in = a->a->dim[1], out = a->b->dim[0];
    const bool in_out = l->layout == TN_IN_OUT;
    const int64_t row = in_out ? 1 : in, col = in_out ? l->w->dim[1] : 1; /* steps: output, input */
    for (int64_t o = 0; o < out; o++) {
        tn_real *w = l->w->x + (a->col + o) * row;
        double squares = 0, factor = 1;
        for (int64_t i = 0; a->m && i < in; i++) {
            const double v = merged(a, (double)w[i * col], o, i);
            squares += v * v;
        }
        if (a->m)
            factor = (double)a->m->x[o] / sqrt(squares);
        for (int64_t i = 0; i < in; i++)
            w[i * col] = (tn_real)(factor * merged(a, (double)w[i * col], o, i));
    }
}

/* Takes the weights of an adapter out of the params. */
static void remove_weights(tn_params *p, const tn_adapter *a)
{
    for (int64_t i = tn_params_count(p); i-- > 0;) {
        const tn_tensor *w = tn_params_at(p, i)->w;
        if (w == a->a || w == a->b || w == a->m)
            tn_params_remove(p, i);
    }
}

int tn_lora_merge_layer(tn_params *p, tn_linear_layer *l, tn_error *e)
{
    const int missing = tn_given(e, p && l, __func__);
    if (missing)
        return missing;
    if (!l->lora || tn_params_is_sketch(p))
        return tn_fail(e, TN_ESTATE, "%s has no adapter to merge",
                       l->name ? l->name : "this layer");
    if (!tn_tensor_own(l->w))
        return tn_fail(e, TN_ENOMEM, "%s: out of memory to merge its adapter", l->name);
    for (const tn_adapter *a = l->lora; a; a = a->next) {
        merge(l, a);
        remove_weights(p, a);
    }
    l->lora = NULL;
    return 0;
}

/* Gives the head a weight of its own, so that the embedding that it is tied to stays as it is. */
static int untie(tn_model *m, tn_error *e)
{
    const tn_tensor *old = m->head;
    tn_tensor *w = tn_params_add(m->params, m->output.name, 2, old->dim);
    if (!w)
        return tn_fail(e, tn_params_error(m->params)->code, "%s", tn_params_error(m->params)->text);
    tn_widen(old->dtype, old->data, 0, tn_tensor_count(old), w->x);
    m->head = m->output.w = w;
    m->tied = false;
    return tn_model_describe(m, e);
}

int tn_lora_merge(tn_model *m, tn_error *e)
{
    const int missing = tn_given(e, m, __func__);
    if (missing)
        return missing;
    if (tn_model_refuse_sketch(m, e))
        return e->code;
    if (!m->adapters)
        return tn_fail(e, TN_ESTATE, "the model has no adapters to merge");
    if (m->output.lora && m->tied && untie(m, e))
        return e->code;
    tn_target t;
    for (int64_t i = 0; m->family->target(m, i, &t); i++)
        if (t.layer->lora && !tn_tensor_own(t.layer->w))
            return tn_fail(e, TN_ENOMEM, "%s: out of memory to merge its adapter", t.name);
    for (int64_t i = 0; m->family->target(m, i, &t); i++)
        for (const tn_adapter *a = t.columns ? NULL : t.layer->lora; a; a = a->next)
            merge(t.layer, a);
    for (int64_t i = 0; m->family->target(m, i, &t); i++)
        for (const tn_adapter *a = t.columns ? NULL : t.layer->lora; a; a = a->next)
            remove_weights(m->params, a);
    forget_adapters(m);
    return 0;
}

void tn_lora_switch(tn_model *m, bool on)
{
    tn_target t;
    for (int64_t i = 0; m && m->family->target(m, i, &t); i++) {
        tn_adapter **from = on ? &t.layer->off : &t.layer->lora;
        tn_adapter **to = on ? &t.layer->lora : &t.layer->off;
        if (!*from)
            continue; /* none, or there already: columns of a layer are several targets */
        *to = *from;
        *from = NULL;
    }
}
