/* lora.c - adds a low-rank product to some columns of a linear layer's output, in place.

       Y[:, col : col+out] += s h B^T,  h = drop(X) A^T        X (N,in), A (R,in), B (out,R)

       and with D = dY[:, col : col+out]
       dB += s D^T h    dh = s D B    dA += dh^T drop(X)    dX += drop'(dh A)

   Hu et al., "LoRA: low-rank adaptation of large language models", arXiv:2106.09685. Only the narrow
   matrices (N,R) are multiplied by s. drop(X) is not kept: backward computes it again. drop' sets the
   same elements to 0 as drop, and has the same factor. */
#include "core/ops/ops.h"

typedef struct sizes {
    int64_t rows, in, out, rank;
    int64_t width, col; /* columns of Y; the first column that changes */
} sizes;

static sizes sizes_of(const tn_node *n)
{
    const tn_tensor *y = n->in[0], *x = n->in[1], *a = n->in[2], *b = n->in[3];
    return (sizes){
        .rows = tn_rows(x),
        .in = tn_cols(x),
        .out = b->dim[0],
        .rank = a->dim[0],
        .width = tn_cols(y),
        .col = n->attr.i[0],
    };
}

static int lora_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *y = n->in[0], *x = n->in[1], *a = n->in[2], *b = n->in[3];
    if (a->ndim != 2 || b->ndim != 2 || a->dim[1] != tn_cols(x) || a->dim[0] != b->dim[1] ||
        tn_rows(x) != tn_rows(y))
        return tn_refuse_shapes(t, n);
    sizes z = sizes_of(n);
    if (z.col < 0 || z.out > z.width || z.col > z.width - z.out)
        return tn_refuse(t, n->op, TN_ESHAPE,
                         "columns %lld to %lld of y; expected 0 <= from < to <= %lld",
                         (long long)z.col, (long long)(z.col + z.out), (long long)z.width);
    if (!tn_shape_is_sane(2, (int64_t[]){ z.rows, z.rank }))
        return tn_refuse(t, n->op, TN_ESHAPE,
                         "x A^T would be (%lld,%lld); expected at most 2^40 numbers",
                         (long long)z.rows, (long long)z.rank);
    if (x == y)
        return tn_refuse(t, n->op, TN_EARG, "y and x are the same tensor, but y is consumed");
    tn_like(out, y);
    return tn_refuse_dropout(t, n, n->attr.r[1]);
}

/* drop(X): X itself without dropout, else temporary memory. NULL when memory is out. */
static const tn_real *dropped(tn_tape *t, const tn_node *n)
{
    const tn_tensor *x = n->in[1];
    int64_t count = tn_tensor_count(x);
    if (!tn_drops(n, n->attr.r[1]))
        return x->x;
    tn_real *d = tn_temporary(t, (size_t)count * sizeof *d);
    if (d)
        tn_drop(t, n, n->attr.r[1], n->attr.u, count, (tn_masked){ .x = x->x, .y = d },
                (tn_masked){ 0 });
    return d;
}

static void lora_forward(tn_tape *t, tn_node *n)
{
    sizes z = sizes_of(n);
    const tn_real *x = dropped(t, n); // (N,in)
    size_t bytes = (size_t)(z.rows * z.rank) * sizeof(tn_real);
    tn_real *h = n->wanted ? tn_keep(t, bytes) : tn_temporary(t, bytes); // (N,R)
    if (!x || !h)
        return;
    tn_matrix a = tn_matrix_of(n->in[2]->x, z.rank, z.in);
    tn_matrix b = tn_matrix_of(n->in[3]->x, z.out, z.rank);
    tn_multiply(t, n, tn_product_of(tn_matrix_of(x, z.rows, z.in), tn_transposed(a), 0, h, z.rank));
    tn_kernels_on(t)->scale(z.rows * z.rank, (tn_real)n->attr.r[0], h);
    tn_multiply(t, n,
                tn_product_of(tn_matrix_of(h, z.rows, z.rank), tn_transposed(b), 1,
                              n->out->x + z.col, z.width));
    n->saved = h;
}

