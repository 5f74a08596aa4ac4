/* nn.h - parameters, layers, LoRA, models, generation and evaluation.

       tn_error e = { 0 };
       tn_model *m = tn_model_open(c, "gpt2", &e);                   a Hugging Face folder, or a GGUF file
       tn_lora_add(m, &(tn_lora_options){ .rank = 8, .alpha = 16, .targets = "c_attn" }, &e);
       tn_tensor *loss = tn_model_loss(m, t, batch, 0);              then tn_backward(t, loss)

   LoRA is written as PEFT does: W = W0 + s B A, lora_A (R,in) random, lora_B (out,R) zero,
   s = alpha / R.
   Ownership: tn_params owns its tensors; a model owns its params, layers and adapters. The caller
   who made one frees it (_free accepts NULL). They may be freed in any order: an optimizer keeps
   the params alive, params keep their context.
   Errors: the first mistake of adding weights sticks to the params (tn_params_error). Functions
   with a tn_error report there and return NULL or its negative code. If an error is already set,
   they do nothing. Functions with a tape report there (tn_tape_error) and return NULL.
   Threads: use params and models from one thread at a time; this is not checked.

   What goes wrong:
   * A weight is frozen after tn_optim_new: the optimizer has state for it and refuses every step
     (TN_ESTATE). Freeze first, then make the optimizer.
   * An optimizer is used after tn_lora_merge: its weights are frozen, and it refuses (TN_ESTATE).
   * tn_evaluate empties the tape, with a loss that is on it: evaluate between steps.
   * A model is opened from a folder without weights: they are random then. Look at m->stored. */
#ifndef TN_NN_H
#define TN_NN_H

#include "../core/core.h"
#include "../data/data.h"

TN_BEGIN

/* ---- parameters: a named set of weights ---- */

typedef struct tn_params tn_params;

typedef struct tn_param {
    const char *name;  /* "transformer.h.0.attn.c_attn.weight", "...c_attn.lora_A.weight" */
    tn_tensor *w;      /* w->wants_grad: it is trained */
    double lora_scale; /* s of the factor's layer; 0: not a LoRA factor */
} tn_param;

tn_params *tn_params_new(tn_context *c); /* an empty set; NULL when memory is out */
/* A set whose weights have names and shapes but no memory (x is NULL). It serves to count the
   memory that a set of any size needs. */
tn_params *tn_params_sketch(tn_context *c);
bool tn_params_is_sketch(const tn_params *p);
void tn_params_free(tn_params *p);
tn_context *tn_params_context(const tn_params *p); /* the one it was made with */
/* Adds a new weight, zero-filled and trained, which the set owns. NULL, with the reason in
   tn_params_error: memory is out, the name is taken, or a dimension is below 1. */
tn_tensor *tn_params_add(tn_params *p, const char *name, int ndim, const int64_t dim[]);
int64_t tn_params_count(const tn_params *p);           /* of weights */
tn_param *tn_params_at(const tn_params *p, int64_t i); /* in the order they were added, from 0 */
tn_param *tn_params_find(const tn_params *p, const char *name); /* NULL: there is none */
/* The name of the weight w, which belongs to the set. NULL if w is no weight of the set. It
   compares all weights one by one. */
const char *tn_params_name(const tn_params *p, const tn_tensor *w);
/* Clears wants_grad of every weight whose name matches the shell pattern ("*", "*.bias") and frees
   its gradient. Returns how many matched. Call it before tn_optim_new. */
int64_t tn_params_freeze(tn_params *p, const char *pattern);
int64_t tn_params_trained(const tn_params *p); /* numbers that are trained */
int64_t tn_params_size(const tn_params *p);    /* numbers in all */
void tn_params_clear(tn_params *p);            /* every gradient becomes zero */
/* The gradients of all trained weights as one array of *count numbers, for example to add up those
   of several processes. The weights come in their order. Each begins at a multiple of 64 bytes, and
   the gaps hold zeros. So does a weight that has no gradient; its has_grad stays false. The array
   belongs to the params. It is put together by tn_optim_new, or by the first call. If a weight was
   added, frozen or removed since, the next of these calls makes a new array, and w->g changes:
   until then the memory of a frozen weight's gradient stays. Returns NULL if nothing is trained,
   for a sketch (TN_ESTATE), and when memory is out. */
