/* arena.h - the tape's memory: an arena for results, a pool for gradients. Internal header.
   Memory is taken from an arena piece by piece, and given back all at once. */
#ifndef TN_ARENA_H
#define TN_ARENA_H

#include "core/core.h"

/* Zero-filled memory on a 64-byte boundary; NULL when memory is out. A large piece is in huge
   pages. Keep it and use it again, because the first touch of a 4 KiB page costs 0.8-1.5 us. */
void *tn_pages_new(size_t bytes);
void tn_pages_free(void *pages, size_t bytes);

typedef struct tn_chunk { /* drawn in arena.c */
    char *base;
    size_t size;  /* bytes of addresses */
    size_t ready; /* so many of them are memory, touched or not */
    size_t high;  /* the most bytes ever used */
} tn_chunk;

/* `used` bytes into a chunk. */
typedef struct tn_place {
    size_t chunk, used;
} tn_place;

typedef struct tn_arena { /* starts as { 0 } */
    tn_chunk *chunks;
    size_t count, room;
    tn_place at;  /* the place of the next bytes */
    size_t taken; /* bytes that have been touched: now, */
    size_t most;  /* and the most there ever were */
} tn_arena;

/* 64-byte aligned, not cleared. NULL when memory is out. */
void *tn_arena_take(tn_arena *a, size_t bytes);
/* Goes back to a place that was a->at before, or to { 0 }. */
void tn_arena_rewind(tn_arena *a, tn_place to);
void tn_arena_free(tn_arena *a);

/* Buffers for the gradients of intermediate results, reused by size. */
typedef struct tn_buffer {
    void *base;
    size_t size;
    bool taken;
} tn_buffer;
typedef struct tn_buffers { /* starts as { 0 } */
    tn_buffer *list;
    size_t count, room, bytes;
} tn_buffers;

void *tn_buffers_take(tn_buffers *p, size_t bytes); /* NULL when memory is out */
void tn_buffers_give(tn_buffers *p, void *buffer);
void tn_buffers_give_all(tn_buffers *p);
void tn_buffers_free(tn_buffers *p);

#endif
