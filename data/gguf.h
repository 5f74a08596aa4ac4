/* gguf.h - for people who read and write GGUF files, the format of llama.cpp.
   They hold keys with values (the architecture, its numbers, the tokenizer) and tensors.

       tn_gguf *g = tn_gguf_open("model.gguf", &e);
       int64_t layers = 0;
       tn_gguf_get_int(g, "llama.block_count", &layers, &e);
       const tn_entry *w = tn_gguf_find(g, "token_embd.weight");
       if (w) tn_gguf_real(g, w, numbers, &e);
       tn_gguf_close(g);

       tn_gguf_list keys = { 0 };
       tn_gguf_add_string(&keys, "general.architecture", "llama", 5, &e);
       tn_gguf_add_int(&keys, "llama.block_count", TN_GGUF_U32, 2, &e);
       tn_gguf_write("new.gguf", &keys, entries, n, &e);
       tn_gguf_list_free(&keys);

   Ownership, errors and threads are as in data.h: what the getters return lives until the file is
   closed. Shapes are tenon's, the reverse of those in the file: a row is the last dimension.

   What goes wrong:
   * A weight of one program has another name, other rows or another sign of a constant in a GGUF
     file than in a Hugging Face folder. Here the tensors are as the file has them. */
#ifndef TN_GGUF_H
#define TN_GGUF_H

#include "data.h"

TN_BEGIN

/* ---- reading ---- */

/* Kinds of values, with their numbers in the file. TN_GGUF_KIND(name, number, bytes of one). */
/* clang-format off */
#define TN_GGUF_KINDS(ROW) \
    ROW(U8, 0, 1) ROW(I8, 1, 1) ROW(U16, 2, 2) ROW(I16, 3, 2) ROW(U32, 4, 4) ROW(I32, 5, 4) ROW(F32, 6, 4) \
    ROW(BOOL, 7, 1) ROW(STRING, 8, 8) ROW(ARRAY, 9, 12) ROW(U64, 10, 8) ROW(I64, 11, 8) ROW(F64, 12, 8)
/* clang-format on */
typedef enum tn_gguf_kind {
#define TN_GGUF_KIND(name, number, bytes) TN_GGUF_##name = number,
    TN_GGUF_KINDS(TN_GGUF_KIND)
#undef TN_GGUF_KIND
        TN_GGUF_KIND_END
} tn_gguf_kind;

typedef struct tn_gguf_value {
    const char *key;
    bool array;
    tn_gguf_kind kind; /* of an array: of its elements, which are no arrays */
    int64_t count;     /* elements of an array; 1 if it is none */
    /* As in the file: little endian, perhaps unaligned; a string is its length (8 bytes), then its
       bytes. */
    const void *bytes;
    size_t size;
} tn_gguf_value;

typedef struct tn_gguf tn_gguf;

/* Does the file begin as a GGUF file does? False also for a file that cannot be read. */
bool tn_gguf_is(const char *path);
/* Maps a file of version 2 or 3 read-only, and checks all but the numbers of its tensors: sizes,
   places (no holes, overlaps or spare bytes), keys and names (no duplicates). At most 65536 keys
   and 65536 tensors. */
tn_gguf *tn_gguf_open(const char *path, tn_error *e);
void tn_gguf_close(tn_gguf *g);
const char *tn_gguf_path(const tn_gguf *g);
int64_t tn_gguf_keys(const tn_gguf *g);                        /* number of keys */
const tn_gguf_value *tn_gguf_key(const tn_gguf *g, int64_t i); /* in the file's order, from 0 */
const tn_gguf_value *tn_gguf_value_of(const tn_gguf *g, const char *key); /* NULL: there is none */
/* *value does not change if there is no such key. A value of another kind or out of range is an
   error: "m.gguf: llama.block_count is a string; expected an integer". A string belongs to the
   file object; it is UTF-8 without zero bytes. */
