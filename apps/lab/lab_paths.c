/* lab_paths.c - tenon lab paths: paths of optimizers on two losses of two numbers.
   The first is a factorisation, w = a b: a LoRA pair with r = out = in = 1. The second is
   Rosenbrock's valley. It is not a pair, so optimizers of pairs cannot run on it. */
#include "apps/lab/lab.h"
#include "apps/report/lines.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_STEPS = 100, CONTOURS = 8, CONTOUR_POINTS = 81, PLACES = 2 * CONTOURS };

typedef struct contour {
    double x[CONTOUR_POINTS], y[CONTOUR_POINTS];
} contour;

typedef struct place { /* where paths run */
    const char *title, *x, *y;
    double start[2], x_range[2], y_range[2];
    int steps;
    bool pair;
    double (*loss)(const void *problem, const double *z, double *g);
    /* Writes the pieces of a contour, at most 2. Returns how many. */
    int (*contours)(const struct place *p, double level, contour *out);
    int level_count;
    double levels[CONTOURS];
} place;

typedef struct path {
    double x[MOST_STEPS + 1], y[MOST_STEPS + 1], loss;
    bool pair;
} path;

/* 1/2 (w - 1)^2 of the product w. */
static double product_loss(const void *problem, const double *z, double *g)
{
    (void)problem;
    g[0] = z[0] - 1;
    return 0.5 * g[0] * g[0];
}

/* a b = 1 + root or 1 - root, where the loss is `level`; a from one edge of the picture to where b
   leaves it. */
static int product_contours(const place *p, double level, contour *out)
{
    int n = 0;
    for (int sign = -1; sign <= 1; sign += 2) {
        const double w = 1 + sign * sqrt(2 * level);
        if (w <= 0 || (sign < 0 && level == 0))
            continue;
        const double from = tn_log_of(w / p->y_range[1]) + 1e-9,
                     to = tn_log_of(p->x_range[1]) - 1e-9;
        for (int i = 0; i < CONTOUR_POINTS; i++) {
            const double along = (double)i / (CONTOUR_POINTS - 1);
            out[n].x[i] = tn_exp_of(from + (to - from) * along);
            out[n].y[i] = w / out[n].x[i];
        }
        n++;
    }
    return n;
}

/* (1 - x)^2 + 100 (y - x^2)^2 */
static double rosenbrock(const void *problem, const double *z, double *g)
{
    (void)problem;
    const double off = z[1] - z[0] * z[0];
    g[0] = -2 * (1 - z[0]) - 400 * z[0] * off;
    g[1] = 200 * off;
    return (1 - z[0]) * (1 - z[0]) + 100 * off * off;
}

/* y = x^2 +- sqrt(level - (1 - x)^2) / 10, once around. */
static int rosenbrock_contours(const place *p, double level, contour *out)
{
    (void)p;
    const double pi = 3.14159265358979323846;
    for (int i = 0; i < CONTOUR_POINTS; i++) {
        const double angle = 2 * pi * i / (CONTOUR_POINTS - 1);
        const double x = 1 - sqrt(level) * tn_cos_of(angle);
        out[0].x[i] = x;
        out[0].y[i] = x * x + sqrt(level) * tn_cos_of(angle - pi / 2) / 10;
    }
    return 1;
}

/* clang-format off */
static const place places[] = {
    { .title = "1/2 (a b - 1)^2", .x = "a", .y = "b", .start = { 1.2, 3.6 }, .x_range = { 0, 4 },
      .y_range = { 0, 4 }, .steps = 40, .pair = true, .loss = product_loss,
      .contours = product_contours, .level_count = 7, .levels = { 0, 0.02, 0.1, 0.4, 2, 8, 24 } },
    { .title = "(1 - x)^2 + 100 (y - x^2)^2", .x = "x", .y = "y", .start = { -1.2, 1 },
      .x_range = { -1.6, 1.8 }, .y_range = { -0.6, 3 }, .steps = MOST_STEPS, .loss = rosenbrock,
      .contours = rosenbrock_contours, .level_count = 5, .levels = { 0.1, 0.5, 2, 5, 9 } },
};
/* clang-format on */
enum { COUNT = sizeof places / sizeof *places };

