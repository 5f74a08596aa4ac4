/* lab_alpha.c - tenon lab alpha: final loss against the learning rate, for three alphas.
   The layer is W0 + s A B^T with s = alpha / r. Which rates still work with another s? */
#include "apps/lab/lab.h"
#include "apps/report/lines.h"

#include <math.h>

enum { OUT = 17, IN = 11, R = 4, STEPS = 40, SCALES = 3, RATES = 13 };

static const double scales[SCALES] = { 0.25, 1, 4 };

typedef struct scan {
    double rate[RATES], loss[SCALES][RATES]; /* NaN: it diverged */
    double start;                            /* loss at the start */
    int scale, at;
} scan;

static void note(void *arg, const lab_state *now)
{
    scan *s = arg;
    if (!now->step)
        s->start = now->loss;
    if (now->step == STEPS)
        s->loss[s->scale][s->at] = now->loss;
}

static int run_scales(const lab *l, const lab_choice *how, scan *s, tn_error *e)
{
    double y[OUT * IN], a[OUT * R] = { 0 }, b[IN * R];
    const lab_goal goal = { OUT, IN, y };
    lab_normal(l, "target", 0.7, OUT * IN, y);
    lab_normal(l, "B", 0.35, IN * R, b);
    lab_task task = lab_fit(&goal, R, a, b, STEPS);
    for (s->scale = 0; s->scale < SCALES; s->scale++)
        for (s->at = 0; s->at < RATES; s->at++) { /* a rate is a power of two */
            task.s = scales[s->scale];
            s->rate[s->at] = tn_power_of(2, s->at) / 1024;
            s->loss[s->scale][s->at] = (double)NAN;
            if (lab_run(l, how, s->rate[s->at], &task, note, s, e))
                return e->code;
        }
    return 0;
}

static void print_table(const lab_choice *how, const scan *s)
{
    lines l = lines_begin();
    l.indent = 9;
    lines_add(&l, "\n%s\n", how->label);
    lines_cell(&l, l.indent, "%9s", "rate");
    for (int k = 0; k < RATES; k++)
        lines_cell(&l, 8, " %7.3g", s->rate[k]);
    for (int i = 0; i < SCALES; i++) {
        lines_add(&l, "\n");
        lines_cell(&l, l.indent, "  s %5g", scales[i]);
        for (int k = 0; k < RATES; k++)
            if (isnan(s->loss[i][k]) || s->loss[i][k] > 10 * s->start)
                lines_cell(&l, 8, " %7s", "-");
            else
                lines_cell(&l, 8, " %7.3g", s->loss[i][k]);
    }
    lines_add(&l, "\n");
}

int lab_alpha(const lab *l, tn_error *e)
{
    scan s[LAB_MOST] = { 0 };
    chart charts[LAB_MOST];
    curve curves[LAB_MOST][SCALES];
    static const char *const names[SCALES] = { "s = 1/4", "s = 1", "s = 4" };
    lines_show("loss 1/2 ||s A B^T - Y||^2 after %d steps; A (%d,%d) starts at 0, s = alpha / r.\n"
               "A dash: more than ten times the start's.\n",
               STEPS, OUT, R);
    for (int i = 0; i < l->count && !run_scales(l, &l->chosen[i], &s[i], e); i++) {
        print_table(&l->chosen[i], &s[i]);
        for (int k = 0; k < SCALES; k++)
            curves[i][k] = (curve){ names[k], s[i].rate, s[i].loss[k], RATES };
        charts[i] = (chart){ .title = l->chosen[i].label,
                             .x = "rate",
                             .y = "loss after 40 steps",
                             .curves = curves[i],
                             .count = SCALES,
                             .log_x = true,
                             .nested = SCALES,
                             .y_range = { 0, 1.2 * s[i].start } };
    }
    return e->code ? e->code : lab_show(l, charts, l->count, LAB_GRID, e);
}
