/* compare_grid.c - the rates that a study tries: how a grid grows beyond its ends.

   When the lowest loss is at an edge of the rates, the best rate has not been found. So a grid
   grows by one rate per round, at the ratio it began with, while its best rate is at that edge. It
   stops, and the edge is reported,
     - when the last step lowered the loss by less than LITTLE: a plateau could go on without end;
     - after FURTHER rates. At the usual ratio of 3.16 they are a factor of 10^8: a grid whose loss
       still falls there began in the wrong place, or its ratio is too small;
     - at --lr-min, below which a schedule could not fall, and at the limits of --learning-rate.
   A grid of one rate has no ratio and does not grow. If the loss at the edge is that of the
   untrained model, no rate changed anything: this is reported instead of an edge. */
#include "apps/compare/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- cells ---- */

int64_t study_done(const study *y)
{
    int64_t done = 0;
    for (int64_t i = 0; i < y->count; i++)
        done += y->cells[i].done;
    return done;
}

/* If this run was done before, its result replaces the cell. */
static void take_old(study *y, cell *c)
{
    for (int64_t i = 0; i < y->olds; i++) {
        cell *old = &y->old[i];
        if (old->done && old->optimizer == c->optimizer && old->lr == c->lr &&
            old->seed == c->seed) {
            *c = *old;
            old->done = false;
            return;
        }
    }
}

static int add_cells(study *y, int optimizer, double lr, tn_error *e)
{
    for (int64_t s = 0; s < y->o->seeds && !e->code; s++) {
        if (y->count == y->room) {
            const int64_t room = y->room ? 2 * y->room : 64;
            cell *more = realloc(y->cells, (size_t)room * sizeof *more);
            if (!more)
                return tn_fail(e, TN_ENOMEM, "the list of runs: out of memory");
            y->cells = more;
            y->room = room;
        }
        y->cells[y->count] = new_cell(optimizer, lr, y->o->seed + s);
        take_old(y, &y->cells[y->count++]);
    }
    return e->code;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, z = *(const double *)b;
    return x < z ? -1 : x > z;
}

int study_rates(const study *y, int optimizer, double rates[MOST_RATES])
{
    int n = 0;
    for (int64_t i = 0; i < y->count; i++) {
        bool known = y->cells[i].optimizer != optimizer || n == MOST_RATES;
        for (int k = 0; k < n && !known; k++)
            known = rates[k] == y->cells[i].lr;
        if (!known)
            rates[n++] = y->cells[i].lr;
    }
    qsort(rates, (size_t)n, sizeof *rates, by_value);
    return n;
}

/* ---- grids ---- */

/* x rounded to four digits, so that the printed rate is the one that was used. */
static double rounded(double x)
{
    char text[32];
    snprintf(text, sizeof text, "%.4g", x);
    return strtod(text, NULL);
}

/* The first rates of an optimizer, and the steps at their ends. */
typedef struct grid {
    double rate[MOST_RATES];
    int n;
    double lo, hi; /* of n rates at equal ratios; lo 0: the rates are a list */
} grid;

/* Rate i of n rates with equal ratios from lo to hi. i may be below 0 or above n - 1. */
static double log_rate(double lo, double hi, int n, int i)
{
    return rounded(i ? lo * tn_exp_of(tn_log_of(hi / lo) * i / (n - 1)) : lo);
}

static void log_grid(double lo, double hi, int n, grid *g)
{
    *g = (grid){ .n = n, .lo = lo, .hi = hi };
    for (int i = 0; i < n; i++)
        g->rate[i] = log_rate(lo, hi, n, i);
}

/* A rate, as --learning-rate takes it. */
static bool read_rate(const char *text, double *out)
{
    const option *row = &options_table[OPT_learning_rate];
    return read_real(text, out) && *out >= row->lo && *out <= row->hi;
}

/* Reads "LO:HI:logN" or "X,Y,Z" into g. g->n is 0 if it is neither. */
static void read_grid(const char *text, grid *g)
{
    char word[64], lo[32], hi[32];
    int64_t n;
    double from, to;
    *g = (grid){ 0 };
    if (sscanf(text, "%31[^:]:%31[^:]:log%31s", lo, hi, word) == 3) {
        if (read_rate(lo, &from) && read_rate(hi, &to) && read_count(word, &n) && to > from &&
            n >= 2 && n <= MOST_FIRST)
            log_grid(from, to, (int)n, g);
        return;
    }
    for (const char *s = text; *s; s += strcspn(s, ",") + (s[strcspn(s, ",")] == ',')) {
        const size_t length = strcspn(s, ",");
        snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : 0), s);
        if (g->n == MOST_FIRST || !read_rate(word, &g->rate[g->n])) {
            g->n = 0;
            return;
        }
        g->n++;
    }
}

static void first_grid(const study *y, int optimizer, grid *g)
{
    const double usual = tn_optim_find(y->names[optimizer])->hyper[0].value;
    if (y->o->lr_grid)
        read_grid(y->o->lr_grid, g);
    else
        log_grid(usual / 10, usual * 10, 5, g);
}

static int check_grid(const study *y, tn_error *e)
{
    grid g;
    const char *text = y->o->lr_grid;
    if (e->code || !text)
        return e->code;
    read_grid(text, &g);
    if (!g.n)
        return tn_fail(e, APP_USAGE,
                       "--lr-grid \"%.80s\": expected LO:HI:logN or rates with commas between, at "
                       "most %d, from %g to %g",
                       text, MOST_FIRST, options_table[OPT_learning_rate].lo,
                       options_table[OPT_learning_rate].hi);
    for (int i = 0; i < g.n; i++) {
        if (recipe_check_rate(y->o, g.rate[i], e))
            return e->code;
        for (int k = 0; k < i; k++)
            if (g.rate[k] == g.rate[i])
                return tn_fail(e, APP_USAGE,
                               "--lr-grid \"%.80s\": the rate %g twice (rates of a "
                               "logN have four digits); expected each once",
                               text, g.rate[i]);
    }
    return e->code;
}

