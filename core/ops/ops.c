/* ops.c - functions that the ops share: loops over elements and rows, products, sums over tokens. */
#include "core/ops/ops.h"

#include <string.h>

const tn_kernels *tn_kernels_on(const tn_tape *t)
{
    return tn_kernels_of(tn_tape_context(t));
}

int tn_shape_as_first(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    (void)t;
    tn_like(out, n->in[0]);
    return 0;
}

int tn_shape_of_number(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    (void)t;
    (void)n;
    tn_shape_of(out, 1, 1, 1, 1, 1);
    return 0;
}

void tn_no_memory(tn_tape *t, const tn_node *n)
{
    tn_refuse(t, n->op, TN_ENOMEM, "out of memory");
}

void tn_over_elements(const tn_tape *t, int64_t count, tn_range_body *body, void *arg)
{
    tn_parallel_ranges(tn_tape_context(t), count, TN_CHUNK, body, arg);
}

void tn_over_rows(const tn_tape *t, int64_t rows, int64_t cols, tn_range_body *body, void *arg)
{
    int64_t length = cols >= TN_CHUNK ? 1 : TN_CHUNK / (cols > 0 ? cols : 1);
    tn_parallel_ranges(tn_tape_context(t), rows, length, body, arg);
}

tn_matrix tn_matrix_like(const tn_real *x, const tn_tensor *a)
{
    return tn_matrix_of(x, tn_rows(a), tn_cols(a));
}

tn_matrix tn_matrix_weight(const tn_tensor *w)
{
    return (tn_matrix){ w->data, w->dtype, tn_rows(w), tn_cols(w), tn_cols(w), 1 };
}

void tn_multiply(tn_tape *t, const tn_node *n, tn_product p)
{
    if (tn_gemm(tn_tape_context(t), &p))
        tn_no_memory(t, n);
}

/* ---- values that are added ---- */

typedef struct passing {
    const tn_real *x;
    tn_real beta, *y;
} passing;

static void pass_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const passing *j = arg;
    const tn_real *x = j->x;
    tn_real *y = j->y, beta = j->beta;
    for (int64_t i = from; i < to; i++)
        tn_accumulate(&y[i], beta, x[i]);
}

void tn_add_values(tn_tape *t, int64_t count, const tn_real *x, tn_real beta, tn_real *y)
{
    passing j = { .x = x, .beta = beta, .y = y };
    tn_over_elements(t, count, pass_range, &j);
}

/* ---- sums over tokens ---- */

typedef struct token_sum {
    int64_t cols;
    tn_rows_sum *body;
    const void *arg;
    tn_real *part; /* (ranges,cols) */
} token_sum;

static void sum_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const token_sum *s = arg;
    tn_real *part = s->part + from / TN_TOKEN_RANGE * s->cols; // (cols)
    memset(part, 0, (size_t)s->cols * sizeof *part);
    s->body(s->arg, from, to, part);
}

void tn_sum_rows(tn_tape *t, int64_t rows, int64_t cols, tn_rows_sum *body, const void *arg,
                 tn_real beta, tn_real *y)
{
    int64_t ranges = tn_ranges(rows, TN_TOKEN_RANGE);
    token_sum s = { .cols = cols, .body = body, .arg = arg };
    s.part = tn_temporary(t, (size_t)(ranges * cols) * sizeof *s.part);
    if (!s.part)
        return;
    tn_parallel_ranges(tn_tape_context(t), rows, TN_TOKEN_RANGE, sum_range, &s);
    if (beta == 0)
        memset(y, 0, (size_t)cols * sizeof *y);
    for (int64_t i = 0; i < ranges; i++)
        tn_kernels_on(t)->axpy(cols, 1, s.part + i * cols, y);
}

bool tn_reads_nothing(const tn_node *n, int i)
{
    (void)n, (void)i;
    return false;
}

typedef struct columns {
    const tn_kernels *kernels;
    int64_t cols;
    const tn_real *x;
} columns;

static void add_rows(const void *arg, int64_t from, int64_t to, tn_real *sum)
{
    const columns *c = arg;
    for (int64_t r = from; r < to; r++)
        c->kernels->axpy(c->cols, 1, c->x + r * c->cols, sum);
}

void tn_sum_columns(tn_tape *t, int64_t rows, int64_t cols, const tn_real *x, tn_real beta,
                    tn_real *y)
{
    columns c = { .kernels = tn_kernels_on(t), .cols = cols, .x = x };
    tn_sum_rows(t, rows, cols, add_rows, &c, beta, y);
}
