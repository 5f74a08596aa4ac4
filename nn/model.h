/* model.h - making models and putting adapters on them, for the files of nn/. Internal header. */
#ifndef TN_MODEL_H
#define TN_MODEL_H

#include "nn/family.h"

#define TN_PEFT_PREFIX "base_model.model."

#define FAMILY(name) extern const tn_family tn_family_##name;
#include "nn/families/families.def"
#undef FAMILY

/* The family that the config's model_type names; NULL and an error otherwise. */
const tn_family *tn_family_find(const tn_json *config, tn_error *e);
/* The model of a config; `start` holds what is known already: vocab (if > 0), tied (where the
   config does not say), stored. A sketch has no memory for its weights. Other models that do not
   fit into memory are refused before they take any; `where` stands in the message. NULL and an
   error then. */
tn_model *tn_model_make(tn_context *c, const tn_json *config, const char *where,
                        const tn_model *start, bool sketch, tn_error *e);

void tn_params_hold(tn_params *p); /* until one more tn_params_free */

/* Refuses the model of a sketch, which has no numbers. */
int tn_model_refuse_sketch(const tn_model *m, tn_error *e);
/* Describes the params by the model's config; to be called again when that changes. */
int tn_model_describe(const tn_model *m, tn_error *e);

/* Adapters are put on a model that has none in three moves. Begin makes room for so many, and
   returns how many weights there are before, or a negative TN_E*. */
int64_t tn_lora_begin(tn_model *m, int64_t adapters, const tn_lora_options *o, tn_error *e);
/* Puts one on a target, and its factors into the params, zeros: A (R,in), B (out,R). NULL: e
   says why. */
tn_adapter *tn_lora_put(tn_model *m, const tn_target *t, int64_t rank, double s, double dropout,
                        tn_error *e);
/* Freezes the weights that were there before; or, if e is set, makes the model what it was then. */
int tn_lora_end(tn_model *m, int64_t before, tn_error *e);
/* Takes weight i out of the set, frozen. Where an optimizer knows the set, it keeps the weight's
   memory until the set ends: the optimizer then sees that the weight is frozen. */
void tn_params_remove(tn_params *p, int64_t i);
/* Zeros, which the params free at their end. NULL when memory is out. */
tn_adapter *tn_params_add_adapter(tn_params *p);
/* Removes the weights from number `count` on, and the error. */
void tn_params_cut(tn_params *p, int64_t count);
/* The factors in a checkpoint-N folder of a LoRA run, put on the model. */
int tn_adapter_open_checkpoint(tn_model *m, const char *folder, tn_error *e);
/* Makes m->note of the layers that the adapter_config.json names and that are not adapted. */
int tn_adapter_note_missing(tn_model *m, const tn_json *config, const char *path, tn_error *e);
/* Is a layer among the targets of a comma-separated list, "all-linear" included? */
bool tn_target_is_wanted(const tn_target *t, const char *names);
/* As in PEFT: the path equals the name or ends with "." and the name. */
bool tn_target_matches(const char *path, const char *name, size_t length);

/* The shortest ends of paths that match the adapted layers and no other, each once, between quotes,
   separated by commas: "c_attn","mlp.c_proj". */
void tn_lora_names(const tn_model *m, const char *quote, tn_text *out);
/* Makes the list of these names what m->lora says. */
int tn_lora_keep_names(tn_model *m, tn_error *e);

/* Adds the token ids of an eos_token_id (a number, a list or null) to those that end a text. */
int tn_model_add_ends(tn_model *m, const tn_json *ids, tn_error *e);

#endif