tn_real *tn_params_gradients(tn_params *p, int64_t *count, tn_error *e);
const tn_error *tn_params_error(const tn_params *p); /* never NULL; code 0: none */
/* Name of the first weight of tn_real that holds an infinity or a NaN. NULL: no weight does. */
const char *tn_params_not_finite(const tn_params *p);
/* Hash of names, shapes and bytes of all weights, or of the trained ones (trained_only). */
uint64_t tn_params_hash(const tn_params *p, bool trained_only);
/* A hash for the same purpose, of the trained weights or of the frozen ones. It is eight times as
   fast, and has other values. */
uint64_t tn_params_digest(const tn_params *p, bool trained);
/* Writes the weights whose names match the shell pattern ("*.lora_?.weight"; NULL: all) as one
   safetensors file of F64, F32, F16 or BF16, as tn_file_write does. Refuses numbers that the type
   cannot hold, and a pattern that matches nothing. */
int tn_params_save(const tn_params *p, const char *pattern, const char *path, tn_file_type type,
                   tn_error *e);
/* Fills the weights that match from such a file. The file must hold these names with these shapes
   and finite numbers, and no others. After an error no weight has changed. */
int tn_params_open(tn_params *p, const char *pattern, const char *path, tn_error *e);
/* Describes what is computed with the weights, beyond their names and shapes. A model gives its
   config. Only a hash of the text is kept, as a part of tn_base. */
void tn_params_describe(tn_params *p, const char *text);
/* clang-format off */
typedef struct tn_base { uint64_t config, frozen; } tn_base;
/* clang-format on */
/* Hashes of the base of the trained weights: of the description with the scales of LoRA, and of the
   frozen weights. A checkpoint with other hashes is refused. */
tn_base tn_params_base(const tn_params *p);

/* ---- layers: plain structs of weights, which the params own ---- */

typedef struct tn_adapter { /* one adapter on a linear layer, or on columns of its output */
    tn_tensor *a, *b;       /* (R,in), (out,R) */
    tn_tensor *m;           /* DoRA's magnitudes (out); NULL: plain LoRA */
    tn_tensor *g;           /* m by the norms, while tn_generate runs; else NULL */
    double s, dropout;      /* scale; probability */
    int64_t col;            /* first output column it adds to */
    uint64_t stream;        /* of random numbers, for its dropout */
    struct tn_adapter *next;
    struct tn_adapter *made_before; /* for the params that own it */
} tn_adapter;

typedef struct tn_linear_layer {
    const char *name; /* name of w in the params: "....weight" */
    tn_tensor *w, *b; /* (out,in) or, TN_IN_OUT, (in,out); (out), NULL: no bias */
    tn_layout layout;
    tn_adapter *lora; /* list; NULL: none */
    tn_adapter *off;  /* the list while tn_lora_switch has taken it off; else NULL */
} tn_linear_layer;

typedef struct tn_norm_layer {
    const char *name;   /* of w in the params */
    tn_tensor *w, *b;   /* (C); b may be NULL */
    double eps, offset; /* offset is that of a tn_rms_norm */
    bool rms;           /* tn_rms_norm; else tn_layer_norm */
} tn_norm_layer;

typedef struct tn_conv_layer {
    const char *name; /* of w in the params */
    tn_tensor *w, *b; /* (O,C/groups,kh,kw), (O); b may be NULL */
    tn_conv_form form;
} tn_conv_layer;

/* An LSTM or a GRU whose state has H numbers. It has G gates: 4 H numbers in an LSTM, 3 H in a GRU.
   Both biases may be NULL. */
typedef struct tn_recurrent_layer {
    const char *name;       /* of w_in in the params */
    tn_tensor *w_in, *b_in; /* (G,in), (G): from the input to the gates */
    tn_tensor *w, *b;       /* (G,H), (G): from h to the gates */
    bool gru;
} tn_recurrent_layer;

/* Adds the weight "NAME.weight", drawn from N(0, std^2) with its name as stream (std 0: zeros),
   and, if bias, "NAME.bias", zeros. With std = 1 / sqrt(in) the outputs are about as large as the
   inputs; before a relu take sqrt(2 / in). std -1: weight and bias are drawn from U(-1/sqrt(in),
   1/sqrt(in)), as in torch.nn.Linear. All fields are 0 after an error, which sticks to the
   params. */
tn_linear_layer tn_linear_layer_new(tn_params *p, const char *name, int64_t in, int64_t out,
                                    tn_layout l, bool bias, double std);
