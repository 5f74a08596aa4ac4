/* preference_record.c - encodes a preference as a pair of rows: the prompt with each answer.

   The ids of the rejected answer's row follow those of the chosen one's. Each row is cut by
   itself. */
#include "data/sets/dataset.h"

#include <stdlib.h>
#include <string.h>

/* Appends a row of texts, whose prompt carries no loss. */
static int add_texts(tn_maker m, tn_span prompt, tn_span answer, tn_row *row, tn_error *e)
{
    const int64_t first = m.d->n;
    int64_t masked = 0;
    const tn_data_options masks = { .skip_unknown = m.o->skip_unknown };
    if (tn_dataset_encode_pair((tn_maker){ m.d, m.k, &masks }, prompt, answer, &masked, e))
        return e->code;
    const size_t n = (size_t)(m.d->n - first);
    bool *learnt = malloc(n ? n : 1);
    if (!learnt)
        return tn_fail(e, TN_ENOMEM, "data set: out of memory");
    for (int64_t i = 0; i < m.d->n - first; i++)
        learnt[i] = i >= masked && i > 0;
    if (!tn_dataset_learn(m.d, first, learnt, e))
        *row = tn_dataset_cut_row(m.d, first, 0);
    free(learnt);
    return e->code;
}

/* Appends a row that is a chat. */
static int add_chat(tn_maker m, const tn_message *messages, int64_t n, tn_row *row, tn_error *e)
{
    const int64_t first = m.d->n;
    tn_chat_ids ids = { 0 };
    tn_dropped gone = { 0 };
    if (!tn_dataset_encode_chat(m, messages, n, &ids, &gone, e) &&
        !tn_dataset_append(m.d, ids.ids, ids.n, e)) {
        if (ids.n)
            ids.learnt[0] = false; /* nothing predicts the first id of a row */
        if (!tn_dataset_learn(m.d, first, ids.learnt, e)) {
            *row = tn_dataset_cut_row(m.d, first, 0);
            row->cut = row->cut || gone.turns;
            row->answer_cut = row->answer_cut || gone.answer;
        }
    }
    tn_chat_ids_free(&ids);
    return e->code;
}

static int add_answer(tn_maker m, const tn_jsonl_record *r, bool rejected, tn_row *row, tn_error *e)
{
    if (r->count && rejected)
        return add_chat(m, r->rejected_messages, r->rejected_count, row, e);
    if (r->count)
        return add_chat(m, r->messages, r->count, row, e);
    return add_texts(m, r->prompt, rejected ? r->rejected : r->text, row, e);
}

int tn_dataset_add_preference(tn_maker m, const tn_jsonl_record *r, tn_error *e)
{
    const int64_t first = m.d->n;
    tn_row chosen = { 0 }, rejected = { 0 };
    if (add_answer(m, r, false, &chosen, e))
        return e->code;
    const int64_t second = m.d->n - first;
    if (add_answer(m, r, true, &rejected, e))
        return e->code;
    const bool both = chosen.loss > 0 && rejected.loss > 0;
    const tn_row pair = { .loss = both ? chosen.loss + rejected.loss : 0,
                          .second = second,
                          .cut = chosen.cut || rejected.cut,
                          .answer_cut = chosen.answer_cut || rejected.answer_cut };
    m.d->facts.chats += both && r->count > 0;
    m.d->facts.chat = m.d->facts.chats ? m.o->chat : NULL;
    return tn_dataset_add_row(m.d, first, &pair, e);
}
