/* profile.c - sums up the times of the ops of training steps, and writes them as a table. */
#include "apps/report/profile.h"
#include "apps/report/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The row of an op; NULL when memory is out. */
static profile_row *row_of(profile *p, const char *op)
{
    for (int64_t i = 0; i < p->count; i++)
        if (!strncmp(p->rows[i].op, op, sizeof p->rows[i].op - 1))
            return &p->rows[i];
    if (p->count == p->room) {
        const int64_t room = p->room ? 2 * p->room : 32;
        profile_row *rows = realloc(p->rows, (size_t)room * sizeof *rows);
        if (!rows)
            return NULL;
        p->rows = rows;
        p->room = room;
    }
    profile_row *row = &p->rows[p->count++];
    *row = (profile_row){ .calls = 0 };
    snprintf(row->op, sizeof row->op, "%s", op);
    return row;
}

static void count(void *arg, const tn_event *event)
{
    profile *p = arg;
    profile_row *row = row_of(p, event->op);
    p->failed = p->failed || !row;
    if (!row)
        return;
    row->calls += !event->backward;
    *(event->backward ? &row->backward : &row->forward) += event->seconds;
}

void profile_begin(profile *p, tracer *r)
{
    if (p->steps == 1 && !p->warm) {
        p->warm = true;
        p->count = p->steps = 0;
        p->seconds = p->update = 0;
    }
    tracer_count(r, count, p);
    p->begun = now_seconds();
}

void profile_end(profile *p, tracer *r, double update)
{
    p->seconds += now_seconds() - p->begun;
    p->update += update;
    p->steps++;
    tracer_count(r, NULL, NULL);
}

static int slower_first(const void *a, const void *b)
{
    const profile_row *x = a, *y = b;
    const double s = x->forward + x->backward, t = y->forward + y->backward;
    return s < t ? 1 : s > t ? -1 : strcmp(x->op, y->op);
}

/* A row whose times are not those of one op. */
static void add_line(const profile *p, const char *name, double seconds, tn_text *out)
{
    tn_text_add(out, "%-16s %39.3f %6.1f %%\n", name, 1e3 * seconds / (double)p->steps,
                100 * seconds / p->seconds);
}

void profile_text(profile *p, int threads, tn_text *out)
{
    double rest = p->seconds - p->update;
    const double n = (double)p->steps;
    if (p->count)
        qsort(p->rows, (size_t)p->count, sizeof *p->rows, slower_first);
    tn_text_add(out, "profile of a step, in milliseconds: mean of %lld step%s, %d thread%s\n",
                (long long)p->steps, p->steps == 1 ? "" : "s", threads, threads == 1 ? "" : "s");
    tn_text_add(out, "%-16s %9s %9s %9s %9s %8s\n", "op", "calls", "forward", "backward", "both",
                "share");
    for (int64_t i = 0; i < p->count; i++) {
        const profile_row *row = &p->rows[i];
        const double both = row->forward + row->backward;
        tn_text_add(out, "%-16s %9.4g %9.3f %9.3f %9.3f %6.1f %%\n", row->op,
                    (double)row->calls / n, 1e3 * row->forward / n, 1e3 * row->backward / n,
                    1e3 * both / n, 100 * both / p->seconds);
        rest -= both;
    }
    if (p->failed)
        tn_text_add(out, "memory was out: some ops are missing\n");
    add_line(p, "the optimizer", p->update, out);
    add_line(p, "all else", rest, out);
    add_line(p, "a step", p->seconds, out);
}

void profile_free(profile *p)
{
    free(p->rows);
    *p = (profile){ 0 };
}
