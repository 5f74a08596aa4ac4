/* lora.c - puts adapters on layers found by name, and merges them: W = W0 + s B A, s = alpha / R.
   Hu et al., arXiv:2106.09685. Names, initial values and scale are those of PEFT. */
#include "nn/model.h"
#include "core/tape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

/* A layer's name is its weight's name without ".weight". A part of its columns adds ".NAME". */
static tn_target make_target(tn_linear_layer *l, const char *columns)
{
    if (!l || !l->w || !l->name)
        return (tn_target){ 0 };
    const bool in_out = l->layout == TN_IN_OUT;
    tn_target t = { .layer = l,
                    .columns = columns != NULL,
                    .in = l->w->dim[in_out ? 0 : 1],
                    .width = l->w->dim[in_out ? 1 : 0] };
    const size_t length = strlen(l->name), end = strlen(".weight");
    const bool ends = length > end && !strcmp(l->name + length - end, ".weight");
    const int n = (int)(ends ? length - end : length);
    snprintf(t.name, sizeof t.name, "%.*s%s%s", n, l->name, columns ? "." : "",
             columns ? columns : "");
    return t;
}

tn_target tn_target_layer(tn_linear_layer *l)
{
    return make_target(l, NULL);
}

tn_target tn_target_columns(tn_linear_layer *l, const char *name, int64_t col, int64_t width)
{
    tn_target t = name ? make_target(l, name) : (tn_target){ 0 };
    t.col = t.layer ? col : 0;
    t.width = t.layer ? width : 0;
    return t;
}

bool tn_target_matches(const char *path, const char *name, size_t length)
{
    size_t n = strlen(path);
    return length && n >= length && !memcmp(path + n - length, name, length) &&
           (n == length || path[n - length - 1] == '.');
}

/* Moves *names to the first name of the list. Returns its length without spaces around it. */
static size_t first_name(const char **names)
{
    *names += strspn(*names, " ,");
    size_t n = strcspn(*names, ",");
    while (n && (*names)[n - 1] == ' ')
        n--;
    return n;
}

static bool is_all_linear(const char *name, size_t length)
{
    return length == strlen("all-linear") && !memcmp(name, "all-linear", length);
}

bool tn_target_is_wanted(const tn_target *t, const char *names)
{
    for (size_t n; (n = first_name(&names)) > 0; names += n)
        if (is_all_linear(names, n) ? !t->columns : tn_target_matches(t->name, names, n))
            return true;
    return false;
}

/* Every name must match a target. Returns the number of targets that match. */
static int64_t count_targets(const tn_model *m, const char *names, tn_error *e)
{
    tn_target t;
    int64_t count = 0;
    for (int64_t i = 0; m->family->target(m, i, &t); i++)
        count += tn_target_is_wanted(&t, names);
    for (size_t n; (n = first_name(&names)) > 0; names += n) {
        bool found = is_all_linear(names, n);
        for (int64_t i = 0; !found && m->family->target(m, i, &t); i++)
            found = tn_target_matches(t.name, names, n);
        if (!found && m->family->target(m, 0, &t))
            tn_fail(e, TN_EARG,
                    "target \"%.*s\" matches no layer; expected the end of a path "
                    "such as %s, or \"all-linear\"",
                    (int)n, names, t.name);
    }
    if (!count)
        tn_fail(e, TN_EARG, "no layer is named as a target");
    return e->code ? 0 : count;
}

/* The shortest end of an adapted layer's path that matches adapted layers only ("c_attn"). */
static const char *short_name(const tn_model *m, const char *path)
{
    for (const char *end = path + strlen(path); end > path; end--) {
        bool only = end[-1] == '.';
        tn_target t;
        for (int64_t i = 0; only && m->family->target(m, i, &t); i++)
            only = t.layer->lora || t.columns || !tn_target_matches(t.name, end, strlen(end));
        if (only)
            return end;
    }
    return path;
}

void tn_lora_names(const tn_model *m, const char *quote, tn_text *out)
{
    tn_target t;
    tn_text found = { 0 }; /* ",c_attn,mlp.c_proj," */
    tn_text_add(&found, ",");
    for (int64_t i = 0; m->family->target(m, i, &t); i++) {
        char key[sizeof t.name + 2];
        if (t.columns || !t.layer->lora)
            continue;
        snprintf(key, sizeof key, ",%s,", short_name(m, t.name));
        if (found.failed || strstr(found.s, key))
            continue;
        tn_text_add(&found, "%s", key + 1);
        tn_text_add(out, "%s%s%.*s%s", out->n ? "," : "", quote, (int)strlen(key) - 2, key + 1,
                    quote);
    }
    out->failed = out->failed || found.failed;
    tn_text_free(&found);
}

int tn_lora_keep_names(tn_model *m, tn_error *e)
{
    tn_text names = { 0 };
    tn_lora_names(m, "", &names);
    if (!tn_text_done(&names, "the adapters", e)) {
        tn_text_free(&names);
        return e->code;
    }
    free((char *)m->lora->targets);
    m->lora->targets = names.s;
    return 0;
}

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
    m->adapters = room;
    m->lora = kept;
    return tn_params_count(m->params);
}

