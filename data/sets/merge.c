/* merge.c - a data set whose arrays are stores (store.h), made of small ones in memory. */
#include "data/sets/dataset.h"

#include <stdlib.h>

/* Adds the ids. If one of the two has an id above 65535, the sum has four bytes for each. */
static int add_ids(tn_dataset *d, tn_dataset *part, tn_error *e)
{
    tn_store *ids = &d->store[TN_STORE_IDS];
    if (part->wide && !d->four && tn_store_widen(ids, e))
        return e->code;
    d->four = d->four || part->wide;
    if (d->four && !part->wide && tn_dataset_widen(part, e))
        return e->code;
    const size_t n = (size_t)part->n;
    return d->four ? tn_store_add(ids, part->wide, n * sizeof *part->wide, e)
                   : tn_store_add(ids, part->ids, n * sizeof *part->ids, e);
}

/* Adds which ids carry loss; without a chat all do. */
static int add_learnt(tn_dataset *d, const tn_dataset *part, tn_error *e)
{
    tn_store *learnt = &d->store[TN_STORE_LEARNT];
    if (!part->learnt && !d->chats)
        return e->code;
    if (!d->chats)
        tn_store_fill(learnt, true, (size_t)d->n, e);
    d->chats = true;
    return part->learnt ? tn_store_add(learnt, part->learnt, (size_t)part->n, e)
                        : tn_store_fill(learnt, true, (size_t)part->n, e);
}

int tn_dataset_merge(tn_dataset *d, tn_dataset *part, tn_error *e)
{
    const size_t n = (size_t)part->facts.records;
    const int64_t zero = 0;
    if (add_learnt(d, part, e) || add_ids(d, part, e))
        return e->code;
    if (part->start && d->store[TN_STORE_START].n == 0)
        tn_store_add(&d->store[TN_STORE_START], &zero, sizeof zero, e);
    for (size_t i = 0; i < n; i++)
        part->start[i + 1] += d->n; /* it is not read again */
    if (n) {
        tn_store_add(&d->store[TN_STORE_START], part->start + 1, n * sizeof *part->start, e);
        tn_store_add(&d->store[TN_STORE_PROMPT], part->prompt, n * sizeof *part->prompt, e);
        tn_store_add(&d->store[TN_STORE_CUT], part->cut, n * sizeof *part->cut, e);
    }
    d->n += part->n;
    return e->code ? e->code : tn_dataset_add_facts(d, part, e);
}

int tn_dataset_expect(const tn_dataset *d, int64_t before, double rest, tn_error *e)
{
    const double sure = 0.9; /* the rest of a file may have fewer ids for each byte */
    double bytes = 0;
    for (int i = 0; i < TN_STORES; i++)
        bytes += d->store[i].file ? (double)d->store[i].n : 0;
    return tn_store_expect(sure * rest * bytes * (double)(d->n - before) / (double)(d->n + 1), e);
}

int tn_dataset_settle(tn_dataset *d, tn_error *e)
{
    for (int i = 0; i < TN_STORES; i++)
        tn_store_done(&d->store[i], e);
    if (e->code)
        return e->code;
    void *ids = d->store[TN_STORE_IDS].bytes;
    d->ids = d->four ? NULL : ids;
    d->wide = d->four ? ids : NULL;
    d->learnt = (void *)d->store[TN_STORE_LEARNT].bytes;
    d->start = (void *)d->store[TN_STORE_START].bytes;
    d->prompt = (void *)d->store[TN_STORE_PROMPT].bytes;
    d->cut = (void *)d->store[TN_STORE_CUT].bytes;
    d->stored = true;
    return TN_OK;
}

void tn_dataset_rest(const tn_dataset *d)
{
    for (int i = 0; d->stored && i < TN_STORES; i++)
        tn_store_pass(&d->store[i], 0, d->store[i].n);
    for (int64_t i = 0; i < d->joined; i++)
        tn_dataset_rest(d->parts[i]);
}
