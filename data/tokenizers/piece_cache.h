/* piece_cache.h - the ids of pieces that were encoded before, for all threads. Internal header.

       if (!tn_piece_cache_get(c, s, n, &word, e)) { ...encode...; tn_piece_cache_put(c, s, n, word.id, word.n); }

   Most of a text is a few thousand short words. An entry is made once and stays until the cache is
   freed, so that a thread can read it while others add more. What finds no place is not kept. */
#ifndef TN_PIECE_CACHE_H
#define TN_PIECE_CACHE_H

#include "data/tokenizers/bpe.h"

typedef struct tn_piece_cache tn_piece_cache;

tn_piece_cache *tn_piece_cache_new(const char *path, tn_error *e); /* the path is for messages */
void tn_piece_cache_free(tn_piece_cache *c);
/* Appends the ids of the piece of n bytes to the word. False: the cache does not have them. */
bool tn_piece_cache_get(tn_piece_cache *c, const char *s, size_t n, tn_word *w, tn_error *e);
/* Keeps the ids of a short piece. */
void tn_piece_cache_put(tn_piece_cache *c, const char *s, size_t n, const int32_t *ids, int64_t count);

#endif
