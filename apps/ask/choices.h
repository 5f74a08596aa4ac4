/* choices.h - how many questions a model answers rightly, by the probability of the choices. */
#ifndef TN_APP_CHOICES_H
#define TN_APP_CHOICES_H

#include "apps/run/run.h"

typedef struct choice_score {
    int64_t questions; /* records with choices */
    int64_t by_sum;    /* where the right choice has the largest sum of log-probabilities */
    int64_t by_mean;   /* the largest mean over its tokens */
} choice_score;

/* The choices of every question of the part, each after its prompt. Of a prompt that is too long
   its beginning is left out. out->questions is 0 if the data have none. */
int score_choices(const setup *s, const options *o, part which, choice_score *out, tn_error *e);

#endif
