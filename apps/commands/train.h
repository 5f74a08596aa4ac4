/* train.h - what the files of `tenon train` share: the run with its folder and its report.

   train.c begins the run and answers signals, train_save.c writes its checkpoints and its result,
   train_probe.c is --dry-run. Every function accepts an error that is already set in j->e. */
#ifndef TN_APP_TRAIN_H
#define TN_APP_TRAIN_H

#include "apps/ask/samples.h"
#include "apps/report/drawing.h"
#include "apps/folder/output.h"
#include "apps/report/progress.h"
#include "apps/run/spool.h"

typedef struct train_job {
    setup s;
    spool in; /* of --data - */
    run r;
    progress p;
    report report;
    drawing d;
    samples samples;
    const options *o;
    output out;
    int64_t saved; /* step of the newest checkpoint; -1: none */
    int64_t named; /* the step that OUT/best names; -1: none */
    bool written;  /* config.used was written by this process */
    tn_text facts; /* of the data and weights, for config.used */
    tn_text plans; /* lines about other numbers of steps before a resume, likewise */
    tn_error *e;
} train_job;

int train_open(train_job *j); /* the run of a setup, and the picture of --dump-graph */
/* After a step or an evaluation: the answers of --sample, if it is time for them. */
int train_sample(train_job *j, const run_event *event);
int train_write_used(train_job *j); /* config.used */
/* Saves a checkpoint of this step, once, and names it in OUT/best if it is the best. */
int train_save_checkpoint(train_job *j);
/* Saves the trained adapter, or the model with its tokenizer: all of it, or nothing. */
int train_save_result(train_job *j);
/* loss.svg: the losses so far, from log.jsonl. */
int train_save_picture(train_job *j);
/* The bytes on the disk that the result and one checkpoint need at most. */
double train_disk_bytes(const train_job *j);
void train_show_profile(train_job *j); /* the table of --profile, if it was asked for */
int train_probe(train_job *j);         /* --dry-run; returns the exit status */
int train_trial(train_job *j);         /* --fast-dev-run, likewise */

#endif
