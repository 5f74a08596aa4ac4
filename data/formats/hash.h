/* hash.h - tn_hash_bulk, part by part. Internal header.

       tn_bulk_hash h = tn_bulk_hash_start(0);
       tn_bulk_hash_add(&h, bytes, n);
       tn_bulk_hash_add(&h, more, k);
       hash = tn_bulk_hash_end(&h);                 that of the n + k bytes */
#ifndef TN_HASH_H
#define TN_HASH_H

#include "data/data.h"

enum { TN_HASH_WORDS = 8 };

typedef struct tn_bulk_hash {
    uint64_t lane[TN_HASH_WORDS];
    unsigned char last[TN_HASH_WORDS * sizeof(uint64_t)]; /* its first size % 64 bytes wait */
    size_t size;
} tn_bulk_hash;

tn_bulk_hash tn_bulk_hash_start(uint64_t start);
void tn_bulk_hash_add(tn_bulk_hash *h, const void *bytes, size_t size);
uint64_t tn_bulk_hash_end(tn_bulk_hash *h);

#endif
