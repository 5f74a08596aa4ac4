/* lab_first_steps.c - tenon lab first-steps: how far each factor moves in the first steps of LoRA.
   At the start A = lora_B = 0. The gradient of the product stays the same. Distances are relative
   to the size of the factor.

   An invariant optimizer divides the step of one factor by the size of the other. In step 2 the
   size of A is the rate itself. So the step of B does not depend on the rate. LoRA-RITE as
   published moves B by

       ||dB|| / ||B|| = sqrt(rows of B / rows of A) sqrt(1 + beta2) / (1 + beta1)

   (The second moment has averaged one gradient, and the first moment one of two, both with bias
   correction.) If the step of B uses the new A, which is twice the old one, it is half as long. */
#include "apps/lab/lab.h"
#include "apps/report/lines.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 10, R = 4, RATES = 3, FACTORS = 2, LARGEST = 96, A = 0, B = 1 };

static const struct shape {
    int out, in;
} shapes[] = { { 64, 64 }, { 11, 17 }, { 24, 96 }, { 96, 24 } };
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct motion {
    struct shape at;
    double x[STEPS], by[FACTORS][STEPS]; /* motion in step k + 1; NaN from zero */
    tn_real before[FACTORS][LARGEST * R];
    double expected; /* of B in step 2, by the formula */
    char name[FACTORS][24];
} motion;

/* A linear loss: its gradient is the same for every z. */
static double linear(const void *problem, const double *z, double *g)
{
    const lab_goal *t = problem;
    double sum = 0;
    for (int64_t i = 0; i < t->out * t->in; i++) {
        g[i] = t->y[i];
        sum += g[i] * z[i];
    }
    return sum;
}

static void note(void *arg, const lab_state *now)
{
    motion *m = arg;
    const tn_real *x[FACTORS] = { now->a, now->b };
    const int n[FACTORS] = { m->at.out * R, m->at.in * R };
    for (int f = 0; f < FACTORS; f++) {
        double moved = 0, size = 0;
        for (int i = 0; i < n[f]; i++) {
            const double old = (double)m->before[f][i], d = (double)x[f][i] - old;
            moved += d * d;
            size += old * old;
        }
        if (now->step > 0)
            m->by[f][now->step - 1] = size > 0 ? sqrt(moved / size) : (double)NAN;
        memcpy(m->before[f], x[f], (size_t)n[f] * sizeof *x[f]);
    }
    const double beta1 = tn_optim_hyper(now->optim, "beta1");
    const double beta2 = tn_optim_hyper(now->optim, "beta2");
    m->expected = sqrt((double)m->at.in / m->at.out * (1 + beta2)) / (1 + beta1);
}

static int run_shape(const lab *l, const lab_choice *how, struct shape at, double rate, motion *m,
                     tn_error *e)
{
    double a[LARGEST * R] = { 0 }, b[LARGEST * R];
    double *g = malloc((size_t)(at.out * at.in) * sizeof *g);
    if (!g)
        return tn_fail(e, TN_ENOMEM, "lab: out of memory");
    const lab_goal goal = { at.out, at.in, g };
    *m = (motion){ .at = at };
    for (int k = 0; k < STEPS; k++) {
        m->x[k] = k + 1;
        m->by[A][k] = m->by[B][k] = (double)NAN;
    }
    lab_normal(l, "gradient", 1, at.out * at.in, g);
    lab_normal(l, "B", 0.5, at.in * R, b);
    lab_task task = lab_fit(&goal, R, a, b, STEPS);
    task.loss = linear;
    lab_run(l, how, rate, &task, note, m, e);
    free(g);
    return e->code;
}

enum { FIRST = 10, CELL = 8 }; /* columns of the table of motions */

