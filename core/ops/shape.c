/* shape.c - reshape and transpose: the same numbers in another shape or another order. */
#include "core/ops/ops.h"

#include <string.h>

/* ---- reshape: attr.i holds the dimensions, attr.u their number ---- */

static int reshape_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    int ndim = (int)n->attr.u;
    const int64_t *d = n->attr.i;
    char from[64], to[64];
    if (ndim < 1 || ndim > TN_MAX_NDIM)
        return tn_refuse(t, n->op, TN_EARG, "%d dimensions; expected 1 to %d", ndim,
                         (int)TN_MAX_NDIM);
    tn_shape_of(out, ndim, d[0], d[1], d[2], d[3]);
    int64_t left = tn_tensor_count(n->in[0]);
    bool fits = true;
    for (int i = 0; i < ndim; i++) {
        fits = fits && d[i] > 0 && left % d[i] == 0;
        left /= fits ? d[i] : 1;
    }
    if (!fits || left != 1)
        return tn_refuse(t, n->op, TN_ESHAPE, "%s does not have as many elements as %s",
                         tn_tensor_shape(out, to), tn_tensor_shape(n->in[0], from));
    return 0;
}

static void reshape_forward(tn_tape *t, tn_node *n)
{
    (void)t;
    (void)n; /* out shares the memory of its operand */
}

static void reshape_backward(tn_tape *t, const tn_node *n)
{
    tn_grad_pass(t, n, 0);
}

/* clang-format off */
const tn_op tn_op_reshape = { .name = "reshape", .inputs = 1, .view = true,
    .shape = reshape_shape, .forward = reshape_forward, .backward = reshape_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1 } }, .attr = { .i = { 1, 1, 1, 1 }, .u = 4 } },
        { .in = { { 3, 5 } }, .attr = { .i = { 15 }, .u = 1 } },
        { .in = { { 2, 3, 4 } }, .attr = { .i = { 6, 4 }, .u = 2 } },
        { .in = { { 12 } }, .attr = { .i = { 2, 1, 3, 2 }, .u = 4 } },
        { .in = { { 1024, 768 } }, .attr = { .i = { 4, 256, 768 }, .u = 3 }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 } }, .attr = { .i = { 4, 2 }, .u = 2 } },
          "reshape: (4,2) does not have as many elements as (2,3)" },
        { { .in = { { 2, 3 } }, .attr = { .i = { -2, -3 }, .u = 2 } },
          "reshape: (-2,-3) does not have as many elements as (2,3)" },
        { { .in = { { 2, 3 } }, .attr = { .u = 5 } }, "reshape: 5 dimensions; expected 1 to 4" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_reshape(tn_tape *t, tn_tensor *a, int ndim, const int64_t *dim)
{
    tn_attr attr = { .u = (uint64_t)ndim };
    if (tn_tape_given(t, dim, __func__))
        return NULL;
    for (int i = 0; i < ndim && i < TN_MAX_NDIM; i++)
        attr.i[i] = dim[i];
    return tn_apply(t, &tn_op_reshape, (tn_tensor *[]){ a }, attr);
}

/* ---- transpose: attr.i holds the two dimensions ---- */

/* Dimensions p and q change places: the operand is (a,p,b,q,c), the result (a,q,b,p,c). */
typedef struct job {
    const tn_kernels *kernels;
    int64_t a, p, b, q, c;
    const tn_real *x;
    tn_real *y;
} job;

enum { SQUARE = 64 }; /* rows and columns that are transposed at a time */

static job job_of(tn_tape *t, const tn_tensor *a, const tn_node *n)
{
    int i = tn_along_of(a, n->attr.i[0]).dim, k = tn_along_of(a, n->attr.i[1]).dim;
    tn_along low = tn_along_of(a, i < k ? i : k), high = tn_along_of(a, i < k ? k : i);
    job j = { .kernels = tn_kernels_on(t), .a = low.outer, .p = low.n, .c = high.inner };
    j.q = i == k ? 1 : high.n;
    j.b = i == k ? 1 : low.inner / high.n / high.inner;
    return j;
}

/* If c is 1: transposes the matrix (p,q) of each (a,b). Task k is SQUARE rows of one of them. */
static void turn_task(void *arg, int64_t k, int thread)
{
    (void)thread;
    const job *j = arg;
    int64_t pieces = tn_ranges(j->p, SQUARE), first = k % pieces * SQUARE;
    int64_t b = k / pieces % j->b, a = k / pieces / j->b, rows = tn_min(SQUARE, j->p - first);
    const tn_real *x = j->x + ((a * j->p + first) * j->b + b) * j->q;
    tn_real *y = j->y + (a * j->q * j->b + b) * j->p + first;
    for (int64_t col = 0; col < j->q; col += SQUARE)
        j->kernels->turn(rows, tn_min(SQUARE, j->q - col), x + col, j->b * j->q,
                         y + col * j->b * j->p, j->b * j->p);
}

/* Rows of the result, seen as (a q, b p c). They are copied c elements at a time. */
static void copy_runs(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t r = from; r < to; r++) {
        int64_t a = r / j->q, q = r % j->q;
        tn_real *y = j->y + r * j->b * j->p * j->c;
        for (int64_t b = 0; b < j->b; b++)
            for (int64_t p = 0; p < j->p; p++, y += j->c)
                memcpy(y, j->x + (((a * j->p + p) * j->b + b) * j->q + q) * j->c,
                       (size_t)j->c * sizeof *y);
    }
}

