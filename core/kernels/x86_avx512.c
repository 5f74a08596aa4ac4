/* x86_avx512.c - AVX-512: 32 registers of 16 floats, a tile of 8 rows x 48 columns. */
#include "core/kernels/kernels.h"

#ifndef TN_DOUBLE
#include <immintrin.h>

enum { WIDTH = 16, ROWS_1 = 8, ROWS_2 = 8, ROWS_3 = 8 };
typedef __m512 vector;
typedef __mmask16 mask;

/* The first n lanes, 0 <= n <= 16. */
static inline mask mask_of(int64_t n)
{
    return (mask)((1u << n) - 1);
}

static inline vector zero(void)
{
    return _mm512_setzero_ps();
}

static inline vector broadcast(float x)
{
    return _mm512_set1_ps(x);
}

static inline vector load(const float *p)
{
    return _mm512_loadu_ps(p);
}

static inline vector load_some(const float *p, mask m)
{
    return _mm512_maskz_loadu_ps(m, p);
}

static inline void store(float *p, vector v)
{
    _mm512_storeu_ps(p, v);
}

static inline void store_some(float *p, mask m, vector v)
{
    _mm512_mask_storeu_ps(p, m, v);
}

static inline vector add(vector a, vector b)
{
    return _mm512_add_ps(a, b);
}

static inline vector multiply_add(vector a, vector b, vector c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* For philox.h: lanes of 64 bits. */
enum { LANES_64 = 8 };
typedef __m512i words;

static inline words words_of(uint32_t x)
{
    return _mm512_set1_epi64(x);
}

static inline words load_words(const void *p)
{
    return _mm512_loadu_si512(p);
}

static inline void store_words(void *p, words v)
{
    _mm512_storeu_si512(p, v);
}

static inline words plus(words a, words b)
{
    return _mm512_add_epi64(a, b);
}

static inline words either(words a, words b)
{
    return _mm512_xor_si512(a, b);
}

/* The product of the low halves of each lane. */
static inline words times_low(words a, words b)
{
    return _mm512_mul_epu32(a, b);
}

static inline words high(words a)
{
    return _mm512_srli_epi64(a, 32);
}

/* The low half of each lane is that of a; the high half is the low half of b. */
static inline words packed(words a, words b)
{
    return _mm512_mask_blend_epi32(0xaaaa, a, _mm512_slli_epi64(b, 32));
}

/* Lanes 0, 2, ... of a, each followed by the same lane of b. odd_beside: the same for 1, 3, ... */
static inline words even_beside(words a, words b)
{
    return _mm512_unpacklo_epi64(a, b);
}

static inline words odd_beside(words a, words b)
{
    return _mm512_unpackhi_epi64(a, b);
}

#include "core/kernels/generic.h"
#include "core/kernels/philox.h"
#include "core/kernels/x86_turn.h"
#include "core/kernels/tile.h"

/* ---- the strip that computes most of a model: 8 rows of 3 vectors, A row-major.

   It is `strip` with fewer instructions: 34 instead of 38 for 24 multiply-adds. Each multiply-add of
   every second row reads its number of A from memory, so no instruction loads it into a register.
   (If all rows do this, loads become the limit.) Pointers move once in UNROLL steps.

   Xeon (Emerald Rapids): a core decodes 6 instructions per cycle, but 3 while its other hardware
   thread works. The strip then reaches 0.88 of the peak instead of 0.79. Without the other thread
   both reach 0.96.

   Indices are written out and multiply-adds are instructions, so that every compiler keeps all sums
   in registers. ---- */

enum { UNROLL = 4 };

/* s += x b */
ALWAYS_INLINE vector plus_product(vector s, vector x, vector b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(s) : "v"(x), "v"(b));
    return s;
}

/* The same, and x is one number in memory. */
ALWAYS_INLINE vector plus_product_of(vector s, const float *x, vector b)
{
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(s) : "v"(b), "m"(*x));
    return s;
}

/* A row of the strip, with its number at x: s += x b. */
ALWAYS_INLINE void row(vector s[3], const float *x, const vector b[3])
{
    const vector one = broadcast(*x);
    s[0] = plus_product(s[0], one, b[0]);
    s[1] = plus_product(s[1], one, b[1]);
    s[2] = plus_product(s[2], one, b[2]);
}

ALWAYS_INLINE void row_of(vector s[3], const float *x, const vector b[3])
{
    s[0] = plus_product_of(s[0], x, b[0]);
    s[1] = plus_product_of(s[1], x, b[1]);
    s[2] = plus_product_of(s[2], x, b[2]);
}

