/* chat_record.c - encodes a chat as a record, if necessary without its oldest turns. */
#include "data/sets/dataset.h"

#include <stdlib.h>
#include <string.h>

static bool has_role(const tn_message *m, const char *role)
{
    return m->role.n == strlen(role) && !memcmp(m->role.s, role, m->role.n);
}

/* A chat that is encoded without its messages first..from-1. Message 0 may be the system's, which
   stays. */
typedef struct turns {
    const tn_jsonl_record *r;
    int64_t first, from;
    tn_message *left; /* (count) room for those that are left */
} turns;

/* Leaves out the oldest turn, up to the next message of the user. False: there is no other turn. */
static bool drop_turn(turns *t)
{
    int64_t at = t->from + 1;
    while (at < t->r->count && !has_role(&t->r->messages[at], "user"))
        at++;
    if (at >= t->r->count)
        return false;
    t->from = at;
    return true;
}

static int encode(tn_maker m, const turns *t, tn_chat_ids *ids, tn_error *e)
{
    const int64_t first = t->first, n = t->r->count - t->from;
    int64_t unknown = 0;
    memcpy(t->left, t->r->messages, (size_t)first * sizeof *t->left);
    memcpy(t->left + first, t->r->messages + t->from, (size_t)n * sizeof *t->left);
    ids->n = 0;
    tn_chat_encode(m.o->chat, m.k, t->left, first + n, false, ids,
                   m.o->skip_unknown ? &unknown : NULL, e);
    if (t->from == first) /* characters of turns that are left out count, too */
        m.d->facts.unknown += unknown;
    return e->code;
}

/* Was an answer that is learnt left out? */
static bool lost_answer(const turns *t, bool all)
{
    for (int64_t i = t->first; i < t->from; i++)
        if (all || (has_role(&t->r->messages[i], "assistant") && !t->r->messages[i].asked))
            return true;
    return false;
}

/* Encodes the chat, and the rest of it while it is too long. */
static int encode_turns(tn_maker m, turns *t, tn_chat_ids *ids, tn_error *e)
{
    encode(m, t, ids, e);
    while (m.o->front && !e->code && ids->n > m.d->window && drop_turn(t))
        encode(m, t, ids, e);
    return e->code;
}

static int keep(tn_maker m, const turns *t, const tn_chat_ids *ids, tn_error *e)
{
    const int64_t first = m.d->n, records = m.d->facts.records;
    tn_data_facts *f = &m.d->facts;
    const int64_t cut = f->truncated, answers = f->answers_cut;
    if (tn_dataset_append(m.d, ids->ids, ids->n, e) ||
        (!m.o->no_mask && tn_dataset_learn(m.d, first, ids->learnt, e)) ||
        tn_dataset_keep(m.d, first, 0, e) || f->records == records)
        return e->code;
    f->chats++;
    if (t->from > t->first) {
        f->truncated = cut + 1;
        m.d->cut[records] = true;
        f->answers_cut =
            f->answers_cut > answers || lost_answer(t, m.o->no_mask) ? answers + 1 : answers;
    }
    return e->code;
}

int tn_dataset_add_chat(tn_maker m, const tn_jsonl_record *r, tn_error *e)
{
    if (!m.o->chat)
        return tn_fail(e, TN_EFORMAT, "a chat; expected a chat template for it, or a text");
    tn_chat_ids ids = { 0 };
    turns t = { .r = r, .first = r->count && has_role(&r->messages[0], "system") };
    t.from = t.first;
    t.left = malloc((size_t)(r->count ? r->count : 1) * sizeof *t.left);
    if (!t.left)
        tn_fail(e, TN_ENOMEM, "a chat: out of memory");
    else if (!encode_turns(m, &t, &ids, e))
        keep(m, &t, &ids, e);
    tn_chat_ids_free(&ids);
    free(t.left);
    return e->code;
}
