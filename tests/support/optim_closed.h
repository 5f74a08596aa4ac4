/* optim_closed.h - the problem of invariance.json, by formulas.
   Letters as in the paper: A = lora_B, B = lora_A^T.

       problem_new(&p, 1, &(pair_size){ .out = 17, .in = 11, .r = 4, .s = 1.5 }, 0);
       closed_start(&p, 0, false, "k1e3");
       closed_gradients(&p, 1); */
#ifndef TN_OPTIM_CLOSED_H
#define TN_OPTIM_CLOSED_H

#include "tests/support/optim_problem.h"

double closed_a(int i, int j);            /* A0 */
double closed_noise(int k, int i, int j); /* is subtracted from the target at step k */
/* Pair i, of rank 4 at most, becomes (A0 T, B0 T^-T). `zero`: A0 is 0. T depends on its name: "cX"
   scales by X, "rot" rotates, "perm" permutes with signs, "kX" has condition number X. */
void closed_start(problem *p, int i, bool zero, const char *name);
/* Sets the gradients of all pairs at step k (0: without noise). Returns the sum of their losses.
   The sides are at most 20. */
double closed_gradients(problem *p, int k);

#endif
