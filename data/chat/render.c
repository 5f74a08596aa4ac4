/* render.c - messages become the text of a template, with the places of its tokens. */
#include "data/chat/chat.h"
#include "core/utf8.h"

#include <stdlib.h>
#include <string.h>

static void add_range(tn_chat_places *r, size_t from, size_t to, tn_text *text)
{
    if (r->n == r->room) {
        const size_t room = r->room ? 2 * r->room : 16;
        tn_chat_place *more = realloc(r->at, room * sizeof *more);
        text->failed = text->failed || !more;
        r->at = more ? more : r->at;
        r->room = more ? room : r->room;
    }
    if (r->n < r->room)
        r->at[r->n++] = (tn_chat_place){ from, to };
}

void tn_chat_text_free(tn_chat_text *c)
{
    tn_text_free(&c->text);
    free(c->tokens.at);
    free(c->learnt.at);
    c->tokens = c->learnt = (tn_chat_places){ 0 };
}

/* Writes {NAME}, and returns what comes after it. */
static const char *write_token(tn_chat_text *c, const char *at)
{
    const char *end = strchr(at, '}');
    const size_t n = (size_t)(end - at) - 1, from = c->text.n;
    const bool bos = n == 3 && !memcmp(at + 1, "bos", n), eos = n == 3 && !memcmp(at + 1, "eos", n);
    const char *name = bos ? c->bos : eos ? c->eos : NULL;
    if (name)
        tn_text_bytes(&c->text, name, strlen(name));
    else if (bos || eos)
        c->lacks = bos ? "begin" : "end";
    else
        tn_text_bytes(&c->text, at + 1, n);
    if (c->text.n > from)
        add_range(&c->tokens, from, c->text.n, &c->text);
    return end + 1;
}

void tn_chat_write(tn_chat_text *c, const char *template, const tn_message *m)
{
    while (*template) {
        const size_t n = strcspn(template, "{@");
        tn_text_bytes(&c->text, template, n);
        template += n;
        if (*template == '{') {
            template = write_token(c, template);
        } else if (*template == '@') {
            tn_text_bytes(&c->text, m->role.s, m->role.n);
            template ++;
        }
    }
}

void tn_chat_learn(tn_chat_text *c, const tn_message *m, size_t from)
{
    const tn_chat_place *last = c->tokens.n ? &c->tokens.at[c->tokens.n - 1] : NULL;
    if (!m->asked)
        add_range(&c->learnt, from, last && last->to > from ? last->to : c->text.n, &c->text);
}

bool tn_role_is(const tn_message *m, const char *role)
{
    return m->role.n == strlen(role) && !memcmp(m->role.s, role, m->role.n);
}

/* White space as Python's strip() has it. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

static tn_span strip_left(tn_span s)
{
    uint32_t code;
    for (size_t n; s.n && (n = tn_utf8_read(s.s, s.n, &code)) && is_space(code);)
        s = (tn_span){ s.s + n, s.n - n };
    return s;
}

static tn_span strip_right(tn_span s)
{
    uint32_t code;
    while (s.n) {
        size_t n = 1; /* bytes of the last character */
        while (n < 4 && n < s.n && ((unsigned char)s.s[s.n - n] & 0xC0) == 0x80)
            n++;
        if (!tn_utf8_read(s.s + s.n - n, n, &code) || !is_space(code))
            break;
        s.n -= n;
    }
    return s;
}

/* The text of a message as the template writes it. */
static void write_text(const tn_chat_template *t, tn_chat_text *c, const tn_message *m)
{
    tn_span s = m->text;
    if (t->rules & TN_CHAT_TRIM)
        s = strip_right(strip_left(s));
    tn_text_bytes(&c->text, s.s, s.n);
}

static void write_around(const tn_chat_template *t, tn_chat_text *c, const tn_around *a,
                         const tn_message *m)
{
    tn_chat_write(c, a->before, m);
    write_text(t, c, m);
    tn_chat_write(c, a->after, m);
}

/* A user's first turn, which begins with the system message. */
static void write_joined(const tn_chat_template *t, tn_chat_text *c, const tn_message *system,
                         const tn_message *m)
{
    tn_chat_write(c, t->user.before, m);
    tn_chat_write(c, t->inner.before, m);
    tn_text_bytes(&c->text, system->text.s, system->text.n);
    tn_chat_write(c, t->inner.after, m);
    if (t->rules & TN_CHAT_TRIM_JOINED) {
        const tn_span s = strip_right(m->text);
        tn_text_bytes(&c->text, s.s, s.n);
        while (!s.n && c->text.n && c->text.s[c->text.n - 1] == '\n')
            c->text.n--;
    } else {
        write_text(t, c, m);
    }
    tn_chat_write(c, t->user.after, m);
}

