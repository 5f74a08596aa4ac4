/* gguf_file.h - what the reader and the writer of GGUF files share. Internal header.
   The types are in gguf_types.c, reading in gguf_parse.c, the getters in gguf_get.c, the file of a
   folder in gguf_folder.c. */
#ifndef TN_GGUF_FILE_H
#define TN_GGUF_FILE_H

#include "data/gguf.h"

enum {
    TN_GGUF_MOST = 65536,     /* keys, and tensors, of a file */
    TN_GGUF_MOST_KEY = 65535, /* bytes */
    TN_GGUF_MOST_NAME = 64,   /* bytes; llama.cpp takes 63 */
    TN_GGUF_NDIM = 4,
    TN_GGUF_ALIGNMENT = 32 /* of the data, where general.alignment does not say another */
};

/* A type of tensors: `numbers` of them are a block of `bytes`. */
typedef struct tn_gguf_layout {
    const char *name;
    uint32_t number; /* in the file */
    int64_t numbers, bytes;
    tn_file_type type; /* TN_FILE_OTHER: its numbers cannot be read */
} tn_gguf_layout;

const tn_gguf_layout *tn_gguf_layout_number(uint32_t number); /* NULL: unknown */
const tn_gguf_layout *tn_gguf_layout_type(tn_file_type type); /* NULL: GGUF does not have it */

typedef struct tn_gguf_tensor {
    tn_entry entry; /* first, as the key of a value: both are sorted by a name at their beginning */
    const tn_gguf_layout *layout;
    size_t offset; /* in the data */
} tn_gguf_tensor;

struct tn_gguf {
    char *path;
    const unsigned char *map; /* NULL: the bytes are the caller's */
    size_t size;              /* of the file */
    tn_gguf_value *values;
    char **texts; /* of each value, zero-terminated; NULL: it is no UTF-8 string */
    tn_gguf_tensor *tensors;
    const char *const **by_key, *const **by_name; /* values and tensors, sorted */
    int64_t n_values, n;
    size_t alignment, start; /* of the data: offsets are multiples of the first from the second */
};

/* Reads the first `have` bytes of a file of `size` bytes: all but the data. They must live as long
   as the result. */
tn_gguf *tn_gguf_parse(const char *path, const void *bytes, size_t have, size_t size, tn_error *e);
/* The same for g, whose path and size are known. */
void tn_gguf_read(tn_gguf *g, const void *bytes, size_t have, tn_error *e);
/* For qsort: pointers to pointers to things that have their name at their beginning. */
int tn_gguf_by_name(const void *a, const void *b);

/* The path of the GGUF file in a folder, in new memory. NULL without an error: there is none.
   Several are refused. A file of another format under such a name does not count. */
char *tn_gguf_in(const char *folder, tn_error *e);
/* The same for a path that is a folder or the file itself. */
char *tn_gguf_of(const char *path, tn_error *e);

static inline size_t tn_gguf_kind_bytes(uint32_t kind)
{
    static const unsigned char sizes[] = {
#define TN_GGUF_KIND(name, number, bytes) [number] = bytes,
        TN_GGUF_KINDS(TN_GGUF_KIND)
#undef TN_GGUF_KIND
    };
    return sizes[kind];
}

/* The next multiple of the alignment, which is a power of two. It may wrap around to a lower
   number. */
static inline size_t tn_gguf_pad(size_t n, size_t alignment)
{
    return (n + alignment - 1) & ~(alignment - 1);
}

#endif
