/* file.h - mapping a file, and writing one a part at a time. Internal header.

       tn_writer w = tn_writer_open(path, e);
       tn_writer_add(&w, bytes, n);
       return tn_writer_close(&w);
*/
#ifndef TN_FILE_H
#define TN_FILE_H

#include "data/data.h"

/* Maps a regular file of `least` > 0 to `most` bytes, read-only. munmap ends it. NULL: see e. */
const void *tn_file_map(const char *path, size_t least, size_t most, size_t *size, tn_error *e);
/* Opens a regular file for reading. Returns its descriptor, or -1, see e. */
int tn_file_open(const char *path, size_t *size, tn_error *e);
/* Reads n bytes of the file from byte `at` on. Returns how many there are: fewer than n at its end,
   or if it cannot be read, with the reason in errno. */
size_t tn_file_get(int fd, void *out, size_t n, size_t at);
/* Writes n bytes at the end of what was written. False: they cannot be written, see errno. */
bool tn_file_put(int fd, const void *bytes, size_t n);
/* The folder for temporary files: that of TMPDIR, else /var/tmp, because /tmp is often memory. */
const char *tn_file_temporary(void);
/* Opens a new file in it that has no name, so that it is gone when the process ends in any way.
   Returns its descriptor, or -1, see errno. */
int tn_file_unnamed(void);
/* Returns the memory of bytes from..to of a mapped file to the system. They can still be read: the
   system then reads the file again. */
void tn_file_pass(const void *map, size_t from, size_t to);
/* The same for n bytes anywhere in a mapped file. Pages that they share with others stay. */
void tn_file_pass_bytes(const void *bytes, size_t n);

/* As tn_file_read, for `name` in the open folder `at`. The path is for messages. Refuses a link. */
char *tn_file_read_at(int at, const char *name, const char *path, size_t most, size_t *size,
                      tn_error *e);

/* The file type of the numbers that a tn_real holds. */
static inline tn_file_type tn_file_real(void)
{
    return sizeof(tn_real) == sizeof(float) ? TN_FILE_F32 : TN_FILE_F64;
}

/* The type in memory whose bytes are those of a file type. TN_DTYPES: there is none. */
tn_dtype tn_file_dtype(tn_file_type type);

/* The largest number that a type of a file holds: a larger one would become infinite. For F64, F32,
   F16, BF16, Q8_0 and Q4_0. */
double tn_file_type_most(tn_file_type type);

/* The index of the first of n numbers (TN_FILE_F32 or TN_FILE_F64) that is infinite or NaN; *value
   becomes this number. Returns n if all are finite. The bytes need no alignment. */
int64_t tn_not_finite(tn_file_type type, const void *bytes, int64_t n, double *value);

/* True if n numbers of a type of memory, TN_REAL, TN_BF16 or TN_F16, are all finite: quickly, for
   the gigabytes of a model. False also for every other type. The bytes need no alignment. */
bool tn_all_finite(tn_dtype type, const void *bytes, int64_t n);

/* All bytes go to PATH.tenon.tmp. Closing flushes that file and renames it to PATH. After an error,
   which stays in e, closing removes it. A file PATH.tenon.tmp that exists before is removed: an
   interrupted save left it. */
typedef struct tn_writer {
    const char *path, *name; /* name: after the last slash */
    char *copy, *temp;       /* temp: the name before closing, a part of copy */
    int at, fd;              /* descriptors of the folder and of the file */
    unsigned how;            /* TN_RENAME_NEW: refuse to replace a file */
    tn_error *e;
} tn_writer;
tn_writer tn_writer_open(const char *path, tn_error *e);
void tn_writer_add(tn_writer *w, const void *bytes, size_t n);
int tn_writer_close(tn_writer *w);

/* entry.c: the bytes of n numbers of a type of memory or of safetensors. */
size_t tn_file_type_bytes(tn_file_type type, int64_t n);
/* Tensors that are written. Can the numbers be written in this type? */
bool tn_entry_is_written(const tn_entry *t);
/* The bytes of a tensor's data. Returns false for a shape that is not valid, or that does not fit
   the bytes that are given. The type is one of memory or of safetensors. */
bool tn_entry_size(const tn_entry *t, size_t *size);
/* The next numbers of an entry that is given as numbers, from number `from` on, perhaps in `room`.
   *n: how many, at most TN_ENTRY_PART; 0 at the end, and if it is given as bytes. */
enum { TN_ENTRY_PART = 1024 }; /* whole blocks of every type */
const tn_real *tn_entry_part(const tn_entry *t, int64_t from, int64_t *n, tn_real *room);
void tn_writer_entry(tn_writer *w, const tn_entry *t);

#endif
