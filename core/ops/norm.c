/* norm.c - layer norm and rms norm over the last dimension.

       layer_norm: y = (x - mean) r w + b       r = 1 / sqrt(var + eps), var = mean((x - mean)^2)
       rms_norm:   y = x r (offset + w)         r = 1 / sqrt(mean(x^2) + eps)

   Both are y = z w' + b with z = (x - mean) r. In rms_norm mean is 0, w' is offset + w, and b is 0.
   With d = dy w':
       dx = r (d - mean(d) - z mean(d z))    dw = sum over rows of dy z    db = sum over rows of dy
   In rms_norm the term mean(d) is left out.

   Ba, Kiros, Hinton, "Layer normalization", arXiv:1607.06450; Zhang and Sennrich, "Root mean square
   layer normalization", arXiv:1910.07467. Kept for backward: r of each row, and its mean. */
#include "core/ops/ops.h"

#include <math.h>

typedef struct job {
    const tn_kernels *kernels;
    int64_t rows, cols;
    double eps;
    const tn_real *x, *w, *b, *dy; /* w is w' */
    tn_real *rstd, *mean;          /* (N) r and mean of each row; mean NULL: it is 0 */
    tn_real beta, *y;              /* the result, or dx */
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

/* w + offset: w itself if offset is 0, else temporary memory. NULL when memory is out. */
static const tn_real *moved(tn_tape *t, const tn_tensor *w, double offset)
{
    int64_t count = tn_tensor_count(w);
    tn_real *sum = offset == 0 ? NULL : tn_temporary(t, (size_t)count * sizeof *sum);
    for (int64_t i = 0; sum && i < count; i++)
        sum[i] = w->x[i] + (tn_real)offset;
    return offset == 0 ? w->x : sum;
}

/* `memory` has (N) numbers in rms_norm, (2,N) in layer_norm. j.w is NULL when memory is out. */
static job job_of(tn_tape *t, const tn_node *n, tn_real *memory)
{
    const tn_tensor *x = n->in[0], *b = n->in[2];
    return (job){
        .kernels = tn_kernels_on(t),
        .rows = tn_rows(x),
        .cols = tn_cols(x),
        .eps = n->attr.r[0],
        .x = x->x,
        .w = moved(t, n->in[1], n->attr.r[1]),
        .b = b ? b->x : NULL,
        .dy = n->out->g,
        .rstd = memory,
        .mean = n->op == &tn_op_layer_norm ? memory + tn_rows(x) : NULL,
    };
}

static tn_real mean_of(const job *j, int64_t r)
{
    return j->mean ? j->mean[r] : 0;
}

static void norm_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t r = from; r < to; r++) {
        const tn_real *x = j->x + r * j->cols; // (C)
        if (j->mean)
            j->mean[r] = j->kernels->sum(j->cols, x) / (tn_real)j->cols;
        tn_real mean = mean_of(j, r);
        tn_real var = j->kernels->square_sum(j->cols, x, mean) / (tn_real)j->cols;
        j->rstd[r] = (tn_real)(1 / sqrt((double)var + j->eps));
        j->kernels->norm(j->cols, x, mean, j->rstd[r], j->w, j->b, j->y + r * j->cols);
    }
}

static void norm_forward(tn_tape *t, tn_node *n)
{
    int64_t numbers = (n->op == &tn_op_layer_norm ? 2 : 1) * tn_rows(n->in[0]);
    size_t bytes = (size_t)numbers * sizeof(tn_real);
    tn_real *memory = n->wanted ? tn_keep(t, bytes) : tn_temporary(t, bytes);
    if (!memory)
        return;
    n->saved = memory;
    job j = job_of(t, n, memory);
    j.y = n->out->x;
    if (j.w)
        tn_over_rows(t, j.rows, j.cols, norm_rows, &j);
}

static void dx_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t r = from; r < to; r++) {
        int64_t at = r * j->cols;
        if (j->mean)
            j->kernels->norm_back(j->cols, j->x + at, j->dy + at, j->mean[r], j->rstd[r], j->w,
                                  j->beta, j->y + at);
        else
            j->kernels->rms_back(j->cols, j->x + at, j->dy + at, j->rstd[r], j->w, j->beta,
                                 j->y + at);
    }
}

