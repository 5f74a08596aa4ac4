/* dataset.h - a data set's insides, for the loader and the makers (internal).

   All token ids stand in one array. Records are its pieces start[i] .. start[i+1]; a stream is one
   piece, of which record i is the window [i T, i T + T + 1), overlapping the next one by a token. */
#ifndef TN_DATASET_H
#define TN_DATASET_H

#include "data/data.h"

struct tn_dataset {
    int32_t *ids;
    int64_t n, room;     /* tokens kept, and room for them */
    int64_t *start;      /* (records + 1); NULL for a stream */
    int64_t *prompt;     /* (records): tokens at the beginning that carry no loss */
    int64_t record_room; /* records that start and prompt have room for */
    int64_t window;      /* T of a stream */
    tn_data_facts facts;
};

enum { TN_LONGEST_FILE = 1 << 30 }; /* bytes of a data file */

/* What is being made, and from what. */
typedef struct tn_maker {
    tn_dataset *d;
    const tn_tokenizer *k;
    const tn_data_options *o;
} tn_maker;

typedef struct tn_span { const char *s; size_t n; } tn_span;

tn_dataset *tn_dataset_start(const tn_data_options *o, tn_error *e);
/* Encodes some text behind the tokens there are. */
int tn_dataset_encode(tn_maker m, tn_span text, tn_error *e);
/* Hands a finished data set on; ends it if there is an error, or no record was left. */
tn_dataset *tn_dataset_finish(tn_dataset *d, const char *place, tn_error *e);
/* Adds the place to an error that happened there: "PATH:LINE: MESSAGE", without a line for 0. */
int tn_dataset_fail(const char *place, int64_t line, const tn_error *inner, tn_error *e);

#endif