/* D = dY[:, col : col+out] */
static tn_matrix block_of_dy(const tn_node *n, sizes z)
{
    return tn_matrix_part(n->out->g + z.col, z.rows, z.out, z.width);
}

/* Y += (s h) B^T, where forward kept s h: dB += D^T (s h) */
static void lora_db(tn_tape *t, const tn_node *n, sizes z)
{
    tn_matrix h = tn_matrix_of(n->saved, z.rows, z.rank);
    tn_real beta, *db = tn_grad(t, n, 3, &beta); // (out,R)
    if (db)
        tn_multiply(t, n, tn_product_of(tn_transposed(block_of_dy(n, z)), h, beta, db, z.rank));
}

/* h = x A^T: dA += dh^T x */
static void lora_da(tn_tape *t, const tn_node *n, sizes z, tn_matrix dh, const tn_real *x)
{
    tn_matrix right = tn_matrix_of(x, z.rows, z.in);
    tn_real beta, *da = tn_grad(t, n, 2, &beta); // (R,in)
    if (da)
        tn_multiply(t, n, tn_product_of(tn_transposed(dh), right, beta, da, z.in));
}

/* h = x A^T: dx = beta dx + dh A */
static void lora_dx(tn_tape *t, const tn_node *n, sizes z, tn_matrix dh, tn_real beta, tn_real *dx)
{
    tn_matrix a = tn_matrix_of(n->in[2]->x, z.rank, z.in);
    tn_multiply(t, n, tn_product_of(dh, a, beta, dx, z.in));
}

/* h = drop(X) A^T. One call makes both: drop(X) again, for dA, and dX += drop'(dh A). */
static void lora_dropped(tn_tape *t, const tn_node *n, sizes z, tn_matrix dh)
{
    const tn_tensor *x = n->in[1];
    size_t bytes = (size_t)(z.rows * z.in) * sizeof(tn_real);
    tn_masked to_x = { 0 }, again = { .x = x->x }; // (N,in)
    tn_real *plain = x->wants_grad ? tn_temporary(t, bytes) : NULL;
    if (plain) {
        lora_dx(t, n, z, dh, 0, plain);
        to_x.x = plain;
        to_x.y = tn_grad(t, n, 1, &to_x.beta);
    }
    again.y = n->in[2]->wants_grad ? tn_temporary(t, bytes) : NULL;
    tn_drop(t, n, n->attr.r[1], n->attr.u, z.rows * z.in, to_x, again);
    if (again.y)
        lora_da(t, n, z, dh, again.y);
}

/* Y += s drop(X) A^T B^T. The gradient of Y comes last, because it takes over the memory of dY. */
static void lora_backward(tn_tape *t, const tn_node *n)
{
    sizes z = sizes_of(n);
    lora_db(t, n, z);
    if (n->in[1]->wants_grad || n->in[2]->wants_grad) {
        tn_real *to = tn_temporary(t, (size_t)(z.rows * z.rank) * sizeof *to); // dh (N,R)
        if (!to)
            return;
        tn_matrix b = tn_matrix_of(n->in[3]->x, z.out, z.rank);
        tn_multiply(t, n, tn_product_of(block_of_dy(n, z), b, 0, to, z.rank));
        tn_kernels_on(t)->scale(z.rows * z.rank, (tn_real)n->attr.r[0], to);
        tn_matrix dh = tn_matrix_of(to, z.rows, z.rank);
        if (tn_drops(n, n->attr.r[1])) {
            lora_dropped(t, n, z, dh);
        } else {
            lora_da(t, n, z, dh, n->in[1]->x);
            tn_real beta, *dx = tn_grad(t, n, 1, &beta); // (N,in)
            if (dx)
                lora_dx(t, n, z, dh, beta, dx);
        }
    }
    tn_grad_pass(t, n, 0);
}

/* Zeros with `cols` columns and as many rows as `beside`. NULL if cols is 0. */
static tn_tensor *zeros(tn_tape *t, const tn_tensor *beside, int64_t cols)
{
    int64_t dim[TN_MAX_NDIM] = { beside->dim[0], beside->dim[1], beside->dim[2], beside->dim[3] };
    dim[beside->ndim - 1] = cols;
    tn_tensor *a = cols ? tn_tape_input(t, TN_REAL, beside->ndim, dim) : NULL;
    for (int64_t i = 0; a && i < tn_tensor_count(a); i++)
        a->x[i] = 0;
    return a;
}

