/* balora.h - the balanced form of a LoRA pair. Internal header.
   For the setting balora of every optimizer, and for reflora.c. */
#ifndef TN_BALORA_H
#define TN_BALORA_H

#include "optim/optim.h"

typedef struct tn_balance {
    double *gram[2]; /* B^T B and A^T A */
    double *k, *l;   /* K^T and L^T of (3) of balora.c */
    double *work;    /* free: tn_tall_work(r), or 5 r r + 4 r doubles */
} tn_balance;

/* (1) to (3) of balora.c for the pair u, laid out in memory of tn_balance_bytes(u). False: the
   product lacks rank, so that K and L do not exist. */
bool tn_balance_of(const tn_unit *u, char *memory, tn_balance *out);
size_t tn_balance_bytes(const tn_unit *u);
/* The pair u becomes balanced; nearest: by the least change. Where the product lacks rank nothing
   happens. memory: tn_balance_bytes(u). */
void tn_balora(const tn_unit *u, bool nearest, char *memory);

#endif