/* Adds "NAME.weight" (width), ones, and "NAME.bias" (width), zeros. */
tn_norm_layer tn_norm_layer_new(tn_params *p, const char *name, int64_t width, double eps);
/* Adds "NAME.weight" (width) of a tn_rms_norm: 1 - offset, so that the factor is 1. */
tn_norm_layer tn_rms_layer_new(tn_params *p, const char *name, int64_t width, double eps,
                               double offset);
/* Adds "NAME.weight" (out,in/groups,kh,kw), whose kernels read kh x kw numbers of each channel,
   and, if bias, "NAME.bias" (out). std is that of tn_linear_layer_new, where the `in` of a kernel
   is the number of numbers that it reads: in / groups kh kw. std -1: as in torch.nn.Conv2d. */
tn_conv_layer tn_conv_layer_new(tn_params *p, const char *name, int64_t in, int64_t out, int64_t kh,
                                int64_t kw, tn_conv_form form, bool bias, double std);
/* Adds "NAME.weight_ih_l0", "NAME.weight_hh_l0" and, if bias, "NAME.bias_ih_l0" and
   "NAME.bias_hh_l0": the names, shapes and gates of torch.nn.LSTM and torch.nn.GRU. All are drawn
   from U(-1/sqrt(H), 1/sqrt(H)), as there. H is `size`. */
tn_recurrent_layer tn_lstm_layer_new(tn_params *p, const char *name, int64_t in, int64_t size,
                                     bool bias);
tn_recurrent_layer tn_gru_layer_new(tn_params *p, const char *name, int64_t in, int64_t size,
                                    bool bias);
/* Adds "NAME.weight" (rows,width), drawn from N(0, std^2) (std 0: zeros; -1: N(0, 1), as in
   torch.nn.Embedding). NULL: see tn_params_error. */
tn_tensor *tn_embedding_new(tn_params *p, const char *name, int64_t rows, int64_t width,
                            double std);
/* ---- layers that run. If an op refuses its operands, the message ends with the layer's name
   ---- */

/* The layer's output with all its adapters. x (...,in) -> (...,out) */
tn_tensor *tn_linear_layer_run(const tn_linear_layer *l, tn_tape *t, tn_tensor *x);
tn_tensor *tn_norm_layer_run(const tn_norm_layer *l, tn_tape *t,
                             tn_tensor *x); /* (...,C), the same */
tn_tensor *tn_conv_layer_run(const tn_conv_layer *l, tn_tape *t,
                             tn_tensor *x); /* (B,C,H,W) -> (B,O,H',W'), see tn_conv2d */
/* x (B,T,in), or (B,in) for one step -> (B,T,S) or (B,S), the state after each step. It is h (S =
   H) of a GRU, and h|c (S = 2 H) of an LSTM. start (B,S) is the state before; NULL: zeros. */
tn_tensor *tn_recurrent_layer_run(const tn_recurrent_layer *l, tn_tape *t, tn_tensor *x,
                                  tn_tensor *start);

/* ---- models ---- */

typedef struct tn_family tn_family; /* an architecture, such as GPT-2: see family.h */
typedef struct tn_cache tn_cache;   /* keys and values of the positions that each row has seen */

/* Read only, except dropout and recompute, which may be set. */
typedef struct tn_model {
    const tn_family *family;
    tn_context *context;
    tn_params *params;
    tn_tensor *head;        /* (V,C); if tied, it is the embedding itself */
    tn_linear_layer output; /* the head as a layer, which may have an adapter; `build` leaves it */
    bool tied;
    bool nested; /* its config is the text_config of a model that also sees images (Gemma 3) */
    int64_t layers, heads, kv_heads, head_size, width, vocab, positions; /* L H G D C V, most T */
    double logit_cap; /* logits become cap tanh(logit / cap), as in Gemma 2; 0: they stay */
    double dropout;   /* probability, after embedding, attention and MLP; 0 when opened */
    bool recompute;   /* training keeps only the sums between blocks: less memory, more time */
    int32_t end;      /* the first of ends; -1: none */
    int32_t *ends;    /* every eos_token_id of config.json and generation_config.json */
    int64_t end_count;
    void *impl;                   /* the family's struct of layers */
    tn_adapter *adapters;         /* all of them; NULL: none */
    struct tn_lora_options *lora; /* how the adapters were made; NULL: none */
    char *source;                 /* folder it was read from; NULL: none */
    char *note;                   /* what an opened adapter lacks, in one line; NULL: nothing */
    char *adapter_config;         /* the adapter_config.json of an opened PEFT folder; NULL: none */
    int64_t stored; /* numbers in the weight files it was read from; 0: random weights */
} tn_model;

