/* compare.h - a study: optimizers x learning rates x seeds.
   All runs begin from the same start and see the same batches.

   A cell is one run. A rate is chosen per optimizer by the mean validation loss over all seeds;
   only rates whose seeds are all done have a mean. While the best rate is the lowest or highest of
   its grid, the grid grows beyond it by its own steps. compare_grid.c has the rules for its end. If
   the choice stays at an edge, this is reported.

   A finished run is a line of runs.jsonl. A study that was stopped, even by kill -9, goes on after
   the last complete line (compare_files.c). Until its end config.used marks it as incomplete. */
#ifndef TN_APP_COMPARE_H
#define TN_APP_COMPARE_H

#include "apps/options/choice.h"
#include "apps/folder/output.h"

#include <stdio.h>

/* The largest numbers of rates: in a first grid, beyond each of its ends, in all. */
enum { MOST_FIRST = 32, FURTHER = 16, MOST_RATES = MOST_FIRST + 2 * FURTHER };

/* Losses that differ by less than this share count as equal: even if a rate changes nothing, losses
   differ in their last digits. */
#define LITTLE 1e-5

/* One run of a study. A number that is not known is NaN, a count -1. */
typedef struct cell {
    int optimizer; /* of the study's list */
    double lr;
    int64_t seed;
    bool done;
    int64_t diverged;        /* step that was not finite; steps + 1: the last evaluation; 0: none */
    double untrained;        /* validation loss of the weights that the run began with */
    double train;            /* loss of the last step that was finite */
    tn_eval valid, test;     /* of all validation and test rows; test.exact: of records only */
    double seconds, update;  /* medians over the steps: of a step, and of its tn_optim_step alone */
    int64_t state;           /* bytes */
    uint64_t start, batches; /* hashes: of the starting weights that are trained, of the batches */
} cell;

typedef struct study {
    const options *o;
    const char *names[MOST_OPTIMIZERS]; /* as tn_optims has them */
    int optimizers;
    cell *cells;
    int64_t count, room;
    cell *old; /* what runs.jsonl held, in its order, for --resume; `done` until a cell took it */
    int64_t olds;
    long kept;     /* bytes of its complete lines */
    bool resume;   /* continues the study in its folder */
    bool complete; /* every run is done, and no grid grows any more */
    output out;
    FILE *runs, *curves; /* runs.jsonl, curves.jsonl */
    char *paths[4]; /* of runs.jsonl, curves.jsonl, table.csv, config.used, as they are found */
    tn_text used;   /* the text of config.used */
} study;

/* The result of all seeds of one optimizer and rate. */
typedef struct summary {
    int64_t runs, diverged;
    double valid;  /* mean validation loss; infinite if a run diverged or a seed is missing */
    double spread; /* its standard deviation over seeds; of one seed its standard error over rows */
    double test, exact; /* of the test data; NaN without any. exact: share of its records */
    double seconds, update;
    int64_t state;
} summary;

/* Where the best rate of an optimizer lies among the rates that were tried. NOWHERE: there is no
   best rate, because the loss at the edge is that of the untrained model. */
typedef enum edge { INSIDE, LOWEST, HIGHEST, ONLY, NOWHERE } edge;
typedef struct place {
    edge edge;
    double next;  /* rate to try beyond the edge; 0: none */
    char why[96]; /* why there is none */
} place;

/* compare_grid.c */
/* Finds the optimizers. Refuses settings and rates that no model makes right. */
int study_choose(study *y, tn_error *e);
/* Makes their first grids; with --resume also the runs that are done. */
int study_fill(study *y, tn_error *e);
/* Adds cells to grids whose best rate is at an edge. Returns how many, or < 0 after an error. */
int study_extend(study *y, tn_error *e);
/* The rates of an optimizer in ascending order; returns how many. */
int study_rates(const study *y, int optimizer, double rates[MOST_RATES]);
int64_t study_done(const study *y); /* runs that are done */

/* compare_choice.c */
summary study_summary(const study *y, int optimizer, double lr);
double study_choice(const study *y, int optimizer); /* the rate with the lowest loss so far */
/* Are all runs of this optimizer done, and does its grid not grow any more? */
bool study_settled(const study *y, int optimizer);
/* The rate that is chosen when the grid is settled. 0: not settled yet, or every rate diverged. */
double study_chosen(const study *y, int optimizer);
place study_place(const study *y, int optimizer);
/* Mean loss of the untrained model over the seeds; NaN: not known. */
double study_untrained(const study *y);

/* compare_runs.c */
cell new_cell(int optimizer, double lr, int64_t seed);
/* Adds the beginning of a line about this run, the same in both files. */
void cell_name(const study *y, const cell *c, tn_text *out);
void cell_write(const study *y, const cell *c, tn_text *out);
/* Line `number` of runs.jsonl. Refuses what is not a finished run of this study. */
int cell_read(const study *y, const char *line, size_t n, int64_t number, cell *c, tn_error *e);

/* compare_files.c */
int study_check(study *y, tn_error *e); /* refuses a folder that holds a study, or none to resume */
int study_load(study *y, tn_error *e);  /* y->old */
/* Opens the files. s: model and data of the first seed. A resumed study must have the same. */
int study_open(study *y, const setup *s, tn_error *e);
void study_record(study *y, const cell *c, tn_error *e);
void study_point(study *y, const cell *c, const run_event *event, tn_error *e);
void study_flush(study *y, tn_error *e); /* writes to the disk what is buffered */
/* Writes table.csv. If the study is complete, writes config.used and replaces an older study. */
int study_finish(study *y, tn_error *e);
void study_close(study *y);

/* compare_table.c */
void study_line(const study *y, const cell *c);
void study_table(const study *y);
int study_csv(const study *y, tn_error *e); /* table.csv */

#endif
