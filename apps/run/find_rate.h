/* find_rate.h - a range test of the learning rate: one short run in which the rate rises.

       run_open(&r, &s, o, how, &e);       o->find_lr is set: the schedule is that of the test
       find_rate(&r, &e);                  runs the steps, draws the losses, prints a rate

   Source: Smith, Cyclical Learning Rates (arXiv:1506.01186); here the rate rises in equal ratios. */
#ifndef TN_APP_FIND_RATE_H
#define TN_APP_FIND_RATE_H

#include "apps/run/run.h"

enum { RANGE_STEPS = 100 }; /* without --iters */

/* The schedule of a test around a rate: from a thirtieth of it to thirty times. Only s->steps is
   read before. Returns the rate of the first step. */
double find_rate_range(double middle, tn_schedule *s);
int find_rate(run *r, tn_error *e);
/* Of n rates and the losses of their steps, the rate to begin with: a third of that at which the
   smoothed loss is lowest. NaN: no loss is finite. *lowest becomes that loss. */
double find_rate_choose(const double *rate, const double *loss, int64_t n, double *lowest);

#endif
