/* gguf_model.h - the model in a GGUF file: its config, its names and its weights. Internal header.
   The names are in gguf_names.c, the config in gguf_config.c, the weights in gguf_source.c. */
#ifndef TN_GGUF_MODEL_H
#define TN_GGUF_MODEL_H

#include "data/gguf.h"
#include "nn/source.h"

enum { TN_GGUF_NAME = 64 }; /* room for the name of a tensor */

/* The name in a GGUF file of the weight `name` of a Hugging Face folder. `architecture` is that of
   the file. False: it has none. */
bool tn_gguf_name(const char *architecture, const char *name, char out[TN_GGUF_NAME]);

/* The model_type of a Hugging Face folder for an architecture. NULL: none that we have. */
const char *tn_gguf_model_type(const char *architecture);

/* What config.json would say, to be freed with tn_json_free. */
const tn_json *tn_gguf_config(const tn_gguf *g, tn_error *e);

/* The tensors of a file as weights, with the names, rows and signs of a Hugging Face folder.
   *config becomes its config, to be freed, also if NULL is returned. */
tn_source *tn_gguf_source(const char *path, const tn_json **config, tn_error *e);

#endif
