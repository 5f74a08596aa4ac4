/* dataset.c - data sets in general, and the one that is a text file. */
#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tn_dataset_fail(const char *place, int64_t line, const tn_error *inner, tn_error *e)
{
    char number[24] = "";
    if (line > 0)
        snprintf(number, sizeof number, ":%lld", (long long)line);
    return tn_fail(e, inner->code, "%s%s: %s", place, number, inner->text);
}

tn_dataset *tn_dataset_start(const tn_data_options *o, tn_error *e)
{
    if (e->code)
        return NULL;
    if (o->max_length < 2) {
        tn_fail(e, TN_EARG, "max_length is %lld; expected 2 or more", (long long)o->max_length);
        return NULL;
    }
    tn_dataset *d = calloc(1, sizeof *d);
    if (d == NULL)
        tn_fail(e, TN_ENOMEM, "data set: out of memory");
    return d;
}

void tn_dataset_free(tn_dataset *d)
{
    if (d == NULL)
        return;
    free(d->ids);
    free(d->start);
    free(d->prompt);
    free(d);
}

tn_data_facts tn_dataset_facts(const tn_dataset *d)
{
    return d->facts;
}

const int32_t *tn_dataset_record(const tn_dataset *d, int64_t i, int64_t *length, int64_t *prompt)
{
    if (d->facts.stream) {
        *length = d->window + 1;
        *prompt = 0;
        return d->ids + i * d->window;
    }
    *length = d->start[i + 1] - d->start[i];
    *prompt = d->prompt[i];
    return d->ids + d->start[i];
}

int tn_dataset_encode(tn_maker m, tn_span text, tn_error *e)
{
    tn_dataset *d = m.d;
    int64_t *unknown = m.o->skip_unknown ? &d->facts.unknown : NULL;
    return tn_encode(m.k, text.s, text.n, &d->ids, &d->n, &d->room, unknown, e);
}

tn_dataset *tn_dataset_finish(tn_dataset *d, const char *place, tn_error *e)
{
    if (!e->code && d->facts.records == 0)
        tn_fail(e, TN_EFORMAT, "%s: all %lld records were skipped; expected one with text within "
                "max_length", place, (long long)d->facts.skipped);
    if (e->code) {
        tn_dataset_free(d);
        return NULL;
    }
    return d;
}

/* ---- a text ---- */

/* Where the fraction ends, moved back to the first byte of a character. */
static size_t boundary(const char *text, size_t size, double fraction)
{
    size_t at = fraction > 0 ? fraction < 1 ? (size_t)(fraction * (double)size) : size : 0;
    while (at > 0 && at < size && ((unsigned char)text[at] & 0xC0) == 0x80)
        at--;
    return at;
}

/* The part of the text from byte `first` on as one stream, and its windows counted. */
static int read_stream(tn_maker m, const char *path, size_t first, tn_span text, tn_error *e)
{
    tn_dataset *d = m.d;
    tn_error inner = { 0 };
    if (tn_dataset_encode(m, text, &inner))
        return tn_fail(e, inner.code, "%s: from byte %zu on: %s", path, first, inner.text);
    d->window = m.o->max_length;
    if (d->n <= d->window)
        return tn_fail(e, TN_EFORMAT, "%s: a text of %lld tokens; expected at least %lld, one more "
                       "than a window", path, (long long)d->n, (long long)d->window + 1);
    d->facts.stream = true;
    d->facts.tokens = d->n;
    d->facts.records = (d->n - 1) / d->window;
    d->facts.loss_tokens = d->facts.records * d->window;
    return TN_OK;
}

tn_dataset *tn_dataset_text(const char *path, const tn_tokenizer *k, double from, double to,
                            const tn_data_options *o, tn_error *e)
{
    tn_dataset *d = tn_dataset_start(o, e);
    if (d == NULL)
        return NULL;
    size_t size = 0;
    char *text = tn_file_read(path, TN_LONGEST_FILE, &size, e);
    if (text != NULL) {
        const size_t first = boundary(text, size, from), last = boundary(text, size, to);
        const tn_span part = { text + first, last > first ? last - first : 0 };
        read_stream((tn_maker){ d, k, o }, path, first, part, e);
    }
    free(text);
    return tn_dataset_finish(d, path, e);
}