/* y = x, in which the two dimensions change places */
static void swap(tn_tape *t, job j, const tn_real *x, tn_real *y)
{
    j.x = x;
    j.y = y;
    if (j.c == 1)
        tn_parallel_for(tn_tape_context(t), j.a * j.b * tn_ranges(j.p, SQUARE), turn_task, &j);
    else
        tn_over_rows(t, j.a * j.q, j.b * j.p * j.c, copy_runs, &j);
}

static int transpose_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *a = n->in[0];
    if (tn_refuse_dim(t, n, n->attr.i[0]) || tn_refuse_dim(t, n, n->attr.i[1]))
        return tn_tape_code(t);
    int i = tn_along_of(a, n->attr.i[0]).dim, k = tn_along_of(a, n->attr.i[1]).dim;
    tn_like(out, a);
    out->dim[i] = a->dim[k];
    out->dim[k] = a->dim[i];
    return 0;
}

static void transpose_forward(tn_tape *t, tn_node *n)
{
    swap(t, job_of(t, n->in[0], n), n->in[0]->x, n->out->x);
}

/* y is a, in which two dimensions change places. In dy the same two change back. */
static void transpose_backward(tn_tape *t, const tn_node *n)
{
    int64_t count = tn_tensor_count(n->out);
    tn_real beta, *da = tn_grad(t, n, 0, &beta);
    tn_real *back = da && beta != 0 ? tn_temporary(t, (size_t)count * sizeof *back) : da;
    if (!back)
        return;
    swap(t, job_of(t, n->out, n), n->out->g, back);
    if (back != da)
        tn_add_values(t, count, back, beta, da);
}

/* clang-format off */
const tn_op tn_op_transpose = { .name = "transpose", .inputs = 1,
    .shape = transpose_shape, .forward = transpose_forward, .backward = transpose_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1 } }, .attr = { .i = { 0, -1 } } },
        { .in = { { 3, 5 } }, .attr = { .i = { 0, 1 } } },
        { .in = { { 17, 70 } }, .attr = { .i = { 1, 0 } } },
        { .in = { { 2, 3, 4, 5 } }, .attr = { .i = { 1, 2 } } },
        { .in = { { 2, 3, 4, 5 } }, .attr = { .i = { 0, -1 } } },
        { .in = { { 4, 2, 3 } }, .attr = { .i = { 2, 1 } } },
        { .in = { { 2, 3 } }, .attr = { .i = { 1, 1 } } },
        { .in = { { 1024, 1024 } }, .attr = { .i = { 0, 1 } }, .bench = true },
        { .in = { { 4, 256, 12, 64 } }, .attr = { .i = { 1, 2 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 } }, .attr = { .i = { 0, 2 } } }, "transpose: (2,3) has no dimension 2; expected -2 to 1" },
        { { .in = { { 2, 3 } }, .attr = { .i = { -3, 0 } } }, "transpose: (2,3) has no dimension -3; expected -2 to 1" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_transpose(tn_tape *t, tn_tensor *a, int dim, int other)
{
    return tn_apply(t, &tn_op_transpose, (tn_tensor *[]){ a }, (tn_attr){ .i = { dim, other } });
}
