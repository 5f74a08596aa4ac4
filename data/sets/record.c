/* record.c - brings the kinds of records that people have into one form.

     {"messages": [{"role", "content"}]}                      chats of most APIs
     {"conversations": [{"from", "value"}], "system"}         ShareGPT
     {"instruction", "input", "output", "system", "history"}  Alpaca
     {"prompt", "completion"}                                 a text and how it goes on, or messages
     {"prompt", "choices", "answer"}                          a question: question.c
     {"prompt", "chosen", "rejected"}                         a preference: preference.c
     {"text"}

   Texts stay as they are. A number counts as the text that the file has. */
#include "data/sets/record.h"
#include "data/formats/json.h"

#include <stdlib.h>
#include <string.h>

bool tn_record_is_text(const tn_json *v)
{
    return v && (v->kind == TN_STRING || v->kind == TN_NUMBER);
}

void tn_record_memory_free(tn_record_memory *m)
{
    free(m->messages);
    free(m->joined);
    *m = (tn_record_memory){ 0 };
}

/* ---- memory ---- */

static size_t text_bytes(const tn_json *v)
{
    size_t n = tn_record_is_text(v) ? v->length + 2 : 0;
    for (const tn_json *c = v->child; c; c = c->next)
        n += text_bytes(c);
    return n;
}

/* Makes room for all texts of the object, joined or not, so that none of them moves. */
static int make_room(const tn_json *object, tn_record_memory *m, tn_error *e)
{
    const size_t need = text_bytes(object);
    m->n = 0;
    m->used = 0;
    if (need <= m->size)
        return TN_OK;
    free(m->joined);
    m->joined = malloc(2 * need);
    m->size = m->joined ? 2 * need : 0;
    return m->joined ? TN_OK : tn_fail(e, TN_ENOMEM, "record: out of memory");
}

/* Appends to a joined text that is still the last one. */
static void join(tn_record_memory *m, tn_span *to, const char *s, size_t n)
{
    memcpy(m->joined + m->used, s, n);
    m->used += n;
    to->n += n;
}

static tn_span begin_joined(tn_record_memory *m)
{
    return (tn_span){ m->joined + m->used, 0 };
}

static tn_message *add_message(tn_record_memory *m, const char *role, tn_error *e)
{
    if (m->n == m->room) {
        const int64_t room = m->room ? 2 * m->room : 8;
        tn_message *more = realloc(m->messages, (size_t)room * sizeof *more);
        if (!more) {
            tn_fail(e, TN_ENOMEM, "record: out of memory");
            return NULL;
        }
        m->messages = more;
        m->room = room;
    }
    m->messages[m->n] = (tn_message){ .role = { role, strlen(role) } };
    return &m->messages[m->n++];
}

void tn_record_add(tn_record_memory *m, const char *role, tn_span text, tn_error *e)
{
    tn_message *added = e->code ? NULL : add_message(m, role, e);
    if (added)
        added->text = text;
}

/* ---- texts ---- */

static const char *kind_of(const tn_json *v)
{
    static const char *const kinds[] = { "null",     "a boolean", "a number",
                                         "a string", "a list",    "an object" };
    return v ? kinds[v->kind] : "missing";
}

int tn_record_refuse(const char *key, const tn_json *v, const char *expected, tn_error *e)
{
    return tn_fail(e, TN_EFORMAT, "\"%s\" is %s; expected %s", key, kind_of(v), expected);
}

int tn_record_text(const tn_json *object, const char *key, tn_span *out, tn_error *e)
{
    const tn_json *v = tn_json_find(object, key);
    if (!tn_record_is_text(v))
        return tn_record_refuse(key, v, "a text", e);
    *out = (tn_span){ v->text, v->length };
    return TN_OK;
}

