/* keep.c - ends a record: cuts it to a row, counts it, or leaves it out. */
#include "data/sets/dataset.h"

#include <stdlib.h>
#include <string.h>

/* Makes room for one more record: for what is known of it, and for the start of the next. */
static int reserve(tn_dataset *d, tn_error *e)
{
    if (d->facts.records < d->record_room)
        return TN_OK;
    const int64_t room = d->record_room ? 2 * d->record_room : 64;
    int64_t *start = realloc(d->start, ((size_t)room + 1) * sizeof *start);
    if (start != NULL)
        d->start = start;
    int64_t *prompt = start == NULL ? NULL : realloc(d->prompt, (size_t)room * sizeof *prompt);
    if (prompt != NULL)
        d->prompt = prompt;
    bool *cut = prompt == NULL ? NULL : realloc(d->cut, (size_t)room * sizeof *cut);
    if (cut == NULL)
        return tn_fail(e, TN_ENOMEM, "data set: out of memory");
    d->cut = cut;
    d->record_room = room;
    d->start[0] = 0;
    return TN_OK;
}

/* How many ids from `first` on carry loss. Nothing predicts the first. */
static int64_t count_loss(const tn_dataset *d, int64_t first, int64_t masked)
{
    const int64_t from = first + (masked > 1 ? masked : 1);
    int64_t loss = d->n > from ? d->n - from : 0;
    for (int64_t i = from; i < d->n && d->learnt; i++)
        loss -= !d->learnt[i];
    return loss;
}

/* Removes the ids of a record that are too many, out of its beginning. The token that the tokenizer
   puts before a text stays there. Returns how many of the first `masked` ids are left. */
static int64_t cut_front(tn_dataset *d, int64_t first, int64_t masked)
{
    const int64_t gone = d->n - first - d->window;
    const int32_t id = d->wide ? d->wide[first] : d->ids[first];
    const int64_t lead = d->begin >= 0 && id == d->begin, to = first + lead;
    const size_t left = (size_t)(d->n - to - gone);
    if (d->wide)
        memmove(d->wide + to, d->wide + to + gone, left * sizeof *d->wide);
    else
        memmove(d->ids + to, d->ids + to + gone, left * sizeof *d->ids);
    if (d->learnt)
        memmove(d->learnt + to, d->learnt + to + gone, left * sizeof *d->learnt);
    d->n -= gone;
    return masked > lead + gone ? masked - gone : masked > lead ? lead : masked;
}

tn_row tn_dataset_cut_row(tn_dataset *d, int64_t first, int64_t masked)
{
    tn_row r = { .masked = masked, .cut = d->n - first > d->window };
    const int64_t whole = r.cut ? count_loss(d, first, masked) : 0;
    if (r.cut && d->front)
        r.masked = cut_front(d, first, masked);
    else if (r.cut)
        d->n = first + d->window;
    r.loss = count_loss(d, first, r.masked);
    r.answer_cut = r.loss < whole;
    return r;
}

int tn_dataset_add_row(tn_dataset *d, int64_t first, const tn_row *r, tn_error *e)
{
    if (reserve(d, e))
        return e->code;
    if (r->loss < 1) {
        d->n = first;
        d->facts.skipped++;
        return TN_OK;
    }
    d->cut[d->facts.records] = r->cut;
    d->prompt[d->facts.records++] = d->facts.pairs ? r->second : r->masked;
    d->start[d->facts.records] = d->n;
    d->facts.truncated += r->cut;
    d->facts.answers_cut += r->answer_cut;
    d->facts.tokens += d->n - first;
    d->facts.loss_tokens += r->loss;
    return TN_OK;
}

int tn_dataset_keep(tn_dataset *d, int64_t first, int64_t masked, tn_error *e)
{
    const tn_row r = tn_dataset_cut_row(d, first, masked);
    return tn_dataset_add_row(d, first, &r, e);
}

/* ---- what was left out ---- */

const char *tn_skip_text(tn_skip why)
{
    static const char *const texts[TN_SKIPS] = { "no assistant turn", "no text",
                                                 "nothing to learn in a row",
                                                 "both answers are the same" };
    return (unsigned)why < TN_SKIPS ? texts[why] : NULL;
}

tn_skipped tn_dataset_skipped(const tn_dataset *d, tn_skip why)
{
    return d && (unsigned)why < TN_SKIPS ? d->skipped[why] : (tn_skipped){ 0 };
}

int tn_dataset_note(tn_dataset *d, tn_skip why, const char *path, int64_t line, tn_error *e)
{
    tn_skipped *s = &d->skipped[why];
    if (s->count++ || !path)
        return e->code;
    s->line = line;
    s->path = strdup(path);
    return s->path ? e->code : tn_fail(e, TN_ENOMEM, "data set: out of memory");
}