/* Removes the adapters from the layers and frees them. Their factors stay in the params. */
static void forget_adapters(tn_model *m)
{
    tn_target t;
    for (int64_t i = 0; m->family->target(m, i, &t); i++)
        t.layer->lora = NULL;
    free(m->adapters);
    if (m->lora)
        free((char *)m->lora->targets);
    free(m->lora);
    m->adapters = NULL;
    m->lora = NULL;
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

/* Adds the factors of a target to the params. Appends `a`, their adapter, to the layer's list. */
static int put(tn_params *p, tn_adapter *a, const tn_target *t, int64_t rank, double s,
               double dropout, tn_error *e)
{
    tn_tensor *A = add_factor(p, t->name, "lora_A", rank, t->in, s);
    tn_tensor *B = add_factor(p, t->name, "lora_B", t->width, rank, s);
    if (!A || !B)
        return tn_fail(e, tn_params_error(p)->code, "%s", tn_params_error(p)->text);
    a->a = A;
    a->b = B;
    a->s = s;
    a->dropout = dropout;
    a->col = t->col;
    a->stream = tn_stream(t->name);
    tn_adapter **end = &t->layer->lora;
    while (*end)
        end = &(*end)->next;
    *end = a;
    return 0;
}

/* A ~ U(-1/sqrt(in), 1/sqrt(in)). Its name is the stream of random numbers. */
static void start_factor(const tn_params *p, const tn_target *t, const tn_adapter *a)
{
    char full[256];
    snprintf(full, sizeof full, "%s.lora_A.weight", t->name);
    if (a->a->x)
        tn_fill_uniform(a->a->x, tn_tensor_count(a->a), 1 / sqrt((double)t->in),
                        tn_context_seed(tn_params_context(p)), tn_stream(full));
}

tn_adapter *tn_lora_put(tn_model *m, const tn_target *t, int64_t rank, double s, double dropout,
                        tn_error *e)
{
    tn_adapter *a = m->adapters;
    while (a->a)
        a++;
    return put(m->params, a, t, rank, s, dropout, e) ? NULL : a;
}

static int check_options(const tn_lora_options *o, tn_error *e)
{
    if (o->rank < 1 || o->rank > 1 << 16)
        return tn_fail(e, TN_EARG, "LoRA rank %lld; expected 1 to 65536", (long long)o->rank);
    if (!(o->alpha > 0) || !isfinite(o->alpha))
        return tn_fail(e, TN_EARG, "LoRA alpha %g; expected a number above 0", o->alpha);
    if (!(o->dropout >= 0 && o->dropout < 1))
        return tn_fail(e, TN_EARG, "LoRA dropout %g; expected at least 0 and below 1", o->dropout);
    return e->code;
}

int tn_lora_add(tn_model *m, const tn_lora_options *o, tn_error *e)
{
    const int missing = tn_given(e, m && o, __func__);
    if (missing)
        return missing;
    tn_lora_options kept = *o;
    if (!kept.targets)
        kept.targets = m->family->lora_targets;
    const char *names = kept.targets;
    int64_t count = check_options(o, e) ? 0 : count_targets(m, names, e);
    int64_t before = e->code ? e->code : tn_lora_begin(m, count, &kept, e);
    if (before < 0)
        return e->code;
    tn_target t;
    for (int64_t i = 0; !e->code && m->family->target(m, i, &t); i++) {
        if (!tn_target_is_wanted(&t, names))
            continue;
        tn_adapter *a = tn_lora_put(m, &t, o->rank, o->alpha / (double)o->rank, o->dropout, e);
        if (a)
            start_factor(m->params, &t, a);
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
    if (put(p, a, &t, o->rank, o->alpha / (double)o->rank, o->dropout, e)) {
        tn_params_cut(p, before);
        return e->code;
    }
    start_factor(p, &t, a);
    tn_tensor_freeze(l->w);
    if (l->b)
        tn_tensor_freeze(l->b);
    return 0;
}

/* W += s B A. W is stored as (out,in) or (in,out). */
static void merge(const tn_linear_layer *l, const tn_adapter *a)
{
    int64_t in = a->a->dim[1], out = a->b->dim[0], rank = a->a->dim[0];
    bool in_out = l->layout == TN_IN_OUT;
    int64_t row = in_out ? 1 : in, col = in_out ? l->w->dim[1] : 1; /* steps: output, input */
    for (int64_t o = 0; o < out; o++) {
        for (int64_t i = 0; i < in; i++) {
            double sum = 0;
            for (int64_t r = 0; r < rank; r++)
                sum += (double)a->b->x[o * rank + r] * (double)a->a->x[r * in + i];
            tn_real *w = l->w->x + (a->col + o) * row + i * col;
            *w = (tn_real)((double)*w + a->s * sum);
        }
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
        for (int64_t i = tn_params_count(p); i-- > 0;)
            if (tn_params_at(p, i)->w == a->a || tn_params_at(p, i)->w == a->b)
                tn_params_remove(p, i);
    }
    l->lora = NULL;
    return 0;
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
    tn_target t;
    for (int64_t i = 0; m->family->target(m, i, &t); i++)
        if (t.layer->lora && !tn_tensor_own(t.layer->w))
            return tn_fail(e, TN_ENOMEM, "%s: out of memory to merge its adapter", t.name);
    for (int64_t i = 0; m->family->target(m, i, &t); i++)
        for (const tn_adapter *a = t.columns ? NULL : t.layer->lora; a; a = a->next)
            merge(t.layer, a);
    forget_adapters(m);
    for (int64_t i = tn_params_count(m->params); i-- > 0;)
        if (tn_params_at(m->params, i)->lora_scale != 0)
            tn_params_remove(m->params, i);
    return 0;
}
