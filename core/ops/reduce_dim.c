/* reduce_dim.c - sum, mean, maximum and index of the maximum over one dimension.

       sum_dim:  y = sum over k of a[k]          da[k] = dy
       mean_dim: y = that / n                    da[k] = dy / n
       max_dim:  y = a[argmax]                   da[argmax] = dy, 0 elsewhere
       argmax:   the first k of the largest a[k]; a NaN is larger than any number

   A sum is cut into parts of TN_TOKEN_RANGE elements. Each part starts at 0, and the parts are added
   in order. Over the last dimension a part is summed in 16 lanes (kernels.h). */
#include "core/ops/ops.h"

#include <string.h>

typedef struct job {
    const tn_kernels *kernels;
    tn_along a; /* (outer, n, inner) */
    const tn_real *x;
    tn_real divisor, beta, *y; /* the result, or the gradient that is written */
    int32_t *at;               /* the indices of the maxima */
} job;

static int dim_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    if (tn_refuse_dim(t, n, n->attr.i[0]))
        return tn_tape_code(t);
    tn_remove_dim(out, n->in[0], n->attr.i[0], n->attr.i[1] != 0);
    return 0;
}

static job job_of(tn_tape *t, const tn_node *n)
{
    return (job){ .kernels = tn_kernels_on(t),
                  .a = tn_along_of(n->in[0], n->attr.i[0]),
                  .x = n->in[0]->x,
                  .divisor = 1 };
}

static tn_tensor *apply(tn_tape *t, const tn_op *op, tn_tensor *a, int dim, bool keep)
{
    return tn_apply(t, op, (tn_tensor *[]){ a }, (tn_attr){ .i = { dim, keep } });
}

/* ---- sum_dim, mean_dim: attr.i holds the dimension and whether it is kept ---- */

static tn_real sum_of_row(const job *j, const tn_real *x)
{
    tn_real sum = 0;
    for (int64_t k = 0; k < j->a.n; k += TN_TOKEN_RANGE)
        sum += j->kernels->sum(tn_min(TN_TOKEN_RANGE, j->a.n - k), x + k);
    return sum;
}

/* y = the sums of columns [from, to), of which there are at most TN_LINES. */
static void sum_columns(const job *j, const tn_real *x, int64_t from, int64_t to, tn_real *y)
{
    const int64_t cols = to - from, inner = j->a.inner;
    const size_t bytes = (size_t)cols * sizeof *y;
    tn_real part[TN_LINES];
    memset(y, 0, bytes);
    for (int64_t first = 0; first < j->a.n; first += TN_TOKEN_RANGE) {
        int64_t end = tn_min(first + TN_TOKEN_RANGE, j->a.n);
        memset(part, 0, bytes);
        for (int64_t k = first; k < end; k++)
            j->kernels->axpy(cols, 1, x + k * inner + from, part);
        j->kernels->axpy(cols, 1, part, y);
    }
}

static void sum_lines(void *arg, int64_t outer, int64_t from, int64_t to)
{
    const job *j = arg;
    const tn_real *x = j->x + outer * j->a.n * j->a.inner; // (n, inner)
    tn_real *y = j->y + outer * j->a.inner + from;
    if (j->a.inner == 1)
        *y = sum_of_row(j, x);
    else
        sum_columns(j, x, from, to, y);
    for (int64_t c = 0; c < to - from && j->divisor != 1; c++)
        y[c] /= j->divisor;
}

static void spread_lines(void *arg, int64_t outer, int64_t from, int64_t to)
{
    const job *j = arg;
    const tn_real *dy = j->x + outer * j->a.inner;
    for (int64_t k = 0; k < j->a.n; k++) {
        tn_real *da = j->y + (outer * j->a.n + k) * j->a.inner;
        for (int64_t c = from; c < to; c++)
            tn_accumulate(&da[c], j->beta, dy[c] / j->divisor);
    }
}

/* As spread_lines, for inner 1: the last dimension. */
static void spread_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t r = from; r < to; r++) {
        const tn_real d = j->x[r] / j->divisor;
        tn_real *da = j->y + r * j->a.n;
        for (int64_t k = 0; k < j->a.n; k++)
            tn_accumulate(&da[k], j->beta, d);
    }
}

static void reduce(tn_tape *t, tn_node *n, bool mean)
{
    job j = job_of(t, n);
    j.y = n->out->x;
    j.divisor = mean ? (tn_real)j.a.n : 1;
    tn_over_lines(t, j.a, sum_lines, &j);
}

static void spread(tn_tape *t, const tn_node *n, bool mean)
{
    job j = job_of(t, n);
    j.x = n->out->g;
    j.divisor = mean ? (tn_real)j.a.n : 1;
    j.y = tn_grad(t, n, 0, &j.beta);
    if (j.y && j.a.inner == 1)
        tn_over_rows(t, j.a.outer, j.a.n, spread_rows, &j);
    else if (j.y)
        tn_over_lines(t, j.a, spread_lines, &j);
}

