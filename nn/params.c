/* params.c - a named set of weights, in the order they were added. */
#include "nn/model.h"
#include "nn/source.h"

#include "core/context.h"
#include "core/op.h"
#include "data/formats/file.h"
#include "data/formats/hash.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

struct tn_params {
    int users; /* its maker and optimizers; the last of them frees it */
    tn_context *context;
    tn_param **all;       /* each has its own memory, so its address never changes */
    int64_t count;        /* weights of the set, all[0..count) */
    int64_t kept;         /* then all[count..kept): removed, but an optimizer still uses them */
    int64_t room;         /* a power of two */
    tn_param **table;     /* finds the weights of the set by their names: 2 * room places */
    bool sketch;          /* no weight has memory */
    tn_reading reading;   /* how weights that are added get their values */
    tn_adapter *adapters; /* those of tn_lora_add_layer; the newest is first */
    uint64_t description; /* hash of the description; 0: no description */
    tn_error error;
};

tn_params *tn_params_new(tn_context *c)
{
    tn_params *p = c ? calloc(1, sizeof *p) : NULL;
    if (p) {
        tn_context_hold(c);
        p->users = 1;
        p->context = c;
    }
    return p;
}

tn_params *tn_params_sketch(tn_context *c)
{
    tn_params *p = tn_params_new(c);
    if (p)
        p->sketch = true;
    return p;
}

void tn_params_read(tn_params *p, tn_reading r)
{
    p->reading = r;
}

bool tn_params_has_source(const tn_params *p)
{
    return p && p->reading.source;
}

bool tn_params_is_sketch(const tn_params *p)
{
    return p && p->sketch;
}

static void free_param(tn_param *a)
{
    if (!a)
        return;
    free((char *)a->name);
    tn_tensor_free(a->w);
    free(a);
}

void tn_params_hold(tn_params *p)
{
    p->users++;
}

void tn_params_free(tn_params *p)
{
    if (!p || --p->users > 0)
        return;
    for (int64_t i = 0; i < p->kept; i++)
        free_param(p->all[i]);
    while (p->adapters) {
        tn_adapter *a = p->adapters;
        p->adapters = a->made_before;
        free(a);
    }
    free(p->all);
    free(p->table);
    tn_context_free(p->context);
    free(p);
}

/* ---- the table of names ----

   The hash of its name gives the place of a weight. If that is taken, the weight is at the first
   free place after it. At least half of the places are free, so a search is short. Without the
   table, names were compared one by one: a model of 50,000 weights took 30 s to build. */

/* The place of this name. The place is free if no weight has the name. */
static tn_param **place_of(const tn_params *p, const char *name)
{
    uint64_t mask = 2 * (uint64_t)p->room - 1, i = tn_stream(name) & mask;
    while (p->table[i] && strcmp(p->table[i]->name, name))
        i = (i + 1) & mask;
    return &p->table[i];
}

/* Removes a weight. It may have pushed the weights after it from their places, so these are placed
   again, up to the next free place. */
static void forget(tn_params *p, const char *name)
{
    uint64_t mask = 2 * (uint64_t)p->room - 1;
    tn_param **place = place_of(p, name);
    *place = NULL;
    for (uint64_t i = (uint64_t)(place - p->table + 1) & mask; p->table[i]; i = (i + 1) & mask) {
        tn_param *a = p->table[i];
        p->table[i] = NULL;
        *place_of(p, a->name) = a;
    }
}

static bool make_room(tn_params *p)
{
    if (p->kept < p->room)
        return true;
    int64_t room = p->room ? 2 * p->room : 64;
    tn_param **all = realloc(p->all, (size_t)room * sizeof(tn_param *));
    if (!all)
        return false;
    p->all = all;
    tn_param **table = calloc(2 * (size_t)room, sizeof(tn_param *));
    if (!table)
        return false;
    free(p->table);
    p->table = table;
    p->room = room;
    for (int64_t i = 0; i < p->count; i++)
        *place_of(p, all[i]->name) = all[i];
    return true;
}

