/* lab_init_scale.c - tenon lab init-scale: final loss against the scale of the start.
   At the start A = lora_B = 0, so every size of B = lora_A gives the same function. But the final
   loss depends on that size, unless the optimizer is invariant to scale. */
#include "apps/lab/lab.h"
#include "apps/report/lines.h"

#include <math.h>

enum { OUT = 17, IN = 11, R = 4, STEPS = 20, SCALES = 13, ONE = SCALES / 2 };

typedef struct scan {
    double scale[SCALES], loss[SCALES]; /* NaN: it diverged */
    double rate, start;                 /* start: loss at the start */
    int at;
} scan;

static void note(void *arg, const lab_state *now)
{
    scan *s = arg;
    if (!now->step)
        s->start = now->loss;
    if (now->step == STEPS)
        s->loss[s->at] = now->loss;
}

static int run_scales(const lab *l, const lab_choice *how, scan *s, tn_error *e)
{
    double y[OUT * IN], a[OUT * R] = { 0 }, b[IN * R];
    const lab_goal goal = { OUT, IN, y };
    lab_normal(l, "target", 0.7, OUT * IN, y);
    lab_normal(l, "B", 0.35, IN * R, b);
    lab_task task = lab_fit(&goal, R, a, b, STEPS);
    s->rate = lab_rate(l, how, &task, e);
    for (s->at = 0; s->at < SCALES; s->at++) {
        const int halves = s->at - ONE; /* a scale is a half power of ten */
        s->scale[s->at] =
            halves < 0 ? 1 / sqrt(tn_power_of(10, -halves)) : sqrt(tn_power_of(10, halves));
        s->loss[s->at] = (double)NAN;
        lab_normal(l, "B", 0.35 * s->scale[s->at], IN * R, b);
        lab_run(l, how, s->rate, &task, note, s, e);
    }
    return e->code;
}

static void print_table(const lab *l, const scan *s)
{
    lines t = lines_begin();
    t.indent = 9;
    lines_cell(&t, t.indent, "%9s", "scale");
    for (int i = 0; i < l->count; i++)
        lines_cell(&t, 12, " %11.11s", l->chosen[i].def->name);
    lines_add(&t, "\n");
    for (int k = 0; k < SCALES; k++) {
        lines_cell(&t, t.indent, "%9.3g", s[0].scale[k]);
        for (int i = 0; i < l->count; i++)
            if (isnan(s[i].loss[k]))
                lines_cell(&t, 12, " %11s", "diverges");
            else
                lines_cell(&t, 12, " %11.5g", s[i].loss[k]);
        lines_add(&t, "\n");
    }
}

int lab_init_scale(const lab *l, tn_error *e)
{
    scan s[LAB_MOST] = { 0 };
    curve curves[LAB_MOST];
    double most = 0;
    lines_show(
        "loss 1/2 ||A B^T - Y||^2 after %d steps; A (%d,%d) starts at 0, B (%d,%d) at scale times "
        "the same numbers.\nRates are chosen at scale 1.\n" LAB_RATES,
        STEPS, OUT, R, IN, R);
    for (int i = 0; i < l->count && !e->code; i++) {
        run_scales(l, &l->chosen[i], &s[i], e);
        lines_show("%-*s rate %g\n", l->width, l->chosen[i].label, s[i].rate);
        curves[i] = (curve){ l->chosen[i].def->name, s[i].scale, s[i].loss, SCALES };
        most = fmax(most, s[i].loss[ONE]);
    }
    if (e->code)
        return e->code;
    lines_show("\nloss, %g at the start\n", s[0].start);
    print_table(l, s);
    const chart c = { .title = "loss after 20 steps",
                      .x = "scale of lora_A's start",
                      .curves = curves,
                      .count = l->count,
                      .log_x = true,
                      .nested = 2,
                      .y_range = { 0, 5 * most } };
    return lab_show(l, &c, 1, LAB_WIDE, e);
}
