/* linalg.h - the algebra of LoRA factors, in double.
   Tall (n,r) matrices as the weights hold them, and small (r,r) ones, row-major. Nothing of size
   m x n is ever formed. Internal header.

       tn_tall y = { u->f[0].x, u->in, r, true };
       tn_tall_gram(y, y, work, wide, gram);             Y^T Y
       tn_inverse_root(r, gram, 0, work, t);             Y T has orthonormal columns

   Sums run in a fixed order, so no bit depends on `wide`, the CPU or the thread. */
#ifndef TN_LINALG_H
#define TN_LINALG_H

#include "core/core.h"

typedef struct tn_tall { /* (n,r) */
    const tn_real *x;
    int64_t n, r;
    bool by_column; /* element (i,j) at x[j n + i], as in lora_A (R,in); else at x[i r + j] */
} tn_tall;

/* Doubles of scratch that the functions of tall matrices need. */
size_t tn_tall_work(int64_t r);
/* out (r,r) = X^T Y. wide: vectors of AVX2 may be used. */
void tn_tall_gram(tn_tall x, tn_tall y, double *work, bool wide, double *out);
/* out = G K + Y L, with out stored as G is; K and L (r,r); L NULL: G K alone. out may be y.x. */
void tn_tall_combine(tn_tall g, const double *k, tn_tall y, const double *l, double *work,
                     bool wide, tn_real *out);
/* out = G K + keep Y: what tn_tall_combine gives for L = keep I, bit for bit, in two thirds of the time. */
void tn_tall_add(tn_tall g, const double *k, tn_tall y, double keep, double *work, bool wide,
                 tn_real *out);

/* out = a b, a^T b, a b^T. out is neither a nor b. */
void tn_small_ab(int64_t r, const double *a, const double *b, double *out);
void tn_small_atb(int64_t r, const double *a, const double *b, double *out);
void tn_small_abt(int64_t r, const double *a, const double *b, double *out);
void tn_small_symmetric(int64_t r, double *a); /* a = (a + a^T) / 2 */
void tn_small_diagonal(int64_t r, double d, double *out); /* out = d I */
double tn_small_trace(int64_t r, const double *a);

/* Symmetric a = sum over k of w[k] e_k e_k^T, w ascending, e_k row k of e. a is destroyed;
   work: 3 r doubles. */
void tn_eigen(int64_t r, double *a, double *w, double *work, double *e);
/* out = sum over k of f[k] e_k e_k^T. work: (r,r). */
void tn_from_eigen(int64_t r, const double *f, const double *e, double *work, double *out);
/* Share of the largest eigenvalue of X^T X below which one counts as zero: the square of the usual
   r eps for singular values, with eps of tn_real, but never below the rounding of X^T X itself. */
double tn_gram_cut(int64_t r);
/* t with t t^T = gram^+: X t is an orthonormal basis of X's columns, t the pseudo-inverse of the R
   that belongs to it. Directions whose eigenvalue is at most tn_gram_cut, or `cut`, of the largest
   are zero columns of t. work: 2 r r + 4 r doubles. */
void tn_inverse_root(int64_t r, const double *gram, double cut, double *work, double *t);
/* out = gram^-1/2, symmetric: X out is the polar factor msign(X) of X with X^T X = gram. Eigenvalues
   up to `cut` times the largest one, or tn_gram_cut times `size`, count as zero. work: 2 r r + 4 r
   doubles. */
void tn_symmetric_inverse_root(int64_t r, const double *gram, double size, double cut, double *work,
                               double *out);

#endif
