/* random.h - uniform and normal numbers, many at a time, for generic.h.
   random.c makes one at a time. Both give the same bits: each step is one IEEE operation on double,
   the order is the same, and no operations are fused. Internal header. */
#ifndef TN_RANDOM_H
#define TN_RANDOM_H

#include "core/kernels/kernels.h"

#include <math.h>
#include <string.h>

enum { DRAWN = 64 }; /* normals that are computed side by side */

/* (0,1) is cut into 2^32 equal parts. Returns the middle of part `number`. The number is converted
   as an int32_t, because not every CPU can convert a vector of uint32_t. */
static inline double share_of(uint32_t number)
{
    return ((double)(int32_t)(number ^ 0x80000000u) + 2147483648.0 + 0.5) * 0x1p-32;
}

static void k_uniform(int64_t n, const uint32_t *numbers, double bound, tn_real *x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (tn_real)(bound * (2 * share_of(numbers[i]) - 1));
}

/* tn_log_of for 0 < x < 1. The bits of the exponent of x become the low bits of a double between
   2^52 and 2^53: minus 2^52 this is the exponent as a double. */
static inline double log_below_1(double x)
{
    uint64_t u, exponent = 0x4330000000000000u;
    double m, e, sum = 0;
    memcpy(&u, &x, sizeof u);
    exponent |= u >> 52;
    u = (u & 0xfffffffffffffu) | 0x3fe0000000000000u;
    memcpy(&m, &u, sizeof m);
    memcpy(&e, &exponent, sizeof e);
    e -= 0x1p52 + 1022;
    bool small = m < 0.7071067811865476;
    m = small ? 2 * m : m;
    e = small ? e - 1 : e;
    double z = (m - 1) / (m + 1), q = z * z;
    for (int i = 21; i >= 3; i -= 2)
        sum = (sum + 1.0 / i) * q;
    return e * 6.93147180369123816490e-01 + (2 * (z + z * sum) + e * 1.90821492927058770002e-10);
}

/* tn_cos_of for 0 <= x < 7. It sums only the series that is needed, of sin or of cos. */
static inline double cos_below_7(double x)
{
    int32_t quarter = (int32_t)(x * 0.6366197723675814 + 0.5);
    double k = quarter;
    double r = ((x - k * 1.57079632673412561417) - k * 6.07710050630396597660e-11) -
               k * 2.02226624879595063154e-21;
    double q = -r * r, sum = 1;
    double odd = quarter & 1, sign = 1 - (double)((quarter + 1) & 2);
    for (int i = 18; i >= 2; i -= 2)
        sum = 1 + sum * q / (i * (i - 1 + 2 * odd));
    return sign * (odd > 0 ? sum * r : sum);
}

static void k_normal(int64_t n, const uint32_t *numbers, double std, tn_real *x)
{
    double u[DRAWN], v[DRAWN];
    for (; n > 0; n -= DRAWN, numbers += 2 * DRAWN, x += DRAWN) {
        int64_t count = n < DRAWN ? n : DRAWN;
        for (int64_t i = 0; i < count; i++) {
            u[i] = share_of(numbers[2 * i]);
            v[i] = share_of(numbers[2 * i + 1]);
        }
        for (int64_t i = 0; i < count; i++)
            u[i] = sqrt(-2 * log_below_1(u[i]));
        for (int64_t i = 0; i < count; i++)
            v[i] = cos_below_7(6.283185307179586 * v[i]);
        for (int64_t i = 0; i < count; i++)
            x[i] = (tn_real)(std * (u[i] * v[i]));
    }
}

#endif