int study_choose(study *y, tn_error *e)
{
    const char *set[MAX_LIST + 1];
    y->optimizers = choice_names(y->o, NULL, y->names, MOST_OPTIMIZERS, e);
    if (!e->code)
        choice_check(y->o, y->names, y->optimizers, e);
    for (int k = 0; k < y->optimizers && !e->code; k++) {
        choice_settings(y->o, y->names[k], set);
        recipe_check(y->o, &(recipe){ y->names[k], NOT_SET, set }, e);
    }
    return check_grid(y, e);
}

int study_fill(study *y, tn_error *e)
{
    if (!e->code && y->resume)
        study_load(y, e);
    for (int k = 0; k < y->optimizers && !e->code; k++) {
        grid g;
        first_grid(y, k, &g);
        for (int i = 0; i < g.n && !e->code; i++)
            add_cells(y, k, g.rate[i], e);
    }
    for (int added = 1; !e->code && y->olds && added > 0 && study_done(y) == y->count;)
        added = study_extend(y, e);
    for (int64_t i = 0; i < y->olds && !e->code; i++)
        if (y->old[i].done)
            tn_fail(e, TN_ESTATE,
                    "%s:%lld: a run that this study does not have; expected the options "
                    "that it began with",
                    y->paths[0], (long long)i + 1);
    return e->code;
}

/* ---- growing ---- */

/* Rate number `out` (1, 2, ...) beyond the first grid g, whose rates are in ascending order. */
static double rate_beyond(const grid *g, edge side, int out)
{
    const double *pair = side == LOWEST ? g->rate : g->rate + g->n - 2;
    if (g->lo > 0)
        return log_rate(g->lo, g->hi, g->n, side == LOWEST ? -out : g->n - 1 + out);
    return log_rate(pair[0], pair[1], 2, side == LOWEST ? -out : 1 + out);
}

/* Did the step to the last rate lower the loss by less than LITTLE? */
static bool is_flat(const study *y, int optimizer, double last, double before)
{
    const double loss = study_summary(y, optimizer, last).valid;
    const double other = study_summary(y, optimizer, before).valid;
    return isfinite(other) && other - loss <= LITTLE * other;
}

/* Finds the next rate after the edge `last`, or the reason why none is tried. The edge is `out`
   rates beyond the first grid g. flat: the step to the edge did not lower the loss. */
static void look_beyond(const study *y, const grid *g, double last, int out, bool flat, place *p)
{
    const option *limits = &options_table[OPT_learning_rate];
    const double next = rate_beyond(g, p->edge, out + 1);
    if (out && flat)
        snprintf(p->why, sizeof p->why, "the last step lowered the loss by less than %g %%",
                 100 * LITTLE);
    else if (out == FURTHER)
        snprintf(p->why, sizeof p->why, "a grid grows by at most %d rates on a side", FURTHER);
    else if (next < y->o->lr_min)
        snprintf(p->why, sizeof p->why, "the next rate is below --lr-min");
    else if (next < limits->lo || next > limits->hi)
        snprintf(p->why, sizeof p->why, "a rate is from %g to %g", limits->lo, limits->hi);
    else if (p->edge == LOWEST ? next >= last : next <= last)
        snprintf(p->why, sizeof p->why, "the next rate has the same four digits");
    else
        p->next = next;
}

/* Is a rate's loss that of the untrained model, apart from the last digits? */
static bool is_untrained(const study *y, int optimizer, double lr)
{
    const double untrained = study_untrained(y), loss = study_summary(y, optimizer, lr).valid;
    return fabs(loss - untrained) <= LITTLE * untrained; /* false if one is not known */
}

place study_place(const study *y, int optimizer)
{
    grid g;
    double rates[MOST_RATES];
    const int n = study_rates(y, optimizer, rates);
    const double best = study_choice(y, optimizer);
    const bool low = best == rates[0], high = best == rates[n - 1];
    place p = { .edge = low && high ? ONLY : low ? LOWEST : high ? HIGHEST : INSIDE };
    int below = 0, above = 0; /* rates below and above the first grid */
    first_grid(y, optimizer, &g);
    qsort(g.rate, (size_t)g.n, sizeof *g.rate, by_value);
    for (int i = 0; i < n; i++) {
        below += rates[i] < g.rate[0];
        above += rates[i] > g.rate[g.n - 1];
    }
    if (p.edge == ONLY)
        snprintf(p.why, sizeof p.why, "a grid of one rate does not grow");
    else if (p.edge == LOWEST)
        look_beyond(y, &g, best, below, is_flat(y, optimizer, best, rates[1]), &p);
    else if (p.edge == HIGHEST)
        look_beyond(y, &g, best, above, is_flat(y, optimizer, best, rates[n - 2]), &p);
    if (p.edge != INSIDE && p.next == 0 && is_untrained(y, optimizer, best))
        p.edge = NOWHERE;
    return p;
}

int study_extend(study *y, tn_error *e)
{
    int added = 0;
    for (int k = 0; k < y->optimizers && !e->code; k++) {
        const double next = study_place(y, k).next;
        if (next > 0 && !add_cells(y, k, next, e))
            added++;
    }
    return e->code ? e->code : added;
}
