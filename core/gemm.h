/* gemm.h - the matrix product C = start + A B. Internal header; models use tn_matmul and tn_linear.

       tn_gemm(c, &(tn_product){ .m = 4, .n = 3, .k = 2, .a = a, .ars = 2, .acs = 1,
                                 .b = b, .brs = 3, .bcs = 1, .c = y, .ldc = 3 });

   The caller owns all memory. Errors: TN_ENOMEM if the working memory of a thread cannot be
   allocated; C is then partly written. */
#ifndef TN_GEMM_H
#define TN_GEMM_H

#include "core/op.h"

static inline int64_t tn_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t tn_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How many ranges of `length` cover `count`. */
static inline int64_t tn_ranges(int64_t count, int64_t length)
{
    return (count + length - 1) / length;
}

/* Which part of a product is not needed, relative to the diagonal i + edge. Work there is skipped. */
typedef enum tn_triangle {
    TN_NO_TRIANGLE,
    TN_A_LOWER, /* A[i][k] is 0 for k > i + edge */
    TN_A_UPPER, /* A[i][k] is 0 for k < i + edge */
    TN_C_LOWER  /* C[i][j] is unspecified for j > i + edge: it may be overwritten */
} tn_triangle;

/* clang-format off */
typedef struct tn_product {
    int64_t m, n, k;                 /* C (m,n) = start + A (m,k) B (k,n) */
    const tn_real *a; int64_t ars, acs; /* element (i,k) of A at a[i*ars + k*acs]; one of the two is 1 */
    const tn_real *b; int64_t brs, bcs; /* element (k,j) of B at b[k*brs + j*bcs]; one of the two is 1 */
    tn_real *c; int64_t ldc;         /* row i of C at c + i*ldc */
    bool add;                        /* start is C itself; else zero, or the row `bias` */
    const tn_real *bias;             /* (n) or NULL: every row of C starts from it; not with add */
    tn_triangle triangle; int64_t edge;
} tn_product;
/* clang-format on */

/* The order of sums is part of the definition: C[i][j] = start + s_0 + s_1 + ..., added from left to
   right. s_b is one chain of fused multiply-adds, which begins at 0 and takes k from b TN_KC to
   (b + 1) TN_KC - 1 in ascending order. Threads, instruction set, m and the layout of an operand do
   not change it. One exception: if A is stored column-major (acs is not 1: a sum over tokens) and
   min(m, n) <= 64, chains are 256 long. k = 0 gives start. */
int tn_gemm(tn_context *c, const tn_product *p); /* on all threads */
int tn_gemm_here(tn_context *c, int thread,
                 const tn_product *p); /* on the calling thread, inside a parallel body */

#endif
