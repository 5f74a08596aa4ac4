/* weights.h - the safetensors files of a folder, as one set of tensors. Internal header. */
#ifndef TN_WEIGHTS_H
#define TN_WEIGHTS_H

#include "nn/source.h"

/* Opens model.safetensors, or the files that model.safetensors.index.json names. NULL without an
   error: tn_model_weights returns TN_ABSENT. */
tn_source *tn_weights_open(const char *folder, tn_error *e);

/* Refuses a tensor of another shape. */
int tn_weight_check(const tn_safetensors *file, const tn_entry *entry, int ndim,
                    const int64_t dim[], tn_error *e);
/* Fills w from the entry, which must have this shape and finite numbers. */
int tn_weight_read(const tn_safetensors *file, const tn_entry *entry, tn_tensor *w, tn_error *e);
/* Before writing: refuses numbers that are not finite, or too large for the type. */
int tn_weight_check_numbers(const char *name, const tn_tensor *w, tn_file_type type, tn_error *e);
/* The path of the GGUF file that has the weights of a model folder, in new memory: the only one in
   a folder without safetensors. NULL without an error: there is none. */
char *tn_weights_gguf(const char *folder, tn_error *e);

#endif
