/* compare_table.c - a study as a table, in the terminal and as table.csv. */
#include "apps/compare/compare.h"
#include "apps/report/show.h"

#include <math.h>
#include <string.h>

/* ---- the terminal ---- */

typedef struct widths {
    int name, rate, seed;
} widths; /* of columns, in characters */

/* Columns as wide as the longest name, rate and seed, but at least as wide as most studies need. */
static widths columns(const study *y)
{
    widths w = { 12, 9, 3 };
    char lr[SHOWN];
    for (int64_t i = 0; i < y->count; i++) {
        const cell *c = &y->cells[i];
        const int name = (int)strlen(y->names[c->optimizer]);
        const int rate = (int)strlen(show_real(c->lr, lr));
        const int seed = snprintf(NULL, 0, "%lld", (long long)c->seed);
        w.name = name > w.name ? name : w.name;
        w.rate = rate > w.rate ? rate : w.rate;
        w.seed = seed > w.seed ? seed : w.seed;
    }
    return w;
}

void study_line(const study *y, const cell *c)
{
    const widths w = columns(y);
    char lr[SHOWN], loss[SHOWN];
    show("%-*s lr %-*s seed %-*lld ", w.name, y->names[c->optimizer], w.rate, show_real(c->lr, lr),
         w.seed, (long long)c->seed);
    if (c->diverged)
        show("diverged: not finite after %lld steps", (long long)c->diverged - 1);
    else
        show("valid %s", show_loss(c->valid.loss, c->valid.error, loss));
    if (!isnan(c->test.loss))
        show("  test %.4f", c->test.loss);
    if (c->test.exact >= 0)
        show("  exact %.1f %%", 100.0 * (double)c->test.exact / (double)c->test.rows);
    if (!isnan(c->seconds))
        show("  %.3g ms/step, %.3g of it the update", 1000 * c->seconds, 1000 * c->update);
    show("  start %08llx batches %08llx\n", (unsigned long long)c->start >> 32,
         (unsigned long long)c->batches >> 32);
}

/* Prints a number, or a dash of the same width if it is not known. */
static void print_number(double x, double scale, const char *format)
{
    char text[SHOWN];
    const int width = snprintf(text, sizeof text, format, scale * (isnan(x) ? 0 : x));
    show("%-*s", width, isnan(x) ? "-" : text);
}

/* Prints the rates of an optimizer with their losses, and marks the chosen one. */
static void print_rates(const study *y, int k)
{
    double rates[MOST_RATES];
    char lr[SHOWN];
    const int n = study_rates(y, k, rates);
    const double best = study_chosen(y, k);
    show("%-*s", columns(y).name, y->names[k]);
    for (int i = 0; i < n; i++) {
        const summary s = study_summary(y, k, rates[i]);
        show_real(rates[i], lr);
        if (s.diverged)
            show("  %s: %lld of %lld diverged", lr, (long long)s.diverged, (long long)s.runs);
        else if (s.runs < y->o->seeds)
            show("  %s: %lld of %lld runs", lr, (long long)s.runs, (long long)y->o->seeds);
        else
            show("  %s%s: %.4f", rates[i] == best ? "*" : "", lr, s.valid);
    }
    show("\n");
}

/* The remark after an optimizer's row, about its best rate. */
static const char *remark(const study *y, int k)
{
    static const char *const edges[] = { [INSIDE] = "",
                                         [LOWEST] = "  its lowest rate",
                                         [HIGHEST] = "  its highest rate",
                                         [ONLY] = "  its only rate",
                                         [NOWHERE] = "  as the untrained model" };
    return study_settled(y, k) ? edges[study_place(y, k).edge] : "  so far";
}

/* Prints the row of an optimizer: its best rate and the results with it. */
static void print_row(const study *y, int k, widths w)
{
    char state[SHOWN], valid[SHOWN], best[SHOWN];
    const double lr = study_choice(y, k);
    const summary s = study_summary(y, k, lr);
    show("%-*s ", w.name, y->names[k]);
    if (!isfinite(s.valid)) {
        show("%s\n",
             study_settled(y, k) ? "every rate diverged in some run" : "no rate has its mean yet");
        return;
    }
    show("%-*s %-20s ", w.rate, show_real(lr, best), show_loss(s.valid, s.spread, valid));
    print_number(s.test, 1, "%-10.4f ");
    print_number(s.exact, 100, "%5.1f %%  ");
    show("%-10.3g %-10.3g %s%s\n", 1000 * s.seconds, 1000 * s.update,
         show_bytes((double)s.state, state), remark(y, k));
}

/* Prints which best rates are at an edge of their grid, and why the grid did not grow. */
static void print_edges(const study *y)
{
    static const char *const where[] = {
        [LOWEST] = "the lowest", [HIGHEST] = "the highest", [ONLY] = "the only one"
    };
    char best[SHOWN];
    for (int k = 0; k < y->optimizers; k++) {
        const place p = study_place(y, k);
        if (study_chosen(y, k) > 0 && p.edge != INSIDE && p.edge != NOWHERE)
            show("edge: the best rate of %s, %s, is %s that was tried; a better one may lie beyond "
                 "(%s)\n",
                 y->names[k], show_real(study_chosen(y, k), best), where[p.edge], p.why);
    }
}

