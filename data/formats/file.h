/* file.h - mapping a file, and writing one a part at a time. Internal header.

       tn_writer w = tn_writer_open(path, e);
       tn_writer_add(&w, bytes, n);
       return tn_writer_close(&w);
*/
#ifndef TN_FILE_H
#define TN_FILE_H

#include "data/data.h"

/* A regular file of `least` > 0 to `most` bytes, read-only; ended by munmap. NULL: refused. */
const void *tn_file_map(const char *path, size_t least, size_t most, size_t *size, tn_error *e);
/* Gives the memory of a mapped file's bytes from..to back; read again, they come from the file. */
void tn_file_pass(const void *map, size_t from, size_t to);

/* tn_file_read of `name` in the open folder `at`, whose path is for messages; no link. */
char *tn_file_read_at(int at, const char *name, const char *path, size_t most, size_t *size,
                      tn_error *e);

/* Everything goes to PATH.tenon.tmp, which closing flushes and renames to PATH, or removes if
   anything went wrong: the first mistake sticks to the error. A file of that name is taken for what
   a save left that was cut short. */
typedef struct tn_writer {
    const char *path, *name; /* name: behind the last slash */
    char *copy, *temp;       /* temp: the name until it is closed; it lies in copy */
    int at, fd;              /* the folder around, the file */
    unsigned how;            /* RENAME_NOREPLACE: nothing is replaced */
    tn_error *e;
} tn_writer;
tn_writer tn_writer_open(const char *path, tn_error *e);
void tn_writer_add(tn_writer *w, const void *bytes, size_t n);
int tn_writer_close(tn_writer *w);

#endif
