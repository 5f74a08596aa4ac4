/* altlora.h - what altlora.c and altlora_plus.c share: whose turn it is, and the moment's way from
   one partner to the next. Internal header. */
#ifndef TN_ALTLORA_H
#define TN_ALTLORA_H

#include "optim/preconditioner.h"

/* How often factor i has moved after step u->t; 0: it rests in that step. alternate 0: both move in
   every step; f: f steps of lora_B, f of lora_A, and so on. */
int64_t tn_altlora_turn(const tn_unit *u, int i, int64_t alternate);
/* (1) and (2) of altlora.c for factor i, c and t (r,r); old: the partners of the last time, which
   become those of this one. work: tn_preconditioner_work(r). */
void tn_altlora_transport(const tn_unit *u, int i, double delta, void *const *old, double *work,
                          double *c, double *t);

#endif
