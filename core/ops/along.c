/* along.c - loops over one dimension of a tensor, and the sizes before, along and after it. */
#include "core/ops/ops.h"

#include <string.h>

tn_along tn_along_of(const tn_tensor *a, int64_t dim)
{
    int64_t at = dim < 0 ? dim + a->ndim : dim;
    if (at < 0 || at >= a->ndim)
        return (tn_along){ .dim = -1 };
    tn_along s = { .dim = (int)at, .outer = 1, .n = a->dim[at], .inner = 1 };
    for (int i = 0; i < at; i++)
        s.outer *= a->dim[i];
    for (int64_t i = at + 1; i < a->ndim; i++)
        s.inner *= a->dim[i];
    return s;
}

int tn_refuse_dim(tn_tape *t, const tn_node *n, int64_t dim)
{
    char shape[64];
    const tn_tensor *a = n->in[0];
    if (tn_along_of(a, dim).dim >= 0)
        return 0;
    return tn_refuse(t, n->op, TN_EARG, "%s has no dimension %lld; expected %d to %d",
                     tn_tensor_shape(a, shape), (long long)dim, -a->ndim, a->ndim - 1);
}

void tn_remove_dim(tn_tensor *out, const tn_tensor *a, int64_t dim, bool keep)
{
    int at = tn_along_of(a, dim).dim;
    tn_like(out, a);
    out->dim[at] = 1;
    if (keep || a->ndim == 1)
        return;
    out->ndim--;
    for (int i = at; i < TN_MAX_NDIM; i++)
        out->dim[i] = i + 1 < TN_MAX_NDIM ? a->dim[i + 1] : 1;
}

bool tn_same_but(const tn_tensor *a, const tn_tensor *b, int dim)
{
    bool same = a->ndim == b->ndim;
    for (int i = 0; same && i < a->ndim; i++)
        same = i == dim || a->dim[i] == b->dim[i];
    return same;
}

/* ---- threads ---- */

typedef struct lines {
    tn_along along;
    int64_t pieces; /* of the columns */
    tn_lines_body *body;
    void *arg;
} lines;

static void run_lines(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const lines *l = arg;
    for (int64_t i = from; i < to; i++) {
        int64_t first = i % l->pieces * TN_LINES;
        l->body(l->arg, i / l->pieces, first, tn_min(first + TN_LINES, l->along.inner));
    }
}

void tn_over_lines(const tn_tape *t, tn_along along, tn_lines_body *body, void *arg)
{
    lines l = { along, tn_ranges(along.inner, TN_LINES), body, arg };
    int64_t work = along.n * tn_min(along.inner, TN_LINES);
    int64_t length = tn_max(1, TN_CHUNK / tn_max(1, work));
    tn_parallel_ranges(tn_tape_context(t), along.outer * l.pieces, length, run_lines, &l);
}

/* ---- copies of rows ---- */

typedef struct moving {
    int64_t cols;
    tn_rows_at from, to;
    const tn_real *x;
    tn_real beta, *y;
} moving;

static void move_rows(void *arg, int64_t first, int64_t end, int thread)
{
    (void)thread;
    const moving *j = arg;
    const size_t bytes = (size_t)j->cols * sizeof(tn_real);
    for (int64_t r = first; r < end; r++) {
        tn_real *y = j->y + j->to.at + r * j->to.ld;
        const tn_real *x = j->x ? j->x + j->from.at + r * j->from.ld : NULL;
        if (!x)
            memset(y, 0, bytes);
        else if (j->beta == 0)
            memcpy(y, x, bytes);
        else
            for (int64_t c = 0; c < j->cols; c++)
                y[c] += x[c];
    }
}

void tn_move(tn_tape *t, int64_t rows, int64_t cols, const tn_real *x, tn_rows_at from,
             tn_real beta, tn_real *y, tn_rows_at to)
{
    moving j = { cols, from, to, x, beta, y };
    if (cols)
        tn_over_rows(t, rows, cols, move_rows, &j);
}
