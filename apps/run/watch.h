/* watch.h - sees when the loss of a run rises far above its lowest, so that the run can be stopped.

       watch_start(&r->state, loss, error);       after an evaluation before step 1, if there is one
       watch_rows(&r->state, loss);               before step 1 and after each of the first steps
       watch_loss(&r->state, loss);               after each step
       if (watch_fires(&r->state)) ...

   The mean m is a running average of about ten losses, `low` the lowest m, `noise` the average
   distance of a loss from a fast average, of about three. A step is high if its loss and m are above
   low by more than 0.5 nats and by more than 2.5 times the noise. Four high steps in a row are a
   divergence.
   A rate that is much too high spoils the model in a few steps. The loss then falls again, but only
   to that of a model that ignores its prompt. Batches differ too much to show this, so the loss on
   the same few rows is taken before step 1 and after each of the first steps. Two in a row that are
   more than 1 nat higher than the first are a divergence, too. In 77 runs of three tasks, at a half
   to 80 times the default rates, this stops 25 of the 27 that spoil their model, and two that learn
   from it again (SGD, twice its default rate).
   In 600,000 simulated steps around a constant loss there was no false alarm if the losses were
   uniform or normal, and one if they were lognormal.
   Too high a rate can spoil the second step already: low begins with the first loss, or with the
   evaluation if that is higher (a low first loss is chance). Without an evaluation it begins with the
   highest m of ten.

   All of it is in the run's state, so that a resume sees what an uninterrupted run does. */
#ifndef TN_APP_WATCH_H
#define TN_APP_WATCH_H

#include "optim/optim.h"

/* error: the standard error that the loss of one step would have. */
void watch_start(tn_run_state *s, double loss, double error);
void watch_loss(tn_run_state *s, double loss);
void watch_rows(tn_run_state *s, double loss); /* the first one is before step 1 */
bool watch_rows_fires(const tn_run_state *s);  /* the loss of the rows fired */
double watch_rows_first(const tn_run_state *s);
bool watch_fires(const tn_run_state *s);
double watch_mean(const tn_run_state *s); /* m; NaN before the first step */

#endif
