/* linear_xent.c - cross-entropy together with the output layer. loss.h has the formulas.

   It computes z = X W^T, or cap tanh(X W^T / cap), for one chunk of rows after the other, and only
   for rows with a label >= 0. So that it computes the logits only once, forward also computes the
   gradients, for dloss = 1:
       dX = dz W   dW = dz^T X */
#include "core/ops/loss.h"
#include "core/tape.h"

#include <math.h>
#include <string.h>

/* A chunk has at most about this many logits: 42 MB in float. Each chunk reads and packs W twice.
   (SmolLM2, 1024 rows, Zen 5: 208 rows take 0.93 of the time of 128, and 256 rows 0.92.) */
enum { LOGITS = 10 << 20 };

typedef struct kept {
    int64_t count;    /* rows with a label >= 0 */
    int64_t *index;   /* (count), their numbers */
    tn_real *dx, *dw; /* (count,C), (V,C) for dloss = 1; NULL: not wanted */
} kept;

static int linear_xent_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *x = n->in[0], *w = n->in[1];
    const double cap = n->attr.r[0];
    if (w->ndim != 2 || w->dim[1] != tn_cols(x))
        return tn_refuse_shapes(t, n);
    if (!(cap >= 0) || isinf(cap))
        return tn_refuse(t, n->op, TN_EARG,
                         "cap is %g; expected 0 (none) or a finite number above 0", cap);
    tn_shape_of(out, 1, 1, 1, 1, 1);
    return tn_check_labels(t, n, n->in[2], tn_rows(x), w->dim[0]);
}

/* dW is a sum over rows, which chunks cut into parts: with dW the number is a multiple of TN_KC,
   the length of a chain. */
int64_t tn_linear_xent_rows(int64_t vocab, bool dw)
{
    const int64_t unit = dw ? TN_KC : 16, least = dw ? TN_KC : 128;
    return tn_max(least, LOGITS / vocab / unit * unit);
}

/* Memory for backward, and the index of the rows that count. NULL when memory is out. */
static kept *new_kept(tn_tape *t, const tn_node *n)
{
    const tn_tensor *x = n->in[0], *w = n->in[1], *labels = n->in[2];
    bool dx = n->wanted && x->wants_grad, dw = n->wanted && w->wants_grad;
    kept *k = tn_keep(t, sizeof *k);
    if (!k)
        return NULL;
    k->count = tn_rows_that_count(labels);
    k->index = tn_keep(t, (size_t)k->count * sizeof *k->index);
    k->dx = dx ? tn_keep(t, (size_t)(k->count * tn_cols(x)) * sizeof(tn_real)) : NULL;
    k->dw = dw ? tn_keep(t, (size_t)tn_tensor_count(w) * sizeof(tn_real)) : NULL;
    if (!k->index || (dx && !k->dx) || (dw && !k->dw))
        return NULL;
    int64_t next = 0;
    for (int64_t i = 0; i < tn_tensor_count(labels); i++)
        if (labels->i[i] >= 0)
            k->index[next++] = i;
    return k;
}

typedef struct job {
    const tn_kernels *kernels;
    tn_context *context;
    int64_t cols;
    const int32_t *labels;
    tn_real *loss;       /* (N) */
    tn_real *z, *dz;     /* (rows,V), in the same memory; dz is NULL if no gradient is wanted */
    tn_real weight, cap; /* of the logits; 0: none */
    bool failed;         /* memory is out */
} job;

/* z (V) becomes y or, with dy, the gradient by the numbers from before, `plain` (V). */
static void cap_row(const job *j, const tn_real *plain, const tn_real *dy, tn_real *z)
{
    const tn_formulas *f = &j->kernels->formulas->soft_cap;
    const tn_elements e = { .in = { plain, plain, plain }, .dy = dy ? dy : plain, .p = j->cap };
    (dy ? f->dx[0] : f->y)(j->cols, &e, 0, z);
}

