/* tracer.c - looks at the ops of a command's tape: for TN_TRACE, for the first NaN, for a profile. */
#include "apps/run/tracer.h"
#include "apps/report/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does the op read a weight? That becomes the newest one. */
static bool reads_weight(tracer *r, const tn_event *event)
{
    for (int i = 0; i < event->inputs; i++) {
        const char *name = tn_params_name(r->params, event->in[i]);
        if (!name)
            continue;
        r->weight = name;
        return true;
    }
    return false;
}

/* "gelu (4,64) -> (4,64), after transformer.h.0.mlp.c_fc.weight": the op and where it is. */
static char *describe(const tracer *r, const tn_event *event, bool reads, char out[TRACER_TEXT])
{
    tn_event_text(event, out, TRACER_TEXT);
    const size_t n = strlen(out);
    if (r->weight)
        snprintf(out + n, TRACER_TEXT - n, ", %s %s", reads ? "with" : "after", r->weight);
    return out;
}

static void print(const tracer *r, const tn_event *event, bool reads)
{
    static const char *const findings[] = { "", "  infinity", "  NaN" };
    char text[TRACER_TEXT];
    show_error("trace: %8.3f ms  %*s%s%s\n", 1e3 * event->seconds, 2 * event->depth, "",
               describe(r, event, reads, text), findings[tn_event_finding(event)]);
}

static void see(void *arg, const tn_event *event)
{
    tracer *r = arg;
    if (r->count)
        r->count(r->arg, event);
    if (r->graph)
        tn_graph_add(r->graph, event);
    if (!r->prints && !r->seeks)
        return;
    const bool reads = reads_weight(r, event);
    if (r->prints)
        print(r, event, reads);
    if (!r->seeks || *r->not_number)
        return;
    const tn_finding found = tn_event_finding(event);
    if (found == TN_NAN)
        describe(r, event, reads, r->not_number);
    else if (found == TN_INFINITE && !*r->infinite)
        describe(r, event, reads, r->infinite);
}

/* The callback is set only while something wants it. */
static void set(tracer *r)
{
    const bool on = r->prints || r->seeks || r->count || r->graph;
    tn_tape_trace(r->tape, on ? see : NULL, r);
}

void tracer_begin(tracer *r, tn_tape *t, const tn_params *params)
{
    const char *asked = getenv("TN_TRACE");
    *r = (tracer){ .tape = t, .params = params, .prints = asked && !strcmp(asked, "1") };
    set(r);
}

void tracer_seek(tracer *r, bool seeks)
{
    r->seeks = seeks;
    if (seeks)
        r->infinite[0] = r->not_number[0] = 0;
    set(r);
}

void tracer_blame(const tracer *r, tn_error *e)
{
    if (*r->infinite)
        tn_error_add(e, "; the first infinity is from %s", r->infinite);
    if (*r->not_number)
        tn_error_add(e, "; the first NaN is from %s", r->not_number);
}

void tracer_count(tracer *r, void (*count)(void *arg, const tn_event *event), void *arg)
{
    r->count = count;
    r->arg = arg;
    set(r);
}

void tracer_draw(tracer *r, tn_graph *graph)
{
    r->graph = graph;
    set(r);
}
