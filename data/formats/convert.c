/* convert.c - numbers between tn_real and the types of a file.

   A number is rounded once, from all of its bits: double -> float -> bf16 would round twice. */
#include "data/formats/file.h"

#include <float.h>
#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the machine must be, as files are");

/* 16 bits: sign, exponent, fraction, as IEEE 754 arranges them. */
typedef struct half {
    int exponent, fraction;
} half;

static const half f16 = { .exponent = 5, .fraction = 10 };
static const half bf16 = { .exponent = 8, .fraction = 7 };

/* Rounds to nearest, ties to even. Above the largest number the result is infinity. */
static uint16_t to_half(double x, half h)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint64_t sign = bits >> 63 << 15, fraction = bits & ((1ull << 52) - 1);
    int exponent = (int)(bits >> 52 & 0x7FF), bias = (1 << (h.exponent - 1)) - 1;
    uint64_t infinity = ((1ull << h.exponent) - 1) << h.fraction;
    if (exponent == 0x7FF && fraction) /* a quiet NaN */
        infinity |= 1ull << (h.fraction - 1) | fraction >> (52 - h.fraction);
    if (exponent == 0x7FF)
        return (uint16_t)(sign | infinity);
    /* A number below the smallest normal one keeps exponent 1 and loses digits instead. */
    int e = exponent - 1023 + bias, lost = 52 - h.fraction;
    if (e < 1) {
        lost += 1 - e;
        e = 1;
    }
    if (lost > 54) /* below half of the smallest number, as every denormal of double */
        return (uint16_t)sign;
    uint64_t digits = fraction | 1ull << 52, kept = digits >> lost, middle = 1ull << (lost - 1);
    uint64_t rest = digits & (2 * middle - 1);
    kept += rest > middle || (rest == middle && kept & 1);
    /* The leading 1 of a normal number, and a carry of the rounding, add to the exponent. */
    uint64_t result = ((uint64_t)(e - 1) << h.fraction) + kept;
    return (uint16_t)(sign | (result < infinity ? result : infinity));
}

/* The same as to_half for bf16, which is the upper half of a float. */
static void upper_halves_to(const float *from, int64_t n, unsigned char *to)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &from[i], sizeof bits);
        const bool nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
        const uint32_t rounded = bits + 0x7FFFu + (bits >> 16 & 1), quiet = bits | 0x400000u;
        const uint16_t x = (uint16_t)((nan ? quiet : rounded) >> 16);
        memcpy(to + 2 * i, &x, sizeof x);
    }
}

static void halves_to(half h, const tn_real *from, int64_t n, unsigned char *to)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t x = to_half((double)from[i], h);
        memcpy(to + 2 * i, &x, sizeof x);
    }
}

/* ---- quantised: 32 numbers become a scale d (f16) and 32 small integers q of x = q d ----

   The steps and their roundings are those of ggml's reference, so that the bytes are equal. */

enum { BLOCK = 32 };

/* A number that no integer stands for becomes 0: the scale is then 0, infinite or NaN. */
static int whole(float x)
{
    return x > -129 && x < 129 ? (int)x : 0;
}

