/* nn.h - parameters, layers, LoRA and models.

       tn_model *m = tn_model_open(c, "gpt2", &e);           a Hugging Face folder
       tn_lora_add(m, &(tn_lora_options){ .rank = 8, .alpha = 16, .targets = "c_attn" }, &e);
       tn_tensor *loss = tn_model_loss(m, t, batch, 0);
       if (tn_backward(t, loss)) ...

   Ownership: tn_params owns its tensors, a model owns its params and layers. Errors: the first
   mistake sticks to the params (allocation) or lands in the tn_error given.
   LoRA is written as PEFT does: W = W0 + s B A, lora_A (R,in) random, lora_B (out,R) zero,
   s = alpha / R. */
#ifndef TN_NN_H
#define TN_NN_H

#include "../core/core.h"
#include "../data/data.h"

/* ---- parameters: a named set of weights ---- */

typedef struct tn_params tn_params;

typedef struct tn_param {
    const char *name;  /* "transformer.h.0.attn.c_attn.weight", "...c_attn.lora_A.weight" */
    tn_tensor *w;      /* w->wants_grad: it is trained */
    double lora_scale; /* s of the layer a factor belongs to; 0: not a LoRA factor */
} tn_param;

tn_params *tn_params_new(tn_context *c);
/* A set whose weights have names and shapes and no memory (x is NULL), to count what a set of any
   size would take. */
tn_params *tn_params_sketch(tn_context *c);
bool tn_params_is_sketch(const tn_params *p);
void tn_params_free(tn_params *p);
tn_context *tn_params_context(const tn_params *p); /* the one it was made with */
/* A new weight, zero-filled, trained. NULL once memory is out, the name is
   taken or a dimension is below 1 (see error). */
tn_tensor *tn_params_add(tn_params *p, const char *name, int rank, const int64_t dim[]);
int64_t tn_params_count(const tn_params *p);
tn_param *tn_params_at(const tn_params *p, int64_t i);          /* in the order they were added */
tn_param *tn_params_find(const tn_params *p, const char *name); /* NULL: not there */
/* Clears wants_grad of every weight whose name matches the shell pattern ("*", "*.bias"), and frees
   the gradients: an optimizer made before still points there. Returns how many matched. */
int64_t tn_params_freeze(tn_params *p, const char *pattern);
int64_t tn_params_trained(const tn_params *p);       /* numbers that are trained */
int64_t tn_params_size(const tn_params *p);          /* numbers in all */
void tn_params_clear(tn_params *p);                  /* every gradient becomes zero */
const tn_error *tn_params_error(const tn_params *p); /* p NULL: an error that says so */
/* Name of the first weight of tn_real that holds an infinity or a NaN; NULL: there is none. */
const char *tn_params_not_finite(const tn_params *p);
uint64_t tn_params_hash(const tn_params *p, bool trained_only); /* of names, shapes and bytes */
/* The same of the trained weights, or of the frozen ones, eight times as fast. */
uint64_t tn_params_digest(const tn_params *p, bool trained);
/* Says what names and shapes do not: what is computed with the weights. A model gives its config. */
void tn_params_describe(tn_params *p, const char *text);
typedef struct tn_base {
    uint64_t config, frozen;
} tn_base;
/* What the trained weights stand on, as hashes: the description with the scales of LoRA, and the
   frozen weights. A checkpoint fits no other. */
tn_base tn_params_base(const tn_params *p);

/* ---- layers: plain structs of weights, which the params own ---- */

typedef struct tn_adapter { /* one adapter on (a column block of) a linear layer */
    tn_tensor *a, *b;       /* (R,in), (out,R) */
    double s, dropout;
    int64_t col;     /* first output column it adds to */
    uint64_t stream; /* of its dropout */
    struct tn_adapter *next;
} tn_adapter;

typedef struct tn_linear_layer {
    const char *name; /* of w, as the params have it: "....weight" */
    tn_tensor *w, *b; /* b may be NULL */
    tn_layout layout;
    tn_adapter *lora; /* list; NULL: none */
} tn_linear_layer;

/* clang-format off */
typedef struct tn_norm_layer { tn_tensor *w, *b; double eps; } tn_norm_layer;
/* clang-format on */

/* A weight "NAME.weight" N(0, std^2) (its stream is its name) and, if bias, "NAME.bias" 0. */
tn_linear_layer tn_linear_layer_new(tn_params *p, const char *name, int64_t in, int64_t out,
                                    tn_layout l, bool bias, double std);
tn_norm_layer tn_norm_layer_new(tn_params *p, const char *name, int64_t width,
                                double eps); /* w 1, b 0 */
tn_tensor *tn_embedding_new(tn_params *p, const char *name, int64_t rows, int64_t width,
                            double std);
