/* tracer.h - looks at the ops of a command's tape: for TN_TRACE, for the first NaN, for a profile.

       tracer r = { 0 };
       tracer_begin(&r, tape, params);                     TN_TRACE=1: each op becomes a line on stderr
       tracer_seek(&r, true);                              then run a step again
       tracer_blame(&r, &e);                               adds "; the first NaN is from ..."

   Ownership: the tape holds the address of the tracer, so the tracer must live as long. It borrows the
   params. */
#ifndef TN_APP_TRACER_H
#define TN_APP_TRACER_H

#include "core/trace.h"
#include "nn/nn.h"

enum { TRACER_TEXT = 200 };

typedef struct tracer {
    tn_tape *tape;
    const tn_params *params;
    bool prints, seeks;
    const char *weight; /* the newest that an op read; NULL: none */
    char infinite[TRACER_TEXT], not_number[TRACER_TEXT]; /* the first ops that made one; "": none */
    void (*count)(void *arg, const tn_event *event);     /* of a profile; NULL: none is made */
    void *arg;
    tn_graph *graph; /* gets the ops; NULL: none is drawn */
} tracer;

void tracer_begin(tracer *r, tn_tape *t, const tn_params *params);
/* Looks for the first infinity and the first NaN from now on, or no longer. */
void tracer_seek(tracer *r, bool seeks);
/* Adds what was found to a mistake. */
void tracer_blame(const tracer *r, tn_error *e);
/* Calls count(arg, event) for every op from now on; NULL: no longer. */
void tracer_count(tracer *r, void (*count)(void *arg, const tn_event *event), void *arg);
/* Adds the ops to the graph from now on; NULL: no longer. */
void tracer_draw(tracer *r, tn_graph *graph);

#endif
