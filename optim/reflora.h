/* reflora.h - what reflora.c and reflora_s.c share: the settings, and the optimizer inside.
   reflora.c has the functions. Internal header. */
#ifndef TN_REFLORA_H
#define TN_REFLORA_H

#include "optim/adam.h"

/* The settings after those of Adam. */
enum { TN_REFLORA_ADAMW = TN_ADAM_DECAY + 1, TN_REFLORA_WARMUP, TN_REFLORA_INTERVAL };

/* Is a pair balanced after that many steps? It is after warmup_steps, and then after every
   interval-th step. */
bool tn_reflora_turn(const tn_unit *u, int64_t steps);
/* AdamW of adamw.c on g for factor x, or X = (1 - eta lambda) X - eta g if adamw is 0. */
void tn_reflora_descend(const tn_unit *u, int x, const tn_real *g);
/* .needs of both. */
bool tn_reflora_needs(const tn_unit *u, int slot, int k);

#endif
