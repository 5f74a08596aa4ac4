/* model.c - makes and frees models of every family; their loss and logits. */
#include "core/op.h"
#include "core/tape.h"
#include "nn/cache.h"
#include "nn/model.h"
#include "nn/source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const tn_family *const tn_families[] = {
#define FAMILY(name) &tn_family_##name,
#include "nn/families/families.def"
#undef FAMILY
    NULL
};

const tn_json *tn_config_text(const tn_json *config)
{
    const tn_json *type = tn_json_find(config, "model_type"),
                  *text = tn_json_find(config, "text_config");
    const bool nests = type && type->kind == TN_STRING && !strcmp(type->text, "gemma3");
    return nests && text && text->kind == TN_OBJECT ? text : config;
}

const tn_family *tn_family_find(const tn_json *config, tn_error *e)
{
    const char *type = NULL;
    char expected[256] = "one of";
    config = tn_config_text(config);
    tn_json_get_string(config, "model_type", &type, e);
    for (const tn_family *const *f = tn_families; *f && !e->code; f++) {
        if (type && !strcmp((*f)->type, type))
            return *f;
        size_t n = strlen(expected);
        snprintf(expected + n, sizeof expected - n, " \"%s\"", (*f)->type);
    }
    tn_json_refuse(type ? tn_json_find(config, "model_type") : config,
                   type ? expected : "a model_type in it", e);
    return NULL;
}

/* Adds a token that ends a text. A token outside the vocabulary is ignored: it cannot occur. */
static int add_end(tn_model *m, int64_t id, tn_error *e)
{
    for (int64_t i = 0; i < m->end_count; i++)
        if (m->ends[i] == id)
            return 0;
    if (id < 0 || id >= m->vocab)
        return 0;
    int32_t *ends = realloc(m->ends, (size_t)(m->end_count + 1) * sizeof *ends);
    if (!ends)
        return tn_fail(e, TN_ENOMEM, "out of memory for the model");
    ends[m->end_count++] = (int32_t)id;
    m->ends = ends;
    m->end = ends[0];
    return 0;
}

int tn_model_add_ends(tn_model *m, const tn_json *ids, tn_error *e)
{
    int64_t id;
    for (const tn_json *v = ids->kind == TN_ARRAY ? ids->child : ids; v && !e->code;
         v = ids->kind == TN_ARRAY ? v->next : NULL) {
        if (v == ids && v->kind == TN_NULL)
            return 0;
        if (!tn_json_int(v, &id) || id < 0)
            return tn_json_refuse(v, "a token id or a list of them", e);
        add_end(m, id, e);
    }
    return e->code;
}

/* Reads eos_token_id of config.json. Its default is the family's, which build() put into m->end. */
static void read_ends(tn_model *m, const tn_json *config, tn_error *e)
{
    const tn_json *ids = tn_json_find(config, "eos_token_id");
    const int64_t usual = m->end;
    m->end = -1;
    if (ids)
        tn_model_add_ends(m, ids, e);
    else
        add_end(m, usual, e);
}

int tn_model_refuse_sketch(const tn_model *m, tn_error *e)
{
    if (!e->code && tn_params_is_sketch(m->params))
        tn_fail(e, TN_ESTATE,
                "the model is a sketch, which has no numbers; expected one with its weights");
    return e->code;
}

int tn_model_refuse_bare(const tn_model *m, tn_error *e)
{
    if (!tn_model_refuse_sketch(m, e) && !m->adapters)
        tn_fail(e, TN_ESTATE, "the model has no adapters to save");
    return e->code;
}

int tn_model_describe(const tn_model *m, tn_error *e)
{
    tn_text text = { 0 };
    m->family->config(m, &text);
    const char *config = tn_text_done(&text, "the model's config", e);
    if (config)
        tn_params_describe(m->params, config);
    tn_text_free(&text);
    return e->code;
}

