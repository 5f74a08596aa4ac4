/* gather.c - gather, masked_fill, one_hot: integers choose elements.

       gather:       y[o][k][j] = a[o][ids[o][k][j]][j]        da[o][ids[o][k][j]][j] += dy[o][k][j]
       masked_fill:  y = value where the mask is not 0, else a;  da = dy where the mask is 0
       one_hot:      y[i][c] = 1 where c = ids[i], else 0

   o, k and j are the indices before, along and after the dimension. embed gathers whole rows. */
#include "core/ops/ops.h"

#include <string.h>

typedef struct job {
    tn_along a, y; /* (outer, n, inner) of the operand and of the result */
    const int32_t *ids;
    int64_t mask; /* elements of the mask */
    const tn_real *x;
    tn_real value, beta, *to;
} job;

/* ---- gather: a, ids; attr.i[0] is the dimension ---- */

static int gather_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *a = n->in[0], *ids = n->in[1];
    if (tn_refuse_dim(t, n, n->attr.i[0]))
        return tn_tape_code(t);
    tn_along all = tn_along_of(a, n->attr.i[0]);
    if (!tn_same_but(a, ids, all.dim))
        return tn_refuse_shapes(t, n);
    for (int64_t i = 0, count = tn_tensor_count(ids); i < count; i++)
        if (ids->i[i] < 0 || ids->i[i] >= all.n)
            return tn_refuse(t, n->op, TN_EARG, "id %d at position %lld; expected 0 to %lld",
                             ids->i[i], (long long)i, (long long)all.n - 1);
    tn_like(out, ids);
    return 0;
}

static void gather_lines(void *arg, int64_t outer, int64_t from, int64_t to)
{
    const job *j = arg;
    const int64_t inner = j->a.inner;
    const tn_real *x = j->x + outer * j->a.n * inner; // (n, inner)
    for (int64_t k = 0; k < j->y.n; k++) {
        const int64_t row = (outer * j->y.n + k) * inner;
        for (int64_t c = from; c < to; c++)
            j->to[row + c] = x[j->ids[row + c] * inner + c];
    }
}

/* The same for inner 1: the last dimension. */
static void gather_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t r = from; r < to; r++) {
        const tn_real *x = j->x + r * j->a.n;
        const int32_t *ids = j->ids + r * j->y.n;
        tn_real *y = j->to + r * j->y.n;
        for (int64_t k = 0; k < j->y.n; k++)
            y[k] = x[ids[k]];
    }
}

static void gather_forward(tn_tape *t, tn_node *n)
{
    job j = { .a = tn_along_of(n->in[0], n->attr.i[0]),
              .y = tn_along_of(n->out, n->attr.i[0]),
              .ids = n->in[1]->i,
              .x = n->in[0]->x,
              .to = n->out->x };
    if (j.a.inner == 1)
        tn_over_rows(t, j.y.outer, j.y.n, gather_rows, &j);
    else
        tn_over_lines(t, j.y, gather_lines, &j);
}

/* No other task adds to these columns. Within them the order is that of k. */
static void scatter_lines(void *arg, int64_t outer, int64_t from, int64_t to)
{
    const job *j = arg;
    const int64_t inner = j->a.inner;
    tn_real *da = j->to + outer * j->a.n * inner; // (n, inner)
    for (int64_t k = 0; k < j->a.n && j->beta == 0; k++)
        memset(da + k * inner + from, 0, (size_t)(to - from) * sizeof *da);
    for (int64_t k = 0; k < j->y.n; k++) {
        const int64_t row = (outer * j->y.n + k) * inner;
        for (int64_t c = from; c < to; c++)
            da[j->ids[row + c] * inner + c] += j->x[row + c];
    }
}

static void scatter_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t r = from; r < to; r++) {
        const tn_real *dy = j->x + r * j->y.n;
        const int32_t *ids = j->ids + r * j->y.n;
        tn_real *da = j->to + r * j->a.n;
        if (j->beta == 0)
            memset(da, 0, (size_t)j->a.n * sizeof *da);
        for (int64_t k = 0; k < j->y.n; k++)
            da[ids[k]] += dy[k];
    }
}

void tn_scatter(tn_tape *t, tn_along a, int64_t n, const int32_t *ids, const tn_real *dy,
                tn_real beta, tn_real *da)
{
    job j = { .a = a, .y = a, .ids = ids, .x = dy, .beta = beta, .to = da };
    j.y.n = n;
    if (a.inner == 1)
        tn_over_rows(t, a.outer, a.n + n, scatter_rows, &j);
    else
        tn_over_lines(t, a, scatter_lines, &j);
}

