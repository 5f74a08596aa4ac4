/* test_arena.c - the arena, and the buffers for gradients.
   Pieces do not overlap, and memory that is given back is used again. */
#include "core/arena.h"
#include "tests/support/tests.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* An arena has one range of addresses, or chunks if the addresses of the process are limited. */
/* clang-format off */
static const struct { const char *name; rlim_t addresses; } homes[] = {
    { "one range", RLIM_INFINITY },
    { "chunks", RLIM_INFINITY - 1 },
};
/* clang-format on */

/* The limit ends with the test, because each test is a process. */
static void limit_addresses(int home)
{
    struct rlimit all;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &all), 0);
    all.rlim_cur = homes[home].addresses;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &all), 0);
}

START_TEST(pieces_do_not_overlap)
{
    tn_arena a = { 0 };
    size_t sizes[] = { 1, 64, 65, 100000, (size_t)70 << 20, 3, (size_t)1 << 20 };
    char *piece[7];
    limit_addresses(_i);
    for (int round = 0; round < 3; round++) {
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
        tn_arena_rewind(&a, (tn_place){ 0 });
    }
    ck_assert_uint_eq(a.most, 100032 + 64 + 64 + 128 + ((size_t)70 << 20) + 64 + ((size_t)1 << 20));
    ck_assert_ptr_null(tn_arena_take(&a, SIZE_MAX - 10));
    tn_arena_free(&a);
}
END_TEST

/* After a rewind to a place in the middle, later pieces are taken again and earlier ones stay. */
START_TEST(rewinds_to_a_place)
{
    tn_arena a = { 0 };
    limit_addresses(_i);
    char *first = tn_arena_take(&a, (size_t)60 << 20);
    tn_place between = a.at;
    memset(first, 1, (size_t)60 << 20);
    for (int round = 0; round < 3; round++) {
        char *second = tn_arena_take(&a, (size_t)30 << 20), *third = tn_arena_take(&a, 100);
        memset(second, 2, (size_t)30 << 20);
        memset(third, 3, 100);
        ck_assert_int_eq(first[((size_t)60 << 20) - 1], 1);
        ck_assert_int_eq(second[((size_t)30 << 20) - 1], 2);
        ck_assert_uint_eq(a.most, ((size_t)90 << 20) + 128);
        ck_assert((second == first + ((size_t)60 << 20)) == (homes[_i].addresses == RLIM_INFINITY));
        tn_arena_rewind(&a, between);
    }
    tn_arena_free(&a);
}
END_TEST

/* Bytes of this process that are in memory. */
static size_t resident(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%*d %ld", &pages), 1);
    fclose(f);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* In each step the five pieces are a little larger than in the step before. All steps together take
   no more memory than one step, and a.most is what they take. */
START_TEST(longer_steps_take_no_second_arena)
{
    enum { PIECES = 5, STEPS = 8 };
    tn_arena a = { 0 };
    limit_addresses(_i);
    size_t before = resident(), size = 0, huge = (size_t)4 << 20; /* pages may be of 2 MiB */
    for (int step = 0; step < STEPS; step++) {
        size = ((size_t)66 << 20) + (size_t)step * 700000 / 64 * 64;
        for (int i = 0; i < PIECES; i++) {
            char *piece = tn_arena_take(&a, size);
            ck_assert_ptr_nonnull(piece);
            memset(piece, step, size);
        }
        size_t taken = resident() - before;
        ck_assert_msg(taken < PIECES * size + huge, "%s, step %d: %zu bytes for %zu",
                      homes[_i].name, step, taken, PIECES * size);
        ck_assert_msg(a.most + huge > taken && a.most < taken + huge,
                      "%s, step %d: %zu bytes, said to be %zu", homes[_i].name, step, taken,
                      a.most);
        tn_arena_rewind(&a, (tn_place){ 0 });
    }
    tn_arena_free(&a);
    ck_assert_uint_lt(resident(), before + huge);
}
END_TEST

/* A number of bytes that the system refuses, because no machine has so many. If the system refuses
   nothing (vm.overcommit_memory is 1), there are not so many addresses. */
static size_t too_many(void)
{
    char mode = '0';
    FILE *f = fopen("/proc/sys/vm/overcommit_memory", "r");
    ck_assert(f && fscanf(f, "%c", &mode) == 1);
    fclose(f);
    return (size_t)1 << (mode == '1' ? 47 : 46);
}

START_TEST(refuses_what_no_machine_has)
{
    tn_arena a = { 0 };
    tn_buffers p = { 0 };
    size_t bytes = too_many();
    limit_addresses(_i);
    ck_assert_ptr_nonnull(tn_arena_take(&a, 100));
    ck_assert_ptr_null(tn_arena_take(&a, bytes));
    ck_assert_ptr_nonnull(tn_arena_take(&a, 100));
    ck_assert_uint_eq(a.most, 256);
    ck_assert_ptr_null(tn_buffers_take(&p, bytes));
    ck_assert_ptr_nonnull(tn_buffers_take(&p, 100));
    ck_assert_uint_eq(p.bytes, 100);
    ck_assert_ptr_null(tn_pages_new(bytes));
    tn_arena_free(&a);
    tn_buffers_free(&p);
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
    for (size_t n = 1000; n < 200000; n += 1000) { /* a growing buffer replaces the smaller one */
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
        unsigned char *b = tn_pages_new(n);
        for (size_t i = 0; i < n; i++)
            ck_assert(b[i] == 0);
        memset(b, 7, n);
        tn_pages_free(b, n);
    }
}
END_TEST

void tests(TCase *c)
{
    int n = sizeof homes / sizeof *homes;
    tcase_add_loop_test(c, pieces_do_not_overlap, 0, n);
    tcase_add_loop_test(c, rewinds_to_a_place, 0, n);
    if (!TESTS_SANITIZED) /* the shadow memory of a sanitizer would be counted */
        tcase_add_loop_test(c, longer_steps_take_no_second_arena, 0, n);
    tcase_add_loop_test(c, refuses_what_no_machine_has, 0, n);
    tcase_add_test(c, buffers_come_back);
    tcase_add_test(c, blocks_are_zero);
}