static void sum_forward(tn_tape *t, tn_node *n)
{
    reduce(t, n, false);
}

static void sum_backward(tn_tape *t, const tn_node *n)
{
    spread(t, n, false);
}

static void mean_forward(tn_tape *t, tn_node *n)
{
    reduce(t, n, true);
}

static void mean_backward(tn_tape *t, const tn_node *n)
{
    spread(t, n, true);
}

/* Exchanges the dimension with the last one, then multiplies by a column of ones. */
static tn_tensor *sum_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    tn_tensor *a = in[0], out = { 0 };
    int64_t n = tn_along_of(a, attr.i[0]).n;
    tn_remove_dim(&out, a, attr.i[0], attr.i[1] != 0);
    tn_tensor *rows = a->ndim > 1 ? tn_transpose(t, a, (int)attr.i[0], -1) : a;
    rows = tn_reshape(t, rows, 2, (int64_t[]){ tn_tensor_count(a) / n, n });
    tn_tensor *one = tn_tape_input(t, TN_REAL, 2, (int64_t[]){ n, 1 });
    for (int64_t i = 0; one && i < n; i++)
        one->x[i] = 1;
    tn_tensor *sums = tn_matmul(t, rows, one), turned = { 0 };
    tn_remove_dim(&turned, a, attr.i[0], true);
    int dim = tn_along_of(a, attr.i[0]).dim;
    turned.dim[dim] = turned.dim[a->ndim - 1];
    turned.dim[a->ndim - 1] = 1;
    sums = tn_transpose(t, tn_reshape(t, sums, a->ndim, turned.dim), dim, -1);
    return tn_reshape(t, sums, out.ndim, out.dim);
}

static tn_tensor *mean_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    return tn_scale(t, sum_reference(t, in, attr), 1 / (double)tn_along_of(in[0], attr.i[0]).n);
}

static const tn_sample samples[] = {
    { .in = { { 1 } } },
    { .in = { { 3, 5 } }, .attr = { .i = { 1 } } },
    { .in = { { 300, 3 } }, .attr = { .i = { 0, 1 } }, .mixed = true },
    { .in = { { 2, 3, 17 } }, .attr = { .i = { -2 } } },
    { .in = { { 2, 300, 2 } }, .attr = { .i = { 1, 1 } } },
    { .in = { { 2, 4, 3, 2 } }, .attr = { .i = { -1, 1 } } },
    { .in = { { 2, 600 } }, .attr = { .i = { -1 } } },
    { .in = { { 2, 2, 300 } }, .attr = { .i = { 1 } } },
    { .in = { { 1024, 1024 } }, .attr = { .i = { 1 } }, .bench = true },
    { .in = { { 1, 1024, 1024 } }, .attr = { .i = { 1 } }, .bench = true },
    { .in = { { 0 } } },
};

/* clang-format off */
const tn_op tn_op_sum_dim = { .name = "sum_dim", .inputs = 1, .rows = 1,
    .shape = dim_shape, .forward = sum_forward, .backward = sum_backward, .reference = sum_reference, .samples = samples,
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 } }, .attr = { .i = { 2 } } }, "sum_dim: (2,3) has no dimension 2; expected -2 to 1" },
        { .text = "" } } };