/* Does a model folder hold weights? TN_FILE: model.safetensors or model.safetensors.index.json, or
   else one GGUF file, or `folder` is itself a file.
   TN_ABSENT: no file that could hold any. A folder that has weights only in other files is refused:
   TN_UNREADABLE, and an error (TN_EFORMAT) that names the file. */
tn_presence tn_model_weights(const char *folder, tn_error *e);
/* Reads folder/config.json and the weights beside it, or a GGUF file of the architectures gpt2,
   llama, smollm3, phi3, qwen2, qwen3, gemma, gemma2 and gemma3. A folder without safetensors may
   hold that file. If tn_model_weights returns TN_ABSENT, the weights are random, from the context's
   seed, and m->stored is 0. The dropout of config.json is not used. Returns NULL, with an error, if
   something is missing, damaged, not supported, or larger than memory. */
tn_model *tn_model_open(tn_context *c, const char *folder, tn_error *e);
/* The same without memory for the weights: a model of any size, for tn_lora_add and for counting.
   Functions that need the numbers of the weights refuse it (TN_ESTATE). */
tn_model *tn_model_sketch(tn_context *c, const char *folder, tn_error *e);
/* { 0 }: as tn_model_open. */
typedef struct tn_open_options {
    /* The weights are not trained: adapters are, or nothing. Then matrices stay in the type of the
       file and are read where they lie in it, so the file must not change while the model lives.
       Vectors, and types that are not computed with, are converted to tn_real. */
    bool frozen;
    /* What the matrices of a frozen model, embeddings too, are converted to: "f32" (tn_real),
       "bf16" (rounded to nearest even), or "q8_0" or "q4_0": 32 numbers of a row share a scale, as
       in a GGUF file. The rows must be multiples of 32 numbers long (TN_ESHAPE). NULL or "file":
       they stay as they are. Vectors are always tn_real. */
    const char *base_dtype;
    bool sketch; /* as tn_model_sketch */
} tn_open_options;
tn_model *tn_model_open_as(tn_context *c, const char *folder, const tn_open_options *o,
                           tn_error *e);
/* Makes a model with random weights, from the object of a config.json. vocab > 0 replaces its
   vocab_size. vocab > 0 or end >= 0 replaces its end tokens by `end` (-1: none). The config may be
   freed afterwards. */
tn_model *tn_model_new(tn_context *c, const tn_json *config, int64_t vocab, int32_t end,
                       tn_error *e);
void tn_model_free(tn_model *m);
/* Writes config.json and model.safetensors, as F32, F16 or BF16, into the folder, which is made.
   Adapters must be merged before (TN_ESTATE). Numbers that the type cannot hold are refused. */
int tn_model_save(const tn_model *m, const char *folder, tn_file_type type, tn_error *e);
/* Writes a GGUF file, which llama.cpp runs: matrices as F32, F16, BF16, Q8_0 or Q4_0 (embedding and
   head then as Q8_0), vectors as F32. k: the tokenizer that is put into it, with its chat template
   or the chat_template.jinja of the folder that the model was read from; NULL: that of the GGUF
   file that the model was read from, or none. Refuses a model that no such file stands for, such as
   one with another activation than its architecture has (TN_EFORMAT). Mistral's window becomes the
   number of positions. */
int tn_model_save_gguf(const tn_model *m, const tn_tokenizer *k, const char *path,
                       tn_file_type type, tn_error *e);
/* The loss, of shape (1): the mean over the labels of the batch that count. If tokens > 0, the sum
   is divided by this number instead, for a step of several batches. */
tn_tensor *tn_model_loss(const tn_model *m, tn_tape *t, const tn_batch *b, int64_t tokens);
/* The bytes that forward leaves on the tape, for a batch (B,T) = (rows,width) in training or in
   evaluation. The tape takes at least so many. */
double tn_model_activations(const tn_model *m, int64_t rows, int64_t width, bool training);
/* Estimates of the rest of the tape, in bytes: what backward adds, gradients of results and results
   that it computes again; and scratch, of which the largest op decides: the logits of a chunk of
   rows, or attention. 0 for NULL. */
