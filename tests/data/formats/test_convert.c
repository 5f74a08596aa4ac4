/* test_convert.c - the floating types of a file, compared with the definition of IEEE 754.
   The test computes the definition in double, where it is exact. */
#include "tests/support/tests.h"

#include "data/formats/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
typedef struct format { tn_file_type type; int bias, fraction; } format; /* fraction: number of bits */
/* clang-format on */

static const format formats[] = { { TN_FILE_F16, 15, 10 }, { TN_FILE_BF16, 127, 7 } };

static uint16_t infinity_of(const format *f)
{
    return (uint16_t)((2 * f->bias + 1) << f->fraction);
}

static double value_of(const format *f, uint16_t bits)
{
    int exponent = (bits & 0x7FFF) >> f->fraction, fraction = bits & ((1 << f->fraction) - 1);
    int whole = exponent ? 1 << f->fraction : 0;
    double x = ldexp(whole + fraction, (exponent ? exponent : 1) - f->bias - f->fraction);
    return bits >> 15 ? -x : x;
}

static tn_real widen(const format *f, uint16_t bits)
{
    tn_real x;
    tn_from_file_type(f->type, &bits, 1, &x);
    return x;
}

static uint16_t narrow(const format *f, double value)
{
    tn_real x = (tn_real)value;
    uint16_t bits;
    tn_to_file_type(f->type, &x, 1, &bits);
    return bits;
}

static tn_real towards(tn_real x, double end)
{
    return sizeof x == 4 ? (tn_real)nextafterf((float)x, (float)end)
                         : (tn_real)nextafter((double)x, end);
}

/* Each of the 65536 patterns gives its value, and the value gives the pattern. NaN becomes a quiet
   NaN. */
START_TEST(every_pattern)
{
    const format *f = &formats[_i];
    for (unsigned i = 0; i < 65536; i++) {
        uint16_t bits = (uint16_t)i, magnitude = bits & 0x7FFF;
        tn_real x = widen(f, bits);
        uint16_t back = narrow(f, (double)x);
        if (magnitude > infinity_of(f)) {
            ck_assert(isnan(x));
            ck_assert_uint_eq(back, bits | 1u << (f->fraction - 1));
            continue;
        }
        if (magnitude == infinity_of(f))
            ck_assert(isinf(x) && (x < 0) == (bits >> 15));
        else
            ck_assert((double)x == value_of(f, bits) && !signbit(x) == !(bits >> 15));
        ck_assert_uint_eq(back, bits);
    }
}
END_TEST

/* Between two neighbours a number below the middle is rounded down, one above it up, and the middle
   to the even neighbour. The upper neighbour of the largest number is infinity. */
START_TEST(rounds_to_nearest_even)
{
    const format *f = &formats[_i];
    for (uint16_t low = 0; low < infinity_of(f); low++) {
        uint16_t high = (uint16_t)(low + 1);
        tn_real middle = (tn_real)((value_of(f, low) + value_of(f, high)) / 2);
        ck_assert_uint_eq(narrow(f, (double)middle), low & 1 ? high : low);
        ck_assert_uint_eq(narrow(f, (double)towards(middle, -INFINITY)), low);
        ck_assert_uint_eq(narrow(f, (double)towards(middle, INFINITY)), high);
        ck_assert_uint_eq(narrow(f, -(double)towards(middle, INFINITY)), high | 0x8000);
    }
}
/* clang-format off */
END_TEST

typedef struct row { tn_file_type type; double x; uint16_t bits; } row;
/* clang-format on */

/* Known numbers: from the table of the article about half precision, and numbers at the end of a
   range. */
static const row rows[] = {
    { TN_FILE_F16, 1, 0x3C00 },
    { TN_FILE_F16, -2, 0xC000 },
    { TN_FILE_F16, 65504, 0x7BFF },
    { TN_FILE_F16, 65519.99, 0x7BFF },
    { TN_FILE_F16, 65520, 0x7C00 },
    { TN_FILE_F16, 1e30, 0x7C00 },
    { TN_FILE_F16, -1e30, 0xFC00 },
    { TN_FILE_F16, 0x1p-14, 0x0400 },
    { TN_FILE_F16, 0x1p-24, 0x0001 },
    { TN_FILE_F16, 0x1p-25, 0x0000 },
    { TN_FILE_F16, 0x1.8p-25, 0x0001 },
    { TN_FILE_F16, -0x1p-149, 0x8000 },
    { TN_FILE_F16, 0.333251953125, 0x3555 },
    { TN_FILE_BF16, 1, 0x3F80 },
    { TN_FILE_BF16, -2, 0xC000 },
    { TN_FILE_BF16, 3.140625, 0x4049 },
    { TN_FILE_BF16, 0x1.fep127, 0x7F7F },
    { TN_FILE_BF16, 0x1.fefp127, 0x7F7F },
    { TN_FILE_BF16, 0x1.ffp127, 0x7F80 },
    { TN_FILE_BF16, 0x1p-126, 0x0080 },
    { TN_FILE_BF16, 0x1p-133, 0x0001 },
    { TN_FILE_BF16, 0x1p-149, 0x0000 },
    { TN_FILE_BF16, -0.0, 0x8000 },
#ifdef TN_DOUBLE /* as float these would first be rounded to the middle of two neighbours */
    { TN_FILE_BF16, 0x1.0100000001p0, 0x3F81 },
    { TN_FILE_F16, 0x1.0020000001p0, 0x3C01 },
    { TN_FILE_BF16, 1e300, 0x7F80 },
    { TN_FILE_BF16, 1e-300, 0x0000 },
    { TN_FILE_F16, -0x1p-1074, 0x8000 },
#endif
};

