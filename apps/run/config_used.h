/* config_used.h - the options of a run as the text of config.used.
   And whether a resumed run has the same ones.

       tn_text facts = { 0 }, told = { 0 };
       config_facts(r, &facts);                   before the first step: hashes the starting weights
       config_text(r, &facts, &told);             also a config file: tenon train --config config.used
       config_check(r, &facts, "config.used", &e);    a resume: names what differs
       r->state.options_hash = config_hash(r, &facts, &e);

   Everything that changes numbers is in the hash: options of the class NUMBERS, and as facts the
   starting weights, the training tokens and, where the rate depends on them, the steps. */
#ifndef TN_APP_CONFIG_H
#define TN_APP_CONFIG_H

#include "apps/run/run.h"

void config_facts(const run *r, tn_text *out);
/* The options of a command as its config file; full: without those of LoRA. */
void config_told(const options *o, const char *name, bool full, tn_text *out);
void config_text(const run *r, const tn_text *facts, tn_text *out);
uint64_t config_hash(const run *r, const tn_text *facts, tn_error *e);
int config_check(const run *r, const tn_text *facts, const char *path, tn_error *e);

#endif