/* A JSON string, as Python's json.dumps writes it without ensure_ascii. */
static void write_quoted(tn_chat_text *c, tn_span s)
{
    static const char escaped[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";
    tn_text_add(&c->text, "\"");
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char b = (unsigned char)s.s[i];
        const char *which = b ? strchr(escaped, b) : NULL;
        if (which)
            tn_text_add(&c->text, "\\%c", letters[which - escaped]);
        else if (b < 0x20)
            tn_text_add(&c->text, "\\u%04x", b);
        else
            tn_text_bytes(&c->text, s.s + i, 1);
    }
    tn_text_add(&c->text, "\"");
}

static void write_tool(const tn_chat_template *t, tn_chat_text *c, const tn_message *m)
{
    const tn_message tool = { .role = { "ipython", 7 } };
    tn_chat_write(c, t->other.before, &tool);
    write_quoted(c, m->text);
    tn_chat_write(c, t->other.after, &tool);
}

static void write_message(const tn_chat_template *t, tn_chat_text *c, const tn_message *m)
{
    const bool user = tn_role_is(m, "user"), tool = tn_role_is(m, "tool");
    if (tn_role_is(m, "assistant")) {
        tn_chat_write(c, t->head, m);
        const size_t from = c->text.n;
        write_around(t, c, &t->answer, m);
        tn_chat_learn(c, m, from);
    } else if (user) {
        write_around(t, c, &t->user, m);
    } else if (tool && t->rules & TN_CHAT_QUOTE_TOOLS) {
        write_tool(t, c, m);
    } else if (tn_role_is(m, "system") && t->system.before && !t->other.before) {
        write_around(t, c, &t->system, m);
    } else if (t->other.before) {
        write_around(t, c, &t->other, m);
    }
}

/* ---- what a template cannot say ---- */

static int check_order(const tn_chat_template *t, const tn_message *m, int64_t n, tn_error *e)
{
    static const char *const roles[] = { "user", "assistant" };
    for (int64_t i = 0; i < n && t->rules & TN_CHAT_ALTERNATE; i++)
        if (!tn_role_is(&m[i], roles[i % 2]))
            return tn_fail(e, TN_EFORMAT,
                           "a message of role %.*s; expected %s: the chat template %s has user and "
                           "assistant in turn",
                           (int)(m[i].role.n < 40 ? m[i].role.n : 40), m[i].role.s, roles[i % 2],
                           t->name);
    return e->code;
}

static int check(const tn_chat_template *t, bool system, const tn_message *m, int64_t n,
                 tn_error *e)
{
    if (system && t->rules & TN_CHAT_ALTERNATE && !t->system.before && !t->inner.before)
        return tn_fail(e, TN_EFORMAT,
                       "a system message; expected none: the chat template %s has no place for it",
                       t->name);
    if (system && !n && t->rules & TN_CHAT_ALTERNATE && t->system.before)
        return tn_fail(e, TN_EFORMAT, "only a system message; expected one of the user");
    if (t->rules & TN_CHAT_ONE_ANSWER && n > 2)
        return tn_fail(e, TN_EFORMAT,
                       "%lld messages; expected one question and one answer: the chat template %s "
                       "has no more",
                       (long long)n, t->name);
    return check_order(t, m, n, e);
}

int tn_chat_render(const tn_chat_template *t, const tn_message *m, int64_t n, bool ask,
                   tn_chat_text *c, tn_error *e)
{
    if (n < 1)
        return tn_fail(e, TN_EFORMAT, "no messages; expected one or more");
    const bool system = tn_role_is(m, "system"),
               apart = system && !(t->rules & TN_CHAT_QWEN3) &&
                       (t->system.before || t->inner.before || t->rules & TN_CHAT_ALTERNATE);
    const tn_message *first = m;
    m += apart;
    n -= apart;
    if (check(t, apart, m, n, e))
        return e->code;
    tn_chat_write(c, t->begin, m);
    if (!system || (apart && t->system.before && !first->text.n && !*t->system.before))
        tn_chat_write(c, t->missing, m);
    else if (apart && t->system.before)
        write_around(t, c, &t->system, first);
    if (t->rules & TN_CHAT_QWEN3)
        tn_chat_qwen3(t, m, n, c);
    for (int64_t i = 0; i < n && !(t->rules & TN_CHAT_QWEN3); i++)
        if (apart && i == 0 && t->inner.before)
            write_joined(t, c, first, m);
        else
            write_message(t, c, &m[i]);
    if (ask)
        tn_chat_write(c, t->ask, m);
    if (c->lacks)
        return tn_fail(e, TN_EFORMAT,
                       "the tokenizer has no %s token, which the chat template %s writes; expected "
                       "another chat template",
                       c->lacks, t->name);
    return c->text.failed ? tn_fail(e, TN_ENOMEM, "chat: out of memory") : e->code;
}
