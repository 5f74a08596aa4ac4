/* task_records.c - data sets of records that a task makes. */
#include "data/sets/dataset.h"

#include <string.h>

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
    if (tn_dataset_add_pair(m, prompt, completion, &inner))
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
