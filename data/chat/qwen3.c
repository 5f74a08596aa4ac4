/* qwen3.c - the turns of Qwen 3: blocks of thoughts in answers, and tools in turns of the user.

   Only answers after the last question keep their thoughts, and the last one has a block in any
   case. The thoughts of a message are its `reasoning`, or what stands before </think> in its text. */
#define _GNU_SOURCE /* memmem */
#include "data/chat/chat.h"

#include <string.h>

static const char think[] = "<think>", end_think[] = "</think>";

static const char *find(tn_span s, const char *word)
{
    return s.n ? memmem(s.s, s.n, word, strlen(word)) : NULL;
}

static const char *find_last(tn_span s, const char *word)
{
    const char *found = NULL, *end = s.s + s.n;
    for (const char *at; (at = find(s, word)) != NULL;
         s = (tn_span){ at + 1, (size_t)(end - at) - 1 })
        found = at;
    return found;
}

static tn_span strip(tn_span s, bool left, bool right)
{
    while (left && s.n && *s.s == '\n')
        s = (tn_span){ s.s + 1, s.n - 1 };
    while (right && s.n && s.s[s.n - 1] == '\n')
        s.n--;
    return s;
}

/* Splits an answer into its thoughts and what it says. */
static void split(const tn_message *m, tn_span *thoughts, tn_span *says)
{
    const char *end = find_last(m->text, end_think);
    *says = m->text;
    *thoughts = m->reasoning;
    if (m->reasoning.s || !end)
        return;
    const char *first = find(m->text, end_think), *after = end + strlen(end_think);
    *says = strip((tn_span){ after, (size_t)(m->text.s + m->text.n - after) }, true, false);
    *thoughts = strip((tn_span){ m->text.s, (size_t)(first - m->text.s) }, false, true);
    const char *begin = find_last(*thoughts, think);
    if (begin)
        *thoughts = (tn_span){ begin + strlen(think),
                               thoughts->n - (size_t)(begin - thoughts->s) - strlen(think) };
    *thoughts = strip(*thoughts, true, false);
}

static bool is_answer_of_tool(const tn_message *m)
{
    static const char begin[] = "<tool_response>", end[] = "</tool_response>";
    return m->text.n >= sizeof end - 1 && !memcmp(m->text.s, begin, sizeof begin - 1) &&
           !memcmp(m->text.s + m->text.n - (sizeof end - 1), end, sizeof end - 1);
}

/* The last message in which the user asks something himself. */
static int64_t last_question(const tn_message *m, int64_t n)
{
    for (int64_t i = n; i-- > 0;)
        if (tn_role_is(&m[i], "user") && !is_answer_of_tool(&m[i]))
            return i;
    return n - 1;
}

static void write_answer(const tn_chat_template *t, tn_chat_text *c, const tn_message *m,
                         bool after, bool last)
{
    tn_span thoughts, says;
    split(m, &thoughts, &says);
    tn_chat_write(c, t->head, m);
    const size_t from = c->text.n;
    if (after && (last || thoughts.n)) {
        thoughts = strip(thoughts, true, true);
        says = strip(says, true, false);
        tn_chat_write(c, "{<think>}\n", m);
        tn_text_bytes(&c->text, thoughts.s, thoughts.n);
        tn_chat_write(c, "\n{</think>}\n\n", m);
    }
    tn_text_bytes(&c->text, says.s, says.n);
    tn_chat_write(c, t->answer.after, m);
    tn_chat_learn(c, m, from);
}

/* Answers of tools that follow each other are one turn. */
static void write_tool(tn_chat_text *c, const tn_message *m, bool first, bool last)
{
    if (first)
        tn_chat_write(c, "{<|im_start|>}user", m);
    tn_chat_write(c, "\n{<tool_response>}\n", m);
    tn_text_bytes(&c->text, m->text.s, m->text.n);
    tn_chat_write(c, "\n{</tool_response>}", m);
    if (last)
        tn_chat_write(c, "{<|im_end|>}\n", m);
}

void tn_chat_qwen3(const tn_chat_template *t, const tn_message *m, int64_t n, tn_chat_text *c)
{
    const int64_t question = last_question(m, n);
    for (int64_t i = 0; i < n; i++) {
        if (tn_role_is(&m[i], "assistant")) {
            write_answer(t, c, &m[i], i > question, i == n - 1);
        } else if (tn_role_is(&m[i], "tool")) {
            write_tool(c, &m[i], i == 0 || !tn_role_is(&m[i - 1], "tool"),
                       i == n - 1 || !tn_role_is(&m[i + 1], "tool"));
        } else if (tn_role_is(&m[i], "user") || tn_role_is(&m[i], "system")) {
            tn_chat_write(c, t->other.before, &m[i]);
            tn_text_bytes(&c->text, m[i].text.s, m[i].text.n);
            tn_chat_write(c, t->other.after, &m[i]);
        }
    }
}
