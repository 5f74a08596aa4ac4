/* kernels.h - the arithmetic that has one version per instruction set. Internal header.

   Every function is pure and runs on the calling thread. scalar.c is complete: it defines what the
   right bits are. In float every other file gives the same bits, for three reasons. A product puts
   different outputs, not terms of one sum, into the lanes of a vector. A sum over an array has 16
   lanes, whatever the width of a vector: at its end lane l + 8 is added to lane l, then lanes
   l + 4, l + 2 and l + 1. Fused multiply-adds are in the same places. */
#ifndef TN_KERNELS_H
#define TN_KERNELS_H

#include "core/core.h"

/* Length of one chain of multiply-adds in a product. The bits of a result depend on it. */
enum { TN_KC = 384 };

/* Numbers of a quantised type that are widened together (types.def). */
enum { TN_RUN = 32 };

/* A formula of elementwise.def, for n elements: to = beta to + formula. If beta is 0, `to` is not
   read. An operand that the formula does not need must also point to n numbers, of any value. */
typedef struct tn_elements {
    const tn_real *in[3]; /* the operands; in[0] is the result if the formula is one of y (MAP_Y) */
    const tn_real *dy;
    tn_real p, q;
} tn_elements;
typedef void tn_formula(int64_t n, const tn_elements *z, tn_real beta, tn_real *to);

/* The formulas of an elementwise op: of its result, and of the gradients of its operands. */
typedef struct tn_formulas {
    tn_formula *y, *dx[3];
} tn_formulas;

typedef struct tn_formula_table {
#define MAP(name, ...) tn_formulas name;
#define MAP_Y MAP
#define MAP_E MAP
#define MAP_PQ MAP
#define PAIR MAP
#define TERM MAP
#define PICK MAP
#include "core/kernels/elementwise.def"
} tn_formula_table;

typedef struct tn_kernels {
    const char *isa;
    /* One tile (rows,cols) of a product:
           c[i][j] = (start ? start[i][j] : 0) + sum_k a[i][k] b[k][j]
       The sum is one chain of fused multiply-adds: it begins at 0, and k < depth ascends. Then
       start is added. Element (i,k) of a is a[i*ars + k*acs]. Row k of b is at b + k*brs; it has
       tile_cols numbers even if cols is less. start may be c. cols <= tile_cols, depth <= TN_KC. */
    void (*tile)(int64_t rows, int64_t cols, int64_t depth, const tn_real *a, ptrdiff_t ars,
                 ptrdiff_t acs, const tn_real *b, ptrdiff_t brs, const tn_real *start,
                 ptrdiff_t start_stride, tn_real *c, ptrdiff_t ldc);
    int tile_cols;
    /* Makes a panel (depth,tile_cols), the b of a tile. Its row k is b[k*brs + j*bcs] for j < cols,
       then zeros. One of brs and bcs is 1. */
    void (*pack)(int64_t depth, int64_t cols, const tn_real *b, ptrdiff_t brs, ptrdiff_t bcs,
                 tn_real *panel);
    /* The same for numbers of any type but TN_REAL. Number k of column j is number from + j*stride
       + k of an array at any address. In types with blocks, from, stride and depth are multiples
       of TN_RUN. In columns from cols on the panel has any finite numbers. */
    void (*pack_wide)(tn_dtype type, const void *bytes, int64_t from, int64_t stride, int64_t depth,
                      int64_t cols, tn_real *panel);
    /* A transposed copy: to[j*ts + i] = from[i*fs + j] for i < rows, j < cols. */
    void (*turn)(int64_t rows, int64_t cols, const tn_real *from, ptrdiff_t fs, tn_real *to,
                 ptrdiff_t ts);

    /* Writes numbers [from, from + n) of an array to `to`, as tn_real. The array has any type and
       any address. In types with blocks, from and n are multiples of TN_RUN. */
    void (*widen)(tn_dtype type, const void *bytes, int64_t from, int64_t n, tn_real *to);

    tn_real (*sum)(int64_t n, const tn_real *x);
    tn_real (*dot)(int64_t n, const tn_real *x, const tn_real *y);
    tn_real (*max)(int64_t n, const tn_real *x); /* -inf for n = 0; a NaN is skipped */
    tn_real (*square_sum)(int64_t n, const tn_real *x, tn_real shift); /* sum (x - shift)^2 */
    /* y = exp(x - shift). Returns the sum of y. If x - shift < -87.3, y is 0. The relative error is
       less than 2e-7. x may be y. */
    tn_real (*exp_sum)(int64_t n, const tn_real *x, tn_real shift, tn_real *y);
    void (*axpy)(int64_t n, tn_real a, const tn_real *x, tn_real *y); /* y = fma(a, x, y) */
    void (*scale)(int64_t n, tn_real a, tn_real *x);                  /* x = a x */
    const tn_formula_table *formulas;                                 /* for elementwise ops */
    /* y = (x - mean) rstd w + b (b may be NULL) */
    void (*norm)(int64_t n, const tn_real *x, tn_real mean, tn_real rstd, const tn_real *w,
                 const tn_real *b, tn_real *y);
    /* dx = beta dx + rstd (dy w - m1 - (x - mean) rstd m2), m1 = mean(dy w), m2 = mean(dy w (x -
       mean) rstd) */
    void (*norm_back)(int64_t n, const tn_real *x, const tn_real *dy, tn_real mean, tn_real rstd,
                      const tn_real *w, tn_real beta, tn_real *dx);
    /* The same for y = x rstd w, where m1 and mean are 0. */
    void (*rms_back)(int64_t n, const tn_real *x, const tn_real *dy, tn_real rstd, const tn_real *w,
                     tn_real beta, tn_real *dx);
    tn_real (*log)(tn_real x); /* natural, relative error < 2e-7; -inf at 0 */

    /* Writes random numbers 4q to 4q+n-1 of a draw of a stream (tn_random). */
    void (*random)(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t q, int64_t n,
                   uint32_t *numbers);
    /* Fill x (n) from such random numbers, with the bits of tn_fill_uniform and tn_fill_normal. One
       x takes one number in uniform, two in normal. */
    void (*uniform)(int64_t n, const uint32_t *numbers, double bound, tn_real *x);
    void (*normal)(int64_t n, const uint32_t *numbers, double std, tn_real *x);
} tn_kernels;

/* The kernels named `isa`. NULL if this build does not have them or the CPU cannot run them. isa
   NULL means $TN_ISA; if that is not set, the best that the CPU can run. Only select.c asks the
   CPU. */
const tn_kernels *tn_kernels_select(const char *isa);
const tn_kernels *tn_kernels_of(const tn_context *c);

/* The first index of the largest of n > 0 numbers; *max becomes that number. A NaN is skipped. */
static inline int64_t tn_argmax_of(const tn_kernels *k, int64_t n, const tn_real *x, tn_real *max)
{
    int64_t i = 0;
    *max = k->max(n, x);
    while (i < n - 1 && x[i] != *max)
        i++;
    return i;
}

#define ISA(name) extern const tn_kernels tn_kernels_##name;
#include "core/kernels/isas.def"
#undef ISA

#endif