static void print_motion(double rate, const motion *m)
{
    char text[24];
    lines l = lines_begin();
    l.indent = FIRST;
    snprintf(text, sizeof text, "%g", rate);
    for (int f = 0; f < FACTORS; f++) {
        lines_cell(&l, FIRST, "  %-6s %s", f ? "" : text, f ? "B" : "A");
        for (int k = 0; k < STEPS; k++)
            if (isnan(m->by[f][k]))
                lines_cell(&l, CELL, "       -");
            else
                lines_cell(&l, CELL, " %7.2g", m->by[f][k]);
        lines_add(&l, "\n");
    }
}

/* Prints the formula beside the measured motion, for factors of several shapes, with the settings
   for which the formula holds. */
static void print_formula(const lab *l, const lab_choice *chosen, const double *rates, tn_error *e)
{
    lab_choice form = *chosen, *how = &form;
    lines all = lines_begin(), *t = &all;
    t->indent = 34;
    lab_set(how, "gauss_seidel=0");
    lab_set(how, "prior=0");
    lines_add(t,
              "\nB in step 2 of %s gauss_seidel=0 prior=0,\n"
              "by the formula sqrt(rows B / rows A) sqrt(1 + beta2) / (1 + beta1)\n"
              "%-24s %9s",
              how->label, "rows of A, of B", "formula");
    for (int k = 0; k < RATES; k++)
        lines_cell(t, 13, "  rate %g", rates[k]);
    lines_add(t, "\n");
    for (int i = 0; i < SHAPES && !e->code; i++) {
        motion m = { 0 };
        lines_add(t, "%4d, %-18d", shapes[i].out, shapes[i].in);
        for (int k = 0; k < RATES && !run_shape(l, how, shapes[i], rates[k], &m, e); k++) {
            if (!k)
                lines_add(t, " %9.4f", m.expected);
            lines_cell(t, 13, "  %.4f", m.by[B][1]);
        }
        lines_add(t, "\n");
    }
}

int lab_first_steps(const lab *l, tn_error *e)
{
    chart charts[LAB_MOST];
    curve curves[LAB_MOST][RATES * FACTORS];
    motion *motions = calloc((size_t)l->count * RATES, sizeof *motions);
    const double most = l->o->learning_rate == NOT_SET ? 0.1 : l->o->learning_rate;
    const double rates[RATES] = { most, most / 10, most / 100 };
    lines all = lines_begin(), *t = &all;
    if (!motions)
        return tn_fail(e, TN_ENOMEM, "lab: out of memory");
    t->indent = FIRST;
    lines_add(t,
              "A (%d,%d) starts at 0, B (%d,%d) does not; the gradient of A B^T stays the same.\n"
              "Rates: %g, a tenth, a hundredth; --learning-rate sets the first.\n\n"
              "||change|| / ||factor before|| in step\n%-10s",
              shapes[0].out, R, shapes[0].in, R, most, "  rate");
    for (int k = 1; k <= STEPS; k++)
        lines_cell(t, CELL, " %7d", k);
    lines_add(t, "\n");
    for (int i = 0; i < l->count && !e->code; i++) {
        const lab_choice *how = &l->chosen[i];
        lines_add(t, "%s\n", how->label);
        for (int k = 0; k < RATES && !e->code; k++) {
            motion *m = &motions[i * RATES + k];
            if (run_shape(l, how, shapes[0], rates[k], m, e))
                break;
            print_motion(rates[k], m);
            for (int f = 0; f < FACTORS; f++) {
                snprintf(m->name[f], sizeof m->name[f], "%s, rate %g", f ? "B" : "A", rates[k]);
                curves[i][(1 - f) * RATES + k] = (curve){ m->name[f], m->x, m->by[f], STEPS };
            }
        }
        charts[i] = (chart){ .title = how->label,
                             .x = "step",
                             .y = "motion / size of the factor",
                             .curves = curves[i],
                             .count = RATES * FACTORS,
                             .log_y = true,
                             .nested = RATES };
    }
    for (int i = 0; i < l->count && !e->code; i++)
        if (!strcmp(l->chosen[i].def->name, "lora-rite"))
            print_formula(l, &l->chosen[i], rates, e);
    if (!e->code)
        lab_show(l, charts, l->count, LAB_GRID, e);
    free(motions);
    return e->code;
}
