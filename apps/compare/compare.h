/* compare.h - a study: optimizers x learning rates x seeds.
   All runs begin from the same start and see the same batches.

   A cell is one run. A rate is chosen per optimizer by the mean validation loss over seeds; while
   the best rate is the first or last of its grid, and the last step out was not for nothing, the
   grid is extended, at most 2 x EXTENSIONS times. */
#ifndef TN_APP_COMPARE_H
#define TN_APP_COMPARE_H

#include "apps/options/choice.h"

#include <stdio.h>

enum { MOST_RATES = 64, EXTENSIONS = 3 };

typedef struct cell {
    int optimizer;   /* of the study's list */
    double lr;
    int64_t seed;
    bool done;
    int64_t diverged; /* step whose loss or gradient was not finite; 0: none */
    double train;     /* loss of the last step */
    tn_eval valid, test; /* of all validation and test rows; test.rows 0: there are none */
    bool records;    /* the rows are records, so that "exact" means something */
    double seconds;   /* a step */
    size_t state;     /* bytes */
    uint64_t start,
        batches; /* hashes of the starting weights that are trained and of the batches */
} cell;

typedef struct study {
    const options *o;
    const char *names[MOST_OPTIMIZERS]; /* as tn_optims has them */
    int optimizers;
    cell *cells;
    int64_t count, room;
    FILE *runs, *curves; /* runs.jsonl, curves.jsonl */
    char *paths[4];      /* of runs.jsonl, curves.jsonl, table.csv, config.used */
} study;

/* What all seeds of one optimizer and rate gave. */
typedef struct summary {
    int64_t runs, diverged;
    double valid,
        spread; /* mean validation loss, infinite when a run diverged; over seeds, else over rows */
    double test, exact, seconds; /* of the test data, NaN without; exact: share of its records */
    size_t state;
} summary;

/* compare_grid.c */
int study_fill(study *y, tn_error *e);   /* the optimizers and their first grids */
int study_extend(
    study *y, tn_error *e); /* adds cells where the best rate is at an edge; their number, or < 0 */
/* The rates of an optimizer in ascending order; returns how many. */
int study_rates(const study *y, int optimizer, double rates[MOST_RATES]);
summary study_summary(const study *y, int optimizer, double lr);
double study_choice(const study *y, int optimizer); /* the rate with the lowest validation loss */

/* compare_table.c */
int study_open(study *y, bool full, tn_error *e); /* full: all weights are trained, not LoRA */
void study_record(study *y, const cell *c, tn_error *e);
void study_point(study *y, const cell *c, const run_event *event, tn_error *e);
void study_line(const study *y, const cell *c);
void study_table(const study *y);
int study_csv(const study *y, tn_error *e);
void study_close(study *y);

#endif
