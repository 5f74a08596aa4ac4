/* golden_model.h - a tiny model of tests/golden with what it must compute: logits, losses, gradients.
   They were made in double.

       golden_model f;
       golden_open(&f, "llama", 1e-4);                  relative to the largest number
       golden_logits(&f, "logits.base");
       golden_close(&f);

   A function that fails fails the test. */
#ifndef TN_GOLDEN_MODEL_H
#define TN_GOLDEN_MODEL_H

#include "nn/nn.h"

enum { GOLDEN_TOKENS = 24 };

typedef struct golden_model {
    char folder[64]; /* "tests/golden/tiny_models/llama" */
    double tolerance;
    tn_context *c;
    tn_tape *t;
    tn_model *m;
    tn_safetensors *expected;
    const tn_json *numbers;
    int32_t ids[GOLDEN_TOKENS], targets[GOLDEN_TOKENS];
    tn_batch batch; /* of these, a row */
    tn_error e;
} golden_model;

void golden_open(golden_model *f, const char *name, double tolerance);
void golden_close(golden_model *f);
/* Numbers are those of the tensor `name`. */
void golden_values(const golden_model *f, const tn_real *x, int64_t count, const char *name);
/* The model's logits are those of the tensor `name`. */
void golden_logits(golden_model *f, const char *name);
/* The model's loss is the number `name`. Runs backward. */
void golden_loss(golden_model *f, const char *name);
/* After golden_loss: the norm of the gradient of each weight. Its name there lacks `prefix`. */
void golden_norms(golden_model *f, const char *prefix);
/* Opens the adapter of the folder; logits, loss, and the gradients of its `count` factors. */
void golden_adapter(golden_model *f, int64_t count);

#endif
