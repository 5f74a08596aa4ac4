/* activation.h - the parts of the formulas of a loss, tanh, silu and both forms of gelu.
   Internal header of generic.h. */
#ifndef TN_ACTIVATION_H
#define TN_ACTIVATION_H

#include "core/kernels/generic.h"

static inline tn_real step_of(tn_real x)
{
    return x > 0 ? 1 : 0;
}

/* tanh' where tanh is y. */
static inline tn_real tanh_slope(tn_real y)
{
    return 1 - y * y;
}

/* ---- gelu by tanh ---- */

/* gelu(x) = x/2 (1 + tanh u) = x / (1 + exp(-2u)) with u = sqrt(2/pi) (x + 0.044715 x^3). */
static const tn_real gelu_linear = (tn_real)1.5957691216057308;  /* 2 sqrt(2/pi) */
static const tn_real gelu_cubic = (tn_real)0.07135481627260025;  /* 2 sqrt(2/pi) 0.044715 */
static const tn_real gelu_square = (tn_real)0.21406444881780075; /* three times that */

/* With s = 1 / (1 + exp(-2u)): gelu' = s + x s (1 - s) (2u)'. If |x| > 12, s is 0 or 1. The result
   is then s alone: the formula would multiply 0 by infinity. (With x clamped to 12 instead, gcc
   computed exp once for each case.) */
static inline tn_real gelu_slope(tn_real x, tn_real exp_2u)
{
    tn_real s = 1 / (1 + exp_2u);
    tn_real slope = fused(gelu_square * x, x, gelu_linear);
    tn_real all = fused(x * s * (1 - s), slope, s);
    return x * x > 144 ? s : all;
}

/* ---- gelu by erf: x P(x), P(x) = (1 + erf(x / sqrt(2))) / 2 ---- */

/* Clamps x to 40, where P is 0 or 1 already: so infinity is no special case. NaN stays NaN. */
static inline tn_real near(tn_real x)
{
    tn_real below = x > 40 ? 40 : x;
    return below < -40 ? -40 : below;
}

/* e^(-x^2/2). The exponent `power` is rounded; a factor 1 + (rounding error) corrects this. */
static inline tn_real gauss(tn_real x)
{
    tn_real half = (tn_real)-0.5 * x, power = half * x;
    tn_real e = exponential(power);
    return fused(e, fused(half, x, -power), e);
}

#ifdef TN_DOUBLE

static inline tn_real normal(tn_real x, tn_real gauss_x)
{
    (void)gauss_x;
    return tn_erfc_of(-x * 0.70710678118654752) / 2;
}

#else

/* P(-z) = e^(-z^2/2) h(z) for z >= 0, and P(z) = 1 - P(-z). h(z) is computed as t p(t) with
   t = 1/(1 + 3z/8) and a polynomial p of degree 9. p was fitted to values of 40 digits by Lawson's
   method (least squares, weighted anew until all error peaks are equal): its relative error is at
   most 1e-8 for z up to 13.3. With rounding, the error is less than 3e-7. */
static inline float normal(float x, float gauss_x)
{
    float t = 1.0f / fused(fabsf(x), 0.375f, 1.0f);
    float p = fused(0.0217693541f, t, -0.138571978f);
    p = fused(p, t, 0.355184585f);
    p = fused(p, t, -0.437223047f);
    p = fused(p, t, 0.226018012f);
    p = fused(p, t, -0.0614563748f);
    p = fused(p, t, 0.109823912f);
    p = fused(p, t, 0.124942616f);
    p = fused(p, t, 0.149921596f);
    p = fused(p, t, 0.149591312f);
    float tail = gauss_x * (t * p);
    return x < 0 ? tail : 1.0f - tail;
}

#endif

/* (x P(x))' = P(x) + x e^(-x^2/2) / sqrt(2 pi) */
static inline tn_real gelu_erf_slope(tn_real x, tn_real gauss_x)
{
    const tn_real root = (tn_real)0.39894228040143268;
    return fused(near(x) * root, gauss_x, normal(near(x), gauss_x));
}

/* ---- silu: x s(x), s(x) = 1 / (1 + e^-x) ---- */

/* (x s)' = s + x s (1 - s), and 1 - s = e^-x s. If |x| > 88, s is 0 or 1. The result is then s
   alone: the formula would multiply 0 by infinity. */
static inline tn_real silu_slope(tn_real x, tn_real exp_minus)
{
    tn_real s = 1 / (1 + exp_minus);
    tn_real all = fused(x * s, exp_minus * s, s);
    return x * x > 88 * 88 ? s : all;
}

#endif
