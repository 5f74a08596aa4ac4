/* score.h - how many of a model's answers to the records of a task or JSONL file are right. */
#ifndef TN_APP_SCORE_H
#define TN_APP_SCORE_H

#include "apps/run/run.h"

typedef struct answer_score {
    int64_t records, exact; /* answered; the answer, generated greedily, is the record's */
    double parts;           /* of a task: mean share of the facts that are right */
} answer_score;

/* Generates an answer to every record of the part that has a completion; out->records is 0 where
   none has. A record that is cut or left out in the data set is asked whole here. */
int score_answers(const setup *s, const options *o, part which, answer_score *out, tn_error *e);

#endif
