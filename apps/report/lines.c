/* lines.c - folds lines to the width of the terminal (lines.h). */
#include "apps/report/lines.h"
#include "apps/report/columns.h"
#include "apps/report/show.h"

#include <stdarg.h>
#include <string.h>

enum { NAME = 11, LEAST = 3 * NAME }; /* columns of a line's name; of a terminal that has room */

lines lines_begin(void)
{
    const size_t columns = columns_are_plain() ? 0 : columns_now();
    return (lines){ .columns = columns > LEAST ? columns : 0 };
}

/* Where the line of n bytes breaks, at `from` or later, so that less than `most` columns are before
   it: at a gap of two blanks in the second half of these columns, else at the last blank in them,
   else at the blank behind the first word. */
static size_t break_at(const char *s, size_t n, size_t from, size_t most)
{
    size_t blank = 0, gap = 0, gap_column = 0;
    for (size_t i = from, column = from; i < n; i++) {
        if (s[i] == ' ' && (column < most || !blank))
            blank = i;
        if (s[i] == ' ' && i + 1 < n && s[i + 1] == ' ' && column < most) {
            gap = i;
            gap_column = column;
        }
        column += ((unsigned char)s[i] & 0xc0) != 0x80; /* the first byte of a character */
        if (column >= most && blank)
            break;
    }
    return 2 * gap_column > most ? gap : blank ? blank : n;
}

static size_t width_of(const char *s, size_t n)
{
    size_t columns = 0;
    for (size_t i = 0; i < n; i++)
        columns += ((unsigned char)s[i] & 0xc0) != 0x80;
    return columns;
}

/* Writes the line so far, without its end. */
static void write_folded(const lines *l)
{
    const char *s = l->s;
    size_t n = l->n;
    const bool named = n > NAME && s[NAME - 1] == ' ' && s[NAME] != ' ';
    const size_t indent = named ? NAME : 2;
    for (size_t before = 0; l->columns && before + width_of(s, n) >= l->columns;) {
        const size_t at = break_at(s, n, before ? 0 : indent, l->columns - before);
        if (at == n)
            break;
        write_whole(stdout, s, at);
        write_whole(stdout, "\n             ", 1 + indent);
        const size_t blanks = strspn(s + at, " ");
        s += at + blanks;
        n -= at + blanks;
        before = indent;
    }
    write_whole(stdout, s, n);
}

static void add_bytes(void *arg, const char *bytes, size_t n)
{
    lines *l = arg;
    for (size_t i = 0; i < n; i++) {
        const bool end = bytes[i] == '\n';
        if (end || l->n + 1 == sizeof l->s) {
            l->s[l->n] = 0;
            write_folded(l);
            l->n = 0;
        }
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

void lines_show(const char *format, ...)
{
    lines l = lines_begin();
    va_list args;
    va_start(args, format);
    tn_format(add_bytes, &l, 0, format, args);
    va_end(args);
}
