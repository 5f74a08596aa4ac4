/* output.h - the folder that a training run writes.

   OUT/ holds the result (a model or an adapter, with its tokenizer), checkpoint-N folders,
   log.jsonl and config.used. A run is finished when the result's weights are there. */
#ifndef TN_APP_OUTPUT_H
#define TN_APP_OUTPUT_H

#include "apps/run/run.h"

/* Refuses a folder that holds a run, unless it is to be continued or replaced. */
int output_check(const options *o, tn_error *e);
/* Makes the folder (and those above it). */
int output_make(const char *folder, tn_error *e);
/* Makes the folder of a run and takes it for this process, until the descriptor that is returned is
   closed; for --overwrite removes result and checkpoints of before. -1: e says why. */
int output_take(const options *o, tn_error *e);
/* The trained adapter, or the model with its tokenizer. */
int output_save(const setup *s, const options *o, tn_error *e);

#endif
