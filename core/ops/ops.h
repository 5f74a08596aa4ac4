/* ops.h - products, sums, shapes and scratch for the ops. Internal header.

       tn_matrix w = tn_matrix_weight(n->in[1]);              a weight (out,in) of any type
       tn_multiply(t, n, tn_product_of(dy, w, beta, dx, in)); dx = beta dx + dy w

   Ownership: what these return is temporary memory of the tape. Errors stick to the tape. */
#ifndef TN_OPS_H
#define TN_OPS_H

#include "core/gemm.h"
#include "core/kernels/kernels.h"
#include "core/op.h"

enum {
    TN_CHUNK = 16384,     /* elements in a range of an elementwise op */
    TN_TOKEN_RANGE = 256, /* rows in one partial sum over tokens; results depend on this number */
    TN_LINES = 256        /* the most columns in a task of tn_over_lines */
};

/* Two `shape` functions that many ops use. out gets the shape of operand 0; or out is (1). */
int tn_shape_as_first(tn_tape *t, const tn_node *n, tn_tensor *out);
int tn_shape_of_number(tn_tape *t, const tn_node *n, tn_tensor *out);

/* Runs body on all threads, over ranges of TN_CHUNK elements; or over ranges of rows, which have at
   most about TN_CHUNK elements but at least one row. */
void tn_over_elements(const tn_tape *t, int64_t count, tn_range_body *body, void *arg);
void tn_over_rows(const tn_tape *t, int64_t rows, int64_t cols, tn_range_body *body, void *arg);

/* *y = beta *y + v for beta 0 or 1. If beta is 0, *y is not read: it may be NaN. */
static inline void tn_accumulate(tn_real *y, tn_real beta, tn_real v)
{
    *y = beta == 0 ? v : *y + v;
}

const tn_kernels *tn_kernels_on(const tn_tape *t); /* of the tape's context */

/* For tn_op.reads of an op whose backward reads no operand. */
bool tn_reads_nothing(const tn_node *n, int i);

/* The matrix (N,C) with the rows of a. x is a->x or a->g. */
tn_matrix tn_matrix_like(const tn_real *x, const tn_tensor *a);
/* w, which may have any type, as the right operand of a product. The product widens a few of its
   rows at a time, never the whole weight. */
tn_matrix tn_matrix_weight(const tn_tensor *w);
/* Runs the product on all threads. If memory is out, it calls tn_no_memory, which sticks TN_ENOMEM
   to the tape. */
void tn_multiply(tn_tape *t, const tn_node *n, tn_product p);
void tn_no_memory(tn_tape *t, const tn_node *n);

/* y (cols) = beta y + a sum over rows. `body` adds rows [from, to) to `sum`, which is zero before.
   It is called for ranges of TN_TOKEN_RANGE rows, and their sums are added in order. */
typedef void tn_rows_sum(const void *arg, int64_t from, int64_t to, tn_real *sum);
void tn_sum_rows(tn_tape *t, int64_t rows, int64_t cols, tn_rows_sum *body, const void *arg,
                 tn_real beta, tn_real *y);
/* The same for the plain sums of the columns of x (rows,cols). */
void tn_sum_columns(tn_tape *t, int64_t rows, int64_t cols, const tn_real *x, tn_real beta,
                    tn_real *y);

/* y = beta y + x, on all threads. */
void tn_add_values(tn_tape *t, int64_t count, const tn_real *x, tn_real beta, tn_real *y);

/* A tensor as (outer, n, inner): n is the size of dimension `dim`, outer and inner are the products
   of the sizes before and after it. The argument `dim` may be negative: -1 is the last dimension.
   .dim is the same dimension counted from 0, or -1 if the tensor does not have it. */
typedef struct tn_along {
    int dim;
    int64_t outer, n, inner;
} tn_along;
tn_along tn_along_of(const tn_tensor *a, int64_t dim);
/* Refuses a dimension that operand 0 does not have. Returns 0 if it has it. */
int tn_refuse_dim(tn_tape *t, const tn_node *n, int64_t dim);
/* out gets a's shape without dimension `dim`. If `keep` is set, or if a has no other dimension, it
   stays, with size 1. */
void tn_remove_dim(tn_tensor *out, const tn_tensor *a, int64_t dim, bool keep);
/* True if a and b have the same shape except in dimension `dim`, which is counted from 0. */
bool tn_same_but(const tn_tensor *a, const tn_tensor *b, int dim);
/* Runs body on all threads, each time for columns [from, to) of matrix number `outer`, (n,inner). */
typedef void tn_lines_body(void *arg, int64_t outer, int64_t from, int64_t to);
void tn_over_lines(const tn_tape *t, tn_along along, tn_lines_body *body, void *arg);

/* da (outer,a.n,inner) = beta da. Then, in the order of k, for dy and ids (outer,n,inner):
   da[o][ids[o][k][j]][j] += dy[o][k][j]. */
void tn_scatter(tn_tape *t, tn_along a, int64_t n, const int32_t *ids, const tn_real *dy,
                tn_real beta, tn_real *da);

/* y = beta y + x for `rows` rows of `cols` columns. Row r begins at number `at` + r ld of x and of
   y. If x is NULL, y becomes 0. */
typedef struct tn_rows_at {
    int64_t at, ld;
} tn_rows_at;
void tn_move(tn_tape *t, int64_t rows, int64_t cols, const tn_real *x, tn_rows_at from,
             tn_real beta, tn_real *y, tn_rows_at to);

/* One tensor of tn_drop. y NULL: there is none. */
typedef struct tn_masked {
    const tn_real *x;
    tn_real beta, *y;
} tn_masked;
/* y = beta y + x m / (1-p), element by element, with m ~ Bernoulli(1-p) from `stream` and the draw
   of the node. m is the same in every call and for both tensors. The second tensor takes little
   more time. In evaluation, or if p is 0, y = beta y + x. */
void tn_drop(tn_tape *t, const tn_node *n, double p, uint64_t stream, int64_t count,
             tn_masked first, tn_masked second);
bool tn_drops(const tn_node *n, double p); /* true in training if p > 0 */
/* Refuses p unless 0 <= p < 1. Returns 0 if p is in this range. */
int tn_refuse_dropout(tn_tape *t, const tn_node *n, double p);

#endif
