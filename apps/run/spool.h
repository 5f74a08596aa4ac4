/* spool.h - --data -: standard input, written to a file that can be read more than once.

       spool s = { 0 };
       spool_open(&s, &o, &e);              --data - is a temporary file from here on
       spool_save(&s, folder, &e);          a copy that stays
       spool_close(&s, &e);                 ends the temporary file

   The file has no name, so it is gone when the program ends in any way. /dev/fd/N
   opens it; messages say "standard input".

   Without --data - they do nothing. */
#ifndef TN_APP_SPOOL_H
#define TN_APP_SPOOL_H

#include "apps/options/options.h"

typedef struct spool {
    int file;         /* the temporary file's descriptor + 1; 0: there is none */
    char open[32];    /* what opens it, */
    const char *name; /* and the name of its copy */
    char *path;       /* of the copy of a run that is resumed */
} spool;

/* Reads all of standard input. A first character { or [ begins records, another one a text. */
int spool_open(spool *s, options *o, tn_error *e);
/* Takes the copy in the folder of a run that is resumed. */
int spool_resume(spool *s, options *o, const char *folder, tn_error *e);
/* Copies the file to the folder, as stdin.jsonl or stdin.txt: the data sets of the run are made. */
int spool_save(spool *s, const char *folder, tn_error *e);
void spool_close(spool *s, tn_error *e);

#endif
