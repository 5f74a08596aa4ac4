/* dataset.c - data sets in general, and the one that is a text file. */
#include "data/sets/dataset.h"
#include "data/formats/file.h"
#include "data/tokenizers/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int tn_dataset_fail(const char *place, int64_t line, const tn_error *inner, tn_error *e)
{
    char number[24] = "";
    if (line > 0)
        snprintf(number, sizeof number, ":%lld", (long long)line);
    return tn_fail(e, inner->code, "%s%s: %s", place, number, inner->text);
}

tn_dataset *tn_dataset_start(const tn_tokenizer *k, const tn_data_options *o, tn_error *e)
{
    if (e->code)
        return NULL;
    if (o->max_length < 2) {
        tn_fail(e, TN_EARG, "max_length is %lld; expected 2 or more", (long long)o->max_length);
        return NULL;
    }
    if (tn_tokenizer_size(k) > UINT16_MAX + 1) {
        tn_fail(e, TN_EARG, "a tokenizer of %lld ids; expected at most %d",
                (long long)tn_tokenizer_size(k), UINT16_MAX + 1);
        return NULL;
    }
    tn_dataset *d = calloc(1, sizeof *d);
    if (d == NULL)
        tn_fail(e, TN_ENOMEM, "data set: out of memory");
    else
        d->window = o->max_length;
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

tn_piece tn_dataset_piece(const tn_dataset *d, int64_t i)
{
    if (d->facts.stream)
        return (tn_piece){ d->ids + i * d->window, d->window + 1, 0 };
    return (tn_piece){ d->ids + d->start[i], d->start[i + 1] - d->start[i], d->prompt[i] };
}

int64_t tn_dataset_record(const tn_dataset *d, int64_t i, int64_t *prompt)
{
    const tn_piece p = tn_dataset_piece(d, i);
    *prompt = p.prompt;
    return p.length;
}

void tn_dataset_ids(const tn_dataset *d, int64_t i, int64_t from, int64_t n, int32_t *out)
{
    const uint16_t *ids = tn_dataset_piece(d, i).ids + from;
    for (int64_t t = 0; t < n; t++)
        out[t] = ids[t];
}

int tn_dataset_reserve(tn_dataset *d, size_t more, tn_error *e)
{
    const size_t n = (size_t)d->n, room = (size_t)d->room;
    if (more <= room - n)
        return TN_OK;
    /* Half as much again as before at least, so that appending stays linear. */
    const size_t want = n + more > room + room / 2 ? n + more : room + room / 2;
    uint16_t *ids = realloc(d->ids, want * sizeof *ids);
    if (ids == NULL)
        return tn_fail(e, TN_ENOMEM, "data set: out of memory");
    d->ids = ids;
    d->room = (int64_t)want;
    return TN_OK;
}

int tn_dataset_encode(tn_maker m, tn_span text, size_t at, tn_error *e)
{
    tn_dataset *d = m.d;
    tn_walk w = { .k = m.k, .text = text.s, .at = at, .end = text.n, .e = e,
                  .skipped = m.o->skip_unknown ? &d->facts.unknown : NULL };
    int32_t ids[4];
    if (tn_dataset_reserve(d, text.n - at, e)) /* a character gives no more ids than bytes */
        return e->code;
    for (int64_t given; (given = tn_walk_next(&w, ids)) > 0;)
        for (int64_t i = 0; i < given; i++)
            d->ids[d->n++] = (uint16_t)ids[i];
    return e->code;
}

tn_dataset *tn_dataset_finish(tn_dataset *d, const char *place, tn_error *e)
{
    if (!e->code && d->facts.records == 0)
        tn_fail(e, TN_EFORMAT, "%s: all records were skipped (%lld); expected one with text to learn "
                "in a row of at most %lld tokens", place, (long long)d->facts.skipped,
                (long long)d->window);
    if (e->code) {
        tn_dataset_free(d);
        return NULL;
    }
    return d;
}

/* ---- a text ---- */

/* `at`, moved back to the first byte of a character. */
static size_t boundary(const char *text, size_t size, size_t at)
{
    for (int i = 0; i < 3 && at > 0 && at < size && ((unsigned char)text[at] & 0xC0) == 0x80; i++)
        at--;
    return at;
}

static size_t fraction_of(const char *text, size_t size, double fraction)
{
    const double at = fraction > 0 ? fraction < 1 ? fraction * (double)size : (double)size : 0;
    return boundary(text, size, (size_t)at);
}

/* Bytes first..last of a mapped text as one stream, and its windows counted. */
static int read_stream(tn_maker m, const char *path, const char *text, size_t first, size_t last,
                       tn_error *e)
{
    tn_dataset *d = m.d;
    tn_error inner = { 0 };
    tn_dataset_reserve(d, last - first, &inner);
    for (size_t at = first, next; at < last && !inner.code; at = next) {
        next = last - at > TN_AT_ONCE ? boundary(text, last, at + TN_AT_ONCE) : last;
        tn_dataset_encode(m, (tn_span){ text, next }, at, &inner);
        tn_file_pass(text, at, next);
    }
    if (inner.code)
        return tn_dataset_fail(path, 0, &inner, e);
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
    size_t size = 0;
    tn_dataset *d = tn_dataset_start(k, o, e);
    const char *text = d == NULL ? NULL : tn_file_map(path, 1, TN_LONGEST_FILE, &size, e);
    if (text != NULL) {
        const size_t first = fraction_of(text, size, from), last = fraction_of(text, size, to);
        read_stream((tn_maker){ d, k, o }, path, text, first, last > first ? last : first, e);
        munmap((void *)text, size);
    }
    return tn_dataset_finish(d, path, e);
}
