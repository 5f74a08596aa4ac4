/* resume.h - continues a run that stopped, if it is still the same run.

       tn_text facts = { 0 }, plans = { 0 };
       config_facts(r, &facts);
       if (!resume_load(r, &facts, &plans, &e)) printf("after step %lld\n", r->state.step);

   Everything that the run's numbers depend on must be the same: options of the class NUMBERS, the
   starting weights, the model's config, the tokenizer, the data. There may be more steps, and more
   records of a task with them: r->was_planned and r->was_records then have the old numbers, and
   `plans` gets a line for each plan that the run had before, for its next config.used. The rates
   of the first steps can depend on the plan, so that config.used alone would not repeat them. */
#ifndef TN_APP_RESUME_H
#define TN_APP_RESUME_H

#include "apps/run/run.h"

/* Loads the newest checkpoint of --output-dir. Refuses a checkpoint of another run; the error names
   what differs from its config.used. */
int resume_load(run *r, const tn_text *facts, tn_text *plans, tn_error *e);

#endif
