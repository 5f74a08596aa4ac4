/* source.h - where params get the values of their weights. Internal header.

       tn_source *s = tn_weights_open(folder, e);       NULL: the folder has no weights
       tn_params_read(p, (tn_reading){ .source = s, .frozen = true });
       ... tn_params_add(p, name, ...)                  takes shape and values from s
       tn_source_check(s, p, e);                        is every tensor of s used, and none missing?
       tn_params_read(p, (tn_reading){ 0 });            weights that come now are new ones
       tn_source_drop(s);

   A source is a struct of functions: one kind for safetensors files (folders/weights.c), and one
   for any other format, which then also knows other names and another order of rows.
   Ownership: a source lives until its maker and every tensor that borrows from it drop it. */
#ifndef TN_SOURCE_H
#define TN_SOURCE_H

#include "nn/nn.h"

typedef struct tn_stored { /* a tensor of a source */
    const char *path;      /* its file, for messages */
    const char *name;      /* its name there */
    int64_t index;         /* its number among all tensors of the source, from 0 */
    tn_dtype type;         /* the type of a tensor that borrows the bytes; TN_DTYPES: none can */
    int ndim;
    int64_t dim[TN_FILE_RANK];
    const void *bytes; /* they live as long as the source; NULL: `arrange` makes them */
    size_t size;
    const tn_entry *entry; /* as the file has it */
} tn_stored;

typedef struct tn_source tn_source;
struct tn_source {
    int64_t count; /* tensors in all files */
    /* Tensor `index` of all. */
    void (*at)(const tn_source *s, int64_t index, tn_stored *out);
    /* The tensor of the weight `name`. False: there is none. */
    bool (*find)(const tn_source *s, const char *name, tn_stored *out);
    /* Could this tensor be the weight `name`? It may be there under two names. */
    bool (*fits)(const tn_source *s, const tn_stored *t, const char *name);
    /* Is it something that some files have beside the weights: a constant, or a part that sees
       images? */
    bool (*ignores)(const tn_source *s, const tn_stored *t);
    /* Writes the numbers [from, from + n) of a tensor to `out`, from any thread. n is 0: only
       refuses, with an error, a tensor that does not hold such numbers. Returns e->code. */
    int (*read)(const tn_source *s, const tn_stored *t, int64_t from, int64_t n, tn_real *out,
                tn_error *e);
    /* The bytes of a tensor without `bytes`, which are made for tensors that borrow them. They
       belong to the source. NULL: out of memory. A source whose tensors all have bytes has NULL. */
    const void *(*arrange)(tn_source *s, const tn_stored *t);
    void (*free)(tn_source *s);

    /* Of a model whose head is its embedding: if the weight `embedding` is not there, the tensor
       `head` is taken for it. NULL for other models. */
    const char *embedding, *head;
    bool nested; /* its model is, see tn_model: names have "language_model." in front */

    /* For source.c. */
    int users;
    bool *used;      /* of each tensor: it is a weight */
    int64_t missing; /* weights without a tensor */
    char *first;     /* the name of one of them */
    tn_error error;  /* the first weight that does not fit */
};

/* How params get their weights. { 0 }: zeros, to be trained. */
typedef struct tn_reading {
    tn_source *source;
    bool frozen;   /* no weight is trained */
    bool converts; /* frozen matrices are converted to `type`; else they stay as in the file */
    tn_dtype type; /* TN_REAL, or a type that is written: TN_BF16, TN_Q8_0, TN_Q4_0 */
} tn_reading;

/* For weights that are added from now on. A sketch only compares their shapes. */
void tn_params_read(tn_params *p, tn_reading r);

/* A source of a folder that was allocated with malloc begins with these. 0, or TN_ENOMEM in e. */
int tn_source_start(tn_source *s, tn_error *e);
void tn_source_drop(tn_source *s); /* NULL: nothing */
/* The tensor of a weight: with its values, or without memory for a sketch. A matrix may have
   another type than TN_REAL if `typed`; in a sketch without a source it is the one that the reading
   converts to. NULL: see e. What is wrong with the file is not in e but
   in s->error, if it is a sketch. */
tn_tensor *tn_source_weight(tn_context *c, const tn_reading *r, const char *name, int ndim,
                            const int64_t dim[], bool typed, bool sketch, tn_error *e);
/* After all weights were added: refuses weights that do not fit or are missing, tensors that are no
   weight, and a head that differs from the embedding that it is tied to. */
int tn_source_check(const tn_source *s, const tn_params *p, tn_error *e);
#endif
