/* matmul.c - matrix products.

       matmul: C = A B                       dA = dC B^T   dB = A^T dC
       linear: Y = X W^T + b, W (out,in)     dX = dY W     dW = dY^T X   db = sum over rows of dY
               Y = X W   + b, W (in,out)     dX = dY W^T   dW = X^T dY

   gemm.h says in which order the sums are taken. */
#include "core/ops/ops.h"

/* ---- matmul ---- */

static int matmul_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *a = n->in[0], *b = n->in[1];
    if (a->ndim != 2 || b->ndim != 2 || a->dim[1] != b->dim[0])
        return tn_refuse_shapes(t, n);
    tn_shape_of(out, 2, a->dim[0], b->dim[1], 1, 1);
    return 0;
}

static void matmul_forward(tn_tape *t, tn_node *n)
{
    tn_matrix a = tn_matrix_like(n->in[0]->x, n->in[0]), b = tn_matrix_like(n->in[1]->x, n->in[1]);
    tn_multiply(t, n, tn_product_of(a, b, 0, n->out->x, b.cols));
}

/* C = A B */
static void matmul_backward(tn_tape *t, const tn_node *n)
{
    tn_matrix a = tn_matrix_like(n->in[0]->x, n->in[0]), b = tn_matrix_like(n->in[1]->x, n->in[1]);
    tn_matrix dc = tn_matrix_like(n->out->g, n->out);
    tn_real beta, *da = tn_grad(t, n, 0, &beta); // (M,K)
    if (da)
        tn_multiply(t, n, tn_product_of(dc, tn_transposed(b), beta, da, a.cols));
    tn_real *db = tn_grad(t, n, 1, &beta); // (K,N)
    if (db)
        tn_multiply(t, n, tn_product_of(tn_transposed(a), dc, beta, db, b.cols));
}

/* clang-format off */
const tn_op tn_op_matmul = { .name = "matmul", .inputs = 2, .rows = 1,
    .shape = matmul_shape, .forward = matmul_forward, .backward = matmul_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1 }, { 1, 1 } } },
        { .in = { { 3, 5 }, { 5, 7 } } },
        { .in = { { 1, 17 }, { 17, 3 } } },
        { .in = { { 19, 2 }, { 2, 1 } } },
        { .in = { { 6, 6 }, { 6, 6 } }, .same = 2 },
        { .in = { { 256, 768 }, { 768, 768 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 }, { 1, 4 } } }, "matmul: shapes do not fit: (2,3) (1,4)" },
        { { .in = { { 2, 3, 4 }, { 4, 2 } } }, "matmul: shapes do not fit: (2,3,4) (4,2)" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_matmul(tn_tape *t, tn_tensor *a, tn_tensor *b)
{
    return tn_apply(t, &tn_op_matmul, (tn_tensor *[]){ a, b }, (tn_attr){ 0 });
}

/* ---- linear: x, w, b?; attr.i[0] is the layout of w ---- */

static bool out_in(const tn_node *n)
{
    return n->attr.i[0] == TN_OUT_IN;
}

static int64_t outputs(const tn_node *n)
{
    return n->in[1]->dim[out_in(n) ? 0 : 1];
}

static int linear_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *x = n->in[0], *w = n->in[1], *b = n->in[2];
    const int64_t layout = n->attr.i[0];
    if (layout != TN_OUT_IN && layout != TN_IN_OUT)
        return tn_refuse(t, n->op, TN_EARG, "layout %lld; expected TN_OUT_IN or TN_IN_OUT",
                         (long long)layout);
    if (w->ndim != 2 || w->dim[out_in(n) ? 1 : 0] != tn_cols(x))
        return tn_refuse_shapes(t, n);
    if (b && (b->ndim != 1 || b->dim[0] != outputs(n)))
        return tn_refuse_shapes(t, n);
    tn_like(out, x);
    out->dim[x->ndim - 1] = outputs(n);
    return 0;
}

/* The weight as (in,out), whatever its layout: y = x weight. */
static tn_matrix weight(const tn_node *n)
{
    tn_matrix w = tn_matrix_weight(n->in[1]);
    return out_in(n) ? tn_transposed(w) : w;
}

static void linear_forward(tn_tape *t, tn_node *n)
{
    const tn_tensor *x = n->in[0], *b = n->in[2]; // (N,in) (out)?
    tn_matrix w = weight(n);
    tn_product p = tn_product_of(tn_matrix_like(x->x, x), w, 0, n->out->x, w.cols);
    p.bias = b ? b->x : NULL;
    tn_multiply(t, n, p);
}

