/* best.h - the best checkpoint of a run, which the file OUT/best names: a line "checkpoint-60".

       best_follow(&o, &e);                    --adapter-path OUT/best becomes OUT/checkpoint-60
       best_name(&out, step, &e);             after output_stage: writes the file
       best_load(r, "out", &e);               before the result is saved

   Errors: every function accepts an error that is already set and then does nothing. */
#ifndef TN_APP_BEST_H
#define TN_APP_BEST_H

#include "apps/folder/output.h"

/* Replaces --adapter-path, --reference, and a first argument, that is a file with the name `best`.
   options_free frees the new path. Refuses a file with another content, and one whose checkpoint is gone. */
int best_follow(options *o, tn_error *e);
/* The step that OUT/best names now; -1: none. */
int64_t best_named(const output *out);
/* Is there a checkpoint of that step in OUT? */
bool best_is_there(const output *out, int64_t step);
/* Writes `best` among the files that wait. */
int best_name(const output *out, int64_t step, tn_error *e);
/* Takes the weights of the best checkpoint in OUT into the model of the run. */
int best_load(run *r, const char *folder, tn_error *e);

#endif
