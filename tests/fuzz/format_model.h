/* format_model.h - what formats of models do with a model. */
#ifndef TN_FORMAT_MODEL_H
#define TN_FORMAT_MODEL_H

#include "nn/nn.h"
#include "tests/fuzz/formats.h"

tn_context *model_context(void); /* one thread */
/* Computes a loss and its gradients. Ends the program if that is not possible. */
void model_run(const tn_model *m);
/* Opens the folder or the file, and runs the model. One that is too large for a test has no memory
   for its weights, and does not run. */
int model_use(const char *path, tn_error *e);

/* The small GPT-2 that the adapters are for: one block of width 4, 11 tokens. */
tn_model *model_new(tn_context *c);
/* Opens the adapter of the folder on it, runs it, saves it and opens that. If the adapter is
   refused, the weights must be as they were. */
int model_use_adapter(const char *folder, tn_error *e);

#endif