START_TEST(known_numbers)
{
    const row *r = &rows[_i];
    ck_assert_uint_eq(narrow(&formats[r->type != TN_FILE_F16], r->x), r->bits);
}
END_TEST

/* F32 and F64, at unaligned addresses. */
START_TEST(wide_types)
{
    static const tn_real from[] = {
        0, (tn_real)-0.0, 1, (tn_real)0.1, (tn_real)-1e30, (tn_real)1e-40
    };
    enum { N = sizeof from / sizeof *from };
    unsigned char bytes[8 * N + 1];
    tn_real back[N];
    for (int64_t i = 0; i < N; i++) {
        float f = (float)from[i];
        double d = (double)from[i];
        tn_to_file_type(TN_FILE_F32, from, N, bytes + 1);
        ck_assert_mem_eq(bytes + 1 + 4 * i, &f, 4);
        tn_from_file_type(TN_FILE_F32, bytes + 1, N, back);
        ck_assert(back[i] == (tn_real)f && !signbit(back[i]) == !signbit(f));
        tn_to_file_type(TN_FILE_F64, from, N, bytes + 1);
        ck_assert_mem_eq(bytes + 1 + 8 * i, &d, 8);
        tn_from_file_type(TN_FILE_F64, bytes + 1, N, back);
        ck_assert_mem_eq(&back[i], &from[i], sizeof *from);
    }
}
END_TEST

/* Numbers that ggml converted: we must give the same bytes, and read the same numbers. */
static void check_golden(const tn_json *golden, const char *type, const format *f)
{
    const tn_json *of_type = tn_json_find(tn_json_find(golden, "types"), type);
    const tn_json *x = tn_json_find(golden, "x"), *wide = tn_json_find(of_type, "deq_f32");
    const char *hex = tn_json_find(of_type, "hex")->text;
    ck_assert_int_eq(x->count, 256);
    x = x->child;
    wide = wide->child;
    for (int i = 0; i < 256; i++, x = x->next, wide = wide->next) {
        char swapped[5] = { hex[4 * i + 2], hex[4 * i + 3], hex[4 * i], hex[4 * i + 1], 0 };
        uint16_t bits = (uint16_t)strtoul(swapped, NULL, 16);
        ck_assert_uint_eq(narrow(f, (double)strtof(x->text, NULL)), bits);
        ck_assert(widen(f, bits) == (tn_real)strtof(wide->text, NULL));
    }
}

START_TEST(golden_row)
{
    const char *folder = getenv("TENON_ASSETS");
    tn_error e = { 0 };
    if (!folder)
        return;
    char *path = tn_path_join(folder, "golden/quants_golden.json");
    const tn_json *golden = tn_json_read(path, &e);
    ck_assert_msg(golden != NULL, "%s", e.text);
    check_golden(golden, "f16", &formats[0]);
    check_golden(golden, "bf16", &formats[1]);
    tn_json_free(golden);
    free(path);
}
END_TEST

/* One number that is not finite is found at every place of an array of every length; the largest
   finite numbers are not taken for one. The bytes need no alignment. */
START_TEST(finite_or_not)
{
    static const struct {
        tn_dtype type;
        tn_file_type file;
        double largest;
    } types[] = { { TN_REAL, 0, sizeof(tn_real) == 4 ? 0x1.fffffep127 : 0x1.fffffffffffffp1023 },
                  { TN_F16, TN_FILE_F16, 65504 },
                  { TN_BF16, TN_FILE_BF16, 0x1.fep127 } };
    const double bad[] = { INFINITY, -INFINITY, (double)NAN, -(double)NAN };
    unsigned char bytes[70 * 8 + 1];
    const tn_dtype type = types[_i].type;
    const tn_file_type file = type == TN_REAL ? tn_file_real() : types[_i].file;
    const int64_t each = (int64_t)tn_dtype_bytes(type, 1);
    for (int64_t n = 0; n < 70; n++)
        for (int64_t at = 0; at <= n; at++)
            for (size_t k = 0; k < 4; k++) {
                for (int64_t i = 0; i < n; i++) {
                    const double x = i == at ? bad[k]
                                     : i % 2 ? types[_i].largest
                                             : 1e-7 * (double)i;
                    tn_to_file_type(file, &(tn_real){ (tn_real)x }, 1, bytes + 1 + i * each);
                }
                ck_assert(tn_all_finite(type, bytes + 1, n) == (at == n));
            }
    ck_assert(!tn_all_finite(TN_Q8_0, bytes, 32));
}
END_TEST

START_TEST(type_names)
{
    ck_assert_str_eq(tn_file_type_name(TN_FILE_F32), "F32");
    ck_assert_str_eq(tn_file_type_name(TN_FILE_BOOL), "BOOL");
    ck_assert_str_eq(tn_file_type_name(TN_FILE_OTHER), "another type");
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, every_pattern, 0, 2);
    tcase_add_loop_test(c, rounds_to_nearest_even, 0, 2);
    tcase_add_loop_test(c, known_numbers, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, wide_types);
    tcase_add_test(c, golden_row);
    tcase_add_loop_test(c, finite_or_not, 0, 3);
    tcase_add_test(c, type_names);
}
