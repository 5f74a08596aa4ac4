/* bpe.h - byte-pair encoding: the texts of all ids, and the merges of two into one. Internal header.

       tn_vocab v = tn_vocab_new(tokens, size, e);
       tn_bpe b = tn_bpe_new(&v, merges, n, "path", e);
       w.id[0 .. w.n) = the symbols of a word;  tn_bpe_merge(&b, &w);

   The time is n log n for a word of n symbols. Looking up is a search in a table with open addresses;
   a file whose names are chosen to meet in one place of it is refused. */
#ifndef TN_BPE_H
#define TN_BPE_H

#include "data/data.h"

/* clang-format off */
typedef struct tn_merge { tn_span left, right; } tn_merge;
/* clang-format on */

typedef struct tn_vocab {
    int64_t size;
    char *memory;    /* all texts, one after the other */
    uint32_t *start; /* (size + 1) the text of an id is from start[id] to start[id + 1] */
    uint32_t *slot;  /* (mask + 1) id + 1; 0: empty */
    uint32_t mask;
} tn_vocab;

/* Copies the texts: tokens[id] for id < size, s NULL where an id has none. Those of `found` can be
   found; all if it is NULL. The same text twice is refused. */
int tn_vocab_new(tn_vocab *v, const tn_span *tokens, const bool *found, int64_t size,
                 const char *path, tn_error *e);
void tn_vocab_end(tn_vocab *v);
int32_t tn_vocab_find(const tn_vocab *v, const char *s, size_t n); /* -1: it has no id */
tn_span tn_vocab_text(const tn_vocab *v, int32_t id);              /* of 0 <= id < size */

typedef struct tn_pair {
    uint32_t left, right; /* ids */
    uint32_t rank;        /* the lowest is merged first */
    int32_t id;           /* what they become; -1: an empty place */
} tn_pair;

typedef struct tn_bpe {
    tn_pair *pair;
    uint64_t mask;
    int64_t pairs; /* places that are not empty */
} tn_bpe;

/* Merges in the order of their ranks. Both parts and what they become must be in the vocabulary. */
int tn_bpe_new(tn_bpe *b, const tn_vocab *v, const tn_merge *merges, int64_t n, const char *path,
               tn_error *e);
/* The merges that scores stand for: any two texts that form a third one, the highest score first.
   score[id] is not a number: not made by merging. */
int tn_bpe_of_scores(tn_bpe *b, const tn_vocab *v, const float *score, const char *path,
                     tn_error *e);
/* The merges in order of rank, in new memory. NULL when memory is out. */
tn_pair *tn_bpe_sorted(const tn_bpe *b, int64_t *n);
void tn_bpe_end(tn_bpe *b);
const tn_pair *tn_bpe_find(const tn_bpe *b, uint32_t left, uint32_t right); /* NULL: none */

/* The symbols of a word, which become its tokens. Starts as { 0 }. */
typedef struct tn_word {
    int32_t *id;
    int64_t n, room;
    uint32_t *next, *before; /* neighbours, by place */
    uint64_t *heap;          /* rank << 32 | place of the left one */
    int64_t inner_room;      /* of next and before; the heap has three times as many */
} tn_word;

int tn_word_add(tn_word *w, int32_t id, tn_error *e);
int tn_bpe_merge(const tn_bpe *b, tn_word *w, tn_error *e);
void tn_word_end(tn_word *w);

#endif
