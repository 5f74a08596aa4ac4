/* config_used.h - the options and facts of a run, as the text of config.used and as a hash.
   The text is a config file: tenon train --config config.used.

       tn_text facts = { 0 }, used = { 0 };
       config_facts(r, &facts);                   before the first step: hashes weights and data
       config_text(r, &facts, &used);
       r->state.options_hash = config_hash(r, &facts, &e);

   The hash covers what the run's numbers depend on: options of the class NUMBERS and, as facts, the
   starting weights, the tokenizer and the validation data. It does not cover the planned steps and
   the training data, which are in the run's state: a resume may have more steps, and then more
   records of a task (resume.h). */
#ifndef TN_APP_CONFIG_H
#define TN_APP_CONFIG_H

#include "apps/run/run.h"

/* The line that names the chat template of the training records. It is not hashed. */
#define CONFIG_CHAT "# chat template of the records = "
#define CONFIG_NO_CHAT "none"

/* The path of the config.used of a run's folder, or of the folder that checkpoint-N is in, in new
   memory. NULL: there is none. */
char *config_path(const char *path, tn_error *e);
/* The line of the facts that has these hashes of the weights (tn_params_digest). */
void config_weights(uint64_t frozen, uint64_t trained, tn_text *out);
/* The facts, with which config.used ends. Sets the steps and the training data of r->state. */
void config_facts(run *r, tn_text *out);
/* The options of a command as a config file; full: without those of LoRA. */
void config_options(const options *o, const char *name, bool full, tn_text *out);
/* Has the command option i, of a class up to `most`, and, if `full`, not about LoRA alone? */
bool config_has(int i, char letter, bool full, option_class most);
bool config_applies(const options *o, int i); /* is row i about data of this kind? */
void config_text(const run *r, const tn_text *facts, tn_text *out);
uint64_t config_hash(const run *r, const tn_text *facts, tn_error *e);

#endif
