/* preference.c - a record of two answers to a prompt, of which one is chosen (record.h).

     {"prompt", "chosen", "rejected"}    three texts, or three lists of messages
     {"chosen", "rejected"}              both begin with the prompt: texts or lists
     {"prompt": TEXT, "chosen": LIST}    the lists begin with it, or the text is the user's

   An answer may be one message instead of a list. The prompt may also be a list "conversations", or
   the members of an Alpaca record beside "output". Then an answer that is a text is a message. */
#include "data/sets/record.h"
#include "data/formats/json.h"

#include <string.h>

static bool is_list(const tn_json *v)
{
    return v && (v->kind == TN_ARRAY || v->kind == TN_OBJECT);
}

static bool same(tn_span a, tn_span b)
{
    return a.n == b.n && (!a.n || !memcmp(a.s, b.s, a.n));
}

/* ---- texts ---- */

/* The bytes that both texts begin with: whole characters, without a space at their end, which
   belongs to the answer's first word. */
static size_t shared_bytes(tn_span a, tn_span b)
{
    size_t n = 0;
    while (n < a.n && n < b.n && a.s[n] == b.s[n])
        n++;
    while (n > 0 && ((n < a.n && (a.s[n] & 0xC0) == 0x80) || (n < b.n && (b.s[n] & 0xC0) == 0x80)))
        n--;
    return n > 0 && a.s[n - 1] == ' ' ? n - 1 : n;
}

static int read_texts(const tn_json *object, tn_jsonl_record *out, tn_error *e)
{
    const bool asked = !tn_json_is_null(tn_json_find(object, "prompt"));
    if ((asked && tn_record_text(object, "prompt", &out->prompt, e)) ||
        tn_record_text(object, "chosen", &out->text, e) ||
        tn_record_text(object, "rejected", &out->rejected, e))
        return e->code;
    out->skip = same(out->text, out->rejected);
    if (asked)
        return e->code;
    const size_t n = shared_bytes(out->text, out->rejected);
    out->prompt = (tn_span){ out->text.s, n };
    out->text = (tn_span){ out->text.s + n, out->text.n - n };
    out->rejected = (tn_span){ out->rejected.s + n, out->rejected.n - n };
    return e->code;
}

/* ---- messages ---- */

/* Appends the prompt's messages. `begun`: the answers' lists begin with it if it is no list. */
static int read_prompt(const tn_json *object, bool begun, tn_record_memory *m, tn_error *e)
{
    const tn_json *prompt = tn_json_find(object, "prompt");
    tn_span text = { NULL, 0 };
    if (prompt && prompt->kind == TN_ARRAY)
        tn_record_messages(object, "prompt", m, e);
    else if (!tn_json_is_null(prompt) && begun)
        return e->code;
    else if (!tn_json_is_null(prompt) && !tn_record_text(object, "prompt", &text, e))
        tn_record_add(m, "user", text, e);
    else if (!tn_json_is_null(tn_json_find(object, "conversations")) && !e->code)
        tn_record_conversations(object, m, e);
    else if (!tn_json_is_null(tn_json_find(object, "instruction")) && !e->code)
        tn_record_instruction(object, m, e);
    for (int64_t i = 0; i < m->n; i++)
        m->messages[i].asked = true;
    return e->code;
}

/* Appends an answer: a list of messages, one message, or its text. */
static int read_answer(const tn_json *object, const char *key, tn_record_memory *m, tn_error *e)
{
    const tn_json *v = tn_json_find(object, key);
    tn_span text = { NULL, 0 };
    if (v && v->kind == TN_ARRAY)
        return tn_record_messages(object, key, m, e);
    if (v && v->kind == TN_OBJECT)
        return tn_record_message(v, m, e);
    if (!tn_record_text(object, key, &text, e))
        tn_record_add(m, "assistant", text, e);
    return e->code;
}

static bool same_message(const tn_message *a, const tn_message *b)
{
    return same(a->role, b->role) && same(a->text, b->text) && same(a->reasoning, b->reasoning);
}

/* Two chats: the messages before number n, and those from it on. What they share is asked. */
static void divide(tn_record_memory *m, int64_t n, tn_jsonl_record *out)
{
    tn_message *a = m->messages, *b = m->messages + n;
    int64_t shared = 0;
    const int64_t others = m->n - n, most = n < others ? n : others;
    while (shared < most && same_message(&a[shared], &b[shared]))
        shared++;
    out->skip = shared == n && shared == others;
    for (int64_t i = 0; i < shared; i++)
        a[i].asked = b[i].asked = true;
    out->messages = a;
    out->count = n;
    out->rejected_messages = b;
    out->rejected_count = others;
}

static int read_chats(const tn_json *object, tn_record_memory *m, tn_jsonl_record *out, tn_error *e)
{
    const tn_json *chosen = tn_json_find(object, "chosen");
    const tn_json *first = chosen && chosen->kind == TN_ARRAY ? chosen->child : NULL;
    const char *role = "assistant";
    tn_json_get_string(first, "role", &role, &(tn_error){ 0 });
    if (read_prompt(object, first && strcmp(role, "assistant"), m, e))
        return e->code;
    const int64_t asked = m->n;
    if (read_answer(object, "chosen", m, e))
        return e->code;
    const int64_t n = m->n;
    for (int64_t i = 0; i < asked && !e->code; i++) {
        tn_record_add(m, "user", (tn_span){ NULL, 0 }, e);
        if (!e->code)
            m->messages[m->n - 1] = m->messages[i];
    }
    if (!e->code && !read_answer(object, "rejected", m, e))
        divide(m, n, out);
    return e->code;
}

int tn_record_preference(const tn_json *object, tn_record_memory *m, tn_jsonl_record *out,
                         tn_error *e)
{
    const tn_json *chosen = tn_json_find(object, "chosen"),
                  *rejected = tn_json_find(object, "rejected"),
                  *prompt = tn_json_find(object, "prompt");
    const bool asks = !tn_json_is_null(tn_json_find(object, "conversations")) ||
                      !tn_json_is_null(tn_json_find(object, "instruction"));
    out->kind = TN_RECORD_PREFERENCE;
    if (tn_json_is_null(chosen) || tn_json_is_null(rejected))
        return tn_record_refuse(tn_json_is_null(chosen) ? "chosen" : "rejected",
                                tn_json_is_null(chosen) ? chosen : rejected,
                                "a text or a list of messages", e);
    if (is_list(chosen) != is_list(rejected))
        return tn_record_refuse("rejected", rejected,
                                is_list(chosen) ? "messages, as \"chosen\" is"
                                                : "a text, as \"chosen\" is",
                                e);
    if (is_list(chosen) || is_list(prompt) || (tn_json_is_null(prompt) && asks))
        return read_chats(object, m, out, e);
    return read_texts(object, out, e);
}
