/* altlora.h - what altlora.c and altlora_plus.c share. Internal header.
   Whose turn it is, and the moment's way from one partner to the next. */
#ifndef TN_ALTLORA_H
#define TN_ALTLORA_H

#include "optim/algebra/preconditioner.h"

/* A step: move(u, i, t) for each factor i whose turn it is, lora_A before lora_B; t counts its moves.
   alternate 0: both in every step; f: f steps of lora_B, f of lora_A, and so on. */
void tn_altlora_step(tn_unit *u, double alternate, void (*move)(tn_unit *u, int i, int64_t t));
/* (1) and (2) of altlora.c for factor i, c and t (r,r); old: the partners of the last time, which
   become those of this one. work: tn_preconditioner_work(r) + r r. */
void tn_altlora_transport(const tn_unit *u, int i, double delta, void *const *old, double *work,
                          double *c, double *t);

#endif
