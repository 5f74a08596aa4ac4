/* optim_mixed.h - a problem of two pairs, an embedding, a norm and a bias, for every optimizer.
   The gradients are random numbers, not those of a loss. variant() lists settings of an optimizer.

       char settings[TEXT];
       for (int k = 0; variant(def, k, settings); k++)
           if (legal(def, settings)) {
               problem p;
               mixed(&p, (size){ 9, 7, 3 }, 0);
               run(&p, def, settings, 6);
               problem_free(&p);
           } */
#ifndef TN_OPTIM_MIXED_H
#define TN_OPTIM_MIXED_H

#include "tests/support/optim_problem.h"

/* clang-format off */
typedef struct size { int64_t out, in, r; } size; /* of pair x; pair y exchanges in and out */
/* clang-format on */
typedef struct scale {
    double a, b;
} scale; /* a: of lora_A and of weights that are no pair; b: of lora_B */
typedef enum kind { NORMAL, ZERO_FIRST, RANK_ONE, ZERO_ROW, ZERO_COLUMN } kind;

enum { WEIGHTS = 7, PAIRED = 4, TEXT = 256, VALUES = 11 };

/* Makes the weights of p, and a context with one thread. `shuffle` shuffles the order in which the
   weights are registered; 0: no shuffling. */
void mixed(problem *p, size s, uint64_t shuffle);
/* The same without the weights before `first`. The numbers are normal, of size 0.3 times
   `weights`. */
void mixed_part(problem *p, size s, int first, uint64_t shuffle, scale weights);
/* Sets normal gradients for step t >= 1, of size 1 times s. `k` makes some of them 0 or of rank
   1. */
void mixed_gradients(problem *p, kind k, scale s, int t);
/* Makes a new optimizer, without clipping of the global norm. */
void must_try(problem *p, const tn_optim_def *def, const char *settings);
/* Calls must_try, then runs steps 1 to `steps`. */
void run(problem *p, const tn_optim_def *def, const char *settings, int steps);

/* Setting i of an optimizer: its own, then those of tn_optim_common, then NULL. */
const tn_hyper *setting(const tn_optim_def *def, int i);
int count_presets(const tn_optim_def *def);
/* Writes variant k of the settings: none, then each preset, then each setting with each of
   `values`. False if there is no variant k. */
bool variant(const tn_optim_def *def, int k, char text[TEXT]);
extern const double values[VALUES];
bool legal(const tn_optim_def *def, const char *settings); /* the optimizer takes these settings */

#endif
