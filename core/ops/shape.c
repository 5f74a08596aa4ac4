/* shape.c - reshape, slice, concat: elements move, nothing is computed. */
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

/* ---- moving columns ---- */

typedef struct job {
    int64_t rows, cols; /* that move */
    const tn_real *from;
    int64_t from_ld; /* row r at from + r from_ld; from NULL: zeros */
    tn_real beta, *to;
    int64_t to_ld;
} job;

static void move_rows(void *arg, int64_t first, int64_t end, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t r = first; r < end; r++) {
        tn_real *to = j->to + r * j->to_ld;
        if (!j->from) {
            memset(to, 0, (size_t)j->cols * sizeof *to);
            continue;
        }
        const tn_real *from = j->from + r * j->from_ld;
        for (int64_t c = 0; c < j->cols; c++)
            tn_accumulate(&to[c], j->beta, from[c]);
    }
}

/* to = beta to + from, `cols` columns of each row; row r of a matrix is at x + r ld. */
static void move(tn_tape *t, int64_t rows, int64_t cols, const tn_real *from, int64_t from_ld,
                 tn_real beta, tn_real *to, int64_t to_ld)
{
    job j = { rows, cols, from, from_ld, beta, to, to_ld };
    if (cols)
        tn_over_rows(t, rows, cols, move_rows, &j);
}

/* ---- slice: columns [i[0], i[1]) ---- */

static int slice_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *a = n->in[0];
    int64_t from = n->attr.i[0], to = n->attr.i[1];
    if (from < 0 || from >= to || to > tn_cols(a))
        return tn_refuse(t, n->op, TN_ESHAPE, "columns %lld to %lld do not lie in a width of %lld",
                         (long long)from, (long long)to, (long long)tn_cols(a));
    tn_like(out, a);
    out->dim[a->ndim - 1] = to - from;
    return 0;
}

static void slice_forward(tn_tape *t, tn_node *n)
{
    const tn_tensor *a = n->in[0], *out = n->out;
    move(t, tn_rows(a), tn_cols(out), a->x + n->attr.i[0], tn_cols(a), 0, out->x, tn_cols(out));
}

/* y = a[from:to]; the other columns of da are zero */
static void slice_backward(tn_tape *t, const tn_node *n)
{
    int64_t from = n->attr.i[0], to = n->attr.i[1], width = tn_cols(n->in[0]),
            rows = tn_rows(n->in[0]);
    tn_real beta, *da = tn_grad(t, n, 0, &beta);
    if (!da)
        return;
    move(t, rows, to - from, n->out->g, to - from, beta, da + from, width);
    if (beta != 0)
        return;
    move(t, rows, from, NULL, 0, 0, da, width);
    move(t, rows, width - to, NULL, 0, 0, da + to, width);
}

/* clang-format off */
const tn_op tn_op_slice = { .name = "slice", .inputs = 1, .rows = 1,
    .shape = slice_shape, .forward = slice_forward, .backward = slice_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1 } }, .attr = { .i = { 0, 1 } } },
        { .in = { { 3, 5 } }, .attr = { .i = { 1, 4 } } },
        { .in = { { 2, 3, 7 } }, .attr = { .i = { 0, 3 } } },
        { .in = { { 4, 6 } }, .attr = { .i = { 5, 6 } } },
        { .in = { { 1024, 2304 } }, .attr = { .i = { 768, 1536 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 } }, .attr = { .i = { 1, 4 } } }, "slice: columns 1 to 4 do not lie in a width of 3" },
        { { .in = { { 2, 3 } }, .attr = { .i = { -1, 2 } } }, "slice: columns -1 to 2 do not lie in a width of 3" },
        { { .in = { { 2, 3 } }, .attr = { .i = { 2, 2 } } }, "slice: columns 2 to 2 do not lie in a width of 3" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_slice(tn_tape *t, tn_tensor *a, int64_t from, int64_t to)
{
    return tn_apply(t, &tn_op_slice, (tn_tensor *[]){ a }, (tn_attr){ .i = { from, to } });
}

/* ---- concat ---- */

static int concat_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *a = n->in[0], *b = n->in[1];
    tn_like(out, b);
    out->dim[b->ndim - 1] = tn_cols(a);
    if (!tn_same_shape(out, a))
        return tn_refuse_shapes(t, n);
    out->dim[a->ndim - 1] = tn_cols(a) + tn_cols(b);
    return 0;
}

static void concat_forward(tn_tape *t, tn_node *n)
{
    int64_t width = tn_cols(n->out), col = 0;
    for (int i = 0; i < 2; i++) {
        const tn_tensor *a = n->in[i];
        move(t, tn_rows(a), tn_cols(a), a->x, tn_cols(a), 0, n->out->x + col, width);
        col += tn_cols(a);
    }
}

/* y = a beside b */
static void concat_backward(tn_tape *t, const tn_node *n)
{
    int64_t width = tn_cols(n->out), col = 0;
    for (int i = 0; i < 2; i++) {
        const tn_tensor *a = n->in[i];
        tn_real beta, *da = tn_grad(t, n, i, &beta);
        if (da)
            move(t, tn_rows(a), tn_cols(a), n->out->g + col, width, beta, da, tn_cols(a));
        col += tn_cols(a);
    }
}

/* clang-format off */
const tn_op tn_op_concat = { .name = "concat", .inputs = 2, .rows = 3,
    .shape = concat_shape, .forward = concat_forward, .backward = concat_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1 }, { 1 } } },
        { .in = { { 3, 5 }, { 3, 2 } } },
        { .in = { { 2, 3, 1 }, { 2, 3, 7 } } },
        { .in = { { 3, 4 }, { 3, 4 } }, .same = 2 },
        { .in = { { 1024, 768 }, { 1024, 1536 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 }, { 3, 3 } } }, "concat: shapes do not fit: (2,3) (3,3)" },
        { { .in = { { 2, 3 }, { 2, 1, 3 } } }, "concat: shapes do not fit: (2,3) (2,1,3)" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_concat(tn_tape *t, tn_tensor *a, tn_tensor *b)
{
    return tn_apply(t, &tn_op_concat, (tn_tensor *[]){ a, b }, (tn_attr){ 0 });
}
