/* show_data.c - what a data set has, in words (show_data.h). */
#include "apps/report/show_data.h"
#include "apps/report/show.h"

#include <string.h>

/* The formats of the records: "(chat)", or "(12 chat, 3 windows)" if there are several. */
static void add_formats(const tn_data_facts *f, tn_text *out)
{
    char count[SHOWN];
    int64_t windows = f->records;
    int kinds = 0;
    for (int i = 0; i < TN_FORMATS; i++) {
        kinds += f->formats[i] > 0;
        windows -= f->formats[i];
    }
    if (!kinds)
        return;
    bool first = true;
    for (int i = 0; i < TN_FORMATS; i++) {
        if (!f->formats[i])
            continue;
        tn_text_add(out, first ? " (" : ", ");
        if (kinds + (windows > 0) > 1)
            tn_text_add(out, "%s ", show_count(f->formats[i], count));
        tn_text_add(out, "%s", tn_record_format_name((tn_record_format)i));
        first = false;
    }
    if (windows)
        tn_text_add(out, ", %s windows", show_count(windows, count));
    tn_text_add(out, ")");
}

/* "line 77"; "a.jsonl:77" if there are several files. */
static void add_place(const tn_skipped *s, const options *o, tn_text *out)
{
    if (o->data[0] && o->data[1])
        tn_text_add(out, "%s:%lld",
                    o->standard_input && !strcmp(s->path, o->standard_input) ? "standard input"
                                                                             : s->path,
                    (long long)s->line);
    else
        tn_text_add(out, "line %lld", (long long)s->line);
}

static void add_reason(const tn_skipped *s, const options *o, const char *why, tn_text *out)
{
    tn_text_add(out, "%s: %lld", why, (long long)s->count);
    if (s->path) {
        tn_text_add(out, s->count > 1 ? ", first in " : ", in ");
        add_place(s, o, out);
    }
}

/* ", 1 skipped (line 77: no text)"; ", 6 skipped (no text: 5, first in line 7; no answer: 1 ...)". */
static void add_skipped(const tn_dataset *d, const options *o, int64_t all, tn_text *out)
{
    tn_text_add(out, ", %lld skipped (", (long long)all);
    bool first = true;
    for (int why = 0; why < TN_SKIPS; why++) {
        const tn_skipped s = tn_dataset_skipped(d, (tn_skip)why);
        const char *text = tn_skip_text((tn_skip)why);
        if (!s.count)
            continue;
        tn_text_add(out, first ? "" : "; ");
        first = false;
        if (all == 1 && s.path) {
            add_place(&s, o, out);
            tn_text_add(out, ": %s", text);
        } else if (s.count == all && !s.path) {
            tn_text_add(out, "%s", text);
        } else {
            add_reason(&s, o, text, out);
        }
    }
    tn_text_add(out, ")");
}

static void add_cuts(const tn_dataset *d, const options *o, int64_t length, bool drawn,
                     tn_text *out)
{
    const tn_data_facts f = tn_dataset_facts(d);
    const bool front = o->truncate && !strcmp(o->truncate, "front");
    if (f.truncated)
        tn_text_add(out, ", %lld cut%s at %lld tokens", (long long)f.truncated,
                    front ? " in front" : "", (long long)length);
    if (f.answers_cut)
        tn_text_add(out, " (%lld of them lost tokens that count in the loss)",
                    (long long)f.answers_cut);
    if (f.skipped)
        add_skipped(d, o, f.skipped, out);
    if (f.repeated)
        tn_text_add(out, ", %lld %s in the validation data", (long long)f.repeated,
                    f.pairs ? "with a prompt that is" : "also");
    if (f.left && !(drawn && f.text))
        tn_text_add(out, ", the last %lld left out", (long long)f.left);
}

/* Adds the rest of a line and frees it. */
static void add_rest(lines *l, tn_text *rest, tn_error *e)
{
    const char *text = tn_text_done(rest, "the data", e);
    if (text)
        lines_add(l, "%s\n", text);
    tn_text_free(rest);
}

void show_data_cuts(lines *l, const tn_dataset *d, const options *o, int64_t length, tn_error *e)
{
    tn_text rest = { 0 };
    add_cuts(d, o, length, false, &rest);
    add_rest(l, &rest, e);
}

void show_data(lines *l, const tn_dataset *d, const options *o, int64_t length, bool drawn,
               tn_error *e)
{
    const tn_data_facts f = tn_dataset_facts(d);
    char records[SHOWN], tokens[SHOWN], counted[SHOWN];
    tn_text line = { 0 };
    tn_text_add(&line, "%s %s%s", show_count(f.records, records), f.text ? "window" : "record",
                show_s(f.records));
    add_formats(&f, &line);
    tn_text_add(&line, ", %s token%s, %s in the loss", show_count(f.tokens, tokens),
                show_s(f.tokens), show_count(f.loss_tokens, counted));
    add_cuts(d, o, length, drawn, &line);
    add_rest(l, &line, e);
}
