/* reflora.h - what reflora.c and reflora_s.c share. Internal header.
   The settings, and the optimizer inside. */
#ifndef TN_REFLORA_H
#define TN_REFLORA_H

#include "optim/adam.h"

/* The settings after those of Adam. */
enum { TN_REFLORA_ADAMW = TN_ADAM_DECAY + 1, TN_REFLORA_WARMUP, TN_REFLORA_INTERVAL };

/* Whether it is time after so many steps: after warmup_steps, and every interval-th from there. */
bool tn_reflora_turn(const tn_unit *u, int64_t steps);
/* AdamW of adamw.c on g for factor i, or x = (1 - eta lambda) x - eta g. */
void tn_reflora_descend(const tn_unit *u, int i, const tn_real *g);
/* .needs of both. */
bool tn_reflora_needs(const tn_unit *u, int slot, int k);

#endif