static tn_tensor *lora_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    tn_tensor *y = in[0], *x = tn_dropout(t, in[1], attr.r[1], attr.u);
    tn_tensor *h = tn_linear(t, x, in[2], NULL, TN_OUT_IN);
    tn_tensor *d = tn_scale(t, tn_linear(t, h, in[3], NULL, TN_OUT_IN), attr.r[0]);
    if (!d)
        return NULL;
    tn_tensor *before = zeros(t, d, attr.i[0]);
    tn_tensor *after = zeros(t, d, tn_cols(y) - attr.i[0] - tn_cols(d));
    if (before)
        d = tn_concat(t, 2, (tn_tensor *[]){ before, d }, -1);
    if (after)
        d = tn_concat(t, 2, (tn_tensor *[]){ d, after }, -1);
    return tn_add(t, y, d);
}

/* clang-format off */
const tn_op tn_op_lora = { .name = "lora", .inputs = 4, .rows = 3, .consumes = true,
    .shape = lora_shape, .forward = lora_forward, .backward = lora_backward, .reference = lora_reference,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } }, .attr = { .r = { 2 } } },
        { .in = { { 3, 7 }, { 3, 5 }, { 2, 5 }, { 7, 2 } }, .attr = { .r = { 0.5 } } },
        { .in = { { 3, 9 }, { 3, 5 }, { 1, 5 }, { 4, 1 } }, .attr = { .i = { 3 }, .r = { 0.5 } } },
        { .in = { { 2, 3, 9 }, { 2, 3, 5 }, { 3, 5 }, { 3, 3 } }, .attr = { .i = { 6 }, .r = { 4 } } },
        { .in = { { 5, 9 }, { 5, 8 }, { 3, 8 }, { 3, 3 } }, .attr = { .i = { 6 }, .r = { 4, 0.25 }, .u = 7 } },
        { .in = { { 300, 2 }, { 300, 2 }, { 1, 2 }, { 2, 1 } }, .attr = { .r = { 1, 0.5 }, .u = 8 } },
        { .in = { { 1024, 2304 }, { 1024, 768 }, { 8, 768 }, { 768, 8 } }, .attr = { .i = { 768 }, .r = { 2 } },
          .bench = true },
        { .in = { { 1024, 768 }, { 1024, 768 }, { 4, 768 }, { 768, 4 } }, .attr = { .r = { 2, 0.1 }, .u = 9 },
          .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 4 }, { 2, 3 }, { 1, 4 }, { 4, 1 } } }, "lora: shapes do not fit: (2,4) (2,3) (1,4) (4,1)" },
        { { .in = { { 2, 4 }, { 3, 3 }, { 1, 3 }, { 4, 1 } } }, "lora: shapes do not fit: (2,4) (3,3) (1,3) (4,1)" },
        { { .in = { { 2, 4 }, { 2, 3 }, { 1, 3 }, { 3, 1 } }, .attr = { .i = { 2 } } },
          "lora: columns 2 to 5 of y; expected 0 <= from < to <= 4" },
        { { .in = { { 2, 3 }, { 2, 3 }, { 1, 3 }, { 3, 1 } }, .same = 2 },
          "lora: y and x are the same tensor, but y is consumed" },
        { { .in = { { 2, 4 }, { 2, 3 }, { 1, 3 }, { 4, 1 } }, .attr = { .r = { 1, 1.5 } } },
          "lora: the dropout probability is 1.5; expected at least 0 and below 1" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_lora(tn_tape *t, tn_tensor *y, tn_tensor *x, tn_tensor *a, tn_tensor *b, double s,
                   int64_t col, double p, uint64_t stream)
{
    return tn_apply(t, &tn_op_lora, (tn_tensor *[]){ y, x, a, b },
                    (tn_attr){ .i = { col }, .r = { s, p }, .u = stream });
}