static void build(tn_model *m, const tn_json *config, tn_error *e)
{
    const tn_json *packed = tn_json_find(config, "quantization_config");
    const tn_json *text = tn_config_text(config);
    m->nested = text != config;
    if (packed && packed->kind != TN_NULL)
        tn_json_refuse(packed, "null: packed weights are not read", e);
    if (e->code || m->family->build(m, text, e))
        return;
    const tn_error *p = tn_params_error(m->params);
    if (p->code)
        tn_fail(e, p->code, "%s", p->text);
    m->output = (tn_linear_layer){ .name = "lm_head.weight", .w = m->head, .layout = TN_OUT_IN };
    read_ends(m, tn_json_find(config, "eos_token_id") ? config : text, e);
    if (!e->code)
        tn_model_describe(m, e);
}

/* Makes a model of one family in this set of weights. The model then owns the set. */
static tn_model *make_in(tn_params *p, tn_context *c, const tn_family *family,
                         const tn_json *config, const tn_model *start, const tn_reading *r,
                         tn_error *e)
{
    tn_model *m = malloc(sizeof *m);
    if (!m || !p) {
        free(m);
        tn_params_free(p);
        tn_fail(e, TN_ENOMEM, "out of memory for the model");
        return NULL;
    }
    *m = *start;
    m->family = family;
    m->context = c;
    m->params = p;
    tn_params_read(p, *r);
    build(m, config, e);
    tn_params_read(p, (tn_reading){ 0 });
    if (!e->code)
        return m;
    tn_model_free(m);
    return NULL;
}

/* Refuses a config that describes far more numbers than the weight files can hold, or, if `memory`,
   than the memory can. */
static int check_size(const tn_model *sketch, const tn_json *config, bool memory, const char *where,
                      tn_error *e)
{
    char expected[160];
    const int64_t numbers = tn_params_size(sketch->params), stored = sketch->stored;
    double bytes = 0;
    const double room = (double)tn_memory_room();
    snprintf(expected, sizeof expected,
             "sizes that fit the weights beside it: it describes %lld numbers, they are %lld",
             (long long)numbers, (long long)stored);
    if (stored && numbers / 2 > stored)
        return tn_json_refuse(config, expected, e);
    for (int64_t i = 0; i < tn_params_count(sketch->params); i++)
        bytes += (double)tn_tensor_bytes(tn_params_at(sketch->params, i)->w);
    if (memory && bytes > room)
        tn_fail(e, TN_ENOMEM,
                "%s: the weights take %.4g GB of memory, %lld numbers of %.3g bytes; "
                "expected at most the %.4g GB that are available",
                where, bytes / 1e9, (long long)numbers, bytes / (double)numbers, room / 1e9);
    return e->code;
}

/* The sketch shows all that is wrong with config and files before memory is taken. */
tn_model *tn_model_make(tn_context *c, const tn_json *config, const char *where,
                        const tn_model *start, const tn_reading *r, bool sketch, tn_error *e)
{
    if (config->kind != TN_OBJECT)
        tn_json_refuse(config, "an object", e);
    const tn_family *family = e->code ? NULL : tn_family_find(config, e);
    tn_model *m = family ? make_in(tn_params_sketch(c), c, family, config, start, r, e) : NULL;
    if (!m || (sketch && !r->source))
        return m;
    check_size(m, config, !sketch, where, e);
    if (r->source && !e->code)
        tn_source_check(r->source, m->params, e);
    if (sketch && !e->code)
        return m;
    tn_model_free(m);
    return e->code ? NULL : make_in(tn_params_new(c), c, family, config, start, r, e);
}

tn_model *tn_model_new(tn_context *c, const tn_json *config, int64_t vocab, int32_t end,
                       tn_error *e)
{
    if (tn_given(e, c && config, __func__))
        return NULL;
    const tn_model start = { .tied = true, .vocab = vocab };
    tn_model *m = tn_model_make(c, config, "the model", &start, &(tn_reading){ 0 }, false, e);
    if (m && (vocab > 0 || end >= 0)) {
        m->end_count = 0;
        m->end = -1;
        add_end(m, end, e);
    }
    if (!m || !tn_model_describe(m, e))
        return m;
    tn_model_free(m);
    return NULL;
}