/* A list of {"type": "text", "text"}, joined. */
static int read_parts(const tn_json *list, tn_record_memory *m, tn_span *out, tn_error *e)
{
    tn_span text = begin_joined(m), part = { "", 0 };
    for (const tn_json *v = list->child; v && !e->code; v = v->next) {
        const char *type = "";
        tn_json_get_string(v, "type", &type, e);
        if (!e->code && (v->kind != TN_OBJECT || strcmp(type, "text")))
            tn_fail(e, TN_EFORMAT, "a part of type \"%.40s\" in a message; expected text alone",
                    type);
        if (!e->code && !tn_record_text(v, "text", &part, e))
            join(m, &text, part.s, part.n);
    }
    *out = text;
    return e->code;
}

/* ---- messages ---- */

/* A role by any of its names; NULL: it is unknown. */
static const char *role_of(const char *name)
{
    static const char *const roles[][2] = {
        { "system", "system" },           { "user", "user" },      { "human", "user" },
        { "assistant", "assistant" },     { "gpt", "assistant" },  { "chatgpt", "assistant" },
        { "bing", "assistant" },          { "bard", "assistant" }, { "model", "assistant" },
        { "function_call", "assistant" }, { "tool", "tool" },      { "observation", "tool" },
    };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(roles[i][0], name))
            return roles[i][1];
    return NULL;
}

/* {"role", "content"} or {"from", "value"}. */
int tn_record_message(const tn_json *v, tn_record_memory *m, tn_error *e)
{
    const bool from = !tn_json_find(v, "role") && tn_json_find(v, "from");
    const char *key = from ? "from" : "role", *says = from ? "value" : "content", *name = NULL;
    const tn_json *text = tn_json_find(v, says), *tools = tn_json_find(v, "tool_calls");
    if (v->kind != TN_OBJECT)
        return tn_fail(e, TN_EFORMAT, "%s; expected an object with \"role\" and \"content\"",
                       kind_of(v));
    tn_json_get_string(v, key, &name, e);
    if (!e->code && !name)
        return tn_record_refuse(key, tn_json_find(v, key), "the role of a message", e);
    const char *role = e->code ? NULL : role_of(name);
    if (!e->code && !role)
        return tn_fail(e, TN_EFORMAT,
                       "unknown role \"%.40s\"; expected system, user, assistant or tool", name);
    if (tools && tools->count)
        return tn_fail(e, TN_EFORMAT, "\"tool_calls\" are not supported; expected a text");
    tn_message *out = e->code ? NULL : add_message(m, role, e);
    if (!out)
        return e->code;
    if (text && text->kind == TN_ARRAY)
        return read_parts(text, m, &out->text, e);
    if (!tn_json_is_null(tn_json_find(v, "reasoning_content")))
        tn_record_text(v, "reasoning_content", &out->reasoning, e);
    return e->code ? e->code : tn_record_text(v, says, &out->text, e);
}

int tn_record_messages(const tn_json *object, const char *key, tn_record_memory *m, tn_error *e)
{
    int64_t number = 0;
    const tn_json *list = tn_json_find(object, key);
    if (!list || list->kind != TN_ARRAY)
        return tn_record_refuse(key, list, "a list of messages", e);
    for (const tn_json *v = list->child; v && !e->code; v = v->next, number++) {
        tn_error inner = { 0 };
        if (tn_record_message(v, m, &inner))
            tn_fail(e, inner.code, "message %lld: %s", (long long)number, inner.text);
    }
    return e->code;
}

/* "conversations": a system message may stand beside the list. */
int tn_record_conversations(const tn_json *object, tn_record_memory *m, tn_error *e)
{
    tn_span text = { NULL, 0 };
    if (!tn_json_is_null(tn_json_find(object, "system")) &&
        tn_record_text(object, "system", &text, e))
        return e->code;
    if (text.n)
        tn_record_add(m, "system", text, e);
    const int64_t beside = m->n;
    if (tn_record_messages(object, "conversations", m, e))
        return e->code;
    for (int64_t i = beside; i < m->n && beside; i++)
        if (!strcmp(m->messages[i].role.s, "system")) { /* the list has its own */
            memmove(m->messages, m->messages + 1, (size_t)--m->n * sizeof *m->messages);
            break;
        }
    return e->code;
}

/* ---- Alpaca ---- */

