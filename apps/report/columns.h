/* columns.h - how wide the place is that standard output goes to. */
#ifndef TN_APP_COLUMNS_H
#define TN_APP_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

/* The columns of the terminal now; 0: there is no terminal, or they are not known. */
size_t columns_now(void);
/* Is it a terminal ($TERM is dumb, or not set) that cannot overwrite a line? */
bool columns_are_plain(void);

#endif
