/* slice.c - slice, concat, paste, stack: parts of a tensor along one dimension.

   The tensor is seen as (outer, n, inner), or as `outer` rows of n x inner numbers each. A part of
   the dimension is then a range of columns in every row. */
#include "core/ops/ops.h"

/* Where the rows of such a tensor lie. They begin at element `from` of the dimension. */
static tn_rows_at rows_of(tn_along a, int64_t from)
{
    return (tn_rows_at){ from * a.inner, a.n * a.inner };
}

/* In every row of y elements [from, from + n) of the dimension become zero. */
static void clear_part(tn_tape *t, tn_along a, int64_t from, int64_t n, tn_real *y)
{
    tn_move(t, a.outer, n * a.inner, NULL, (tn_rows_at){ 0, 0 }, 0, y, rows_of(a, from));
}

/* Refuses elements [from, to) that the dimension does not have. */
static int refuse_range(tn_tape *t, const tn_node *n, tn_along a, int64_t from, int64_t to)
{
    if (from >= 0 && from < to && to <= a.n)
        return 0;
    return tn_refuse(t, n->op, TN_ESHAPE,
                     "elements %lld to %lld of dimension %d; expected 0 <= from < to <= %lld",
                     (long long)from, (long long)to, a.dim, (long long)a.n);
}

/* ---- slice: attr.i holds the dimension, from, to ---- */

static int slice_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *a = n->in[0];
    if (tn_refuse_dim(t, n, n->attr.i[0]))
        return tn_tape_code(t);
    tn_along all = tn_along_of(a, n->attr.i[0]);
    int64_t from = n->attr.i[1], to = n->attr.i[2];
    if (refuse_range(t, n, all, from, to))
        return tn_tape_code(t);
    tn_like(out, a);
    out->dim[all.dim] = to - from;
    return 0;
}

/* If `outer` is 1, the result shares the operand's memory. */
static void slice_forward(tn_tape *t, tn_node *n)
{
    tn_along all = tn_along_of(n->in[0], n->attr.i[0]), part = tn_along_of(n->out, n->attr.i[0]);
    const tn_rows_at from = rows_of(all, n->attr.i[1]);
    if (all.outer > 1)
        n->out->x = tn_keep(t, tn_tensor_bytes(n->out));
    else
        n->out->x += from.at;
    if (all.outer > 1 && n->out->x)
        tn_move(t, all.outer, part.n * all.inner, n->in[0]->x, from, 0, n->out->x,
                rows_of(part, 0));
}

/* y = a[from:to]; the other elements of da are zero */
static void slice_backward(tn_tape *t, const tn_node *n)
{
    tn_along all = tn_along_of(n->in[0], n->attr.i[0]), part = tn_along_of(n->out, n->attr.i[0]);
    int64_t from = n->attr.i[1], to = n->attr.i[2];
    tn_real beta, *da = tn_grad(t, n, 0, &beta);
    if (!da)
        return;
    tn_move(t, all.outer, part.n * all.inner, n->out->g, rows_of(part, 0), beta, da,
            rows_of(all, from));
    if (beta != 0)
        return;
    clear_part(t, all, 0, from, da);
    clear_part(t, all, to, all.n - to, da);
}

