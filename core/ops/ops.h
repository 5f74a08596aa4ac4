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
    TN_TOKEN_RANGE = 256, /* rows in one partial sum over tokens: part of the definition */
    TN_LINES = 256        /* columns of a task of tn_over_lines, at most */
};

/* The two commonest `shape` of an op: out is like operand 0; out is one number, (1). */
int tn_shape_as_first(tn_tape *t, const tn_node *n, tn_tensor *out);
int tn_shape_of_number(tn_tape *t, const tn_node *n, tn_tensor *out);

/* Runs body on all threads: over ranges of TN_CHUNK elements, or of rows (at least one) that hold
   about as many. */
void tn_over_elements(const tn_tape *t, int64_t count, tn_range_body *body, void *arg);
void tn_over_rows(const tn_tape *t, int64_t rows, int64_t cols, tn_range_body *body, void *arg);

/* *y = beta *y + v for beta 0 or 1; what *y held does not matter when beta is 0. */
static inline void tn_accumulate(tn_real *y, tn_real beta, tn_real v)
{
    *y = beta == 0 ? v : *y + v;
}

const tn_kernels *tn_kernels_on(const tn_tape *t); /* of the tape's context */

/* x as the matrix (N,C) whose rows are those of a: its values, or its gradient. */
tn_matrix tn_matrix_like(const tn_real *x, const tn_tensor *a);
/* The values of w, which may have any type, as the right operand of a product. The product widens
   a few rows at a time: a weight is never widened as a whole. */
tn_matrix tn_matrix_weight(const tn_tensor *w);
/* Runs the product on all threads. tn_no_memory sticks to the tape that memory is out. */
void tn_multiply(tn_tape *t, const tn_node *n, tn_product p);
void tn_no_memory(tn_tape *t, const tn_node *n);

/* y (cols) = beta y + a sum over rows: `body` adds rows [from, to) to sum, which starts at zero;
   the sums of ranges of TN_TOKEN_RANGE rows are added in order. */
typedef void tn_rows_sum(const void *arg, int64_t from, int64_t to, tn_real *sum);
void tn_sum_rows(tn_tape *t, int64_t rows, int64_t cols, tn_rows_sum *body, const void *arg,
                 tn_real beta, tn_real *y);
/* The same for the plain sums of the columns of x (rows,cols). */
void tn_sum_columns(tn_tape *t, int64_t rows, int64_t cols, const tn_real *x, tn_real beta,
                    tn_real *y);

/* y = beta y + x, on all threads. */
void tn_add_values(tn_tape *t, int64_t count, const tn_real *x, tn_real beta, tn_real *y);

/* A tensor seen along dimension `dim`: (outer, n, inner), n is the size of that dimension. `dim` may
   count from the end: -1 is the last. .dim is then the dimension from 0 on; -1: there is none. */
typedef struct tn_along {
    int dim;
    int64_t outer, n, inner;
} tn_along;
tn_along tn_along_of(const tn_tensor *a, int64_t dim);
/* Refuses a dimension that operand 0 does not have; else 0. */
int tn_refuse_dim(tn_tape *t, const tn_node *n, int64_t dim);
/* out gets a's shape without the dimension; with it, as 1, if `keep` or if a has no other. */
void tn_remove_dim(tn_tensor *out, const tn_tensor *a, int64_t dim, bool keep);
/* a and b have the same shape except in dimension `dim`, from 0 on. */
bool tn_same_but(const tn_tensor *a, const tn_tensor *b, int dim);
/* Runs body on all threads: on columns [from, to) of the matrix (n,inner) number `outer`. */
typedef void tn_lines_body(void *arg, int64_t outer, int64_t from, int64_t to);
void tn_over_lines(const tn_tape *t, tn_along along, tn_lines_body *body, void *arg);

/* da (outer,a.n,inner) = beta da, and dy (outer,n,inner) is added where the ids say, in order:
   da[o][ids[o][k][j]][j] += dy[o][k][j]. */
void tn_scatter(tn_tape *t, tn_along a, int64_t n, const int32_t *ids, const tn_real *dy,
                tn_real beta, tn_real *da);

/* y = beta y + x for `rows` rows of `cols` columns; row r is at `at` + r ld. x NULL: y = 0. */
typedef struct tn_rows_at {
    int64_t at, ld;
} tn_rows_at;
void tn_move(tn_tape *t, int64_t rows, int64_t cols, const tn_real *x, tn_rows_at from,
             tn_real beta, tn_real *y, tn_rows_at to);

/* One tensor of tn_drop; y NULL: none. */
typedef struct tn_masked {
    const tn_real *x;
    tn_real beta, *y;
} tn_masked;
/* y = beta y + x m / (1-p), element by element, m ~ Bernoulli(1-p) from the node's draw of
   `stream`. m is the same in every call, and for both tensors; the second one costs hardly
   anything. In evaluation, or with p 0, m / (1-p) is 1. */
void tn_drop(tn_tape *t, const tn_node *n, double p, uint64_t stream, int64_t count,
             tn_masked first, tn_masked second);
bool tn_drops(const tn_node *n, double p); /* in training, and p > 0 */
/* Refuses p unless 0 <= p < 1; else 0. */
int tn_refuse_dropout(tn_tape *t, const tn_node *n, double p);

#endif
