/* softmax.c - softmax and log_softmax over the last dimension.
   A row in which every number is -inf gives 0 (softmax) and -inf (log_softmax).

       softmax:      y = exp(a - max a) / sum exp(a - max a)    da = y (dy - sum(y dy))
       log_softmax:  y = (a - max a) - log(sum exp(a - max a))  da = dy - exp(y) sum(dy) */
#include "core/ops/ops.h"

#include <math.h>

typedef struct job {
    const tn_kernels *kernels;
    int64_t rows, cols;
    const tn_real *a, *y, *dy;
    tn_real beta, *to; /* y, or da */
} job;

/* Runs body over the rows: it writes to = beta to + its result. Does nothing if `to` is NULL. */
static void over_rows(tn_tape *t, const tn_node *n, tn_range_body *body, tn_real beta, tn_real *to)
{
    const tn_tensor *a = n->in[0];
    job j = {
        .kernels = tn_kernels_on(t),
        .rows = tn_rows(a),
        .cols = tn_cols(a),
        .a = a->x,
        .y = n->out->x,
        .dy = n->out->g,
        .beta = beta,
        .to = to,
    };
    if (to)
        tn_over_rows(t, j.rows, j.cols, body, &j);
}

static void softmax_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t r = from; r < to; r++) {
        const tn_real *a = j->a + r * j->cols; // (C)
        tn_real *y = j->to + r * j->cols;      // (C)
        tn_real max = j->kernels->max(j->cols, a);
        tn_real sum = j->kernels->exp_sum(j->cols, a, max == -(tn_real)INFINITY ? 0 : max, y);
        if (sum != 0)
            j->kernels->scale(j->cols, 1 / sum, y);
    }
}

static void softmax_forward(tn_tape *t, tn_node *n)
{
    over_rows(t, n, softmax_rows, 0, n->out->x);
}

static void da_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t r = from; r < to; r++) {
        const tn_real *y = j->y + r * j->cols, *dy = j->dy + r * j->cols;
        tn_real *da = j->to + r * j->cols, dot = j->kernels->dot(j->cols, y, dy);
        for (int64_t c = 0; c < j->cols; c++)
            tn_accumulate(&da[c], j->beta, y[c] * (dy[c] - dot));
    }
}

/* y = softmax(a) */
static void softmax_backward(tn_tape *t, const tn_node *n)
{
    tn_real beta, *da = tn_grad(t, n, 0, &beta);
    over_rows(t, n, da_rows, beta, da);
}

/* clang-format off */
const tn_op tn_op_softmax = { .name = "softmax", .inputs = 1, .rows = 1, .reads_result = true,
    .shape = tn_shape_as_first, .forward = softmax_forward, .backward = softmax_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1 } } },
        { .in = { { 3, 5 } } },
        { .in = { { 2, 3, 17 } } },
        { .in = { { 40, 2 } } },
        { .in = { { 1024, 1024 } }, .bench = true },
        { .in = { { 0 } } } } };
/* clang-format on */

tn_tensor *tn_softmax(tn_tape *t, tn_tensor *a)
{
    return tn_apply(t, &tn_op_softmax, (tn_tensor *[]){ a }, (tn_attr){ 0 });
}

/* ---- log_softmax ---- */

static void log_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t r = from; r < to; r++) {
        const tn_real *a = j->a + r * j->cols; // (C)
        tn_real *y = j->to + r * j->cols;      // (C)
        tn_real max = j->kernels->max(j->cols, a);
        max = max == -(tn_real)INFINITY ? 0 : max;
        tn_real sum = j->kernels->exp_sum(j->cols, a, max, y);
        tn_real log = sum == 0 ? 0 : j->kernels->log(sum);
        for (int64_t c = 0; c < j->cols; c++)
            y[c] = (a[c] - max) - log;
    }
}

static void log_softmax_forward(tn_tape *t, tn_node *n)
{
    over_rows(t, n, log_rows, 0, n->out->x);
}

enum { PIECE = 512 }; /* columns whose exp is computed at a time */

static void log_da_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    tn_real e[PIECE];
    for (int64_t r = from; r < to; r++) {
        const tn_real *y = j->y + r * j->cols, *dy = j->dy + r * j->cols;
        tn_real *da = j->to + r * j->cols, sum = j->kernels->sum(j->cols, dy);
        for (int64_t first = 0; first < j->cols; first += PIECE) {
            int64_t count = tn_min(PIECE, j->cols - first);
            j->kernels->exp_sum(count, y + first, 0, e);
            for (int64_t c = 0; c < count; c++)
                tn_accumulate(&da[first + c], j->beta, dy[first + c] - e[c] * sum);
        }
    }
}

/* y = log softmax(a) */
static void log_softmax_backward(tn_tape *t, const tn_node *n)
{
    tn_real beta, *da = tn_grad(t, n, 0, &beta);
    over_rows(t, n, log_da_rows, beta, da);
}

/* clang-format off */
const tn_op tn_op_log_softmax = { .name = "log_softmax", .inputs = 1, .rows = 1, .reads_result = true,
    .shape = tn_shape_as_first, .forward = log_softmax_forward, .backward = log_softmax_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1 } } },
        { .in = { { 3, 5 } } },
        { .in = { { 2, 3, 17 } } },
        { .in = { { 2, 700 } } },
        { .in = { { 1024, 1024 } }, .bench = true },
        { .in = { { 0 } } } } };
/* clang-format on */

tn_tensor *tn_log_softmax(tn_tape *t, tn_tensor *a)
{
    return tn_apply(t, &tn_op_log_softmax, (tn_tensor *[]){ a }, (tn_attr){ 0 });
}
