/* inspect_data.c - prints the lengths of records, and their tokens with and without loss. */
#include "apps/commands/inspect.h"
#include "apps/run/setup.h"
#include "apps/report/columns.h"
#include "apps/report/lines.h"
#include "apps/report/show.h"
#include "apps/report/show_data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_RECORDS = 3, SHOWN_TOKENS = 200, BARS = 12 };

/* Prints the text of n ids of a record from id `from` on. An id without text is a number. */
static void print_tokens(const tn_tokenizer *k, const tn_dataset *d, int64_t record, int64_t from,
                         int64_t n, tn_error *e)
{
    int32_t ids[SHOWN_TOKENS];
    const int64_t shown = n < SHOWN_TOKENS ? n : SHOWN_TOKENS;
    tn_text text = { 0 };
    tn_dataset_ids(d, record, from, shown, ids);
    for (int64_t i = 0; i < shown; i++) {
        const size_t before = text.n;
        tn_decode_token(k, ids[i], true, &text); /* a character may be several ids */
        if (text.n == before)
            tn_text_add(&text, "<%d>", ids[i]);
    }
    const char *whole = tn_text_done(&text, "a record", e);
    show("%s", whole ? whole : "");
    tn_text_free(&text);
    if (n > SHOWN_TOKENS)
        show("... %lld more", (long long)(n - SHOWN_TOKENS));
}

/* Ends the line, and prints the ids [begin, end) of a record in parts, with loss or without. */
static void print_parts(lines *l, const tn_dataset *d, const tn_tokenizer *k, int64_t record,
                        int64_t begin, int64_t end, tn_error *e)
{
    const int64_t length = end - begin;
    bool *learnt = calloc((size_t)length + 1, sizeof *learnt);
    int64_t without = 0;
    if (!learnt) {
        tn_fail(e, TN_ENOMEM, "a record: out of memory");
        return;
    }
    tn_dataset_learnt(d, record, begin, length, learnt);
    if (length > 1) /* nothing predicts the first; it is shown with what follows */
        learnt[0] = learnt[1];
    for (int64_t i = 0; i < length; i++)
        without += !learnt[i];
    lines_add(l, ", %lld without loss\n", (long long)without);
    for (int64_t from = 0, to; from < length && !e->code; from = to) {
        for (to = from; to < length && learnt[to] == learnt[from];)
            to++;
        show(learnt[from] ? "  with     " : "  without  ");
        print_tokens(k, d, record, begin + from, to - from, e);
        show("\n");
    }
    free(learnt);
}

/* ---- lengths ---- */

typedef struct lengths {
    int64_t least, most, longest, typical; /* longest, typical: numbers of records */
    double mean;
} lengths;

/* Of a pair that of its longer row. */
static int64_t length_of(const tn_dataset *d, int64_t i)
{
    int64_t prompt;
    const int64_t n = tn_dataset_record(d, i, &prompt), second = tn_dataset_second(d, i);
    return second > n - second ? second : n - second;
}

static lengths measure(const tn_dataset *d, int64_t records)
{
    lengths l = { .least = INT64_MAX };
    for (int64_t i = 0; i < records; i++) {
        const int64_t n = length_of(d, i);
        l.mean += (double)n / (double)records;
        l.least = n < l.least ? n : l.least;
        l.longest = n > l.most ? i : l.longest;
        l.most = n > l.most ? n : l.most;
    }
    double nearest = (double)INT64_MAX;
    for (int64_t i = 0; i < records; i++) {
        const double from = fabs((double)length_of(d, i) - l.mean);
        l.typical = from < nearest ? i : l.typical;
        nearest = from < nearest ? from : nearest;
    }
    return l;
}

/* The width of a bar of the histogram in tokens: 1, 2 or 5 times a power of ten, so that there are
   at most BARS. */
static int64_t bar_width(int64_t least, int64_t most)
{
    static const int64_t digits[] = { 1, 2, 5 };
    for (int64_t ten = 1;; ten *= 10)
        for (int i = 0; i < 3; i++)
            if (most / (digits[i] * ten) - least / (digits[i] * ten) < BARS)
                return digits[i] * ten;
}

