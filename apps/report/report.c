/* report.c - writes the numbers of a run as it goes on: log.jsonl, log.csv, TensorBoard (report.h). */
#include "apps/report/report.h"
#include "apps/options/options_set.h"
#include "apps/report/events.h"
#include "apps/report/show.h"
#include "data/formats/folder.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* A number of a row. Steps have those with a t, evaluations those with a v. */
typedef struct column {
    const char *name;  /* in log.jsonl and log.csv */
    const char *event; /* in TensorBoard; NULL: not there */
    const char *splits;
    int digits;
    size_t offset;                    /* in report_row */
    enum { ALL, PAIRS, TEXTS } where; /* only in runs that learn preferences, or only in others */
} column;

#define AT(member) offsetof(report_row, member)
static const column columns[] = {
    { "epoch", "epoch", "t", 6, AT(epoch), ALL },
    { "loss", "loss", "tv", 9, AT(loss), ALL },
    { "learning_rate", "learning_rate", "t", 9, AT(rate), ALL },
    { "grad_norm", "grad_norm", "t", 9, AT(norm), ALL },
    { "tokens", NULL, "tv", 16, AT(tokens), ALL },
    { "tok_per_s", "tokens_per_second", "t", 5, AT(speed), ALL },
    { "elapsed_s", NULL, "tv", 6, AT(elapsed), ALL },
    { "eta_s", NULL, "t", 4, AT(left), ALL },
    { "rss_mb", NULL, "t", 5, AT(memory), ALL },
    { "stderr", NULL, "v", 4, AT(error), ALL },
    { "ppl", "perplexity", "v", 6, AT(perplexity), TEXTS },
    { "rewards/chosen", "rewards/chosen", "tv", 6, AT(mean.chosen), PAIRS },
    { "rewards/rejected", "rewards/rejected", "tv", 6, AT(mean.rejected), PAIRS },
    { "rewards/margins", "rewards/margins", "tv", 6, AT(mean.margin), PAIRS },
    { "rewards/accuracies", "rewards/accuracies", "tv", 6, AT(mean.accuracy), PAIRS },
};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* Is the column in the files of such a run? */
static bool is_there(const column *c, bool pairs)
{
    return c->where == ALL || (c->where == PAIRS) == pairs;
}

static double value_of(const report_row *r, const column *c)
{
    return *(const double *)(const void *)((const char *)r + c->offset);
}

/* Does the row have this number? */
static bool has(const report_row *r, const column *c)
{
    return strchr(c->splits, r->valid ? 'v' : 't') && is_there(c, r->pairs);
}

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
    if (!e->code && asks(o, "none") && strcmp(o->report_to, "none"))
        tn_fail(e, APP_USAGE, "--report-to %s: none beside others; expected none alone, or a list",
                o->report_to);
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
    return !tn_at_stat_self(fileno(f), &st) && st.st_size == 0;
}

int report_open(report *p, const output *out, const options *o, int64_t step, bool pairs,
                tn_error *e)
{
    tn_text head = { 0 }, first = { 0 };
    *p = (report){ .pairs = pairs };
    if (asks(o, "csv"))
        p->csv = output_records(out, "log.csv", rows_until, step, e);
    if (asks(o, "tensorboard"))
        p->events = output_records(out, EVENTS_FILE, events_all, step, e);
    if (p->csv && is_empty(p->csv)) {
        tn_text_add(&head, "split,step");
        for (int i = 0; i < COLUMNS; i++)
            if (is_there(&columns[i], pairs))
                tn_text_add(&head, ",%s", columns[i].name);
        tn_text_add(&head, ",best\n");
        write_text(p->csv, &head, "log.csv", e);
    }
    if (p->events && is_empty(p->events))
        events_version(now(), &first);
    else if (p->events)
        events_start(now(), step + 1, &first);
    return p->events ? write_text(p->events, &first, EVENTS_FILE, e) : e->code;
}

void report_json(const report_row *r, tn_text *out)
{
    tn_text_add(out, "{\"split\":\"%s\",\"step\":%lld", r->valid ? "valid" : "train",
                (long long)r->step);
    for (int i = 0; i < COLUMNS; i++)
        if (has(r, &columns[i]))
            json_real(out, columns[i].name, value_of(r, &columns[i]), columns[i].digits);
    if (r->valid)
        tn_text_add(out, ",\"best\":%s", r->best ? "true" : "false");
    tn_text_add(out, "}\n");
}

static int add_csv(report *p, const report_row *r, tn_error *e)
{
    tn_text t = { 0 };
    tn_text_add(&t, "%s,%lld", r->valid ? "valid" : "train", (long long)r->step);
    for (int i = 0; i < COLUMNS; i++) {
        const double x = value_of(r, &columns[i]);
        if (!is_there(&columns[i], r->pairs))
            continue;
        tn_text_add(&t, ",");
        if (has(r, &columns[i]) && isfinite(x))
            tn_text_add(&t, "%.*g", columns[i].digits, x);
    }
    tn_text_add(&t, ",%s\n", !r->valid ? "" : r->best ? "true" : "false");
    return write_text(p->csv, &t, "log.csv", e);
}

static int add_events(report *p, const report_row *r, tn_error *e)
{
    tn_text t = { 0 };
    const double time = now();
    for (int i = 0; i < COLUMNS; i++) {
        char tag[64];
        const double x = value_of(r, &columns[i]);
        snprintf(tag, sizeof tag, "%s/%s", r->valid ? "valid" : "train",
                 columns[i].event ? columns[i].event : "");
        if (columns[i].event && has(r, &columns[i]) && isfinite(x))
            events_number(time, r->step, tag, x, &t);
    }
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