/* clang-format off */
const tn_op tn_op_slice = { .name = "slice", .inputs = 1, .rows = 1, .view = true,
    .shape = slice_shape, .forward = slice_forward, .backward = slice_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1 } }, .attr = { .i = { 0, 0, 1 } } },
        { .in = { { 3, 5 } }, .attr = { .i = { 1, 1, 4 } } },
        { .in = { { 2, 3, 7 } }, .attr = { .i = { -1, 0, 3 } } },
        { .in = { { 2, 5, 3 } }, .attr = { .i = { 1, 2, 5 } } },
        { .in = { { 4, 6 } }, .attr = { .i = { 0, 1, 3 } }, .mixed = true },
        { .in = { { 7 } }, .attr = { .i = { 0, 3, 5 } } },
        { .in = { { 1024, 2304 } }, .attr = { .i = { 1, 768, 1536 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 } }, .attr = { .i = { 1, 1, 4 } } },
          "slice: elements 1 to 4 of dimension 1; expected 0 <= from < to <= 3" },
        { { .in = { { 2, 3 } }, .attr = { .i = { 0, -1, 2 } } },
          "slice: elements -1 to 2 of dimension 0; expected 0 <= from < to <= 2" },
        { { .in = { { 2, 3 } }, .attr = { .i = { -1, 2, 2 } } },
          "slice: elements 2 to 2 of dimension 1; expected 0 <= from < to <= 3" },
        { { .in = { { 2, 3 } }, .attr = { .i = { 2, 0, 1 } } },
          "slice: (2,3) has no dimension 2; expected -2 to 1" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_slice(tn_tape *t, tn_tensor *a, int dim, int64_t from, int64_t to)
{
    return tn_apply(t, &tn_op_slice, (tn_tensor *[]){ a }, (tn_attr){ .i = { dim, from, to } });
}

/* ---- concat: attr.i holds the dimension and the least size of the result along it. Elements that
   no operand fills are zero ---- */

static int concat_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *a = n->in[0];
    if (tn_refuse_dim(t, n, n->attr.i[0]))
        return tn_tape_code(t);
    int dim = tn_along_of(a, n->attr.i[0]).dim;
    int64_t size = 0;
    for (int i = 0; i < TN_MAX_INPUTS; i++) {
        if (n->in[i] && !tn_same_but(n->in[i], a, dim))
            return tn_refuse_shapes(t, n);
        size += n->in[i] ? n->in[i]->dim[dim] : 0;
    }
    tn_like(out, a);
    out->dim[dim] = tn_max(size, n->attr.i[1]);
    return 0;
}

static void concat_forward(tn_tape *t, tn_node *n)
{
    tn_along all = tn_along_of(n->out, n->attr.i[0]);
    int64_t at = 0;
    for (int i = 0; i < TN_MAX_INPUTS; i++) {
        if (!n->in[i])
            continue;
        tn_along part = tn_along_of(n->in[i], n->attr.i[0]);
        tn_move(t, all.outer, part.n * all.inner, n->in[i]->x, rows_of(part, 0), 0, n->out->x,
                rows_of(all, at));
        at += part.n;
    }
    clear_part(t, all, at, all.n - at, n->out->x);
}

/* y = the operands side by side */
static void concat_backward(tn_tape *t, const tn_node *n)
{
    tn_along all = tn_along_of(n->out, n->attr.i[0]);
    int64_t at = 0;
    for (int i = 0; i < TN_MAX_INPUTS; i++) {
        if (!n->in[i])
            continue;
        tn_along part = tn_along_of(n->in[i], n->attr.i[0]);
        tn_real beta, *da = tn_grad(t, n, i, &beta);
        if (da)
            tn_move(t, all.outer, part.n * all.inner, n->out->g, rows_of(all, at), beta, da,
                    rows_of(part, 0));
        at += part.n;
    }
}

/* clang-format off */
const tn_op tn_op_concat = { .name = "concat", .inputs = 6, .optional = 62, .rows = 63,
    .shape = concat_shape, .forward = concat_forward, .backward = concat_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1 }, { 1 } } },
        { .in = { { 3, 5 }, { 3, 2 } }, .attr = { .i = { 1 } } },
        { .in = { { 2, 3, 1 }, { 2, 3, 7 } }, .attr = { .i = { -1, 11 } } },
        { .in = { { 2, 1, 3 }, { 2, 2, 3 }, { 2, 1, 3 }, { 2, 1, 3 }, { 2, 3, 3 }, { 2, 1, 3 } }, .attr = { .i = { 1 } } },
        { .in = { { 2, 3 }, { 1, 3 }, { 4, 3 } }, .attr = { .i = { 0 } }, .mixed = true },
        { .in = { { 3, 4 }, { 3, 4 } }, .attr = { .i = { 1 } }, .same = 2 },
        { .in = { { 2, 3 } }, .attr = { .i = { 1, 4 } } },
        { .in = { { 1024, 768 }, { 1024, 1536 } }, .attr = { .i = { 1 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 }, { 3, 3 } }, .attr = { .i = { 1 } } }, "concat: shapes do not fit: (2,3) (3,3)" },
        { { .in = { { 2, 3 }, { 2, 1, 3 } } }, "concat: shapes do not fit: (2,3) (2,1,3)" },
        { { .in = { { 2, 3 }, { 2, 3 } }, .attr = { .i = { 2 } } },
          "concat: (2,3) has no dimension 2; expected -2 to 1" },
        { .text = "" } } };
