/* ask.c - decides in which chat template a model is asked (ask.h). */
#include "apps/ask/ask.h"
#include "apps/run/config_used.h"
#include "apps/report/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_MOST = 1 << 20 };

tn_message ask_message(const char *role, const char *text, size_t n)
{
    return (tn_message){ .role = { role, strlen(role) }, .text = { text, n } };
}

/* ---- which template ---- */

/* Reads the name of the template from the config.used of what a run made. False: there is no such
   line. */
static bool read_trained(const char *path, char name[64], tn_error *e)
{
    size_t size;
    char *used = config_path(path, e);
    char *text = used ? tn_text_read(used, CONFIG_MOST, &size, e) : NULL;
    const char *line = text ? strstr(text, CONFIG_CHAT) : NULL;
    if (line) {
        line += strlen(CONFIG_CHAT);
        snprintf(name, 64, "%.*s", (int)strcspn(line, "\r\n"), line);
    }
    free(text);
    free(used);
    return line != NULL;
}

/* Decides without --chat-template. *why: where the template comes from, or why the model's own is
   not used; NULL: it has none. */
static const tn_chat_template *own_template(const options *o, const char **why, tn_error *e)
{
    char name[64];
    char *own = tn_chat_template_read(o->model, e);
    const tn_chat_template *t = tn_chat_template_of(own);
    const bool adapter = o->adapter_path != NULL;
    if (!e->code && read_trained(adapter ? o->adapter_path : o->model, name, e)) {
        t = tn_chat_template_find(name);
        *why = !own && !t ? NULL
               : adapter  ? "as in the training of the adapter"
                          : "as in the training of the model";
    } else {
        *why = t ? "the model's own" : own ? "the model's own is not known" : NULL;
    }
    free(own);
    return t;
}

void ask_tell(const ask *a)
{
    if (a->chat)
        show_note("chat template %s (%s); --ignore-chat-template is for plain text",
                  tn_chat_name(a->chat), a->why);
    else if (a->why)
        show_note("plain text, without a chat template (%s); --chat-template NAME is for one",
                  a->why);
}

/* ---- what ends an answer ---- */

/* The token that the template writes after an answer: the last that is learnt. */
static int32_t end_of_answer(const ask *a, tn_error *e)
{
    const tn_message m[] = { ask_message("user", "a", 1), ask_message("assistant", "a", 1) };
    tn_chat_ids ids = { 0 };
    int32_t end = -1;
    tn_chat_encode(a->chat, a->tokenizer, m, 2, false, &ids, NULL, e);
    for (int64_t i = 0; i < ids.n; i++)
        end = ids.learnt[i] ? ids.ids[i] : end;
    tn_chat_ids_free(&ids);
    return end;
}

static int check_template(const ask *a, const options *o, tn_error *e)
{
    tn_error inner = { 0 };
    if (!a->chat || e->code)
        return e->code;
    end_of_answer(a, &inner);
    if (inner.code)
        tn_fail(e, inner.code, "%s, chat template %s (%s): %s", o->model, tn_chat_name(a->chat),
                a->why, inner.text);
    return e->code;
}

int ask_ends(ask *a, const setup *s, tn_error *e)
{
    const int32_t more[] = { tn_tokenizer_end(s->tokenizer), a->chat ? end_of_answer(a, e) : -1 };
    const int64_t own = s->model->end_count;
    a->ends = malloc((size_t)(own + 2) * sizeof *a->ends);
    if (!a->ends)
        return tn_fail(e, TN_ENOMEM, "the end tokens: out of memory");
    if (own)
        memcpy(a->ends, s->model->ends, (size_t)own * sizeof *a->ends);
    a->end_count = own;
    for (int i = 0; i < 2; i++)
        if (more[i] >= 0)
            a->ends[a->end_count++] = more[i];
    return e->code;
}

/* ---- asking ---- */

int ask_begin(ask *a, const setup *s, const options *o, tn_error *e)
{
    *a = (ask){ .tokenizer = s->tokenizer };
    if (e->code)
        return e->code;
    if (o->chat_template)
        a->chat = data_chat(o, e);
    else if (!o->ignore_chat_template && !o->special)
        a->chat = own_template(o, &a->why, e);
    if (o->chat_template)
        a->why = "--chat-template";
    if (!e->code && o->system_prompt && !a->chat)
        tn_fail(e, APP_USAGE,
                "--system-prompt: the prompt is plain text; expected a chat template "
                "(--chat-template NAME)");
    return check_template(a, o, e) ? e->code : ask_ends(a, s, e);
}

int ask_messages(const ask *a, const tn_message *m, int64_t n, tn_chat_ids *ids, tn_error *e)
{
    return tn_chat_encode(a->chat, a->tokenizer, m, n, true, ids, NULL, e);
}

void ask_end(ask *a)
{
    free(a->ends);
    *a = (ask){ 0 };
}

tn_sampling ask_sampling(const ask *a, const setup *s, const options *o)
{
    const int64_t positions = s->model->positions;
    return (tn_sampling){ .temperature = o->temp,
                          .top_k = o->top_k,
                          .top_p = o->top_p,
                          .min_p = o->min_p,
                          .penalty = o->repeat_last_n ? o->repeat_penalty : 0,
                          .penalty_last = o->repeat_last_n,
                          .seed = (uint64_t)o->seed,
                          .max_tokens = o->max_tokens < positions ? o->max_tokens : positions,
                          .ends = a->ends,
                          .end_count = a->end_count,
                          .tape = s->tape };
}
