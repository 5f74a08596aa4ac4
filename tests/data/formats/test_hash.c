/* test_hash.c - the hashes are those of their descriptions, and every change changes them. */
#include "tests/support/tests.h"

#include "data/formats/hash.h"

#include <string.h>

/* Test vectors of the FNV-1a draft (draft-eastlake-fnv). */
START_TEST(short_hash)
{
    ck_assert_uint_eq(tn_hash64("", 0, 0), 0xCBF29CE484222325u);
    ck_assert_uint_eq(tn_hash64("a", 1, 0), 0xAF63DC4C8601EC8Cu);
    ck_assert_uint_eq(tn_hash64("foobar", 6, 0), 0x85944171F73967E8u);
    ck_assert_uint_eq(tn_hash64("bar", 3, tn_hash64("foo", 3, 0)), 0x85944171F73967E8u);
}
END_TEST

/* Values of a Python program that follows the description. Files hold such hashes: they must not
   change. */
START_TEST(bulk_hash)
{
    unsigned char bytes[1001];
    ck_assert_uint_eq(tn_hash_bulk("", 0, 0), 0xb74f99cd060cc25eu);
    ck_assert_uint_eq(tn_hash_bulk("\0", 1, 0), 0x3d8a36e639a28963u);
    ck_assert_uint_eq(tn_hash_bulk("foobar", 6, 0), 0xd9fbb6d1b00a58e4u);
    for (int shift = 0; shift < 2; shift++) { /* aligned and not */
        for (int i = 0; i < 1000; i++)
            bytes[i + shift] = (unsigned char)(i * i % 251);
        ck_assert_uint_eq(tn_hash_bulk(bytes + shift, 1000, 7), 0x7fa4bb98be435b6cu);
    }
}
END_TEST

/* The same in parts of any size. */
START_TEST(bulk_hash_in_parts)
{
    unsigned char bytes[1000];
    for (int i = 0; i < 1000; i++)
        bytes[i] = (unsigned char)(i * i % 251);
    for (size_t size = 0; size <= 1000; size += 125)
        for (size_t part = 1; part < 200; part += 3) {
            tn_bulk_hash h = tn_bulk_hash_start(7);
            for (size_t at = 0; at < size; at += part)
                tn_bulk_hash_add(&h, bytes + at, size - at < part ? size - at : part);
            ck_assert_uint_eq(tn_bulk_hash_end(&h), tn_hash_bulk(bytes, size, 7));
            ck_assert(size < 1000 || tn_hash_bulk(bytes, size, 7) == 0x7fa4bb98be435b6cu);
        }
}
END_TEST

/* One or two bits change, at any places. (Two weights may change their sign together.) */
START_TEST(bulk_hash_sees_two_bits)
{
    enum { BITS = 8 * 200 };
    unsigned char bytes[BITS / 8] = { 0 };
    const uint64_t before = tn_hash_bulk(bytes, sizeof bytes, 0);
    for (int a = 0; a < BITS; a++) {
        bytes[a / 8] ^= (unsigned char)(1 << a % 8);
        for (int b = a; b < BITS; b++) {
            if (b > a)
                bytes[b / 8] ^= (unsigned char)(1 << b % 8);
            if (tn_hash_bulk(bytes, sizeof bytes, 0) == before)
                ck_abort_msg("bits %d and %d", a, b);
            if (b > a)
                bytes[b / 8] ^= (unsigned char)(1 << b % 8);
        }
        bytes[a / 8] ^= (unsigned char)(1 << a % 8);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, short_hash);
    tcase_add_test(c, bulk_hash);
    tcase_add_test(c, bulk_hash_in_parts);
    tcase_add_test(c, bulk_hash_sees_two_bits);
}
