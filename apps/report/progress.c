/* progress.c - the line that a run prints while it goes on, and its records in log.jsonl. */
#include "apps/report/progress.h"
#include "apps/report/columns.h"
#include "apps/report/lines.h"
#include "apps/run/config_used.h"
#include "apps/report/machine.h"
#include "apps/report/show.h"
#include "apps/run/team.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

progress_mode progress_mode_of(const options *o)
{
    if (!strcmp(o->progress, "auto") && o->quiet)
        return PROGRESS_NONE;
    if (!strcmp(o->progress, "auto"))
        return isatty(STDOUT_FILENO) && !columns_are_plain() && team_size(o->team) == 1
                   ? PROGRESS_BAR /* mpirun shows a terminal to its processes, whatever it has */
                   : PROGRESS_LINES;
    return !strcmp(o->progress, "bar")     ? PROGRESS_BAR
           : !strcmp(o->progress, "lines") ? PROGRESS_LINES
           : !strcmp(o->progress, "json")  ? PROGRESS_JSON
                                           : PROGRESS_NONE;
}

/* Writes one record to stderr (--progress json) and to the log, and frees it. */
static int write_record(progress *p, tn_text *record, tn_error *e)
{
    const char *text = e->code ? NULL : tn_text_done(record, p->path ? p->path : "a record", e);
    if (text && p->mode == PROGRESS_JSON) /* for a program that watches the run */
        write_whole(stderr, text, record->n);
    if (text && p->log && !write_whole(p->log, text, record->n))
        tn_fail(e, TN_EIO, "%s: cannot write: %s", p->path, strerror(errno));
    tn_text_free(record);
    return e->code;
}

/* An option that may be given several times, as a list. */
static void add_list(const options *o, const option *row, tn_text *out)
{
    const char *const *list = (const char *const *)((const char *)o + row->offset);
    for (int k = 0; list[k]; k++) {
        if (k == 0)
            tn_text_add(out, ",\"%s\":[", row->name);
        else
            tn_text_add(out, ",");
        tn_text_quote(out, list[k], strlen(list[k]));
    }
    tn_text_add(out, "%s", list[0] ? "]" : "");
}

/* The options of train that are set, as members of an object. */
static void add_config(const options *o, tn_text *out)
{
    for (int i = 0; i < OPTIONS; i++) {
        const option *row = &options_table[i];
        tn_text value = { 0 };
        const bool has = strchr(row->commands, 't') && config_applies(o, i);
        if (has)
            options_value(o, i, &value);
        if (has && row->kind == OPTION_LIST)
            add_list(o, row, out);
        if (value.failed)
            tn_text_join(out, &value);
        else if (value.n && row->kind == OPTION_TEXT)
            json_text(out, row->name, value.s);
        else if (value.n)
            tn_text_add(out, ",\"%s\":%s", row->name, value.s);
        tn_text_free(&value);
    }
}

/* Version, options, seed and machine: the log's first record. */
static int write_header(progress *p, const run *r, tn_error *e)
{
    tn_text out = { 0 };
    struct utsname host;
    char cpu[128];
    tn_text_add(&out, "{\"tenon\":\"%s\",\"config\":{\"command\":\"train\"", TN_VERSION);
    add_config(r->o, &out);
    tn_text_add(&out, "},\"seed\":%lld", (long long)r->o->seed);
    json_text(&out, "host", uname(&host) ? "" : host.nodename);
    machine_cpu(cpu, sizeof cpu);
    json_text(&out, "cpu", cpu);
    json_text(&out, "isa", tn_context_isa(r->s->context));
    tn_text_add(&out, ",\"threads\":%d,\"first_step\":%lld,\"steps\":%lld",
                tn_context_threads(r->s->context), (long long)r->state.step + 1,
                (long long)r->steps);
    if (r->was_planned && r->was_planned != r->steps) /* a resume with another number of steps */
        tn_text_add(&out, ",\"steps_before\":%lld", (long long)r->was_planned);
    tn_text_add(&out, "}\n");
    return write_record(p, &out, e);
}

int progress_open(progress *p, const run *r, FILE *log, const char *path, tn_error *e)
{
    *p = (progress){ .mode = progress_mode_of(r->o), .log = log, .path = path };
    p->start = now_seconds();
    return e->code ? e->code : write_header(p, r, e);
}

/* Ends a bar's line, so that something else can be printed. */
static void end_line(progress *p)
{
    if (p->open_line)
        show("\n");
    p->open_line = false;
}

/* Writes the row's record into the log, and its numbers into the other files. */
static int write_row(progress *p, const report_row *row, tn_error *e)
{
    tn_text out = { 0 };
    report_json(row, &out);
    if (!write_record(p, &out, e) && p->report)
        report_add(p->report, row, e);
    return e->code;
}

