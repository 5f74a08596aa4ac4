/* compare_grid.c - which rates a study tries, and which one it chooses. */
#include "apps/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* n rates from lo to hi at equal ratios. */
static void log_grid(double lo, double hi, int n, double out[])
{
    for (int i = 0; i < n; i++)
        out[i] = rounded(n > 1 ? lo * tn_exp(tn_log(hi / lo) * i / (n - 1)) : lo);
}

/* "LO:HI:logN" or "X,Y,Z" into out; returns how many rates, 0 if it is neither. */
static int read_grid(const char *text, double out[MOST_RATES])
{
    char word[64], lo[32], hi[32];
    int64_t n;
    int count = 0;
    double from, to;
    if (sscanf(text, "%31[^:]:%31[^:]:log%31s", lo, hi, word) == 3) {
        if (!read_real(lo, &from) || !read_real(hi, &to) || !read_count(word, &n) || from <= 0 ||
            to <= from || n < 2 || n > MOST_RATES / 2)
            return 0;
        log_grid(from, to, (int)n, out);
        return (int)n;
    }
    for (const char *s = text; *s; s += strcspn(s, ",") + (s[strcspn(s, ",")] == ',')) {
        snprintf(word, sizeof word, "%.*s", (int)(strcspn(s, ",") < 60 ? strcspn(s, ",") : 60), s);
        if (count == MOST_RATES / 2 || !read_real(word, &out[count]) || out[count] <= 0)
            return 0;
        count++;
    }
    return count;
}

static int fill_grid(study *y, int optimizer, tn_error *e)
{
    double rates[MOST_RATES];
    const double usual = tn_optim_find(y->names[optimizer])->hyper[0].value;
    int n = 5;
    if (y->o->lr_grid)
        n = read_grid(y->o->lr_grid, rates);
    else
        log_grid(usual / 10, usual * 10, n, rates);
    if (!n)
        return tn_fail(
            e, APP_USAGE,
            "--lr-grid \"%.80s\": expected LO:HI:logN or rates with commas between, at most %d",
            y->o->lr_grid, MOST_RATES / 2);
    for (int i = 0; i < n; i++)
        add_cells(y, optimizer, rates[i], e);
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

/* The rate beyond the edge where the best of an optimizer lies; 0: it lies inside, or often enough.
 */
static double beyond(const study *y, int optimizer, int first)
{
    double rates[MOST_RATES];
    const int n = study_rates(y, optimizer, rates);
    const double best = study_choice(y, optimizer);
    if (n < 2 || n - first >= 2 * EXTENSIONS || n == MOST_RATES)
        return 0;
    const double lower = rounded(rates[0] * rates[0] / rates[1]);
    if (best == rates[0])
        return lower >= y->o->lr_min ? lower : 0; /* no schedule falls to a higher rate */
    return best == rates[n - 1] ? rounded(best * best / rates[n - 2]) : 0;
}

int study_extend(study *y, tn_error *e)
{
    double rates[MOST_RATES];
    int added = 0;
    for (int k = 0; k < y->optimizers && !e->code; k++) {
        const int first = y->o->lr_grid ? read_grid(y->o->lr_grid, rates) : 5;
        const double lr = beyond(y, k, first);
        if (lr > 0) {
            add_cells(y, k, lr, e);
            added++;
        }
    }
    return e->code ? e->code : added;
}