/* The layer's output with all its adapters. x (...,in) -> (...,out) */
tn_tensor *tn_linear_layer_run(const tn_linear_layer *l, tn_tape *t, tn_tensor *x);
tn_tensor *tn_norm_layer_run(const tn_norm_layer *l, tn_tape *t, tn_tensor *x);

/* ---- models ---- */

typedef struct tn_model tn_model;
typedef struct tn_cache tn_cache; /* keys and values of the positions seen so far, of each row */

typedef struct tn_target {
    tn_linear_layer *layer;
    char name[160]; /* "transformer.h.0.attn.c_attn" or, a block, "transformer.h.0.attn.c_attn.q" */
    int64_t col, width, in; /* outputs [col, col+width); inputs */
    bool block;             /* a column block: not part of "all-linear" */
} tn_target;

typedef struct tn_family {    /* a row of families.def */
    const char *type;         /* model_type in config.json */
    const char *lora_targets; /* PEFT's default */
    const char *embedding;    /* name of the weight that is the head too where they are tied */
    /* Builds the model of this config (random weights) into m; refuses what it does not know. */
    int (*build)(tn_model *m, const tn_json *config, tn_error *e);
    /* How many numbers hidden() leaves on the tape for each token of its input, adapters aside. */
    int64_t (*activations)(const tn_model *m);
    /* Final hidden states (B,T,C) of ids (B,T). cache NULL: whole sequences from position 0. */
    tn_tensor *(*hidden)(const tn_model *m, tn_tape *t, tn_tensor *ids, tn_cache *cache);
    void (*config)(const tn_model *m, tn_text *out); /* writes config.json's object */
    void (*free)(void *impl);
    /* Layers that may be adapted: fills out with the i-th, returns 0 when there is none. A column
       block ("c_attn.q") has first column and width; a whole layer has col 0, width out. */
    int (*target)(const tn_model *m, int64_t i, tn_target *out);
} tn_family;

struct tn_model {
    const tn_family *family;
    tn_context *context;
    tn_params *params;
    tn_tensor *head; /* (V,C); the embedding itself when tied */
    bool tied;
    int64_t layers, heads, kv_heads, head_size, width, vocab, positions;
    double dropout; /* embedding, attention output and MLP output; 0 unless asked for */
    int32_t end;    /* the first of ends; -1: none */
    int32_t *ends;  /* every eos_token_id of config.json and generation_config.json */
    int64_t end_count;
    void *impl;                   /* the family's struct of layers */
    tn_adapter *adapters;         /* every adapter, for freeing */
    struct tn_lora_options *lora; /* how they were made; NULL: none */
    char *source;                 /* folder it was read from; NULL: none */
    char *note;                   /* what an opened adapter leaves out, one line; NULL: nothing */
    int64_t stored; /* numbers in the weight files it is built for; 0: random weights */
};

extern const tn_family *const tn_families[]; /* ended by NULL */

/* For build(). A key of no config (NULL) is absent. A size of the config from 1 to `most`, or what it is
   otherwise. */
int64_t tn_config_size(const tn_json *config, const char *key, int64_t otherwise, int64_t most,
                       tn_error *e);
/* Which of two names of one key the config has; `key` where it has neither. Two values are refused. */
const char *tn_config_spelling(const tn_json *config, const char *key, const char *other,
                               tn_error *e);
/* Refuses a switch that has another value ("true", "gelu_new") than the one that is computed. */
void tn_config_require(const tn_json *config, const char *key, const char *value, tn_error *e);
/* For hidden(). Positions of ids (B,T) i32: 0.. T-1, or, with a cache, those that follow each row. */
tn_tensor *tn_positions(const tn_model *m, tn_tape *t, const tn_tensor *ids, const tn_cache *cache);
/* Attention of one layer, as the op; with a cache the keys and values are stored there, and the
   queries see all that their row has. */
tn_tensor *tn_attend(const tn_model *m, tn_tape *t, int64_t layer, tn_tensor *q, tn_tensor *k,
                     tn_tensor *v, tn_cache *cache);
/* For target(). The whole layer; or its outputs [col, col+width), whose name is the layer's and ".BLOCK". */
tn_target tn_target_layer(tn_linear_layer *l);
tn_target tn_target_block(tn_linear_layer *l, const char *block, int64_t col, int64_t width);

/* Does a model folder hold weights? TN_FILE: model.safetensors or model.safetensors.index.json.
   TN_ABSENT: no file that could hold any. Weights in other files only are refused (TN_EFORMAT). */
tn_presence tn_model_weights(const char *folder, tn_error *e);
/* Reads folder/config.json and the weights beside it; where tn_model_weights says TN_ABSENT they are
   random, from the context's seed, and m->stored is 0. NULL and an error otherwise. */
