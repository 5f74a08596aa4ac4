/* random.c - counter-based random numbers: Philox 4x32-10.
   Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). A number is a function of
   seed, stream, draw and index. So there is no state that must be saved. */
#include "core/kernels/kernels.h"

#include <math.h>

uint64_t tn_stream(const char *name)
{
    if (!name)
        return 0;
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, 64 bits */
    for (const unsigned char *s = (const unsigned char *)name; *s; s++)
        h = (h ^ *s) * 0x100000001b3u;
    return h;
}

/* Ten rounds over the counter v under the 64-bit key k. */
static void philox(uint32_t v[4], uint64_t k)
{
    uint32_t k0 = (uint32_t)k, k1 = (uint32_t)(k >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xd2511f53u * v[0], b = (uint64_t)0xcd9e8d57u * v[2];
        v[0] = (uint32_t)(b >> 32) ^ v[1] ^ k0;
        v[1] = (uint32_t)b;
        v[2] = (uint32_t)(a >> 32) ^ v[3] ^ k1;
        v[3] = (uint32_t)a;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
}

void tn_random_four(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t q, uint32_t v[4])
{
    if (!v)
        return;
    v[0] = (uint32_t)q;
    v[1] = draw;
    v[2] = (uint32_t)stream;
    v[3] = (uint32_t)(stream >> 32);
    philox(v, seed);
}

uint32_t tn_random(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t index)
{
    uint32_t v[4];
    tn_random_four(seed, stream, draw, index >> 2, v);
    return v[index & 3];
}

/* The middle of this number's interval in (0,1). */
static double share(uint32_t number)
{
    return (number + 0.5) * 0x1p-32;
}

double tn_random_uniform(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t index)
{
    return share(tn_random(seed, stream, draw, index));
}

static double box_muller(double u, double v)
{
    return sqrt(-2 * tn_log_of(u)) * tn_cos_of(6.283185307179586 * v);
}

/* Numbers 2i and 2i+1 make normal i; tn_random_four makes both at once. */
double tn_random_normal(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t index)
{
    uint32_t v[4];
    tn_random_four(seed, stream, draw, index >> 1, v);
    return box_muller(share(v[2 * index & 3]), share(v[(2 * index & 3) + 1]));
}

/* ---- many numbers at a time by the best kernels, with the bits of the functions above ---- */

enum { PIECE = 256 };

static const tn_kernels *fastest(void)
{
    const tn_kernels *k = tn_kernels_select(NULL);
    return k ? k : &tn_kernels_scalar;
}

void tn_fill_uniform(tn_real *x, int64_t n, double bound, uint64_t seed, uint64_t stream)
{
    const tn_kernels *k = fastest();
    for (int64_t i = 0; x && i < n; i += PIECE) {
        uint32_t numbers[PIECE];
        int64_t count = n - i < PIECE ? n - i : PIECE;
        k->random(seed, stream, 0, (uint64_t)i / 4, count, numbers);
        k->uniform(count, numbers, bound, x + i);
    }
}

void tn_fill_normal(tn_real *x, int64_t n, double std, uint64_t seed, uint64_t stream)
{
    const tn_kernels *k = fastest();
    for (int64_t i = 0; x && i < n; i += PIECE) {
        uint32_t numbers[2 * PIECE];
        int64_t count = n - i < PIECE ? n - i : PIECE;
        k->random(seed, stream, 0, (uint64_t)i / 2, 2 * count, numbers);
        k->normal(count, numbers, std, x + i);
    }
}
