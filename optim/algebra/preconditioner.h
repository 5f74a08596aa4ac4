/* preconditioner.h - (Y^T Y + delta I)^-1 for a factor Y of a pair, and pairs as tall matrices.
   Internal header. */
#ifndef TN_PRECONDITIONER_H
#define TN_PRECONDITIONER_H

#include "optim/algebra/linalg.h"
#include "optim/optim.h"

/* x, stored like factor i of the pair, as the tall matrix of the papers: B = lora_A^T (i = 0) or
   A = lora_B (i = 1). */
tn_tall tn_tall_of(const tn_unit *u, int i, const tn_real *x);
typedef struct tn_gram_facts { bool regular; double norm; } tn_gram_facts;
/* out (r,r) for Y = factor i. Where Y^T Y + delta I has no inverse (not regular) this is the
   pseudo-inverse. norm: ||Y^T Y||. work: tn_preconditioner_work(r). */
tn_gram_facts tn_preconditioner(const tn_unit *u, int i, double delta, double *work, double *out);
size_t tn_preconditioner_work(int64_t r); /* doubles; enough for tn_tall_combine too */

#endif
