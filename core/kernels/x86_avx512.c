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

/* For x86_random.h: lanes of 64 bits. */
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
#include "core/kernels/x86_random.h"
#include "core/kernels/x86_tile.h"

const tn_kernels tn_kernels_avx512 = {
    .isa = "avx512",
    .tile = tile,
    .tile_cols = TILE_COLS,
    .pack = pack,
    .turn = turn,
    .random = k_random,
    TN_GENERIC_KERNELS,
};

#endif
