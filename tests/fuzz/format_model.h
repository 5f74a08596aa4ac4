/* format_model.h - what formats of models do with a model. */
#ifndef TN_FORMAT_MODEL_H
#define TN_FORMAT_MODEL_H

#include "nn/nn.h"
#include "tests/fuzz/formats.h"

tn_context *model_context(void); /* one thread */
/* Computes a loss and its gradients. Ends the program if that is not possible. */
void model_run(const tn_model *m);
/* Opens the folder or the file, and runs the model. One that is too large for a test has no memory for
   its weights, and does not run. */
int model_use(const char *path, tn_error *e);

#endif
