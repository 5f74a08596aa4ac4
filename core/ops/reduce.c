/* reduce.c - sum and mean of all elements.
   Each chunk of TN_CHUNK elements is summed in tn_real. The sums of the chunks are added in order, in
   double.

       sum:  y = sum a      da = dy
       mean: y = sum a / n  da = dy / n */
#include "core/ops/ops.h"

typedef struct job {
    const tn_kernels *kernels;
    const tn_real *a;
    tn_real *part; /* (chunks) */
    tn_real s, beta, *da;
} job;

static void sum_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    j->part[from / TN_CHUNK] = j->kernels->sum(to - from, j->a + from);
}

/* y = the sum / divisor */
static void reduce(tn_tape *t, tn_node *n, int64_t divisor)
{
    int64_t count = tn_tensor_count(n->in[0]), chunks = tn_ranges(count, TN_CHUNK);
    job j = { .kernels = tn_kernels_on(t), .a = n->in[0]->x };
    j.part = tn_temporary(t, (size_t)chunks * sizeof *j.part);
    if (!j.part)
        return;
    tn_over_elements(t, count, sum_range, &j);
    double sum = 0;
    for (int64_t i = 0; i < chunks; i++)
        sum += (double)j.part[i];
    n->out->x[0] = (tn_real)(sum / (double)divisor);
}

static void spread_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t i = from; i < to; i++)
        tn_accumulate(&j->da[i], j->beta, j->s);
}

/* Every element of da gets dy / divisor. */
static void spread(tn_tape *t, const tn_node *n, int64_t divisor)
{
    job j = { .s = n->out->g[0] / (tn_real)divisor };
    j.da = tn_grad(t, n, 0, &j.beta);
    if (j.da)
        tn_over_elements(t, tn_tensor_count(n->in[0]), spread_range, &j);
}

static const tn_sample samples[] = {
    { .in = { { 1 } } },
    { .in = { { 3, 5 } } },
    { .in = { { 2, 3, 17 } } },
    { .in = { { 2, 1, 3, 2 } } },
    { .in = { { 1024, 769 } }, .bench = true },
    { .in = { { 0 } } },
};

/* ---- sum ---- */

static void sum_forward(tn_tape *t, tn_node *n)
{
    reduce(t, n, 1);
}

static void sum_backward(tn_tape *t, const tn_node *n)
{
    spread(t, n, 1);
}

/* clang-format off */
const tn_op tn_op_sum = { .name = "sum", .inputs = 1,
    .shape = tn_shape_of_number, .forward = sum_forward, .backward = sum_backward, .samples = samples };
/* clang-format on */

tn_tensor *tn_sum(tn_tape *t, tn_tensor *a)
{
    return tn_apply(t, &tn_op_sum, (tn_tensor *[]){ a }, (tn_attr){ 0 });
}

/* ---- mean ---- */

static void mean_forward(tn_tape *t, tn_node *n)
{
    reduce(t, n, tn_tensor_count(n->in[0]));
}

static void mean_backward(tn_tape *t, const tn_node *n)
{
    spread(t, n, tn_tensor_count(n->in[0]));
}

static tn_tensor *mean_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    (void)attr;
    return tn_scale(t, tn_sum(t, in[0]), 1 / (double)tn_tensor_count(in[0]));
}

/* clang-format off */
const tn_op tn_op_mean = { .name = "mean", .inputs = 1,
    .shape = tn_shape_of_number, .forward = mean_forward, .backward = mean_backward, .reference = mean_reference,
    .samples = samples };
/* clang-format on */

tn_tensor *tn_mean(tn_tape *t, tn_tensor *a)
{
    return tn_apply(t, &tn_op_mean, (tn_tensor *[]){ a }, (tn_attr){ 0 });
}