static void dw_rows(const void *arg, int64_t from, int64_t to, tn_real *sum)
{
    const job *j = arg;
    for (int64_t r = from; r < to; r++) {
        const tn_real *x = j->x + r * j->cols, *dy = j->dy + r * j->cols, mean = mean_of(j, r);
        for (int64_t c = 0; c < j->cols; c++)
            sum[c] += dy[c] * ((x[c] - mean) * j->rstd[r]);
    }
}

/* y = (x - mean) r w' + b */
static void norm_backward(tn_tape *t, const tn_node *n)
{
    job j = job_of(t, n, n->saved);
    j.y = j.w ? tn_grad(t, n, 0, &j.beta) : NULL; // (N,C)
    if (j.y)
        tn_over_rows(t, j.rows, j.cols, dx_rows, &j);
    tn_real beta, *dw = tn_grad(t, n, 1, &beta); // (C)
    if (dw)
        tn_sum_rows(t, j.rows, j.cols, dw_rows, &j, beta, dw);
    tn_real *db = tn_grad(t, n, 2, &beta); // (C)
    if (db)
        tn_sum_columns(t, j.rows, j.cols, j.dy, beta, db);
}

/* ---- layer_norm: x, w, b?; attr.r[0] is eps ---- */

/* clang-format off */
const tn_op tn_op_layer_norm = { .name = "layer_norm", .inputs = 3, .optional = 4, .rows = 1,
    .shape = norm_shape, .forward = norm_forward, .backward = norm_backward, .again = true,
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

/* ---- rms_norm: x, w; attr.r holds eps and offset ---- */

static int rms_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    double offset = n->attr.r[1];
    if (offset != 0 && offset != 1)
        return tn_refuse(t, n->op, TN_EARG, "offset is %g; expected 0 or 1", offset);
    return norm_shape(t, n, out);
}

/* The row x, -x of twice the length has mean 0 and variance mean(x^2): layer_norm of it is rms_norm. */
static tn_tensor *rms_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    tn_tensor *x = in[0], *ones = tn_tape_input(t, TN_REAL, 1, in[1]->dim);
    for (int64_t i = 0; ones && i < tn_cols(x); i++)
        ones->x[i] = (tn_real)attr.r[1];
    tn_tensor *w = tn_add(t, in[1], ones);
    tn_tensor *both = tn_concat(t, 2, (tn_tensor *[]){ x, tn_scale(t, x, -1) }, -1);
    tn_tensor *twice = tn_concat(t, 2, (tn_tensor *[]){ w, w }, 0);
    return tn_slice(t, tn_layer_norm(t, both, twice, NULL, attr.r[0]), -1, 0, tn_cols(x));
}

/* clang-format off */
const tn_op tn_op_rms_norm = { .name = "rms_norm", .inputs = 2, .rows = 1,
    .shape = rms_shape, .forward = norm_forward, .backward = norm_backward, .again = true,
    .reference = rms_reference,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1 }, { 1 } }, .attr = { .r = { 1e-5 } } },
        { .in = { { 3, 5 }, { 5 } }, .attr = { .r = { 1e-5, 1 } } },
        { .in = { { 2, 3, 17 }, { 17 } }, .attr = { .r = { 1e-6 } } },
        { .in = { { 300, 2 }, { 2 } }, .attr = { .r = { 0.1, 1 } } },
        { .in = { { 6 }, { 6 } }, .attr = { .r = { 1e-3, 1 } }, .same = 2 },
        { .in = { { 1024, 768 }, { 768 } }, .attr = { .r = { 1e-6 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 }, { 2 } }, .attr = { .r = { 1e-5 } } }, "rms_norm: shapes do not fit: (2,3) (2)" },
        { { .in = { { 2, 3 }, { 1, 3 } }, .attr = { .r = { 1e-5 } } }, "rms_norm: shapes do not fit: (2,3) (1,3)" },
        { { .in = { { 2, 3 }, { 3 } }, .attr = { .r = { -1 } } }, "rms_norm: eps is -1; expected more than 0" },
        { { .in = { { 2, 3 }, { 3 } }, .attr = { .r = { 1e-5, 2 } } }, "rms_norm: offset is 2; expected 0 or 1" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_rms_norm(tn_tape *t, tn_tensor *x, tn_tensor *w, double eps, double offset)
{
    return tn_apply(t, &tn_op_rms_norm, (tn_tensor *[]){ x, w }, (tn_attr){ .r = { eps, offset } });
}
