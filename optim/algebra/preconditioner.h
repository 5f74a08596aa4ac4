/* preconditioner.h - (Y^T Y + delta I)^-1 for a factor Y of a pair, and pairs as tall matrices.
   A factor is TN_LORA_A, which is B^T (r,n) in the papers' letters, or TN_LORA_B, which is A (m,r).
   Internal header. */
#ifndef TN_PRECONDITIONER_H
#define TN_PRECONDITIONER_H

#include "optim/algebra/linalg.h"
#include "optim/optim.h"

/* x, which is stored like that factor, as the tall matrix of the papers. Owns nothing. */
tn_tall tn_tall_of(const tn_unit *u, int factor, const tn_real *x);
tn_tall tn_weight_of(const tn_unit *u, int factor); /* the factor itself */
tn_tall tn_gradient_of(const tn_unit *u, int factor);

typedef struct tn_gram_facts {
    bool regular; /* Y^T Y + delta I has an inverse */
    double norm;  /* ||Y^T Y|| */
} tn_gram_facts;
/* out (r,r) = (Y^T Y + delta I)^-1 for the factor Y, or the pseudo-inverse if there is no inverse.
   work: tn_preconditioner_work(r) doubles. */
tn_gram_facts tn_preconditioner(const tn_unit *u, int factor, double delta, double *work,
                                double *out);
size_t tn_preconditioner_work(int64_t r); /* doubles: tn_tall_work(r), at least 5 r r + 4 r */

#endif
