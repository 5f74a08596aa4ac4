/* x86_avx2.c - AVX2 and FMA: 16 registers of 8 floats, a tile of 4 rows x 24 columns. */
#include "core/kernels/kernels.h"

#ifndef TN_DOUBLE
#include <immintrin.h>

enum { WIDTH = 8, ROWS_1 = 8, ROWS_2 = 6, ROWS_3 = 4 };
typedef __m256 vector;
typedef __m256i mask;

/* The first n lanes, 0 <= n <= 8. */
static inline mask mask_of(int64_t n)
{
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

static inline vector zero(void)
{
    return _mm256_setzero_ps();
}

static inline vector broadcast(float x)
{
    return _mm256_set1_ps(x);
}

static inline vector load(const float *p)
{
    return _mm256_loadu_ps(p);
}

static inline vector load_some(const float *p, mask m)
{
    return _mm256_maskload_ps(p, m);
}

static inline void store(float *p, vector v)
{
    _mm256_storeu_ps(p, v);
}

static inline void store_some(float *p, mask m, vector v)
{
    _mm256_maskstore_ps(p, m, v);
}

static inline vector add(vector a, vector b)
{
    return _mm256_add_ps(a, b);
}

static inline vector multiply_add(vector a, vector b, vector c)
{
    return _mm256_fmadd_ps(a, b, c);
}

/* For philox.h: lanes of 64 bits. */
enum { LANES_64 = 4 };
typedef __m256i words;

static inline words words_of(uint32_t x)
{
    return _mm256_set1_epi64x(x);
}

static inline words load_words(const void *p)
{
    return _mm256_loadu_si256(p);
}

static inline void store_words(void *p, words v)
{
    _mm256_storeu_si256(p, v);
}

static inline words plus(words a, words b)
{
    return _mm256_add_epi64(a, b);
}

static inline words either(words a, words b)
{
    return _mm256_xor_si256(a, b);
}

/* The product of the low halves of each lane. */
static inline words times_low(words a, words b)
{
    return _mm256_mul_epu32(a, b);
}

static inline words high(words a)
{
    return _mm256_srli_epi64(a, 32);
}

/* The low half of each lane is that of a; the high half is the low half of b. */
static inline words packed(words a, words b)
{
    return _mm256_blend_epi32(a, _mm256_slli_epi64(b, 32), 0xaa);
}

/* Lanes 0, 2, ... of a, each followed by the same lane of b. odd_beside: the same for 1, 3, ... */
static inline words even_beside(words a, words b)
{
    return _mm256_unpacklo_epi64(a, b);
}

static inline words odd_beside(words a, words b)
{
    return _mm256_unpackhi_epi64(a, b);
}

#include "core/kernels/generic.h"
#include "core/kernels/philox.h"
#include "core/kernels/x86_turn.h"
#include "core/kernels/tile.h"

const tn_kernels tn_kernels_avx2 = {
    .isa = "avx2",
    .tile = tile,
    .tile_cols = TILE_COLS,
    .pack = pack,
    .pack_wide = pack_wide,
    .turn = turn,
    .random = k_random,
    TN_GENERIC_KERNELS,
};

#endif
