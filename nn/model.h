/* model.h - how the files of nn/ make models and put adapters on them. Internal header. */
#ifndef TN_MODEL_H
#define TN_MODEL_H

#include "nn/family.h"
#include "nn/source.h"

#define TN_PEFT_PREFIX "base_model.model."

/* The path of a layer in Transformers' model, by which PEFT names it: ours, but in a model that
   also sees images "model.language_model.layers...". `old`: as Transformers before 4.52 had it. */
enum { TN_MODULE_PATH = sizeof(tn_target){ 0 }.name + 24 };
const char *tn_module_path(const tn_model *m, const char *layer, bool old,
                           char out[TN_MODULE_PATH]);

#define FAMILY(name) extern const tn_family tn_family_##name;
#include "nn/families/families.def"
#undef FAMILY

/* The config of the model of text: that of Gemma 3 with images has it in text_config. Of others
   the config itself. */
const tn_json *tn_config_text(const tn_json *config);
/* The family that the config's model_type names; NULL and an error otherwise. */
const tn_family *tn_family_find(const tn_json *config, tn_error *e);
/* How the options want weights to be read, but without a source. */
int tn_reading_of(const tn_open_options *o, tn_reading *r, tn_error *e);
/* Makes the model of a config. `start` has the fields that are known already: vocab (if > 0), tied
   (if the config does not have it), stored. r tells where its weights come from. A sketch has no
   memory for them. Files that do not fit the config, and a model that is no sketch and does not fit
   into memory, are refused before it takes any: NULL, and an error that begins with `where`. */
tn_model *tn_model_make(tn_context *c, const tn_json *config, const char *where,
                        const tn_model *start, const tn_reading *r, bool sketch, tn_error *e);

void tn_params_hold(tn_params *p); /* until one more tn_params_free */
/* As tn_params_add, for a weight that only linear, linear_xent and embed read: a frozen one may
   stay in the type of its file. */
tn_tensor *tn_params_add_matrix(tn_params *p, const char *name, int64_t rows, int64_t cols);
bool tn_params_has_source(const tn_params *p); /* weights that are added have their values */
/* Puts the gradients of the trained weights into one array, as tn_params_gradients does, but writes
   no zeros. Returns 0 or TN_ENOMEM. */
int tn_params_join(tn_params *p, tn_real **numbers, int64_t *count);

/* Final hidden states (B,T,C) of the batch's ids, of packed records too. NULL: the tape has the
   error. */
tn_tensor *tn_batch_hidden(const tn_model *m, tn_tape *t, const tn_batch *b);
/* Of an evaluation: labels whose logits are in memory at the same time. */
enum { TN_EVALUATE_ROWS = 128 };
/* Logits (...,V) of hidden states (...,C). */
tn_tensor *tn_model_head(const tn_model *m, tn_tape *t, tn_tensor *h);

/* The rank of all adapters on a layer together. */
static inline int64_t tn_layer_rank(const tn_linear_layer *l)
{
    int64_t rank = 0;
    for (const tn_adapter *a = l->lora; a; a = a->next)
        rank += a->a->dim[0];
    return rank;
}

/* Refuses the model of a sketch, which has no numbers. */
int tn_model_refuse_sketch(const tn_model *m, tn_error *e);
/* The same, and a model without adapters, of which nothing can be saved. */
int tn_model_refuse_bare(const tn_model *m, tn_error *e);
/* Describes the params by the model's config. Call it again when the config changes. */
int tn_model_describe(const tn_model *m, tn_error *e);

/* clang-format off */
typedef struct tn_lora_size { int64_t rank; double s; } tn_lora_size;
/* clang-format on */
/* While no weight changes: DoRA's factors are computed once. The tape is reset. Returns e->code. */
int tn_dora_keep(const tn_model *m, tn_tape *t, tn_error *e);
void tn_dora_forget(const tn_model *m);
/* Three calls put adapters on a model that has none. Begin makes room for them. It returns the
   number of weights before them, or a negative TN_E*. */
int64_t tn_lora_begin(tn_model *m, int64_t adapters, const tn_lora_options *o, tn_error *e);
/* Puts one adapter on a target, and its factors, zeros, into the params: A (R,in), B (out,R), and
   the magnitudes (out) if m->lora says DoRA. NULL: e has the reason. */
tn_adapter *tn_lora_put(tn_model *m, const tn_target *t, tn_lora_size z, tn_error *e);
/* Freezes the weights that were there before. If e is set, it restores the model instead. */
int tn_lora_end(tn_model *m, int64_t before, tn_error *e);
/* Takes weight i out of the set, frozen. If an optimizer uses the set, the memory of the weight
   stays until the set ends: so the optimizer sees that the weight is frozen. */
void tn_params_remove(tn_params *p, int64_t i);
/* Memory of zeros. The params free it at their end. NULL when memory is out. */
tn_adapter *tn_params_add_adapter(tn_params *p);
/* Removes the weights from number `count` on, and the error. */
void tn_params_cut(tn_params *p, int64_t count);
/* Puts the factors in a checkpoint-N folder of a LoRA run on the model. */
int tn_adapter_open_checkpoint(tn_model *m, const char *folder, tn_error *e);
/* Reads an adapter file of llama.cpp onto a model that has none. */
int tn_adapter_open_gguf(tn_model *m, const char *path, tn_error *e);
/* Is it an adapter folder of mlx-lm? And the same for it. */
bool tn_adapter_is_mlx(const char *folder, tn_error *e);
int tn_adapter_open_mlx(tn_model *m, const char *folder, tn_error *e);
/* Is a layer among the targets of a comma-separated list, "all-linear" included, or of a
   pattern? */
bool tn_target_is_wanted(const tn_target *t, const char *names);
/* The last number of a path: 7 for "transformer.h.7.attn". -1: there is no number. */
int64_t tn_target_block(const char *layer);
/* Do these options, whose targets are given, put an adapter on this target? */
bool tn_lora_wants(const tn_model *m, const tn_lora_options *o, const tn_target *t);
/* The number of targets that they put adapters on. Refuses names and patterns that match
   nothing. */
int64_t tn_lora_count(const tn_model *m, const tn_lora_options *o, tn_error *e);
/* Rank and scale of a layer, from options that may have patterns. */
tn_lora_size tn_lora_size_of(const tn_lora_options *o, const char *layer);
/* The value of the first pattern that matches the layer's path or its end behind a "."; otherwise
   `otherwise`. A list ends with NULL; it may be NULL. */
double tn_lora_pattern_value(const tn_lora_pattern *list, const char *layer, double otherwise);
/* The name itself if tn_lora_options knows it as `init`, as a constant; else NULL. */
const char *tn_lora_init_find(const char *name);
/* Writes the numbers that a new adapter starts with. B holds zeros. */
int tn_lora_start(const tn_params *p, const tn_target *t, const tn_adapter *a, const char *init,
                  tn_error *e);
/* As in PEFT: the path equals the name or ends with "." and the name. */
bool tn_target_matches(const char *path, const char *name, size_t length);

/* The shortest ends of paths that match only the adapted layers. Each comes once, in quotes, and
   commas separate them: "c_attn","mlp.c_proj". */
void tn_lora_names(const tn_model *m, const char *quote, tn_text *out);
/* Makes this list of names the targets in m->lora. */
int tn_lora_keep_names(tn_model *m, tn_error *e);

/* Adds the token ids of an eos_token_id (a number, a list or null) to those that end a text. */
int tn_model_add_ends(tn_model *m, const tn_json *ids, tn_error *e);

#endif
