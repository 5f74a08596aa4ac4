/* drawing.c - draws the ops of a run's first step into a file (--dump-graph). */
#include "apps/report/drawing.h"
#include "apps/folder/output.h"

static const char *name_of(void *params, const tn_tensor *w)
{
    return tn_params_name(params, w);
}

int drawing_open(drawing *d, const char *path, const tn_params *p, tn_error *e)
{
    if (e->code || output_check_file("--dump-graph", path, ".svg", false, e))
        return e->code;
    d->path = path;
    d->graph = tn_graph_new(name_of, (void *)(uintptr_t)p); /* it is only read */
    return d->graph ? 0 : tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
}

static void add(void *text, const char *bytes, size_t n)
{
    tn_text_bytes(text, bytes, n);
}

int drawing_write(drawing *d, tn_error *e)
{
    tn_text svg = { 0 };
    if (e->code || !d->graph)
        return e->code;
    if (tn_graph_svg(d->graph, add, &svg)) /* or the text itself has failed */
        svg.failed = true;
    const char *text = tn_text_done(&svg, d->path, e);
    if (text)
        tn_file_create(d->path, text, svg.n, e);
    tn_text_free(&svg);
    drawing_close(d);
    return e->code;
}

void drawing_close(drawing *d)
{
    tn_graph_free(d->graph);
    d->graph = NULL;
}