/* One k: number `at` of every row of A, and the row b of the panel. */
ALWAYS_INLINE void one_k(vector s[8][3], const float *const x[8], int64_t at, const float *b)
{
    const vector of_b[3] = { load(b), load(b + WIDTH), load(b + 2 * WIDTH) };
    row(s[0], x[0] + at, of_b);
    row_of(s[1], x[1] + at, of_b);
    row(s[2], x[2] + at, of_b);
    row_of(s[3], x[3] + at, of_b);
    row(s[4], x[4] + at, of_b);
    row_of(s[5], x[5] + at, of_b);
    row(s[6], x[6] + at, of_b);
    row_of(s[7], x[7] + at, of_b);
}

/* Row i of C. It gets a copy of its sums: finish_row has loops over them, and compilers would keep
   all sums in memory for these loops. */
ALWAYS_INLINE void finish(const tile_shape *t, const vector s[3], const float *start, int i,
                          float *c)
{
    const vector sums[3] = { s[0], s[1], s[2] };
    finish_row(3, t, sums, start ? start + i * t->start_stride : NULL, c + i * t->ldc);
}

static void strip_8(const tile_shape *t, const float *a, const float *b, const float *start,
                    float *c)
{
    const vector z = zero();
    vector s[8][3] = { { z, z, z }, { z, z, z }, { z, z, z }, { z, z, z },
                       { z, z, z }, { z, z, z }, { z, z, z }, { z, z, z } };
    const float *x[8] = { a,
                          a + t->ars,
                          a + 2 * t->ars,
                          a + 3 * t->ars,
                          a + 4 * t->ars,
                          a + 5 * t->ars,
                          a + 6 * t->ars,
                          a + 7 * t->ars };
    const ptrdiff_t brs = t->brs, ldc = t->ldc;
    for (int i = 0; i < 8; i++) {
        _mm_prefetch((const char *)(c + i * ldc), _MM_HINT_T0);
        _mm_prefetch((const char *)(c + i * ldc + 3 * WIDTH - 1), _MM_HINT_T0);
    }
    int64_t left = t->depth;
    for (; left >= UNROLL; left -= UNROLL, b += UNROLL * brs) {
        one_k(s, x, 0, b);
        one_k(s, x, 1, b + brs);
        one_k(s, x, 2, b + 2 * brs);
        one_k(s, x, 3, b + 3 * brs);
        x[0] += UNROLL, x[1] += UNROLL, x[2] += UNROLL, x[3] += UNROLL;
        x[4] += UNROLL, x[5] += UNROLL, x[6] += UNROLL, x[7] += UNROLL;
    }
    for (; left > 0; left--, b += brs) {
        one_k(s, x, 0, b);
        x[0]++, x[1]++, x[2]++, x[3]++, x[4]++, x[5]++, x[6]++, x[7]++;
    }
    finish(t, s[0], start, 0, c);
    finish(t, s[1], start, 1, c);
    finish(t, s[2], start, 2, c);
    finish(t, s[3], start, 3, c);
    finish(t, s[4], start, 4, c);
    finish(t, s[5], start, 5, c);
    finish(t, s[6], start, 6, c);
    finish(t, s[7], start, 7, c);
}

static void tile_512(int64_t rows, int64_t cols, int64_t depth, const float *a, ptrdiff_t ars,
                     ptrdiff_t acs, const float *b, ptrdiff_t brs, const float *start,
                     ptrdiff_t start_stride, float *c, ptrdiff_t ldc)
{
    const int64_t last = cols - 2 * WIDTH;
    if (last > 0 && acs == 1) {
        tile_shape t = { depth, ars, acs, brs, start_stride, ldc, last == WIDTH, mask_of(last) };
        for (; rows >= 8; rows -= 8, a += 8 * ars, c += 8 * ldc) {
            strip_8(&t, a, b, start, c);
            start = start ? start + 8 * start_stride : NULL;
        }
    }
    if (rows > 0)
        tile(rows, cols, depth, a, ars, acs, b, brs, start, start_stride, c, ldc);
}

const tn_kernels tn_kernels_avx512 = {
    .isa = "avx512",
    .tile = tile_512,
    .tile_cols = TILE_COLS,
    .pack = pack,
    .pack_wide = pack_wide,
    .turn = turn,
    .random = k_random,
    TN_GENERIC_KERNELS,
};

#endif
