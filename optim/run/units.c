/* units.c - finds which weights belong together, and lays out the memory of their state.
   Pairs are found by name: LAYER.lora_A.weight (R,in) with LAYER.lora_B.weight (out,R). */
#include "core/arena.h"
#include "optim/balora.h"
#include "optim/run/optimizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 15, ALIGN = 64, MOST_NAME = 240 }; /* names of state blocks have 255 */

static const char *const suffix[] = {
    [TN_LORA_A] = ".lora_A.weight", [TN_LORA_B] = ".lora_B.weight"
};

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

size_t tn_unit_bytes(const tn_unit *u)
{
    if (!u)
        return 0;
    const int64_t a = u->f[0].n, b = u->f[1].n; /* b is 0 for a single weight */
    return (size_t)(a > b ? a : b) * sizeof(tn_real);
}

double *tn_scratch_take(tn_scratch *s, int64_t n)
{
    if (!s)
        return NULL;
    double *taken = s->memory ? (double *)(s->memory + s->used) : NULL;
    s->used += (size_t)n * sizeof *taken;
    return taken;
}

/* ---- which weights belong together ---- */

/* TN_LORA_A or TN_LORA_B, from the end of the name. -1: the name is not that of a factor. */
static int factor_named(const char *name)
{
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) {
        const size_t n = strlen(name), m = strlen(suffix[x]);
        if (n > m && !strcmp(name + n - m, suffix[x]))
            return x;
    }
    return -1;
}

/* The trained factor of this layer. NULL: the layer does not have it. */
static const tn_param *find_factor(const tn_params *p, const char *layer, int factor)
{
    char name[MOST_NAME + 1];
    snprintf(name, sizeof name, "%s%s", layer, suffix[factor]);
    const tn_param *a = tn_params_find(p, name);
    return a && a->w->wants_grad ? a : NULL;
}

static void set_factor(tn_member *m, int i, const tn_param *a, bool decay_all)
{
    const tn_tensor *w = a->w;
    int64_t n = tn_tensor_count(w), cols = w->dim[w->ndim - 1];
    m->w[i] = a->w;
    m->unit.f[i] = (tn_factor){ a->name, n / cols, cols, n, w->x, w->g, decay_all || w->ndim >= 2 };
}

bool tn_units_balanced(const tn_optim *o, const tn_unit *u)
{
    return o->hyper[TN_BALORA] != 0 && u->factors == 2;
}

/* The name of the method that needs pairs of LoRA factors. NULL: no method does. */
static const char *pairs_for(const tn_optim *o)
{
    return o->def->pairs ? o->def->name : o->hyper[TN_BALORA] != 0 ? "balora" : NULL;
}

static int set_pair(tn_optim *o, tn_member *m, const tn_param *a, const tn_param *b,
                    const tn_optim_options *how, tn_error *e)
{
    char shape_a[64], shape_b[64];
    set_factor(m, TN_LORA_A, a, how->decay_all);
    set_factor(m, TN_LORA_B, b, how->decay_all);
    tn_unit *u = &m->unit;
    u->factors = 2;
    u->r = u->f[TN_LORA_A].rows;
    u->in = u->f[TN_LORA_A].cols;
    u->out = u->f[TN_LORA_B].rows;
    u->s = a->lora_scale != 0 ? a->lora_scale : 1;
    m->def = o->def;
    m->group = tn_groups_find(how->groups, a->name);
    u->h = o->hyper;
    if (m->group != tn_groups_find(how->groups, b->name))
        return tn_fail(e, TN_EARG, "%s: its factors have different groups; %s needs both in one",
                       m->layer, pairs_for(o));
    if (u->f[TN_LORA_B].cols != u->r)
        return tn_fail(e, TN_ESHAPE, "%s: lora_A is %s and lora_B %s; expected (R,in) and (out,R)",
                       m->layer, tn_tensor_shape(a->w, shape_a), tn_tensor_shape(b->w, shape_b));
    if (u->r > u->in || u->r > u->out)
        return tn_fail(e, TN_ESHAPE,
                       "%s: rank %lld is above min(in, out) = min(%lld, %lld), which %s cannot use",
                       m->layer, (long long)u->r, (long long)u->in, (long long)u->out,
                       pairs_for(o));
    return TN_OK;
}

/* Makes the unit of a single weight. AdamW trains it if the optimizer does not. */
static void set_single(tn_optim *o, tn_member *m, const tn_param *a, const tn_optim_options *how)
{
    const tn_optim_def *fallback = tn_settings_fallback(o->def);
    m->left_over = fallback != o->def && (o->def->pairs || (o->def->matrices && a->w->ndim < 2));
    set_factor(m, 0, a, how->decay_all);
    m->unit.factors = 1;
    m->def = m->left_over ? fallback : o->def;
    m->group = tn_groups_find(how->groups, a->name);
    m->unit.h = m->left_over ? o->fallback : o->hyper;
}

/* Makes the unit that begins with the trained weight `a`. Returns false at a lora_B, because its
   unit begins with its lora_A, and if e is set. */
