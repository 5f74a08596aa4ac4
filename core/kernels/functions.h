/* functions.h - exp, log, tanh, sigmoid and softplus of one number, for generic.h.
   They have no branch, so that the compiler can vectorise loops over them. In float each is within
   2 units in the last place of the exact value for every x. `exponential` alone is less exact, and
   faster. Internal header. */
#ifndef TN_FUNCTIONS_H
#define TN_FUNCTIONS_H

#include "core/core.h"

#include <math.h>
#include <string.h>

#ifdef TN_DOUBLE /* the double build is for tests, where the speed of libm is enough */

static inline tn_real fused(tn_real a, tn_real b, tn_real c)
{
    return fma(a, b, c);
}

static inline tn_real exponential(tn_real x)
{
    return exp(x);
}

static inline tn_real exp_of(tn_real x)
{
    return exp(x);
}

static inline tn_real log_of(tn_real x)
{
    return log(x);
}

static inline tn_real tanh_of(tn_real x)
{
    return tanh(x);
}

static inline tn_real sigmoid_of(tn_real x)
{
    tn_real e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

static inline tn_real softplus_of(tn_real x)
{
    tn_real part = log1p(exp(-fabs(x)));
    return x > 0 ? x + part : part;
}

static inline tn_real root_of(tn_real x)
{
    return sqrt(x);
}

static inline tn_real size_of(tn_real x)
{
    return fabs(x);
}

#else

static inline tn_real fused(tn_real a, tn_real b, tn_real c)
{
    return fmaf(a, b, c);
}

static inline uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float of_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline float root_of(float x)
{
    return sqrtf(x);
}

static inline float size_of(float x)
{
    return fabsf(x);
}

/* ---- exp ---- */

/* For sums in which another number is 1, as in softmax: a result less than e^-87.3 becomes 0. e^x =
   2^k e^r with k = round(x / ln 2), so |r| <= 0.347. There the Taylor polynomial of degree 7 has an
   error of 6e-9. ln 2 is split into two parts. The first has 9 bits, so its product with k is
   exact. The low bits of `shifted` are k; they are shifted into the exponent. From x = 88.7228394
   on, e^x is too large for a float. */
static inline float exponential(float x)
{
    const float shifter = 12582912.0f; /* 1.5 * 2^23: the sum ends in an integer */
    float shifted = fused(x, 1.44269504f, shifter);
    float k = shifted - shifter;
    float r = fused(k, 2.12194440e-4f, fused(k, -0.693359375f, x));
    float p = fused(1.0f / 5040, r, 1.0f / 720);
    p = fused(p, r, 1.0f / 120);
    p = fused(p, r, 1.0f / 24);
    p = fused(p, r, 1.0f / 6);
    p = fused(p, r, 0.5f);
    p = fused(p, r, 1.0f);
    p = fused(p, r, 1.0f);
    float e = of_bits(bits_of(p) + (bits_of(shifted) << 23));
    float above = x < 88.7228394f ? e : x + INFINITY; /* NaN stays NaN */
    return x < -87.3f ? 0.0f : above;
}

/* e^x for every x, as a sum of two numbers: the returned one and *rest, which is smaller than the
   last place of the first. k, r and the polynomial are those of `exponential`. The rounding errors
   of r and of 1 + r are computed and added. 2^k may be too small or too large for a float: it is
   multiplied in as two factors of about 2^(k/2). */
static inline float exp_parts(float x, float *rest)
{
    const float shifter = 12582912.0f;
    float below = x > 89.0f ? 89.0f : x;
    float near_x = below < -104.5f ? -104.5f : below; /* NaN stays NaN */
    float shifted = fused(near_x, 1.44269504f, shifter);
    float k = shifted - shifter;
    float most = fused(k, -0.693359375f, near_x);
    float r = fused(k, 2.12194440e-4f, most);
    float p = fused(1.0f / 5040, r, 1.0f / 720);
    p = fused(p, r, 1.0f / 120);
    p = fused(p, r, 1.0f / 24);
    p = fused(p, r, 1.0f / 6);
    p = fused(p, r, 0.5f);
    p = fused(r * r, p, fused(k, 2.12194440e-4f, most - r));
    float sum = 1.0f + r;
    p += r - (sum - 1.0f);
    float e = sum + p;
    uint32_t all = bits_of(shifted) - bits_of(shifter), half = (uint32_t)((int32_t)all >> 1);
    float one = of_bits((half + 127) << 23), other = of_bits((all - half + 127) << 23);
    *rest = (p - (e - sum)) * one * other;
    return e * one * other;
}

static inline float exp_of(float x)
{
    float rest;
    return exp_parts(x, &rest);
}

/* ---- log ---- */

/* k ln 2 + log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)]:
       log(1 + f) = f - (f^2/2 - s (f^2/2 + R))  s = f/(2 + f)  R = 2 (s^2/3 + s^4/5 + s^6/7 + ...)
   This form is that of FreeBSD's e_log.c. It is as accurate near 1 as elsewhere. */
static inline float log_parts(float k, float f)
{
    float s = f / (2.0f + f), z = s * s, half = 0.5f * f * f;
    float r = fused(z, 2.0f / 11, 2.0f / 9);
    r = fused(r, z, 2.0f / 7);
    r = fused(r, z, 2.0f / 5);
    r = fused(r, z, 2.0f / 3) * z;
    float rest = half - fused(s, half + r, k * -2.12194440e-4f);
    return fused(k, 0.693359375f, f - rest);
}

/* log(2^k m) with m = 1 + f in [sqrt(1/2), sqrt(2)). */
static inline float log_of(float x)
{
    bool tiny = x < 1.17549435e-38f;
    uint32_t u = bits_of(tiny ? x * 8388608.0f : x); /* 2^23 */
    uint32_t above = u - bits_of(0.70710677f);
    float k = (float)((int32_t)above >> 23) - (tiny ? 23.0f : 0.0f);
    float f = of_bits(bits_of(0.70710677f) + (above & 0x7fffff)) - 1.0f;
    float finite = x <= 3.4028234e38f ? log_parts(k, f) : x; /* NaN stays NaN */
    float positive = x < 0 ? NAN : finite;
    return x == 0 ? -INFINITY : positive;
}

/* ---- tanh, sigmoid, softplus ---- */

/* Up to 0.56, tanh(x) = x + x^3 P(x^2). The polynomial was fitted to values of 40 digits by
   Lawson's method; its error is 1.3e-9. From 0.56 on, tanh(x) = 1 - 2/(1 + e^2x). There a relative
   error of e^2x changes the result by at most half of it. */
static inline float tanh_of(float x)
{
    float z = x * x, size = fabsf(x);
    float p = fused(-0.0061987252f, z, 0.0210205559f);
    p = fused(p, z, -0.053840518f);
    p = fused(p, z, 0.133324802f);
    p = fused(p, z, -0.333333135f);
    float small = fused(size * z, p, size);
    float large = 1.0f - 2.0f / (1.0f + exponential(2.0f * size));
    return copysignf(size < 0.56f ? small : large, x);
}

/* e = e^-|x|. The result is 1/(1 + e), or e/(1 + e) if x < 0. d is 1 + e after rounding, `less` its
   rounding error with that of e. The last line corrects the quotient y for these errors. For this
   1/d may be rough: the straight line 1.457 - d/2 is within 0.043 of it. Without the correction the
   result is wrong by up to 2.4 units. */
static inline float sigmoid_of(float x)
{
    float rest, e = exp_parts(-fabsf(x), &rest);
    float d = 1.0f + e, less = e - (d - 1.0f) + rest;
    float y = (x < 0 ? e : 1.0f) / d;
    return fused(fused(-y, less, x < 0 ? rest : 0.0f), fused(-0.5f, d, 1.457f), y);
}

/* log(1 + e^x) = max(x, 0) + log(1 + e) with e = e^-|x|. If e is large, 1 + e is taken as
   2 (1 + (e - 1)/2). */
static inline float softplus_of(float x)
{
    float e = exp_of(-fabsf(x));
    bool large = e > 0.41421357f;
    float part = log_parts(large ? 1.0f : 0.0f, large ? (e - 1.0f) * 0.5f : e);
    return x > 0 ? x + part : part;
}

#endif

#endif
