/* report.h - the numbers of a run: a record of log.jsonl, log.csv, the event file of TensorBoard.

       report p;
       report_open(&p, &out, o, r->state.step, &e);      what --report-to asks for
       report_json(&row, &text);                         after each report and evaluation
       report_add(&p, &row, &e);
       report_close(&p);

   The table in report.c has all numbers with their names, once for the three files.

   A resume removes the rows of log.csv after its checkpoint, so that no step is there twice.
   TensorBoard is told that they are not valid. */
#ifndef TN_APP_REPORT_H
#define TN_APP_REPORT_H

#include "apps/report/show.h"
#include "apps/folder/output.h"

typedef struct report {
    FILE *csv, *events; /* NULL: not asked for */
    bool pairs;         /* the run learns preferences */
} report;

typedef struct report_row { /* of a step, or of an evaluation; NaN: not known */
    bool valid, best, pairs;
    int64_t step;
    double epoch, loss, rate, norm, tokens, speed, elapsed, left, memory, error, perplexity;
    rewards mean; /* of pairs */
} report_row;

#define REPORT_HEAD "split,step,epoch,loss,"

/* Refuses a word that is not jsonl, csv or tensorboard. */
int report_check(const options *o, tn_error *e);
/* After `step` steps. pairs: the run learns preferences. */
int report_open(report *p, const output *out, const options *o, int64_t step, bool pairs,
                tn_error *e);
/* Appends the record of log.jsonl, a line. */
void report_json(const report_row *row, tn_text *out);
int report_add(report *p, const report_row *row, tn_error *e);
void report_close(report *p);

#endif