const tn_op tn_op_mean_dim = { .name = "mean_dim", .inputs = 1, .rows = 1,
    .shape = dim_shape, .forward = mean_forward, .backward = mean_backward, .reference = mean_reference, .samples = samples,
    .refusals = (const tn_refusal[]){
        { { .in = { { 4 } }, .attr = { .i = { -2 } } }, "mean_dim: (4) has no dimension -2; expected -1 to 0" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_sum_dim(tn_tape *t, tn_tensor *a, int dim, bool keep)
{
    return apply(t, &tn_op_sum_dim, a, dim, keep);
}

tn_tensor *tn_mean_dim(tn_tape *t, tn_tensor *a, int dim, bool keep)
{
    return apply(t, &tn_op_mean_dim, a, dim, keep);
}

/* ---- max_dim, argmax: the same attributes ---- */

/* True if x replaces the best number so far: it is larger, or it is the first NaN. */
static inline bool is_better(tn_real x, tn_real best)
{
    return !(x <= best) & (best == best);
}

/* The index of the largest number of a row. Only if the sum is NaN can a number be NaN. */
static int64_t largest_of_row(const job *j, const tn_real *x)
{
    const int64_t n = j->a.n;
    const tn_real max = j->kernels->max(n, x), sum = j->kernels->sum(n, x);
    for (int64_t k = 0; k < n && sum != sum; k++)
        if (x[k] != x[k])
            return k;
    int64_t k = 0;
    while (x[k] < max)
        k++;
    return k;
}

/* The same for columns [from, to) of x (n, inner). */
static void largest_of_columns(const job *j, const tn_real *x, int64_t from, int64_t to,
                               int32_t *at)
{
    tn_real best[TN_LINES];
    const int32_t n = (int32_t)j->a.n;
    const int64_t cols = to - from;
    memcpy(best, x + from, (size_t)cols * sizeof *best);
    memset(at, 0, (size_t)cols * sizeof *at);
    for (int32_t k = 1; k < n; k++) {
        const tn_real *v = x + k * j->a.inner + from;
        for (int64_t c = 0; c < cols; c++) {
            const bool better = is_better(v[c], best[c]);
            best[c] = better ? v[c] : best[c];
            at[c] = better ? k : at[c];
        }
    }
}

/* Writes the indices of the largest and, unless y is NULL, the largest numbers. */
static void largest_lines(void *arg, int64_t outer, int64_t from, int64_t to)
{
    const job *j = arg;
    const tn_real *x = j->x + outer * j->a.n * j->a.inner; // (n, inner)
    int32_t *at = j->at + outer * j->a.inner + from;
    if (j->a.inner == 1)
        *at = (int32_t)largest_of_row(j, x);
    else
        largest_of_columns(j, x, from, to, at);
    for (int64_t c = from; c < to && j->y; c++)
        j->y[outer * j->a.inner + c] = x[at[c - from] * j->a.inner + c];
}

static int largest_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    int code = dim_shape(t, n, out);
    if (!code && tn_along_of(n->in[0], n->attr.i[0]).n > INT32_MAX)
        return tn_refuse_shapes(t, n);
    return code;
}

/* Keeps the indices for backward. */
static void max_forward(tn_tape *t, tn_node *n)
{
    job j = job_of(t, n);
    j.y = n->out->x;
    j.at = tn_keep(t, (size_t)tn_tensor_count(n->out) * sizeof *j.at);
    n->saved = j.at;
    if (j.at)
        tn_over_lines(t, j.a, largest_lines, &j);
}

/* y = a[argmax] */
static void max_backward(tn_tape *t, const tn_node *n)
{
    tn_real beta, *da = tn_grad(t, n, 0, &beta);
    if (da)
        tn_scatter(t, tn_along_of(n->in[0], n->attr.i[0]), 1, n->saved, n->out->g, beta, da);
}

static void argmax_forward(tn_tape *t, tn_node *n)
{
    job j = job_of(t, n);
    j.at = n->out->i;
    tn_over_lines(t, j.a, largest_lines, &j);
}

static tn_tensor *max_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    tn_tensor out = { 0 };
    tn_remove_dim(&out, in[0], attr.i[0], attr.i[1] != 0);
    tn_tensor *largest =
        tn_gather(t, in[0], tn_argmax(t, in[0], (int)attr.i[0], true), (int)attr.i[0]);
    return tn_reshape(t, largest, out.ndim, out.dim);
}

/* The two largest numbers are further apart than the differences of the gradient check are wide. */
static const tn_sample max_samples[] = {
    { .in = { { 1 } } },
    { .in = { { 3, 5 } }, .attr = { .i = { 1 } } },
    { .in = { { 4, 2 } }, .attr = { .i = { 0, 1 } }, .mixed = true },
    { .in = { { 2, 3, 2 } }, .attr = { .i = { -2 } } },
    { .in = { { 2, 2, 1, 3 } }, .attr = { .i = { 1, 1 } } },
    { .in = { { 1024, 1024 } }, .attr = { .i = { 1 } }, .bench = true },
    { .in = { { 1, 1024, 1024 } }, .attr = { .i = { 1 } }, .bench = true },
    { .in = { { 0 } } },
};

/* clang-format off */
const tn_op tn_op_max_dim = { .name = "max_dim", .inputs = 1, .rows = 1,
    .shape = largest_shape, .forward = max_forward, .backward = max_backward, .reference = max_reference, .samples = max_samples,
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 } }, .attr = { .i = { -3 } } }, "max_dim: (2,3) has no dimension -3; expected -2 to 1" },
        { .text = "" } } };
const tn_op tn_op_argmax = { .name = "argmax", .inputs = 1, .rows = 1, .gives_ids = true,
    .shape = largest_shape, .forward = argmax_forward, .samples = samples,
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 } }, .attr = { .i = { 2 } } }, "argmax: (2,3) has no dimension 2; expected -2 to 1" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_max_dim(tn_tape *t, tn_tensor *a, int dim, bool keep)
{
    return apply(t, &tn_op_max_dim, a, dim, keep);
}

tn_tensor *tn_argmax(tn_tape *t, tn_tensor *a, int dim, bool keep)
{
    return apply(t, &tn_op_argmax, a, dim, keep);
}