/* d (2), q (32): the largest |x| has |q| = 127, halves are rounded away from zero. */
static void to_q8_0(const float *x, unsigned char *to)
{
    float most = 0;
    for (int i = 0; i < BLOCK; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    const float d = most / 127, inverse = d != 0 ? 1 / d : 0;
    const uint16_t scale = to_half((double)d, f16);
    memcpy(to, &scale, sizeof scale);
    for (int i = 0; i < BLOCK; i++)
        to[2 + i] = (unsigned char)whole(roundf(x[i] * inverse));
}

/* d (2), q + 8 of two numbers in each of 16 bytes: the x of the largest size has q = -8. */
static void to_q4_0(const float *x, unsigned char *to)
{
    float most = 0;
    int q[BLOCK];
    for (int i = 0; i < BLOCK; i++)
        most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
    const float d = most / -8, inverse = d != 0 ? 1 / d : 0;
    const uint16_t scale = to_half((double)d, f16);
    memcpy(to, &scale, sizeof scale);
    for (int i = 0; i < BLOCK; i++) {
        q[i] = whole(x[i] * inverse + 8.5f);
        q[i] = q[i] < 15 ? q[i] : 15;
    }
    for (int i = 0; i < BLOCK / 2; i++)
        to[2 + i] = (unsigned char)(q[i] | q[i + BLOCK / 2] << 4);
}

static void blocks_to(tn_file_type type, const tn_real *from, int64_t n, unsigned char *to)
{
    const size_t size = tn_dtype_bytes(tn_file_dtype(type), BLOCK);
    for (int64_t i = 0; i + BLOCK <= n; i += BLOCK, to += size) {
        float x[BLOCK];
        for (int k = 0; k < BLOCK; k++)
            x[k] = (float)from[i + k];
        if (type == TN_FILE_Q8_0)
            to_q8_0(x, to);
        else
            to_q4_0(x, to);
    }
}

double tn_file_type_most(tn_file_type type)
{
    const double scale = 65504; /* an f16 */
    switch (type) {
    case TN_FILE_F64: return DBL_MAX;
    case TN_FILE_F16: return scale;
    case TN_FILE_BF16: return 0x1.FEp127;
    case TN_FILE_Q8_0: return scale * 127;
    case TN_FILE_Q4_0: return scale * 8;
    default: return FLT_MAX;
    }
}

void tn_to_file_type(tn_file_type type, const tn_real *from, int64_t n, void *to)
{
    if (!from || !to)
        return;
    unsigned char *out = to;
    for (int64_t i = 0; type == TN_FILE_F64 && i < n; i++)
        memcpy(out + 8 * i, &(double){ (double)from[i] }, 8);
    for (int64_t i = 0; type == TN_FILE_F32 && i < n; i++)
        memcpy(out + 4 * i, &(float){ (float)from[i] }, 4);
    if (type == TN_FILE_BF16 && tn_file_real() == TN_FILE_F32)
        upper_halves_to((const float *)from, n, out);
    else if (type == TN_FILE_F16 || type == TN_FILE_BF16)
        halves_to(type == TN_FILE_F16 ? f16 : bf16, from, n, out);
    if (type == TN_FILE_Q8_0 || type == TN_FILE_Q4_0)
        blocks_to(type, from, n, out);
}

void tn_from_file_type(tn_file_type type, const void *from, int64_t n, tn_real *to)
{
    if (!from || !to)
        return;
    const unsigned char *in = from;
    for (int64_t i = 0; type == TN_FILE_F64 && i < n; i++) {
        double x;
        memcpy(&x, in + 8 * i, sizeof x);
        to[i] = (tn_real)x;
    }
    for (int64_t i = 0; type == TN_FILE_F32 && i < n; i++) {
        float x;
        memcpy(&x, in + 4 * i, sizeof x);
        to[i] = (tn_real)x;
    }
    if (type != TN_FILE_F64 && type != TN_FILE_F32)
        tn_widen(tn_file_dtype(type), in, 0, n, to); /* no such type: it writes nothing */
}

tn_dtype tn_file_dtype(tn_file_type type)
{
    switch (type) {
    case TN_FILE_BF16: return TN_BF16;
    case TN_FILE_F16: return TN_F16;
#define TN_FILE_BLOCK(name)                                                                        \
    case TN_FILE_##name: return TN_##name;
        TN_FILE_BLOCKS(TN_FILE_BLOCK)
#undef TN_FILE_BLOCK
    default: return type == tn_file_real() ? TN_REAL : TN_DTYPES;
    }
}

int64_t tn_not_finite(tn_file_type type, const void *bytes, int64_t n, double *value)
{
    const unsigned char *in = bytes;
    for (int64_t i = 0; i < n; i++) {
        float f;
        if (type == TN_FILE_F64)
            memcpy(value, in + 8 * i, sizeof *value);
        else
            memcpy(&f, in + 4 * i, sizeof f);
        if (type != TN_FILE_F64)
            *value = (double)f;
        if (!isfinite(*value))
            return i;
    }
    return n;
}

/* A number is infinite or NaN if all bits of its exponent are set. Without branches: the compiler
   takes many numbers at a time. */
#define ALL_FINITE(name, type, exponent)                                                           \
    static bool name(const unsigned char *in, int64_t n)                                           \
    {                                                                                              \
        type bad = 0;                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                          \
            type x;                                                                                \
            memcpy(&x, in + (size_t)i * sizeof x, sizeof x);                                       \
            bad |= (type)((x & (exponent)) == (exponent));                                         \
        }                                                                                          \
        return !bad;                                                                               \
    }
ALL_FINITE(f64_finite, uint64_t, 0x7FF0000000000000u)
ALL_FINITE(f32_finite, uint32_t, 0x7F800000u)
ALL_FINITE(f16_finite, uint16_t, 0x7C00u)
ALL_FINITE(bf16_finite, uint16_t, 0x7F80u)

bool tn_all_finite(tn_dtype type, const void *bytes, int64_t n)
{
    switch (type) {
    case TN_REAL:
        return tn_file_real() == TN_FILE_F32 ? f32_finite(bytes, n) : f64_finite(bytes, n);
    case TN_F16: return f16_finite(bytes, n);
    case TN_BF16: return bf16_finite(bytes, n);
    default: return false;
    }
}

const char *tn_file_type_name(tn_file_type type)
{
    static const char *const names[] = {
#define TN_FILE_TYPE(name, bytes) #name,
        TN_FILE_TYPES(TN_FILE_TYPE)
#undef TN_FILE_TYPE
#define TN_FILE_BLOCK(name) #name,
            TN_FILE_BLOCKS(TN_FILE_BLOCK)
#undef TN_FILE_BLOCK
    };
    return type < TN_FILE_OTHER ? names[type] : "another type";
}