void tn_model_free(tn_model *m)
{
    if (!m)
        return;
    m->family->free(m->impl);
    tn_params_free(m->params);
    free(m->adapters);
    if (m->lora)
        free((char *)m->lora->targets);
    free(m->lora);
    free(m->ends);
    free(m->note);
    free(m->adapter_config);
    free(m->source);
    free(m);
}

/* Puts the ids or labels of a batch (B,T) on the tape. */
static tn_tensor *input(tn_tape *t, const tn_batch *b, const int32_t *values)
{
    tn_tensor *a = tn_tape_input(t, TN_I32, 2, (int64_t[]){ b->rows, b->width });
    if (a)
        memcpy(a->i, values, (size_t)(b->rows * b->width) * sizeof *values);
    return a;
}

tn_tensor *tn_model_head(const tn_model *m, tn_tape *t, tn_tensor *h)
{
    tn_tensor *z = tn_linear_layer_run(&m->output, t, h); // (...,V)
    return m->logit_cap > 0 ? tn_soft_cap(t, z, m->logit_cap) : z;
}

tn_tensor *tn_batch_hidden(const tn_model *m, tn_tape *t, const tn_batch *b)
{
    tn_tensor *ids = input(t, b, b->ids); // (B,T)
    tn_cache *packed = ids && b->places ? tn_cache_packed(t, b->rows, b->width, b->places) : NULL;
    return packed || !b->places ? m->family->hidden(m, t, ids, packed) : NULL;
}

typedef struct place { /* of a block */
    const tn_model *m;
    const tn_cache *packed; /* NULL: no records are packed */
    int64_t layer;
    tn_model_block *block;
} place;

/* The block on an inner tape, which takes no tensor of another tape but x: it gets places of its own. */
static tn_tensor *run_place(tn_tape *t, void *arg, tn_tensor *x)
{
    const place *p = arg;
    const tn_tensor *places = p->packed ? p->packed->places : NULL;
    tn_cache *packed =
        places ? tn_cache_packed(t, places->dim[0], places->dim[1], places->i) : NULL;
    return packed || !places ? p->block(p->m, t, p->layer, x, packed) : NULL;
}

/* The block, but the tape keeps nothing between x and the result. */
static tn_tensor *recompute(tn_tape *t, place at, tn_tensor *x)
{
    place *p = tn_keep(t, sizeof *p); /* until backward */
    if (!p)
        return NULL;
    *p = at;
    return tn_recompute(t, run_place, p, x);
}

tn_tensor *tn_then(tn_tape *t, tn_tensor *x, tn_tensor *y)
{
    tn_done(t, x);
    return y;
}

tn_tensor *tn_run_blocks(const tn_model *m, tn_tape *t, tn_tensor *x, tn_cache *cache,
                         tn_model_block *block)
{
    if (tn_tape_given(t, m && x && block, __func__))
        return NULL;
    const bool again = m->recompute && (!cache || cache->segments);
    for (int64_t i = 0; i < m->layers; i++)
        x = again ? recompute(t, (place){ m, cache, i, block }, x) : block(m, t, i, x, cache);
    return x;
}

tn_tensor *tn_model_loss(const tn_model *m, tn_tape *t, const tn_batch *b, int64_t tokens)
{
    if (tn_tape_given(t, m && b && b->ids && b->labels, __func__))
        return NULL;
    tn_tensor *labels = input(t, b, b->labels); // (B,T)
    tn_tensor *h = tn_batch_hidden(m, t, b);    // (B,T,C)
    if (m->output.lora)
        return tn_cross_entropy(t, tn_model_head(m, t, h), labels, tokens);
    return tn_linear_xent(t, h, m->head, labels, tokens, m->logit_cap);
}

