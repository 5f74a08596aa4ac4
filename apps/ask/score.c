/* score.c - generates answers to records and scores them.
   Answers to a task are scored by the task's rule, other answers by comparing texts. Of a chat
   every answer is asked for, after the right messages before it. */
#include "apps/ask/score.h"
#include "apps/ask/ask.h"
#include "apps/ask/prompt.h"
#include "data/chat/chat.h"

#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 32 }; /* answers made in one batch; a row does not depend on the others */

typedef struct answers {
    const setup *s;
    ask how; /* the template of chats, and what ends an answer */
    int64_t rows;
    tn_record record[AT_ONCE]; /* of a task */
    tn_text wanted[AT_ONCE];   /* the completions */
    tn_text text[AT_ONCE];     /* what the model says, with what is held back of it */
    tn_held held[AT_ONCE];
    bool stop[AT_ONCE]; /* it cannot be right any more */
    int32_t *ids[AT_ONCE], *out[AT_ONCE];
    int64_t length[AT_ONCE], made[AT_ONCE];
} answers;

/* Adds a row: n tokens of a prompt, which become its own. continues: the prompt has text. */
static void add_row(answers *a, int32_t *ids, int64_t n, bool continues)
{
    const int64_t r = a->rows++, most = a->s->model->positions;
    a->ids[r] = ids;
    /* A prompt that is longer than the model can read is cut. Its answer is then probably wrong. */
    a->length[r] = n < most ? n : most;
    a->held[r] = (tn_held){ .begun = continues };
    a->stop[r] = false;
}

/* A text and how it goes on. */
static int ask_pair(answers *a, tn_span text, tn_span wanted, tn_error *e)
{
    prompt made = { 0 };
    prompt_encode(a->s->tokenizer, text, false, &made, e);
    if (e->code || made.n == 0) { /* an answer needs a first token */
        free(made.ids);
        return e->code;
    }
    tn_text_bytes(&a->wanted[a->rows], wanted.s, wanted.n);
    add_row(a, made.ids, made.n, text.n > 0);
    return 0;
}

static bool is_end(const ask *how, int32_t id)
{
    bool is = false;
    for (int64_t i = 0; i < how->end_count; i++)
        is = is || how->ends[i] == id;
    return is;
}

/* The last message of n is an answer. What is learnt of it, without its end, is wanted. */
static int ask_message_of(answers *a, const tn_message *m, int64_t n, tn_error *e)
{
    const tn_tokenizer *k = a->s->tokenizer;
    tn_chat_ids asked = { 0 }, whole = { 0 };
    tn_held held = { .begun = true };
    ask_messages(&a->how, m, n - 1, &asked, e);
    tn_chat_encode(a->how.chat, k, m, n, false, &whole, NULL, e);
    int64_t to = whole.n, from;
    while (to > 0 && !whole.learnt[to - 1])
        to--;
    for (from = to; from > 0 && whole.learnt[from - 1]; from--) {}
    to -= to > from && is_end(&a->how, whole.ids[to - 1]);
    if (!e->code && asked.n) {
        tn_decode_next(k, whole.ids + from, to - from, &held, &a->wanted[a->rows]);
        tn_decode_end(&held, &a->wanted[a->rows]);
        add_row(a, asked.ids, asked.n, true);
        asked.ids = NULL;
    }
    tn_chat_ids_free(&asked);
    tn_chat_ids_free(&whole);
    return e->code;
}

/* Tokens of the longest right answer, with its end token. A longer answer is wrong. */
static int64_t longest_answer(const answers *a)
{
    int64_t most = 1;
    for (int64_t r = 0; r < a->rows; r++)
        if ((int64_t)a->wanted[r].n + 1 > most) /* no token is shorter than a byte */
            most = (int64_t)a->wanted[r].n + 1;
    return most < a->s->model->positions ? most : a->s->model->positions;
}

/* Does the text begin as the wanted one, as far as both go? */
static bool agrees(const answers *a, int64_t r)
{
    const tn_text *made = &a->text[r], *wanted = &a->wanted[r];
    const size_t n = made->n < wanted->n ? made->n : wanted->n;
    return n == 0 || !memcmp(made->s, wanted->s, n);
}

/* An answer that is compared as a whole need not go on once it differs. */
static void take_token(void *arg, int64_t r, int32_t token)
{
    answers *a = arg;
    tn_decode_next(a->s->tokenizer, &token, 1, &a->held[r], &a->text[r]);
    a->stop[r] = !a->s->task && (!agrees(a, r) || a->text[r].n > a->wanted[r].n);
}

