/* compare_table.c - what a study writes, in its folder and on the terminal.
   runs.jsonl, curves.jsonl, table.csv, config.used and the table of the screen. */
#include "apps/compare/compare.h"
#include "apps/run/config_used.h"
#include "apps/run/show.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the study was told, for its folder. */
static int write_used(const study *y, bool full, tn_error *e)
{
    tn_text told = { 0 };
    config_told(y->o, "compare", full, &told);
    return tn_text_save(&told, y->o->out, "config.used", e);
}

int study_open(study *y, bool full, tn_error *e)
{
    static const char *const names[] = { "runs.jsonl", "curves.jsonl", "table.csv", "config.used" };
    for (int i = 0; i < 4; i++)
        if (!(y->paths[i] = tn_path_join(y->o->out, names[i])))
            return tn_fail(e, TN_ENOMEM, "%s: out of memory", y->o->out);
    y->runs = fopen(y->paths[0], "w");
    y->curves = y->runs ? fopen(y->paths[1], "w") : NULL;
    if (!y->curves)
        return tn_fail(e, TN_EIO, "%s: cannot write: %s", y->paths[y->runs ? 1 : 0],
                       strerror(errno));
    return write_used(y, full, e);
}

void study_close(study *y)
{
    if (y->runs)
        fclose(y->runs);
    if (y->curves)
        fclose(y->curves);
    for (int i = 0; i < 4; i++)
        free(y->paths[i]);
    free(y->cells);
    *y = (study){ 0 };
}

/* Writes a line, which is freed, and sees that it arrived. */
static void write_line(FILE *f, const char *path, tn_text *line, tn_error *e)
{
    const char *text = tn_text_done(line, path, e);
    if (text && (fwrite(text, 1, line->n, f) != line->n || fflush(f)))
        tn_fail(e, TN_EIO, "%s: cannot write: %s", path, strerror(errno));
    tn_text_free(line);
}

static void add_name(const study *y, const cell *c, tn_text *out)
{
    tn_text_add(out, "{\"optimizer\":\"%s\",\"learning_rate\":%g,\"seed\":%lld",
                y->names[c->optimizer], c->lr, (long long)c->seed);
}

/* Was the run scored on test data? */
static bool is_tested(const cell *c)
{
    return c->test.rows && !c->diverged;
}

void study_record(study *y, const cell *c, tn_error *e)
{
    tn_text line = { 0 };
    add_name(y, c, &line);
    if (!c->diverged) {
        json_real(&line, "valid_loss", c->valid.loss, 9);
        json_real(&line, "valid_stderr", c->valid.error, 4);
    }
    if (is_tested(c)) {
        json_real(&line, "test_loss", c->test.loss, 9);
        json_real(&line, "test_stderr", c->test.error, 4);
        tn_text_add(&line, ",\"test_exact\":%lld,\"test_rows\":%lld", (long long)c->test.exact,
                    (long long)c->test.rows);
    }
    json_real(&line, "train_loss", c->train, 9);
    json_real(&line, "seconds_per_step", c->seconds, 4);
    tn_text_add(&line, ",\"state_bytes\":%zu,\"diverged_at\":%lld", c->state,
                (long long)c->diverged);
    tn_text_add(&line, ",\"start\":\"%016llx\",\"batches\":\"%016llx\"}\n",
                (unsigned long long)c->start, (unsigned long long)c->batches);
    write_line(y->runs, y->paths[0], &line, e);
}

void study_point(study *y, const cell *c, const run_event *event, tn_error *e)
{
    tn_text line = { 0 };
    add_name(y, c, &line);
    tn_text_add(&line, ",\"split\":\"%s\",\"step\":%lld", event->evaluated ? "valid" : "train",
                (long long)event->step);
    json_real(&line, "loss", event->evaluated ? event->valid.loss : event->loss, 9);
    if (!event->evaluated)
        json_real(&line, "grad_norm", event->grad_norm, 6);
    tn_text_add(&line, "}\n");
    write_line(y->curves, y->paths[1], &line, e);
}

typedef struct widths { int name, rate, seed; } widths; /* of columns, in letters */

