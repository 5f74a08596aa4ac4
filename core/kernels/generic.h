/* generic.h - every kernel that is not a product, written once.
   Each file of kernels includes it and is compiled for its own instruction set. 16 lanes are two
   vectors of AVX2 or one of AVX-512. A fused multiply-add is always written as `fused`; the
   compiler makes no others. So every file gives the same bits (I2). Internal header. */
#ifndef TN_GENERIC_H
#define TN_GENERIC_H

#include "core/kernels/functions.h"
#include "core/kernels/widen.h"

enum { LANES = 16 };

static tn_real k_log(tn_real x)
{
    return log_of(x);
}

/* ---- sums: element i goes to lane i mod 16, and the lanes are added by a fixed tree ---- */

static inline void add_lanes(int n, const tn_real *x, tn_real *s)
{
    for (int l = 0; l < n; l++)
        s[l] += x[l];
}

/* The steps are written out. With a loop over them compilers keep the lanes in memory: a dot
   product of 32 elements then takes 14 ns instead of 4 (Zen 3). */
static inline tn_real fold(tn_real s[LANES])
{
    add_lanes(8, s + 8, s);
    add_lanes(4, s + 4, s);
    add_lanes(2, s + 2, s);
    return s[0] + s[1];
}

/* The last n < 16 elements of x, filled up with a value that does not change the result. */
static inline void tail_of(tn_real out[LANES], int64_t n, const tn_real *x, tn_real fill)
{
    for (int l = 0; l < LANES; l++)
        out[l] = l < n ? x[l] : fill;
}

static tn_real k_sum(int64_t n, const tn_real *x)
{
    tn_real s[LANES] = { 0 }, tail[LANES];
    for (; n >= LANES; n -= LANES, x += LANES)
        add_lanes(LANES, x, s);
    if (n > 0) {
        tail_of(tail, n, x, 0);
        add_lanes(LANES, tail, s);
    }
    return fold(s);
}

static inline void dot_lanes(const tn_real *x, const tn_real *y, tn_real s[LANES])
{
    for (int l = 0; l < LANES; l++)
        s[l] = fused(x[l], y[l], s[l]);
}

static tn_real k_dot(int64_t n, const tn_real *x, const tn_real *y)
{
    tn_real s[LANES] = { 0 }, tail_x[LANES], tail_y[LANES];
    for (; n >= LANES; n -= LANES, x += LANES, y += LANES)
        dot_lanes(x, y, s);
    if (n > 0) {
        tail_of(tail_x, n, x, 0);
        tail_of(tail_y, n, y, 0);
        dot_lanes(tail_x, tail_y, s);
    }
    return fold(s);
}

static inline void max_lanes(int n, const tn_real *x, tn_real *s)
{
    for (int l = 0; l < n; l++)
        s[l] = x[l] > s[l] ? x[l] : s[l];
}

static tn_real k_max(int64_t n, const tn_real *x)
{
    tn_real s[LANES], tail[LANES];
    tail_of(s, 0, x, -INFINITY);
    for (; n >= LANES; n -= LANES, x += LANES)
        max_lanes(LANES, x, s);
    if (n > 0) {
        tail_of(tail, n, x, -INFINITY);
        max_lanes(LANES, tail, s);
    }
    max_lanes(8, s + 8, s);
    max_lanes(4, s + 4, s);
    max_lanes(2, s + 2, s);
    max_lanes(1, s + 1, s);
    return s[0];
}

static inline void square_lanes(const tn_real *x, tn_real shift, tn_real s[LANES])
{
    for (int l = 0; l < LANES; l++)
        s[l] = fused(x[l] - shift, x[l] - shift, s[l]);
}

static tn_real k_square_sum(int64_t n, const tn_real *x, tn_real shift)
{
    tn_real s[LANES] = { 0 }, tail[LANES];
    for (; n >= LANES; n -= LANES, x += LANES)
        square_lanes(x, shift, s);
    if (n > 0) {
        tail_of(tail, n, x, shift);
        square_lanes(tail, shift, s);
    }
    return fold(s);
}

