/* eta.h - when a run will end, from how long its steps, evaluations and checkpoints took.

       eta s = { 0 };
       eta_step(&s, tokens, seconds);                    after each step
       eta_pause(&s.evaluations, seconds);               after an evaluation; likewise s.saves
       seconds = eta_left(&s, &(eta_rest){ .steps = 90, .tokens = 812.5, .evaluations = 2 });

   A step of x tokens takes a + b x seconds: a line through the steps so far, of which the last hundred
   or so count most. So an estimate after a few short batches already knows that longer ones follow. */
#ifndef TN_APP_ETA_H
#define TN_APP_ETA_H

#include <stdint.h>
#include <time.h>

typedef struct eta_pauses { /* evaluations, or checkpoints */
    double count, seconds;
} eta_pauses;

typedef struct eta { /* starts as { 0 } */
    int64_t steps;
    double n, x, y, xx, xy; /* sums over steps of 1, tokens, seconds and products; old ones fade */
    eta_pauses evaluations, saves;
} eta;

typedef struct eta_rest { /* what is left */
    int64_t steps, evaluations, saves;
    double tokens; /* of such a step, on average */
    double most;   /* seconds after which the run ends in any case; 0: none */
} eta_rest;

void eta_step(eta *s, double tokens, double seconds);
void eta_pause(eta_pauses *p, double seconds);
/* Seconds; below 0 before step 3. */
double eta_left(const eta *s, const eta_rest *rest);
/* "6m12s"; above an hour with the clock, "2h05m (16:40)"; above a day with the day of the week. */
enum { ETA_SHOWN = 80 };
char *eta_show(double seconds, time_t now, char *out);

#endif