static void note(void *arg, const lab_state *now)
{
    path *p = arg;
    p->x[now->step] = (double)now->a[0];
    p->y[now->step] = (double)(p->pair ? now->b[0] : now->a[1]);
    p->loss = now->loss;
}

static int run_path(const lab *l, const lab_choice *how, const place *at, path *p, tn_error *e)
{
    const double one = at->start[1];
    const lab_task t = { .out = 1,
                         .in = at->pair ? 1 : 2,
                         .r = at->pair ? 1 : 0,
                         .a = at->start,
                         .b = &one,
                         .loss = at->loss,
                         .steps = at->steps };
    const double rate = lab_rate(l, how, &t, e);
    p->pair = at->pair;
    for (int k = 0; k <= MOST_STEPS; k++)
        p->x[k] = p->y[k] = (double)NAN;
    p->loss = (double)NAN;
    lab_run(l, how, rate, &t, note, p, e);
    const bool ends = !isnan(p->x[at->steps]);
    lines row = lines_begin();
    row.indent = (size_t)l->width + 15;
    lines_cell(&row, row.indent, "  %-*s rate %-6g ", l->width, how->label, rate);
    if (ends)
        lines_cell(&row, 40, "loss %-9.3g at (%.3g, %.3g)", p->loss, p->x[at->steps],
                   p->y[at->steps]);
    else
        lines_add(&row, "diverges");
    lines_add(&row, "\n");
    return e->code;
}

typedef struct sheet { /* a picture */
    path paths[LAB_MOST];
    curve curves[LAB_MOST], lines[PLACES];
    contour contours[PLACES];
} sheet;

/* Runs the optimizers that can run at this place. */
static int run_place(const lab *l, const place *at, sheet *s, chart *c, tn_error *e)
{
    int n = 0, drawn = 0;
    lines_show("%s from (%g, %g), %d steps\n", at->title, at->start[0], at->start[1], at->steps);
    for (int i = 0; i < l->count && !e->code; i++) {
        if (l->chosen[i].def->pairs && !at->pair) {
            lines_show("  %-*s not there: no LoRA pair\n", l->width, l->chosen[i].label);
            continue;
        }
        path *p = &s->paths[n];
        run_path(l, &l->chosen[i], at, p, e);
        s->curves[n++] = (curve){ l->chosen[i].def->name, p->x, p->y, at->steps + 1 };
    }
    for (int k = 0; k < at->level_count; k++) {
        const int end = drawn + at->contours(at, at->levels[k], &s->contours[drawn]);
        for (; drawn < end; drawn++)
            s->lines[drawn] = (curve){ .x = s->contours[drawn].x,
                                       .y = s->contours[drawn].y,
                                       .n = CONTOUR_POINTS };
    }
    *c = (chart){ .title = at->title,
                  .x = at->x,
                  .y = at->y,
                  .curves = s->curves,
                  .count = n,
                  .dots = true,
                  .x_range = { at->x_range[0], at->x_range[1] },
                  .y_range = { at->y_range[0], at->y_range[1] },
                  .contours = s->lines,
                  .contour_count = drawn };
    return e->code;
}

int lab_paths(const lab *l, tn_error *e)
{
    chart charts[COUNT];
    sheet *s = calloc(COUNT, sizeof *s);
    if (!s)
        return tn_fail(e, TN_ENOMEM, "lab: out of memory");
    lines_show(LAB_RATES);
    for (int i = 0; i < COUNT && !e->code; i++)
        run_place(l, &places[i], &s[i], &charts[i], e);
    if (!e->code)
        lab_show(l, charts, COUNT, LAB_WIDE, e);
    free(s);
    return e->code;
}
