/* report.c - writes log.csv and the event file of TensorBoard as a run goes on. */
#include "apps/report/report.h"
#include "apps/options/options_set.h"
#include "apps/report/events.h"
#include "apps/report/show.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char csv_head[] =
    REPORT_HEAD "learning_rate,grad_norm,tokens,tok_per_s,elapsed_s,eta_s,rss_mb,stderr,ppl,best\n";

static bool asks(const options *o, const char *word)
{
    return word_in(word, strlen(word), o->report_to, ",");
}

int report_check(const options *o, tn_error *e)
{
    for (const char *s = o->report_to; !e->code && *s;) {
        const size_t n = strcspn(s, ",");
        if (!word_in(s, n, "jsonl,csv,tensorboard,none", ","))
            tn_fail(e, APP_USAGE, "--report-to \"%.*s\": expected jsonl, csv, tensorboard or none",
                    n > 60 ? 60 : (int)n, s);
        s += n + (s[n] == ',');
    }
    return e->code;
}

/* The rows up to a step, in whole lines. */
static size_t rows_until(const char *text, size_t n, int64_t step)
{
    size_t at = 0;
    for (const char *end; at < n && (end = memchr(text + at, '\n', n - at)) != NULL;) {
        const char *comma = memchr(text + at, ',', n - at);
        if (at > 0 && comma && comma < end && strtoll(comma + 1, NULL, 10) > step)
            break;
        at = (size_t)(end - text) + 1;
    }
    return at;
}

static size_t events_all(const char *bytes, size_t n, int64_t step)
{
    (void)step;
    return events_whole(bytes, n);
}

static double now(void)
{
    struct timespec t = { 0 };
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int write_text(FILE *f, tn_text *t, const char *name, tn_error *e)
{
    const char *text = tn_text_done(t, name, e);
    if (text && t->n && !write_whole(f, text, t->n))
        tn_fail(e, TN_EIO, "%s: cannot write: %s", name, strerror(errno));
    tn_text_free(t);
    return e->code;
}

static bool is_empty(FILE *f)
{
    struct stat st;
    return !fstat(fileno(f), &st) && st.st_size == 0;
}

int report_open(report *p, const output *out, const options *o, int64_t step, tn_error *e)
{
    tn_text head = { 0 }, first = { 0 };
    *p = (report){ 0 };
    if (asks(o, "csv"))
        p->csv = output_records(out, "log.csv", rows_until, step, e);
    if (asks(o, "tensorboard"))
        p->events = output_records(out, EVENTS_FILE, events_all, step, e);
    if (p->csv && is_empty(p->csv)) {
        tn_text_add(&head, "%s", csv_head);
        write_text(p->csv, &head, "log.csv", e);
    }
    if (p->events && is_empty(p->events))
        events_version(now(), &first);
    else if (p->events)
        events_start(now(), step + 1, &first);
    return p->events ? write_text(p->events, &first, EVENTS_FILE, e) : e->code;
}

static void add_number(tn_text *t, double x, int digits)
{
    tn_text_add(t, ",");
    if (isfinite(x))
        tn_text_add(t, "%.*g", digits, x);
}

static int add_csv(report *p, const report_row *r, tn_error *e)
{
    tn_text t = { 0 };
    tn_text_add(&t, "%s,%lld", r->valid ? "valid" : "train", (long long)r->step);
    add_number(&t, r->epoch, 6);
    add_number(&t, r->loss, 9);
    add_number(&t, r->rate, 9);
    add_number(&t, r->norm, 9);
    tn_text_add(&t, ",%lld", (long long)r->tokens);
    add_number(&t, r->speed, 5);
    add_number(&t, r->elapsed, 6);
    add_number(&t, r->left, 4);
    add_number(&t, r->memory, 5);
    add_number(&t, r->error, 4);
    add_number(&t, r->perplexity, 6);
    tn_text_add(&t, ",%s\n", !r->valid ? "" : r->best ? "true" : "false");
    return write_text(p->csv, &t, "log.csv", e);
}

static int add_events(report *p, const report_row *r, tn_error *e)
{
    const struct {
        const char *tag;
        double value;
    } all[] = { { r->valid ? "valid/loss" : "train/loss", r->loss },
                { "valid/perplexity", r->perplexity },
                { "train/learning_rate", r->rate },
                { "train/grad_norm", r->norm },
                { "train/epoch", r->epoch },
                { "train/tokens_per_second", r->speed } };
    tn_text t = { 0 };
    const double time = now();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (isfinite(all[i].value))
            events_number(time, r->step, all[i].tag, all[i].value, &t);
    return write_text(p->events, &t, EVENTS_FILE, e);
}

int report_add(report *p, const report_row *row, tn_error *e)
{
    if (!e->code && p->csv)
        add_csv(p, row, e);
    if (!e->code && p->events)
        add_events(p, row, e);
    return e->code;
}

void report_close(report *p)
{
    if (p->csv)
        fclose(p->csv);
    if (p->events)
        fclose(p->events);
    *p = (report){ 0 };
}
