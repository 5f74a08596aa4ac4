/* score.h - how many of a model's answers to the records of a task or JSONL file are right. */
#ifndef TN_APP_SCORE_H
#define TN_APP_SCORE_H

#include "apps/run/run.h"

typedef struct answer_score {
    int64_t records, exact; /* records that were asked; greedy answers that are right */
    double parts;           /* tasks only: mean share of right facts */
} answer_score;

/* Generates an answer to every record of the part that has a completion. Questions with choices
   are for choices.h. out->records is 0 if none has one. Records that the data set cuts or leaves
   out are asked too, and complete. */
int score_answers(const setup *s, const options *o, part which, answer_score *out, tn_error *e);

#endif