static bool set_unit(tn_optim *o, tn_member *m, const tn_param *a, const tn_optim_options *how,
                     tn_error *e)
{
    const int x = pairs_for(o) ? factor_named(a->name) : -1;
    *m = (tn_member){ 0 };
    if (x < 0) {
        set_single(o, m, a, how);
        return true;
    }
    const int y = tn_partner(x);
    m->layer = strndup(a->name, strlen(a->name) - strlen(suffix[x]));
    const tn_param *other = m->layer ? find_factor(o->params, m->layer, y) : NULL;
    if (!m->layer)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", a->name);
    else if (!other)
        tn_fail(e, TN_EARG, "%s: its partner %s%s is not trained; %s needs both", a->name, m->layer,
                suffix[y], pairs_for(o));
    else if (x == TN_LORA_A)
        set_pair(o, m, a, other, how, e);
    if (x == TN_LORA_A && !e->code)
        return true;
    free(m->layer);
    return false;
}

int tn_units_check(const tn_optim *o, tn_error *e)
{
    for (int64_t i = 0; i < o->count; i++)
        for (int k = 0; k < o->members[i].unit.factors; k++) {
            const tn_member *m = &o->members[i];
            if (!m->w[k]->g)
                return tn_fail(e, TN_ESTATE,
                               "%s: frozen after the optimizer was made; expected before",
                               m->unit.f[k].name);
        }
    const int64_t trained = tn_params_trained(o->params);
    if (trained != o->trained)
        return tn_fail(e, TN_ESTATE,
                       "%lld numbers are trained, and the optimizer was made for %lld; "
                       "expected it to be made last",
                       (long long)trained, (long long)o->trained);
    return TN_OK;
}

/* ---- memory ---- */

typedef struct extent { /* of a block of state */
    int64_t n;
    bool real;      /* tn_real, or else double */
    bool of_weight; /* or else of the unit */
} extent;

/* Size and type of block k of slot s. n = 0: there is no such block. */
static extent extent_of(const tn_member *m, int s, int k)
{
    const tn_unit *u = &m->unit;
    const tn_factor *f = &u->f[k];
    if (k >= u->factors || (m->def->needs && !m->def->needs(u, s, k)))
        return (extent){ 0 };
    switch (m->def->slots[s].kind) {
    case TN_LIKE_X: return (extent){ f->n, true, true };
    case TN_LIKE_B: return (extent){ k ? 0 : u->f[1].n, true, true };
    case TN_ROWS: return (extent){ f->rows, true, true };
    case TN_COLS: return (extent){ f->cols, true, true };
    case TN_ROW_SQUARE: return (extent){ f->rows * f->rows, false, true };
    case TN_COL_SQUARE: return (extent){ f->cols * f->cols, false, true };
    case TN_R_BY_R: return (extent){ k ? 0 : u->r * u->r, false, false };
    case TN_SCALAR: /* one per weight if the optimizer does not know pairs */
        return (extent){ k && m->def->pairs ? 0 : 1, false, !m->def->pairs };
    default: return (extent){ 0 };
    }
}

size_t tn_state_block_bytes(const tn_state_block *b)
{
    return (size_t)b->n * (b->real ? sizeof(tn_real) : sizeof(double));
}

/* Block k of slot s, still without memory. n = 0: there is no such block. The block of a weight has
   the weight's name. The block of a pair has the name of its layer. */
static tn_state_block block_of(const tn_member *m, int s, int k)
{
    const extent e = extent_of(m, s, k);
    const tn_slot *slot = &m->def->slots[s];
    const int factor = slot->kind == TN_LIKE_B ? TN_LORA_B : k;
    tn_state_block b = { .real = e.real, .n = e.n };
    if (e.n)
        snprintf(b.name, sizeof b.name, "%s.%s", slot->name,
                 e.of_weight || !m->layer ? m->unit.f[factor].name : m->layer);
    return b;
}

/* Gives every block its part of `state` and its place in the list. If state is
   NULL: only counts. */
static void lay_out_state(tn_optim *o, char *state)
{
    o->state_room = o->state_bytes = 0;
    o->block_count = 0;
    for (int64_t i = 0; i < o->count; i++) {
        tn_member *m = &o->members[i];
        for (int s = 0; s < TN_MAX_SLOTS && m->def->slots[s].kind; s++)
            for (int k = 0; k < 2; k++) {
                tn_state_block b = block_of(m, s, k);
                if (!b.n)
                    continue;
                m->unit.slot[s][k] = b.data = state ? state + o->state_room : NULL;
                if (o->blocks)
                    o->blocks[o->block_count] = b;
                o->block_count++;
                o->state_room += aligned(tn_state_block_bytes(&b));
                o->state_bytes += tn_state_block_bytes(&b);
            }
    }
}

static size_t scratch_of(const tn_member *m)
{
    return m->def->scratch ? aligned(m->def->scratch(&m->unit)) : 0;
}

