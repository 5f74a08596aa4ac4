/* optim_closed.h - the problem of invariance.json, from closed formulas.
   In the paper's letters (A = lora_B, B = lora_A^T).

       problem_new(&p, 1, &(pair_size){ .out = 17, .in = 11, .r = 4, .s = 1.5 }, 0);
       closed_start(&p, 0, false, "k1e3");
       closed_gradients(&p, 1); */
#ifndef TN_OPTIM_CLOSED_H
#define TN_OPTIM_CLOSED_H

#include "tests/support/optim_problem.h"

double closed_a(int i, int j);            /* A0 */
double closed_noise(int k, int i, int j); /* of the target at step k */
/* Pair i, of rank 4 at most, starts from (A0 T, B0 T^-T), A0 = 0 if asked for. T by its name: cX
   scaling by X, rot, perm, kX condition number X. */
void closed_start(problem *p, int i, bool zero, const char *name);
/* Sets the gradients of step k (0: without noise) and returns the loss there, over all pairs. The
   sides are 20 at most. */
double closed_gradients(problem *p, int k);

#endif
