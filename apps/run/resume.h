/* resume.h - going on with a run that stopped, where it is still the same run.

       tn_text facts = { 0 };
       config_facts(r, &facts);
       if (!resume_load(r, &facts, &e)) printf("after step %lld\n", r->state.step);

   What the run's numbers depend on must be the same: options of the class NUMBERS, the starting
   weights, the model's config, the tokenizer, the data. Steps may become more, and a task's records
   with them: r->was_planned and r->was_records then say what they were. */
#ifndef TN_APP_RESUME_H
#define TN_APP_RESUME_H

#include "apps/run/run.h"

/* Loads the newest checkpoint of --output-dir. Refuses what is not of this run and says what
   differs from its config.used. */
int resume_load(run *r, const tn_text *facts, tn_error *e);

#endif
