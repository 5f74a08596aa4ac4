/* trace.h - looks into a step: what each op did, how long it took, the first NaN, a picture.

       static void each(void *arg, const tn_event *event)
       {
           char text[256];
           if (tn_event_finding(event) == TN_NAN)
               puts(tn_event_text(event, text, sizeof text));
       }
       tn_tape_trace(t, each, NULL);

   This header is for people who look for a mistake in a model, or for its slow part. A tape without
   a callback does none of this work. Ownership: an event and all its pointers belong to the tape,
   and end with the callback. */
#ifndef TN_TRACE_H
#define TN_TRACE_H

#include "core.h"

TN_BEGIN

/* One run of an op. Forward comes when the op runs. Backward comes inside tn_backward, for each
   op that has a gradient to pass on. */
typedef struct tn_event {
    const char *op; /* "matmul" */
    bool backward;
    int depth;  /* 1 in a block of tn_recompute, 2 in a block of that block, ... else 0 */
    int inputs; /* operands: in[0] to in[inputs-1]; NULL: an optional one is absent */
    const tn_tensor *const *in;
    const tn_tensor *out; /* the result. In backward its gradient may be gone already */
    double seconds;       /* on the clock, without the ops of a block that runs again */
} tn_event;

/* It may read the event and its tensors. It must not change them, nor use the tape. */
typedef void tn_trace(void *arg, const tn_event *event);

/* From now on each(arg, event) is called after every op that runs on the tape, and after its
   backward; also for the ops in blocks of tn_recompute. An op that is refused is no event. The
   callback stays when the tape is reset. each may be NULL: then there is no callback any more. */
void tn_tape_trace(tn_tape *t, tn_trace *each, void *arg);

/* The worst number that a run of an op wrote. */
typedef enum tn_finding { TN_FINITE, TN_INFINITE, TN_NAN } tn_finding;

/* Looks at the result of forward, or at the gradients of the operands after backward. This reads
   all these numbers. NULL gives TN_FINITE. */
tn_finding tn_event_finding(const tn_event *event);
/* Writes "linear (4,64) (192,64) (192) -> (4,192)", or "backward of linear (4,64) ...", into out,
   which has `room` bytes; an operand that is absent is "-". A longer text is cut. Returns out. */
char *tn_event_text(const tn_event *event, char *out, size_t room);

/* ---- a picture of a step ---- */

typedef struct tn_graph tn_graph; /* ops with their shapes, and the weights that they read */
/* An empty graph. name(names, w) returns the name of the caller's tensor w, or NULL if it has none.
   It is called while an op is added. `name` may be NULL, `names` too. Returns NULL when memory is
   out. */
tn_graph *tn_graph_new(const char *(*name)(void *names, const tn_tensor *w), void *names);
void tn_graph_free(tn_graph *g);
/* Adds an op; it is a tn_trace: tn_tape_trace(t, tn_graph_add, g), then the forward of one step.
   Backward is not part of a graph. A block of tn_recompute is one op. Before the tape is reset, end
   the trace: results of another step are not told from those of this one. */
void tn_graph_add(void *graph, const tn_event *event);
/* Writes the graph as an SVG document of UTF-8, for light and dark pages, in pieces to put(arg,
   ...). Ops without a gradient and frozen weights are grey. Returns 0, TN_EARG, or TN_ENOMEM when
   memory is out, or was out in tn_graph_add. */
int tn_graph_svg(const tn_graph *g, tn_sink *put, void *arg);

TN_END

#endif
