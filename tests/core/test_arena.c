/* The arena and the pool of gradients: pieces do not overlap, what is given back is used again. */
#include "core/arena.h"
#include "tests/support/tests.h"

#include <stdint.h>
#include <string.h>

START_TEST(pieces_do_not_overlap)
{
    tn_arena a = { 0 };
    size_t sizes[] = { 1, 64, 65, 100000, (size_t)70 << 20, 3, (size_t)1 << 20 };
    char *piece[7];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 7; i++) {
            piece[i] = tn_arena_take(&a, sizes[i]);
            ck_assert_ptr_nonnull(piece[i]);
            ck_assert_uint_eq((uintptr_t)piece[i] % 64, 0);
            memset(piece[i], i + 1, sizes[i]);
        }
        for (int i = 0; i < 7; i++) {
            ck_assert_int_eq(piece[i][0], i + 1);
            ck_assert_int_eq(piece[i][sizes[i] - 1], i + 1);
        }
        tn_arena_rewind(&a, 0, 0);
    }
    /* The block of 64 MiB holds the first four, one of its own the fifth, and a third one the rest. */
    ck_assert_uint_eq(a.high, 100032 + 64 + 64 + 128 + ((size_t)70 << 20) + 64 + ((size_t)1 << 20));
    ck_assert_ptr_null(tn_arena_take(&a, SIZE_MAX - 10));
    tn_arena_free(&a);
}
END_TEST

START_TEST(buffers_come_back)
{
    tn_buffers p = { 0 };
    void *small = tn_buffers_take(&p, 100), *large = tn_buffers_take(&p, 10000);
    tn_buffers_give(&p, small);
    tn_buffers_give(&p, large);
    ck_assert_ptr_eq(tn_buffers_take(&p, 90), small);
    ck_assert_ptr_eq(tn_buffers_take(&p, 5000), large);
    tn_buffers_give_all(&p);
    for (size_t n = 1000; n < 200000; n += 1000) { /* growing sizes replace, they do not pile up */
        void *b = tn_buffers_take(&p, n);
        ck_assert_ptr_nonnull(b);
        tn_buffers_give(&p, b);
    }
    ck_assert_uint_le(p.count, 2);
    tn_buffers_free(&p);
}
END_TEST

START_TEST(blocks_are_zero)
{
    for (size_t n = 1; n < (size_t)4 << 20; n = 3 * n + 1) {
        unsigned char *b = tn_block_new(n);
        for (size_t i = 0; i < n; i++)
            ck_assert(b[i] == 0);
        memset(b, 7, n);
        tn_block_free(b, n);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, pieces_do_not_overlap);
    tcase_add_test(c, buffers_come_back);
    tcase_add_test(c, blocks_are_zero);
}
