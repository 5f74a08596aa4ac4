/* widen.h - turns numbers of every element type into tn_real.
   generic.h includes it, so each instruction set has its own version. A value takes at most one
   product and one sum in float, each rounded: so all versions give the same bits (I2). Internal
   header.

   A quantised block holds a scale d and, in some types, a minimum m. Both are f16. A number is q d
   or q d + m, where q is a small integer. A block of 256 (..._k) holds 8 runs of 32 numbers. Each
   run has its own scale, and its own minimum if the type has one: an integer times d, an integer
   times m; there a number is q d - m. In q6_k each half of a run has its own scale. One run of 32
   numbers is widened at a time. Comments show the parts of a block in order, with their bytes:
   d (2), q (32). */
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

/* 1 sign bit, 5 of the exponent, 10 of the fraction. No branches, so that loops are vectorised. */
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

/* ---- types without blocks: the first n numbers at x ---- */

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

/* ---- the integers of a run. Each is a byte of a vector of four 64-bit words, so that eight are
   made at a time. If bits are taken out one by one, compilers do not vectorise this (q6_k: 1.8 ns
   per number). ---- */

typedef uint64_t integers __attribute__((vector_size(TN_RUN)));

static inline uint64_t in_each_byte(unsigned char b)
{
    return b * UINT64_C(0x0101010101010101);
}

/* q |= bits [shift, shift+bits) of each of 32 bytes, shifted left by `up`. */
static inline void add_bits(const unsigned char *b, int64_t shift, int bits, int up, integers *q)
{
    integers w;
    memcpy(&w, b, TN_RUN);
    w = w >> (uint64_t)shift & in_each_byte((unsigned char)((1 << bits) - 1));
    *q |= w << (uint64_t)up;
}

/* q = the low 4 bits of 16 bytes, then their high 4 bits. `fifth`, unless NULL, has 32 bits: where
   bit i is set, q[i] grows by 16. For this a byte of `fifth` is copied 8 times. Of copy i only bit
   i is kept. Adding 127 sets bit 7 of the copy unless the kept bit is 0. */
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

/* The numbers of a run: number i is (q[i] - less) d, or q[i] d + m if `plus`. q[i] is a signed
   byte. `second` replaces d in the second half of the run. */
typedef struct parts {
    integers q;
    float d, second, m;
    int less;
    bool plus;
} parts;

static inline parts times(const integers *q, int less, float d, float second)
{
    return (parts){ .q = *q, .d = d, .second = second, .less = less };
}

static inline parts times_plus(const integers *q, float d, float m)
{
    return (parts){ .q = *q, .d = d, .second = d, .m = m, .plus = true };
}

static inline void widen_parts(const parts *p, tn_real *restrict to)
{
    signed char each[TN_RUN];
    memcpy(each, &p->q, TN_RUN);
    for (int i = 0; p->plus && i < TN_RUN; i++)
        to[i] = (tn_real)((float)each[i] * p->d + p->m);
    for (int i = 0; !p->plus && i < TN_RUN; i++)
        to[i] = (tn_real)((float)(each[i] - p->less) * (i < TN_RUN / 2 ? p->d : p->second));
}

/* ---- blocks of 32 ---- */

/* d (2), q (32) */
static inline parts parts_of_q8_0(const unsigned char *b, int64_t run)
{
    (void)run;
    const float d = f16_at(b);
    integers q;
    memcpy(&q, b + 2, TN_RUN);
    return times(&q, 0, d, d);
}

/* d (2), q + 8 (16) */
static inline parts parts_of_q4_0(const unsigned char *b, int64_t run)
{
    (void)run;
    const float d = f16_at(b);
    integers q;
    take_halves(b + 2, NULL, &q);
    return times(&q, 8, d, d);
}

/* d (2), m (2), q (16) */
static inline parts parts_of_q4_1(const unsigned char *b, int64_t run)
{
    (void)run;
    integers q;
    take_halves(b + 4, NULL, &q);
    return times_plus(&q, f16_at(b), f16_at(b + 2));
}

