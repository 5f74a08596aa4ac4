/* x86_peak_avx2.c - multiply-adds in registers of 256 bits. */
#include "core/kernels/peak.h"

#ifndef TN_DOUBLE
#include <immintrin.h>

enum { WIDTH = 8, CHAINS = 12 }; /* enough chains to hide the latency; they fit the registers */

double tn_peak_avx2(int64_t rounds)
{
    __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.5f), sum[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        sum[i] = _mm256_set1_ps((float)i);
    for (int64_t k = 0; k < rounds; k++)
        for (int i = 0; i < CHAINS; i++)
            sum[i] = _mm256_fmadd_ps(sum[i], a, b);
    for (int i = 1; i < CHAINS; i++)
        sum[0] = _mm256_add_ps(sum[0], sum[i]);
    volatile float used = _mm_cvtss_f32(_mm256_castps256_ps128(sum[0])); /* keeps the loop */
    (void)used;
    return 2.0 * WIDTH * CHAINS * (double)rounds;
}

#endif
