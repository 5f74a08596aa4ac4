/* records.c - data sets of records: a JSONL file, or the split of a task. */
#include "data/sets/dataset.h"

#include <string.h>

/* Encodes a record after the last one: the first token, the prompt, the text, the end token. */
int tn_dataset_encode_pair(tn_maker m, tn_span prompt, tn_span completion, int64_t *masked,
                           tn_error *e)
{
    const int64_t first = m.d->n;
    tn_error inner = { 0 };
    if (tn_dataset_begin(m, e))
        return e->code;
    if (tn_dataset_encode(m, prompt, false, &inner))
        return tn_fail(e, inner.code, "in the prompt: %s", inner.text);
    *masked = m.o->no_mask ? 0 : m.d->n - first;
    if (tn_dataset_encode(m, completion, prompt.n > 0, &inner))
        return tn_fail(e, inner.code, "in the text: %s", inner.text);
    const int32_t end = tn_tokenizer_end(m.k);
    return end < 0 ? TN_OK : tn_dataset_append(m.d, &end, 1, e);
}

static int add_record(tn_maker m, tn_span prompt, tn_span completion, tn_error *e)
{
    const int64_t first = m.d->n;
    int64_t masked = 0;
    return tn_dataset_encode_pair(m, prompt, completion, &masked, e)
               ? e->code
               : tn_dataset_keep(m.d, first, masked, e);
}

/* Refuses a preference among other records, and another record among preferences. */
static int check_kind(tn_dataset *d, const tn_jsonl_record *r, tn_error *e)
{
    const bool pair = r->kind == TN_RECORD_PREFERENCE;
    if (d->facts.records == 0)
        d->facts.pairs = pair;
    return d->facts.pairs == pair
               ? TN_OK
               : tn_fail(e, TN_EFORMAT, "%s among records that %s; expected one of the two alone",
                         pair ? "\"chosen\" and \"rejected\"" : "a record without \"chosen\"",
                         pair ? "have neither" : "have it");
}

/* Adds a record, or notes why it is left out. */
static int add(tn_maker m, const tn_jsonl_record *r, const char *path, tn_error *e)
{
    tn_data_facts *f = &m.d->facts;
    const int64_t records = f->records;
    tn_skip why = r->kind == TN_RECORD_PREFERENCE ? TN_SKIP_EQUAL
                  : r->kind == TN_RECORD_CHAT     ? TN_SKIP_NO_ANSWER
                                                  : TN_SKIP_NO_TEXT;
    if (check_kind(m.d, r, e))
        return e->code;
    if (r->skip) {
        f->skipped++;
    } else {
        why = TN_SKIP_NO_ROOM;
        if (r->kind == TN_RECORD_PREFERENCE)
            tn_dataset_add_preference(m, r, e);
        else if (r->kind == TN_RECORD_CHAT)
            tn_dataset_add_chat(m, r, e);
        else
            add_record(m, r->prompt, r->text, e);
    }
    f->formats[r->format] += f->records - records;
    return e->code || f->records > records ? e->code : tn_dataset_note(m.d, why, path, r->line, e);
}

tn_dataset *tn_dataset_files(const tn_records_options *files, const tn_tokenizer *k,
                             const tn_data_options *o, tn_error *e)
{
    if (tn_given(e, files, __func__))
        return NULL;
    tn_dataset *d = tn_dataset_start(k, o, e);
    tn_records *in = d == NULL ? NULL : tn_records_open(files, e);
    tn_jsonl_record r;
    bool any = false;
    for (; in != NULL && tn_records_next(in, &r, e); any = true) {
        tn_error inner = { 0 };
        if (add((tn_maker){ d, k, o }, &r, tn_records_path(in), &inner))
            tn_dataset_fail(tn_records_path(in), r.line, &inner, e);
    }
    tn_records_close(in);
    if (any || e->code || !files->sides)
        return tn_dataset_finish(d, e->code ? "" : files->paths[0], e);
    tn_dataset_free(d); /* nothing is kept */
    return NULL;
}

tn_dataset *tn_dataset_jsonl(const char *path, const tn_tokenizer *k, const tn_data_options *o,
                             tn_error *e)
{
    if (tn_given(e, path, __func__))
        return NULL;
    return tn_dataset_files(&(tn_records_options){ .paths = &path, .count = 1 }, k, o, e);
}

/* ---- tasks ---- */

enum { SAMPLE = 1000 }; /* records from which the memory of all is estimated */

/* Record i of a task's split. */
static int add_task_record(tn_maker m, const tn_task *t, uint64_t seed, const char *split,
                           uint64_t i, tn_error *e)
{
    tn_record r;
    tn_error inner = { 0 };
    if (tn_task_record(t, seed, split, i, &r))
        return tn_fail(e, TN_EARG,
                       "task %s: no record in split \"%s\"; expected train, valid or "
                       "test",
                       t->name, split);
    const tn_span prompt = { r.prompt, strlen(r.prompt) };
    const tn_span completion = { r.completion, strlen(r.completion) };
    const int64_t records = m.d->facts.records;
    if (add_record(m, prompt, completion, &inner))
        return tn_dataset_fail(t->name, 0, &inner, e);
    m.d->facts.formats[TN_FORMAT_COMPLETION] += m.d->facts.records - records;
    return m.d->facts.records > records ? e->code
                                        : tn_dataset_note(m.d, TN_SKIP_NO_ROOM, NULL, 0, e);
}

/* Refuses records that will not fit into memory, judged by the size of those made so far. */
static int check_room(const tn_dataset *d, const char *task, int64_t made, int64_t count,
                      tn_error *e)
{
    const double has = (double)d->n * (d->wide ? sizeof *d->wide : sizeof *d->ids) +
                       (double)made * 2 * sizeof *d->start;
    const double bytes = has / (double)made * (double)count, room = (double)tn_memory_room();
    if (bytes > room)
        tn_fail(e, TN_ENOMEM,
                "task %s: %lld records take about %.3g GB of memory; expected at most the "
                "%.3g GB that are available",
                task, (long long)count, bytes * 1e-9, room * 1e-9);
    return e->code;
}

tn_dataset *tn_dataset_task(const char *task, uint64_t seed, const char *split, int64_t first,
                            int64_t count, const tn_tokenizer *k, const tn_data_options *o,
                            tn_error *e)
{
    if (tn_given(e, task && split, __func__))
        return NULL;
    tn_dataset *d = tn_dataset_start(k, o, e);
    const tn_task *t = tn_task_find(task);
    if (d == NULL)
        return NULL;
    if (t == NULL)
        tn_fail(e, TN_EARG, "no task is called \"%s\"", task);
    else if (first < 0 || count < 1 || first > INT64_MAX - count)
        tn_fail(e, TN_EARG, "task %s: %lld records from %lld on; expected 1 or more from 0 on",
                task, (long long)count, (long long)first);
    for (int64_t i = 0; !e->code && i < count && !(i == SAMPLE && check_room(d, task, i, count, e));
         i++)
        add_task_record((tn_maker){ d, k, o }, t, seed, split, (uint64_t)(first + i), e);
    return tn_dataset_finish(d, task, e);
}
