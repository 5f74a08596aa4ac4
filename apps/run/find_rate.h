/* find_rate.h - a range test of the learning rate: one short run in which the rate rises.

       run_open(&r, &s, o, how, &e);       o->find_lr is set: the schedule is that of the test
       find_rate(&r, &e);                  runs the steps, draws the losses, prints a rate

   Source: Smith, Cyclical Learning Rates (arXiv:1506.01186); here the rate rises in equal ratios. */
#ifndef TN_APP_FIND_RATE_H
#define TN_APP_FIND_RATE_H

#include "apps/chart/axis.h"
#include "apps/run/run.h"

enum { RANGE_STEPS = 100, RANGE_LEAST = 10 }; /* steps without --iters, and the fewest */

/* The schedule of a test around a rate: from a thirtieth of it to thirty times. Only s->steps is
   read before. Returns the rate of the first step. */
double find_rate_range(double middle, tn_schedule *s);
int find_rate(run *r, tn_error *e);
/* What a test has found. It starts as { 0 }. */
typedef struct rate_found {
    average smooth;
    double lowest; /* smoothed loss */
    double
        best; /* the rate to begin with: a third of that where the loss was lowest; 0: none yet */
} rate_found;
/* Adds a step. False: the smoothed loss is twice the lowest, so what follows is worse. */
bool find_rate_add(rate_found *f, double rate, double loss);

#endif
