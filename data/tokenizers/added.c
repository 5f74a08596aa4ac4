/* added.c - a tree of the forms of added tokens, and the search for them (added.h).
   A node is a byte; its first child and its next sibling are the numbers of other nodes. */
#include "data/tokenizers/added.h"
#include "core/utf8.h"
#include "data/tokenizers/unicode.h"

#include <stdlib.h>
#include <string.h>

typedef struct node {
    unsigned char byte;
    uint32_t child, sibling; /* 0: none */
    int32_t token;           /* the number of the token whose name ends here; -1: none */
} node;

struct tn_names {
    const tn_added *added;
    node *node; /* node 0 is the root */
    uint32_t n;
    uint32_t first[256]; /* the root's child for a byte; 0: none */
};

static uint32_t child_of(const tn_names *t, uint32_t at, unsigned char byte)
{
    if (at == 0)
        return t->first[byte];
    uint32_t c = t->node[at].child;
    while (c != 0 && t->node[c].byte != byte)
        c = t->node[c].sibling;
    return c;
}

static bool put(tn_names *t, int32_t token)
{
    const tn_span name = t->added[token].form;
    uint32_t at = 0;
    for (size_t i = 0; i < name.n; i++) {
        const unsigned char byte = (unsigned char)name.s[i];
        uint32_t next = child_of(t, at, byte);
        if (next == 0) {
            next = t->n++;
            t->node[next] = (node){ .byte = byte, .sibling = t->node[at].child, .token = -1 };
            t->node[at].child = next;
            if (at == 0)
                t->first[byte] = next;
        }
        at = next;
    }
    const bool is_new = t->node[at].token < 0;
    t->node[at].token = token;
    return is_new;
}

tn_names *tn_names_new(const tn_added *added, int64_t n, bool normalized, const char *path,
                       tn_error *e)
{
    size_t nodes = 1;
    for (int64_t i = 0; i < n; i++)
        if (added[i].normalized == normalized)
            nodes += added[i].form.n;
    if (nodes == 1)
        return NULL;
    tn_names *t = calloc(1, sizeof *t);
    node *room = nodes < UINT32_MAX ? calloc(nodes, sizeof *room) : NULL;
    if (t == NULL || room == NULL) {
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
        free(t);
        free(room);
        return NULL;
    }
    t->added = added;
    t->node = room;
    t->n = 1;
    t->node[0].token = -1;
    for (int64_t i = 0; i < n; i++)
        if (added[i].normalized == normalized && !put(t, (int32_t)i))
            tn_fail(e, TN_EFORMAT, "%s: added token %lld has the name of another; expected its own",
                    path, (long long)i);
    return t;
}

void tn_names_free(tn_names *t)
{
    if (t != NULL)
        free(t->node);
    free(t);
}

/* The longest name at the beginning of s. */
static const tn_added *longest(const tn_names *t, const char *s, size_t n)
{
    int32_t token = -1;
    uint32_t at = 0;
    for (size_t i = 0; i < n && (at = child_of(t, at, (unsigned char)s[i])) != 0; i++)
        if (t->node[at].token >= 0)
            token = t->node[at].token;
    return token < 0 ? NULL : &t->added[token];
}

/* The character before place `at`; 0: there is none. *bytes: its length. */
static uint32_t code_before(const char *s, size_t at, size_t *bytes)
{
    uint32_t code = 0;
    size_t from = at;
    while (from > 0 && at - from < 4 && ((unsigned char)s[--from] & 0xC0) == 0x80) {}
    *bytes = at - from;
    return *bytes && tn_utf8_read(s + from, *bytes, &code) == *bytes ? code : 0;
}

static uint32_t code_after(const char *s, size_t n, size_t at, size_t *bytes)
{
    uint32_t code = 0;
    *bytes = at < n ? tn_utf8_read(s + at, n - at, &code) : 0;
    return *bytes ? code : 0;
}

/* Widens a found name over the white space around it, not before place `at`. */
static tn_name_found widen(tn_name_found f, const char *s, size_t n, size_t at)
{
    size_t bytes;
    while (f.a->lstrip && f.from > at &&
           tn_unicode_class(code_before(s, f.from, &bytes)) == TN_SPACE)
        f.from -= bytes;
    while (f.a->rstrip && f.to < n && tn_unicode_class(code_after(s, n, f.to, &bytes)) == TN_SPACE)
        f.to += bytes;
    return f;
}

tn_name_found tn_names_find(const tn_names *t, const char *s, size_t n, size_t at, bool special)
{
    for (size_t i = at; t != NULL && i < n; i++) {
        const tn_added *a = t->first[(unsigned char)s[i]] ? longest(t, s + i, n - i) : NULL;
        if (a == NULL)
            continue;
        const size_t to = i + a->form.n;
        if (!a->special || special)
            return widen((tn_name_found){ i, to, a }, s, n, at);
        i = to - 1; /* nothing is found inside of a name that is passed over */
    }
    return (tn_name_found){ n, n, NULL };
}
