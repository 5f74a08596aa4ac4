/* test_random.c - random numbers, many at a time, on every instruction set.
   They have the bits that random.c gives: so a seed always gives the same weights and dropout. */
#include "tests/support/kernels.h"

static const int64_t lengths[] = { 1, 2, 3, 4, 5, 31, 32, 33, 64, 65, 255, 256 };
enum { LENGTHS = sizeof lengths / sizeof *lengths, MOST = 256 };

START_TEST(the_same_numbers)
{
    const uint64_t seed = 0x299f31d0a4093822, stream = tn_stream("numbers");
    const uint64_t starts[] = { 0, 5, 0xfffffffe }; /* q goes on at 0 after 0xffffffff */
    for (int isa = 0; isa < ISAS; isa++) {
        const tn_kernels *k = tn_kernels_select(tn_isas[isa]);
        for (int row = 0; k && row < 3 * LENGTHS; row++) {
            const int64_t n = lengths[row / 3];
            const uint64_t q = starts[row % 3];
            uint32_t out[MOST + 1];
            out[n] = 7;
            k->random(seed, stream, 0x85a308d3, q, n, out);
            for (int64_t i = 0; i < n; i++)
                ck_assert_uint_eq(out[i], tn_random(seed, stream, 0x85a308d3, 4 * q + (uint64_t)i));
            ck_assert_uint_eq(out[n], 7);
        }
    }
}
END_TEST

/* First numbers at the ends of each quarter of a circle, and where the exponent in the logarithm
   changes. Then random ones. */
START_TEST(uniform_and_normal)
{
    static const uint32_t ends[] = { 0,          1,          0x3fffffff, 0x40000000, 0x7fffffff,
                                     0x80000000, 0xbfffffff, 0xc0000000, 0xfffffffe, 0xffffffff,
                                     0xb504f333, 0xb504f334, 0x1fffffff, 0x20000000 };
    enum { ENDS = sizeof ends / sizeof *ends, N = ENDS * ENDS + 5000 };
    static uint32_t numbers[2 * N];
    static tn_real x[N], y[2 * N];
    for (uint64_t i = 0; i < 2 * N; i++)
        numbers[i] = tn_random(1, 2, 3, i);
    for (int i = 0; i < ENDS * ENDS; i++) {
        numbers[2 * i] = ends[i / ENDS];
        numbers[2 * i + 1] = ends[i % ENDS];
    }
    for (int isa = 0; isa < ISAS; isa++) {
        const tn_kernels *k = tn_kernels_select(tn_isas[isa]);
        if (!k)
            continue;
        k->normal(N, numbers, 0.02, x);
        k->uniform(2 * N, numbers, 0.7, y);
        for (int64_t i = 0; i < N; i++) {
            double u = (numbers[2 * i] + 0.5) * 0x1p-32, v = (numbers[2 * i + 1] + 0.5) * 0x1p-32;
            double z = sqrt(-2 * tn_log_of(u)) * tn_cos_of(6.283185307179586 * v);
            ck_assert_msg(x[i] == (tn_real)(0.02 * z), "%s: normal %ld is %.17g, expected %.17g",
                          tn_isas[isa], (long)i, (double)x[i], 0.02 * z);
            ck_assert_double_eq(y[2 * i], (tn_real)(0.7 * (2 * u - 1)));
            ck_assert_double_eq(y[2 * i + 1], (tn_real)(0.7 * (2 * v - 1)));
        }
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, the_same_numbers);
    tcase_add_test(c, uniform_and_normal);
}
