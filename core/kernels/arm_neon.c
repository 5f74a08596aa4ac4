/* arm_neon.c - NEON of aarch64: 32 registers of 4 floats, a tile of 8 rows x 12 columns.
   Never timed on a real CPU. A step of the tile's loop is 24 fmla of 39 instructions (gcc 12); the
   models of llvm-mca 14 give it 8.0 cycles on Exynos M5 and 8.5 on Apple's Cyclone, which have three
   pipes for fmla. Plain C has 8 fmla in about 50 instructions, and keeps the sums in memory. */
#include "core/kernels/kernels.h"

#ifndef TN_DOUBLE
#include <arm_neon.h>

enum { WIDTH = 4, ROWS_1 = 8, ROWS_2 = 8, ROWS_3 = 8 };
typedef float32x4_t vector;
typedef int64_t mask; /* how many lanes */

static inline mask mask_of(int64_t n)
{
    return n;
}

static inline vector zero(void)
{
    return vdupq_n_f32(0);
}

static inline vector broadcast(float x)
{
    return vdupq_n_f32(x);
}

static inline vector load(const float *p)
{
    return vld1q_f32(p);
}

static inline void store(float *p, vector v)
{
    vst1q_f32(p, v);
}

static inline vector load_some(const float *p, mask n)
{
    vector v = zero();
    if (n == WIDTH)
        v = load(p);
    if (n == 2 || n == 3)
        v = vcombine_f32(vld1_f32(p), vdup_n_f32(0));
    if (n == 3)
        v = vld1q_lane_f32(p + 2, v, 2);
    if (n == 1)
        v = vld1q_lane_f32(p, v, 0);
    return v;
}

static inline void store_some(float *p, mask n, vector v)
{
    if (n == WIDTH)
        store(p, v);
    if (n == 2 || n == 3)
        vst1_f32(p, vget_low_f32(v));
    if (n == 3)
        vst1q_lane_f32(p + 2, v, 2);
    if (n == 1)
        vst1q_lane_f32(p, v, 0);
}

static inline vector add(vector a, vector b)
{
    return vaddq_f32(a, b);
}

static inline vector multiply_add(vector a, vector b, vector c)
{
    return vfmaq_f32(c, a, b);
}

enum { SIDE = 4 };

/* to[j*ts + i] = from[i*fs + j] for SIDE x SIDE elements. Two steps exchange elements 2 and 1
   apart. */
static inline void turn_square(const float *from, ptrdiff_t fs, float *to, ptrdiff_t ts)
{
    const vector a = load(from), b = load(from + fs), c = load(from + 2 * fs),
                 d = load(from + 3 * fs);
    const vector ac = vzip1q_f32(a, c), bd = vzip1q_f32(b, d);
    const vector ca = vzip2q_f32(a, c), db = vzip2q_f32(b, d);
    store(to, vzip1q_f32(ac, bd));
    store(to + ts, vzip2q_f32(ac, bd));
    store(to + 2 * ts, vzip1q_f32(ca, db));
    store(to + 3 * ts, vzip2q_f32(ca, db));
}

/* For philox.h: lanes of 64 bits. */
enum { LANES_64 = 2 };
typedef uint64x2_t words;

static inline words words_of(uint32_t x)
{
    return vdupq_n_u64(x);
}

static inline words load_words(const uint64_t *p)
{
    return vld1q_u64(p);
}

static inline void store_words(uint32_t *p, words v)
{
    vst1q_u32(p, vreinterpretq_u32_u64(v));
}

static inline words plus(words a, words b)
{
    return vaddq_u64(a, b);
}

static inline words either(words a, words b)
{
    return veorq_u64(a, b);
}

/* The product of the low halves of each lane. */
static inline words times_low(words a, words b)
{
    return vmull_u32(vmovn_u64(a), vmovn_u64(b));
}

static inline words high(words a)
{
    return vshrq_n_u64(a, 32);
}

/* The low half of each lane is that of a; the high half is the low half of b. */
static inline words packed(words a, words b)
{
    return vsliq_n_u64(a, b, 32);
}

/* Lane 0 of a, then lane 0 of b. odd_beside: the same for lane 1. */
static inline words even_beside(words a, words b)
{
    return vzip1q_u64(a, b);
}

static inline words odd_beside(words a, words b)
{
    return vzip2q_u64(a, b);
}

#include "core/kernels/generic.h"
#include "core/kernels/philox.h"
#include "core/kernels/tile.h"

const tn_kernels tn_kernels_neon = {
    .isa = "neon",
    .tile = tile,
    .tile_cols = TILE_COLS,
    .pack = pack,
    .pack_wide = pack_wide,
    .turn = turn,
    .random = k_random,
    TN_GENERIC_KERNELS,
};

#endif
