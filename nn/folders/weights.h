/* weights.h - the safetensors files of a folder, as one set of tensors. Internal header. */
#ifndef TN_WEIGHTS_H
#define TN_WEIGHTS_H

#include "nn/nn.h"

typedef struct tn_weights { /* starts as { 0 } */
    tn_safetensors **files;
    int64_t count;
} tn_weights;

/* Opens model.safetensors, or the files that model.safetensors.index.json names. If
   tn_model_weights returns TN_ABSENT, there are no files. Call tn_weights_close at the end, also
   after errors. */
int tn_weights_open(tn_weights *w, const char *folder, tn_error *e);
void tn_weights_close(tn_weights *w);
int64_t tn_weights_numbers(const tn_weights *w); /* in all tensors of all files */
/* NULL: no file has it. */
const tn_entry *tn_weights_find(const tn_weights *w, const char *name, const tn_safetensors **file);

/* Refuses a tensor of another shape. */
int tn_weight_check(const tn_safetensors *file, const tn_entry *entry, int ndim,
                    const int64_t dim[], tn_error *e);
/* Fills w from the entry, which must have this shape and finite numbers. */
int tn_weight_read(const tn_safetensors *file, const tn_entry *entry, tn_tensor *w, tn_error *e);
/* Before writing: refuses numbers that are not finite, or too large for the type. */
int tn_weight_check_numbers(const char *name, const tn_real *x, int64_t n, tn_file_type type,
                            tn_error *e);

#endif
