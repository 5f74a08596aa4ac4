/* optim_pair.h - the numbers of one step of a LoRA pair, for tests of the theorems of the papers.
   Letters as in the papers: A = lora_B (m,r), B = lora_A^T (n,r), G = dL/dW, gA = s G B, gB = s G^T
   A.

       problem p;
       pair_move o;
       pair_with(&p, "reflora", "lr=1 adamw=0");
       pair_step(&p, &o);                            one step with a random normal G
       pair_first_order(&o, got);                    how it changes the product, to first order
       pair_same("product", PAIR_M * PAIR_N, got, want, 1e-12); */
#ifndef TN_OPTIM_PAIR_H
#define TN_OPTIM_PAIR_H

#include "tests/support/optim_problem.h"

enum { PAIR_M = 9, PAIR_N = 7, PAIR_R = 3 };

typedef struct pair_move {
    double s, g[PAIR_M * PAIR_N];
    double a[PAIR_M * PAIR_R], b[PAIR_N * PAIR_R];   /* the pair before the step */
    double da[PAIR_M * PAIR_R], db[PAIR_N * PAIR_R]; /* what the step added to it */
    double ga[PAIR_M * PAIR_R], gb[PAIR_N * PAIR_R]; /* its gradients */
} pair_move;

/* Makes a pair with s = 1.5 and normal factors, and an optimizer without clipping. */
void pair_with(problem *p, const char *name, const char *settings);
void pair_take(const problem *p, double *a, double *b); /* copies A and B */
/* Runs one step of p with a random normal G. */
void pair_step(problem *p, pair_move *o);
/* s (dA B^T + A dB^T), (m,n). */
void pair_first_order(const pair_move *o, double *out);
/* Fails unless the n numbers differ by at most the limit. `what` is for the message. */
void pair_same(const char *what, int64_t n, const double *got, const double *want, double limit);

#endif
