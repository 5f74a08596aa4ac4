/* save_model.h - writes the model of --model, with its adapter added to the weights, to --save-path.

       save_model(o, &output_fuse, &e);

   What is written is opened again before it takes its place, and its logits are compared with those
   of the model that was read. After an error nothing is left at --save-path. */
#ifndef TN_APP_SAVE_MODEL_H
#define TN_APP_SAVE_MODEL_H

#include "apps/run/output.h"

int save_model(const options *o, const output_kind *kind, tn_error *e);

#endif
