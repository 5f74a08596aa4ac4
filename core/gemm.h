/* gemm.h - the matrix product C = start + A B. Internal header; models use tn_matmul and tn_linear.

       tn_product p = tn_product_of(tn_matrix_of(a, 4, 2), tn_matrix_of(b, 2, 3), 0, y, 3);
       if (tn_gemm(c, &p)) ...                            y (4,3) = a (4,2) b (2,3)

   The caller owns all memory; C must not overlap A or B. Errors: TN_ENOMEM if the scratch of a
   thread cannot be allocated; C is then partly written. */
#ifndef TN_GEMM_H
#define TN_GEMM_H

#include "core/op.h"

#include <assert.h>

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

/* The part of a product that is not needed and skipped, relative to the diagonal i + edge. */
typedef enum tn_triangle {
    TN_NO_TRIANGLE,
    TN_A_LOWER, /* A[i][k] is 0 for k > i + edge */
    TN_A_UPPER, /* A[i][k] is 0 for k < i + edge */
    TN_C_LOWER  /* C[i][j] is unspecified for j > i + edge: it may be overwritten */
} tn_triangle;

/* A matrix that a product reads: element (i,j) is number i*rs + j*cs of an array. One of rs and cs
   is 1. A left operand is TN_REAL. A right operand may have any type (types.def). If that is not
   TN_REAL, it may lie at any address. In a type with blocks the other stride, and the dimension
   that is contiguous, are multiples of TN_RUN. */
typedef struct tn_matrix {
    const void *bytes;
    tn_dtype type;
    int64_t rows, cols, rs, cs;
} tn_matrix;

/* Columns of a row-major matrix that is `ld` wide. */
static inline tn_matrix tn_matrix_part(const tn_real *x, int64_t rows, int64_t cols, int64_t ld)
{
    return (tn_matrix){ x, TN_REAL, rows, cols, ld, 1 };
}

/* A whole row-major matrix. */
static inline tn_matrix tn_matrix_of(const tn_real *x, int64_t rows, int64_t cols)
{
    return tn_matrix_part(x, rows, cols, cols);
}

static inline tn_matrix tn_transposed(tn_matrix a)
{
    return (tn_matrix){ a.bytes, a.type, a.cols, a.rows, a.cs, a.rs };
}

typedef struct tn_product {
    int64_t m, n, k; /* C (m,n) = start + A (m,k) B (k,n) */
    const tn_real *a;
    int64_t ars, acs; /* element (i,k) of A at a[i*ars + k*acs]; one of the two is 1 */
    tn_matrix b;      /* (k,n), of any type */
    tn_real *c;
    int64_t ldc;         /* row i of C at c + i*ldc */
    bool add;            /* start is C itself; else zero, or the row `bias` */
    const tn_real *bias; /* (n) or NULL: every row of C starts from it; not with add */
    tn_triangle triangle;
    int64_t edge; /* moves the diagonal of the triangle */
} tn_product;

/* C = beta C + A B with beta 0 or 1. A has as many columns as B has rows, and is TN_REAL. */
static inline tn_product tn_product_of(tn_matrix a, tn_matrix b, tn_real beta, tn_real *c,
                                       int64_t ldc)
{
    assert(a.type == TN_REAL);
    tn_product p = { .m = a.rows, .n = b.cols, .k = a.cols, .c = c, .ldc = ldc, .add = beta != 0 };
    p.a = a.bytes, p.ars = a.rs, p.acs = a.cs;
    p.b = b;
    return p;
}

/* The order of sums is part of the definition: C[i][j] = start + s_0 + s_1 + ..., added from left
   to right. s_b is one chain of fused multiply-adds, which begins at 0 and takes k from b TN_KC to
   (b + 1) TN_KC - 1 in ascending order. Threads, instruction set, m, the layout of an operand and
   the type of B do not change it. One exception: if A is stored column-major (acs is not 1: a sum
   over tokens) and min(m, n) <= 64, chains are 256 long. k = 0 gives start. */
int tn_gemm(tn_context *c, const tn_product *p); /* on all threads */
/* Runs on the calling thread, inside a parallel body. */
int tn_gemm_here(tn_context *c, int thread, const tn_product *p);

#endif
