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

#include "core/kernels/generic.h"
#include "core/kernels/x86_tile.h"

const tn_kernels tn_kernels_avx512 = {
    .isa = "avx512",
    .tile = tile,
    .tile_cols = TILE_COLS,
    .pack = pack,
    .turn = turn,
    TN_GENERIC_KERNELS,
};

#endif
