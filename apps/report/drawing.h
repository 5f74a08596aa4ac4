/* drawing.h - the picture of the ops of a run's first step (--dump-graph).

       drawing d = { 0 };
       drawing_open(&d, path, params, &e);   refuses a path that is taken
       r.graph = d.graph;                    run_step adds the ops of its first batch
       drawing_write(&d, &e);                after the step
       drawing_close(&d);

   Ownership: a drawing owns its graph and borrows the params. Errors: as in setup.h. */
#ifndef TN_APP_DRAWING_H
#define TN_APP_DRAWING_H

#include "core/trace.h"
#include "nn/nn.h"

typedef struct drawing {
    const char *path;
    tn_graph *graph; /* NULL: nothing is to be drawn, or it was written */
} drawing;

int drawing_open(drawing *d, const char *path, const tn_params *p, tn_error *e);
/* Writes the file; once, whatever it is called. */
int drawing_write(drawing *d, tn_error *e);
void drawing_close(drawing *d);

#endif