/* The losses of the rows of z. z then becomes dz, unless j->dz is NULL. */
static void chunk_loss(void *arg, int64_t from, int64_t to, int thread)
{
    job *j = arg;
    const size_t bytes = (size_t)j->cols * sizeof(tn_real);
    tn_real *plain =
        j->cap > 0 ? tn_thread_memory(j->context, thread, TN_SCRATCH_OP, bytes) : NULL; // (V)
    if (j->cap > 0 && !plain) {
        __atomic_store_n(&j->failed, true, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t r = from; r < to; r++) {
        tn_real *z = j->z + r * j->cols; // (V)
        if (plain)
            cap_row(j, memcpy(plain, z, bytes), NULL, z);
        tn_real max = j->kernels->max(j->cols, z), label = z[j->labels[r]];
        max = max == -(tn_real)INFINITY ? 0 : max;
        tn_real sum = j->kernels->exp_sum(j->cols, z, max, z);
        j->loss[r] = tn_row_loss(j->kernels, max, sum, label);
        if (!j->dz)
            continue;
        j->kernels->scale(j->cols, j->weight / sum, z);
        z[j->labels[r]] -= j->weight;
        if (plain)
            cap_row(j, plain, z, z);
    }
}

typedef struct chunk {
    int64_t from, rows, width; /* rows [from, from+rows) of those that count; C */
    tn_real *x;                /* (rows,C), gathered */
    int32_t *labels;           /* (rows) */
    job j;
} chunk;

/* One chunk: z = X W^T, the losses of its rows, dX = dz W and dW += dz^T X. */
static void run_chunk(tn_tape *t, const tn_node *n, const kept *k, chunk *c)
{
    const tn_tensor *x = n->in[0], *labels = n->in[2];
    int64_t vocab = c->j.cols, width = c->width;
    for (int64_t i = 0; i < c->rows; i++) {
        int64_t row = k->index[c->from + i];
        memcpy(c->x + i * width, x->x + row * width, (size_t)width * sizeof *c->x);
        c->labels[i] = labels->i[row];
    }
    tn_matrix left = tn_matrix_of(c->x, c->rows, width), w = tn_matrix_weight(n->in[1]);
    tn_multiply(t, n, tn_product_of(left, tn_transposed(w), 0, c->j.z, vocab));
    tn_over_rows(t, c->rows, vocab, chunk_loss, &c->j);
    if (c->j.failed)
        tn_no_memory(t, n);
    c->j.loss += c->rows;
    tn_matrix dz = tn_matrix_of(c->j.dz, c->rows, vocab);
    if (k->dx)
        tn_multiply(t, n, tn_product_of(dz, w, 0, k->dx + c->from * width, width));
    if (k->dw)
        tn_multiply(t, n, tn_product_of(tn_transposed(dz), left, c->from > 0, k->dw, width));
}

static void linear_xent_forward(tn_tape *t, tn_node *n)
{
    const tn_tensor *x = n->in[0], *w = n->in[1];
    int64_t vocab = w->dim[0], width = w->dim[1];
    kept *k = new_kept(t, n);
    if (!k)
        return;
    n->saved = k;
    int64_t rows = tn_min(tn_linear_xent_rows(vocab, k->dw != NULL), tn_rows(x));
    chunk c = { .width = width, .j = { .kernels = tn_kernels_on(t), .cols = vocab } };
    c.x = tn_temporary(t, (size_t)(rows * width) * sizeof *c.x);
    c.labels = tn_temporary(t, (size_t)rows * sizeof *c.labels);
    c.j.z = tn_temporary(t, (size_t)(rows * vocab) * sizeof *c.j.z);
    tn_real *loss = tn_temporary(t, (size_t)k->count * sizeof *loss);
    if (!c.x || !c.labels || !c.j.z || !loss)
        return;
    c.j.context = tn_tape_context(t);
    c.j.cap = (tn_real)n->attr.r[0];
    c.j.labels = c.labels;
    c.j.loss = loss;
    c.j.dz = k->dx || k->dw ? c.j.z : NULL;
    c.j.weight = (tn_real)tn_loss_weight(n, k->count);
    if (k->dw && k->count == 0)
        memset(k->dw, 0, (size_t)(vocab * width) * sizeof *k->dw);
    for (; c.from < k->count; c.from += rows) {
        c.rows = tn_min(rows, k->count - c.from);
        run_chunk(t, n, k, &c);
    }
    double sum = 0;
    for (int64_t i = 0; i < k->count; i++)
        sum += (double)loss[i];
    n->out->x[0] = (tn_real)(sum * tn_loss_weight(n, k->count));
}

typedef struct scaling {
    int64_t rows, cols;
    const int64_t *index; /* row r goes to row index[r]; NULL: to row r */
    const tn_real *from;  /* (rows,cols) */
    tn_real s, beta, *to;
} scaling;

static void scale_rows(void *arg, int64_t first, int64_t end, int thread)
{
    (void)thread;
    const scaling *j = arg;
    for (int64_t r = first; r < end; r++) {
        tn_real *to = j->to + (j->index ? j->index[r] : r) * j->cols;
        for (int64_t c = 0; c < j->cols; c++)
            tn_accumulate(&to[c], j->beta, j->s * j->from[r * j->cols + c]);
    }
}

/* loss = cross_entropy(x W^T). forward has kept the gradients for dloss = 1. */
static void linear_xent_backward(tn_tape *t, const tn_node *n)
{
    const kept *k = n->saved;
    const tn_tensor *x = n->in[0], *w = n->in[1];
    scaling j = {
        .rows = k->count, .cols = w->dim[1], .index = k->index, .from = k->dx, .s = n->out->g[0]
    };
    j.to = tn_grad(t, n, 0, &j.beta); // (N,C)
    if (j.to && j.beta == 0)
        memset(j.to, 0, (size_t)tn_tensor_count(x) * sizeof *j.to);
    if (j.to)
        tn_over_rows(t, j.rows, j.cols, scale_rows, &j);
    j.rows = w->dim[0];
    j.index = NULL;
    j.from = k->dw;
    j.to = tn_grad(t, n, 1, &j.beta); // (V,C)
    if (j.to)
        tn_over_rows(t, j.rows, j.cols, scale_rows, &j);
}

static tn_tensor *linear_xent_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    tn_tensor *z = tn_linear(t, in[0], in[1], NULL, TN_OUT_IN);
    return tn_cross_entropy(t, attr.r[0] > 0 ? tn_soft_cap(t, z, attr.r[0]) : z, in[2], attr.i[0]);
}

