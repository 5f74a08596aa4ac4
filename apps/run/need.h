/* need.h - the memory that work on a model will take, part by part, computed beforehand.

       const need n = need_of_training(m, state_bytes, 4, 1024);
       if (need_check(&n, "training", &e)) ...        it cannot fit: one line with the parts

   Work is refused by what is certain: weights, gradients, state and the activations that forward keeps
   (see tn_model_activations). So work that fits is never refused, but work that is a little too large
   may run out of memory later. need_print shows an estimate of all. */
#ifndef TN_APP_NEED_H
#define TN_APP_NEED_H

#include "nn/nn.h"

typedef struct need { /* bytes */
    double weights, gradients, state, activations;
    double reference;         /* part of the weights: a copy of what DPO compares with */
    double adapters;          /* part of the weights: what is trained beside frozen ones */
    double sum;               /* of the gradients of a step's batches, if it has several */
    double update;            /* the optimizer's scratch */
    double backward, scratch; /* the rest of the tape: see tn_model_backward */
    double evaluation;        /* what an evaluation takes more than a step */
    int64_t rows, width;      /* of the batch (B,T) that the activations are of */
} need;

/* Of a training step with `state` bytes of optimizer state, and of an evaluation; rows and width
   are those of a batch (B,T). */
need need_of_training(const tn_model *m, size_t state, int64_t rows, int64_t width);
need need_of_evaluation(const tn_model *m, int64_t rows, int64_t width);
/* Of adding the adapters to the weights and evaluating a row: the weights of layers that have
   adapters become tn_real. */
need need_of_merging(const tn_model *m, int64_t width);
/* Writes "weights 3.1 MB + gradients 4.1 kB + optimizer 8.2 kB + activations 1.2 MB = 4.3 MB" to
   out (NEED_SHOWN bytes) and returns it. Parts that are 0 are left out. */
enum { NEED_SHOWN = 256 };
char *need_show(const need *n, char *out);
/* Writes the bytes of the frozen weights of each type, "q8_0 143 MB + f32 1.2 MB", to out
   (NEED_SHOWN). Returns whether there is another type than tn_real. */
bool need_types(const tn_params *p, char *out);
bool need_fits(const need *n); /* is so much memory available to this process? */
/* Refuses (TN_ENOMEM) what does not fit. `what` begins the message: "training", "an evaluation". */
int need_check(const need *n, const char *what, tn_error *e);
/* Prints a table of the parts, with `others`, the bytes of program and data, and their sum. */
void need_print(const need *n, const tn_model *m, double others);
double need_all(const need *n); /* the sum of all parts */
/* What the tape takes more than its parts, because its two ranges end with a page of this size.
   Blocks that are computed again have a tape of their own. */
double need_rounding(const need *n, const tn_model *m, double page);
/* Tokens of the longest of the first `rows` rows, at most `length`. */
int64_t need_width(const tn_dataset *d, int64_t length, int64_t rows);

#endif
