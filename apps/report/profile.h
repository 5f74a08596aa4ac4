/* profile.h - where the time of a training step goes: a table of the ops (--profile).

       profile p = { 0 };
       profile_begin(&p, &tracer);       before each step
       profile_end(&p, &tracer, update); after it
       profile_text(&p, threads, &text);

   The first step touches memory for the first time, so it counts only if it is the only one. */
#ifndef TN_APP_PROFILE_H
#define TN_APP_PROFILE_H

#include "apps/run/tracer.h"

typedef struct profile_row { /* an op, with the sums of all steps that count */
    char op[32];
    int64_t calls;            /* of forward */
    double forward, backward; /* seconds */
} profile_row;

typedef struct profile { /* starts as { 0 } */
    profile_row *rows;
    int64_t count, room, steps; /* steps: those that count */
    double seconds, update;     /* of the steps; of the optimizer in them */
    double begun; /* now_seconds() of machine.h */
    bool warm, failed; /* failed: memory was out, and rows are missing */
} profile;

void profile_begin(profile *p, tracer *r);
/* update: seconds of the optimizer. */
void profile_end(profile *p, tracer *r, double update);
/* Appends the table, the slowest op first. It sorts the rows. */
void profile_text(profile *p, int threads, tn_text *out);
void profile_free(profile *p);

#endif
