/* shuffle.c - rows of a tensor in a shuffled order, which depends only on seed and place.

   An epoch's order is a permutation of 0 .. n-1 that needs no memory. A Feistel network of four
   rounds is one-to-one on numbers of 2h bits. It is applied until the result is below n. Halves
   have h >= 4 bits, because networks of fewer bits do not reach every order.

       (left, right) -> (right, left ^ F(round, right))

   Luby and Rackoff, "How to construct pseudorandom permutations", 1988; walking until the result
   fits: Black and Rogaway, "Ciphers with arbitrary finite domains", 2002. */
#include "core/tape.h"

#include <string.h>

enum { ROUNDS = 4, LEAST_BITS = 4 };

/* One pass of the network. */
static uint64_t pass(uint64_t seed, uint64_t stream, uint32_t epoch, int h, uint64_t x)
{
    const uint64_t mask = ((uint64_t)1 << h) - 1;
    uint64_t left = x >> h, right = x & mask;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        /* Four indices share a Philox block. Only the first number of a block is used. */
        const uint64_t f = tn_random(seed, stream, epoch, (round << h | right) << 2) & mask;
        const uint64_t next = left ^ f;
        left = right;
        right = next;
    }
    return left << h | right;
}

int64_t tn_shuffled_row(int64_t n, uint64_t seed, int64_t place)
{
    if (n < 1 || n > (int64_t)1 << 31 || place < 0)
        return 0;
    const uint64_t stream = tn_stream("shuffle");
    int h = LEAST_BITS;
    while ((int64_t)1 << 2 * h < n)
        h++;
    uint64_t x = (uint64_t)(place % n);
    do
        x = pass(seed, stream, (uint32_t)(place / n), h, x);
    while (x >= (uint64_t)n);
    return (int64_t)x;
}

tn_tensor *tn_shuffled_rows(tn_tape *t, const tn_tensor *all, uint64_t seed, int64_t first,
                            int64_t count)
{
    if (tn_tape_given(t, all, __func__))
        return NULL;
    if (first < 0 || count < 1 || first > INT64_MAX - count)
        tn_fail(&t->error, TN_EARG, "%s: %lld rows from %lld on; expected 1 or more, from 0 on",
                __func__, (long long)count, (long long)first);
    else if (!all->data || all->dim[0] > (int64_t)1 << 31)
        tn_fail(&t->error, TN_EARG, "%s: %lld rows%s; expected at most 2^31, with memory", __func__,
                (long long)all->dim[0], all->data ? "" : " of a sketch");
    int64_t dim[TN_MAX_NDIM];
    memcpy(dim, all->dim, sizeof dim);
    dim[0] = count;
    tn_tensor *out = t->error.code ? NULL : tn_tape_input(t, all->dtype, all->ndim, dim);
    const size_t row = out ? tn_tensor_bytes(out) / (size_t)count : 0;
    for (int64_t i = 0; out && i < count; i++)
        memcpy((char *)out->data + (size_t)i * row,
               (const char *)all->data +
                   (size_t)tn_shuffled_row(all->dim[0], seed, first + i) * row,
               row);
    return out;
}