/* A line per bar: its tokens, its records, and their number as signs in the columns that are left. */
static void print_histogram(const tn_dataset *d, int64_t records, const lengths *l)
{
    enum { BEFORE = 32, USUAL = 80, WIDEST = 100 };
    const size_t now = columns_to_fit(), width = now ? now : USUAL - 1;
    const int64_t room = width > WIDEST   ? WIDEST - BEFORE
                         : width > BEFORE ? (int64_t)width - BEFORE
                                          : 1;
    const int64_t step = bar_width(l->least, l->most), first = l->least / step;
    int64_t count[BARS] = { 0 }, largest = 0;
    for (int64_t i = 0; i < records; i++) {
        const int64_t n = ++count[length_of(d, i) / step - first];
        largest = n > largest ? n : largest;
    }
    lines_show("\nlengths: %lld to %lld tokens, %.1f on average\n", (long long)l->least,
               (long long)l->most, l->mean);
    for (int64_t b = 0; b <= l->most / step - first; b++) {
        char bar[WIDEST] = "";
        const int64_t from = (first + b) * step, n = (count[b] * room + largest - 1) / largest;
        memset(bar, '#', (size_t)n);
        show("  %7lld -%8lld %10lld%s%s\n", (long long)from, (long long)(from + step - 1),
             (long long)count[b], *bar ? "  " : "", bar);
    }
}

/* ---- records ---- */

static void print_record(const tn_dataset *d, const tn_tokenizer *k, int64_t i, const char *why,
                         tn_error *e)
{
    int64_t prompt;
    const int64_t length = tn_dataset_record(d, i, &prompt), second = tn_dataset_second(d, i);
    const int64_t first = second ? second : length;
    const char *cut = tn_dataset_cut(d, i) ? ", cut" : "";
    lines all = lines_begin(), *l = &all;
    lines_add(l, "\nrecord %lld%s%s: %lld token%s%s", (long long)i, why, second ? ", chosen" : "",
              (long long)first, show_s(first), cut);
    print_parts(l, d, k, i, 0, first, e);
    if (!second)
        return;
    lines_add(l, "record %lld, rejected: %lld token%s%s", (long long)i,
              (long long)(length - second), show_s(length - second), cut);
    print_parts(l, d, k, i, second, length, e);
}

/* What train keeps apart of a file that is in no folder. */
static void print_kept(const tn_dataset *valid, const options *o)
{
    const tn_data_facts f = tn_dataset_facts(valid);
    char count[SHOWN];
    if (f.records && data_is_divided(o))
        lines_show("valid: %s more %s%s, which train evaluates on (--split valid shows them, "
                   "--valid-split 0 keeps none)\n",
                   show_count(f.records, count), f.text ? "window" : "record", show_s(f.records));
}

static void print_records(const tn_dataset *d, const tn_dataset *valid, const options *o,
                          const tn_tokenizer *k, int64_t length, tn_error *e)
{
    const tn_data_facts f = tn_dataset_facts(d);
    const int64_t count = o->count > 0 ? o->count : SHOWN_RECORDS;
    lines first = lines_begin();
    show_data(&first, d, o, length, false, e);
    print_kept(valid, o);
    const lengths l = measure(d, f.records);
    if (!f.text)
        print_histogram(d, f.records, &l);
    for (int64_t i = 0; i < f.records && i < count && !e->code; i++)
        print_record(d, k, i, "", e);
    if (!f.text && l.typical >= count && !e->code)
        print_record(d, k, l.typical, ", of average length", e);
    if (!f.text && l.longest >= count && !e->code)
        print_record(d, k, l.longest, ", the longest", e);
}

int inspect_data(const options *o, tn_error *e)
{
    setup s = { 0 };
    char name[DATA_NAME];
    int64_t length = 0;
    const part which = part_find(o->split);
    if (o->model) {
        setup_model(&s, o, 0, e);
        if (which == PART_TRAIN && data_is_divided(o))
            setup_both(&s, o, e);
        else
            setup_data(&s, o, which, e);
        length = e->code ? 0 : setup_length(&s, o);
    } else if (o->tokenizer) {
        length = o->max_seq_length > 0 ? o->max_seq_length : 2048;
        s.tokenizer = data_tokenizer(o, e);
        const data_how how = { .o = o, .tokenizer = s.tokenizer, .length = length };
        if (which == PART_TRAIN && data_is_divided(o))
            data_both(&how, s.data, e);
        else
            s.data[which] = data_part(&how, which, e);
    } else {
        tn_fail(e, APP_USAGE, "--data: expected --model or --tokenizer beside it, to make tokens");
    }
    if (!e->code && !s.data[which])
        tn_fail(e, APP_USAGE, "--data %s: has no %s part", data_name(o, name), o->split);
    if (!e->code)
        print_records(s.data[which], which == PART_TRAIN ? s.data[PART_VALID] : NULL, o,
                      s.tokenizer, length, e);
    setup_close(&s);
    return e->code;
}
