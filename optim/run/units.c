/* units.c - which weights belong together, and the memory of their state.
   Pairs are found by name: LAYER.lora_A.weight (R,in) with LAYER.lora_B.weight (out,R). */
#include "core/arena.h"
#include "optim/balora.h"
#include "optim/run/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 15, ALIGN = 64, MOST_NAME = 240 }; /* names of state blocks have 255 */

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

size_t tn_unit_bytes(const tn_unit *u)
{
    if (!u)
        return 0;
    int64_t n =
        u->f[0].n > u->f[1].n ? u->f[0].n : u->f[1].n; /* 0 in the f[1] of a single weight */
    return (size_t)n * sizeof(tn_real);
}

double *tn_scratch_take(tn_scratch *s, int64_t n)
{
    if (!s)
        return NULL;
    double *piece = s->memory ? (double *)(s->memory + s->used) : NULL;
    s->used += (size_t)n * sizeof *piece;
    return piece;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && !strcmp(name + n - m, suffix);
}

static const tn_param *partner(const tn_params *p, const char *layer, const char *suffix)
{
    char name[MOST_NAME + 1];
    snprintf(name, sizeof name, "%s%s", layer, suffix);
    const tn_param *other = tn_params_find(p, name);
    return other && other->w->wants_grad ? other : NULL;
}

static void set_factor(tn_member *m, int i, const tn_param *a, bool decay_all)
{
    const tn_tensor *w = a->w;
    int64_t n = tn_tensor_count(w), cols = w->dim[w->ndim - 1];
    m->w[i] = a->w;
    m->unit.f[i] = (tn_factor){ .name = a->name,
                                .rows = n / cols,
                                .cols = cols,
                                .n = n,
                                .x = w->x,
                                .g = w->g,
                                .decays = decay_all || w->ndim >= 2 };
}

bool tn_table_balances(const tn_optim *o, const tn_unit *u)
{
    return o->hyper[TN_BALORA] != 0 && u->factors == 2;
}

/* Who wants LoRA weights as pairs; NULL: nobody. */
static const char *pairs_for(const tn_optim *o)
{
    return o->def->pairs ? o->def->name : o->hyper[TN_BALORA] != 0 ? "balora" : NULL;
}

static int add_pair(tn_optim *o, tn_member *m, const tn_param *a, const tn_param *b, bool decay_all,
                    tn_error *e)
{
    char shape_a[64], shape_b[64];
    set_factor(m, 0, a, decay_all);
    set_factor(m, 1, b, decay_all);
    tn_unit *u = &m->unit;
    u->factors = 2;
    u->r = u->f[0].rows;
    u->in = u->f[0].cols;
    u->out = u->f[1].rows;
    u->s = a->lora_scale != 0 ? a->lora_scale : 1;
    m->def = o->def;
    u->h = o->hyper;
    if (u->f[1].cols != u->r)
        return tn_fail(e, TN_ESHAPE, "%s: lora_A is %s and lora_B %s; expected (R,in) and (out,R)",
                       m->layer, tn_tensor_shape(a->w, shape_a), tn_tensor_shape(b->w, shape_b));
    if (u->r > u->in || u->r > u->out)
        return tn_fail(e, TN_ESHAPE,
                       "%s: rank %lld is above min(in, out) = min(%lld, %lld), which %s cannot use",
                       m->layer, (long long)u->r, (long long)u->in, (long long)u->out,
                       pairs_for(o));
    return TN_OK;
}

/* The unit that begins with the trained weight `a`. Of a pair it begins with lora_A; lora_B is
   passed over, and so returns false. */
static bool add_unit(tn_optim *o, tn_member *m, const tn_param *a, bool decay_all, tn_error *e)
{
    static const char *const suffix[] = { ".lora_A.weight", ".lora_B.weight" };
    int half = !pairs_for(o)                   ? -1
               : ends_with(a->name, suffix[0]) ? 0
               : ends_with(a->name, suffix[1]) ? 1
                                               : -1;
    bool falls_back = o->def->pairs || (o->def->matrices && a->w->ndim < 2);
    *m = (tn_member){ 0 };
    if (half < 0) {
        set_factor(m, 0, a, decay_all);
        m->unit.factors = 1;
        m->def = falls_back ? tn_optim_find("adamw") : o->def;
        m->unit.h = falls_back ? o->fallback : o->hyper;
        return true;
    }
    m->layer = strndup(a->name, strlen(a->name) - strlen(suffix[half]));
    const tn_param *other = m->layer ? partner(o->params, m->layer, suffix[1 - half]) : NULL;
    if (!m->layer)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", a->name);
    else if (!other)
        tn_fail(e, TN_EARG, "%s: its partner %s%s is not trained; %s needs both", a->name, m->layer,
                suffix[1 - half], pairs_for(o));
    else if (half == 0)
        add_pair(o, m, a, other, decay_all, e);
    if (half == 0 && !e->code)
        return true;
    free(m->layer);
    return false;
}

/* How many numbers of which type a block of state has. */
/* clang-format off */
typedef struct extent { int64_t n; bool real, of_weight; } extent; /* of_weight: else of the unit */
/* clang-format on */

/* Block k of slot s; n = 0: there is no such block. */
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
    case TN_SCALAR: /* optimizers that know no pairs have one of each weight, in a pair too */
        return (extent){ k && m->def->pairs ? 0 : 1, false, !m->def->pairs };
    default: return (extent){ 0 };
    }
}

static size_t bytes_of(extent e)
{
    return (size_t)e.n * (e.real ? sizeof(tn_real) : sizeof(double));
}

