/* panel.h - packs panels of column-major numbers of any type: widens and turns them in one pass.

   32 bytes of each column are taken at a time. They are turned as words of 4 bytes, before they are
   widened: a word has 4 numbers of a quantised type, or 2 of 16 bits. So there is less to turn than
   after widening, and each operation of the second step makes numbers of many columns. Every number
   has the bits of widen.h.

   The file that includes it defines TILE_COLS, and turn_words, which transposes `read`. The same
   bytes of the next panel are prefetched. Internal header. */
#ifndef TN_PANEL_H
#define TN_PANEL_H

#include "core/kernels/widen.h"

enum { WORDS = TN_RUN / 4 };

/* 32 bytes of each column. Columns that do not exist are zero. */
typedef struct columns {
    uint32_t read[TILE_COLS][WORDS], word[WORDS][TILE_COLS];
    float d[2][TILE_COLS], m[TILE_COLS]; /* of a run: widen.h */
} columns;

/* Which numbers: the arguments of pack_wide (kernels.h). */
typedef struct place {
    const unsigned char *data;
    int64_t from, stride, depth, cols;
    tn_real *panel;
} place;

/* In these functions the compiler knows the sizes of a block (types.def). */
#define PACK static inline __attribute__((always_inline)) void

/* ---- types without blocks: a word has `each` numbers ---- */

typedef tn_real number_of(uint32_t word, int i);

static inline tn_real i32_of(uint32_t word, int i)
{
    (void)i;
    return (tn_real)(int32_t)word;
}

static inline tn_real bf16_of(uint32_t word, int i)
{
    return (tn_real)float_of(word >> 16 * i << 16);
}

static inline tn_real f16_of(uint32_t word, int i)
{
    return (tn_real)from_f16((uint16_t)(word >> 16 * i));
}

PACK pack_plain(number_of *number, const int each, const int64_t bytes, const place *p)
{
    columns x = { 0 };
    tn_real *to = p->panel;
    for (int64_t k = 0; k < p->depth; k += WORDS * each) {
        const int64_t n = p->depth - k < WORDS * each ? p->depth - k : WORDS * each;
        for (int64_t c = 0; c < p->cols; c++) {
            const unsigned char *from = p->data + (p->from + c * p->stride + k) * bytes;
            __builtin_prefetch(from + TILE_COLS * p->stride * bytes);
            if (n == WORDS * each)
                memcpy(x.read[c], from, sizeof x.read[c]);
            else
                memcpy(x.read[c], from, (size_t)(n * bytes));
        }
        turn_words(x.read, x.word);
        for (int64_t i = 0; i < n; i++, to += TILE_COLS)
            for (int c = 0; c < TILE_COLS; c++)
                to[c] = number(x.word[i / each][c], (int)(i % each));
    }
}

PACK pack_i32(const int64_t numbers, const int64_t bytes, const place *p)
{
    (void)numbers;
    pack_plain(i32_of, 1, bytes, p);
}

PACK pack_bf16(const int64_t numbers, const int64_t bytes, const place *p)
{
    (void)numbers;
    pack_plain(bf16_of, 2, bytes, p);
}

PACK pack_f16(const int64_t numbers, const int64_t bytes, const place *p)
{
    (void)numbers;
    pack_plain(f16_of, 2, bytes, p);
}

/* ---- types with blocks: a word has 4 numbers ---- */

/* Number i of the run of every column. */
static inline void put_numbers(const columns *x, int less, bool plus, int i, tn_real *to)
{
    const uint32_t *word = x->word[i / 4];
    const float *d = x->d[i / (TN_RUN / 2)];
    const int up = 24 - 8 * (i % 4);
    for (int c = 0; c < TILE_COLS; c++) {
        int32_t q = (int32_t)(word[c] << up) >> 24;
        to[c] = (tn_real)(plus ? (float)q * d[c] + x->m[c] : (float)(q - less) * d[c]);
    }
}

typedef parts parts_of(const unsigned char *block, int64_t run);

PACK pack_blocks(parts_of *parts_at, const int64_t numbers, const int64_t bytes, const place *p)
{
    columns x = { 0 };
    parts r = { 0 };
    tn_real *to = p->panel;
    for (int64_t k = 0; k < p->depth; k += TN_RUN) {
        for (int64_t c = 0; c < p->cols; c++) {
            const int64_t at = p->from + c * p->stride + k;
            const unsigned char *block = p->data + at / numbers * bytes;
            __builtin_prefetch(block + TILE_COLS * p->stride / numbers * bytes);
            r = parts_at(block, at % numbers / TN_RUN);
            memcpy(x.read[c], &r.q, TN_RUN);
            x.d[0][c] = r.d;
            x.d[1][c] = r.second;
            x.m[c] = r.m;
        }
        turn_words(x.read, x.word);
        for (int i = 0; i < TN_RUN; i++, to += TILE_COLS)
            put_numbers(&x, r.less, r.plus, i, to);
    }
}

#define PACK_BLOCKS(how)                                                                           \
    PACK pack_##how(const int64_t numbers, const int64_t bytes, const place *p)                    \
    {                                                                                              \
        pack_blocks(parts_of_##how, numbers, bytes, p);                                            \
    }
PACK_BLOCKS(q8_0)
PACK_BLOCKS(q4_0)
PACK_BLOCKS(q4_1)
PACK_BLOCKS(q5_0)
PACK_BLOCKS(q5_1)
PACK_BLOCKS(q4_k)
PACK_BLOCKS(q5_k)
PACK_BLOCKS(q6_k)

/* ---- the kernel ---- */

/* No call has TN_REAL: it is turned without being widened. */
PACK pack_real(const int64_t numbers, const int64_t bytes, const place *p)
{
    (void)numbers, (void)bytes, (void)p;
}

static void pack_wide(tn_dtype type, const void *data, int64_t from, int64_t stride, int64_t depth,
                      int64_t cols, tn_real *panel)
{
    const place p = { data, from, stride, depth, cols, panel };
    switch (type) {
#define TN_TYPE(name, text, numbers, bytes, how)                                                   \
    case name:                                                                                     \
        pack_##how(numbers, bytes, &p);                                                            \
        break;
#include "core/types.def"
#undef TN_TYPE
    default: break;
    }
}

#endif
