/* small_model.h - small models for tests of model folders. A function that fails fails the test. */
#ifndef TN_TESTS_SMALL_MODEL_H
#define TN_TESTS_SMALL_MODEL_H

#include "nn/nn.h"

/* Members of a config.json: a model of one block, 8 wide, with 5 tokens. */
#define SMALL                                                                                      \
    "\"model_type\":\"gpt2\",\"n_embd\":8,\"n_head\":2,\"n_layer\":1,\"n_positions\":4,\"vocab_size\":5"

tn_model *open_model(tn_context *c, const char *folder);
tn_model *new_model(tn_context *c, const char *config); /* JSON text */
/* Same names, and numbers as the type leaves them. */
void check_same(const tn_model *a, const tn_model *b, tn_file_type type);
/* The tensors of a model as a file has them, in the order of the params. Returns how many. */
int64_t list_tensors(const tn_model *m, tn_entry *entries);
void write_tensors(const char *folder, const char *name, const tn_entry *entries, int64_t n);

#endif
