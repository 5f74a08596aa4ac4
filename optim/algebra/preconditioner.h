/* preconditioner.h - (Y^T Y + delta I)^-1 for a factor Y of a pair, and pairs as tall matrices.
   Internal header. */
#ifndef TN_PRECONDITIONER_H
#define TN_PRECONDITIONER_H

#include "optim/algebra/linalg.h"
#include "optim/optim.h"

/* x, stored like factor i of the pair, as the tall matrix of the papers: B = lora_A^T (i = 0) or
   A = lora_B (i = 1). */
tn_tall tn_tall_of(const tn_unit *u, int i, const tn_real *x);
/* out (r,r) for Y = factor i; at delta = 0 the pseudo-inverse. work: tn_preconditioner_work(r). */
void tn_preconditioner(const tn_unit *u, int i, double delta, double *work, double *out);
/* What stands where the authors' files find no inverse: the pseudo-inverse as above; the identity;
   the identity if ||Y^T Y|| is at most 1e-6. */
typedef enum tn_singular { TN_PSEUDO_INVERSE, TN_IDENTITY, TN_IDENTITY_IF_SMALL } tn_singular;
void tn_preconditioner_or(const tn_unit *u, int i, double delta, tn_singular instead, double *work,
                          double *out);
size_t tn_preconditioner_work(int64_t r); /* doubles; enough for tn_tall_combine too */

#endif
