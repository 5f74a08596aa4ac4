/* pattern.c - matches names by a part of Python's regular expressions, in linear time.

   A pattern becomes a machine of states, as in Thompson, "Regular expression search algorithm",
   CACM 11(6), 1968. A state reads one character, or splits into two ways. The match keeps the set of
   all states that the characters so far can lead to, so it never goes back. */
#include "nn/pattern.h"

#include <string.h>

enum {
    MOST_BYTES = 255,
    MOST_STATES = 2 * MOST_BYTES + 2, /* one per character, one more per *, + and | */
    MOST_DEPTH = 32,                  /* of brackets */
    NONE = -1,
};

typedef enum kind { LITERAL, ANY, DIGIT, SET, SPLIT, JUMP, END } kind;

typedef struct state {
    uint8_t kind, at;  /* at: of its character in the pattern */
    int16_t next, two; /* where it leads; two: the other way of a SPLIT */
} state;

typedef struct machine {
    const char *text;
    int at, depth; /* the next character to read; open brackets */
    int count;
    int16_t start;
    const char *wrong;         /* why it is refused; NULL: it is not */
    int wrong_at, wrong_bytes; /* the part of the text that is refused */
    state s[MOST_STATES];
} machine;

/* A piece of a machine that still leads nowhere. The loose ends are a list: an end is 2 state + (is
   it `two`?), and holds the next one. */
typedef struct piece {
    int16_t start, ends;
} piece;

static piece alternatives(machine *m);

static void fail(machine *m, const char *wrong, int bytes)
{
    if (m->wrong)
        return;
    m->wrong = wrong;
    m->wrong_at = m->at;
    m->wrong_bytes = bytes;
}

static int16_t add(machine *m, kind k, int at, int16_t next, int16_t two)
{
    if (m->count == MOST_STATES) {
        fail(m, "too long", 0);
        return 0;
    }
    m->s[m->count] = (state){ (uint8_t)k, (uint8_t)at, next, two };
    return (int16_t)m->count++;
}

static int16_t *end_at(machine *m, int16_t end)
{
    return end & 1 ? &m->s[end / 2].two : &m->s[end / 2].next;
}

/* Lets all ends of a list lead to a state. */
static void lead(machine *m, int16_t ends, int16_t to)
{
    while (ends != NONE && !m->wrong) {
        int16_t *end = end_at(m, ends);
        ends = *end;
        *end = to;
    }
}

static int16_t join(machine *m, int16_t a, int16_t b)
{
    if (a == NONE || m->wrong)
        return b;
    int16_t end = a;
    while (*end_at(m, end) != NONE)
        end = *end_at(m, end);
    *end_at(m, end) = b;
    return a;
}

static piece one(machine *m, kind k, int at)
{
    const int16_t s = add(m, k, at, NONE, NONE);
    return (piece){ s, (int16_t)(2 * s) };
}

static bool is_punctuation(char c)
{
    return c > ' ' && c < 127 && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
           !(c >= 'A' && c <= 'Z') && c != '_';
}

/* Reads one member of a set, or an end of a range, from text + *at. Returns the character, or -1
   for \d, or -2 for another escape. */
static int set_member(const char *text, int *at)
{
    const char c = text[(*at)++];
    if (c != '\\')
        return (unsigned char)c;
    const char escaped = text[*at];
    *at += escaped != 0;
    return escaped == 'd' ? -1 : is_punctuation(escaped) ? (unsigned char)escaped : -2;
}

/* Reads the set at text + *at, behind its "[". Does c belong to it? *at moves behind the "]".
   -1: it is no set. */
static int set_has(const char *text, int *at, unsigned char c)
{
    const bool not = text[*at] == '^';
    bool has = false;
    *at += not ;
    for (int first = *at; text[*at] && (text[*at] != ']' || *at == first);) {
        const int low = set_member(text, at);
        int high = low;
        if (text[*at] == '-' && text[*at + 1] && text[*at + 1] != ']') {
            (*at)++;
            high = set_member(text, at);
            if (low < 0 || high < low)
                return -1;
        }
        if (low == -2 || high == -2)
            return -1;
        has = has || (low == -1 ? c >= '0' && c <= '9' : c >= low && c <= high);
    }
    if (text[*at] != ']')
        return -1;
    (*at)++;
    return has != not ;
}

static piece escape(machine *m, int at)
{
    const char c = m->text[at + 1];
    if (c != 'd' && !is_punctuation(c)) {
        fail(m, "not supported", c ? 2 : 1);
        return (piece){ 0, NONE };
    }
    m->at = at + 2;
    return one(m, c == 'd' ? DIGIT : LITERAL, at + 1);
}

static piece set(machine *m, int at)
{
    int end = at + 1;
    if (set_has(m->text, &end, 'a') < 0)
        fail(m, "not a set of characters", (int)strlen(m->text + at));
    m->at = end;
    return one(m, SET, at);
}

static piece group(machine *m, int at)
{
    if (m->text[at + 1] == '?' || ++m->depth > MOST_DEPTH) {
        fail(m, m->depth > MOST_DEPTH ? "too many open brackets" : "not supported", 2);
        return (piece){ 0, NONE };
    }
    m->at = at + 1;
    const piece inner = alternatives(m);
    if (!m->wrong && m->text[m->at] != ')') {
        m->at = at;
        fail(m, "never closed", 1);
    }
    m->at++;
    m->depth--;
    return inner;
}

