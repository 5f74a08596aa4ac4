/* family.h - for people who write a family of models: an architecture that config.json names.
   A family is one file in nn/families/ and a row in families.def. Opening, saving, LoRA, training
   and generation all work from this literal:

       const tn_family tn_family_gpt = { .type = "gpt2", .lora_targets = "c_attn",
           .embedding = "transformer.wte.weight", .build = build, .hidden = hidden,
           .activations = activations, .backward = backward, .target = target, .config = config, .free = free_gpt };

   nn/families/gpt.c is the model to copy. Ownership: the params own all weights. m->impl is the
   family's own struct; `free` ends it. Errors: build reports to its tn_error, hidden to the tape.

   What goes wrong:
   * A layer is listed by target but hidden runs its weight without tn_linear_layer_run: its
     adapters change nothing.
   * Positions or attention do not come from tn_positions, tn_cache_start and tn_attend: packed records
     see each other.
   * A key of the config is not read: the result is not that of the published model. Read or refuse
     (tn_config_require) every key that changes what is computed.
   * activations counts too little: a run that does not fit into memory starts all the same. */
#ifndef TN_FAMILY_H
#define TN_FAMILY_H

#include "nn.h"

TN_BEGIN

/* What LoRA may adapt: a linear layer, or some columns of its output ("c_attn.q"). */
typedef struct tn_target {
    tn_linear_layer *layer;
    char name[160]; /* "transformer.h.0.attn.c_attn"; of columns "transformer.h.0.attn.c_attn.q" */
    int64_t col, width, in; /* outputs [col, col+width); inputs */
    bool columns;           /* it is a part of a layer: "all-linear" does not include it */
    bool head;              /* it makes the logits: "all-linear" does not include it */
} tn_target;

struct tn_family {
    const char *type;         /* model_type in config.json */
    const char *lora_targets; /* what PEFT adapts if no names are given */
    const char *embedding;    /* name of the weight that is also the head if they are tied */
    /* Reads the config into the fields of m, makes impl, and adds all weights to m->params. They
       are random, or zero if m->stored is not 0 (files will be read). If the caller knows m->vocab,
       it is set already. Returns e->code. After an error `free` is called, too. */
    int (*build)(tn_model *m, const tn_json *config, tn_error *e);
    /* How many numbers hidden leaves on the tape per token of its input, in training or in
       evaluation. Adapters do not count, but the inputs that backward reads for them do. */
    int64_t (*activations)(const tn_model *m, bool training);
    /* How many numbers per token backward has beside them at most at the same time: gradients of
       results, and results that it computes again. An estimate. */
    int64_t (*backward)(const tn_model *m);
    /* ids (B,T) i32 -> final hidden states (B,T,C). The cache is for the functions below; NULL:
       every row is a whole sequence from position 0. NULL: the tape has the error. */
    tn_tensor *(*hidden)(const tn_model *m, tn_tape *t, tn_tensor *ids, tn_cache *cache);
    void (*config)(const tn_model *m, tn_text *out); /* appends the object of config.json */
    void (*free)(void *impl);                        /* impl may be NULL or half made */
    /* Fills out with target i, from 0, and returns 1. Returns 0 if there is no such target. */
    int (*target)(const tn_model *m, int64_t i, tn_target *out);
};

extern const tn_family *const tn_families[]; /* one per row of families.def, ended by NULL */

/* ---- for build: reading the config ----

   If config is NULL, every key is absent. Refusals go to e, in the form of tn_json_refuse. */

/* An integer from 1 to `most`, or `otherwise` if the key is absent or null, or after an error. */
int64_t tn_config_size(const tn_json *config, const char *key, int64_t otherwise, int64_t most,
                       tn_error *e);
/* For a value that has two names: returns the name that the config uses, or `key` if it uses none.
   Refuses both names with different values. */
const char *tn_config_spelling(const tn_json *config, const char *key, const char *other,
                               tn_error *e);
/* Refuses a key that is present with another value, as written in the file ("true", "gelu_new"). */
void tn_config_require(const tn_json *config, const char *key, const char *value, tn_error *e);

/* ---- for hidden ---- */

/* Returns y, which was made from x, after tn_done(t, x): h = tn_then(t, h, tn_gelu(t, h)). */
tn_tensor *tn_then(tn_tape *t, tn_tensor *x, tn_tensor *y);

/* Positions of ids (B,T): (B,T) i32 on the tape. They are 0..T-1; with a cache they follow the
   positions of the row in the cache, or begin again with each packed record. If the model has fewer
   positions: NULL, with an error on the tape. */
tn_tensor *tn_positions(const tn_model *m, tn_tape *t, const tn_tensor *ids, const tn_cache *cache);
/* Attention of layer number `layer`: q (B,T,H D), k and v (B,T,G D) -> (B,T,H D), or one tensor
   q|k|v (B,T,(H+2G)D) given three times. With a cache, keys and values are stored there, and a
   query sees all keys of its row; of packed records, those of its own. Of the form, window, scale
   and soft_cap are read; NULL: { 0 }. */
tn_tensor *tn_attend(const tn_model *m, tn_tape *t, int64_t layer, tn_tensor *q, tn_tensor *k,
                     tn_tensor *v, const tn_attention_form *form, tn_cache *cache);
/* For tn_rope: how many positions each row has seen, (B) i32, or of packed records the position of
   each token, (B,T) i32. It belongs to the cache. NULL without one: whole sequences from position
   0. */
tn_tensor *tn_cache_start(const tn_cache *cache);
/* Block number `layer` of a model: x (B,T,C) -> (B,T,C). */
typedef tn_tensor *tn_model_block(const tn_model *m, tn_tape *t, int64_t layer, tn_tensor *x,
                                  tn_cache *cache);
/* Runs all blocks in order. If m->recompute, the tape keeps only the sums between them (without a
   cache). */
tn_tensor *tn_run_blocks(const tn_model *m, tn_tape *t, tn_tensor *x, tn_cache *cache,
                         tn_model_block *block);

/* ---- for target ---- */

/* The whole layer, named as its weight without ".weight". Of NULL: a target whose layer is NULL. */
tn_target tn_target_layer(tn_linear_layer *l);
/* The last target of a family: the head, "lm_head". Returns 1, as `target` does; of NULL 0. */
int tn_target_head(const tn_model *m, tn_target *out);
/* Its outputs [col, col+width), named "LAYER.NAME". */
tn_target tn_target_columns(tn_linear_layer *l, const char *name, int64_t col, int64_t width);

TN_END

#endif
