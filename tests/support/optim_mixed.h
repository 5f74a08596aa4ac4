/* optim_mixed.h - a problem of two pairs, an embedding, a norm and a bias, for every optimizer.
   Its gradients are prescribed. variant() lists every variant of an optimizer's settings.

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
typedef struct size { int64_t out, in, r; } size;   /* of the pair x; in and out exchanged: of y */
/* clang-format on */
typedef struct scale {
    double a, b;
} scale; /* of lora_A and lora_B; all else: a */
typedef enum kind { NORMAL, ZERO_FIRST, RANK_ONE, ZERO_ROW, ZERO_COLUMN } kind;

enum { WEIGHTS = 7, PAIRED = 4, TEXT = 256, VALUES = 11 };

/* params and context (one thread) of p, registered in an order shuffled by a number. */
void mixed(problem *p, size s, uint64_t shuffle);
/* Weights `first` to the last; their size is 0.3 times the scale. */
void mixed_part(problem *p, size s, int first, uint64_t shuffle, scale weights);
/* Gradients of step t, from 1, of size 1 times the scale. */
void mixed_gradients(problem *p, kind k, scale s, int t);
/* A new optimizer, without clipping of raw gradients. */
void must_try(problem *p, const tn_optim_def *def, const char *settings);
/* That, and its steps 1 to `steps`. */
void run(problem *p, const tn_optim_def *def, const char *settings, int steps);

/* Setting i of an optimizer: its own, then those of tn_optim_common, then NULL. */
const tn_hyper *setting(const tn_optim_def *def, int i);
int count_presets(const tn_optim_def *def);
/* Number k of: nothing, the presets, every setting at each of `values`. False past the end. */
bool variant(const tn_optim_def *def, int k, char text[TEXT]);
extern const double values[VALUES];
bool legal(const tn_optim_def *def, const char *settings);

#endif
