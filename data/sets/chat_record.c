/* chat_record.c - encodes a chat as a record, if necessary without its oldest turns. */
#include "data/chat/chat.h"
#include "data/sets/dataset.h"

#include <stdlib.h>
#include <string.h>

/* A chat that is encoded without its messages first..from-1. Message 0 may be the system's, which
   stays. */
typedef struct turns {
    const tn_message *all; /* (count) */
    int64_t count, first, from;
    tn_message *left; /* (count) room for those that are left */
    const tn_chat_template *chat;
} turns;

/* Leaves out the oldest turn, up to the next message of the user. False: there is no other turn. */
static bool drop_turn(turns *t)
{
    int64_t at = t->from + 1;
    while (at < t->count && !tn_role_is(&t->all[at], "user"))
        at++;
    if (at >= t->count)
        return false;
    t->from = at;
    return true;
}

static int encode(tn_maker m, const turns *t, tn_chat_ids *ids, tn_error *e)
{
    const int64_t first = t->first, n = t->count - t->from;
    int64_t unknown = 0;
    memcpy(t->left, t->all, (size_t)first * sizeof *t->left);
    memcpy(t->left + first, t->all + t->from, (size_t)n * sizeof *t->left);
    ids->n = 0;
    tn_chat_encode(t->chat, m.k, t->left, first + n, false, ids,
                   m.o->skip_unknown ? &unknown : NULL, e);
    if (t->from == first) /* characters of turns that are left out count, too */
        m.d->facts.unknown += unknown;
    return e->code;
}

/* Was an answer that is learnt left out? */
static bool lost_answer(const turns *t, bool all)
{
    for (int64_t i = t->first; i < t->from; i++)
        if (all || (tn_role_is(&t->all[i], "assistant") && !t->all[i].asked))
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

int tn_dataset_encode_chat(tn_maker m, const tn_chat_template *chat, const tn_message *messages,
                           int64_t n, tn_chat_ids *out, tn_dropped *dropped, tn_error *e)
{
    if (!chat)
        return tn_fail(e, TN_ETEMPLATE, "a chat; expected a chat template for it, or a text");
    turns t = {
        .all = messages, .count = n, .first = n && tn_role_is(&messages[0], "system"), .chat = chat
    };
    t.from = t.first;
    t.left = malloc((size_t)(n ? n : 1) * sizeof *t.left);
    if (!t.left)
        return tn_fail(e, TN_ENOMEM, "a chat: out of memory");
    encode_turns(m, &t, out, e);
    dropped->turns = t.from > t.first;
    dropped->answer = lost_answer(&t, m.o->no_mask);
    free(t.left);
    return e->code;
}

static int keep(tn_maker m, const tn_chat_template *chat, const tn_chat_ids *ids, tn_dropped gone,
                tn_error *e)
{
    const int64_t first = m.d->n;
    if (tn_dataset_append(m.d, ids->ids, ids->n, e) ||
        (!m.o->no_mask && tn_dataset_learn(m.d, first, ids->learnt, e)))
        return e->code;
    tn_row r = tn_dataset_cut_row(m.d, first, 0);
    r.cut = r.cut || gone.turns;
    r.answer_cut = r.answer_cut || gone.answer;
    m.d->facts.chats += r.loss > 0;
    m.d->facts.chat = m.d->facts.chats ? chat : NULL;
    return tn_dataset_add_row(m.d, first, &r, e);
}

int tn_dataset_add_chat(tn_maker m, const tn_jsonl_record *r, tn_error *e)
{
    const tn_chat_template *chat =
        m.o->chat || r->format != TN_FORMAT_ALPACA ? m.o->chat : m.o->alpaca;
    tn_chat_ids ids = { 0 };
    tn_dropped gone = { 0 };
    if (!tn_dataset_encode_chat(m, chat, r->messages, r->count, &ids, &gone, e))
        keep(m, chat, &ids, gone, e);
    tn_chat_ids_free(&ids);
    return e->code;
}
