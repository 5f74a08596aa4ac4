/* arm_peak_neon.c - multiply-adds in NEON's registers of 128 bits. */
#include "core/kernels/peak.h"

#ifndef TN_DOUBLE
#include <arm_neon.h>

enum { WIDTH = 4, CHAINS = 24 }; /* enough chains to hide the latency; they fit the registers */

double tn_peak_neon(int64_t rounds)
{
    float32x4_t a = vdupq_n_f32(0.999f), b = vdupq_n_f32(0.5f), sum[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        sum[i] = vdupq_n_f32((float)i);
    for (int64_t k = 0; k < rounds; k++)
        for (int i = 0; i < CHAINS; i++)
            sum[i] = vfmaq_f32(a, sum[i], b);
    for (int i = 1; i < CHAINS; i++)
        sum[0] = vaddq_f32(sum[0], sum[i]);
    volatile float used =
        vgetq_lane_f32(sum[0], 0); /* without this the compiler removes the loop */
    (void)used;
    return 2.0 * WIDTH * CHAINS * (double)rounds;
}

#endif