/* clang-format on */

/* ---- paste: y, x; attr.i holds the dimension and from ---- */

static int paste_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *y = n->in[0], *x = n->in[1];
    if (tn_refuse_dim(t, n, n->attr.i[0]))
        return tn_tape_code(t);
    tn_along all = tn_along_of(y, n->attr.i[0]);
    if (!tn_same_but(y, x, all.dim))
        return tn_refuse_shapes(t, n);
    int64_t from = n->attr.i[1], to = from + x->dim[all.dim];
    if (refuse_range(t, n, all, from, to))
        return tn_tape_code(t);
    tn_like(out, y);
    return 0;
}

static void paste_forward(tn_tape *t, tn_node *n)
{
    tn_along all = tn_along_of(n->out, n->attr.i[0]), part = tn_along_of(n->in[1], n->attr.i[0]);
    tn_move(t, all.outer, part.n * all.inner, n->in[1]->x, rows_of(part, 0), 0, n->out->x,
            rows_of(all, n->attr.i[1]));
}

/* y[from:to] = x. dx is this part of dy. Then the part becomes zero, and dy is the gradient of y. */
static void paste_backward(tn_tape *t, const tn_node *n)
{
    tn_along all = tn_along_of(n->out, n->attr.i[0]), part = tn_along_of(n->in[1], n->attr.i[0]);
    const tn_rows_at at = rows_of(all, n->attr.i[1]);
    tn_real beta, *dx = tn_grad(t, n, 1, &beta);
    if (dx)
        tn_move(t, all.outer, part.n * all.inner, n->out->g, at, beta, dx, rows_of(part, 0));
    clear_part(t, all, n->attr.i[1], part.n, n->out->g);
    tn_grad_pass(t, n, 0);
}

static tn_tensor *paste_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    int dim = (int)attr.i[0];
    int64_t from = attr.i[1], to = from + tn_along_of(in[1], dim).n;
    int64_t end = tn_along_of(in[0], dim).n;
    tn_tensor *parts[3];
    int count = 0;
    if (from > 0)
        parts[count++] = tn_slice(t, in[0], dim, 0, from);
    parts[count++] = in[1];
    if (to < end)
        parts[count++] = tn_slice(t, in[0], dim, to, end);
    return tn_concat(t, count, parts, dim);
}

