/* compare_grid.c - which rates a study tries, and which one it chooses. */
#include "apps/compare/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A further rate must lower the validation loss by this share of it, or none is tried beyond it: the
   losses of rates so small or so alike that nothing changes differ by their last digits alone. */
#define LITTLE 1e-5

/* ---- cells ---- */

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
        y->cells[y->count++] = (cell){ .optimizer = optimizer, .lr = lr, .seed = y->o->seed + s };
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

/* x rounded to four digits: what is printed is what was used. */
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

/* Rate i of n at equal ratios, lo being the first and hi the last; i may lie beyond them. */
static double log_rate(double lo, double hi, int n, int i)
{
    return rounded(i ? lo * tn_exp(tn_log(hi / lo) * i / (n - 1)) : lo);
}

static void log_grid(double lo, double hi, int n, grid *g)
{
    *g = (grid){ .n = n, .lo = lo, .hi = hi };
    for (int i = 0; i < n; i++)
        g->rate[i] = log_rate(lo, hi, n, i);
}

/* "LO:HI:logN" or "X,Y,Z" into g; g->n is 0 if it is neither. */
static void read_grid(const char *text, grid *g)
{
    char word[64], lo[32], hi[32];
    int64_t n;
    double from, to;
    *g = (grid){ 0 };
    if (sscanf(text, "%31[^:]:%31[^:]:log%31s", lo, hi, word) == 3) {
        if (read_real(lo, &from) && read_real(hi, &to) && read_count(word, &n) && from > 0 &&
            to > from && n >= 2 && n <= MOST_RATES / 2)
            log_grid(from, to, (int)n, g);
        return;
    }
    for (const char *s = text; *s; s += strcspn(s, ",") + (s[strcspn(s, ",")] == ',')) {
        const int length = (int)strcspn(s, ",");
        snprintf(word, sizeof word, "%.*s", length < 60 ? length : 60, s);
        if (g->n == MOST_RATES / 2 || !read_real(word, &g->rate[g->n]) || g->rate[g->n] <= 0) {
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

static int fill_grid(study *y, int optimizer, tn_error *e)
{
    grid g;
    first_grid(y, optimizer, &g);
    if (!g.n)
        return tn_fail(
            e, APP_USAGE,
            "--lr-grid \"%.80s\": expected LO:HI:logN or rates with commas between, at most %d",
            y->o->lr_grid, MOST_RATES / 2);
    for (int i = 0; i < g.n; i++)
        add_cells(y, optimizer, g.rate[i], e);
    return e->code;
}

int study_fill(study *y, tn_error *e)
{
    y->optimizers = choice_names(y->o, NULL, y->names, MOST_OPTIMIZERS, e);
    for (int k = 0; k < y->optimizers && !e->code; k++)
        fill_grid(y, k, e);
    return e->code;
}

/* ---- choice ---- */

summary study_summary(const study *y, int optimizer, double lr)
{
    summary s = { 0 };
    double squares = 0, rows = 0;
    for (int64_t i = 0; i < y->count; i++) {
        const cell *c = &y->cells[i];
        if (c->optimizer != optimizer || c->lr != lr || !c->done)
            continue;
        s.runs++;
        s.diverged += c->diverged > 0;
        s.valid += c->valid.loss;
        squares += c->valid.loss * c->valid.loss;
        rows += c->valid.error;
        s.test += c->test.rows ? c->test.loss : (double)NAN;
        s.exact +=
            c->test.rows && c->records ? (double)c->test.exact / (double)c->test.rows : (double)NAN;
        s.seconds += c->seconds;
        s.state = c->state;
    }
    const double n = (double)s.runs;
    s.valid /= n;
    s.spread = s.runs > 1 ? sqrt(fmax(squares - n * s.valid * s.valid, 0) / (n - 1)) : rows;
    s.test /= n;
    s.exact /= n;
    s.seconds /= n;
    if (s.diverged || !s.runs)
        s.valid = (double)INFINITY;
    return s;
}

double study_choice(const study *y, int optimizer)
{
    double rates[MOST_RATES], best = 0, least = (double)INFINITY;
    const int n = study_rates(y, optimizer, rates);
    for (int i = 0; i < n; i++) {
        const double loss = study_summary(y, optimizer, rates[i]).valid;
        if (loss < least || i == 0) {
            least = loss;
            best = rates[i];
        }
    }
    return best;
}

/* Has the trial of a further rate shown that this edge is no better than the rate before it? */
static bool is_flat(const study *y, int optimizer, double edge, double before)
{
    const double loss = study_summary(y, optimizer, edge).valid;
    const double other = study_summary(y, optimizer, before).valid;
    return isfinite(other) && other - loss <= LITTLE * other;
}

/* The rate beyond the edge where the best of an optimizer lies; 0: it lies inside, or far enough out,
   or the last step out changed little. */
static double beyond(const study *y, int optimizer)
{
    grid g;
    double rates[MOST_RATES];
    const int n = study_rates(y, optimizer, rates);
    const double best = study_choice(y, optimizer);
    int below = 0, above = 0; /* of the rates, which are not among the first */
    first_grid(y, optimizer, &g);
    qsort(g.rate, (size_t)g.n, sizeof *g.rate, by_value);
    for (int i = 0; i < n; i++) {
        below += rates[i] < g.rate[0];
        above += rates[i] > g.rate[g.n - 1];
    }
    if (n < 2 || below + above >= 2 * EXTENSIONS || n == MOST_RATES)
        return 0;
    const double *low = rates + below, *high = rates + n - 2 - above; /* pairs of first rates */
    if (best == rates[0] && !(below && is_flat(y, optimizer, best, rates[1]))) {
        const double lower = g.lo > 0 ? log_rate(g.lo, g.hi, g.n, -1 - below)
                                      : log_rate(low[0], low[1], 2, -1 - below);
        return lower >= y->o->lr_min ? lower : 0; /* no schedule falls to a higher rate */
    }
    if (best == rates[n - 1] && !(above && is_flat(y, optimizer, best, rates[n - 2])))
        return g.lo > 0 ? log_rate(g.lo, g.hi, g.n, g.n + above)
                        : log_rate(high[0], high[1], 2, 2 + above);
    return 0;
}

int study_extend(study *y, tn_error *e)
{
    int added = 0;
    for (int k = 0; k < y->optimizers && !e->code; k++) {
        const double lr = beyond(y, k);
        if (lr > 0) {
            add_cells(y, k, lr, e);
            added++;
        }
    }
    return e->code ? e->code : added;
}