/* One character, set or group. */
static piece atom(machine *m)
{
    const int at = m->at;
    const char c = m->text[at];
    switch (c) {
    case '(': return group(m, at);
    case '[': return set(m, at);
    case '\\': return escape(m, at);
    case '*':
    case '+': fail(m, "nothing is repeated by it", 1); return (piece){ 0, NONE };
    case '?':
    case '{':
    case '}':
    case '^':
    case '$': fail(m, "not supported", 1); return (piece){ 0, NONE };
    default: m->at++; return one(m, c == '.' ? ANY : LITERAL, at);
    }
}

static piece repeated(machine *m)
{
    const piece p = atom(m);
    const char c = m->text[m->at];
    if (m->wrong || (c != '*' && c != '+'))
        return p;
    const int16_t split = add(m, SPLIT, m->at, p.start, NONE);
    lead(m, p.ends, split);
    m->at++;
    const char again = m->text[m->at];
    if (again == '*' || again == '+')
        fail(m, "a second repetition", 1);
    return (piece){ c == '*' ? split : p.start, (int16_t)(2 * split + 1) };
}

static piece sequence(machine *m)
{
    piece all = one(m, JUMP, 0);
    while (!m->wrong && !strchr("|)", m->text[m->at])) { /* strchr finds the end, too */
        const piece p = repeated(m);
        lead(m, all.ends, p.start);
        all.ends = p.ends;
    }
    return all;
}

static piece alternatives(machine *m)
{
    piece all = sequence(m);
    while (!m->wrong && m->text[m->at] == '|') {
        m->at++;
        const piece p = sequence(m);
        all = (piece){ add(m, SPLIT, 0, all.start, p.start), join(m, all.ends, p.ends) };
    }
    return all;
}

static void build(machine *m, const char *pattern)
{
    *m = (machine){ .text = pattern };
    if (strlen(pattern) > MOST_BYTES) {
        fail(m, "longer than 255 bytes", 0);
        return;
    }
    const piece all = alternatives(m);
    if (!m->wrong && m->text[m->at])
        fail(m, "never opened", 1);
    m->start = all.start;
    lead(m, all.ends, add(m, END, 0, NONE, NONE));
}

int tn_pattern_check(const char *pattern, const char *where, int code, tn_error *e)
{
    machine m;
    build(&m, pattern);
    if (m.wrong && !m.wrong_bytes)
        tn_fail(e, code, "%s: the pattern \"%.40s...\" is %s", where, pattern, m.wrong);
    else if (m.wrong)
        tn_fail(
            e, code,
            "%s: \"%.*s\" in the pattern \"%s\": %s; expected literals, . \\. [...] \\d * + (a|b)",
            where, m.wrong_bytes, pattern + m.wrong_at, pattern, m.wrong);
    return e->code;
}

typedef struct states { /* a set of states */
    uint64_t bits[(MOST_STATES + 63) / 64];
} states;

static bool has(const states *s, int i)
{
    return s->bits[i / 64] >> (i % 64) & 1;
}

typedef struct stack { /* states whose ways on are still to be added: each comes at most once */
    int16_t all[MOST_STATES];
    int count;
} stack;

static void put(states *s, stack *waiting, int16_t i)
{
    if (has(s, i))
        return;
    s->bits[i / 64] |= (uint64_t)1 << (i % 64);
    waiting->all[waiting->count++] = i;
}

/* Adds a state and all states that it leads to without a character. */
static void enter(const machine *m, states *s, int16_t i)
{
    stack waiting = { .count = 0 };
    for (put(s, &waiting, i); waiting.count > 0;) {
        const state *x = &m->s[waiting.all[--waiting.count]];
        if (x->kind == JUMP || x->kind == SPLIT)
            put(s, &waiting, x->next);
        if (x->kind == SPLIT)
            put(s, &waiting, x->two);
    }
}

static bool reads(const machine *m, const state *s, unsigned char c)
{
    int at = s->at + 1;
    switch ((kind)s->kind) {
    case LITERAL: return c == (unsigned char)m->text[s->at];
    case ANY: return c != '\n';
    case DIGIT: return c >= '0' && c <= '9';
    case SET: return set_has(m->text, &at, c) == 1;
    default: return false;
    }
}

bool tn_pattern_matches(const char *pattern, const char *name, bool ending)
{
    machine m;
    states now = { { 0 } };
    build(&m, pattern);
    if (m.wrong)
        return false;
    enter(&m, &now, m.start);
    for (const char *c = name; *c; c++) {
        states after = { { 0 } };
        for (int i = 0; i < m.count; i++)
            if (has(&now, i) && reads(&m, &m.s[i], (unsigned char)*c))
                enter(&m, &after, m.s[i].next);
        if (ending && *c == '.')
            enter(&m, &after, m.start);
        now = after;
    }
    return has(&now, m.count - 1);
}

bool tn_pattern_is_one(const char *text)
{
    return strpbrk(text, "\\^$*+?()[]{}|") != NULL;
}
