/* cross_entropy.c - the mean cross-entropy of rows of logits. loss.h has the formulas. */
#include "core/ops/loss.h"

#include <math.h>
#include <string.h>

int tn_check_labels(tn_tape *t, const tn_node *n, const tn_tensor *labels, int64_t rows,
                    int64_t classes)
{
    if (tn_tensor_count(labels) != rows)
        return tn_refuse_shapes(t, n);
    for (int64_t i = 0; i < rows; i++)
        if (labels->i[i] >= classes)
            return tn_refuse(t, n->op, TN_EARG,
                             "label %d at position %lld; expected less than %lld", labels->i[i],
                             (long long)i, (long long)classes);
    return 0;
}

int64_t tn_rows_that_count(const tn_tensor *labels)
{
    int64_t count = 0;
    for (int64_t i = 0; i < tn_tensor_count(labels); i++)
        count += labels->i[i] >= 0;
    return count;
}

double tn_loss_weight(const tn_node *n, int64_t rows)
{
    int64_t tokens = n->attr.i[0] > 0 ? n->attr.i[0] : rows;
    return tokens > 0 ? 1 / (double)tokens : 0;
}

tn_real tn_row_loss(const tn_kernels *k, tn_real max, tn_real sum, tn_real label)
{
    return sum == 0 ? (tn_real)INFINITY : (max - label) + k->log(sum);
}

/* ---- z, labels ---- */

typedef struct job {
    const tn_kernels *kernels;
    int64_t rows, cols;
    const tn_real *z; /* (N,V) */
    const int32_t *labels;
    tn_real *max, *sum; /* (N) max z, and the sum of exp(z - max) */
    tn_real *loss;      /* (N) */
    tn_real *memory;    /* (threads,V) */
    tn_real weight, beta, *dz;
} job;

/* Its memory is NULL when memory is out. */
static job job_of(tn_tape *t, const tn_tensor *z, const tn_tensor *labels)
{
    const size_t threads = (size_t)tn_context_threads(tn_tape_context(t));
    job j = { .kernels = tn_kernels_on(t),
              .rows = tn_rows(z),
              .cols = tn_cols(z),
              .z = z->x,
              .labels = labels->i };
    j.memory = tn_temporary(t, threads * (size_t)j.cols * sizeof *j.memory);
    return j;
}

static int cross_entropy_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *z = n->in[0];
    tn_shape_of(out, 1, 1, 1, 1, 1);
    return tn_check_labels(t, n, n->in[1], tn_rows(z), tn_cols(z));
}

static void loss_rows(void *arg, int64_t from, int64_t to, int thread)
{
    const job *j = arg;
    tn_real *e = j->memory + thread * j->cols; // (V)
    for (int64_t r = from; r < to; r++) {
        const tn_real *z = j->z + r * j->cols; // (V)
        j->loss[r] = 0;
        if (j->labels[r] < 0)
            continue;
        tn_real max = j->kernels->max(j->cols, z);
        j->max[r] = max == -(tn_real)INFINITY ? 0 : max;
        j->sum[r] = j->kernels->exp_sum(j->cols, z, j->max[r], e);
        j->loss[r] = tn_row_loss(j->kernels, j->max[r], j->sum[r], z[j->labels[r]]);
    }
}

/* max, sum (2,N): kept for backward. */
static void cross_entropy_forward(tn_tape *t, tn_node *n)
{
    const tn_tensor *z = n->in[0], *labels = n->in[1];
    job j = job_of(t, z, labels);
    j.max = tn_keep(t, (size_t)(2 * j.rows) * sizeof *j.max);
    j.loss = tn_temporary(t, (size_t)j.rows * sizeof *j.loss);
    if (!j.max || !j.loss || !j.memory)
        return;
    j.sum = j.max + j.rows;
    n->saved = j.max;
    tn_over_rows(t, j.rows, j.cols, loss_rows, &j);
    double loss = 0;
    for (int64_t r = 0; r < j.rows; r++)
        loss += (double)j.loss[r];
    n->out->x[0] = (tn_real)(loss * tn_loss_weight(n, tn_rows_that_count(labels)));
}

static void dz_rows(void *arg, int64_t from, int64_t to, int thread)
{
    const job *j = arg;
    tn_real *e = j->memory + thread * j->cols; // (V)
    for (int64_t r = from; r < to; r++) {
        bool counts = j->labels[r] >= 0;
        tn_real *dz = j->dz + r * j->cols; // (V)
        if (!counts && j->beta == 0)
            memset(dz, 0, (size_t)j->cols * sizeof *dz);
        if (!counts)
            continue;
        j->kernels->exp_sum(j->cols, j->z + r * j->cols, j->max[r], e);
        tn_real factor = j->weight / j->sum[r];
        for (int64_t c = 0; c < j->cols; c++)
            tn_accumulate(&dz[c], j->beta, factor * e[c]);
        dz[j->labels[r]] -= j->weight;
    }
}

/* loss = 1/M sum (log sum exp z) - z[label] */
static void cross_entropy_backward(tn_tape *t, const tn_node *n)
{
    const tn_tensor *z = n->in[0], *labels = n->in[1];
    job j = job_of(t, z, labels);
    j.max = n->saved;
    j.sum = j.max + j.rows;
    j.weight = n->out->g[0] * (tn_real)tn_loss_weight(n, tn_rows_that_count(labels));
    j.dz = j.memory ? tn_grad(t, n, 0, &j.beta) : NULL; // (N,V)
    if (j.dz)
        tn_over_rows(t, j.rows, j.cols, dz_rows, &j);
}

/* clang-format off */
const tn_op tn_op_cross_entropy = { .name = "cross_entropy", .inputs = 2, .ids = 2,
    .shape = cross_entropy_shape, .forward = cross_entropy_forward, .backward = cross_entropy_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1 }, { 1 } }, .ids = 1 },
        { .in = { { 3, 5 }, { 3 } }, .ids = 5 },
        { .in = { { 2, 3, 7 }, { 2, 3 } }, .ids = 7, .negative_ids = true },
        { .in = { { 4, 3 }, { 4 } }, .attr = { .i = { 9 } }, .ids = 3 },
        { .in = { { 30, 2 }, { 30 } }, .ids = 2, .negative_ids = true },
        { .in = { { 256, 10007 }, { 256 } }, .ids = 10007, .negative_ids = true, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 }, { 3 } }, .ids = 3 }, "cross_entropy: shapes do not fit: (2,3) (3)" },
        { { .in = { { 1, 1 }, { 1 } }, .ids = 2 }, "cross_entropy: label 1 at position 0; expected less than 1" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_cross_entropy(tn_tape *t, tn_tensor *z, tn_tensor *labels, int64_t tokens)
{
    return tn_apply(t, &tn_op_cross_entropy, (tn_tensor *[]){ z, labels },
                    (tn_attr){ .i = { tokens } });
}