/* Prints which optimizers are not better than the untrained model. */
static void print_no_better(const study *y)
{
    const double untrained = study_untrained(y);
    const char *names[MOST_OPTIMIZERS];
    int n = 0, settled = 0;
    for (int k = 0; k < y->optimizers; k++) {
        const double loss = study_summary(y, k, study_choice(y, k)).valid;
        settled += study_settled(y, k);
        if (study_settled(y, k) && !(loss < untrained * (1 - LITTLE)))
            names[n++] = y->names[k];
    }
    if (isnan(untrained) || !n)
        return;
    if (n == settled && y->complete)
        show("nothing in this study beats the untrained model\n");
    for (int i = 0; i < n && !(n == settled && y->complete); i++)
        show("%s%s", i ? ", " : "no better than the untrained model: ", names[i]);
    if (!(n == settled && y->complete))
        show("\n");
}

void study_table(const study *y)
{
    const widths w = columns(y);
    const long long done = study_done(y), seeds = y->o->seeds;
    show("\n");
    if (!y->complete)
        show("INCOMPLETE: %lld runs are done, %lld of the grids so far are not. A rate has a "
             "mean when its %lld seed%s done,\nan optimizer a choice when its grid is.\n",
             done, (long long)y->count - done, seeds, seeds > 1 ? "s are" : " is");
    show("%-*s %-*s %-20s %-10s %-8s %-10s %-10s %s\n", w.name, "optimizer", w.rate, "rate",
         "valid loss", "test loss", "exact", "ms/step", "update", "state");
    show("%-*s %-*s ", w.name, "untrained", w.rate, "-");
    print_number(study_untrained(y), 1, "%.4f");
    show("\n");
    for (int k = 0; k < y->optimizers; k++)
        print_row(y, k, w);
    show("+-: %s\n", seeds > 1
                         ? "standard deviation over the seeds (of a run: standard error over the "
                           "rows)"
                         : "standard error over the rows");
    print_edges(y);
    print_no_better(y);
    show("\nvalidation loss of every rate (* chosen)\n");
    for (int k = 0; k < y->optimizers; k++)
        print_rates(y, k);
}

/* ---- table.csv ---- */

/* Adds a comma and a number, or the comma alone if the number is not known. */
static void csv_real(tn_text *out, const char *format, double x)
{
    tn_text_add(out, ",");
    if (!isnan(x))
        tn_text_add(out, format, x);
}

static void csv_count(tn_text *out, int64_t n)
{
    if (n < 0)
        tn_text_add(out, ",");
    else
        tn_text_add(out, ",%lld", (long long)n);
}

/* chosen: for the chosen rate, the word for its place in the grid; else NULL. */
static void csv_row(const study *y, const cell *c, const char *chosen, tn_text *out)
{
    char lr[SHOWN];
    tn_text_add(out, "%s,%s,%lld,%d", y->names[c->optimizer], show_real(c->lr, lr),
                (long long)c->seed, chosen != NULL);
    csv_real(out, "%.6f", c->valid.loss);
    csv_real(out, "%.6f", c->valid.error);
    csv_real(out, "%.6f", c->test.loss);
    csv_count(out, c->test.exact);
    csv_count(out, c->test.rows);
    csv_real(out, "%.6f", c->train);
    csv_real(out, "%.5f", c->seconds);
    tn_text_add(out, ",%lld,%lld,%016llx,%016llx,%s,%s", (long long)c->state,
                (long long)c->diverged, (unsigned long long)c->start,
                (unsigned long long)c->batches, y->complete ? "complete" : "incomplete",
                chosen ? chosen : "");
    csv_real(out, "%.6f", c->untrained);
    csv_real(out, "%.7f", c->update);
    tn_text_add(out, "\n");
}

int study_csv(const study *y, tn_error *e)
{
    static const char *const edges[] = { [INSIDE] = "inside",
                                         [LOWEST] = "lowest",
                                         [HIGHEST] = "highest",
                                         [ONLY] = "only",
                                         [NOWHERE] = "nowhere" };
    tn_text out = { 0 };
    double best[MOST_OPTIMIZERS];
    edge where[MOST_OPTIMIZERS];
    for (int k = 0; k < y->optimizers; k++) {
        best[k] = study_chosen(y, k);
        where[k] = study_place(y, k).edge;
    }
    tn_text_add(&out,
                "optimizer,learning_rate,seed,chosen,valid_loss,valid_stderr,test_loss,test_exact,"
                "test_rows,train_loss,seconds_per_step,state_bytes,diverged_at,start,batches,study,"
                "edge,untrained_loss,update_seconds\n");
    for (int64_t i = 0; i < y->count; i++) {
        const cell *c = &y->cells[i];
        if (c->done)
            csv_row(y, c, c->lr == best[c->optimizer] ? edges[where[c->optimizer]] : NULL, &out);
    }
    return tn_text_save(&out, y->out.work, "table.csv", e);
}
