/* trace.c - the callback of a tape: runs an op with a clock, and looks at what it wrote. */
#include "core/tape.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

void tn_tape_trace(tn_tape *t, tn_trace *each, void *arg)
{
    if (!t)
        return;
    t->own = (tn_tracer){ .each = each, .arg = arg };
    t->tracer = each ? &t->own : NULL;
}

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

/* A block of tn_recompute runs inside the backward of one node, so calls may be nested. */
void tn_trace_run(tn_tape *t, tn_node *n, bool backward)
{
    tn_tracer *r = t->tracer;
    const double outside = r->inside, begun = now();
    r->inside = 0;
    if (backward)
        n->op->backward(t, n);
    else
        n->op->forward(t, n);
    const double spent = now() - begun;
    const tn_event event = { .op = n->op->name,
                             .backward = backward,
                             .depth = t->depth,
                             .inputs = n->op->inputs,
                             .in = (const tn_tensor *const *)n->in,
                             .out = n->out,
                             .seconds = spent - r->inside };
    if (!t->error.code)
        r->each(r->arg, &event);
    r->inside = outside + (now() - begun);
}

static tn_finding find(int64_t n, const tn_real *x)
{
    bool infinite = false;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(x[i]))
            return TN_NAN;
        infinite = infinite || isinf(x[i]);
    }
    return infinite ? TN_INFINITE : TN_FINITE;
}

tn_finding tn_event_finding(const tn_event *event)
{
    tn_finding worst = TN_FINITE;
    if (!event)
        return worst;
    if (!event->backward)
        return event->out->dtype == TN_REAL ? find(tn_tensor_count(event->out), event->out->x)
                                            : worst;
    for (int i = 0; i < event->inputs; i++) {
        const tn_tensor *a = event->in[i];
        const bool written = a && a->wants_grad && a->has_grad && a->g;
        const tn_finding here = written ? find(tn_tensor_count(a), a->g) : TN_FINITE;
        worst = here > worst ? here : worst;
    }
    return worst;
}

char *tn_event_text(const tn_event *event, char *out, size_t room)
{
    char shape[64];
    if (!event || !out)
        return NULL;
    size_t n =
        (size_t)snprintf(out, room, "%s%s", event->backward ? "backward of " : "", event->op);
    for (int i = 0; i < event->inputs && n < room; i++)
        n += (size_t)snprintf(out + n, room - n, " %s",
                              event->in[i] ? tn_tensor_shape(event->in[i], shape) : "-");
    if (n < room)
        snprintf(out + n, room - n, " -> %s", tn_tensor_shape(event->out, shape));
    return out;
}
