/* dataset.h - a data set's insides, for the loader and the makers (internal).

   All token ids stand in one array, in two bytes each. Records are its pieces start[i] .. start[i+1];
   a stream is one piece, of which record i is the window [i T, i T + T + 1), overlapping the next
   one by a token. The file is mapped, and what was read of it is given back as the ids grow. */
#ifndef TN_DATASET_H
#define TN_DATASET_H

#include "data/data.h"

struct tn_dataset {
    int loaders; /* that read it: it lives on until they are freed */
    uint16_t *ids;
    int64_t n, room;     /* tokens kept, and room for them */
    int64_t *start;      /* (records + 1); NULL for a stream */
    int64_t *prompt;     /* (records): tokens at the beginning that carry no loss */
    int64_t record_room; /* records that start and prompt have room for */
    int64_t window;      /* tokens of a row at most; T of a stream */
    tn_data_facts facts;
};

enum {
    TN_LONGEST_FILE = 1 << 30, /* bytes of a data file */
    TN_AT_ONCE = 1 << 20,      /* bytes that are read before they are given back */
};

/* clang-format off */
typedef struct tn_piece { const uint16_t *ids; int64_t length, prompt; } tn_piece;
/* clang-format on */

tn_piece tn_dataset_piece(const tn_dataset *d, int64_t i); /* record i */

/* What is being made, and from what. */
typedef struct tn_maker {
    tn_dataset *d;
    const tn_tokenizer *k;
    const tn_data_options *o;
} tn_maker;

void tn_dataset_hold(tn_dataset *d); /* until one more tn_dataset_free, on any thread */
tn_dataset *tn_dataset_start(const tn_tokenizer *k, const tn_data_options *o, tn_error *e);
/* Room for `more` ids behind those there are. */
int tn_dataset_reserve(tn_dataset *d, size_t more, tn_error *e);
/* Encodes a text's bytes from `at` on behind the ids there are. */
int tn_dataset_encode(tn_maker m, tn_span text, size_t at, tn_error *e);
/* Hands a finished data set on; ends it if there is an error, or no record was left. */
tn_dataset *tn_dataset_finish(tn_dataset *d, const char *place, tn_error *e);
/* Adds the place to an error that happened there: "PATH:LINE: MESSAGE", without a line for 0. */
int tn_dataset_fail(const char *place, int64_t line, const tn_error *inner, tn_error *e);

#endif
