/* history.c - reads the losses of a run from its log.jsonl and draws them. */
#define _GNU_SOURCE /* memmem */
#include "apps/report/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static void add_point(history_line *l, double step, double loss, tn_error *e)
{
    if (l->n == l->room) {
        const int64_t room = l->room ? 2 * l->room : 256;
        double *step_more = realloc(l->step, (size_t)room * sizeof *l->step);
        l->step = step_more ? step_more : l->step;
        double *loss_more = realloc(l->loss, (size_t)room * sizeof *l->loss);
        l->loss = loss_more ? loss_more : l->loss;
        l->room = step_more && loss_more ? room : l->room;
    }
    if (l->n == l->room) {
        tn_fail(e, TN_ENOMEM, "the losses of a run: out of memory");
        return;
    }
    l->step[l->n] = step;
    l->loss[l->n++] = loss;
}

/* A resume begins anew with this step. */
static void forget(history_line *l, double from)
{
    while (l->n && l->step[l->n - 1] >= from)
        l->n--;
}

static double number(const tn_json *v, const char *key, double otherwise)
{
    const tn_json *of = tn_json_find(v, key);
    double x = otherwise;
    return of && of->kind == TN_NUMBER && tn_json_real(of, &x) ? x : otherwise;
}

/* The members of "config" as they are in the line. */
static void keep_config(history *h, const char *line, size_t n)
{
    static const char before[] = "\"config\":", after[] = "},\"seed\"";
    const char *from = memmem(line, n, before, sizeof before - 1);
    from = from ? from + sizeof before - 1 : NULL;
    const char *to = from ? memmem(from, n - (size_t)(from - line), after, sizeof after - 1) : NULL;
    if (to && !h->config)
        h->config = strndup(from, (size_t)(to - from) + 1);
}

static void add_record(history *h, const tn_json *r, const char *line, size_t n, tn_error *e)
{
    const tn_json *split = tn_json_find(r, "split");
    const double step = number(r, "step", -1), loss = number(r, "loss", -1);
    if (!split) {
        const double first = number(r, "first_step", 0);
        keep_config(h, line, n);
        forget(&h->train, first);
        forget(&h->valid, first);
        return;
    }
    const bool train = split->kind == TN_STRING && !strcmp(split->text, "train");
    const bool valid = split->kind == TN_STRING && !strcmp(split->text, "valid");
    h->seconds = number(r, "elapsed_s", h->seconds);
    h->pairs = h->pairs || tn_json_find(r, "rewards/margins");
    if ((train || valid) && step >= 0 && tn_json_find(r, "loss")->kind == TN_NUMBER)
        add_point(train ? &h->train : &h->valid, step, loss, e);
}

static void read_lines(history *h, const char *path, const char *text, size_t size, tn_error *e)
{
    int64_t number_of = 1;
    for (size_t at = 0, n; at < size && !e->code; at += n + 1, number_of++) {
        char where[320];
        const char *end = memchr(text + at, '\n', size - at);
        n = end ? (size_t)(end - text) - at : size - at;
        if (!end) /* a kill has cut the last line */
            return;
        snprintf(where, sizeof where, "%.280s:%lld", path, (long long)number_of);
        const tn_json *r = tn_json_parse(text + at, n, where, 0, e);
        if (r && r->kind == TN_OBJECT)
            add_record(h, r, text + at, n, e);
        tn_json_free(r);
    }
}

int history_read(history *h, const char *path, tn_error *e)
{
    enum { MOST = 1 << 30 };
    size_t size;
    *h = (history){ .name = path };
    if (e->code)
        return e->code;
    const bool folder = tn_path_is(path, NULL, e) == TN_FOLDER;
    char *log = e->code ? NULL : folder ? tn_path_join(path, "log.jsonl") : strdup(path);
    if (!log)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    char *text = tn_file_read(log, MOST, &size, e);
    if (text)
        read_lines(h, log, text, size, e);
    if (!e->code && !h->train.n && !h->valid.n)
        tn_fail(e, TN_EFORMAT, "%s: no losses; expected the log of a training run", log);
    free(text);
    free(log);
    return e->code;
}

void history_free(history *h)
{
    free(h->train.step);
    free(h->train.loss);
    free(h->valid.step);
    free(h->valid.loss);
    free(h->config);
    *h = (history){ 0 };
}

bool history_best(const history *h, double *step, double *loss)
{
    for (int64_t i = 0; i < h->valid.n; i++)
        if (i == 0 || h->valid.loss[i] < *loss) {
            *step = h->valid.step[i];
            *loss = h->valid.loss[i];
        }
    return h->valid.n > 0;
}

/* ---- drawing ---- */

typedef struct charts {
    chart all[2];
    int n;
    curve train[HISTORY_MOST + 1], valid[HISTORY_MOST];
} charts;

static curve curve_of(const char *name, const history_line *l)
{
    return (curve){ .name = name, .x = l->step, .y = l->loss, .n = l->n };
}

/* The name of a run: the last part of its path. */
static const char *brief(const history *h)
{
    const char *name = h->name;
    for (const char *s = h->name; *s; s++)
        if (*s == '/' && s[1])
            name = s + 1;
    return name;
}

/* Of 120 points or more 0.9, of fewer less: the average would lag behind all of them. */
static double smooth_of(const history *h, int n)
{
    enum { LAG = 13 };
    int64_t most = 0;
    for (int i = 0; i < n; i++)
        most = h[i].train.n > most ? h[i].train.n : most;
    const double keep = (double)most / (double)(most + LAG);
    return keep < 0.9 ? keep : 0.9;
}

static void make_charts(const history *h, int n, history_look look, charts *c)
{
    *c = (charts){ 0 };
    bool pairs = false;
    for (int i = 0; i < n; i++)
        pairs = pairs || h[i].pairs;
    const char *y = pairs ? "loss" : "loss in nats per token";
    const chart like = { .x = "step", .y = y, .log_y = look.log_y };
    c->all[0] = c->all[1] = like;
    c->all[0].smooth = look.smooth == NOT_SET ? smooth_of(h, n) : look.smooth;
    c->all[0].curves = c->train;
    c->all[1].curves = c->valid;
    c->all[0].title = n == 1 ? brief(h) : "training";
    c->all[1].title = "validation";
    c->all[1].dots = true;
    for (int i = 0; i < n; i++) {
        c->train[c->all[0].count++] = curve_of(n == 1 ? "training" : brief(&h[i]), &h[i].train);
        c->valid[c->all[1].count++] = curve_of(brief(&h[i]), &h[i].valid);
        c->n = c->n < 2 && h[i].valid.n ? 2 : c->n ? c->n : 1;
    }
    if (n > 1)
        return;
    c->n = 1;
    if (h->valid.n) {
        c->train[1] = curve_of("validation", &h->valid);
        c->all[0].marks = 1;
        c->all[0].count = 2;
    }
}

void history_svg(const history *h, int n, history_look look, tn_text *out)
{
    charts c;
    make_charts(h, n, look, &c);
    curves_svg(c.all, c.n, out);
}

void history_text(const history *h, int n, history_look look, curves_style style, tn_text *out)
{
    charts c;
    make_charts(h, n, look, &c);
    c.all[0].columns = c.all[1].columns = look.columns;
    for (int i = 0; i < c.n; i++)
        curves_text(&c.all[i], style, out);
}
