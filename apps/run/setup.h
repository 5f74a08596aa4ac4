/* setup.h - what a command works on: context, tokenizer, model, adapter, data.

       setup s = { 0 };
       setup_model(&s, o, seed, &e);
       setup_data(&s, o, PART_TRAIN, &e);
       setup_train(&s, o, &e);
       setup_close(&s);

   Ownership: a setup owns what it opened. Errors: every function accepts an error that is already
   set and then does nothing, so that calls can be chained. */
#ifndef TN_APP_SETUP_H
#define TN_APP_SETUP_H

#include "apps/run/source.h"
#include "apps/run/tracer.h"
#include "optim/optim.h"

typedef struct setup {
    uint64_t seed; /* of weights, adapters, dropout and the order of the data */
    tn_context *context;
    tn_tokenizer *tokenizer;
    tn_model *model;
    tn_tape *tape;
    tracer tracer;           /* of the tape: a setup keeps its address */
    tn_dataset *data[PARTS]; /* NULL: there is none */
    tn_reference *reference; /* of DPO (preference.h); NULL: the loss is that of tokens */
    tn_model *other; /* which the reference computes with; NULL: the model does */
    tn_dpo pairs;            /* of the last evaluation with it */
    const tn_task *task;     /* the data are records of this task; NULL: they are files */
    bool random;             /* the weights are random: the model folder has no weight file */
    bool full;               /* all weights are trained, not LoRA */
    bool sketch;             /* set before setup_model: the model has no memory for its weights */
    bool lends_tokenizer;    /* the model folder has no tokenizer: the result gets this one */
} setup;

/* The context, the model folder of the options, its tokenizer (or one made from the data), its
   adapter and a tape. */
int setup_model(setup *s, const options *o, uint64_t seed, tn_error *e);
/* Replaces a sketch, with what setup_train put on it, by the model. */
int setup_weights(setup *s, const options *o, tn_error *e);
/* The same for commands that do not train: random weights are refused. */
int setup_trained(setup *s, const options *o, tn_error *e);
/* The context and the model with its adapter alone, without tokenizer and tape, for commands that
   write models. Random weights are refused. */
int setup_frozen(setup *s, const options *o, tn_error *e);
/* Opens one part of the data as s->data (data_part of source.h). With --split it is read alone. */
int setup_data(setup *s, const options *o, part which, tn_error *e);
/* The same for the training and the validation part, which reads files less often. */
int setup_both(setup *s, const options *o, tn_error *e);
/* Adds LoRA to the model, or leaves all weights trained. */
int setup_train(setup *s, const options *o, tn_error *e);
void setup_close(setup *s);
/* Is it the folder of an adapter, and of no model? */
bool setup_is_adapter(const char *path, tn_error *e);
/* The largest number of tokens in a row: of the options, else of the model. */
int64_t setup_length(const setup *s, const options *o);
bool option_of_lora(int i); /* is row i of the options about LoRA only? */
/* Does it say how new adapters are made? Those of --adapter-path are made already. */
bool option_of_new_adapters(int i);
/* Refuses all options of adapters: every weight is trained. */
int setup_refuse_adapters(const options *o, tn_error *e);
/* Refuses options of adapters that are wrong for every model. */
int setup_check_adapters(const options *o, tn_error *e);
/* The part of setup_train for LoRA: puts new adapters on the model, or checks that the options do
   not contradict those that --adapter-path put there. */
int setup_adapters(const setup *s, const options *o, tn_error *e);

#endif