static int read_history(const tn_json *list, tn_record_memory *m, tn_error *e)
{
    if (list->kind != TN_ARRAY)
        return tn_record_refuse("history", list, "a list of pairs", e);
    for (const tn_json *v = list->child; v && !e->code; v = v->next) {
        const tn_json *a = tn_json_at(v, 0), *b = tn_json_at(v, 1);
        if (v->count != 2 || !tn_record_is_text(a) || !tn_record_is_text(b))
            return tn_fail(e, TN_EFORMAT, "\"history\" has %s; expected pairs of texts",
                           kind_of(v));
        tn_record_add(m, "user", (tn_span){ a->text, a->length }, e);
        tn_record_add(m, "assistant", (tn_span){ b->text, b->length }, e);
    }
    return e->code;
}

/* The instruction, a line end and the input, if both are there. */
static int read_question(const tn_json *object, tn_record_memory *m, tn_span *out, tn_error *e)
{
    tn_span instruction = { "", 0 }, input = { "", 0 };
    if (!tn_json_is_null(tn_json_find(object, "instruction")))
        tn_record_text(object, "instruction", &instruction, e);
    if (!e->code && !tn_json_is_null(tn_json_find(object, "input")))
        tn_record_text(object, "input", &input, e);
    if (!e->code && !instruction.n && !input.n)
        tn_fail(e, TN_EFORMAT, "\"instruction\" and \"input\" are empty; expected a text in one");
    if (e->code)
        return e->code;
    *out = begin_joined(m);
    join(m, out, instruction.s, instruction.n);
    if (instruction.n && input.n)
        join(m, out, "\n", 1);
    join(m, out, input.s, input.n);
    return TN_OK;
}

int tn_record_instruction(const tn_json *object, tn_record_memory *m, tn_error *e)
{
    tn_span system = { NULL, 0 }, question = system;
    const tn_json *history = tn_json_find(object, "history");
    if (!tn_json_is_null(tn_json_find(object, "system")))
        tn_record_text(object, "system", &system, e);
    if (system.n)
        tn_record_add(m, "system", system, e);
    if (!tn_json_is_null(history) && !e->code)
        read_history(history, m, e);
    if (!e->code && !read_question(object, m, &question, e))
        tn_record_add(m, "user", question, e);
    return e->code;
}

static int read_alpaca(const tn_json *object, tn_record_memory *m, tn_error *e)
{
    tn_span output = { NULL, 0 };
    if (!tn_record_instruction(object, m, e) && !tn_record_text(object, "output", &output, e))
        tn_record_add(m, "assistant", output, e);
    return e->code;
}

/* ---- a record ---- */

/* Prompt and completion: two texts, or two lists of messages. */
static int read_pair(const tn_json *object, tn_record_memory *m, tn_jsonl_record *out, tn_error *e)
{
    const tn_json *prompt = tn_json_find(object, "prompt");
    if (prompt && prompt->kind == TN_ARRAY) {
        out->kind = TN_RECORD_CHAT;
        if (tn_record_messages(object, "prompt", m, e))
            return e->code;
        for (int64_t i = 0; i < m->n; i++)
            m->messages[i].asked = true;
        return tn_record_messages(object, "completion", m, e);
    }
    out->kind = TN_RECORD_PAIR;
    return tn_record_text(object, "prompt", &out->prompt, e)
               ? e->code
               : tn_record_text(object, "completion", &out->text, e);
}

/* Has the chat nothing that could be learnt? */
static bool lacks_answer(const tn_record_memory *m)
{
    for (int64_t i = 0; i < m->n; i++)
        if (!strcmp(m->messages[i].role.s, "assistant") && !m->messages[i].asked)
            return false;
    return true;
}

/* The members by which a format is recognised, in the order in which they are tried. */
static const struct {
    tn_record_format format;
    const char *key;
} marks[] = {
    { TN_FORMAT_QUESTION, "choices" },
    { TN_FORMAT_CHAT, "messages" },
    { TN_FORMAT_SHAREGPT, "conversations" },
    { TN_FORMAT_ALPACA, "instruction" },
    { TN_FORMAT_PREFERENCE, "chosen" },
    { TN_FORMAT_PREFERENCE, "rejected" },
    { TN_FORMAT_COMPLETION, "prompt" },
    { TN_FORMAT_COMPLETION, "completion" },
    { TN_FORMAT_TEXT, "text" },
};
enum { MARKS = sizeof marks / sizeof *marks };

