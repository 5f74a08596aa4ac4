/* talk.c - the messages of a talk, and the model's answers (talk.h). */
#include "apps/ask/talk.h"
#include "apps/ask/answer.h"
#include "apps/report/show.h"
#include "apps/run/signals.h"

#include <stdlib.h>
#include <string.h>

/* ---- the messages ---- */

static int put_text(tn_message *m, const char *role, const char *text, size_t n, tn_error *e)
{
    char *copy = malloc(n + 1);
    if (!copy)
        return tn_fail(e, TN_ENOMEM, "the talk: out of memory");
    if (n)
        memcpy(copy, text, n);
    copy[n] = 0;
    free((char *)m->text.s);
    *m = ask_message(role, copy, n);
    return e->code;
}

static int add(talk *t, const char *role, const char *text, size_t n, tn_error *e)
{
    if (t->n == t->room) {
        const int64_t room = t->room ? 2 * t->room : 16;
        tn_message *more = realloc(t->messages, (size_t)room * sizeof *more);
        if (!more)
            return tn_fail(e, TN_ENOMEM, "the talk: out of memory");
        t->messages = more;
        t->room = room;
    }
    t->messages[t->n] = (tn_message){ 0 };
    if (put_text(&t->messages[t->n], role, text, n, e))
        return e->code;
    t->n++;
    return e->code;
}

/* Takes the last messages away, so that n stay. */
static void cut(talk *t, int64_t n)
{
    while (t->n > n)
        free((char *)t->messages[--t->n].text.s);
    t->sent = t->sent < n ? t->sent : n;
    t->sent = t->sent > 1 ? t->sent : 1;
}

int talk_system(talk *t, const char *text, size_t n, tn_error *e)
{
    return put_text(&t->messages[0], "system", text, n, e);
}

static void forget_saved(talk *t)
{
    free(t->saved_to);
    tn_text_free(&t->saved);
    t->saved_to = NULL;
}

void talk_reset(talk *t)
{
    cut(t, 1);
    forget_saved(t);
}

bool talk_undo(talk *t)
{
    if (t->n < 3)
        return false;
    cut(t, t->n - 2);
    return true;
}

void talk_adapter(talk *t, bool on)
{
    tn_lora_switch(t->s->model, on);
    tn_session_clear(t->session);
    t->off = !on;
}

int talk_begin(talk *t, const setup *s, const options *o, tn_error *e)
{
    const char *system = o->system_prompt ? o->system_prompt : "";
    *t = (talk){ .s = s, .o = o, .sent = 1 };
    if (ask_begin(&t->how, s, o, e))
        return e->code;
    if (!t->how.chat)
        return tn_fail(e, TN_EFORMAT,
                       "%s: no chat template that is known; expected one, or --chat-template NAME "
                       "(tenon generate continues plain text)",
                       o->model);
    t->session = tn_session_new(s->model);
    if (!t->session)
        tn_fail(e, TN_ENOMEM, "the talk: out of memory");
    return add(t, "system", system, strlen(system), e);
}

void talk_end(talk *t)
{
    if (t->messages)
        cut(t, 0);
    free(t->messages);
    tn_session_free(t->session);
    ask_end(&t->how);
    forget_saved(t);
    *t = (talk){ 0 };
}

/* ---- answers ---- */

/* The ids of the messages that are sent. */
static int encode(const talk *t, tn_chat_ids *ids, tn_error *e)
{
    const int64_t system = t->messages[0].text.n > 0, n = t->n - t->sent;
    tn_message *m = malloc((size_t)(system + n) * sizeof *m);
    ids->n = 0;
    if (!m)
        return tn_fail(e, TN_ENOMEM, "the talk: out of memory");
    m[0] = t->messages[0];
    memcpy(m + system, t->messages + t->sent, (size_t)n * sizeof *m);
    ask_messages(&t->how, m, system + n, ids, e);
    free(m);
    return e->code;
}

/* The same, without the oldest questions and answers where all are too many: an answer must have
   --max-tokens, or a quarter of the positions. Then so many are left out that a quarter is free for
   the next ones, which need not compute everything again. The last question is always sent. */
static int encode_fitting(talk *t, tn_chat_ids *ids, tn_error *e)
{
    const int64_t positions = t->s->model->positions, quarter = positions / 4;
    const int64_t spare = t->o->max_tokens < quarter ? t->o->max_tokens : quarter;
    int64_t left_out = 0, most = positions - spare;
    while (!encode(t, ids, e) && ids->n > most && t->sent + 2 < t->n) {
        t->sent += 2;
        left_out += 2;
        most = positions - spare - quarter;
    }
    if (left_out)
        show_note("the oldest %lld messages are no longer sent: the model has %lld positions",
                  (long long)left_out, (long long)positions);
    if (!e->code && ids->n > positions)
        tn_fail(e, TN_EARG, "the question: %lld tokens; expected at most the model's %lld",
                (long long)ids->n, (long long)positions);
    return e->code;
}

