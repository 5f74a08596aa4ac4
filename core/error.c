/* error.c - the first mistake of an object, as one line without control characters. */
#include "core/core.h"
#include "core/utf8.h"

#include <string.h>

typedef struct line {
    char *s;
    size_t room, n;
} line; /* n: bytes of the whole text, with those that did not fit */

static void add(void *arg, const char *bytes, size_t n)
{
    line *l = arg;
    const size_t left = l->n + 1 < l->room ? l->room - 1 - l->n : 0, taken = n < left ? n : left;
    if (taken) {
        memcpy(l->s + l->n, bytes, taken);
        l->s[l->n + taken] = 0;
    }
    l->n += n;
}

enum { SHORTEST = 24 }; /* a string is not cut to fewer bytes */

/* Writes one line of at most `room` bytes. If a string (usually a path) is too long, its middle is
   left out, so that the reason after it stays. */
static void write_line(char *out, size_t room, const char *format, va_list args)
{
    line l;
    size_t most = room;
    do {
        *out = 0;
        l = (line){ .s = out, .room = room };
        tn_format(add, &l, most, format, args);
        most -= most / 8;
    } while (l.n >= room && most > SHORTEST);
    for (size_t n = strlen(out), at = 0; l.n >= room && at < n;) { /* no character is cut in two */
        uint32_t code;
        const size_t length = tn_utf8_read(out + at, n - at, &code);
        if (!length)
            out[at] = 0;
        at = length ? at + length : n;
    }
}

int tn_fail(tn_error *e, int code, const char *format, ...)
{
    if (!e || e->code)
        return e ? e->code : code;
    e->code = code;
    va_list args;
    va_start(args, format);
    write_line(e->text, sizeof e->text, format ? format : tn_strerror(code), args);
    va_end(args);
    return code;
}

int tn_given(tn_error *e, bool all, const char *function)
{
    if (!e || e->code || all)
        return e ? e->code : TN_EARG;
    return tn_fail(e, TN_EARG, "%s: an argument is NULL; expected all of them", function);
}

static void join(char *out, size_t room, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(out, room, format, args);
    va_end(args);
}

void tn_error_add(tn_error *e, const char *format, ...)
{
    char before[sizeof e->text], more[sizeof e->text];
    if (!e || !e->code || !format)
        return;
    va_list args;
    va_start(args, format);
    write_line(more, sizeof more, format, args);
    va_end(args);
    memcpy(before, e->text, sizeof before);
    join(e->text, sizeof e->text, "%s%s", before, more);
}

const char *tn_strerror(int code)
{
    switch (code) {
    case TN_OK: return "success";
#define TN_ERR(name, number, meaning)                                                              \
    case name:                                                                                     \
        return meaning;
#include "core/errors.def"
#undef TN_ERR
    default: return "unknown error";
    }
}
