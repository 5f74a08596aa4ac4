/* score.h - how well a model answers the records of a task. */
#ifndef TN_APP_SCORE_H
#define TN_APP_SCORE_H

#include "apps/run/run.h"

typedef struct task_score {
    int64_t records, exact; /* exact: the answer, generated greedily, is the record's */
    double parts;           /* mean share of the slots that are right */
} task_score;

/* Generates an answer to records 0 .. count-1 of the split, `batch` at a time. */
int score_task(const setup *s, const options *o, int64_t count, task_score *out,
               tn_error *e);

#endif
