/* norm.c - layer norm over the last dimension.

       y = (x - mean) r w + b,  r = 1 / sqrt(var + eps),  var = mean((x - mean)^2)

       with z = (x - mean) r and d = dy w:
       dx = r (d - mean(d) - z mean(d z))    dw = sum over rows of dy z    db = sum over rows of dy

   Ba, Kiros, Hinton, "Layer normalization", arXiv:1607.06450. Kept for backward: mean and r of each
   row. */
#include "core/ops/ops.h"

#include <math.h>

typedef struct job {
    const tn_kernels *kernels;
    int64_t rows, cols;
    double eps;
    const tn_real *x, *w, *b, *dy;
    tn_real *mean, *rstd; /* (N) */
    tn_real beta, *y;     /* the result, or dx */
} job;

static int norm_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *x = n->in[0], *w = n->in[1], *b = n->in[2];
    if (w->ndim != 1 || w->dim[0] != tn_cols(x) || (b && !tn_same_shape(b, w)))
        return tn_refuse_shapes(t, n);
    if (!(n->attr.r[0] > 0))
        return tn_refuse(t, n->op, TN_EARG, "eps is %g; expected more than 0", n->attr.r[0]);
    tn_like(out, x);
    return 0;
}

/* memory: (2,N), means and then r's. */
static job job_of(tn_tape *t, const tn_node *n, tn_real *memory)
{
    const tn_tensor *x = n->in[0], *b = n->in[2];
    return (job){
        .kernels = tn_kernels_on(t),
        .rows = tn_rows(x),
        .cols = tn_cols(x),
        .eps = n->attr.r[0],
        .x = x->x,
        .w = n->in[1]->x,
        .b = b ? b->x : NULL,
        .dy = n->out->g,
        .mean = memory,
        .rstd = memory + tn_rows(x),
    };
}

static void norm_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t r = from; r < to; r++) {
        const tn_real *x = j->x + r * j->cols; // (C)
        tn_real mean = j->kernels->sum(j->cols, x) / (tn_real)j->cols;
        tn_real var = j->kernels->square_sum(j->cols, x, mean) / (tn_real)j->cols;
        j->mean[r] = mean;
        j->rstd[r] = (tn_real)(1 / sqrt((double)var + j->eps));
        j->kernels->norm(j->cols, x, mean, j->rstd[r], j->w, j->b, j->y + r * j->cols);
    }
}

static void norm_forward(tn_tape *t, tn_node *n)
{
    size_t bytes = (size_t)(2 * tn_rows(n->in[0])) * sizeof(tn_real);
    tn_real *memory = n->wanted ? tn_keep(t, bytes) : tn_temporary(t, bytes);
    if (!memory)
        return;
    n->saved = memory;
    job j = job_of(t, n, memory);
    j.y = n->out->x;
    tn_over_rows(t, j.rows, j.cols, norm_rows, &j);
}

static void dx_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t r = from; r < to; r++) {
        int64_t at = r * j->cols;
        j->kernels->norm_back(j->cols, j->x + at, j->dy + at, j->mean[r], j->rstd[r], j->w, j->beta,
                              j->y + at);
    }
}

static void dw_rows(const void *arg, int64_t from, int64_t to, tn_real *sum)
{
    const job *j = arg;
    for (int64_t r = from; r < to; r++) {
        const tn_real *x = j->x + r * j->cols, *dy = j->dy + r * j->cols;
        for (int64_t c = 0; c < j->cols; c++)
            sum[c] += dy[c] * ((x[c] - j->mean[r]) * j->rstd[r]);
    }
}

/* y = (x - mean) r w + b */
static void norm_backward(tn_tape *t, const tn_node *n)
{
    job j = job_of(t, n, n->saved);
    j.y = tn_grad(t, n, 0, &j.beta); // (N,C)
    if (j.y)
        tn_over_rows(t, j.rows, j.cols, dx_rows, &j);
    tn_real beta, *dw = tn_grad(t, n, 1, &beta); // (C)
    if (dw)
        tn_sum_rows(t, j.rows, j.cols, dw_rows, &j, beta, dw);
    tn_real *db = tn_grad(t, n, 2, &beta); // (C)
    if (db)
        tn_sum_columns(t, j.rows, j.cols, j.dy, beta, db);
}

/* clang-format off */
const tn_op tn_op_layer_norm = { .name = "layer_norm", .inputs = 3, .optional = 4, .rows = 1,
    .shape = norm_shape, .forward = norm_forward, .backward = norm_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1 }, { 1 }, { 1 } }, .attr = { .r = { 1e-5 } } },
        { .in = { { 3, 5 }, { 5 }, { 5 } }, .attr = { .r = { 1e-5 } } },
        { .in = { { 2, 3, 17 }, { 17 } }, .attr = { .r = { 1e-5 } } },
        { .in = { { 300, 2 }, { 2 }, { 2 } }, .attr = { .r = { 0.1 } } },
        { .in = { { 7 }, { 7 } }, .attr = { .r = { 0.5 } } },
        { .in = { { 6 }, { 6 }, { 6 } }, .attr = { .r = { 1e-3 } }, .same = 6 },
        { .in = { { 1024, 768 }, { 768 }, { 768 } }, .attr = { .r = { 1e-5 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 }, { 2 } }, .attr = { .r = { 1e-5 } } }, "layer_norm: shapes do not fit: (2,3) (2)" },
        { { .in = { { 2, 3 }, { 3 }, { 4 } }, .attr = { .r = { 1e-5 } } },
          "layer_norm: shapes do not fit: (2,3) (3) (4)" },
        { { .in = { { 2, 3 }, { 3 } } }, "layer_norm: eps is 0; expected more than 0" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_layer_norm(tn_tape *t, tn_tensor *x, tn_tensor *w, tn_tensor *b, double eps)
{
    return tn_apply(t, &tn_op_layer_norm, (tn_tensor *[]){ x, w, b }, (tn_attr){ .r = { eps } });
}
