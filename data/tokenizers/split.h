/* split.h - cuts a text into the pieces that byte-level BPE merges within. Internal header.

       tn_splitter p = { .split = TN_SPLIT_QWEN2, .s = text, .n = n };
       for (size_t m; (m = tn_split_next(&p)) > 0;)  the piece: p.s + p.at - m, m bytes  */
#ifndef TN_SPLIT_H
#define TN_SPLIT_H

#include "data/data.h"

typedef enum tn_split {
    TN_SPLIT_NONE, /* the whole text */
    TN_SPLIT_GPT2,
    TN_SPLIT_SMOLLM, /* every number alone, the rest as GPT-2 */
    TN_SPLIT_LLAMA3, /* up to three numbers together */
    TN_SPLIT_QWEN2,  /* every number alone */
} tn_split;

typedef struct tn_splitter {
    tn_split split;
    const char *s; /* UTF-8 */
    size_t n, at;  /* bytes; those that were cut off */
    size_t stop;   /* SmolLM: where the next number is */
} tn_splitter;

/* Bytes of the next piece; 0 at the end. */
size_t tn_split_next(tn_splitter *p);
/* Is every text cut between these two characters? Then it can be cut there first. */
bool tn_split_always(unsigned char before, unsigned char after);
/* The split of a regular expression in a tokenizer.json; TN_SPLIT_NONE: it is not known. */
tn_split tn_split_of(const char *pattern);
const char *tn_split_pattern(tn_split split); /* NULL: it has none of its own */

#endif
