/* join.c - several data sets as one: row i is a row of one of them. */
#include "data/sets/dataset.h"

#include <stdlib.h>

static void sum_facts(tn_data_facts *sum, const tn_data_facts *f)
{
    sum->records += f->records;
    sum->pairs = f->records ? f->pairs : sum->pairs;
    sum->tokens += f->tokens;
    sum->loss_tokens += f->loss_tokens;
    sum->truncated += f->truncated;
    sum->skipped += f->skipped;
    sum->unknown += f->unknown;
    sum->chats += f->chats;
    sum->chat = f->chat ? f->chat : sum->chat;
    sum->answers_cut += f->answers_cut;
    for (int i = 0; i < TN_FORMATS; i++)
        sum->formats[i] += f->formats[i];
    sum->left += f->left;
    sum->repeated += f->repeated;
}

/* Counts what a part left out. The place is that of the first part that has one. */
static void add_skipped(tn_dataset *d, const tn_dataset *part, tn_error *e)
{
    for (int why = 0; why < TN_SKIPS; why++) {
        const tn_skipped *s = &part->skipped[why];
        const int64_t before = d->skipped[why].count;
        if (s->count && !d->skipped[why].path) {
            d->skipped[why].count = 0;
            tn_dataset_note(d, (tn_skip)why, s->path, s->line, e);
        }
        d->skipped[why].count = before + s->count;
    }
}

int tn_dataset_add_facts(tn_dataset *d, const tn_dataset *part, tn_error *e)
{
    sum_facts(&d->facts, &part->facts);
    add_skipped(d, part, e);
    return e->code;
}

tn_dataset *tn_dataset_join(tn_dataset *const parts[], int64_t n, tn_error *e)
{
    if (tn_given(e, parts || n == 0, __func__) || n < 1)
        return NULL;
    tn_dataset *d = calloc(1, sizeof *d);
    if (d) {
        d->parts = calloc((size_t)n, sizeof *d->parts);
        d->start = calloc((size_t)n + 1, sizeof *d->start);
    }
    if (!d || !d->parts || !d->start) {
        tn_fail(e, TN_ENOMEM, "data set: out of memory");
        tn_dataset_free(d);
        return NULL;
    }
    for (int64_t i = 0; i < n; i++) {
        if (parts[i]->facts.pairs != parts[0]->facts.pairs)
            tn_fail(e, TN_EFORMAT,
                    "preferences (\"chosen\" and \"rejected\") beside other data; expected one of "
                    "the two alone");
        tn_dataset_hold(parts[i]);
        d->parts[d->joined++] = parts[i];
        d->n += parts[i]->n;
        d->window = parts[i]->window > d->window ? parts[i]->window : d->window;
        tn_dataset_add_facts(d, parts[i], e);
        d->start[i + 1] = d->facts.records;
    }
    if (!e->code)
        return d;
    tn_dataset_free(d);
    return NULL;
}

/* The part that has this row. */
static int64_t part_of(const tn_dataset *d, int64_t row)
{
    int64_t i = 0;
    while (row >= d->start[i + 1])
        i++;
    return i;
}

tn_sequence tn_dataset_of_part(const tn_dataset *d, int64_t row)
{
    const int64_t i = part_of(d, row);
    return tn_dataset_sequence(d->parts[i], row - d->start[i]);
}

bool tn_dataset_cut_part(const tn_dataset *d, int64_t row)
{
    const int64_t i = part_of(d, row);
    return tn_dataset_cut(d->parts[i], row - d->start[i]);
}

uint64_t tn_dataset_hash_parts(const tn_dataset *d)
{
    uint64_t hash = (uint64_t)d->joined;
    for (int64_t i = 0; i < d->joined; i++) {
        const uint64_t part = tn_dataset_hash(d->parts[i], 0);
        hash = tn_hash_bulk(&part, sizeof part, hash);
    }
    return hash;
}
