/* packed.h - the right operand of many small products, which is packed once.
   Internal header.

       tn_packed w = tn_packed_of(t, b);                             b (k,n)
       if (w.x) tn_packed_add(&w, rows, a, c);                       c (rows,n) += a (rows,k) b

   It is temporary memory of the tape. Every thread may use it. */
#ifndef TN_PACKED_H
#define TN_PACKED_H

#include "core/ops/ops.h"

typedef struct tn_packed {
    const tn_kernels *kernels;
    int64_t k, n, width; /* width: n, and the columns that fill the last panel */
    tn_real *x;          /* slabs of TN_KC rows, each in panels (gemm.c). NULL when memory is out */
} tn_packed;

/* Rows in memory: row r at x + r ld. */
typedef struct tn_view {
    tn_real *x;
    int64_t ld;
} tn_view;

tn_packed tn_packed_of(tn_tape *t, tn_matrix b); /* of TN_REAL */
/* On the calling thread, with the bits of tn_gemm. */
void tn_packed_add(const tn_packed *p, int64_t rows, tn_view a, tn_view c);

#endif