double tn_model_backward(const tn_model *m, int64_t rows, int64_t width);
double tn_model_scratch(const tn_model *m, int64_t rows, int64_t width, bool training);
tn_tensor *tn_model_logits(const tn_model *m, tn_tape *t, tn_tensor *ids); /* (B,T) -> (B,T,V) */

/* ---- LoRA ---- */

/* A rank or alpha for some layers, as in PEFT's rank_pattern and alpha_pattern: for those whose
   path matches the pattern, or ends with "." and a match. A pattern may have literals, ".", "\.",
   "[...]", "\d", "*", "+" and "(a|b)", with the meaning that they have in Python. */
typedef struct tn_lora_pattern {
    const char *layers; /* NULL ends a list */
    double value;
} tn_lora_pattern;

typedef struct tn_lora_options {
    int64_t rank;   /* R, from 1 */
    double alpha;   /* above 0: s = alpha / R */
    double dropout; /* probability, at least 0 and below 1 */
    /* Names, separated by commas. A name matches a layer whose path is the name or ends with
       ".NAME", as in PEFT. "all-linear" means every linear layer but the head. NULL means the
       default of the family. Of GPT-2's fused attention the columns c_attn.q, c_attn.k, c_attn.v
       can be named, too. A text with one of \ [ ] ( ) { } * + ? | ^ $ is a pattern that must match
       whole paths. */
    const char *targets;
    int64_t last_blocks; /* only layers in so many blocks at the end; 0: in all */
    bool rslora;         /* s = alpha / sqrt(R) */
    /* DoRA, arXiv:2402.09353: the weights of output o become m[o] v / |v|, v = (W + s B A)[o]. The
       magnitudes m, "NAME.lora_magnitude_vector" (out), are trained; they start as |v|. In backward
       |v| is a constant, as in PEFT. Only whole layers. */
    bool dora;
    /* What A and B start with, as PEFT's init_lora_weights. NULL: A ~ U(-1/sqrt(in), 1/sqrt(in)).
       "gaussian": A ~ N(0, 1/R^2). In both B = 0. "orthogonal": neither is 0, but B A is; R must be
       even. */
    const char *init;
    /* Of several patterns that match a layer the first counts. NULL: rank and alpha are the same
       for all. In m->lora they are NULL. */
    const tn_lora_pattern *rank_pattern, *alpha_pattern;
} tn_lora_options;

/* Puts adapters on the targets and freezes all other weights. Refuses a name that matches nothing,
   and a model that has adapters. */
int tn_lora_add(tn_model *m, const tn_lora_options *o, tn_error *e);
/* LoRA on one layer of a model of your own, without a family: adds the factors
   "NAME.lora_A.weight" (R,in) and "NAME.lora_B.weight" (out,R), with the start that o->init names,
   and with o->dora the magnitudes, to the params, and freezes the layer's weight and bias.
   o->targets and o->last_blocks are not read. Other weights are still trained, unless you freeze
   them. The params own the adapter. Refuses a layer that has one. After
   an error the layer is as it was. */
int tn_lora_add_layer(tn_params *p, tn_linear_layer *l, const tn_lora_options *o, tn_error *e);
/* Adds the adapter of such a layer to its weight, W += s B A in double, and takes the factors out
   of the params. The side effects on pointers and optimizers are those of tn_lora_merge. */
int tn_lora_merge_layer(tn_params *p, tn_linear_layer *l, tn_error *e);
/* Reads the adapters of a PEFT folder (adapter_config.json, adapter_model.safetensors), of a folder
   checkpoint-N of a LoRA run, of a folder of mlx-lm, or of an adapter file of llama.cpp (GGUF),
   onto a model that has none, and freezes all other weights. It does not check that a checkpoint
   belongs to this base: tn_checkpoint_check does. If target_modules names a layer that the file
   does not have, the layer gets no adapter, as in PEFT, and m->note names it. After an error the
   model is as it was. */
int tn_adapter_open(tn_model *m, const char *folder, tn_error *e);
/* Is it a checkpoint-N, and not a PEFT folder? False, with e set, if it cannot be read. */
bool tn_adapter_is_checkpoint(const char *folder, tn_error *e);
/* Writes the adapters as a PEFT folder, which is made. Adapters on columns of a layer are
   written as one on the whole layer: its rank is the sum of theirs, and its lora_B has zeros. Of an
   adapter that was opened from a PEFT folder, what its config says besides stays. */
