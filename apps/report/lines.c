/* lines.c - folds lines to the width of the terminal (lines.h). */
#include "apps/report/lines.h"
#include "apps/report/columns.h"
#include "apps/report/show.h"

#include <stdarg.h>
#include <string.h>

enum { NAME = 11, LEAST = 3 * NAME }; /* columns of a line's name; of a terminal that has room */

lines lines_begin(void)
{
    const size_t columns = columns_to_fit();
    return (lines){ .columns = columns > LEAST ? columns : 0 };
}

/* Where the line of n bytes breaks, at `from` or later, so that at most `most` columns are before
   it: at a gap of two blanks in the second half of these columns, else at the last blank in them,
   else at the blank behind the first word. */
static size_t break_at(const char *s, size_t n, size_t from, size_t most)
{
    const size_t end = columns_bytes(s, n, most) + 1; /* a break is before this byte */
    size_t blank = 0, gap = 0;
    for (size_t i = from; i < n && (i < end || !blank); i++) {
        if (s[i] == ' ')
            blank = i;
        if (s[i] == ' ' && i < end && i + 1 < n && s[i + 1] == ' ')
            gap = i;
    }
    return 2 * columns_of(s, gap) > most ? gap : blank ? blank : n;
}

/* How far the lines below the first are indented: to the text behind a name and blanks that take 11
   or 12 columns, else by two columns. A name is one word. */
static size_t indent_of(const lines *l)
{
    size_t name = 0;
    if (l->indent)
        return 2 * l->indent < l->columns ? l->indent : 2;
    while (name < l->n && l->s[name] != ' ')
        name++;
    if (name > NAME - 1)
        return 2;
    while (name < l->n && l->s[name] == ' ')
        name++;
    return name < l->n && (name == NAME || name == NAME + 1) ? name : 2;
}

/* Writes the line so far, without its end. */
static void write_folded(const lines *l)
{
    const char *s = l->s;
    size_t n = l->n;
    const size_t indent = indent_of(l);
    for (size_t before = 0; l->columns && before + columns_of(s, n) > l->columns;) {
        const size_t at = break_at(s, n, before ? 0 : indent, l->columns - before);
        if (at == n)
            break;
        size_t end = at;
        while (end && s[end - 1] == ' ')
            end--;
        write_whole(stdout, s, end);
        write_whole(stdout, "\n", 1);
        for (size_t i = 0; i < indent; i++)
            write_whole(stdout, " ", 1);
        const size_t blanks = strspn(s + at, " ");
        s += at + blanks;
        n -= at + blanks;
        before = indent;
    }
    write_whole(stdout, s, n);
}

static void end_line(lines *l)
{
    l->s[l->n] = 0;
    write_folded(l);
    l->n = 0;
}

static void add_bytes(void *arg, const char *bytes, size_t n)
{
    lines *l = arg;
    for (size_t i = 0; i < n; i++) {
        const bool end = bytes[i] == '\n';
        while (end && l->n && l->s[l->n - 1] == ' ')
            l->n--;
        if (end || l->n + 1 == sizeof l->s)
            end_line(l);
        if (end)
            write_whole(stdout, "\n", 1);
        else
            l->s[l->n++] = bytes[i];
    }
}

void lines_add(lines *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tn_format(add_bytes, l, 0, format, args);
    va_end(args);
}

void lines_cell(lines *l, size_t width, const char *format, ...)
{
    va_list args;
    const size_t before = columns_of(l->s, l->n);
    if (l->columns && before > indent_of(l) && before + width > l->columns) {
        const size_t indent = indent_of(l);
        add_bytes(l, "\n", 1);
        l->n = indent;
        memset(l->s, ' ', indent);
    }
    const size_t from = l->n;
    va_start(args, format);
    tn_format(add_bytes, l, 0, format, args);
    va_end(args);
    for (size_t n = columns_of(l->s + from, l->n - from); n < width; n++)
        add_bytes(l, " ", 1);
}

void lines_show(const char *format, ...)
{
    lines l = lines_begin();
    va_list args;
    va_start(args, format);
    tn_format(add_bytes, &l, 0, format, args);
    va_end(args);
}
