/* scaled_gd.h - the preconditioner that scaled_gd.c and scaled_adam.c share. Internal header. */
#ifndef TN_SCALED_GD_H
#define TN_SCALED_GD_H

#include "optim/algebra/preconditioner.h"

/* c (r,r): C of (1) for factor x, from the partner of x as it is now. If there is no inverse,
   `fallback` decides (see scaled_gd.c). work: tn_preconditioner_work(r) doubles. */
void tn_scaled_gd_inverse(const tn_unit *u, int x, double delta, double fallback, double *work,
                          double *c);

#endif