/* d (2), fifth bits of q + 16 (4), the low 4 bits of q + 16 (16) */
static inline parts parts_of_q5_0(const unsigned char *b, int64_t run)
{
    (void)run;
    const float d = f16_at(b);
    integers q;
    take_halves(b + 6, b + 2, &q);
    return times(&q, 16, d, d);
}

/* d (2), m (2), fifth bits of q (4), the low 4 bits of q (16) */
static inline parts parts_of_q5_1(const unsigned char *b, int64_t run)
{
    (void)run;
    integers q;
    take_halves(b + 8, b + 4, &q);
    return times_plus(&q, f16_at(b), f16_at(b + 2));
}

/* ---- blocks of 256 ---- */

/* q4_k and q5_k begin with d (2), m (2) and 12 bytes: a scale of 6 bits and a minimum of 6 bits for
   each of 8 runs. The low 6 bits of bytes 0-3 are the scales of runs 0-3, those of bytes 4-7 their
   minima. For runs 4-7 the high 2 bits of the scale and of the minimum are the high 2 bits of the
   same bytes. The low 4 bits are in bytes 8-11: of the scale in the low half, of the minimum in the
   high half. */
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

/* scales (16), q (128). 32 bytes hold two runs: the first in their low halves, the second in the
   high halves. */
static inline parts parts_of_q4_k(const unsigned char *b, int64_t run)
{
    integers q = { 0 };
    float d, m;
    scale_and_minimum(b, run, &d, &m);
    add_bits(b + 16 + run / 2 * 32, run % 2 * 4, 4, 0, &q);
    return times_plus(&q, d, -m);
}

/* scales (16), fifth bits (32), low 4 bits of q as in q4_k (128). The fifth bit of number i of a
   run is bit `run` of byte i. */
static inline parts parts_of_q5_k(const unsigned char *b, int64_t run)
{
    integers q = { 0 };
    float d, m;
    scale_and_minimum(b, run, &d, &m);
    add_bits(b + 48 + run / 2 * 32, run % 2 * 4, 4, 0, &q);
    add_bits(b + 16, run, 1, 4, &q);
    return times_plus(&q, d, -m);
}

/* low 4 bits of q + 32 (128), high 2 bits (64), signed scales of 16 numbers each (16), d (2). Half
   of the block is 4 runs. Their low bits are in 64 bytes: runs 0 and 1 in the low halves, runs 2
   and 3 in the high halves. Their high bits are in 32 bytes, each with 2 bits of each run. */
static inline parts parts_of_q6_k(const unsigned char *b, int64_t run)
{
    const int64_t half = run / 4, quarter = run % 4;
    const signed char *scale = (const signed char *)b + 192 + 2 * run;
    const float d = f16_at(b + 208);
    integers q = { 0 };
    add_bits(b + 64 * half + 32 * (quarter % 2), quarter / 2 * 4, 4, 0, &q);
    add_bits(b + 128 + 32 * half, 2 * quarter, 2, 4, &q);
    return times(&q, 32, d * (float)scale[0], d * (float)scale[1]);
}

/* ---- any range of numbers ---- */

#define WIDEN_PARTS(how)                                                                           \
    static inline void widen_##how(const unsigned char *b, int64_t run, int64_t n, tn_real *to)    \
    {                                                                                              \
        (void)n;                                                                                   \
        const parts p = parts_of_##how(b, run);                                                    \
        widen_parts(&p, to);                                                                       \
    }
WIDEN_PARTS(q8_0)
WIDEN_PARTS(q4_0)
WIDEN_PARTS(q4_1)
WIDEN_PARTS(q5_0)
WIDEN_PARTS(q5_1)
WIDEN_PARTS(q4_k)
WIDEN_PARTS(q5_k)
WIDEN_PARTS(q6_k)

typedef void widen_run(const unsigned char *block, int64_t run, int64_t n, tn_real *to);

/* The compiler knows the function `run` and puts it into the loop. */
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
