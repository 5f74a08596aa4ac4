/* columns.h - how wide standard output is, and how many columns a text takes. */
#ifndef TN_APP_COLUMNS_H
#define TN_APP_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

/* The columns of the terminal now; 0: there is no terminal, or they are not known. */
size_t columns_now(void);
/* Is it a terminal ($TERM is dumb, or not set) that cannot overwrite a line? */
bool columns_are_plain(void);
/* The columns that lines and charts may fill, all but the last; 0: any number, because standard
   output is a file, a pipe, or a terminal as above. */
size_t columns_to_fit(void);

/* The characters of n bytes of UTF-8: each takes one column. */
size_t columns_of(const char *s, size_t n);
/* The bytes of the first `most` characters of n bytes. */
size_t columns_bytes(const char *s, size_t n, size_t most);

#endif
