/* config_used.h - what a run was told, as the text of config.used.
   Which is also a config file: tenon train --config config.used.

       tn_text facts = { 0 }, told = { 0 };
       config_facts(r, &facts);                   before the first step: hashes weights and data
       config_text(r, &facts, &told);
       r->state.options_hash = config_hash(r, &facts, &e);

   What the run's numbers depend on is in the hash: options of the class NUMBERS and, as facts, the
   starting weights, the tokenizer and the validation data. The planned steps, which may become more,
   and the training data, which of a task may grow with them, are in the state: see resume.h. */
#ifndef TN_APP_CONFIG_H
#define TN_APP_CONFIG_H

#include "apps/run/run.h"

/* The facts, which config.used ends with; fills what the state holds of data and steps. */
void config_facts(run *r, tn_text *out);
/* The options of a command as its config file; full: without those of LoRA. */
void config_told(const options *o, const char *name, bool full, tn_text *out);
/* Does row i say something about what this command did, being of this class or one before it? */
bool config_speaks(int i, char letter, bool full, option_class most);
bool config_applies(const options *o, int i); /* is row i about data of this kind? */
void config_text(const run *r, const tn_text *facts, tn_text *out);
uint64_t config_hash(const run *r, const tn_text *facts, tn_error *e);

#endif