/* Hands out `state`; without memory yet (NULL) it only counts. */
static void lay_out_state(tn_optim *o, char *state)
{
    o->state_room = o->state_bytes = 0;
    for (int64_t i = 0; i < o->count; i++) {
        tn_member *m = &o->members[i];
        for (int s = 0; s < TN_MAX_SLOTS && m->def->slots[s].kind; s++)
            for (int k = 0; k < 2; k++) {
                size_t bytes = bytes_of(extent_of(m, s, k));
                m->unit.slot[s][k] = state && bytes ? state + o->state_room : NULL;
                o->state_room += aligned(bytes);
                o->state_bytes += bytes;
            }
    }
}

/* A unit that keeps its scratch has its own; the others share one area a thread, which unit.memory
   gets at every step. The first `threads` areas are those. */
static size_t lay_out_scratch(tn_optim *o, char *scratch, size_t *shared)
{
    *shared = 0;
    for (int64_t i = 0; i < o->count; i++) {
        const tn_member *m = &o->members[i];
        size_t bytes =
            m->def->scratch && !m->def->keeps_scratch ? aligned(m->def->scratch(&m->unit)) : 0;
        *shared = bytes > *shared ? bytes : *shared;
        bytes = tn_table_balances(o, &m->unit) ? aligned(tn_balance_bytes(&m->unit)) : 0;
        *shared = bytes > *shared ? bytes : *shared;
    }
    size_t room = *shared * (size_t)tn_context_threads(o->context);
    for (int64_t i = 0; i < o->count; i++) {
        tn_member *m = &o->members[i];
        if (!m->def->scratch || !m->def->keeps_scratch)
            continue;
        m->unit.memory = scratch ? scratch + room : NULL;
        room += aligned(m->def->scratch(&m->unit));
    }
    return room;
}

static void cut_pieces(tn_optim *o)
{
    int64_t n = 0;
    for (int64_t i = 0; i < o->count; i++)
        for (int k = 0; k < o->members[i].unit.factors; k++)
            for (int64_t from = 0, size = o->members[i].unit.f[k].n; from < size;
                 from += PIECE, n++)
                if (o->pieces)
                    o->pieces[n] =
                        (tn_gradient_part){ i, k, from, size - from < PIECE ? size - from : PIECE };
    o->piece_count = n;
}

/* Of the weights of a sketch the state is only counted. */
static bool take_memory(tn_optim *o)
{
    lay_out_state(o, NULL);
    if (tn_params_is_sketch(o->params))
        return true;
    o->scratch_room = lay_out_scratch(o, NULL, &o->scratch_shared);
    cut_pieces(o);
    int64_t sums = o->piece_count > o->count ? o->piece_count : o->count;
    o->state = tn_block_new(o->state_room + ALIGN);
    o->scratch = tn_block_new(o->scratch_room + ALIGN);
    o->pieces = calloc((size_t)o->piece_count + 1, sizeof *o->pieces);
    o->sums = calloc((size_t)sums + 1, sizeof *o->sums);
    if (!o->state || !o->scratch || !o->pieces || !o->sums)
        return false;
    lay_out_state(o, o->state);
    lay_out_scratch(o, o->scratch, &o->scratch_shared);
    cut_pieces(o);
    return true;
}

/* Where nothing is the optimizer's own, AdamW has its rate. */
static double fallback_rate(const tn_optim *o)
{
    int64_t own = 0;
    for (int64_t i = 0; i < o->count; i++)
        own += o->members[i].unit.h == o->hyper;
    return own ? o->hyper[TN_FALLBACK_LR] : o->hyper[0];
}

int tn_table_fill(tn_optim *o, const tn_optim_options *options, tn_error *e)
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
        else if (a->w->wants_grad && add_unit(o, &o->members[o->count], a, options->decay_all, e)) {
            o->members[o->count].unit.context = o->context;
            o->members[o->count].unit.wide = strcmp(tn_context_isa(o->context), "scalar") != 0;
            o->count++;
        }
    }
    o->fallback[0] = fallback_rate(o);
    if (!e->code && !take_memory(o))
        tn_fail(e, TN_ENOMEM, "%s: out of memory for %zu bytes of state", o->def->name,
                o->state_bytes);
    return e->code;
}

void tn_table_free(tn_optim *o)
{
    for (int64_t i = 0; i < o->count; i++)
        free(o->members[i].layer);
    free(o->members);
    free(o->pieces);
    free(o->sums);
    if (o->state)
        tn_block_free(o->state, o->state_room + ALIGN);
    if (o->scratch)
        tn_block_free(o->scratch, o->scratch_room + ALIGN);
}

/* A block of a weight carries its name, one of a pair that of its layer. */
static const char *name_of(const tn_member *m, const tn_slot *slot, extent e, int k)
{
    int factor = slot->kind == TN_LIKE_B ? 1 : k;
    return e.of_weight || !m->layer ? m->unit.f[factor].name : m->layer;
}

bool tn_optim_state(tn_optim *o, int64_t i, tn_state_block *out)
{
    if (!o || !out || i < 0)
        return false;
    for (int64_t j = 0; j < o->count; j++) {
        const tn_member *m = &o->members[j];
        for (int s = 0; s < TN_MAX_SLOTS && m->def->slots[s].kind; s++)
            for (int k = 0; k < 2; k++) {
                const tn_slot *slot = &m->def->slots[s];
                extent e = extent_of(m, s, k);
                if (!e.n || i-- > 0)
                    continue;
                out->real = e.real;
                out->n = e.n;
                out->data = m->unit.slot[s][k];
                snprintf(out->name, sizeof out->name, "%s.%s", slot->name, name_of(m, slot, e, k));
                return true;
            }
    }
    return false;
}
