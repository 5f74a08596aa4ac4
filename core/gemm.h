/* gemm.h - the matrix product. Internal header. */
#ifndef TN_GEMM_H
#define TN_GEMM_H

#include "core/core.h"

/* What need not be computed, beyond the diagonal i + edge. Blocks of it are passed over. */
typedef enum tn_triangle {
    TN_NO_TRIANGLE,
    TN_A_LOWER, /* A[i][k] is 0 for k > i + edge */
    TN_A_UPPER, /* A[i][k] is 0 for k < i + edge */
    TN_C_LOWER  /* C[i][j] is not wanted for j > i + edge: it is left as it is, or not */
} tn_triangle;

typedef struct tn_product {
    int64_t m, n, k;                 /* C (m,n) = start + A (m,k) B (k,n) */
    const tn_real *a; int64_t ars, acs; /* element (i,k) of A at a[i*ars + k*acs]; one of the two is 1 */
    const tn_real *b; int64_t brs, bcs; /* element (k,j) of B at b[k*brs + j*bcs]; one of the two is 1 */
    tn_real *c; int64_t ldc;         /* row i of C at c + i*ldc */
    bool add;                        /* start is C itself; else zero, or the row `bias` */
    const tn_real *bias;             /* (n) or NULL: every row of C starts from it; not with add */
    tn_triangle triangle; int64_t edge;
} tn_product;

/* The order of sums is the definition: C[i][j] = start + s_0 + s_1 + ..., left to right, where s_b is
   the fma chain over k in [b*TN_KC, (b+1)*TN_KC) from 0. It does not depend on threads, ISA, m, or
   how an operand is stored, except: when acs != 1 (A is stored column-major: a sum over tokens) and
   min(m, n) <= 64, blocks are 256 long instead of TN_KC. k = 0 gives start. */
int tn_gemm(tn_context *c, const tn_product *p);           /* on all threads; 0 or TN_ENOMEM */
int tn_gemm_here(tn_context *c, int thread, const tn_product *p); /* on the calling thread: inside a parallel body */

#endif
