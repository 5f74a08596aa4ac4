/* run.h - one training run: steps, evaluations, and a callback after each.

       run r = { 0 };
       run_open(&r, &s, o, &(recipe){ .optimizer = "adamw", .lr = NOT_SET }, &e);    s: see setup.h
       run_go(&r, each, arg, &e);
       run_close(&r);

   Ownership: a run borrows the setup and the options. Errors: every function accepts an error that
   is already set and then does nothing, so that calls can be chained. */
#ifndef TN_APP_RUN_H
#define TN_APP_RUN_H

#include "apps/run/need.h"
#include "apps/run/packing.h"
#include "apps/run/recipe.h"
#include "apps/report/profile.h"
#include "apps/run/setup.h"

/* Why a run takes no further step. */
typedef enum run_end { RUN_GOES_ON, RUN_DONE, RUN_NO_PROGRESS, RUN_TOKENS, RUN_TIME } run_end;

typedef struct run {
    setup *s;
    const options *o;
    tn_optim *optim;
    tn_loader *loader;
    packing packing; /* of the loader's batches */
    tn_schedule schedule;
    int64_t steps;
    double lr, seconds; /* seconds: spent in steps, evaluations aside */
    int64_t largest;    /* ids of its largest batch, padding included, as far as one epoch shows */
    double step_tokens; /* ids of a step, likewise, on average */
    bool lr_is_default; /* lr is the default_rate of defaults.h */
    tn_run_state state;
    tn_graph *graph;  /* gets the ops of the next batch, once; the caller frees it */
    profile profile;  /* of the steps, with --profile */
    tn_real *sum;     /* of the gradients of several batches; NULL: not needed yet */
    double until;     /* now_seconds() at which --max-time is over; 0: never */
    run_end end;      /* set by run_go */
    double rows_loss; /* the newest loss of run_watch_rows */
    int64_t was_planned, was_records; /* steps and records before a resume; 0: not known */
} run;

typedef struct run_event {
    bool evaluated; /* true: valid and best are set; false: those of a step are set */
    int64_t step;
    double loss, lr, grad_norm;
    int64_t tokens;         /* of this step, padding included */
    double seconds, update; /* of this step or evaluation; of the step's tn_optim_step alone */
    tn_eval valid;
    tn_dpo pairs; /* of DPO: sums over the pairs of the step or of the evaluation; else none */
    bool best;
} run_event;

/* The schedule that the options ask for in a run of so many steps. */
tn_schedule run_schedule(const options *o, int64_t steps);
/* Refuses options of a schedule that do not fit such a run. steps 0: their number is not known
   yet. */
int run_check_schedule(const options *o, int64_t steps, tn_error *e);
int run_open(run *r, setup *s, const options *o, const recipe *how, tn_error *e);
void run_close(run *r);
need run_need(const run *r); /* the memory that a step needs: see need.h */
/* One step: the gradients of its batches, in all processes, then the optimizer. If the loss or a
   gradient is not finite, it refuses before a weight changes. */
int run_step(run *r, run_event *out, tn_error *e);
/* The loss on the first `rows` rows of a part (0: on all), with the same bits for every
   --batch-size. If the data have no such part, *out does not change. */
int evaluate_part(setup *s, const options *o, part which, int64_t rows, tn_eval *out, tn_error *e);
/* For watch_rows: the loss on the first rows of the training data, as many as a batch has. It is
   taken before step 1, and after each step up to the eighth after the warm-up, but at most 100. */
int run_watch_rows(run *r, tn_error *e);
/* plan.c. The clock is in no checkpoint: a resume has --max-time anew. */
int run_plan(run *r, tn_error *e);    /* sets the steps, the schedule and the time */
run_end run_ends(const run *r);       /* RUN_GOES_ON: there is a next step */
bool run_is_done(const run *r);       /* has it all its steps or tokens? */
int64_t valid_rows(const options *o); /* rows of an evaluation; 0: all */
/* The loader's index of a run's batch: another one with --overfit-batches and --limit-batches. */
int64_t run_batch_index(const run *r, int64_t number);
/* Steps until run_ends, with evaluations before the first step, every --steps-per-eval steps and
   at the end. each(arg, r, event) is called after each step and evaluation; a result other than 0
   ends the run and is returned. Of several processes only process 0 evaluates and calls each(). */
int run_go(run *r, int (*each)(void *arg, run *r, const run_event *event), void *arg, tn_error *e);

#endif