const char *tn_record_format_name(tn_record_format f)
{
    static const char *const names[TN_FORMATS] = { NULL,         "chat", "sharegpt", "alpaca",
                                                   "completion", "text", "question", "preference" };
    return (unsigned)f < TN_FORMATS ? names[f] : NULL;
}

tn_record_format tn_record_format_find(const char *name)
{
    int f = TN_FORMAT_ANY + 1;
    while (name && f < TN_FORMATS && strcmp(name, tn_record_format_name((tn_record_format)f)))
        f++;
    return name && f < TN_FORMATS ? (tn_record_format)f : TN_FORMAT_ANY;
}

/* Which format the object has, or TN_FORMAT_ANY with an error. */
static tn_record_format recognise(const tn_json *object, tn_error *e)
{
    const char *null = NULL;
    if (!tn_json_is_null(tn_json_find(object, "chosen")) &&
        !tn_json_is_null(tn_json_find(object, "rejected")))
        return TN_FORMAT_PREFERENCE; /* often beside "messages", which repeats one of the two */
    for (int i = 0; i < MARKS; i++) {
        const tn_json *v = tn_json_find(object, marks[i].key);
        if (!tn_json_is_null(v))
            return marks[i].format;
        if (v)
            null = marks[i].key;
    }
    if (null)
        tn_record_refuse(null, tn_json_find(object, null), "a text", e);
    else
        tn_fail(e, TN_EFORMAT,
                "no member that is known; expected \"messages\", "
                "\"conversations\", \"instruction\", \"prompt\" or \"text\"");
    return TN_FORMAT_ANY;
}

static int read_as(const tn_json *object, tn_record_memory *m, tn_jsonl_record *out, tn_error *e)
{
    switch (out->format) {
    case TN_FORMAT_CHAT: return tn_record_messages(object, "messages", m, e);
    case TN_FORMAT_SHAREGPT: return tn_record_conversations(object, m, e);
    case TN_FORMAT_ALPACA: return read_alpaca(object, m, e);
    case TN_FORMAT_COMPLETION: return read_pair(object, m, out, e);
    case TN_FORMAT_TEXT: return tn_record_text(object, "text", &out->text, e);
    default: return e->code;
    }
}

int tn_record_read(const tn_json *object, tn_record_format format, tn_record_memory *m,
                   tn_jsonl_record *out, tn_error *e)
{
    const int64_t line = out->line;
    *out = (tn_jsonl_record){ .line = line, .prompt = { "", 0 }, .text = { "", 0 } };
    if (object->kind != TN_OBJECT)
        return tn_fail(e, TN_EFORMAT,
                       "not an object but %s; expected a JSON object with \"messages\", "
                       "\"instruction\", \"prompt\" or \"text\"",
                       kind_of(object));
    out->format = format ? format : recognise(object, e);
    if (out->format == TN_FORMAT_QUESTION)
        return tn_record_question(object, out, e);
    if (e->code || make_room(object, m, e))
        return e->code;
    if (out->format == TN_FORMAT_PREFERENCE)
        return tn_record_preference(object, m, out, e);
    const bool chat = out->format == TN_FORMAT_CHAT || out->format == TN_FORMAT_SHAREGPT ||
                      out->format == TN_FORMAT_ALPACA;
    out->kind = chat ? TN_RECORD_CHAT : TN_RECORD_TEXT;
    read_as(object, m, out, e); /* a pair of lists of messages is a chat, too */
    out->messages = m->messages;
    out->count = m->n;
    if (out->kind == TN_RECORD_CHAT)
        out->skip = lacks_answer(m);
    else if (out->kind == TN_RECORD_TEXT)
        out->skip = !out->text.n;
    return e->code;
}