typedef struct reply {
    answer text;
    bool stop;
    tn_error *e;
} reply;

static void take_token(void *arg, int64_t row, int32_t token)
{
    reply *r = arg;
    (void)row;
    r->stop = answer_add(&r->text, token, r->e) || signals_stop() || r->e->code;
}

static int reply_to(talk *t, const tn_chat_ids *ids, reply *r, tn_error *e)
{
    tn_sampling how = ask_sampling(&t->how, t->s, t->o);
    int32_t *out = malloc((size_t)how.max_tokens * sizeof *out);
    const int32_t *prompt = ids->ids;
    int64_t made = 0;
    if (!out)
        return tn_fail(e, TN_ENOMEM, "an answer: out of memory");
    how.session = t->session;
    how.stop = &r->stop;
    signals_catch_interrupt();
    tn_generate(t->s->model, 1, &prompt, &ids->n, &how, &out, &made, take_token, r, e);
    if (!e->code)
        answer_close(&r->text, e);
    signals_release();
    free(out);
    return e->code;
}

int talk_say(talk *t, const char *text, size_t n, tn_error *e)
{
    tn_chat_ids ids = { 0 };
    reply r = { .text = { .tokenizer = t->s->tokenizer, .stops = t->o->stop, .shown = true },
                .e = e };
    const int64_t before = t->n, sent = t->sent;
    if (!add(t, "user", text, n, e) && !encode_fitting(t, &ids, e) && !reply_to(t, &ids, &r, e)) {
        show("\n");
        add(t, "assistant", r.text.text.s ? r.text.text.s : "", r.text.text.n, e);
    }
    if (e->code) {
        cut(t, before);
        t->sent = sent;
    }
    answer_free(&r.text);
    tn_chat_ids_free(&ids);
    return e->code;
}

/* ---- saving ---- */

enum { FILE_MOST = 1 << 28 };

/* The messages as a line. */
static int write_line(const talk *t, tn_text *line, tn_error *e)
{
    tn_text_add(line, "{\"messages\":[");
    for (int64_t i = t->messages[0].text.n ? 0 : 1, first = i; i < t->n; i++) {
        tn_text_add(line, "%s{\"role\":\"%s\",\"content\":", i > first ? "," : "",
                    t->messages[i].role.s);
        tn_text_quote(line, t->messages[i].text.s, t->messages[i].text.n);
        tn_text_add(line, "}");
    }
    tn_text_add(line, "]}\n");
    return tn_text_done(line, "the talk", e) ? e->code : TN_ENOMEM;
}

/* Refuses to write into a file of another kind. */
static int check_first(const char *path, const char *text, size_t n, tn_error *e)
{
    tn_error inner = { 0 };
    const char *end = memchr(text, '\n', n);
    const tn_json *first = tn_json_parse(text, end ? (size_t)(end - text) : n, path, 1, &inner);
    const tn_json *messages = tn_json_find(first, "messages");
    if (inner.code == TN_ENOMEM)
        *e = inner;
    else if (!messages || messages->kind != TN_ARRAY)
        tn_fail(e, TN_EFORMAT,
                "%s:1: no object with \"messages\"; expected a new file, or one of saved talks",
                path);
    tn_json_free(first);
    return e->code;
}

/* Writes the lines that the file has, without an older one of this talk, and the new one. */
static int put_line(talk *t, const char *path, const char *had, size_t n, tn_error *e)
{
    const tn_text *old = &t->saved;
    tn_text all = { 0 };
    if (t->saved_to && !strcmp(t->saved_to, path) && n >= old->n &&
        !memcmp(had + n - old->n, old->s, old->n))
        n -= old->n;
    forget_saved(t);
    tn_text_bytes(&all, had, n);
    tn_text_add(&all, n && had[n - 1] != '\n' ? "\n" : "");
    if (!write_line(t, &t->saved, e))
        tn_text_bytes(&all, t->saved.s, t->saved.n);
    const char *text = e->code ? NULL : tn_text_done(&all, "the talk", e);
    if (text && !tn_file_write(path, text, all.n, e))
        t->saved_to = realpath(path, NULL);
    tn_text_free(&all);
    return e->code;
}

int talk_save(talk *t, const char *path, tn_error *e)
{
    size_t n = 0;
    if (t->n < 3)
        return tn_fail(e, TN_EARG, "%s: not written; expected a talk with an answer", path);
    const bool there = tn_path_is(path, NULL, e) == TN_FILE;
    char *real = there ? realpath(path, NULL) : NULL; /* a link stays a link */
    char *had = there && !e->code ? tn_file_read(path, FILE_MOST, &n, e) : NULL;
    if (!e->code && (!n || !check_first(path, had, n, e)))
        put_line(t, real ? real : path, had ? had : "", n, e);
    free(had);
    free(real);
    return e->code;
}