/* Returns the bytes of all scratch. Each thread has one area for all units that do not keep their
   scratch. The areas come first; *shared becomes the bytes of one. A unit that keeps its scratch
   gets its own memory here, unless scratch is NULL. */
static size_t lay_out_scratch(tn_optim *o, char *scratch, size_t *shared)
{
    *shared = 0;
    for (int64_t i = 0; i < o->count; i++) {
        const tn_member *m = &o->members[i];
        size_t page = m->def->keeps_scratch ? 0 : scratch_of(m);
        size_t balance = tn_units_balanced(o, &m->unit) ? aligned(tn_balance_bytes(&m->unit)) : 0;
        size_t both = page > balance ? page : balance;
        *shared = both > *shared ? both : *shared;
    }
    size_t room = *shared * (size_t)tn_context_threads(o->context);
    for (int64_t i = 0; i < o->count; i++) {
        tn_member *m = &o->members[i];
        if (!m->def->keeps_scratch)
            continue;
        m->unit.memory = scratch ? scratch + room : NULL;
        room += scratch_of(m);
    }
    return room;
}

/* Cuts every gradient into chunks. While their memory is NULL, it only counts them. */
static void cut_gradients(tn_optim *o)
{
    o->chunk_count = 0;
    for (int64_t i = 0; i < o->count; i++)
        for (int k = 0; k < o->members[i].unit.factors; k++) {
            const int64_t n = o->members[i].unit.f[k].n;
            for (int64_t from = 0; from < n; from += CHUNK, o->chunk_count++)
                if (o->chunks)
                    o->chunks[o->chunk_count] =
                        (tn_gradient_chunk){ i, k, from, n - from < CHUNK ? n - from : CHUNK };
        }
}

/* Takes the memory. For the params of a sketch the state is listed without memory. */
static bool take_memory(tn_optim *o)
{
    lay_out_state(o, NULL);
    o->blocks = calloc((size_t)o->block_count + 1, sizeof *o->blocks);
    o->scratch_room = lay_out_scratch(o, NULL, &o->scratch_shared);
    if (o->blocks && tn_params_is_sketch(o->params)) {
        lay_out_state(o, NULL);
        return true;
    }
    cut_gradients(o);
    int64_t sums = o->chunk_count > o->count ? o->chunk_count : o->count;
    o->state = tn_pages_new(o->state_room + ALIGN);
    o->scratch = tn_pages_new(o->scratch_room + ALIGN);
    o->chunks = calloc((size_t)o->chunk_count + 1, sizeof *o->chunks);
    o->sums = calloc((size_t)sums + 1, sizeof *o->sums);
    if (!o->state || !o->scratch || !o->blocks || !o->chunks || !o->sums)
        return false;
    lay_out_state(o, o->state);
    lay_out_scratch(o, o->scratch, &o->scratch_shared);
    cut_gradients(o);
    return true;
}

/* AdamW's rate. If AdamW has all units, it is the optimizer's rate. */
static double fallback_rate(const tn_optim *o)
{
    int64_t own = 0;
    for (int64_t i = 0; i < o->count; i++)
        own += !o->members[i].left_over;
    return own ? o->hyper[TN_FALLBACK_LR] : o->hyper[0];
}

int tn_units_fill(tn_optim *o, const tn_optim_options *options, tn_error *e)
{
    o->members = calloc((size_t)tn_params_count(o->params) + 1, sizeof *o->members);
    if (!o->members)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", o->def->name);
    for (int64_t i = 0; i < tn_params_count(o->params) && !e->code; i++) {
        const tn_param *a = tn_params_at(o->params, i);
        if (strlen(a->name) > MOST_NAME)
            tn_fail(e, TN_EARG,
                    "%.60s...: the name of a weight has %zu letters; expected at most %d", a->name,
                    strlen(a->name), MOST_NAME);
        else if (a->w->wants_grad && set_unit(o, &o->members[o->count], a, options, e)) {
            o->members[o->count].unit.context = o->context;
            o->members[o->count].unit.wide = strcmp(tn_context_isa(o->context), "scalar") != 0;
            o->count++;
        }
    }
    o->fallback[0] = fallback_rate(o);
    if (!e->code && !tn_groups_fill(o, options->groups, e) && !take_memory(o))
        tn_fail(e, TN_ENOMEM, "%s: out of memory for %zu bytes of state", o->def->name,
                o->state_bytes);
    return e->code;
}

void tn_units_free(tn_optim *o)
{
    for (int64_t i = 0; i < o->count; i++)
        free(o->members[i].layer);
    free(o->members);
    free(o->groups);
    free(o->blocks);
    free(o->chunks);
    free(o->sums);
    if (o->state)
        tn_pages_free(o->state, o->state_room + ALIGN);
    if (o->scratch)
        tn_pages_free(o->scratch, o->scratch_room + ALIGN);
}

bool tn_optim_state(tn_optim *o, int64_t i, tn_state_block *out)
{
    if (!o || !out || i < 0 || i >= o->block_count)
        return false;
    *out = o->blocks[i];
    return true;
}
