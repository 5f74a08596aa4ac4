/* compare_table.c - a study as a table, in the terminal and as table.csv. */
#include "apps/compare/compare.h"
#include "apps/report/lines.h"
#include "apps/report/show.h"

#include <math.h>
#include <string.h>

/* ---- the terminal ---- */

typedef struct widths {
    int name, rate, seed;
} widths; /* of columns, in characters */

enum { VALID = 20, TEST = 10, EXACT = 8, TIME = 10, STATE = 6 }; /* widths of the others */

/* A row of the table: what does not fit goes on below the rate. */
static lines table(widths w)
{
    lines l = lines_begin();
    l.indent = (size_t)w.name + 1;
    return l;
}

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
    lines all = lines_begin(), *l = &all;
    char lr[SHOWN], loss[SHOWN];
    lines_add(l, "%-*s lr %-*s seed %-*lld ", w.name, y->names[c->optimizer], w.rate,
              show_real(c->lr, lr), w.seed, (long long)c->seed);
    if (c->diverged)
        lines_add(l, "diverged: not finite after %lld step%s", (long long)c->diverged - 1,
                  show_s(c->diverged - 1));
    else
        lines_add(l, "valid %s", show_loss(c->valid.loss, c->valid.error, loss));
    if (!isnan(c->test.loss))
        lines_add(l, "  test %.4f", c->test.loss);
    if (c->test.exact >= 0)
        lines_add(l, "  exact %.1f %%", 100.0 * (double)c->test.exact / (double)c->test.rows);
    if (!isnan(c->seconds))
        lines_add(l, "  %.3g ms/step, %.3g of it the update", 1000 * c->seconds, 1000 * c->update);
    lines_add(l, "  start %08llx batches %08llx\n", (unsigned long long)c->start >> 32,
              (unsigned long long)c->batches >> 32);
}

/* The cells of a row, with a blank behind each. */
static void add_cell(lines *l, int width, const char *text)
{
    lines_cell(l, (size_t)width + 1, "%s", text);
}

/* A number, or a dash if it is not known. */
static void add_number(lines *l, int width, const char *format, double x)
{
    char text[SHOWN];
    snprintf(text, sizeof text, format, x);
    add_cell(l, width, isnan(x) ? "-" : text);
}

/* Prints the rates of an optimizer with their losses, and marks the chosen one. */
static void print_rates(const study *y, int k)
{
    lines all = lines_begin(), *l = &all;
    double rates[MOST_RATES];
    char lr[SHOWN];
    const int n = study_rates(y, k, rates);
    const double best = study_chosen(y, k);
    lines_add(l, "%-*s", columns(y).name, y->names[k]);
    for (int i = 0; i < n; i++) {
        const summary s = study_summary(y, k, rates[i]);
        show_real(rates[i], lr);
        if (s.diverged)
            lines_add(l, "  %s: %lld of %lld diverged", lr, (long long)s.diverged,
                      (long long)s.runs);
        else if (s.runs < y->o->seeds)
            lines_add(l, "  %s: %lld of %lld runs", lr, (long long)s.runs, (long long)y->o->seeds);
        else
            lines_add(l, "  %s%s: %.4f", rates[i] == best ? "*" : "", lr, s.valid);
    }
    lines_add(l, "\n");
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
    lines all = table(w), *l = &all;
    const double lr = study_choice(y, k);
    const summary s = study_summary(y, k, lr);
    add_cell(l, w.name, y->names[k]);
    if (!isfinite(s.valid)) {
        lines_add(l, "%s\n",
                  study_settled(y, k) ? "every rate diverged in some run"
                                      : "no rate has its mean yet");
        return;
    }
    add_cell(l, w.rate, show_real(lr, best));
    add_cell(l, VALID, show_loss(s.valid, s.spread, valid));
    add_number(l, TEST, "%.4f", s.test);
    add_number(l, EXACT, "%5.1f %%", 100 * s.exact);
    add_number(l, TIME, "%.3g", 1000 * s.seconds);
    add_number(l, TIME, "%.3g", 1000 * s.update);
    show_bytes((double)s.state, state);
    lines_cell(l, STATE, "%s", state);
    lines_add(l, "%s\n", remark(y, k));
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
            lines_show(
                "edge: the best rate of %s, %s, is %s that was tried; a better one may lie beyond "
                "(%s)\n",
                y->names[k], show_real(study_chosen(y, k), best), where[p.edge], p.why);
    }
}

/* Prints which optimizers are not better than the untrained model. */
static void print_no_better(const study *y)
{
    const double untrained = study_untrained(y);
    lines all = lines_begin(), *l = &all;
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
        lines_add(l, "nothing in this study beats the untrained model\n");
    for (int i = 0; i < n && !(n == settled && y->complete); i++)
        lines_add(l, "%s%s", i ? ", " : "no better than the untrained model: ", names[i]);
    if (!(n == settled && y->complete))
        lines_add(l, "\n");
}

void study_table(const study *y)
{
    const widths w = columns(y);
    const long long done = study_done(y), seeds = y->o->seeds;
    lines all = table(w), *l = &all;
    show("\n");
    if (!y->complete)
        lines_show(
            "INCOMPLETE: %lld runs are done, %lld of the grids so far are not.\nA rate has a "
            "mean when its %lld seed%s done, an optimizer a choice when its grid is.\n",
            done, (long long)y->count - done, seeds, seeds > 1 ? "s are" : " is");
    add_cell(l, w.name, "optimizer");
    add_cell(l, w.rate, "rate");
    add_cell(l, VALID, "valid loss");
    add_cell(l, TEST, "test loss");
    add_cell(l, EXACT, "exact");
    add_cell(l, TIME, "ms/step");
    add_cell(l, TIME, "update");
    lines_cell(l, STATE, "state");
    lines_add(l, "\n");
    add_cell(l, w.name, "untrained");
    add_cell(l, w.rate, "-");
    add_number(l, VALID, "%.4f", study_untrained(y));
    lines_add(l, "\n");
    for (int k = 0; k < y->optimizers; k++)
        print_row(y, k, w);
    lines_show("+-: %s\n",
               seeds > 1 ? "standard deviation over the seeds (of a run: standard error over the "
                           "rows)"
                         : "standard error over the rows");
    print_edges(y);
    print_no_better(y);
    lines_show("\nvalidation loss of every rate (* chosen)\n");
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