/* Is the answer right? Without an end token in the tokenizer only the answer's beginning counts. */
static void judge(answers *a, int64_t r, answer_score *out, tn_error *e)
{
    const setup *s = a->s;
    tn_decode_end(&a->held[r], &a->text[r]);
    const char *made = tn_text_done(&a->text[r], "an answer", e);
    tn_text_done(&a->wanted[r], "an answer", e);
    const size_t n = a->wanted[r].n, has = a->text[r].n;
    const bool ends = a->how.chat || tn_tokenizer_end(s->tokenizer) >= 0;
    const bool whole = ends ? has == n : has >= n;
    if (e->code)
        return;
    const tn_score score = s->task ? s->task->score(&a->record[r], made)
                                   : (tn_score){ .exact = whole && agrees(a, r) };
    out->exact += score.exact;
    out->parts += score.parts;
    out->records++;
}

static void forget(answers *a)
{
    for (int64_t r = 0; r < a->rows; r++) {
        free(a->ids[r]);
        free(a->out[r]);
        tn_text_free(&a->wanted[r]);
        tn_text_free(&a->text[r]);
        a->ids[r] = a->out[r] = NULL;
    }
    a->rows = 0;
}

/* Generates the answers, judges them, and removes all rows. */
static int answer(answers *a, answer_score *out, tn_error *e)
{
    const int64_t most = longest_answer(a);
    for (int64_t r = 0; r < a->rows && !e->code; r++)
        if (!(a->out[r] = malloc((size_t)most * sizeof *a->out[r])))
            tn_fail(e, TN_ENOMEM, "answers: out of memory");
    const tn_sampling greedy = { .max_tokens = most,
                                 .ends = a->how.ends,
                                 .end_count = a->how.end_count,
                                 .stop = a->stop,
                                 .tape = a->s->tape };
    if (a->rows && !e->code)
        tn_generate(a->s->model, a->rows, (const int32_t *const *)a->ids, a->length, &greedy,
                    a->out, a->made, take_token, a, e);
    for (int64_t r = 0; r < a->rows && !e->code; r++)
        judge(a, r, out, e);
    forget(a);
    return e->code;
}

static void ask_task(answers *a, const options *o, int64_t count, answer_score *out, tn_error *e)
{
    for (int64_t i = 0; i < count && !e->code; i++) {
        tn_record *r = &a->record[a->rows];
        tn_task_record(a->s->task, (uint64_t)o->seed, o->split, (uint64_t)i, r);
        ask_pair(a, (tn_span){ r->prompt, strlen(r->prompt) },
                 (tn_span){ r->completion, strlen(r->completion) }, e);
        if (a->rows == AT_ONCE)
            answer(a, out, e);
    }
}

static void ask_chat(answers *a, const tn_jsonl_record *r, answer_score *out, tn_error *e)
{
    for (int64_t i = 1; i < r->count && !e->code; i++) {
        if (tn_role_is(&r->messages[i], "assistant") && !r->messages[i].asked)
            ask_message_of(a, r->messages, i + 1, e);
        if (a->rows == AT_ONCE)
            answer(a, out, e);
    }
}

static void ask_files(answers *a, const options *o, part which, answer_score *out, tn_error *e)
{
    tn_records *file = data_records(o, which, e);
    tn_jsonl_record r;
    while (file && tn_records_next(file, &r, e)) {
        if (r.kind == TN_RECORD_PAIR)
            ask_pair(a, r.prompt, r.text, e);
        else if (r.kind == TN_RECORD_CHAT && !r.skip)
            ask_chat(a, &r, out, e);
        if (a->rows == AT_ONCE)
            answer(a, out, e);
    }
    tn_records_close(file);
}

int score_answers(const setup *s, const options *o, part which, answer_score *out, tn_error *e)
{
    *out = (answer_score){ 0 };
    const tn_data_facts f = tn_dataset_facts(s->data[which]);
    answers *a = calloc(1, sizeof *a);
    if (!a)
        return tn_fail(e, TN_ENOMEM, "answers: out of memory");
    a->s = s;
    a->how = (ask){ .tokenizer = s->tokenizer, .chat = f.chat };
    if (!e->code && !ask_ends(&a->how, s, e)) {
        if (s->task)
            ask_task(a, o, f.records + f.skipped, out, e);
        else
            ask_files(a, o, which, out, e);
        answer(a, out, e);
    }
    out->parts /= out->records ? (double)out->records : 1;
    ask_end(&a->how);
    free(a);
    return e->code;
}
