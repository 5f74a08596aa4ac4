/* lines.h - lines for people, folded to the width of the terminal.

       lines l = lines_begin();
       lines_add(&l, "plan       %lld steps", steps);
       lines_add(&l, ", seed %lld\n", seed);            the line is written at its end
       lines_cell(&l, 12, "%s", name);                  a cell of a table
       lines_show("saved      %s\n", path);             whole lines at once

   A line that is too long goes on below, behind the place of its name. In a file, in a pipe and on
   a terminal of the type "dumb" lines stay whole. Words are not cut. Not for what people copy: a
   command stays one line. */
#ifndef TN_APP_LINES_H
#define TN_APP_LINES_H

#include <stddef.h>

typedef struct lines {
    size_t columns; /* 0: lines are not folded */
    size_t indent;  /* of what goes on below; 0: that of the line's name */
    size_t n;
    char s[1024]; /* of the line so far */
} lines;

lines lines_begin(void);
/* Adds as show() prints: control characters of strings become visible. */
void lines_add(lines *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds a cell and blanks up to its width in columns. It goes below where the width does not fit, so
   that every row of a table breaks at the same cell. */
void lines_cell(lines *l, size_t width, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void lines_show(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
