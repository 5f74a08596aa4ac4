/* graph.c - notes the ops of a step for a picture. */
#include "core/graph/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tn_graph *tn_graph_new(const char *(*name)(void *names, const tn_tensor *w), void *names)
{
    tn_graph *g = calloc(1, sizeof *g);
    if (g) {
        g->name = name;
        g->names = names;
    }
    return g;
}

void tn_graph_free(tn_graph *g)
{
    if (!g)
        return;
    free(g->ops);
    free(g);
}

/* The newest op with this result; -1: none. */
static int64_t maker_of(const tn_graph *g, const tn_tensor *a)
{
    int64_t i = a->tape ? g->count - 1 : -1; /* no op makes the caller's tensors */
    while (i >= 0 && g->ops[i].out != a)
        i--;
    return i;
}

/* Of a long name the end is kept: it says more. */
static void add_label(const tn_graph *g, tn_graph_op *op, const tn_tensor *a)
{
    enum { LONGEST = 44 };
    char shape[64];
    tn_label *l = &op->label[op->labels++];
    const char *name = a->tape || !g->name ? NULL : g->name(g->names, a);
    const size_t length = name ? strlen(name) : 0;
    l->kind = a->wants_grad ? TN_LABEL_TRAINED : a->tape ? TN_LABEL_INPUT : TN_LABEL_FROZEN;
    if (!name)
        name = a->tape ? "input" : a->dtype == TN_I32 ? "ids" : "weight";
    snprintf(l->text, sizeof l->text, "%s%s %s%s%s", length > LONGEST ? "..." : "",
             length > LONGEST ? name + length - LONGEST : name, tn_tensor_shape(a, shape),
             a->dtype == TN_REAL ? "" : " ", a->dtype == TN_REAL ? "" : tn_dtype_name(a->dtype));
}

static void add_operand(const tn_graph *g, tn_graph_op *op, const tn_tensor *a)
{
    const int64_t from = maker_of(g, a);
    if (from < 0) {
        add_label(g, op, a);
        return;
    }
    for (int i = 0; i < op->froms; i++)
        if (op->from[i] == from)
            return;
    op->from[op->froms++] = from;
}

void tn_graph_add(void *graph, const tn_event *event)
{
    tn_graph *g = graph;
    if (!g || !event || event->backward || event->depth || g->failed)
        return;
    if (g->count == g->room) {
        const int64_t room = g->room ? 2 * g->room : 64;
        tn_graph_op *ops = realloc(g->ops, (size_t)room * sizeof *ops);
        g->failed = !ops;
        if (!ops)
            return;
        g->ops = ops;
        g->room = room;
    }
    tn_graph_op *op = &g->ops[g->count];
    *op = (tn_graph_op){ .wanted = event->out->wants_grad, .out = event->out };
    snprintf(op->name, sizeof op->name, "%s", event->op);
    tn_tensor_shape(event->out, op->shape);
    for (int i = 0; i < event->inputs; i++)
        if (event->in[i])
            add_operand(g, op, event->in[i]);
    g->count++;
}