static int show_valid(progress *p, const run_event *event, tn_error *e)
{
    const tn_eval *v = &event->valid;
    char loss[SHOWN], more[SHOWN];
    if (p->mode == PROGRESS_LINES || p->mode == PROGRESS_BAR) {
        end_line(p);
        if (event->pairs.pairs)
            show_rewards(&event->pairs, more);
        else
            snprintf(more, SHOWN, "perplexity %.4g", tn_exp_of(v->loss));
        lines_show("valid %lld  loss %s  %s%s\n", (long long)event->step,
                   show_loss(v->loss, v->error, loss), more, event->best ? "  best" : "");
    }
    const report_row row = { .valid = true,
                             .best = event->best,
                             .step = event->step,
                             .tokens = (double)v->tokens,
                             .loss = v->loss,
                             .elapsed = now_seconds() - p->start,
                             .error = v->error,
                             .perplexity = tn_exp_of(v->loss),
                             .pairs = event->pairs.pairs > 0,
                             .mean = rewards_of(&event->pairs) };
    return write_row(p, &row, e);
}

/* How many steps after `done` up to `last` are a multiple of `every`, or the last. */
static int64_t times(int64_t done, int64_t last, int64_t every)
{
    return last > done ? last / every - done / every + (last % every != 0) : 0;
}

double progress_left(const progress *p, const run *r)
{
    const options *o = r->o;
    const int64_t done = r->state.step;
    int64_t last = r->steps;
    if (o->max_tokens_total > 0) {
        const double more = (double)(o->max_tokens_total - r->state.tokens) / r->step_tokens;
        last = more < (double)(last - done) ? done + (int64_t)ceil(fmax(more, 0)) : last;
    }
    const bool evaluates = r->s->data[PART_VALID] != NULL;
    const eta_rest rest = { .steps = last - done,
                            .tokens = r->step_tokens,
                            .evaluations = evaluates ? times(done, last, o->steps_per_eval) : 0,
                            .saves = times(done, last, o->save_every),
                            .most = r->until > 0 ? fmax(r->until - now_seconds(), 1e-3) : 0 };
    return eta_left(&p->eta, &rest);
}

/* Cuts a line to complete parts (two spaces are between parts) that leave the last column free. A
   line that fills the last column would wrap, and the next line could not replace it. */
static void fit(char *line, size_t width)
{
    if (!width || strlen(line) < width)
        return;
    char *end = line + width - 1;
    while (end > line && !(end[0] == ' ' && end[1] == ' '))
        end--;
    if (end == line)
        end = line + width - 1;
    *end = 0;
}

enum { LINE = 320 };

/* The line of the last step: losses (of DPO margin and accuracy in place of their average), rate,
   speed, memory, time. */
static void step_line(const progress *p, const run *r, char line[LINE])
{
    char memory[SHOWN], speed[SHOWN], spent[SHOWN], left[ETA_SHOWN], more[SHOWN];
    const run_event *event = &p->last;
    const double seconds = progress_left(p, r);
    if (event->pairs.pairs)
        show_rewards(&event->pairs, more);
    else
        snprintf(more, SHOWN, "(ema %.4f)", p->smooth / p->weight);
    int n =
        snprintf(line, LINE, "step %lld/%lld  loss %.4f%s%s  lr %.3g  |g| %.3g  %s tok/s  %s  %s",
                 (long long)event->step, (long long)r->steps, event->loss,
                 event->pairs.pairs ? "  " : " ", more, event->lr, event->grad_norm,
                 show_count((int64_t)p->speed, speed), show_bytes(memory_peak(), memory),
                 show_time(now_seconds() - p->start, spent));
    if (seconds >= 0 && n < LINE)
        snprintf(line + n, LINE - (size_t)n, "  ETA %s", eta_show(seconds, time(NULL), left));
}

static void print_step(progress *p, const run *r)
{
    char line[LINE];
    step_line(p, r, line);
    p->open_line = p->mode == PROGRESS_BAR;
    if (p->open_line) {
        fit(line, columns_now());
        show("\r%s\033[K", line);
    } else {
        show("%s\n", line);
    }
}

void progress_status(progress *p, const run *r, int64_t saved)
{
    char line[LINE], all[LINE + 64];
    end_line(p);
    if (p->mode == PROGRESS_JSON)
        snprintf(all, sizeof all,
                 "{\"split\":\"status\",\"step\":%lld,\"steps\":%lld,\"saved\":%lld}\n",
                 (long long)r->state.step, (long long)r->steps, (long long)saved);
    else if (p->steps) {
        step_line(p, r, line);
        snprintf(all, sizeof all, "%s  checkpoint %lld\n", line, (long long)saved);
    }
    if (p->mode == PROGRESS_JSON || p->steps)
        write_whole(stderr, all, strlen(all));
}