/* y[o][k][j] = a[o][ids[o][k][j]][j] */
static void gather_backward(tn_tape *t, const tn_node *n)
{
    tn_real beta, *da = tn_grad(t, n, 0, &beta);
    if (da)
        tn_scatter(t, tn_along_of(n->in[0], n->attr.i[0]), tn_along_of(n->out, n->attr.i[0]).n,
                   n->in[1]->i, n->out->g, beta, da);
}

/* clang-format off */
const tn_op tn_op_gather = { .name = "gather", .inputs = 2, .ids = 2, .rows = 3,
    .shape = gather_shape, .forward = gather_forward, .backward = gather_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1 }, { 1 } }, .ids = 1 },
        { .in = { { 4, 3 }, { 9, 3 } }, .ids = 4, .mixed = true },
        { .in = { { 3, 5 }, { 3, 2 } }, .attr = { .i = { 1 } }, .ids = 5 },
        { .in = { { 2, 4, 3 }, { 2, 7, 3 } }, .attr = { .i = { 1 } }, .ids = 4 },
        { .in = { { 2, 2, 2, 6 }, { 2, 2, 2, 1 } }, .attr = { .i = { -1 } }, .ids = 6 },
        { .in = { { 3, 700 }, { 2, 700 } }, .ids = 3, .mixed = true },
        { .in = { { 1024, 1024 }, { 1024, 1024 } }, .attr = { .i = { 1 } }, .ids = 1024, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 }, { 3, 3 } }, .attr = { .i = { 1 } }, .ids = 3 }, "gather: shapes do not fit: (2,3) (3,3)" },
        { { .in = { { 2, 3 }, { 2 } }, .ids = 2 }, "gather: shapes do not fit: (2,3) (2)" },
        { { .in = { { 2, 3 }, { 2, 1 } }, .attr = { .i = { 1 } }, .ids = 4 }, "gather: id 3 at position 0; expected 0 to 2" },
        { { .in = { { 2, 3 }, { 2, 3 } }, .ids = 1, .negative_ids = true },
          "gather: id -1 at position 0; expected 0 to 1" },
        { { .in = { { 2, 3 }, { 2, 3 } }, .attr = { .i = { 2 } }, .ids = 2 },
          "gather: (2,3) has no dimension 2; expected -2 to 1" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_gather(tn_tape *t, tn_tensor *a, tn_tensor *ids, int dim)
{
    return tn_apply(t, &tn_op_gather, (tn_tensor *[]){ a, ids }, (tn_attr){ .i = { dim } });
}

/* ---- masked_fill: a, mask; attr.r[0] is the value ---- */

static int masked_fill_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *a = n->in[0], *mask = n->in[1];
    bool fits = mask->ndim <= a->ndim;
    for (int i = 1; fits && i <= mask->ndim; i++)
        fits = mask->dim[mask->ndim - i] == a->dim[a->ndim - i];
    if (!fits)
        return tn_refuse_shapes(t, n);
    tn_like(out, a);
    return 0;
}

static void fill_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    const tn_real value = j->value;
    for (int64_t i = from, n; i < to; i += n) {
        const int32_t *mask = j->ids + i % j->mask;
        const tn_real *x = j->x + i;
        tn_real *y = j->to + i;
        n = tn_min(j->mask - i % j->mask, to - i);
        for (int64_t k = 0; k < n; k++) {
            tn_real kept = x[k]; /* always read: the compiler then needs no branch */
            tn_accumulate(&y[k], j->beta, mask[k] ? value : kept);
        }
    }
}

static void masked_fill_forward(tn_tape *t, tn_node *n)
{
    job j = { .ids = n->in[1]->i,
              .mask = tn_tensor_count(n->in[1]),
              .x = n->in[0]->x,
              .value = (tn_real)n->attr.r[0],
              .to = n->out->x };
    tn_over_elements(t, tn_tensor_count(n->out), fill_range, &j);
}

/* y = value where the mask is not 0, else a */
static void masked_fill_backward(tn_tape *t, const tn_node *n)
{
    job j = { .ids = n->in[1]->i, .mask = tn_tensor_count(n->in[1]), .x = n->out->g };
    j.to = tn_grad(t, n, 0, &j.beta);
    if (j.to)
        tn_over_elements(t, tn_tensor_count(n->out), fill_range, &j);
}