/* Two loops, first all y, then their sum: twice as fast as one loop, which compilers vectorise
   less well. */
static tn_real k_exp_sum(int64_t n, const tn_real *x, tn_real shift, tn_real *y)
{
    if (x != y)
        memcpy(y, x, (size_t)n * sizeof *y);
    for (int64_t i = 0; i < n; i++)
        y[i] = exponential(y[i] - shift);
    return k_sum(n, y);
}

/* ---- elementwise ---- */

static void k_axpy(int64_t n, tn_real a, const tn_real *x, tn_real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = fused(a, x[i], y[i]);
}

static void k_scale(int64_t n, tn_real a, tn_real *x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= a;
}

/* ---- normalisation of one row ---- */

static void k_norm(int64_t n, const tn_real *x, tn_real mean, tn_real rstd, const tn_real *w,
                   const tn_real *b, tn_real *y)
{
    if (b)
        for (int64_t i = 0; i < n; i++)
            y[i] = fused((x[i] - mean) * rstd, w[i], b[i]);
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * rstd * w[i];
}

/* Adds dy w to s, and dy w (x - mean) rstd to t. */
static inline void norm_lanes(const tn_real *x, const tn_real *dy, const tn_real *w, tn_real mean,
                              tn_real rstd, tn_real s[LANES], tn_real t[LANES])
{
    for (int l = 0; l < LANES; l++) {
        tn_real g = dy[l] * w[l];
        s[l] += g;
        t[l] = fused(g, (x[l] - mean) * rstd, t[l]);
    }
}

/* dx of one row (kernels.h: norm_back, rms_back). Unless `centred`, m1 is 0. */
static inline void norm_slopes(int64_t n, const tn_real *x, const tn_real *dy, tn_real mean,
                               tn_real rstd, const tn_real *w, bool centred, tn_real beta,
                               tn_real *dx)
{
    tn_real s[LANES] = { 0 }, t[LANES] = { 0 }, tail_x[LANES], tail_dy[LANES], tail_w[LANES];
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        norm_lanes(x + i, dy + i, w + i, mean, rstd, s, t);
    if (i < n) {
        tail_of(tail_x, n - i, x + i, mean);
        tail_of(tail_dy, n - i, dy + i, 0);
        tail_of(tail_w, n - i, w + i, 0);
        norm_lanes(tail_x, tail_dy, tail_w, mean, rstd, s, t);
    }
    tn_real m1 = centred ? fold(s) / (tn_real)n : 0, m2 = fold(t) / (tn_real)n;
    for (i = 0; i < n; i++) {
        tn_real rest = fused((x[i] - mean) * rstd, -m2, fused(dy[i], w[i], -m1));
        dx[i] = beta == 0 ? rstd * rest : fused(beta, dx[i], rstd * rest);
    }
}

static void k_norm_back(int64_t n, const tn_real *x, const tn_real *dy, tn_real mean, tn_real rstd,
                        const tn_real *w, tn_real beta, tn_real *dx)
{
    norm_slopes(n, x, dy, mean, rstd, w, true, beta, dx);
}

static void k_rms_back(int64_t n, const tn_real *x, const tn_real *dy, tn_real rstd,
                       const tn_real *w, tn_real beta, tn_real *dx)
{
    norm_slopes(n, x, dy, 0, rstd, w, false, beta, dx);
}

#include "core/kernels/elementwise.h"
#include "core/kernels/random.h"

#define TN_GENERIC_KERNELS                                                                         \
    .widen = k_widen, .sum = k_sum, .dot = k_dot, .max = k_max, .square_sum = k_square_sum,        \
    .exp_sum = k_exp_sum, .axpy = k_axpy, .scale = k_scale, .formulas = &k_formulas,               \
    .norm = k_norm, .norm_back = k_norm_back, .rms_back = k_rms_back, .log = k_log,                \
    .uniform = k_uniform, .normal = k_normal

#endif
