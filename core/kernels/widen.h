/* widen.h - turns numbers of every element type into tn_real.
   Included by generic.h, so that each instruction set has its own version. A value is at most
   one product and one sum in float, each rounded, so that all versions give the same bits (I2).
   Internal header.

   A quantised block holds a scale d, and some a minimum m, both f16; a number is q d, or q d + m,
   with a small integer q. The blocks of 256 (..._k) hold 8 runs of 32 numbers, and scales of the
   runs as integers in units of d (and m). A run of 32 numbers is widened by itself. */
#ifndef TN_WIDEN_H
#define TN_WIDEN_H

#include "core/kernels/kernels.h"

#include <string.h>

static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 1 sign, 5 exponent, 10 fraction bits. Without branches: a vector of them is widened at once. */
static inline float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, number = h & 0x7fff;
    uint32_t normal = (number << 13) + (112u << 23), other = normal + (112u << 23);
    float tiny = (float)(int32_t)number * 0x1p-24f; /* exponent 0: fraction 2^-24 */
    uint32_t bits;
    memcpy(&bits, &tiny, sizeof bits);
    bits = number < 0x400 ? bits : number < 0x7c00 ? normal : other; /* other: infinity, NaN */
    return float_of(sign | bits);
}

static inline float f16_at(const unsigned char *bytes)
{
    uint16_t h;
    memcpy(&h, bytes, sizeof h);
    return from_f16(h);
}

/* ---- single numbers: n from the first ---- */

static inline void widen_real(const unsigned char *x, int64_t run, int64_t n, tn_real *to)
{
    (void)run;
    memcpy(to, x, (size_t)n * sizeof *to);
}

static inline void widen_i32(const unsigned char *x, int64_t run, int64_t n, tn_real *to)
{
    (void)run;
    for (int64_t i = 0; i < n; i++) {
        int32_t v;
        memcpy(&v, x + 4 * i, sizeof v);
        to[i] = (tn_real)v;
    }
}

static inline void widen_bf16(const unsigned char *x, int64_t run, int64_t n, tn_real *to)
{
    (void)run;
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, x + 2 * i, sizeof h);
        to[i] = (tn_real)float_of((uint32_t)h << 16);
    }
}

static inline void widen_f16(const unsigned char *x, int64_t run, int64_t n, tn_real *to)
{
    (void)run;
    for (int64_t i = 0; i < n; i++)
        to[i] = (tn_real)f16_at(x + 2 * i);
}

/* ---- the integers of a run: bytes, which are made eight at a time in the words of a vector.
   Compilers do not vectorise bits that are taken out one by one (q6_k: 1.8 ns per number).
   ---- */

typedef uint64_t integers __attribute__((vector_size(TN_RUN)));

static inline uint64_t in_each_byte(unsigned char b)
{
    return b * UINT64_C(0x0101010101010101);
}

/* q |= bits [shift, shift+bits) of 32 bytes, moved up by `up`. */
static inline void add_bits(const unsigned char *b, int64_t shift, int bits, int up, integers *q)
{
    integers w;
    memcpy(&w, b, TN_RUN);
    w = w >> (uint64_t)shift & in_each_byte((unsigned char)((1 << bits) - 1));
    *q |= w << (uint64_t)up;
}

/* q = the lower halves of 16 bytes, then the upper ones; and if there are `fifth` bits, 4 bytes of
   them, 16 more where bit i is set. In 8 copies of a byte of these, byte i keeps bit i; adding 127
   sets bit 7 unless that is zero. */
static inline void take_halves(const unsigned char *b, const unsigned char *fifth, integers *q)
{
    uint64_t x[2];
    memcpy(x, b, sizeof x);
    *q = (integers){ x[0], x[1], x[0] >> 4, x[1] >> 4 } & in_each_byte(15);
    if (fifth) {
        integers bits = { in_each_byte(fifth[0]), in_each_byte(fifth[1]), in_each_byte(fifth[2]),
                          in_each_byte(fifth[3]) };
        bits = (bits & UINT64_C(0x8040201008040201)) + in_each_byte(127);
        *q |= (bits & in_each_byte(128)) >> 3;
    }
}

/* to = (q - less) d, d for the first half of the run and another for the second */
static inline void times(const integers *q, int less, float d, float second, tn_real *restrict to)
{
    signed char each[TN_RUN];
    memcpy(each, q, TN_RUN);
    for (int i = 0; i < TN_RUN; i++)
        to[i] = (tn_real)((float)(each[i] - less) * (i < TN_RUN / 2 ? d : second));
}

/* to = q d + m */
static inline void times_plus(const integers *q, float d, float m, tn_real *restrict to)
{
    signed char each[TN_RUN];
    memcpy(each, q, TN_RUN);
    for (int i = 0; i < TN_RUN; i++)
        to[i] = (tn_real)((float)each[i] * d + m);
}

/* ---- blocks of 32 ---- */

/* d (2), q (32) */
static inline void widen_q8_0(const unsigned char *b, int64_t run, int64_t n, tn_real *to)
{
    (void)run, (void)n;
    const float d = f16_at(b);
    integers q;
    memcpy(&q, b + 2, TN_RUN);
    times(&q, 0, d, d, to);
}

