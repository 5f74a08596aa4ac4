/* philox.h - Philox 4x32-10 (core/random.c) for many counters at a time.
   A vector has LANES_64 lanes of 64 bits. Each lane has a number in its low half; the content of
   the high half does not matter. A file of an instruction set defines the vector `words` and its
   functions, then includes this file. Internal header. */
#ifndef TN_PHILOX_H
#define TN_PHILOX_H

#include "core/kernels/kernels.h"

#include <string.h>

/* Ten rounds over the counters v under the 64-bit key k. */
static inline void philox(words v[4], uint64_t k)
{
    const words first = words_of(0xd2511f53u), second = words_of(0xcd9e8d57u);
    uint32_t k0 = (uint32_t)k, k1 = (uint32_t)(k >> 32);
    for (int round = 0; round < 10; round++) {
        words a = times_low(first, v[0]), b = times_low(second, v[2]);
        v[0] = either(either(high(b), v[1]), words_of(k0));
        v[1] = b;
        v[2] = either(either(high(a), v[3]), words_of(k1));
        v[3] = a;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
}

static void k_random(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t q, int64_t n,
                     uint32_t *out)
{
    enum { COUNT = 4 * LANES_64, HALF = LANES_64 / 2 };
    uint64_t first[LANES_64];
    uint32_t made[COUNT];
    for (uint64_t l = 0; l < LANES_64; l++) /* so that even_beside and odd_beside restore order */
        first[l] = q + l / 2 + (l & 1) * HALF;
    words counter = load_words(first);
    for (; n > 0; n -= COUNT, out += COUNT, counter = plus(counter, words_of(LANES_64))) {
        words v[4] = { counter, words_of(draw), words_of((uint32_t)stream),
                       words_of((uint32_t)(stream >> 32)) };
        philox(v, seed);
        uint32_t *to = n < COUNT ? made : out;
        words low = packed(v[0], v[1]), up = packed(v[2], v[3]);
        store_words(to, even_beside(low, up));
        store_words(to + 2 * LANES_64, odd_beside(low, up));
        if (n < COUNT)
            memcpy(out, made, (size_t)n * sizeof *out);
    }
}

#endif
