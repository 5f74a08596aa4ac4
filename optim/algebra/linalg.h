/* linalg.h - the algebra of LoRA factors, in double.
   Tall matrices (n,r) lie as the weights do; tall.c has their functions. Small matrices (r,r) are
   row-major; linalg.c has theirs. Nothing of size m x n is ever formed. Internal header.

       tn_tall y = { u->f[TN_LORA_A].x, u->in, r, true };
       tn_tall_gram(y, y, work, wide, gram);             gram = Y^T Y
       tn_inverse_root(r, gram, 0, work, t);             Y t has orthonormal columns

   Sums run in a fixed order, so no bit depends on `wide`, the CPU or the thread. Nothing here
   allocates or fails; the caller gives the memory. */
#ifndef TN_LINALG_H
#define TN_LINALG_H

#include "core/core.h"

typedef struct tn_tall { /* (n,r) */
    const tn_real *x;
    int64_t n, r;
    bool by_column; /* element (i,j) is x[j n + i], as in lora_A (R,in); else it is x[i r + j] */
} tn_tall;

/* Doubles of `work` that each function of tall matrices needs. */
size_t tn_tall_work(int64_t r);
/* out (r,r) = X^T Y. wide: AVX2 may be used. */
void tn_tall_gram(tn_tall x, tn_tall y, double *work, bool wide, double *out);
/* out = G K + Y L, stored as G is. K and L are (r,r); L NULL: G K alone. out may be g.x or y.x. */
void tn_tall_combine(tn_tall g, const double *k, tn_tall y, const double *l, double *work,
                     bool wide, tn_real *out);
/* out = G K + keep Y: the bits of tn_tall_combine with L = keep I, in two thirds of the time. */
void tn_tall_add(tn_tall g, const double *k, tn_tall y, double keep, double *work, bool wide,
                 tn_real *out);

/* out = a b, a^T b, a b^T. out must not be a or b. */
void tn_small_ab(int64_t r, const double *a, const double *b, double *out);
void tn_small_atb(int64_t r, const double *a, const double *b, double *out);
void tn_small_abt(int64_t r, const double *a, const double *b, double *out);
void tn_small_symmetric(int64_t r, double *a);            /* a = (a + a^T) / 2 */
void tn_small_diagonal(int64_t r, double d, double *out); /* out = d I */
void tn_small_scale(int64_t r, double by, double *a);     /* a = by a */
double tn_small_trace(int64_t r, const double *a);

/* Eigenvalues w, ascending, and eigenvectors of a symmetric a: a = sum over k of w[k] e_k e_k^T,
   where e_k is row k of e. work: r r + 3 r doubles. */
void tn_eigen(int64_t r, const double *a, double *w, double *work, double *e);
/* out = sum over k of f[k] e_k e_k^T. work: (r,r). */
void tn_from_eigen(int64_t r, const double *f, const double *e, double *work, double *out);
/* An eigenvalue of X^T X counts as zero below this share of the largest one: the square of the
   usual r eps for singular values, with eps of tn_real, but at least the rounding of X^T X
   itself. */
double tn_gram_cut(int64_t r);
/* For gram = X^T X: t with t t^T = gram^+. X t is an orthonormal basis Q of X's columns, and t is
   the pseudo-inverse of R in X = Q R. Directions whose eigenvalue is at most tn_gram_cut, or `cut`,
   of the largest one are zero columns of t. work: 2 r r + 4 r doubles. */
void tn_inverse_root(int64_t r, const double *gram, double cut, double *work, double *t);
/* For gram = X^T X: out = gram^-1/2, symmetric. X out is the polar factor msign(X). Eigenvalues up
   to `cut` times the largest one, or up to tn_gram_cut times `size`, count as zero. work: 2 r r + 4
   r doubles. */
void tn_symmetric_inverse_root(int64_t r, const double *gram, double size, double cut, double *work,
                               double *out);

#endif
