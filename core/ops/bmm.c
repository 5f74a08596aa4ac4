/* bmm.c - products of a batch of matrices: C[b] = A[b] B[b].

       dA[b] = dC[b] B[b]^T    dB[b] = A[b]^T dC[b]

   If there are at least as many matrices as threads, each thread multiplies some of them. If there
   are fewer, all threads share each product. Both ways add in the same order (gemm.h). */
#include "core/ops/ops.h"

#include <stdatomic.h>

typedef struct job {
    tn_context *context;
    tn_product p;           /* the product of the first matrices */
    int64_t a, b, c, count; /* elements of one matrix a, b, c; number of matrices */
    atomic_bool no_memory;
} job;

static void move_on(tn_product *p, const job *j, int64_t i)
{
    *p = j->p;
    p->a += i * j->a;
    p->b.bytes = (const tn_real *)j->p.b.bytes + i * j->b;
    p->c += i * j->c;
}

static void multiply_one(void *arg, int64_t i, int thread)
{
    job *j = arg;
    tn_product p;
    move_on(&p, j, i);
    if (tn_gemm_here(j->context, thread, &p))
        atomic_store(&j->no_memory, true);
}

/* The first matrix of a; x holds its values or its gradient. */
static tn_matrix first_of(const tn_real *x, const tn_tensor *a)
{
    return tn_matrix_of(x, a->dim[a->ndim - 2], tn_cols(a));
}

/* c = beta c + a b, for each matrix of the batch. */
static void multiply_all(tn_tape *t, const tn_node *n, tn_matrix a, tn_matrix b, tn_real beta,
                         tn_real *c)
{
    job j = { .context = tn_tape_context(t),
              .p = tn_product_of(a, b, beta, c, b.cols),
              .a = a.rows * a.cols,
              .b = b.rows * b.cols,
              .c = a.rows * b.cols };
    j.count = tn_tensor_count(n->out) / (n->out->dim[n->out->ndim - 2] * tn_cols(n->out));
    if (j.count >= tn_context_threads(j.context)) {
        tn_parallel_for(j.context, j.count, multiply_one, &j);
        if (atomic_load(&j.no_memory))
            tn_no_memory(t, n);
        return;
    }
    for (int64_t i = 0; i < j.count; i++) {
        tn_product p;
        move_on(&p, &j, i);
        tn_multiply(t, n, p);
    }
}

static int bmm_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *a = n->in[0], *b = n->in[1];
    bool fits = a->ndim > 2 && a->ndim == b->ndim && tn_cols(a) == b->dim[b->ndim - 2];
    for (int i = 0; fits && i < a->ndim - 2; i++)
        fits = a->dim[i] == b->dim[i];
    if (!fits)
        return tn_refuse_shapes(t, n);
    tn_like(out, a);
    out->dim[a->ndim - 1] = tn_cols(b);
    return 0;
}

static void bmm_forward(tn_tape *t, tn_node *n)
{
    multiply_all(t, n, first_of(n->in[0]->x, n->in[0]), first_of(n->in[1]->x, n->in[1]), 0,
                 n->out->x);
}

/* C = A B */
static void bmm_backward(tn_tape *t, const tn_node *n)
{
    tn_matrix a = first_of(n->in[0]->x, n->in[0]), b = first_of(n->in[1]->x, n->in[1]);
    tn_matrix dc = first_of(n->out->g, n->out);
    tn_real beta, *da = tn_grad(t, n, 0, &beta); // (B,M,K)
    if (da)
        multiply_all(t, n, dc, tn_transposed(b), beta, da);
    tn_real *db = tn_grad(t, n, 1, &beta); // (B,K,N)
    if (db)
        multiply_all(t, n, tn_transposed(a), dc, beta, db);
}

/* One product per matrix. */
static tn_tensor *bmm_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    (void)attr;
    tn_tensor *out = NULL, *a = in[0], *b = in[1];
    const int nd = a->ndim;
    const int64_t m = a->dim[nd - 2], k = a->dim[nd - 1], n = b->dim[nd - 1];
    a = tn_reshape(t, a, 2, (int64_t[]){ tn_rows(a), k });
    b = tn_reshape(t, b, 2, (int64_t[]){ tn_rows(b), n });
    for (int64_t i = 0; i < tn_rows(in[0]) / m; i++) {
        tn_tensor *c = tn_matmul(t, tn_slice(t, a, 0, i * m, (i + 1) * m),
                                 tn_slice(t, b, 0, i * k, (i + 1) * k));
        out = out ? tn_concat(t, 2, (tn_tensor *[]){ out, c }, 0) : c;
    }
    int64_t dim[TN_MAX_NDIM] = { in[0]->dim[0], in[0]->dim[1], in[0]->dim[2], in[0]->dim[3] };
    dim[nd - 1] = n;
    return tn_reshape(t, out, nd, dim);
}

/* clang-format off */
const tn_op tn_op_bmm = { .name = "bmm", .inputs = 2, .rows = 3,
    .shape = bmm_shape, .forward = bmm_forward, .backward = bmm_backward, .reference = bmm_reference,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1, 1 }, { 1, 1, 1 } } },
        { .in = { { 2, 3, 5 }, { 2, 5, 7 } } },
        { .in = { { 2, 3, 1, 4 }, { 2, 3, 4, 6 } } },
        { .in = { { 5, 4, 4 }, { 5, 4, 4 } }, .same = 2 },
        { .in = { { 1, 70, 3 }, { 1, 3, 2 } } },
        { .in = { { 48, 128, 64 }, { 48, 64, 128 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3, 4 }, { 2, 3, 4 } } }, "bmm: shapes do not fit: (2,3,4) (2,3,4)" },
        { { .in = { { 2, 3, 4 }, { 1, 4, 5 } } }, "bmm: shapes do not fit: (2,3,4) (1,4,5)" },
        { { .in = { { 3, 4 }, { 4, 5 } } }, "bmm: shapes do not fit: (3,4) (4,5)" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_bmm(tn_tape *t, tn_tensor *a, tn_tensor *b)
{
    return tn_apply(t, &tn_op_bmm, (tn_tensor *[]){ a, b }, (tn_attr){ 0 });
}
