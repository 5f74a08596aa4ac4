/* tile.h - the tile of a product and the packing of its panels, for a vector of WIDTH floats.
   A file of an instruction set defines its vector, the functions of it, how many rows of 1, 2 and 3
   vectors its registers hold (ROWS_1 to ROWS_3), and turn_square, which turns SIDE x SIDE floats.
   Then it includes this file. ROWS_n are at most 8, and SIDE divides 8 and 3 WIDTH. load_some reads n
   lanes, 0 to WIDTH, and no number beyond; the others are zero. Internal header. */
#ifndef TN_TILE_H
#define TN_TILE_H

#include "core/kernels/kernels.h"

#include <string.h>

enum { TILE_COLS = 3 * WIDTH, TILE_ROWS = 8 };

#define ALWAYS_INLINE static inline __attribute__((always_inline))
/* Without UNROLLED gcc 12 for aarch64 keeps the sums in memory as well: 15 stores beside 24 fmla. */
#ifdef __aarch64__
#define UNROLLED _Pragma("GCC unroll 8")
#else
#define UNROLLED
#endif

/* What all strips of a tile share. */
typedef struct tile_shape {
    int64_t depth;
    ptrdiff_t ars, acs, brs, start_stride, ldc;
    bool full; /* the last vector has WIDTH columns: no masked store (12 cycles each on Zen) */
    mask last; /* the lanes of the last vector that are columns */
} tile_shape;

/* One row: c = start + s. */
ALWAYS_INLINE void finish_row(const int vectors, const tile_shape *t, const vector s[3],
                              const float *start, float *c)
{
    for (int v = 0; v < vectors; v++) {
        const int64_t at = v * WIDTH;
        bool whole = v < vectors - 1 || t->full;
        vector from = !start ? zero() : whole ? load(start + at) : load_some(start + at, t->last);
        if (whole)
            store(c + at, add(from, s[v]));
        else
            store_some(c + at, t->last, add(from, s[v]));
    }
}

/* `rows` rows of `vectors` vectors. The compiler knows both numbers, so the sums stay in registers.
   C is needed at the end and prefetched at the beginning: products take 2 to 3 % less time. */
ALWAYS_INLINE void strip(const int rows, const int vectors, const tile_shape *t, const float *a,
                         const float *b, const float *start, float *c)
{
    vector s[TILE_ROWS][3];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++)
            s[i][v] = zero();
    for (int i = 0; i < rows; i++) {
        __builtin_prefetch(c + i * t->ldc);
        __builtin_prefetch(c + i * t->ldc + vectors * WIDTH - 1);
    }
    for (int64_t k = 0; k < t->depth; k++, a += t->acs, b += t->brs) {
        vector row[3];
        for (int v = 0; v < vectors; v++)
            row[v] = load(b + v * WIDTH);
        for (int i = 0; i < rows; i++) {
            vector x = broadcast(a[i * t->ars]);
            for (int v = 0; v < vectors; v++)
                s[i][v] = multiply_add(x, row[v], s[i][v]);
        }
    }
    UNROLLED for (int i = 0; i < rows; i++)
        finish_row(vectors, t, s[i], start ? start + i * t->start_stride : NULL, c + i * t->ldc);
}

/* All rows of a tile of `vectors` vectors: strips of `full` rows, then of 4, 2, 1. */
ALWAYS_INLINE void strips(const int full, const int vectors, int64_t rows, const tile_shape *t,
                          const float *a, const float *b, const float *start, float *c)
{
    while (rows > 0) {
        int done = rows >= full ? full : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
        if (rows >= full)
            strip(full, vectors, t, a, b, start, c);
        else if (rows >= 4)
            strip(4, vectors, t, a, b, start, c);
        else if (rows >= 2)
            strip(2, vectors, t, a, b, start, c);
        else
            strip(1, vectors, t, a, b, start, c);
        rows -= done;
        a += done * t->ars;
        c += done * t->ldc;
        if (start)
            start += done * t->start_stride;
    }
}

static void tile(int64_t rows, int64_t cols, int64_t depth, const float *a, ptrdiff_t ars,
                 ptrdiff_t acs, const float *b, ptrdiff_t brs, const float *start,
                 ptrdiff_t start_stride, float *c, ptrdiff_t ldc)
{
    int64_t vectors = (cols + WIDTH - 1) / WIDTH, last = cols - (vectors - 1) * WIDTH;
    tile_shape t = { depth, ars, acs, brs, start_stride, ldc, last == WIDTH, mask_of(last) };
    if (vectors == 3)
        strips(ROWS_3, 3, rows, &t, a, b, start, c);
    else if (vectors == 2)
        strips(ROWS_2, 2, rows, &t, a, b, start, c);
    else if (vectors == 1)
        strips(ROWS_1, 1, rows, &t, a, b, start, c);
}

/* Copies rows in their order, 3 vectors each. The lanes beyond the columns are zero. The rows of the
   next call are prefetched: gemm.c packs 8 of them together. (Zen 5: 0.99 of the time of a step of
   SmolLM2. The same in `turn` gave nothing.) */
static void pack_rows(int64_t depth, int64_t cols, const float *b, ptrdiff_t brs, float *panel)
{
    mask m[3];
    for (int v = 0; v < 3; v++) {
        int64_t left = cols - v * WIDTH;
        m[v] = mask_of(left < 0 ? 0 : left < WIDTH ? left : WIDTH);
    }
    for (int64_t k = 0; k < depth; k++, b += brs, panel += TILE_COLS)
        for (int v = 0; v < 3; v++) {
            __builtin_prefetch(b + 8 * brs + v * WIDTH);
            store(panel + v * WIDTH, load_some(b + v * WIDTH, m[v]));
        }
}

/* First all squares, then the elements that are in none. */
static void turn(int64_t rows, int64_t cols, const float *from, ptrdiff_t fs, float *to,
                 ptrdiff_t ts)
{
    int64_t square_rows = rows & ~(int64_t)(SIDE - 1), square_cols = cols & ~(int64_t)(SIDE - 1);
    for (int64_t i = 0; i < square_rows; i += SIDE)
        for (int64_t j = 0; j < square_cols; j += SIDE)
            turn_square(from + i * fs + j, fs, to + j * ts + i, ts);
    for (int64_t j = 0; j < cols; j++)
        for (int64_t i = j < square_cols ? square_rows : 0; i < rows; i++)
            to[j * ts + i] = from[i * fs + j];
}

/* One of brs and bcs is 1. */
static void pack(int64_t depth, int64_t cols, const float *b, ptrdiff_t brs, ptrdiff_t bcs,
                 float *panel)
{
    if (bcs == 1) {
        pack_rows(depth, cols, b, brs, panel);
        return;
    }
    if (cols < TILE_COLS)
        memset(panel, 0, (size_t)(depth * TILE_COLS) * sizeof *panel);
    turn(cols, depth, b, bcs, panel, TILE_COLS);
}

/* For panel.h. Shuffles keep the bits of a float, whatever they are. */
static void turn_words(uint32_t from[TILE_COLS][8], uint32_t to[8][TILE_COLS])
{
    for (int w = 0; w < 8; w += SIDE)
        for (int c = 0; c < TILE_COLS; c += SIDE)
            turn_square((const float *)&from[c][w], 8, (float *)&to[w][c], TILE_COLS);
}

#include "core/kernels/panel.h"

#endif
