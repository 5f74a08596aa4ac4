/* lab_rank.c - tenon lab rank: final loss against r, where the matrix to learn has rank 4.
   Beyond r = 4 gradients have fewer directions than r. LoRA-RITE and LoRA-Muon as published then
   diverge. */
#include "apps/lab/lab.h"
#include "apps/report/lines.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { OUT = 32, IN = 24, RANK = 4, MOST = 16, STEPS = 60, FORMS = 2 * LAB_MOST };

/* Optimizers in the form that their authors published. */
static const struct published {
    const char *name, *set[4], *label;
} published[] = {
    { "lora-rite", { "gauss_seidel=0", "prior=0", "cut=0" }, "rite, published" },
    { "lora-muon", { "gauss_seidel=0", "cut=0" }, "muon, published" },
};
enum { PUBLISHED = sizeof published / sizeof *published };

typedef struct scan {
    lab_choice how;
    bool published;
    double r[MOST], loss[MOST], rate;
    int at;
} scan;

static void note(void *arg, const lab_state *now)
{
    scan *s = arg;
    if (now->step == STEPS)
        s->loss[s->at] = now->loss;
}

static int run_ranks(const lab *l, scan *s, tn_error *e)
{
    double u[OUT * RANK], v[IN * RANK], y[OUT * IN] = { 0 }, a[OUT * MOST] = { 0 }, b[IN * MOST];
    const lab_goal goal = { OUT, IN, y };
    lab_normal(l, "target's columns", 0.5, OUT * RANK, u);
    lab_normal(l, "target's rows", 0.5, IN * RANK, v);
    for (int i = 0; i < OUT * IN; i++)
        for (int k = 0; k < RANK; k++)
            y[i] += u[i / IN * RANK + k] * v[i % IN * RANK + k] / (1 + k);
    lab_normal(l, "B", 0.2, IN * MOST, b);
    lab_task task = lab_fit(&goal, RANK, a, b, STEPS);
    s->rate = lab_rate(l, &s->how, &task, e);
    for (s->at = 0; s->at < MOST && !e->code; s->at++) {
        task.r = s->at + 1;
        s->r[s->at] = s->at + 1;
        s->loss[s->at] = (double)NAN;
        lab_run(l, &s->how, s->rate, &task, note, s, e);
    }
    return e->code;
}

/* Lists the chosen optimizers. If the published form of one is different, it comes after it. */
static int forms(const lab *l, scan *out)
{
    int n = 0;
    for (int i = 0; i < l->count; i++) {
        out[n++].how = l->chosen[i];
        for (int k = 0; k < PUBLISHED; k++)
            if (!strcmp(l->chosen[i].def->name, published[k].name)) {
                lab_choice *how = &out[n].how;
                *how = l->chosen[i];
                out[n++].published = true;
                for (int j = 0; published[k].set[j]; j++)
                    lab_set(how, published[k].set[j]);
                snprintf(how->label, sizeof how->label, "%s", published[k].label);
            }
    }
    return n;
}

static void print_table(const scan *s, int n)
{
    lines l = lines_begin();
    l.indent = 6;
    lines_cell(&l, l.indent, "%6s", "r");
    for (int i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "%.10s%s", s[i].how.def->name, s[i].published ? "*" : "");
        lines_cell(&l, 12, " %11s", name);
    }
    for (int k = 0; k < MOST; k++) {
        lines_add(&l, "\n");
        lines_cell(&l, l.indent, "%6d", k + 1);
        for (int i = 0; i < n; i++)
            if (isnan(s[i].loss[k]))
                lines_cell(&l, 12, " %11s", "diverges");
            else
                lines_cell(&l, 12, " %11.5g", s[i].loss[k]);
    }
    lines_add(&l, "\n");
}

int lab_rank(const lab *l, tn_error *e)
{
    scan s[FORMS] = { 0 };
    curve curves[FORMS];
    const int n = forms(l, s);
    lines_show("loss 1/2 ||A B^T - Y||^2 after %d steps; Y (%d,%d) has rank %d, A starts at 0.\n"
               "Rates are chosen at r = %d.\n" LAB_RATES,
               STEPS, OUT, IN, RANK, RANK);
    for (int i = 0; i < n && !run_ranks(l, &s[i], e); i++) {
        lines_show("%-20s rate %g\n", s[i].how.label, s[i].rate);
        curves[i] = (curve){ s[i].how.label, s[i].r, s[i].loss, MOST };
    }
    if (e->code)
        return e->code;
    lines_show("\n*: as published\n");
    print_table(s, n);
    const chart c = { .title = "loss after 60 steps",
                      .x = "r; the matrix to learn has rank 4",
                      .curves = curves,
                      .count = n,
                      .log_y = true,
                      .nested = n };
    return lab_show(l, &c, 1, LAB_WIDE, e);
}
