/* store.h - an array that grows: in memory, and in a file once it is large. Internal header.

       tn_store s = { 0 };
       tn_store_add(&s, bytes, n, e);           as often as needed
       tn_store_done(&s, e);                    now s.bytes can be read
       tn_store_free(&s);

   The file is in the folder that TMPDIR names, else in /var/tmp, and has no name. So it goes when the
   process ends, however it ends, and nobody else can change it or make it shorter. */
#ifndef TN_STORE_H
#define TN_STORE_H

#include "data/data.h"

enum { TN_STORE_MEMORY = 64 << 20 }; /* bytes that stay in memory */

/* Starts as { 0 }. */
typedef struct tn_store {
    char *bytes; /* (n) once it is done; before that only while it is in memory */
    size_t n, room;
    int file; /* its descriptor + 1; 0: it is in memory */
} tn_store;

int tn_store_add(tn_store *s, const void *bytes, size_t n, tn_error *e);
int tn_store_fill(tn_store *s, bool value, size_t n, tn_error *e); /* adds n bytes of this value */
/* Replaces numbers of two bytes by the same of four. */
int tn_store_widen(tn_store *s, tn_error *e);
int tn_store_done(tn_store *s, tn_error *e); /* nothing is added after this */
/* Gives memory of bytes from..to that were read back to the system, if they are in a file. */
void tn_store_pass(const tn_store *s, size_t from, size_t to);
/* Refuses that so many bytes are expected for the folder of such files, if its disk has less room. */
int tn_store_expect(double bytes, tn_error *e);
void tn_store_free(tn_store *s);

#endif