/* Adds a weight. A frozen one may have another type than TN_REAL if `typed`. */
static tn_tensor *add(tn_params *p, const char *name, int ndim, const int64_t dim[], bool typed)
{
    if (!p || tn_given(&p->error, name && dim, "tn_params_add"))
        return NULL;
    if (tn_params_find(p, name)) {
        tn_fail(&p->error, TN_EARG, "%s: there is a weight of this name already", name);
        return NULL;
    }
    if (!tn_shape_is_sane(ndim, dim)) {
        tn_fail(&p->error, TN_ESHAPE,
                "%s: expected 1 to %d dimensions from 1, at most 2^40 numbers", name, TN_MAX_NDIM);
        return NULL;
    }
    tn_param *a = make_room(p) ? calloc(1, sizeof *a) : NULL;
    if (a) {
        a->name = strdup(name);
        a->w =
            tn_source_weight(p->context, &p->reading, name, ndim, dim, typed, p->sketch, &p->error);
    }
    if (!a || !a->name || !a->w) {
        free_param(a);
        tn_fail(&p->error, TN_ENOMEM, "%s: out of memory for this weight", name);
        return NULL;
    }
    p->all[p->kept++] = p->all[p->count];
    p->all[p->count++] = a;
    *place_of(p, name) = a;
    return a->w;
}

tn_tensor *tn_params_add(tn_params *p, const char *name, int ndim, const int64_t dim[])
{
    return add(p, name, ndim, dim, false);
}

tn_tensor *tn_params_add_matrix(tn_params *p, const char *name, int64_t rows, int64_t cols)
{
    return add(p, name, 2, (int64_t[]){ rows, cols }, true);
}

void tn_params_remove(tn_params *p, int64_t i)
{
    tn_param *a = p->all[i];
    forget(p, a->name);
    memmove(p->all + i, p->all + i + 1, (size_t)(p->kept - i - 1) * sizeof(tn_param *));
    p->all[p->kept - 1] = a;
    p->count--;
    tn_tensor_freeze(a->w);
    if (p->users > 1)
        return;
    p->kept--;
    free_param(a);
}

tn_adapter *tn_params_add_adapter(tn_params *p)
{
    tn_adapter *a = calloc(1, sizeof *a);
    if (a) {
        a->made_before = p->adapters;
        p->adapters = a;
    }
    return a;
}

void tn_params_cut(tn_params *p, int64_t count)
{
    while (p->count > count)
        tn_params_remove(p, p->count - 1);
    p->error = (tn_error){ 0 };
}

tn_context *tn_params_context(const tn_params *p)
{
    return p ? p->context : NULL;
}

int64_t tn_params_count(const tn_params *p)
{
    return p ? p->count : 0;
}

tn_param *tn_params_at(const tn_params *p, int64_t i)
{
    return p && i >= 0 && i < p->count ? p->all[i] : NULL;
}

tn_param *tn_params_find(const tn_params *p, const char *name)
{
    return p && name && p->room ? *place_of(p, name) : NULL;
}

const char *tn_params_name(const tn_params *p, const tn_tensor *w)
{
    for (int64_t i = 0; p && w && i < p->count; i++)
        if (p->all[i]->w == w)
            return p->all[i]->name;
    return NULL;
}

int64_t tn_params_freeze(tn_params *p, const char *pattern)
{
    if (!p || !pattern)
        return 0;
    int64_t matched = 0;
    for (int64_t i = 0; i < p->count; i++) {
        if (fnmatch(pattern, p->all[i]->name, 0))
            continue;
        matched++;
        tn_tensor_freeze(p->all[i]->w);
    }
    return matched;
}

