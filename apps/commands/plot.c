/* plot.c - tenon plot: the losses of training runs, in the terminal, as SVG, or as one page of HTML. */
#include "apps/report/columns.h"
#include "apps/report/lines.h"
#include "apps/report/history.h"
#include "apps/folder/output.h"
#include "apps/report/show.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>tenon plot</title>\n"
    "<style>:root{color-scheme:light dark}body{font:15px system-ui,sans-serif;max-width:800px;"
    "margin:2em auto;padding:0 1em;color:#1b1f24;background:#fff}table{border-collapse:collapse}"
    "td,th{padding:.2em 1em .2em 0;text-align:right}td:first-child,th:first-child{text-align:left}"
    "code{overflow-wrap:anywhere}svg{width:100%}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}}</style></head><body>\n";

static void add_row(const history *h, tn_text *out)
{
    double step = 0, loss = 0;
    char time[SHOWN];
    tn_text_add(out, "<tr><td>");
    curves_escape(out, h->name, INT_MAX);
    if (h->train.n)
        tn_text_add(out, "</td><td>%.0f</td><td>%.4f</td>", h->train.step[h->train.n - 1],
                    h->train.loss[h->train.n - 1]);
    else
        tn_text_add(out, "</td><td></td><td></td>");
    if (history_best(h, &step, &loss))
        tn_text_add(out, "<td>%.4f</td><td>%.0f</td>", loss, step);
    else
        tn_text_add(out, "<td></td><td></td>");
    tn_text_add(out, "<td>%s</td></tr>\n", show_time(h->seconds, time));
}

static void add_page(const history *h, int n, history_look look, tn_text *out)
{
    tn_text_add(out, "%s<h1>Training runs</h1>\n", head);
    history_svg(h, n, look, out);
    tn_text_add(out,
                "<table><tr><th>run</th><th>steps</th><th>last loss</th><th>best validation</th>"
                "<th>at step</th><th>time</th></tr>\n");
    for (int i = 0; i < n; i++)
        add_row(&h[i], out);
    tn_text_add(out, "</table>\n");
    for (int i = 0; i < n; i++) {
        tn_text_add(out, "<h2>");
        curves_escape(out, h[i].name, INT_MAX);
        tn_text_add(out, "</h2>\n<p><code>");
        curves_escape(out, h[i].config ? h[i].config : "", INT_MAX);
        tn_text_add(out, "</code></p>\n");
    }
    tn_text_add(out, "</body></html>\n");
}

static int write_file(tn_text *t, const char *path, tn_error *e)
{
    const char *text = tn_text_done(t, path, e);
    if (text)
        tn_file_create(path, text, t->n, e);
    if (text && !e->code)
        lines_show("wrote %s\n", path);
    tn_text_free(t);
    return e->code;
}

/* The lines under the charts: what the pictures do not show exactly. */
static void show_runs(const history *h, int n)
{
    lines l = lines_begin();
    for (int i = 0; i < n; i++) {
        double step = 0, loss = 0;
        if (h[i].train.n)
            lines_add(&l, "%s  step %.0f  loss %.4f", h[i].name, h[i].train.step[h[i].train.n - 1],
                      h[i].train.loss[h[i].train.n - 1]);
        else
            lines_add(&l, "%s", h[i].name);
        if (history_best(&h[i], &step, &loss))
            lines_add(&l, "  best validation %.4f at step %.0f", loss, step);
        lines_add(&l, "\n");
    }
}

static int draw(const options *o, const history *h, int n, tn_error *e)
{
    const history_look look = { .log_y = o->log_y,
                                .columns = (int)columns_to_fit(),
                                .smooth = o->smooth };
    tn_text text = { 0 };
    if (!o->svg && !o->html) {
        history_text(h, n, look, curves_style_asked(STDOUT_FILENO, o->color), &text);
        show_text(&text, "the charts", e);
        show_runs(h, n);
        return e->code;
    }
    if (o->svg)
        history_svg(h, n, look, &text);
    if (o->svg && write_file(&text, o->svg, e))
        return e->code;
    if (o->html)
        add_page(h, n, look, &text);
    return o->html ? write_file(&text, o->html, e) : e->code;
}

int command_plot(const options *o, tn_error *e)
{
    history h[HISTORY_MOST] = { 0 };
    if (!o->arguments)
        return tn_fail(e, APP_USAGE,
                       "plot: a run is missing; expected the folder of one, or its "
                       "log.jsonl");
    if (o->svg)
        output_check_file("--svg", o->svg, ".svg", false, e);
    if (o->html)
        output_check_file("--html", o->html, ".html", false, e);
    for (int i = 0; i < o->arguments; i++)
        history_read(&h[i], o->argument[i], e);
    if (!e->code)
        draw(o, h, o->arguments, e);
    for (int i = 0; i < o->arguments; i++)
        history_free(&h[i]);
    return e->code ? 1 : 0;
}
