/* tokenizer.h - the symbols of a tokenizer, and the walk over a text. Internal header.

   A symbol is a byte or a character; the vocabulary gives each one id, and one more id may be the
   end token. To make one, call tn_tokenizer_make, then _put for every symbol, then _finish. */
#ifndef TN_TOKENIZER_H
#define TN_TOKENIZER_H

#include "data/data.h"
#include "core/utf8.h"

enum { TN_NO_CODE = 0x110000 }; /* above every code point: the end token, which is no symbol */

/* clang-format off */
typedef struct tn_symbol { uint32_t code; int32_t id; } tn_symbol;
/* clang-format on */

struct tn_tokenizer {
    bool bytes;   /* symbols are bytes; otherwise code points */
    int64_t size; /* ids: the symbols and the end token */
    int64_t symbols;
    tn_symbol *table; /* (symbols) in ascending order of code */
    uint32_t *code;   /* (size) the symbol of an id; TN_NO_CODE: the end token */
    int32_t end;      /* -1: none */
    char *end_text;   /* how the files spell the end token; NULL: none */
};

tn_tokenizer *tn_tokenizer_make(bool bytes, int64_t size, tn_error *e);
/* Returns false if the id is outside 0..size-1 or taken. */
bool tn_tokenizer_put(tn_tokenizer *k, uint32_t code, int64_t id);
/* The last step: sorts, and names the end token, which has the id `end`. end_text NULL: none. */
tn_tokenizer *tn_tokenizer_finish(tn_tokenizer *k, const char *end_text, int64_t end, tn_error *e);

/* Walks over a text, character by character. skipped: as for tn_encode. */
typedef struct tn_walk {
    const tn_tokenizer *k;
    const char *text;
    size_t at, end; /* the bytes that are left */
    int64_t *skipped;
    tn_error *e;
} tn_walk;

/* Writes the ids of the next character that has ids, at most one per byte. Returns their number; 0
   at the end, or with an error. */
int64_t tn_walk_next(tn_walk *w, int32_t *out);

/* GPT-2's letter for a byte. Printable bytes stay the same, the 68 others are U+0100 and up. */
uint32_t tn_byte_letter(uint32_t b);

#endif
