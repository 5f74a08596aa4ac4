/* basis.h - orthonormal bases of the factors of a pair, without tall matrices.
   The basis of a factor Y is Q = Y T with a small T (r,r), the pseudo-inverse of R in Y = Q R.
   What is written with Q becomes products of gradients and factors, which are small, with T's
   around them. Internal header.

       tn_basis(u, i, 0, work, gram, t);                gram = Y^T Y, Y T orthonormal
       tn_basis_gram(u, g, t, g, t, work, uu);          U^T U for U = g T = g R^+
       tn_basis_back(r, t, k, t, work, out);            so that g out = U k R^+^T
       tn_basis_follow(u, i, old, 0, work, memory, k);  so that d k does for Y what d did for old */
#ifndef TN_BASIS_H
#define TN_BASIS_H

#include "optim/algebra/linalg.h"
#include "optim/optim.h"
#include "optim/algebra/preconditioner.h"

/* work, of all four: tn_preconditioner_work(r) doubles. */

/* gram and t (r,r) of factor i. Directions that are zero up to rounding, or whose square is at most
   `cut` of the largest, are zero columns of t. */
void tn_basis(const tn_unit *u, int i, double cut, double *work, double *gram, double *t);
/* out (r,r) = (X s)^T (Y t) = s^T (X^T Y) t */
void tn_basis_gram(const tn_unit *u, tn_tall x, const double *s, tn_tall y, const double *t,
                   double *work, double *out);
/* out (r,r) = s k t^T. out may be k. */
void tn_basis_back(int64_t r, const double *s, const double *k, const double *t, double *work,
                   double *out);
/* For the factor Y of number i, which was Y_old (stored like it): k (r,r) = Y_old^T Y (Y^T Y)^+. Of
   all steps D' of the partner, D k is the one for which ||D' Y^T - D Y_old^T|| is least, and
   ||D k Y^T|| <= ||D Y_old^T||. cut as in tn_basis; memory: 2 r r doubles. */
void tn_basis_follow(const tn_unit *u, int i, const tn_real *old, double cut, double *work,
                     double *memory, double *k);

#endif
