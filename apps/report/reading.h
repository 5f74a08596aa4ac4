/* reading.h - the line on a terminal while a large file of data is read.

       reading r = reading_begin(o);
       d = tn_dataset_text(path, k, 0, 1, &(tn_data_options){ .watch = reading_watch, .watch_arg = &r, ... }, &e);
       reading_end(&r);

   It comes after a few seconds. Without a terminal, with --quiet and with --progress none nothing is
   shown. */
#ifndef TN_APP_READING_H
#define TN_APP_READING_H

#include "apps/options/options.h"
#include "data/data.h"

typedef struct reading {
    bool shows;           /* is there somebody who sees it? */
    bool open;            /* the terminal's line shows it */
    double begin, last;   /* seconds: of this file; when it was shown last */
    const char *standard; /* what opens standard input */
    size_t before;        /* bytes that were read when it was called last */
} reading;

reading reading_begin(const options *o);
bool reading_watch(void *arg, const char *path, size_t done, size_t all); /* always true */
void reading_end(reading *r);                                             /* clears the line */

#endif