/* clang-format off */
const tn_op tn_op_linear_xent = { .name = "linear_xent", .inputs = 3, .ids = 4, .frozen = 2,
    .shape = linear_xent_shape, .forward = linear_xent_forward, .backward = linear_xent_backward,
    .reference = linear_xent_reference,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1 }, { 1, 1 }, { 1 } }, .ids = 1 },
        { .in = { { 3, 5 }, { 7, 5 }, { 3 } }, .ids = 7 },
        { .in = { { 2, 3, 4 }, { 5, 4 }, { 2, 3 } }, .ids = 5, .negative_ids = true },
        { .in = { { 4, 3 }, { 2, 3 }, { 4 } }, .attr = { .i = { 9 } }, .ids = 2, .negative_ids = true },
        { .in = { { 4, 4 }, { 4, 4 }, { 4 } }, .ids = 4, .same = 2 },
        { .in = { { 3, 5 }, { 7, 5 }, { 3 } }, .attr = { .r = { 1.5 } }, .ids = 7 },
        { .in = { { 40, 5 }, { 17, 5 }, { 40 } }, .attr = { .i = { 9 }, .r = { 3 } }, .ids = 17, .negative_ids = true },
        { .in = { { 1, 3 }, { 2, 3 }, { 1 } }, .ids = 1, .negative_ids = true },
        { .in = { { 400, 32 }, { 20011, 32 }, { 400 } }, .ids = 20011, .negative_ids = true, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 }, { 4, 2 }, { 2 } }, .ids = 4 }, "linear_xent: shapes do not fit: (2,3) (4,2) (2)" },
        { { .in = { { 2, 3 }, { 4, 3 }, { 3 } }, .ids = 4 }, "linear_xent: shapes do not fit: (2,3) (4,3) (3)" },
        { { .in = { { 2, 3 }, { 4, 3 }, { 2 } }, .ids = 6 },
          "linear_xent: label 5 at position 0; expected less than 4" },
        { { .in = { { 2, 3 }, { 4, 3 }, { 2 } }, .attr = { .r = { -1 } }, .ids = 4 },
          "linear_xent: cap is -1; expected 0 (none) or a finite number above 0" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_linear_xent(tn_tape *t, tn_tensor *x, tn_tensor *w, tn_tensor *labels, int64_t tokens,
                          double cap)
{
    return tn_apply(t, &tn_op_linear_xent, (tn_tensor *[]){ x, w, labels },
                    (tn_attr){ .i = { tokens }, .r = { cap } });
}