/* clang-format off */
const tn_op tn_op_paste = { .name = "paste", .inputs = 2, .rows = 3, .consumes = true,
    .shape = paste_shape, .forward = paste_forward, .backward = paste_backward, .reference = paste_reference,
    .samples = (const tn_sample[]){
        { .in = { { 7 }, { 3 } }, .attr = { .i = { 0, 2 } } },
        { .in = { { 3, 5 }, { 3, 2 } }, .attr = { .i = { 1, 3 } } },
        { .in = { { 2, 5, 3 }, { 2, 1, 3 } }, .attr = { .i = { -2, 0 } } },
        { .in = { { 4, 3 }, { 2, 3 } }, .attr = { .i = { 0, 1 } }, .mixed = true },
        { .in = { { 2, 3, 4 }, { 2, 3, 1 } }, .attr = { .i = { 2, 1 } } },
        { .in = { { 1024, 2304 }, { 1024, 768 } }, .attr = { .i = { 1, 768 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 }, { 3, 3 } }, .attr = { .i = { 1, 0 } } }, "paste: shapes do not fit: (2,3) (3,3)" },
        { { .in = { { 2, 3 }, { 2, 2 } }, .attr = { .i = { 1, 2 } } },
          "paste: elements 2 to 4 of dimension 1; expected 0 <= from < to <= 3" },
        { { .in = { { 2, 3 }, { 2, 2 } }, .attr = { .i = { 1, -1 } } },
          "paste: elements -1 to 1 of dimension 1; expected 0 <= from < to <= 3" },
        { { .in = { { 2, 3 }, { 2, 2 } }, .attr = { .i = { -3 } } },
          "paste: (2,3) has no dimension -3; expected -2 to 1" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_paste(tn_tape *t, tn_tensor *y, tn_tensor *x, int dim, int64_t from)
{
    return tn_apply(t, &tn_op_paste, (tn_tensor *[]){ y, x }, (tn_attr){ .i = { dim, from } });
}

/* ---- concat and stack of any number ---- */

/* a with one more dimension, of size 1, which is dimension `dim` of the result. */
static tn_tensor *with_dim(tn_tape *t, tn_tensor *a, int dim)
{
    int64_t size[TN_MAX_NDIM + 1];
    for (int i = 0; i <= a->ndim; i++)
        size[i] = i == dim ? 1 : a->dim[i < dim ? i : i - 1];
    return tn_reshape(t, a, a->ndim + 1, size);
}

/* A concat has at most TN_MAX_INPUTS operands. The first one makes the whole result, and the other
   parts are pasted into it. So every number is copied once. */
static tn_tensor *join(tn_tape *t, int count, tn_tensor *const parts[], int dim, bool stack)
{
    tn_tensor *in[TN_MAX_INPUTS] = { 0 }, *y = NULL;
    tn_attr attr = { .i = { dim } };
    for (int i = 0; i < count; i++)
        attr.i[1] += stack ? 1 : tn_along_of(parts[i], dim).n;
    int64_t at = 0;
    for (int i = 0; i < count; i++) {
        tn_tensor *a = stack ? with_dim(t, parts[i], dim) : parts[i];
        if (i < TN_MAX_INPUTS)
            in[i] = a;
        else
            y = tn_paste(t, y, a, dim, at);
        if (i + 1 == tn_min(count, TN_MAX_INPUTS))
            y = tn_apply(t, &tn_op_concat, in, attr);
        at += a ? tn_along_of(a, dim).n : 0;
    }
    return y;
}

/* True if no tensor is missing. `op` has the name of the function for the message. */
static bool are_given(tn_tape *t, const tn_op *op, int count, tn_tensor *const parts[])
{
    if (count < 1)
        tn_refuse(t, op, TN_EARG, "%d tensors; expected at least 1", count);
    for (int i = 0; i < count; i++)
        if (!parts[i]) {
            tn_refuse(t, op, TN_EARG, "tensor %d is missing", i + 1);
            return false;
        }
    return count > 0;
}

tn_tensor *tn_concat(tn_tape *t, int count, tn_tensor *const parts[], int dim)
{
    if (tn_tape_given(t, parts, __func__) || !are_given(t, &tn_op_concat, count, parts))
        return NULL;
    return join(t, count, parts, dim, false);
}

tn_tensor *tn_stack(tn_tape *t, int count, tn_tensor *const parts[], int dim)
{
    static const tn_op stack = { .name = "stack" };
    if (tn_tape_given(t, parts, __func__) || !are_given(t, &stack, count, parts))
        return NULL;
    const int most = parts[0]->ndim, at = dim < 0 ? dim + most + 1 : dim;
    char shape[64];
    if (at < 0 || at > most)
        tn_refuse(t, &stack, TN_EARG, "dimension %d for tensors of %s; expected %d to %d", dim,
                  tn_tensor_shape(parts[0], shape), -most - 1, most);
    for (int i = 0; i < count; i++)
        if (parts[i]->ndim == TN_MAX_NDIM || !tn_same_shape(parts[i], parts[0])) {
            tn_refuse(t, &stack, TN_ESHAPE,
                      "tensor %d is %s; expected the same shape for all, at most %d dimensions",
                      i + 1, tn_tensor_shape(parts[i], shape), TN_MAX_NDIM - 1);
            return NULL;
        }
    return at < 0 || at > most ? NULL : join(t, count, parts, at, true);
}
