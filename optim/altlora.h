/* altlora.h - the order of the factors, and how a moment follows the partner.
   For altlora.c and altlora_plus.c; altlora.c has the functions. Internal header. */
#ifndef TN_ALTLORA_H
#define TN_ALTLORA_H

#include "optim/algebra/preconditioner.h"

/* One step: calls move(u, x, t) for each factor x that moves in it, lora_A before lora_B. t counts
   the moves of x. alternate 0: both move in every step. alternate f: f steps of lora_B, then f of
   lora_A, and so on. */
void tn_altlora_step(tn_unit *u, double alternate, void (*move)(tn_unit *u, int x, int64_t t));
/* (1) and (2) of altlora.c for factor x. c, t: (r,r), the results; cross: (r,r), overwritten.
   old[y]: the partner as it was the last time; it becomes the present one. work: as in
   preconditioner.h. */
void tn_altlora_transport(const tn_unit *u, int x, double delta, void *const *old, double *work,
                          double *cross, double *c, double *t);

#endif
