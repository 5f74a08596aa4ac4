/* dataset.c - the parts that all data sets share. */
#include "data/sets/dataset.h"
#include "data/formats/hash.h"

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

tn_dataset *tn_dataset_empty(const tn_data_options *o, tn_error *e)
{
    if (o->max_length < 2) {
        tn_fail(e, TN_EARG, "max_length is %lld; expected 2 or more", (long long)o->max_length);
        return NULL;
    }
    tn_dataset *d = calloc(1, sizeof *d);
    if (d == NULL)
        tn_fail(e, TN_ENOMEM, "data set: out of memory");
    else
        d->window = o->max_length;
    if (d != NULL) {
        d->front = o->front;
        d->begin = -1;
    }
    return d;
}

tn_dataset *tn_dataset_start(const tn_tokenizer *k, const tn_data_options *o, tn_error *e)
{
    tn_dataset *d = tn_given(e, k && o, __func__) ? NULL : tn_dataset_empty(o, e);
    if (d != NULL)
        d->begin = tn_tokenizer_begin(k);
    return d;
}

void tn_dataset_hold(tn_dataset *d)
{
    atomic_fetch_add(&d->loaders, 1);
}

void tn_dataset_free(tn_dataset *d)
{
    if (d == NULL || atomic_fetch_sub(&d->loaders, 1) > 0)
        return;
    for (int64_t i = 0; i < d->joined; i++)
        tn_dataset_free(d->parts[i]);
    for (int why = 0; why < TN_SKIPS; why++)
        free((char *)d->skipped[why].path);
    for (int i = 0; i < TN_STORES; i++)
        tn_store_free(&d->store[i]);
    void *const own[] = { d->ids, d->wide, d->start, d->prompt, d->cut, d->learnt };
    for (size_t i = 0; i < sizeof own / sizeof *own && !d->stored; i++)
        free(own[i]);
    free(d->parts);
    free(d);
}

tn_data_facts tn_dataset_facts(const tn_dataset *d)
{
    return d ? d->facts : (tn_data_facts){ 0 };
}

tn_sequence tn_dataset_sequence(const tn_dataset *d, int64_t i)
{
    if (d->parts)
        return tn_dataset_of_part(d, i);
    if (d->facts.text && d->stride)
        return tn_dataset_part(d, i * d->stride, d->window, i ? d->window - d->stride : 0);
    if (d->facts.text)
        return tn_dataset_part(d, i * d->window, d->window + 1, 0);
    tn_sequence s = tn_dataset_part(d, d->start[i], d->start[i + 1] - d->start[i], d->prompt[i]);
    if (d->facts.pairs) {
        s.second = s.prompt;
        s.prompt = 0;
    }
    return s;
}

int64_t tn_dataset_record(const tn_dataset *d, int64_t i, int64_t *prompt)
{
    if (!d || !prompt || i < 0 || i >= d->facts.records)
        return 0;
    const tn_sequence p = tn_dataset_sequence(d, i);
    *prompt = p.prompt;
    return p.length;
}

int64_t tn_dataset_second(const tn_dataset *d, int64_t i)
{
    return d && i >= 0 && i < d->facts.records ? tn_dataset_sequence(d, i).second : 0;
}

bool tn_dataset_cut(const tn_dataset *d, int64_t i)
{
    if (!d || i < 0 || i >= d->facts.records)
        return false;
    return d->parts ? tn_dataset_cut_part(d, i) : d->cut && d->cut[i];
}

void tn_dataset_ids(const tn_dataset *d, int64_t i, int64_t from, int64_t n, int32_t *out)
{
    if (!d || !out || i < 0 || i >= d->facts.records)
        return;
    const tn_sequence p = tn_dataset_sequence(d, i);
    for (int64_t t = 0; from >= 0 && t < n && t < p.length - from; t++)
        out[t] = tn_sequence_id(&p, from + t);
}

void tn_dataset_learnt(const tn_dataset *d, int64_t i, int64_t from, int64_t n, bool *out)
{
    if (!d || !out || i < 0 || i >= d->facts.records)
        return;
    const tn_sequence p = tn_dataset_sequence(d, i);
    for (int64_t t = 0; from >= 0 && t < n && t < p.length - from; t++)
        out[t] = tn_sequence_counts(&p, from + t);
}

/* Hashes n bytes of an array, and returns the memory of a file meanwhile. */
static uint64_t hash_array(const tn_dataset *d, int store, const void *bytes, size_t n, uint64_t h)
{
    enum { AT_ONCE = 1 << 20 };
    tn_bulk_hash sum = tn_bulk_hash_start(h);
    for (size_t at = 0, next; at < n; at = next) {
        next = n - at > AT_ONCE ? at + AT_ONCE : n;
        tn_bulk_hash_add(&sum, (const char *)bytes + at, next - at);
        tn_store_pass(&d->store[store], at, next);
    }
    return tn_bulk_hash_end(&sum);
}