int tn_adapter_save(const tn_model *m, const char *folder, tn_file_type type, tn_error *e);
/* The same as one GGUF file, which llama.cpp adds to a GGUF file of the model. It has one alpha:
   where the scales of layers differ, lora_B is multiplied. */
int tn_adapter_save_gguf(const tn_model *m, const char *path, tn_file_type type, tn_error *e);
/* The same as a folder of mlx-lm, which is made. It has one rank and one scale: smaller factors are
   filled up with zeros. */
int tn_adapter_save_mlx(const tn_model *m, const char *folder, tn_file_type type, tn_error *e);
/* Adds the adapters to their weights, W += s B A in double (DoRA: each output is then scaled to its
   magnitude), and takes the factors out of m->params. Side effects: pointers to the factors must
   not be used any more, the other weights stay frozen, and an optimizer that was made before
   refuses its next step (TN_ESTATE). */
int tn_lora_merge(tn_model *m, tn_error *e);
/* Takes the adapters off the layers (on false: the model computes as its base), or puts them back.
   They are still weights of the params. Nothing else may be done with the model in between but
   running it. Without adapters nothing happens. */
void tn_lora_switch(tn_model *m, bool on);

/* ---- generation ---- */

/* The keys and values of one text, kept between calls of tn_generate: of a text that begins in the
   same way only the rest is computed. It belongs to the model, which must outlive it. */
typedef struct tn_session tn_session;

tn_session *tn_session_new(const tn_model *m); /* NULL when memory is out */
void tn_session_free(tn_session *s);
void tn_session_clear(tn_session *s); /* forgets the text, for example after tn_lora_switch */
/* How many ids of the last prompt were there already. */
int64_t tn_session_reused(const tn_session *s);

typedef struct tn_sampling {
    double temperature; /* 0: always the likeliest token; else sampling by p^(1 / temperature) */
    int64_t top_k;      /* only the k likeliest tokens; 0: off */
    double top_p;       /* only the likeliest tokens that together reach this share; 0 or 1: off */
    double min_p;       /* only tokens at least min_p times as likely as the likeliest; 0: off */
    double penalty;     /* logits l of the last ids become l / penalty above 0, and l penalty below;
                            0 or 1: off */
    int64_t penalty_last; /* how many ids of the prompt and its continuation; 0: 64, -1: all */
    uint64_t seed;        /* key of the random numbers, with the row and the position */
    int64_t first_row;    /* the number of the first row, for the random numbers */
    int64_t max_tokens;   /* most tokens of a row; 0: none is made */
    const int32_t *ends;  /* tokens that end a row; NULL: those of the model */
    int64_t end_count;    /* of ends; 0: only max_tokens and positions end a row */
    const int32_t *end;   /* one more, such as the tokenizer's; NULL: none */
    const bool *stop; /* (rows) `each` may set it: the row then ends with this token; NULL: none */
    tn_session *session; /* of the one row; NULL: everything is computed */
    tn_tape *tape;       /* the ops run on it, so that tn_tape_trace shows them. It is emptied, and
                            keeps its mode. NULL: a tape of its own */
} tn_sampling;

/* Continues `rows` prompts together with a key/value cache. ids[r], length[r] ids from 1 to the
   model's positions, is prompt r. out[r] has room for max_tokens; made[r] tokens are written,
   the end token not among them. A row also ends when the model has no position left: after a prompt
   that takes all positions comes one token. Rows with the same pointer ids[r] share the work for
   their prompt. The result of a row does not depend on other rows. If
   temperature is not 0, it depends on its number r. If each is not NULL, each(arg, row, token) is
   called for every token as it comes. After an error made[r] tokens are written. */
int tn_generate(const tn_model *m, int64_t rows, const int32_t *const ids[], const int64_t length[],
                const tn_sampling *s, int32_t *const out[], int64_t made[],
                void (*each)(void *arg, int64_t row, int32_t token), void *arg, tn_error *e);

/* ---- evaluation ---- */

typedef struct tn_eval {
    double loss;    /* mean over tokens of -log p */
    double error;   /* its standard error over rows; NaN if there is only one row */
    int64_t tokens; /* labels that count */
    int64_t rows;   /* rows with such a label */
    int64_t exact;  /* of these, the rows where every such label is the likeliest token */
} tn_eval;

/* The accuracy of scores (...,V): the share of labels (...) i32 that are the index of the largest
   score of their row. Of equal scores the first counts. Labels below 0 do not count. NaN if no
   label counts, for NULL, and for shapes or types that do not fit. */