/* Numbers per token that DoRA keeps more for a target: outputs before they are scaled; with
   dropout what goes in, twice, and two more outputs. The MLP's wide outputs are computed again. */
static int64_t dora_numbers(const tn_model *m, const tn_target *t)
{
    const int64_t heads = m->heads * m->head_size, most = heads > m->width ? heads : m->width;
    if (!m->lora->dora)
        return 0;
    if (m->lora->dropout > 0)
        return 2 * t->in + 3 * t->width;
    return t->layer->b || t->width <= most ? t->width : 0;
}

double tn_model_activations(const tn_model *m, int64_t rows, int64_t width, bool training)
{
    if (!m)
        return 0;
    const double tokens = (double)rows * (double)width;
    int64_t adapters = 0; /* numbers that they keep */
    tn_target t;
    for (int64_t i = 0; training && m->lora && m->family->target(m, i, &t); i++)
        if (!t.columns && t.layer->lora)
            adapters += tn_layer_rank(t.layer) + dora_numbers(m, &t);
    if (m->recompute) /* only one block is there at a time */
        adapters /= m->layers;
    const int64_t dx = training && !m->output.lora ? m->width : 0; /* kept by linear_xent */
    const int64_t logits = m->output.lora ? (m->logit_cap > 0 ? 3 : 2) * m->vocab : 0;
    const double numbers =
        tokens * (double)(m->family->activations(m, training) + adapters + dx + logits) +
        (training && m->head->wants_grad ? (double)tn_tensor_count(m->head) : 0);
    return numbers * (double)sizeof(tn_real) + 3 * tokens * sizeof(int32_t);
}

/* The widest of inputs and outputs that have adapters. */
static int64_t widest(const tn_model *m, bool outputs)
{
    int64_t most = 0;
    tn_target t;
    for (int64_t i = 0; m->lora && m->family->target(m, i, &t); i++)
        if (!t.columns && t.layer->lora && (outputs ? t.width : t.in) > most)
            most = outputs ? t.width : t.in;
    return most;
}

double tn_model_backward(const tn_model *m, int64_t rows, int64_t width)
{
    if (!m)
        return 0;
    const int64_t dora = m->lora && m->lora->dora ? widest(m, true) : 0; /* outputs, unscaled */
    return (double)rows * (double)width * (double)(m->family->backward(m) + dora) *
           (double)sizeof(tn_real);
}

/* Attention whose heads share keys has gradients of keys and values for each head. */
static double attention_numbers(const tn_model *m, double tokens)
{
    return m->kv_heads < m->heads ? 2 * tokens * (double)(m->heads * m->head_size) : 0;
}

/* Dropout on the input of adapters: it is computed again, and so is its gradient. */
static double dropout_numbers(const tn_model *m, double tokens)
{
    return m->lora && m->lora->dropout > 0 ? 2 * tokens * (double)widest(m, false) : 0;
}

double tn_model_scratch(const tn_model *m, int64_t rows, int64_t width, bool training)
{
    if (!m)
        return 0;
    const double tokens = (double)rows * (double)width;
    const int64_t chunk = !training        ? TN_EVALUATE_ROWS
                          : m->output.lora ? 0
                                           : tn_linear_xent_rows(m->vocab, m->head->wants_grad);
    double most = fmin(tokens, (double)chunk) * (double)(m->vocab + m->width);
    const double block =
        training ? fmax(attention_numbers(m, tokens), dropout_numbers(m, tokens)) : 0;
    most = m->recompute ? most + block : fmax(most, block); /* blocks have a tape of their own */
    return most * (double)sizeof(tn_real);
}

tn_tensor *tn_model_logits(const tn_model *m, tn_tape *t, tn_tensor *ids)
{
    if (tn_tape_given(t, m && ids, __func__))
        return NULL;
    tn_tensor *h = m->family->hidden(m, t, ids, NULL); // (B,T,C)
    return tn_model_head(m, t, h);                     // (B,T,V)
}
