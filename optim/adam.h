/* adam.h - the elementwise step that adam.c and adamw.c share. Internal header. */
#ifndef TN_ADAM_H
#define TN_ADAM_H

#include "optim/optim.h"

enum { TN_ADAM_LR, TN_ADAM_BETA1, TN_ADAM_BETA2, TN_ADAM_EPS, TN_ADAM_DECAY }; /* order of .hyper */

/* Equations (1) to (5) of adam.c on every weight of u. `coupled` is lambda in (1); `shrink`
   multiplies the weight first. Both fall only on weights that decay. */
void tn_adam_step(tn_unit *u, double coupled, double shrink);
const char *tn_adam_check(const double *h);

#endif
