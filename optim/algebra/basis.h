/* basis.h - orthonormal bases of the factors of a pair, without tall matrices.
   The basis of a factor Y is Q = Y T. T (r,r) is the pseudo-inverse of R in Y = Q R. Formulas with
   Q become products of gradients and factors with T around them, and these products are small.
   Internal header.

       tn_basis(u, y, 0, work, gram, t);                 gram = Y^T Y, Y T orthonormal
       tn_basis_gram(u, g, t, g, t, work, uu);           U^T U for U = g T
       tn_basis_back(r, t, h, t, work, k);               k = T h T^T: g k is the step U h T^T
       tn_basis_follow(u, y, old, 0, work, c, d, k);     s k does with Y what s did with the old Y

   work of all four: tn_preconditioner_work(r) doubles. Nothing here fails. */
#ifndef TN_BASIS_H
#define TN_BASIS_H

#include "optim/algebra/preconditioner.h"

/* gram = Y^T Y and t = T, both (r,r), of a factor. A direction whose eigenvalue is zero up to
   rounding, or at most `cut` of the largest one, is a zero column of t. */
void tn_basis(const tn_unit *u, int factor, double cut, double *work, double *gram, double *t);
/* out (r,r) = (X s)^T (Y t) = s^T (X^T Y) t */
void tn_basis_gram(const tn_unit *u, tn_tall x, const double *s, tn_tall y, const double *t,
                   double *work, double *out);
/* out (r,r) = s k t^T. out may be k. */
void tn_basis_back(int64_t r, const double *s, const double *k, const double *t, double *work,
                   double *out);
/* k (r,r) = Y_old^T Y (Y^T Y)^+ for the factor Y; `old` is Y_old, stored like Y. For a step S of
   the partner, ||S' Y^T - S Y_old^T|| is least at S' = S k, and ||S k Y^T|| <= ||S Y_old^T||.
   cut: as in tn_basis. cross, inverse: (r,r), overwritten. */
void tn_basis_follow(const tn_unit *u, int factor, const tn_real *old, double cut, double *work,
                     double *cross, double *inverse, double *k);

#endif