static int64_t count_numbers(const tn_params *p, bool trained_only)
{
    if (!p)
        return 0;
    int64_t n = 0;
    for (int64_t i = 0; i < p->count; i++)
        if (p->all[i]->w->wants_grad || !trained_only)
            n += tn_tensor_count(p->all[i]->w);
    return n;
}

int64_t tn_params_trained(const tn_params *p)
{
    return count_numbers(p, true);
}

int64_t tn_params_size(const tn_params *p)
{
    return count_numbers(p, false);
}

const tn_error *tn_params_error(const tn_params *p)
{
    static const tn_error none = { TN_EARG, "there are no params: NULL" };
    return p ? &p->error : &none;
}

const char *tn_params_not_finite(const tn_params *p)
{
    if (!p)
        return NULL;
    double value;
    for (int64_t i = 0; i < p->count; i++) {
        const tn_tensor *w = p->all[i]->w;
        int64_t n = w->dtype == TN_REAL && w->x ? tn_tensor_count(w) : 0;
        if (tn_not_finite(tn_file_real(), w->x, n, &value) < n)
            return p->all[i]->name;
    }
    return NULL;
}

/* Adds the numbers of a weight to a hash as those of a TN_REAL: a hash does not depend on how the
   weight is kept. */
static uint64_t hash_numbers(const tn_tensor *w, tn_bulk_hash *bulk, uint64_t h)
{
    enum { PIECE = 512 };
    tn_real piece[PIECE];
    const int64_t count = w->data ? tn_tensor_count(w) : 0;
    for (int64_t from = 0, n; from < count; from += n) {
        const bool real = w->dtype == TN_REAL;
        n = real || count - from < PIECE ? count - from : PIECE;
        if (!real)
            tn_widen(w->dtype, w->data, from, n, piece);
        const tn_real *x = real ? w->x : piece;
        if (bulk)
            tn_bulk_hash_add(bulk, x, (size_t)n * sizeof *x);
        else
            h = tn_hash64(x, (size_t)n * sizeof *x, h);
    }
    return h;
}

uint64_t tn_params_hash(const tn_params *p, bool trained_only)
{
    if (!p)
        return 0;
    uint64_t h = 0;
    for (int64_t i = 0; i < p->count; i++) {
        const tn_param *a = p->all[i];
        if (trained_only && !a->w->wants_grad)
            continue;
        h = tn_hash64(a->name, strlen(a->name) + 1, h);
        h = tn_hash64(a->w->dim, (size_t)a->w->ndim * sizeof a->w->dim[0], h);
        h = hash_numbers(a->w, NULL, h);
    }
    return h;
}

void tn_params_describe(tn_params *p, const char *text)
{
    if (!p || !text)
        return;
    p->description = tn_hash_bulk(text, strlen(text), 0);
}

uint64_t tn_params_digest(const tn_params *p, bool trained)
{
    if (!p)
        return 0;
    uint64_t h = 0;
    for (int64_t i = 0; i < p->count; i++) {
        const tn_param *a = p->all[i];
        if (a->w->wants_grad != trained)
            continue;
        int64_t kind[2 + TN_MAX_NDIM] = { TN_REAL, a->w->ndim };
        memcpy(kind + 2, a->w->dim, sizeof a->w->dim);
        h = tn_hash_bulk(a->name, strlen(a->name), h);
        h = tn_hash_bulk(kind, sizeof kind, h);
        tn_bulk_hash numbers = tn_bulk_hash_start(h);
        hash_numbers(a->w, &numbers, 0);
        h = tn_bulk_hash_end(&numbers);
    }
    return h;
}

tn_base tn_params_base(const tn_params *p)
{
    if (!p)
        return (tn_base){ 0 };
    tn_base b = { .config = p->description, .frozen = tn_params_digest(p, false) };
    for (int64_t i = 0; i < p->count; i++)
        b.config = tn_hash_bulk(&p->all[i]->lora_scale, sizeof p->all[i]->lora_scale, b.config);
    return b;
}
