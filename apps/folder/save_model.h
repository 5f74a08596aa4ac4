/* save_model.h - writes the model of --model, with its adapter added to the weights, to --save-path.

       save_model(o, &output_fuse, false, &e);       a Hugging Face folder
       save_model(o, &output_fuse, true, &e);        a GGUF file

   What is written is opened again, and its logits are compared with those of the model that was
   read. A folder takes its place after that; a file that cannot be opened is removed. After an error
   nothing is left at --save-path. */
#ifndef TN_APP_SAVE_MODEL_H
#define TN_APP_SAVE_MODEL_H

#include "apps/folder/output.h"

int save_model(const options *o, const output_kind *kind, bool gguf, tn_error *e);
/* Writes the adapter of --adapter-path instead: a PEFT folder, one of mlx-lm, or a GGUF file. */
int save_adapter(const options *o, const output_kind *kind, bool gguf, tn_error *e);
/* Refuses (APP_USAGE) a file whose name does not end in .gguf, or that exists. */
int save_check_gguf(const options *o, tn_error *e);
bool save_is_gguf(const char *path); /* by the end of its name */

#endif