double tn_accuracy(const tn_tensor *scores, const tn_tensor *labels);

/* One pass over the first `batches` batches of the loader without gradients; 0: over all, for a
   loader with in_order (a training loader has no end). Side effects: the tape is emptied, with the
   loss of a step that is not finished. The loader is set to its start, before and afterwards. The
   tape keeps its mode. It is an error if no label counts or the loss is not finite. */
int tn_evaluate(const tn_model *m, tn_tape *t, tn_loader *l, int64_t batches, tn_eval *out,
                tn_error *e);

/* The same row by row, in the loader's order: loss[i] becomes the sum of -log p over the labels of
   row i that count, tokens[i] their number. Both have room for `rows`; further rows are not read. A
   loss that is not finite is no error. */
int tn_evaluate_rows(const tn_model *m, tn_tape *t, tn_loader *l, int64_t rows, double *loss,
                     int64_t *tokens, tn_error *e);

/* ---- preferences: DPO, arXiv:2305.18290 ----

       tn_reference *r = tn_reference_base(m, &e);             the model without its adapters
       tn_reference_log_probs(r, t, batch, reference, &e);     first: it empties the tape
       tn_tensor *p = tn_model_log_probs(m, t, batch);
       tn_tensor *loss = tn_dpo_loss(t, p, reference, 0.1, 0); then tn_backward(t, loss)

   In a batch of pairs record 2i is the chosen answer and record 2i + 1 the rejected answer to the
   same prompt. The reward of an answer is beta (log p - log p of the reference), where log p is the
   sum over its labels that count. The margin of a pair is the reward of the chosen answer minus
   that of the rejected. The loss of a pair is -log sigmoid(margin). */

/* The log-probability of each record: the sum of log p over its labels that count -> (R). A record
   is a row of the batch, or begins where batch.places is 0. */
tn_tensor *tn_model_log_probs(const tn_model *m, tn_tape *t, const tn_batch *b);
/* The mean of the losses of the pairs -> (1). If pairs > 0, their sum is divided by this number
   instead, for a step of several batches. log_p and reference have a number for each record, (R)
   with an even R. Refuses a beta that is not above 0. */
tn_tensor *tn_dpo_loss(tn_tape *t, tn_tensor *log_p, const double *reference, double beta,
                       int64_t pairs);

typedef struct tn_dpo {      /* sums over pairs; starts as { 0 } */
    double loss, square;     /* of the loss and of its square */
    double chosen, rejected; /* of the rewards */
    int64_t right;           /* pairs whose chosen answer has the larger reward, */
    int64_t likelier;        /* and the larger log-probability */
    int64_t pairs;
    int64_t tokens; /* labels that count; only tn_evaluate_dpo adds them */
} tn_dpo;
/* Adds the pairs of a batch, whose tn_dpo_loss has the same first three arguments. */
void tn_dpo_add(const tn_tensor *log_p, const double *reference, double beta, tn_dpo *sum);

/* The model that another one is compared with. It belongs to the caller, and the model must outlive
   it. */
typedef struct tn_reference tn_reference;
/* The model without its adapters. Nothing is copied. A model without adapters is its own
   reference. */
tn_reference *tn_reference_base(tn_model *m, tn_error *e);
/* The model as it is now: all weights that are trained are copied. Refuses a sketch, and a model
   of which nothing is trained (TN_ESTATE). */
tn_reference *tn_reference_copy(tn_model *m, tn_error *e);
/* Another model with as many tokens (otherwise TN_EARG) in the same context, as it is. It must
   outlive the reference. */
tn_reference *tn_reference_other(tn_model *m, const tn_model *other, tn_error *e);
void tn_reference_free(tn_reference *r);
/* out[i] becomes the reference's log-probability of record i, as tn_model_log_probs computes it,
   without dropout and gradients. out has room for all records. The tape is emptied and keeps its
   mode. */
int tn_reference_log_probs(tn_reference *r, tn_tape *t, const tn_batch *b, double *out,
                           tn_error *e);
/* The sums over the first `batches` batches of pairs, 0: over all, as in tn_evaluate, with its side
   effects. It is an error if there are no pairs or the loss is not finite. */
int tn_evaluate_dpo(tn_reference *r, tn_tape *t, tn_loader *l, int64_t batches, double beta,
                    tn_dpo *out, tn_error *e);

TN_END

#endif
