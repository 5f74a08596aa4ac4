/* progress.h - what a run shows: the block at its start, a line as it goes, and log.jsonl.

       progress p;
       progress_open(&p, r, log, "out/log.jsonl", &e);       writes the log's header
       progress_block(r, &e);                                facts before the first step
       progress_event(&p, r, event, &e);                     after each step and evaluation
       progress_close(&p);

   Errors: a log that cannot be written. No result depends on the shown times and speeds. */
#ifndef TN_APP_PROGRESS_H
#define TN_APP_PROGRESS_H

#include "apps/report/eta.h"
#include "apps/report/report.h"

#include <stdio.h>

typedef enum progress_mode {
    PROGRESS_NONE,
    PROGRESS_LINES,
    PROGRESS_BAR,
    PROGRESS_JSON
} progress_mode;

typedef struct progress {
    progress_mode mode;
    FILE *log; /* NULL: none */
    const char *path;
    report *report;        /* gets the same numbers; NULL: none. The caller opens and closes it */
    double start;          /* seconds: when this process began to train */
    double reported;       /* seconds spent in steps at the last report */
    int64_t steps, tokens; /* of this process */
    int64_t reported_tokens;
    double smooth, weight; /* running mean of the losses is smooth / weight */
    run_event last;        /* the last step */
    double speed;          /* tokens per second at the last report */
    bool open_line;        /* the terminal's line shows a bar */
    eta eta;
} progress;

progress_mode progress_mode_of(const options *o);
/* Takes over `log`, which may be NULL: progress_close closes it. The path is for messages. */
int progress_open(progress *p, const run *r, FILE *log, const char *path, tn_error *e);
void progress_block(const run *r, tn_error *e);
/* Only the lines on model, adapter and data, for `compare`. */
void progress_setup(const setup *s, const options *o, tn_error *e);
int progress_event(progress *p, const run *r, const run_event *event, tn_error *e);
/* An answer to a prompt, after a step: a line of the terminal, and a record of the log. */
int progress_sample(progress *p, int64_t step, tn_span prompt, tn_span answer, int64_t tokens,
                    tn_error *e);
/* Prints one line on stderr, as an answer to SIGUSR2. saved: the step of the newest checkpoint. */
void progress_status(progress *p, const run *r, int64_t saved);
/* Seconds until the run ends, evaluations and checkpoints included; below 0: not known yet. */
double progress_left(const progress *p, const run *r);
void progress_close(progress *p);
/* Prints the command that continues a stopped run: this command with --resume. */
void print_resume(const options *o, tn_error *e);

#endif
