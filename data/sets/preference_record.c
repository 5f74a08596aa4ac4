/* preference_record.c - encodes a preference as a pair of rows: the prompt with each answer.

   The ids of the rejected answer's row follow those of the chosen one's. At the end each row is cut
   by itself. In front both lose as many ids, those of the longer row, so that both answers still have
   the same prompt. */
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
    if (!tn_dataset_encode_chat(m, m.o->chat, messages, n, &ids, &gone, e) &&
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

/* Appends both rows; row i has at most window[i] ids. *second becomes where the second begins. */
static int add_both(tn_maker m, const tn_jsonl_record *r, const int64_t window[2], tn_row row[2],
                    int64_t *second, tn_error *e)
{
    const int64_t first = m.d->n, usual = m.d->window;
    for (int i = 0; i < 2 && !e->code; i++) {
        *second = m.d->n - first;
        m.d->window = window[i];
        add_answer(m, r, i == 1, &row[i], e);
    }
    m.d->window = usual;
    return e->code;
}

/* The same, cut in front: whole rows say how many ids the longer one has to lose. */
static int add_front(tn_maker m, const tn_jsonl_record *r, tn_row row[2], int64_t *second,
                     tn_error *e)
{
    const int64_t first = m.d->n, unknown = m.d->facts.unknown;
    if (add_both(m, r, (int64_t[]){ INT64_MAX, INT64_MAX }, row, second, e))
        return e->code;
    const int64_t length[2] = { *second, m.d->n - first - *second };
    const int64_t gone = (length[0] > length[1] ? length[0] : length[1]) - m.d->window;
    if (gone <= 0)
        return e->code;
    m.d->n = first;
    m.d->facts.unknown = unknown;
    if (length[0] > gone && length[1] > gone)
        return add_both(m, r, (int64_t[]){ length[0] - gone, length[1] - gone }, row, second, e);
    row[0] = row[1] = (tn_row){ 0 }; /* nothing is left of the shorter row */
    return e->code;
}

/* May be true of rows that were cut. */
static bool are_equal(const tn_dataset *d, int64_t first, int64_t second)
{
    const int64_t n = d->n - first - second;
    for (int64_t i = first; i < first + n && n == second; i++)
        if (d->wide ? d->wide[i] != d->wide[i + n] : d->ids[i] != d->ids[i + n])
            return false;
    return n == second;
}

int tn_dataset_add_preference(tn_maker m, const tn_jsonl_record *r, bool *equal, tn_error *e)
{
    const int64_t first = m.d->n;
    int64_t second = 0;
    tn_row row[2] = { 0 };
    if (m.o->front)
        add_front(m, r, row, &second, e);
    else
        add_both(m, r, (int64_t[]){ m.d->window, m.d->window }, row, &second, e);
    if (e->code)
        return e->code;
    const bool both = row[0].loss > 0 && row[1].loss > 0;
    *equal = both && are_equal(m.d, first, second);
    const bool kept = both && !*equal;
    const tn_row pair = { .loss = kept ? row[0].loss + row[1].loss : 0,
                          .second = second,
                          .cut = row[0].cut || row[1].cut,
                          .answer_cut = row[0].answer_cut || row[1].answer_cut };
    m.d->facts.chats += kept && r->count > 0;
    m.d->facts.chat = m.d->facts.chats ? m.o->chat : NULL;
    return tn_dataset_add_row(m.d, first, &pair, e);
}
