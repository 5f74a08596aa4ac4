/* carry.h - the files of a model folder beside its weights: tokenizer, chat template, generation.

       carry_files(o->model, o->adapter_path, "out", &e);       copies them as they are */
#ifndef TN_APP_CARRY_H
#define TN_APP_CARRY_H

#include "data/data.h"

/* clang-format off */
#define CARRIED(ROW) \
    ROW("tokenizer.json") ROW("tokenizer_config.json") ROW("special_tokens_map.json") \
    ROW("added_tokens.json") ROW("vocab.json") ROW("merges.txt") ROW("tokenizer.model") \
    ROW("chat_template.jinja") ROW("generation_config.json")
/* clang-format on */

/* Copies what `model` has of these files into the folder `to`. If it has no tokenizer, and
   `adapter` (which may be NULL) has one, that is copied. The tokenizer of a GGUF file is written as
   tokenizer.json. Returns e->code. */
int carry_files(const char *model, const char *adapter, const char *to, tn_error *e);
/* Opens the tokenizer that carry_files would copy. NULL without an error: there is none, or
   `model` is a GGUF file that has its own. */
tn_tokenizer *carry_tokenizer(const char *model, const char *adapter, tn_error *e);

#endif