void tn_gguf_get_int(const tn_gguf *g, const char *key, int64_t *value, tn_error *e);
void tn_gguf_get_real(const tn_gguf *g, const char *key, double *value, tn_error *e);
void tn_gguf_get_bool(const tn_gguf *g, const char *key, bool *value, tn_error *e);
void tn_gguf_get_string(const tn_gguf *g, const char *key, const char **value, tn_error *e);
/* Element i of an array of integers, or the integer itself for i = 0. False: there is none, or it
   is more than 2^63-1. */
bool tn_gguf_int(const tn_gguf_value *v, int64_t i, int64_t *out);
/* The same for F32 and F64, and for integers. False also for a number that is not finite. */
bool tn_gguf_float(const tn_gguf_value *v, int64_t i, double *out);
/* The strings of a value one after another: *at starts as 0. They are any bytes. False: there is no
   further string. */
bool tn_gguf_string(const tn_gguf_value *v, size_t *at, tn_span *out);

int64_t tn_gguf_count(const tn_gguf *g); /* number of tensors */
/* In the order of the file, from 0. NULL: there is none. */
const tn_entry *tn_gguf_at(const tn_gguf *g, int64_t i);
const tn_entry *tn_gguf_find(const tn_gguf *g, const char *name); /* NULL: there is none */
/* The number of a tensor of tn_gguf_at or tn_gguf_find; -1: the tensor is not of this file. */
int64_t tn_gguf_index(const tn_gguf *g, const tn_entry *entry);
/* The type of a tensor by its name in the format: "Q4_K", also "IQ4_XS", whose numbers cannot be
   read (TN_FILE_OTHER). NULL: the tensor is not of this file. */
const char *tn_gguf_type(const tn_gguf *g, const tn_entry *entry);
/* All elements as tn_real; `out` has room for tn_entry_count of them. A type that cannot be read is
   refused by its name. */
int tn_gguf_real(const tn_gguf *g, const tn_entry *entry, tn_real *out, tn_error *e);

/* ---- writing ---- */

/* The keys of a new file, in the order of the calls. It starts as { 0 }. A lack of memory sticks to
   it, as to a tn_text, and is reported by tn_gguf_write. */
typedef struct tn_gguf_list {
    tn_text text; /* as in the file */
    int64_t count;
} tn_gguf_list;
void tn_gguf_list_free(tn_gguf_list *l);
/* Each adds a key with a copy of its value and returns e->code. The key "general.alignment" (U32, a
   power of two to 4096) decides where the tensors of the file lie; without it that is at multiples
   of 32. */
int tn_gguf_add(tn_gguf_list *l, const tn_gguf_value *v, tn_error *e); /* also of an open file */
/* An integer kind in whose range the value is (TN_EARG otherwise), or TN_GGUF_BOOL: 0 or 1. */
int tn_gguf_add_int(tn_gguf_list *l, const char *key, tn_gguf_kind kind, int64_t value,
                    tn_error *e);
int tn_gguf_add_real(tn_gguf_list *l, const char *key, double value, tn_error *e); /* as F32 */
int tn_gguf_add_string(tn_gguf_list *l, const char *key, const char *s, size_t n, tn_error *e);
int tn_gguf_add_strings(tn_gguf_list *l, const char *key, const tn_span *strings, int64_t n,
                        tn_error *e); /* an array */
/* Adds the keys of a tokenizer for a model of `size` ids. chat: the chat template; NULL: that of
   its tokenizer_config.json, or none. Refuses a tokenizer that such a file does not stand for:
   other words than those of GPT-2, SmolLM, Llama 3 and Qwen 2, or merges that scores do not
   give. */
int tn_gguf_add_tokenizer(tn_gguf_list *l, const tn_tokenizer *k, int64_t size, const char *chat,
                          tn_error *e);
/* Writes version 3 as tn_file_write does, the tensors in this order. An entry has bytes of any type
   of GGUF, or numbers that are converted to F64, F32, F16, BF16, Q8_0 or Q4_0. A shape that does
   not fit its data, or a name of more than 63 bytes: TN_EARG. A key or name twice: TN_EFORMAT.
   Numbers that a quantised type cannot hold (NaN): TN_ENONFINITE. */
int tn_gguf_write(const char *path, const tn_gguf_list *keys, const tn_entry *entries, int64_t n,
                  tn_error *e);

TN_END

#endif
