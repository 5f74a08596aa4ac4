/* defaults.h - the learning rate and the length of a run for which none is given.

   The rules and how they were found: optim/README.md, "Choosing a learning rate". */
#ifndef TN_APP_DEFAULTS_H
#define TN_APP_DEFAULTS_H

#include "apps/run/setup.h"
#include "apps/report/show.h"

/* The rate of an optimizer for the setup's model, rounded to two digits. */
double default_rate(const tn_optim_def *def, const setup *s);
/* The share of the usual rate that the setup's loss takes: less than 1 of DPO. */
double default_share(const setup *s);
/* What that rate is for: "adamw, LoRA, width 128". Returns out. */
const char *default_rate_reason(const tn_optim_def *def, const setup *s, char out[SHOWN]);
/* The number of passes over so many records, in steps of so many rows: those of about 600 steps,
   but at least 1 and at most 10, or 3 of DPO (as in TRL). */
double default_epochs(const setup *s, double records, double rows);

#endif