static int show_step(progress *p, const run *r, const run_event *event, tn_error *e)
{
    const tn_data_facts facts = tn_dataset_facts(r->s->data[PART_TRAIN]);
    const double rows = (double)r->state.batches * (double)r->o->batch_size;
    const double left = progress_left(p, r);
    p->speed = (double)(p->tokens - p->reported_tokens) / (r->seconds - p->reported + 1e-9);
    p->reported = r->seconds;
    p->reported_tokens = p->tokens;
    if (p->mode == PROGRESS_LINES || p->mode == PROGRESS_BAR)
        print_step(p, r);
    const report_row row = { .step = event->step,
                             .tokens = (double)r->state.tokens,
                             .epoch = rows / (double)facts.records,
                             .loss = event->loss,
                             .rate = event->lr,
                             .norm = event->grad_norm,
                             .speed = p->speed,
                             .elapsed = now_seconds() - p->start,
                             .left = left < 0 ? (double)NAN : left,
                             .memory = memory_peak() / 1e6,
                             .pairs = event->pairs.pairs > 0,
                             .mean = rewards_of(&event->pairs) };
    return write_row(p, &row, e);
}

int progress_event(progress *p, const run *r, const run_event *event, tn_error *e)
{
    if (event->evaluated) {
        eta_pause(&p->eta.evaluations, event->seconds);
        return show_valid(p, event, e);
    }
    p->steps++;
    p->last = *event;
    eta_step(&p->eta, (double)event->tokens, event->seconds);
    p->tokens += event->tokens;
    p->smooth = 0.9 * p->smooth + 0.1 * event->loss;
    p->weight = 0.9 * p->weight + 0.1;
    if (event->step % r->o->steps_per_report && event->step != 1 && event->step != r->steps)
        return 0;
    return show_step(p, r, event, e);
}

/* The text as one line, cut to so many columns: the characters that would break it are spaces. */
static void add_cut(tn_span text, size_t most, tn_text *out)
{
    const bool fits = columns_of(text.s, text.n) <= most;
    const size_t n = fits ? text.n : columns_bytes(text.s, text.n, most > 3 ? most - 3 : 0);
    for (size_t i = 0; i < n; i++)
        tn_text_bytes(out, text.s[i] == '\n' || text.s[i] == '\r' ? " " : text.s + i, 1);
    tn_text_add(out, "%s", n < text.n ? "..." : "");
}

/* "sample 200  PROMPT -> ANSWER" in the width of the terminal: a third of it for the prompt. */
static void print_sample(int64_t step, tn_span prompt, tn_span answer, tn_error *e)
{
    enum { BESIDE = 30, LEAST = 60, USUAL = 100 }; /* columns */
    const size_t columns = columns_now() ? columns_now() : USUAL;
    const size_t room = (columns > LEAST ? columns : LEAST) - BESIDE;
    const size_t first = columns_of(prompt.s, prompt.n);
    const size_t left = first < room / 3 ? room - first : room - room / 3;
    tn_text line = { 0 };
    add_cut(prompt, room / 3, &line);
    tn_text_add(&line, " -> ");
    add_cut(answer, left, &line);
    const char *text = tn_text_done(&line, "a sample", e);
    if (text)
        show("sample %lld  %s\n", (long long)step, text);
    tn_text_free(&line);
}

int progress_sample(progress *p, int64_t step, tn_span prompt, tn_span answer, int64_t tokens,
                    tn_error *e)
{
    tn_text out = { 0 };
    if (p->mode == PROGRESS_LINES || p->mode == PROGRESS_BAR) {
        end_line(p);
        print_sample(step, prompt, answer, e);
    }
    tn_text_add(&out, "{\"split\":\"sample\",\"step\":%lld,\"prompt\":", (long long)step);
    tn_text_quote(&out, prompt.s, prompt.n);
    tn_text_add(&out, ",\"text\":");
    tn_text_quote(&out, answer.s, answer.n);
    tn_text_add(&out, ",\"tokens\":%lld}\n", (long long)tokens);
    return write_record(p, &out, e);
}

void progress_close(progress *p)
{
    end_line(p);
    if (p->log)
        fclose(p->log);
    p->log = NULL;
}

void print_resume(const options *o, tn_error *e)
{
    tn_text line = { 0 };
    if (team_size(o->team) > 1) /* no bit depends on the number, but the time does */
        tn_text_add(&line, "mpirun -np %d ", team_size(o->team));
    for (int i = 0; i < o->argc; i++) {
        if (!strcmp(o->argv[i], "--overwrite") || !strcmp(o->argv[i], "--resume") ||
            !strcmp(o->argv[i], "--auto-resume"))
            continue;
        show_word(o->argv[i], &line);
        tn_text_add(&line, " ");
    }
    if (o->overwrite && o->config) /* the config file may contain overwrite = true */
        tn_text_add(&line, "--no-overwrite ");
    const char *text = tn_text_done(&line, "the command to continue with", e);
    if (text)
        show("to continue: %s--resume\n", text);
    tn_text_free(&line);
}