/* d (2), q + 8 (16) */
static inline void widen_q4_0(const unsigned char *b, int64_t run, int64_t n, tn_real *to)
{
    (void)run, (void)n;
    const float d = f16_at(b);
    integers q;
    take_halves(b + 2, NULL, &q);
    times(&q, 8, d, d, to);
}

/* d (2), m (2), q (16) */
static inline void widen_q4_1(const unsigned char *b, int64_t run, int64_t n, tn_real *to)
{
    (void)run, (void)n;
    integers q;
    take_halves(b + 4, NULL, &q);
    times_plus(&q, f16_at(b), f16_at(b + 2), to);
}

/* d (2), fifth bits of q + 16 (4), the other bits (16) */
static inline void widen_q5_0(const unsigned char *b, int64_t run, int64_t n, tn_real *to)
{
    (void)run, (void)n;
    const float d = f16_at(b);
    integers q;
    take_halves(b + 6, b + 2, &q);
    times(&q, 16, d, d, to);
}

/* d (2), m (2), fifth bits of q (4), the other bits (16) */
static inline void widen_q5_1(const unsigned char *b, int64_t run, int64_t n, tn_real *to)
{
    (void)run, (void)n;
    integers q;
    take_halves(b + 8, b + 4, &q);
    times_plus(&q, f16_at(b), f16_at(b + 2), to);
}

/* ---- blocks of 256 ---- */

/* The beginning of q4_k and q5_k: d (2), m (2), 12 bytes that hold 6 bits of scale and 6 bits of
   minimum for each of 8 runs. Bytes 0-3 and 4-7 are the scales and minima of runs 0-3; their upper
   2 bits are the upper ones of runs 4-7, whose lower 4 bits are in bytes 8-11. */
static inline void scale_and_minimum(const unsigned char *b, int64_t run, float *d, float *m)
{
    const unsigned char *six = b + 4;
    int scale = six[run & 3], minimum = six[4 + (run & 3)];
    if (run < 4) {
        scale &= 63;
        minimum &= 63;
    } else {
        scale = (six[4 + run] & 15) | scale >> 6 << 4;
        minimum = six[4 + run] >> 4 | minimum >> 6 << 4;
    }
    *d = f16_at(b) * (float)scale;
    *m = f16_at(b + 2) * (float)minimum;
}

/* scales (16), q (128): 32 bytes hold an even run in their lower halves, the next in the upper */
static inline void widen_q4_k(const unsigned char *b, int64_t run, int64_t n, tn_real *to)
{
    (void)n;
    integers q = { 0 };
    float d, m;
    scale_and_minimum(b, run, &d, &m);
    add_bits(b + 16 + run / 2 * 32, run % 2 * 4, 4, 0, &q);
    times_plus(&q, d, -m, to);
}

/* scales (16), fifth bits (32): bit `run` of byte i is that of number i of the run; then as q4_k */
static inline void widen_q5_k(const unsigned char *b, int64_t run, int64_t n, tn_real *to)
{
    (void)n;
    integers q = { 0 };
    float d, m;
    scale_and_minimum(b, run, &d, &m);
    add_bits(b + 48 + run / 2 * 32, run % 2 * 4, 4, 0, &q);
    add_bits(b + 16, run, 1, 4, &q);
    times_plus(&q, d, -m, to);
}

/* Lower 4 bits of q + 32 (128), upper 2 bits (64), signed scales of 16 numbers (16), d (2). Each
   half of the block has 4 runs: 64 bytes with runs 0 and 1 in their lower halves and 2 and 3 in the
   upper; 32 bytes with 2 bits for each of the 4 runs. */
static inline void widen_q6_k(const unsigned char *b, int64_t run, int64_t n, tn_real *to)
{
    (void)n;
    const int64_t half = run / 4, quarter = run % 4;
    const signed char *scale = (const signed char *)b + 192 + 2 * run;
    const float d = f16_at(b + 208);
    integers q = { 0 };
    add_bits(b + 64 * half + 32 * (quarter % 2), quarter / 2 * 4, 4, 0, &q);
    add_bits(b + 128 + 32 * half, 2 * quarter, 2, 4, &q);
    times(&q, 32, d * (float)scale[0], d * (float)scale[1], to);
}

/* ---- any run of numbers ---- */

typedef void widen_run(const unsigned char *block, int64_t run, int64_t n, tn_real *to);

/* `run` is known to the compiler, and becomes part of the loop. */
static inline __attribute__((always_inline)) void widen_runs(widen_run *run, const int64_t numbers,
                                                             const int64_t bytes,
                                                             const unsigned char *data,
                                                             int64_t from, int64_t n, tn_real *to)
{
    if (numbers == 1)
        run(data + from * bytes, 0, n, to);
    for (int64_t i = 0; numbers > 1 && i < n; i += TN_RUN)
        run(data + (from + i) / numbers * bytes, (from + i) % numbers / TN_RUN, TN_RUN, to + i);
}

static void k_widen(tn_dtype type, const void *data, int64_t from, int64_t n, tn_real *to)
{
    switch (type) {
#define TN_TYPE(name, text, numbers, bytes, how)                                                   \
    case name:                                                                                     \
        widen_runs(widen_##how, numbers, bytes, data, from, n, to);                                \
        break;
#include "core/types.def"
#undef TN_TYPE
    default: break;
    }
}

#endif
