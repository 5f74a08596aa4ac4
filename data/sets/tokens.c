/* tokens.c - data sets of token ids from memory: records, or one long sequence. */
#include "data/sets/dataset.h"

static int append(tn_dataset *d, const int32_t *ids, int64_t n, tn_error *e)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0)
            return tn_fail(e, TN_EARG, "id %lld is %d; expected 0 or more", (long long)i, ids[i]);
    return tn_dataset_append(d, ids, n, e);
}

static int add(tn_dataset *d, const int32_t *ids, int64_t n, int64_t prompt, tn_error *e)
{
    const int64_t first = d->n;
    if (n < 0 || n > UINT32_MAX || (n > 0 && !ids))
        return tn_fail(e, TN_EARG, "%lld ids%s; expected 0 or more, below 2^32, with their memory",
                       (long long)n, ids ? "" : " at NULL");
    if (prompt < 0 || prompt > n)
        return tn_fail(e, TN_EARG, "a prompt of %lld of %lld ids; expected 0 to all",
                       (long long)prompt, (long long)n);
    return append(d, ids, n, e) ? e->code : tn_dataset_keep(d, first, prompt, e);
}

tn_dataset *tn_dataset_records(int64_t count, const int32_t *const ids[], const int64_t length[],
                               const int64_t prompt[], const tn_data_options *o, tn_error *e)
{
    if (tn_given(e, ids && length && o, __func__))
        return NULL;
    if (count < 1) {
        tn_fail(e, TN_EARG, "%lld records; expected 1 or more", (long long)count);
        return NULL;
    }
    tn_dataset *d = tn_dataset_empty(o, e);
    for (int64_t i = 0; d && !e->code && i < count; i++) {
        tn_error inner = { 0 };
        if (add(d, ids[i], length[i], prompt && !o->no_mask ? prompt[i] : 0, &inner))
            tn_fail(e, inner.code, "record %lld: %s", (long long)i, inner.text);
    }
    return d ? tn_dataset_finish(d, __func__, e) : NULL;
}

tn_dataset *tn_dataset_tokens(const int32_t *ids, int64_t n, const tn_data_options *o, tn_error *e)
{
    if (tn_given(e, ids && o, __func__))
        return NULL;
    if (n < 0 || n > UINT32_MAX) {
        tn_fail(e, TN_EARG, "%lld ids; expected 0 or more, below 2^32", (long long)n);
        return NULL;
    }
    tn_dataset *d = tn_dataset_empty(o, e);
    if (d && !append(d, ids, n, e))
        tn_dataset_windows(d, o, "token ids", e);
    return d ? tn_dataset_finish(d, __func__, e) : NULL;
}
