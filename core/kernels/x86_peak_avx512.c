/* x86_peak_avx512.c - multiply-adds in registers of 512 bits. */
#include "core/kernels/peak.h"

#ifndef TN_DOUBLE
#include <immintrin.h>

enum { WIDTH = 16, CHAINS = 24 }; /* enough chains to hide the latency; they fit the registers */

double tn_peak_avx512(int64_t rounds)
{
    __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.5f), sum[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (int64_t k = 0; k < rounds; k++)
#pragma GCC unroll 24 /* gcc 12 alone unrolls 16; the sums are then in memory: 43 % as fast */
        for (int i = 0; i < CHAINS; i++)
            sum[i] = _mm512_fmadd_ps(sum[i], a, b);
    for (int i = 1; i < CHAINS; i++)
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    volatile float used = _mm_cvtss_f32(_mm512_castps512_ps128(sum[0])); /* keeps the loop */
    (void)used;
    return 2.0 * WIDTH * CHAINS * (double)rounds;
}

#endif