/* clang-format off */
const tn_op tn_op_masked_fill = { .name = "masked_fill", .inputs = 2, .ids = 2, .rows = 3,
    .shape = masked_fill_shape, .forward = masked_fill_forward, .backward = masked_fill_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1 }, { 1 } }, .attr = { .r = { 2 } }, .ids = 1 },
        { .in = { { 3, 5 }, { 3, 5 } }, .attr = { .r = { -7 } }, .ids = 2 },
        { .in = { { 4, 3 }, { 3 } }, .ids = 2, .mixed = true },
        { .in = { { 2, 3, 4, 5 }, { 4, 5 } }, .attr = { .r = { 0.5 } }, .ids = 2, .negative_ids = true, .mixed = true },
        { .in = { { 2, 3, 4 }, { 2, 3, 4 } }, .attr = { .r = { 1 } }, .ids = 3 },
        { .in = { { 1024, 1024 }, { 1024, 1024 } }, .attr = { .r = { -1 } }, .ids = 2, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 }, { 2 } }, .ids = 2 }, "masked_fill: shapes do not fit: (2,3) (2)" },
        { { .in = { { 3 }, { 1, 3 } }, .ids = 2 }, "masked_fill: shapes do not fit: (3) (1,3)" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_masked_fill(tn_tape *t, tn_tensor *a, tn_tensor *mask, double value)
{
    return tn_apply(t, &tn_op_masked_fill, (tn_tensor *[]){ a, mask }, (tn_attr){ .r = { value } });
}

/* ---- one_hot: attr.i[0] is the number of classes ---- */

static int one_hot_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *ids = n->in[0];
    const int64_t classes = n->attr.i[0];
    if (ids->ndim == TN_MAX_NDIM)
        return tn_refuse_shapes(t, n);
    if (classes < 1)
        return tn_refuse(t, n->op, TN_EARG, "%lld classes; expected at least 1",
                         (long long)classes);
    for (int64_t i = 0, count = tn_tensor_count(ids); i < count; i++)
        if (ids->i[i] >= classes)
            return tn_refuse(t, n->op, TN_EARG, "id %d at position %lld; expected less than %lld",
                             ids->i[i], (long long)i, (long long)classes);
    tn_like(out, ids);
    out->dim[out->ndim++] = classes;
    return 0;
}

static void hot_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    memset(j->to + from * j->y.n, 0, (size_t)((to - from) * j->y.n) * sizeof *j->to);
    for (int64_t r = from; r < to; r++)
        if (j->ids[r] >= 0)
            j->to[r * j->y.n + j->ids[r]] = 1;
}

static void one_hot_forward(tn_tape *t, tn_node *n)
{
    job j = { .ids = n->in[0]->i, .y = tn_along_of(n->out, -1), .to = n->out->x };
    tn_over_rows(t, j.y.outer, j.y.n, hot_rows, &j);
}

/* clang-format off */
const tn_op tn_op_one_hot = { .name = "one_hot", .inputs = 1, .ids = 1, .rows = 1,
    .shape = one_hot_shape, .forward = one_hot_forward,
    .samples = (const tn_sample[]){
        { .in = { { 1 } }, .attr = { .i = { 1 } }, .ids = 1 },
        { .in = { { 7 } }, .attr = { .i = { 5 } }, .ids = 5 },
        { .in = { { 2, 3 } }, .attr = { .i = { 4 } }, .ids = 4, .negative_ids = true },
        { .in = { { 2, 1, 3 } }, .attr = { .i = { 17 } }, .ids = 3 },
        { .in = { { 1024 } }, .attr = { .i = { 1024 } }, .ids = 1024, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 } }, .ids = 1 }, "one_hot: 0 classes; expected at least 1" },
        { { .in = { { 2, 3 } }, .attr = { .i = { 4 } }, .ids = 6 }, "one_hot: id 5 at position 0; expected less than 4" },
        { { .in = { { 1, 1, 1, 2 } }, .attr = { .i = { 4 } }, .ids = 1 }, "one_hot: shapes do not fit: (1,1,1,2)" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_one_hot(tn_tape *t, tn_tensor *ids, int64_t classes)
{
    return tn_apply(t, &tn_op_one_hot, (tn_tensor *[]){ ids }, (tn_attr){ .i = { classes } });
}