uint64_t tn_dataset_hash(const tn_dataset *d, int64_t records)
{
    if (!d || d->parts)
        return d ? tn_dataset_hash_parts(d) : 0;
    const int64_t all = d->facts.records, count = records > 0 && records < all ? records : all;
    const bool text = d->facts.text;
    const size_t ids = (size_t)(text ? d->n : d->start[count]), n = (size_t)count;
    const int64_t kind[2] = { text, text ? d->window : count };
    uint64_t h = tn_hash_bulk(kind, sizeof kind, 0);
    h = d->wide ? hash_array(d, TN_STORE_IDS, d->wide, ids * sizeof *d->wide, h)
                : hash_array(d, TN_STORE_IDS, d->ids, ids * sizeof *d->ids, h);
    if (text && d->stride)
        h = tn_hash_bulk(&d->stride, sizeof d->stride, h);
    if (!text)
        h = hash_array(d, TN_STORE_START, d->start, (n + 1) * sizeof *d->start, h);
    if (d->learnt)
        h = hash_array(d, TN_STORE_LEARNT, d->learnt, ids * sizeof *d->learnt, h);
    return text ? h : hash_array(d, TN_STORE_PROMPT, d->prompt, n * sizeof *d->prompt, h);
}

int tn_dataset_reserve(tn_dataset *d, size_t more, tn_error *e)
{
    const size_t n = (size_t)d->n, room = (size_t)d->room;
    if (more <= room - n)
        return TN_OK;
    /* It grows by at least a half, so appending takes linear time. */
    const size_t want = n + more > room + room / 2 ? n + more : room + room / 2;
    void *old = d->wide ? (void *)d->wide : d->ids;
    void *ids = realloc(old, want * (d->wide ? sizeof *d->wide : sizeof *d->ids));
    if (ids == NULL)
        return tn_fail(e, TN_ENOMEM, "data set: out of memory");
    if (d->wide)
        d->wide = ids;
    else
        d->ids = ids;
    bool *learnt = d->learnt ? realloc(d->learnt, want * sizeof *learnt) : NULL;
    if (d->learnt && learnt == NULL)
        return tn_fail(e, TN_ENOMEM, "data set: out of memory");
    d->learnt = learnt;
    d->room = (int64_t)want;
    return TN_OK;
}

int tn_dataset_learn(tn_dataset *d, int64_t first, const bool *learnt, tn_error *e)
{
    if (!d->learnt) {
        d->learnt = malloc((size_t)d->room * sizeof *d->learnt);
        if (d->learnt == NULL)
            return tn_fail(e, TN_ENOMEM, "data set: out of memory");
        memset(d->learnt, true, (size_t)first * sizeof *d->learnt);
    }
    memcpy(d->learnt + first, learnt, (size_t)(d->n - first) * sizeof *learnt);
    return TN_OK;
}

int tn_dataset_widen(tn_dataset *d, tn_error *e)
{
    d->wide = malloc(((size_t)d->room + 1) * sizeof *d->wide);
    if (d->wide == NULL)
        return tn_fail(e, TN_ENOMEM, "data set: out of memory");
    for (int64_t i = 0; i < d->n; i++)
        d->wide[i] = d->ids[i];
    free(d->ids);
    d->ids = NULL;
    return TN_OK;
}

int tn_dataset_append(tn_dataset *d, const int32_t *ids, int64_t n, tn_error *e)
{
    if (tn_dataset_reserve(d, (size_t)n, e))
        return e->code;
    if (d->learnt)
        memset(d->learnt + d->n, true, (size_t)n * sizeof *d->learnt);
    for (int64_t i = 0; i < n; i++) {
        if (!d->wide && ids[i] > UINT16_MAX && tn_dataset_widen(d, e))
            return e->code;
        if (d->wide)
            d->wide[d->n++] = ids[i];
        else
            d->ids[d->n++] = (uint16_t)ids[i];
    }
    return TN_OK;
}

tn_dataset *tn_dataset_finish(tn_dataset *d, const char *place, tn_error *e)
{
    if (!e->code && d->facts.records == 0)
        tn_fail(
            e, TN_EFORMAT,
            "%s: all records were skipped (%lld); expected one with a text or an answer to learn "
            "in a row of at most %lld tokens",
            place, (long long)d->facts.skipped, (long long)d->window);
    if (e->code) {
        tn_dataset_free(d);
        return NULL;
    }
    return d;
}

/* ---- windows ---- */

/* Counts windows of T tokens that begin every `stride` tokens. */
static void count_strides(tn_dataset *d)
{
    const int64_t T = d->window, S = d->stride;
    d->facts.records = (d->n - T) / S + 1;
    d->facts.loss_tokens = T - 1 + (d->facts.records - 1) * (S < T ? S : T - 1);
    d->facts.left = d->n - T - (d->facts.records - 1) * S;
}

int tn_dataset_windows(tn_dataset *d, const tn_data_options *o, const char *place, tn_error *e)
{
    const int64_t more = o->stride ? 0 : 1; /* tokens of a window beyond T */
    if (o->stride < 0 || o->stride > o->max_length)
        return tn_fail(e, TN_EARG, "stride is %lld; expected 1 to the %lld tokens of a window",
                       (long long)o->stride, (long long)o->max_length);
    if (o->short_text && d->n >= 2 && d->n < d->window + more)
        d->window = d->n - more;
    if (d->n < d->window + more)
        return tn_fail(e, TN_EFORMAT, "%s: a text of %lld token%s; expected at least %lld%s", place,
                       (long long)d->n, d->n == 1 ? "" : "s",
                       o->short_text ? 2 : (long long)(d->window + more),
                       o->short_text || !more ? "" : ", one more than a window");
    d->stride = o->stride < d->window ? o->stride : d->window * (o->stride > 0);
    d->facts.text = true;
    d->facts.tokens = d->n;
    if (d->stride) {
        count_strides(d);
        return TN_OK;
    }
    d->facts.records = (d->n - 1) / d->window;
    d->facts.loss_tokens = d->facts.records * d->window;
    d->facts.left = d->n - 1 - d->facts.loss_tokens;
    return TN_OK;
}
