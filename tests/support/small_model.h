/* small_model.h - small models for tests of model folders.
   An error in one of these functions fails the test. */
#ifndef TN_TESTS_SMALL_MODEL_H
#define TN_TESTS_SMALL_MODEL_H

#include "nn/nn.h"

/* Members of a config.json: a model of one block, 8 wide, with 5 tokens. */
#define SMALL                                                                                      \
    "\"model_type\":\"gpt2\",\"n_embd\":8,\"n_head\":2,\"n_layer\":1,\"n_positions\":4,\"vocab_size\":5"

tn_model *open_model(tn_context *c, const char *folder);
tn_model *new_model(tn_context *c, const char *config); /* JSON text */
/* Fails unless both have the same names and the same numbers, up to the rounding of `type`. */
void check_same(const tn_model *a, const tn_model *b, tn_file_type type);
/* Lists the tensors of a model for tn_safetensors_write, in the order of params. Returns how
   many. */
int64_t list_tensors(const tn_model *m, tn_entry *entries);
void write_tensors(const char *folder, const char *name, const tn_entry *entries, int64_t n);

/* A model of SMALL, the list of its tensors, and a folder to write them into. A test may change the
   list before that. */
typedef struct small_model {
    tn_context *c;
    tn_model *m;
    char *folder;
    tn_entry entries[64];
    int64_t n;
} small_model;

small_model small_model_make(void);
void small_model_end(small_model *s); /* removes the folder too */

/* The golden GPT-2 (two layers, 32 wide, 64 tokens) with a tape. */
#define TINY "tests/golden/tiny_models/gpt2"
typedef struct tiny {
    tn_context *c;
    tn_tape *t;
    tn_model *m;
    tn_error e;
} tiny;

tiny tiny_open(void);
void tiny_close(tiny *f);

#endif
