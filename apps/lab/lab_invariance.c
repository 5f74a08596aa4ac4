/* lab_invariance.c - tenon lab invariance: one product, trained from four pairs of factors.
   An invariant optimizer trains all four in the same way. A fifth start differs from the first only
   by rounding. Large rates amplify this difference. Differences that are smaller than this mean
   nothing. */
#include "apps/lab/lab.h"
#include "apps/report/lines.h"

#include <math.h>
#include <stdlib.h>

enum { OUT = 17, IN = 11, R = 4, STEPS = 60, PLAIN = 0, DRAWN = 4, WRITINGS = 5 };

/* The start is (A T, B T^-T) with T = c H1 D H2. H1 and H2 are reflections (I if plain). D is
   diagonal, from 1/sqrt(spread) to sqrt(spread). Every number is then wrong by a random share of
   the size `off`. */
static const struct writing {
    const char *name;
    double c, spread;
    bool turned;
    double off;
} writings[] = {
    [PLAIN] = { "A, B", 1, 1, false, 0 }, { "10 A, B/10", 10, 1, false, 0 },
    { "rotated", 1, 1, true, 0 },         { "A T, B T^-T", 1, 4, true, 0 },
    { "rounding", 1, 1, false, 1e-7 },
};

typedef struct trial {
    double x[STEPS + 1], loss[WRITINGS][STEPS + 1];
    double z[WRITINGS][STEPS + 1][OUT * IN];
    double rate, apart[WRITINGS]; /* largest difference from the product of the plain writing */
    int writing;                  /* index of the present one */
} trial;

/* x = x (I - 2 v v^T / v^T v), rows of R. */
static void reflect(int rows, const double *v, double *x)
{
    double square = 0;
    for (int k = 0; k < R; k++)
        square += v[k] * v[k];
    for (int i = 0; i < rows; i++) {
        double dot = 0;
        for (int k = 0; k < R; k++)
            dot += x[i * R + k] * v[k];
        for (int k = 0; k < R; k++)
            x[i * R + k] -= 2 * dot / square * v[k];
    }
}

/* x = x c H1 D H2. If inverse: with 1/c and D^-1. */
static void write_as(const struct writing *w, const lab *l, bool inverse, int rows, double *x)
{
    double v[2][R], c = inverse ? 1 / w->c : w->c, d[R], off[OUT * R];
    lab_normal(l, inverse ? "rounding B" : "rounding A", w->off, rows * R, off);
    lab_normal(l, "reflections", 1, 2 * R, v[0]);
    for (int k = 0; k < R; k++) {
        d[k] = 1 + (w->spread - 1) * k / (R - 1); /* 1 .. spread; divided by sqrt(spread) below */
        d[k] = (inverse ? sqrt(w->spread) / d[k] : d[k] / sqrt(w->spread)) * c;
    }
    if (w->turned)
        reflect(rows, v[0], x);
    for (int i = 0; i < rows * R; i++)
        x[i] *= d[i % R] * (1 + off[i]);
    if (w->turned)
        reflect(rows, v[1], x);
}

static void note(void *arg, const lab_state *now)
{
    trial *t = arg;
    double most = 0, *z = t->z[t->writing][now->step];
    t->loss[t->writing][now->step] = now->loss;
    for (int i = 0; i < OUT * IN; i++) {
        z[i] = now->z[i];
        most = fmax(most, fabs(z[i] - t->z[PLAIN][now->step][i]));
    }
    t->apart[t->writing] = fmax(t->apart[t->writing], most);
}

static int run_writings(const lab *l, const lab_choice *how, trial *t, tn_error *e)
{
    double y[OUT * IN];
    const lab_goal goal = { OUT, IN, y };
    lab_normal(l, "target", 0.7, OUT * IN, y);
    for (t->writing = 0; t->writing < WRITINGS && !e->code; t->writing++) {
        double a[OUT * R], b[IN * R];
        lab_normal(l, "A", 0.35, OUT * R, a);
        lab_normal(l, "B", 0.35, IN * R, b);
        write_as(&writings[t->writing], l, false, OUT, a);
        write_as(&writings[t->writing], l, true, IN, b);
        const lab_task task = lab_fit(&goal, R, a, b, STEPS);
        for (int k = 0; k <= STEPS; k++) {
            t->x[k] = k;
            t->loss[t->writing][k] = (double)NAN;
        }
        if (t->writing == PLAIN)
            t->rate = lab_rate(l, how, &task, e);
        lab_run(l, how, t->rate, &task, note, t, e);
    }
    return e->code;
}

enum { CLAIM = 21 }; /* columns of a claim */

static const char *claim(const tn_optim_def *d)
{
    return d->claims == TN_INVARIANT_FULL       ? "all alike"
           : d->claims == TN_INVARIANT_BOTH     ? "10 A, B/10; rotated"
           : d->claims == TN_INVARIANT_ROTATION ? "rotated"
           : d->claims == TN_INVARIANT_SCALE    ? "10 A, B/10"
                                                : "-";
}

static void print_row(lines *l, int width, const lab_choice *c, const trial *t)
{
    lines_cell(l, l->indent, "%-*s %6g %9.4g", width, c->label, t->rate, t->loss[PLAIN][STEPS]);
    for (int w = PLAIN + 1; w < WRITINGS; w++)
        if (isnan(t->loss[w][STEPS]))
            lines_cell(l, 12, " %11s", "diverges");
        else
            lines_cell(l, 12, " %11.1e", t->apart[w]);
    lines_cell(l, CLAIM, "  %s", c->claims ? claim(c->def) : "-");
    lines_add(l, "\n");
}

int lab_invariance(const lab *l, tn_error *e)
{
    chart charts[LAB_MOST];
    curve curves[LAB_MOST][DRAWN];
    trial *t = calloc((size_t)l->count, sizeof *t);
    lines all = lines_begin();
    if (!t)
        return tn_fail(e, TN_ENOMEM, "lab: out of memory");
    lines_show(
        "loss 1/2 ||A B^T - Y||^2, A (%d,%d), B (%d,%d), Y of full rank; %d steps.\n" LAB_RATES
        "largest difference of the product to that of A, B as they are;\nrounding: when they are "
        "off by 1e-7 of their size, which large rates amplify\n",
        OUT, R, IN, R, STEPS);
    all.indent = (size_t)l->width + 17;
    lines_cell(&all, all.indent, "%-*s %6s %9s", l->width, "optimizer", "rate", "last loss");
    for (int w = PLAIN + 1; w < WRITINGS; w++)
        lines_cell(&all, 12, " %11s", writings[w].name);
    lines_cell(&all, CLAIM, "  claims");
    lines_add(&all, "\n");
    for (int i = 0; i < l->count && !e->code; i++) {
        if (run_writings(l, &l->chosen[i], &t[i], e))
            break;
        print_row(&all, l->width, &l->chosen[i], &t[i]);
        for (int w = 0; w < DRAWN; w++)
            curves[i][w] = (curve){ writings[w].name, t[i].x, t[i].loss[w], STEPS + 1 };
        charts[i] = (chart){ .title = l->chosen[i].label,
                             .x = "step",
                             .y = "loss",
                             .curves = curves[i],
                             .count = DRAWN,
                             .nested = DRAWN,
                             .y_range = { 0, 2.5 * t[i].loss[PLAIN][0] } };
    }
    if (!e->code)
        lab_show(l, charts, l->count, LAB_GRID, e);
    free(t);
    return e->code;
}
