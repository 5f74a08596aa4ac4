/* scalar.c - the kernels in plain C, for any machine. They define every bit of a result. */
#include "core/kernels/generic.h"

enum { TILE_COLS = 16 };

static void turn_words(uint32_t from[TILE_COLS][8], uint32_t to[8][TILE_COLS])
{
    for (int i = 0; i < 8; i++)
        for (int c = 0; c < TILE_COLS; c++)
            to[i][c] = from[c][i];
}

#include "core/kernels/panel.h"

static void tile(int64_t rows, int64_t cols, int64_t depth, const tn_real *a, ptrdiff_t ars,
                 ptrdiff_t acs, const tn_real *b, ptrdiff_t brs, const tn_real *start,
                 ptrdiff_t start_stride, tn_real *c, ptrdiff_t ldc)
{
    for (int64_t i = 0; i < rows; i++) {
        tn_real s[TILE_COLS] = { 0 };
        for (int64_t k = 0; k < depth; k++)
            for (int64_t j = 0; j < cols; j++)
                s[j] = fused(a[i * ars + k * acs], b[k * brs + j], s[j]);
        for (int64_t j = 0; j < cols; j++)
            c[i * ldc + j] = (start ? start[i * start_stride + j] : 0) + s[j];
    }
}

static void pack(int64_t depth, int64_t cols, const tn_real *b, ptrdiff_t brs, ptrdiff_t bcs,
                 tn_real *panel)
{
    for (int64_t k = 0; k < depth; k++)
        for (int64_t j = 0; j < TILE_COLS; j++)
            panel[k * TILE_COLS + j] = j < cols ? b[k * brs + j * bcs] : 0;
}

static void turn(int64_t rows, int64_t cols, const tn_real *from, ptrdiff_t fs, tn_real *to,
                 ptrdiff_t ts)
{
    for (int64_t j = 0; j < cols; j++)
        for (int64_t i = 0; i < rows; i++)
            to[j * ts + i] = from[i * fs + j];
}

static void random_numbers(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t q, int64_t n,
                           uint32_t *out)
{
    uint32_t four[4];
    for (; n > 0; n -= 4, q++, out += 4) {
        tn_random_four(seed, stream, draw, q, four);
        memcpy(out, four, (size_t)(n < 4 ? n : 4) * sizeof *out);
    }
}

const tn_kernels tn_kernels_scalar = {
    .isa = "scalar",
    .tile = tile,
    .tile_cols = TILE_COLS,
    .pack = pack,
    .pack_wide = pack_wide,
    .turn = turn,
    .random = random_numbers,
    TN_GENERIC_KERNELS,
};
