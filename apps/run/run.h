/* run.h - what train, compare and the demo share: opening what a run stands on, and one run.

       setup s = { 0 };
       run r = { 0 };
       setup_model(&s, o, seed, &e);                     context, tokenizer, model, adapter, tape
       setup_data(&s, o, PART_TRAIN, &e);                ... PART_VALID, PART_TEST
       setup_train(&s, o, &e);                           LoRA or all weights
       run_open(&r, &s, o, &(recipe){ .optimizer = "adamw" }, &e);
       run_go(&r, each, arg, &e);
       run_close(&r);
       setup_close(&s);

   Ownership: a setup owns what it opened, a run borrows the setup. Errors: every maker accepts an
   error that is already set and then does nothing, so that calls can be chained. */
#ifndef TN_APP_RUN_H
#define TN_APP_RUN_H

#include "apps/options/options.h"
#include "apps/run/need.h"
#include "optim/optim.h"

typedef enum part { PART_TRAIN, PART_VALID, PART_TEST, PARTS } part;

typedef struct setup {
    uint64_t seed; /* of weights, adapters, dropout and the order of the data */
    tn_context *context;
    tn_tokenizer *tokenizer;
    tn_model *model;
    tn_tape *tape;
    tn_dataset *data[PARTS]; /* NULL: there is none */
    const tn_task *task;     /* the data are a task's records; NULL: no */
    bool random;             /* the weights are random: the model folder has no weight file */
    bool full;               /* all weights are trained, not LoRA */
} setup;

/* The model folder of the options, its tokenizer (or one made from the data) and its adapter. */
int setup_model(setup *s, const options *o, uint64_t seed, tn_error *e);
/* The same for what does not train: random weights are refused. */
int setup_trained(setup *s, const options *o, tn_error *e);
/* One part of the data; --split says that it is read alone. A text has no test part but half of its
   end in `compare`; a single .jsonl is all one part. What is not there stays NULL. */
int setup_data(setup *s, const options *o, part which, tn_error *e);
/* Refuses --count for data that are no task's. */
int setup_count(const setup *s, const options *o, tn_error *e);
/* Puts LoRA on, or leaves all weights trained. */
int setup_train(setup *s, const options *o, tn_error *e);
void setup_close(setup *s);
bool option_of_lora(int i); /* is row i of the options about LoRA only? */
/* Tokens a row of this model may have, from the options. */
int64_t setup_length(const setup *s, const options *o);
/* A tokenizer made from the data, as --tokenizer says; NULL and an error otherwise. */
tn_tokenizer *tokenizer_from_data(const options *o, tn_error *e);
/* "task:NAME[:COUNT]" of --data, or --task. NULL: the data are files. *count: -1 unless it is said.
 */
const tn_task *data_task(const options *o, int64_t *count, tn_error *e);
/* The data set of a part; NULL: there is none, or e is set. */
tn_dataset *data_part(const options *o, part which, const tn_tokenizer *k, int64_t length,
                      tn_error *e);
/* The JSONL file of a part, in new memory. NULL: the part has none, or e is set. */
char *data_file(const options *o, part which, tn_error *e);
bool data_is_text(const options *o); /* one text file, of which --valid-split makes parts */
part part_find(const char *name);    /* "train", "valid" or "test" */

/* ---- one run ---- */

typedef struct recipe {
    const char *optimizer;
    double lr;              /* NOT_SET: the optimizer's default */
    const char *const *set; /* its settings, ended by NULL; or NULL */
} recipe;

typedef struct run {
    setup *s;
    const options *o;
    tn_optim *optim;
    tn_loader *loader;
    tn_schedule schedule;
    int64_t steps;
    double lr, seconds; /* seconds: spent in steps, evaluations aside */
    tn_run_state state;
    int64_t was_planned, was_records; /* of a run that is resumed, before; 0: not known */
} run;

typedef struct run_event {
    bool evaluated; /* after an evaluation: valid and best; else after a step: the rest */
    int64_t step;
    double loss, lr, grad_norm;
    int64_t tokens;         /* of this step, padding included */
    double seconds, update; /* of this step, of its tn_optim_step alone */
    tn_eval valid;
    bool best;
} run_event;

/* The schedule of a run of so many steps. */
tn_schedule run_schedule(const options *o, int64_t steps);
int run_open(run *r, setup *s, const options *o, const recipe *how, tn_error *e);
void run_close(run *r);
need run_need(const run *r); /* the memory that a step takes, as far as known */
/* One step: the gradients of its batches, then the optimizer. Refuses, before a weight changes,
   when loss or gradient is not finite. */
int run_step(run *r, run_event *out, tn_error *e);
/* Loss on the first `rows` rows of a part (0: all of them), the same bits whatever --batch-size is.
   Without that part *out stays as it is. */
int evaluate_part(const setup *s, const options *o, part which, int64_t rows, tn_eval *out,
                  tn_error *e);
int64_t valid_rows(const options *o); /* that --val-batches asks for; 0: all */
/* Steps and evaluations up to r->steps (before the first step, every --steps-per-eval, at the end).
   each(arg, r, event) is called after each; another result than 0 ends the run, and is returned. */
int run_go(run *r, int (*each)(void *arg, run *r, const run_event *event), void *arg, tn_error *e);

#endif
