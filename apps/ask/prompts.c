/* prompts.c - reads prompts and encodes them (prompts.h). */
#include "apps/ask/prompts.h"
#include "apps/ask/prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 16, FILE_MOST = 1 << 26 };

int prompts_add(prompts *p, tn_text *text, tn_error *e)
{
    if (!e->code && p->count == p->room) {
        const int64_t room = p->room ? 2 * p->room : FIRST_ROOM;
        prompt_entry *more = realloc(p->all, (size_t)room * sizeof *more);
        if (!more)
            tn_fail(e, TN_ENOMEM, "the prompts: out of memory");
        p->all = more ? more : p->all;
        p->room = more ? room : p->room;
    }
    if (e->code)
        tn_text_free(text);
    else
        p->all[p->count++] = (prompt_entry){ .text = *text };
    return e->code;
}

int prompts_read(prompts *p, const char *path, tn_error *e)
{
    size_t size;
    char *all = e->code ? NULL : tn_text_read(path, FILE_MOST, &size, e);
    const int64_t before = p->count;
    const char *end = all ? all + size : NULL;
    int64_t number = 1;
    for (const char *line = all; line && line < end && !e->code;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((next ? next : end) - line);
        tn_text text = { 0 };
        n -= n && line[n - 1] == '\r';
        tn_text_bytes(&text, line, n);
        if (n && !prompts_add(p, &text, e)) {
            p->all[p->count - 1].file = path;
            p->all[p->count - 1].line = number;
        } else if (!n) {
            tn_text_free(&text);
        }
        line = next ? next + 1 : NULL;
        number++;
    }
    if (!e->code && p->count == before)
        tn_fail(e, TN_EFORMAT, "%s: no line with a prompt", path);
    free(all);
    return e->code;
}

/* A prompt as the user's message of a chat. */
static int encode_message(const ask *how, const options *o, prompt_entry *p, tn_span text,
                          tn_error *e)
{
    const char *system = o->system_prompt;
    const tn_message m[] = { ask_message("system", system ? system : "",
                                         system ? strlen(system) : 0),
                             ask_message("user", text.s, text.n) };
    tn_chat_ids ids = { 0 };
    ask_messages(how, m + !system, 1 + (system != NULL), &ids, e);
    p->ids = ids.ids;
    p->n = ids.n;
    free(ids.learnt);
    return e->code;
}

static int encode(prompt_entry *p, const char *flag, const ask *how, const setup *s,
                  const options *o, tn_error *e)
{
    tn_error inner = { 0 };
    prompt made = { 0 };
    const char *bytes = tn_text_done(&p->text, flag, e);
    const size_t mark = bytes ? tn_text_mark(flag, bytes, p->text.n, e) : 0;
    const tn_span text = { bytes ? bytes + mark : "", p->text.n - mark };
    const int64_t positions = s->model->positions;
    if (!e->code && how->chat) {
        encode_message(how, o, p, text, &inner);
    } else if (!e->code) {
        prompt_encode(s->tokenizer, text, o->special, &made, &inner);
        p->ids = made.ids;
        p->n = made.n;
    }
    if (inner.code)
        return tn_fail(e, inner.code, "%s: %s", flag, inner.text);
    if (!e->code && !p->n)
        return tn_fail(e, APP_USAGE, "%s: empty; expected text, because the model has no end token",
                       flag);
    if (!e->code && p->n > positions)
        return tn_fail(e, TN_EARG, "%s: %lld tokens; expected at most the model's %lld", flag,
                       (long long)p->n, (long long)positions);
    return e->code;
}

int prompts_encode(prompts *p, const ask *how, const setup *s, const options *o, tn_error *e)
{
    char where[300];
    for (int64_t i = 0; i < p->count && !e->code; i++) {
        const prompt_entry *entry = &p->all[i];
        if (entry->file)
            snprintf(where, sizeof where, "%.250s:%lld", entry->file, (long long)entry->line);
        encode(&p->all[i], entry->file ? where : p->flag, how, s, o, e);
    }
    return e->code;
}

void prompts_free(prompts *p)
{
    for (int64_t i = 0; i < p->count; i++) {
        tn_text_free(&p->all[i].text);
        free(p->all[i].ids);
    }
    free(p->all);
    *p = (prompts){ 0 };
}
