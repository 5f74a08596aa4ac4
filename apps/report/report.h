/* report.h - the losses of a run beside log.jsonl: log.csv, and the event file of TensorBoard.

       report p;
       report_open(&p, &out, o, r->state.step, &e);      what --report-to asks for
       report_add(&p, &row, &e);                         after each report and evaluation
       report_close(&p);

   A resume removes the rows of log.csv after its checkpoint, so that no step is there twice.
   TensorBoard is told that they are not valid. */
#ifndef TN_APP_REPORT_H
#define TN_APP_REPORT_H

#include "apps/folder/output.h"

typedef struct report {
    FILE *csv, *events; /* NULL: not asked for */
} report;

typedef struct report_row { /* of a step, or of an evaluation: NaN where it has no such number */
    bool valid, best;
    int64_t step, tokens;
    double epoch, loss, rate, norm, speed, elapsed, left, memory, error, perplexity;
} report_row;

#define REPORT_HEAD "split,step,epoch,loss,"

/* Refuses a word that is not jsonl, csv or tensorboard. */
int report_check(const options *o, tn_error *e);
int report_open(report *p, const output *out, const options *o, int64_t step, tn_error *e);
int report_add(report *p, const report_row *row, tn_error *e);
void report_close(report *p);

#endif