/* dX = dY W (out,in), or dY W^T (in,out) */
static void linear_dx(tn_tape *t, const tn_node *n, tn_real beta, tn_real *dx)
{
    tn_matrix w = weight(n), dy = tn_matrix_like(n->out->g, n->out);
    tn_multiply(t, n, tn_product_of(dy, tn_transposed(w), beta, dx, w.rows));
}

/* dW = dY^T X (out,in), or X^T dY (in,out) */
static void linear_dw(tn_tape *t, const tn_node *n, tn_real beta, tn_real *dw)
{
    tn_matrix x = tn_matrix_like(n->in[0]->x, n->in[0]), dy = tn_matrix_like(n->out->g, n->out);
    tn_matrix left = out_in(n) ? dy : x, right = out_in(n) ? x : dy;
    tn_multiply(t, n, tn_product_of(tn_transposed(left), right, beta, dw, right.cols));
}

/* Y = X W^T + b, or X W + b */
static void linear_backward(tn_tape *t, const tn_node *n)
{
    tn_real beta, *dx = tn_grad(t, n, 0, &beta);
    if (dx)
        linear_dx(t, n, beta, dx);
    tn_real *dw = tn_grad(t, n, 1, &beta);
    if (dw)
        linear_dw(t, n, beta, dw);
    tn_real *db = tn_grad(t, n, 2, &beta);
    if (db)
        tn_sum_columns(t, tn_rows(n->out), outputs(n), n->out->g, beta, db);
}

/* dX needs W, and dW needs X. */
static bool linear_reads(const tn_node *n, int i)
{
    return i == 1 || (i == 0 && n->in[1]->wants_grad);
}

static tn_tensor *linear_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    tn_tensor *x = in[0], *w = attr.i[0] == TN_OUT_IN ? tn_transpose(t, in[1], 0, 1) : in[1];
    tn_tensor *rows = tn_reshape(t, x, 2, (int64_t[]){ tn_rows(x), tn_cols(x) });
    tn_tensor *y = tn_matmul(t, rows, w);
    if (in[2])
        y = tn_add(t, y, in[2]);
    if (!y)
        return NULL;
    int64_t dim[TN_MAX_NDIM] = { x->dim[0], x->dim[1], x->dim[2], x->dim[3] };
    dim[x->ndim - 1] = tn_cols(y);
    return tn_reshape(t, y, x->ndim, dim);
}

/* clang-format off */
const tn_op tn_op_linear = { .name = "linear", .inputs = 3, .optional = 4, .frozen = 2, .rows = 1,
    .shape = linear_shape, .forward = linear_forward, .backward = linear_backward, .reads = linear_reads,
    .reference = linear_reference,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1 }, { 1, 1 }, { 1 } } },
        { .in = { { 3, 5 }, { 7, 5 }, { 7 } } },
        { .in = { { 3, 5 }, { 5, 7 }, { 7 } }, .attr = { .i = { TN_IN_OUT } } },
        { .in = { { 2, 3, 5 }, { 2, 5 } } },
        { .in = { { 2, 3, 5 }, { 5, 2 } }, .attr = { .i = { TN_IN_OUT } } },
        { .in = { { 5 }, { 5, 5 }, { 5 } } },
        { .in = { { 4, 4 }, { 4, 4 } }, .same = 2 },
        { .in = { { 300, 2 }, { 3, 2 }, { 3 } } },
        { .in = { { 256, 768 }, { 3072, 768 }, { 3072 } }, .bench = true },
        { .in = { { 256, 768 }, { 768, 2304 }, { 2304 } }, .attr = { .i = { TN_IN_OUT } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 }, { 3, 4 } } }, "linear: shapes do not fit: (2,3) (3,4)" },
        { { .in = { { 2, 3 }, { 4, 3 }, { 3 } } }, "linear: shapes do not fit: (2,3) (4,3) (3)" },
        { { .in = { { 2, 3 }, { 4, 3 } }, .attr = { .i = { TN_IN_OUT } } }, "linear: shapes do not fit: (2,3) (4,3)" },
        { { .in = { { 2, 3 }, { 4, 3 } }, .attr = { .i = { 2 } } }, "linear: layout 2; expected TN_OUT_IN or TN_IN_OUT" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_linear(tn_tape *t, tn_tensor *x, tn_tensor *w, tn_tensor *b, tn_layout l)
{
    return tn_apply(t, &tn_op_linear, (tn_tensor *[]){ x, w, b }, (tn_attr){ .i = { l } });
}
