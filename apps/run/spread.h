/* spread.h - a run that several processes share (team.h): what they have in common, who decides.

       spread_check(o, command, &e);                        before anything is opened
       spread_same(r, &e);                                  before a file is written
       spread_begin(r, &e);                                 before the first step
       while (spread_goes_on(r, &stop, &e)) run_step(...);

   Process k computes the batches k, k + N, ... of each step. Gradients and losses are added in the
   order of the batches, so that no bit of a run depends on the number N of processes. */
#ifndef TN_APP_SPREAD_H
#define TN_APP_SPREAD_H

#include "apps/run/team.h"
#include "apps/run/run.h"

/* Refuses (APP_USAGE) what several processes cannot do. */
int spread_check(const options *o, const command *c, tn_error *e);
/* Refuses processes whose program, data, weights or options are others than those of process 0. The
   state of the run has the hashes. */
int spread_same(const run *r, tn_error *e);
/* After a resume only process 0 has read the checkpoint: the others get what it has. */
int spread_begin(run *r, tn_error *e);
/* Is there a next step? Process 0 sets r->end, and *stop: something asked the run to end. A signal
   asks that in any process. */
bool spread_goes_on(run *r, int *stop, tn_error *e);

#endif
