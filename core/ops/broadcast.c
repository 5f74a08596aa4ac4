/* broadcast.c - repeats operands that are smaller than the result, TN_BLOCK numbers at a time. */
#include "core/ops/broadcast.h"

#include <string.h>

/* ---- shapes ---- */

/* Dimension i, counted from the last one, which is 0. 1 if there is none. */
static int64_t from_last(const tn_tensor *a, int i)
{
    return i < a->ndim ? a->dim[a->ndim - 1 - i] : 1;
}

bool tn_repeats(const tn_tensor *a, const tn_tensor *out, tn_repeated *o)
{
    int i = 0;
    *o = (tn_repeated){ .x = a->x, .count = 1, .inner = 1 };
    if (a->dtype == TN_I32)
        o->ids = a->i;
    for (; i < out->ndim && from_last(a, i) == 1; i++)
        o->inner *= from_last(out, i);
    for (; i < out->ndim && from_last(a, i) == from_last(out, i); i++)
        o->count *= from_last(out, i);
    for (; i < out->ndim && from_last(a, i) == 1;)
        i++;
    return i == out->ndim;
}

int tn_broadcast_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    tn_repeated o;
    int ndim = 0;
    for (int k = 0; k < n->op->inputs; k++)
        ndim = n->in[k]->ndim > ndim ? n->in[k]->ndim : ndim;
    tn_shape_of(out, ndim, 1, 1, 1, 1);
    for (int k = 0; k < n->op->inputs; k++)
        for (int i = 0; i < ndim; i++)
            if (from_last(n->in[k], i) != 1)
                out->dim[ndim - 1 - i] = from_last(n->in[k], i);
    for (int k = 0; k < n->op->inputs; k++)
        if (!tn_repeats(n->in[k], out, &o))
            return tn_refuse_shapes(t, n);
    return 0;
}

/* ---- blocks ---- */

static void copy(const tn_repeated *o, int64_t at, int64_t n, tn_real *to)
{
    for (int64_t i = 0; o->ids && i < n; i++)
        to[i] = (tn_real)o->ids[at + i];
    if (!o->ids)
        memcpy(to, o->x + at, (size_t)n * sizeof *to);
}

static void write_out(const tn_repeated *o, int64_t i, int64_t n, tn_real *to)
{
    int64_t at = i / o->inner % o->count, left = o->inner - i % o->inner;
    for (int64_t k = 0, run; k < n; k += run, left = o->inner) {
        run = tn_min(o->inner == 1 ? o->count - at : left, n - k);
        copy(o, at, o->inner == 1 ? run : 1, to + k);
        for (int64_t l = 1; o->inner > 1 && l < run; l++)
            to[k + l] = to[k];
        at = o->inner > 1 && at + 1 < o->count ? at + 1 : 0;
    }
}

const tn_real *tn_repeated_block(const tn_repeated *o, int64_t i, int64_t n, tn_written *w)
{
    const int64_t at = o->count > 1 ? i % (o->count * o->inner) : 0;
    if (!o->ids && o->inner == 1 && at + n <= o->count)
        return o->x + at;
    if (w->at != at || w->n < n) {
        write_out(o, i, n, w->x);
        w->at = at;
        w->n = n;
    }
    return w->x;
}
