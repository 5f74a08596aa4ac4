/* gguf_model.h - the model in a GGUF file: its config, its names and its weights. Internal header.
   The names are in gguf_names.c, the config in gguf_config.c, the weights in gguf_source.c. A
   model is written by gguf_keys.c and gguf_save.c. */
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

/* The architecture for a model_type. NULL: none. */
const char *tn_gguf_architecture(const char *type);

/* Adds a text about the config that was made of a GGUF file, with the keys of the file in place of
   the config's members: "llama.attention.head_count" for "/num_attention_heads". */
void tn_gguf_name_keys(const tn_json *config, const char *text, tn_text *out);

/* What config.json would say, to be freed with tn_json_free. Errors about it name keys. */
const tn_json *tn_gguf_config(const tn_gguf *g, tn_error *e);

/* The tensors of a file as weights, with the names, rows and signs of a Hugging Face folder.
   *config becomes its config, to be freed, also if NULL is returned. */
tn_source *tn_gguf_source(const char *path, const tn_json **config, tn_error *e);

/* How a weight lies in the file; the source says why. */
typedef enum tn_gguf_form {
    TN_GGUF_AS_IT_IS,
    TN_GGUF_ROWS,       /* the rows of each head in another order */
    TN_GGUF_TRANSPOSED, /* the other way round */
    TN_GGUF_ONE_LESS    /* each number is one less here than there */
} tn_gguf_form;
/* Of a tensor of that name; heads: of q and k (1), of other tensors 0. */
tn_gguf_form tn_gguf_form_of(const char *architecture, const char *name, int ndim, int64_t rows,
                             int64_t heads);
/* The heads of q or k; 0 for other tensors. */
int64_t tn_gguf_heads_of(const char *name, int64_t heads, int64_t kv_heads);

/* Adds the keys of the architecture with what the model's config says. Refuses what a GGUF file of
   this architecture does not say and llama.cpp does not compute. `where` is for messages. */
int tn_gguf_add_config(tn_gguf_list *l, const tn_json *config, tn_error *e);
/* The divisors of Llama 3's rope for heads of `size` numbers. Returns their number, 0: the config
   does not ask for them. `out` has room for size / 2. */
int64_t tn_gguf_divisors(const tn_json *config, int64_t size, tn_real *out);

#endif