/* As wide as the longest name, rate and seed of the study, or as most studies need. */
static widths columns(const study *y)
{
    widths w = { 12, 9, 3 };
    for (int64_t i = 0; i < y->count; i++) {
        const cell *c = &y->cells[i];
        const int name = (int)strlen(y->names[c->optimizer]);
        const int rate = snprintf(NULL, 0, "%g", c->lr);
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
    printf("%-*s lr %-*g seed %-*lld ", w.name, y->names[c->optimizer], w.rate, c->lr, w.seed,
           (long long)c->seed);
    if (c->diverged)
        printf("not finite at step %lld", (long long)c->diverged);
    else
        printf("valid %.4f +- %.4f", c->valid.loss, c->valid.error);
    if (is_tested(c))
        printf("  test %.4f", c->test.loss);
    if (is_tested(c) && c->records)
        printf("  exact %.1f %%", 100.0 * (double)c->test.exact / (double)c->test.rows);
    printf("  %.3g ms a step  start %08llx batches %08llx\n", 1000 * c->seconds,
           (unsigned long long)c->start >> 32, (unsigned long long)c->batches >> 32);
    fflush(stdout);
}

/* A number, or a dash of the same width where there is none. */
static void print_number(double x, double scale, const char *format)
{
    char text[SHOWN];
    const int width = snprintf(text, sizeof text, format, scale * (isnan(x) ? 0 : x));
    printf("%-*s", width, isnan(x) ? "-" : text);
}

/* The rates of an optimizer with their losses, the chosen one marked. */
static void print_rates(const study *y, int k)
{
    double rates[MOST_RATES];
    const int n = study_rates(y, k, rates);
    const double best = study_choice(y, k);
    printf("%-*s", columns(y).name, y->names[k]);
    for (int i = 0; i < n; i++) {
        const summary s = study_summary(y, k, rates[i]);
        if (!s.runs)
            printf("  %g: not run", rates[i]);
        else if (isfinite(s.valid))
            printf("  %s%g: %.4f", rates[i] == best ? "*" : "", rates[i], s.valid);
        else
            printf("  %g: diverged", rates[i]);
    }
    printf("\n");
}

/* The row of an optimizer: its best rate and what came of it. */
static void print_row(const study *y, int k, widths w)
{
    char state[SHOWN], valid[SHOWN];
    const double lr = study_choice(y, k);
    const summary s = study_summary(y, k, lr);
    printf("%-*s ", w.name, y->names[k]);
    if (!isfinite(s.valid)) {
        printf("%s\n", s.runs ? "no rate of its grid stayed finite" : "no run was finished");
        return;
    }
    snprintf(valid, sizeof valid, "%.4f +- %.4f", s.valid, s.spread);
    printf("%-*g %-20s ", w.rate, lr, valid);
    print_number(s.test, 1, "%-10.4f ");
    print_number(s.exact, 100, "%5.1f %%  ");
    printf("%-10.3g %s\n", 1000 * s.seconds, show_bytes((double)s.state, state));
}

void study_table(const study *y)
{
    const widths w = columns(y);
    printf("\n%-*s %-*s %-20s %-10s %-8s %-10s %s\n", w.name, "optimizer", w.rate, "rate",
           "valid loss", "test loss", "exact", "ms a step", "state");
    for (int k = 0; k < y->optimizers; k++)
        print_row(y, k, w);
    printf("+-: %s\n", y->o->seeds > 1 ? "standard deviation over the seeds (of a run: standard "
                                         "error over the rows)"
                                       : "standard error over the rows");
    printf("\nvalidation loss of every rate (* chosen)\n");
    for (int k = 0; k < y->optimizers; k++)
        print_rates(y, k);
}

int study_csv(const study *y, tn_error *e)
{
    tn_text out = { 0 };
    tn_text_add(&out,
                "optimizer,learning_rate,seed,chosen,valid_loss,valid_stderr,test_loss,test_exact,"
                "test_rows,"
                "train_loss,seconds_per_step,state_bytes,diverged_at,start,batches\n");
    for (int64_t i = 0; i < y->count; i++) {
        const cell *c = &y->cells[i];
        if (!c->done)
            continue;
        tn_text_add(&out, "%s,%g,%lld,%d,", y->names[c->optimizer], c->lr, (long long)c->seed,
                    c->lr == study_choice(y, c->optimizer));
        if (c->diverged)
            tn_text_add(&out, ",,");
        else
            tn_text_add(&out, "%.6f,%.6f,", c->valid.loss, c->valid.error);
        if (is_tested(c))
            tn_text_add(&out, "%.6f,%lld,%lld,", c->test.loss, (long long)c->test.exact,
                        (long long)c->test.rows);
        else
            tn_text_add(&out, ",,,");
        tn_text_add(&out, "%.6f,%.5f,%zu,%lld,%016llx,%016llx\n", c->train, c->seconds, c->state,
                    (long long)c->diverged, (unsigned long long)c->start,
                    (unsigned long long)c->batches);
    }
    return tn_text_save(&out, y->o->out, "table.csv", e);
}