tn_model *tn_model_open(tn_context *c, const char *folder, tn_error *e);
/* The model of a folder as tn_model_open would make it, but without memory for its weights: for
   tn_lora_add and for counting, whatever its size. */
tn_model *tn_model_sketch(tn_context *c, const char *folder, tn_error *e);
/* The model of a config given as JSON text, random weights. vocab > 0 replaces its vocab_size, end
   its eos_token_id. */
tn_model *tn_model_new(tn_context *c, const tn_json *config, int64_t vocab, int32_t end,
                       tn_error *e);
void tn_model_free(tn_model *m);
/* config.json and model.safetensors (F32, F16 or BF16; adapters must have been merged). */
int tn_model_save(const tn_model *m, const char *folder, tn_file_type type, tn_error *e);
/* Mean loss of the batch; tokens > 0 divides by that number instead (see linear_xent). */
tn_tensor *tn_model_loss(const tn_model *m, tn_tape *t, const tn_batch *b, int64_t tokens);
/* Bytes of the tape that a training step on a batch (B,T), or its evaluation, takes at least: what
   forward leaves there. Of the memory measured that was 99 % without gradients, and of a training step 88 %
   with six blocks, 95 % with twelve; the rest are gradients and, where little else is, scratch of the ops. */
double tn_model_activations(const tn_model *m, int64_t rows, int64_t width, bool training);
tn_tensor *tn_model_logits(const tn_model *m, tn_tape *t, tn_tensor *ids); /* (B,T) -> (B,T,V) */

/* ---- LoRA ---- */

typedef struct tn_lora_options {
    int64_t rank; /* R, at least 1 */
    double alpha, dropout;
    /* Comma-separated: names match a layer whose path equals or ends with ".NAME", as in PEFT;
       "all-linear": every linear layer but the head; NULL: the family's default. GPT-2's fused
       attention also has the column blocks c_attn.q, c_attn.k, c_attn.v. */
    const char *targets;
} tn_lora_options;

/* Adapters on the targets: A ~ U(-1/sqrt(in), 1/sqrt(in)), B = 0. The base weights are frozen first.
   A name that matches nothing is refused. */
int tn_lora_add(tn_model *m, const tn_lora_options *o, tn_error *e);
/* A PEFT folder (adapter_config.json, adapter_model.safetensors) onto the model; or a folder checkpoint-N
   of a LoRA run, whose base and checksums tn_checkpoint_check looks at. Layers that target_modules names
   and the file lacks stay as the base has them, as in PEFT; m->note then says so. A refused adapter leaves
   the model as it was. */
int tn_adapter_open(tn_model *m, const char *folder, tn_error *e);
bool tn_adapter_is_checkpoint(const char *folder, tn_error *e); /* and no PEFT folder */
/* The adapters as a PEFT folder. Column blocks are written as one adapter on c_attn of rank (number of
   blocks) R whose lora_B has zero blocks. */
int tn_adapter_save(const tn_model *m, const char *folder, tn_file_type type, tn_error *e);
/* W += s B A in double, then the adapters are gone: m->params is a new set, with the same weights. */
int tn_lora_merge(tn_model *m, tn_error *e);

/* ---- generation ---- */

typedef struct tn_sampling {
    double temperature; /* 0: greedy */
    int64_t top_k;      /* 0: off */
    double top_p;       /* 1 (or 0): off */
    uint64_t seed;
    int64_t max_tokens;
    int32_t stop;        /* end token; -1: none */
    const int32_t *ends; /* further end tokens, as those of a model; NULL: none */
    int64_t end_count;
} tn_sampling;

/* Continues `rows` prompts together with a key/value cache. ids[r] (length[r] >= 1) is each prompt.
   out[r] has room for max_tokens; made[r] tokens are written, the end token not among them. A row ends
   with the model's positions too: a prompt that takes all of them is followed by one token. A
   row's result does not depend on the other rows. each(arg, row, token), if not NULL, sees every
   token as it comes. */
int tn_generate(const tn_model *m, int64_t rows, const int32_t *const ids[], const int64_t length[],
                const tn_sampling *s, int32_t *const out[], int64_t made[],
                void (*each)(void *arg, int64_t row, int32_t token), void *arg, tn_error *e);

/* ---- evaluation ---- */

typedef struct tn_eval {
    double loss, error; /* mean over tokens of -log p; its standard error over rows */
    int64_t tokens, rows;
    int64_t exact; /* rows all of whose counted labels are the argmax */
} tn_eval;

/* One ordered pass (at most `batches` of them if > 0) without gradients. The tape is emptied and keeps
   its mode; the loader begins anew. */
int tn_evaluate(const tn_model *m, tn_tape *t, tn_loader *l, int64_t batches, tn_eval *out,
                tn_error *e);

#endif
