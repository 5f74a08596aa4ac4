/* test_random.c - known answers of Philox, and the moments of its distributions.
   The answers are the published test vectors of Random123. */
#include "tests/support/tests.h"

#include <math.h>

/* Known answers of Philox 4x32-10, from kat_vectors of Random123. In tn_random word 0 of the
   counter is index / 4, word 1 the draw, words 2 and 3 the stream. */
START_TEST(known_answers)
{
    struct {
        uint64_t seed, stream;
        uint32_t draw, block, out[4];
    } rows[] = {
        { 0, 0, 0, 0, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { UINT64_MAX,
          UINT64_MAX,
          UINT32_MAX,
          UINT32_MAX,
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { 0x299f31d0a4093822,
          0x0370734413198a2e,
          0x85a308d3,
          0x243f6a88,
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (int r = 0; r < 3; r++)
        for (uint64_t i = 0; i < 4; i++)
            ck_assert_uint_eq(tn_random(rows[r].seed, rows[r].stream, rows[r].draw,
                                        4 * (uint64_t)rows[r].block + i),
                              rows[r].out[i]);
}
END_TEST

/* The first four moments of 200,000 draws are within five standard errors of the distribution's. */
START_TEST(moments)
{
    enum { N = 200000 };
    double u[4] = { 0 }, z[4] = { 0 };
    for (uint64_t i = 0; i < N; i++) {
        double a = tn_random_uniform(7, tn_stream("uniform"), 0, i),
               b = tn_random_normal(7, tn_stream("normal"), 3, i);
        ck_assert(a > 0 && a < 1);
        for (int k = 0; k < 4; k++) {
            u[k] += pow(a, k + 1) / N;
            z[k] += pow(b, k + 1) / N;
        }
    }
    double law_u[] = { 1 / 2., 1 / 3., 1 / 4., 1 / 5. }, law_z[] = { 0, 1, 0, 3 },
           var_z[] = { 1, 2, 15, 96 };
    for (int k = 0; k < 4; k++) {
        ck_assert_double_le(fabs(u[k] - law_u[k]), 5 * sqrt(0.1 / N));
        ck_assert_double_le(fabs(z[k] - law_z[k]), 5 * sqrt(var_z[k] / N));
    }
}
END_TEST

/* An array of any length is filled with what the functions for one number return. */
START_TEST(arrays_are_filled_with_the_same)
{
    enum { N = 1100 };
    static tn_real normal[N], uniform[N];
    for (int64_t n = 1; n < N; n = 3 * n + 1) {
        normal[n] = uniform[n] = 7;
        tn_fill_normal(normal, n, 0.3, 5, 6);
        tn_fill_uniform(uniform, n, 0.3, 5, 6);
        for (int64_t i = 0; i < n; i++) {
            double z = tn_random_normal(5, 6, 0, (uint64_t)i);
            double u = tn_random_uniform(5, 6, 0, (uint64_t)i);
            ck_assert_double_eq(normal[i], (tn_real)(0.3 * z));
            ck_assert_double_eq(uniform[i], (tn_real)(0.3 * (2 * u - 1)));
        }
        ck_assert(normal[n] == 7 && uniform[n] == 7);
    }
}
END_TEST

START_TEST(streams_differ)
{
    ck_assert_uint_eq(tn_stream(""), 0xcbf29ce484222325u);
    ck_assert_uint_eq(tn_stream("foobar"), 0x85944171f73967e8u); /* FNV's own test vector */
    ck_assert_uint_ne(tn_random(1, tn_stream("a"), 0, 0), tn_random(1, tn_stream("b"), 0, 0));
    ck_assert_uint_ne(tn_random(1, tn_stream("a"), 0, 0), tn_random(1, tn_stream("a"), 1, 0));
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, known_answers);
    tcase_add_test(c, moments);
    tcase_add_test(c, arrays_are_filled_with_the_same);
    tcase_add_test(c, streams_differ);
}
