/* x86_turn.h - turns squares of floats, for tile.h. Internal header. */
#ifndef TN_X86_TURN_H
#define TN_X86_TURN_H

#include <immintrin.h>
#include <stddef.h>

enum { SIDE = 8 };

/* to[j*ts + i] = from[i*fs + j] for SIDE x SIDE elements. Three steps exchange elements 1, 2 and 4
   apart. */
static inline void turn_square(const float *from, ptrdiff_t fs, float *to, ptrdiff_t ts)
{
    __m256 r[SIDE], s[SIDE];
    for (int j = 0; j < 8; j++)
        r[j] = _mm256_loadu_ps(from + j * fs);
    for (int j = 0; j < 8; j += 2) {
        s[j] = _mm256_unpacklo_ps(r[j], r[j + 1]);
        s[j + 1] = _mm256_unpackhi_ps(r[j], r[j + 1]);
    }
    for (int j = 0; j < 8; j += 4) {
        r[j] = _mm256_shuffle_ps(s[j], s[j + 2], 0x44);
        r[j + 1] = _mm256_shuffle_ps(s[j], s[j + 2], 0xee);
        r[j + 2] = _mm256_shuffle_ps(s[j + 1], s[j + 3], 0x44);
        r[j + 3] = _mm256_shuffle_ps(s[j + 1], s[j + 3], 0xee);
    }
    for (int k = 0; k < 4; k++) {
        _mm256_storeu_ps(to + k * ts, _mm256_permute2f128_ps(r[k], r[k + 4], 0x20));
        _mm256_storeu_ps(to + (k + 4) * ts, _mm256_permute2f128_ps(r[k], r[k + 4], 0x31));
    }
}

#endif
