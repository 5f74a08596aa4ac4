/* balora.h - the balanced form of a LoRA pair.
   The setting balora of every optimizer uses it, and so does reflora.c. Internal header. */
#ifndef TN_BALORA_H
#define TN_BALORA_H

#include "optim/optim.h"

typedef struct tn_balance {
    double *gram[2]; /* (r,r) B^T B of lora_A, A^T A of lora_B; may be overwritten */
    double *k, *l;   /* (r,r) K^T and L^T of (3) of balora.c */
    double *work;    /* for the caller: tn_preconditioner_work(r) doubles */
} tn_balance;

/* (1) to (3) of balora.c for the pair u. The results lie in memory, which has tn_balance_bytes(u).
   False: the product lacks rank, so K and L do not exist. */
bool tn_balance_of(const tn_unit *u, char *memory, tn_balance *out);
size_t tn_balance_bytes(const tn_unit *u);
/* Balances the pair u; nearest: with the least change (balora=2). Does nothing if the product lacks
   rank. memory: tn_balance_bytes(u). */
void tn_balora(const tn_unit *u, bool nearest, char *memory);

#endif
