/* test_types.c - element types: values compared with ggml's, sizes, and what is refused.
   The fixture has 256 numbers, quantised to each type by ggml, and the floats that ggml reads
   back. */
#include "core/kernels/kernels.h"
#include "tests/support/fixtures.h"
#include "tests/support/kernels.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ROW = 256, MOST_BYTES = 2 * ROW };

typedef struct golden {
    unsigned char bytes[MOST_BYTES + 1];
    size_t size;
    float x[ROW];
} golden;

static unsigned char digit(char c)
{
    return (unsigned char)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The numbers of the fixture for a type. The bytes are at an odd address. */
static golden golden_of(tn_dtype type)
{
    golden g = { 0 };
    tn_error e = { 0 };
    const tn_json *root = tn_json_read(GOLDEN "quants_golden.json", &e);
    must(&e);
    const tn_json *row = tn_json_find(root, "types")->child;
    while (row && strcasecmp(row->key, tn_dtype_name(type)))
        row = row->next;
    ck_assert_msg(row != NULL, "the fixture has no row of %s", tn_dtype_name(type));
    const char *hex = NULL;
    tn_json_get_string(row, "hex", &hex, &e);
    must(&e);
    g.size = strlen(hex) / 2;
    ck_assert_uint_le(g.size, MOST_BYTES);
    for (size_t i = 0; i < g.size; i++)
        g.bytes[1 + i] = (unsigned char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    int64_t n;
    double *x = read_numbers(row, "deq_f32", &n);
    ck_assert_int_eq(n, ROW);
    for (int i = 0; i < ROW; i++)
        g.x[i] = (float)x[i];
    free(x);
    tn_json_free(root);
    return g;
}

static void check_same(tn_dtype type, const char *where, const float *want, const tn_real *found,
                       int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float x = (float)found[i];
        if (memcmp(&x, &want[i], sizeof x) || (tn_real)x != found[i])
            ck_abort_msg("%s, %s, number %d of %d: %.9g, not %.9g", tn_dtype_name(type), where,
                         (int)i, (int)n, (double)found[i], (double)want[i]);
    }
}

/* The fixture does not have the sign of a zero. */
static void check_golden(tn_dtype type, const char *where, const float *want, tn_real *found,
                         int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        found[i] += 0;
    check_same(type, where, want, found, n);
}

/* All numbers, and each run of 32 alone. */
START_TEST(values_are_those_of_ggml)
{
    const tn_dtype type = (tn_dtype)_i;
    golden g = golden_of(type);
    tn_real x[ROW];
    ck_assert_uint_eq(tn_dtype_bytes(type, ROW), g.size);
    ck_assert_int_eq(tn_widen(type, g.bytes + 1, 0, ROW, x), 0);
    check_golden(type, "the row", g.x, x, ROW);
    for (int from = 0; from < ROW; from += TN_RUN) {
        memset(x, 0x5a, sizeof x);
        ck_assert_int_eq(tn_widen(type, g.bytes + 1, from, TN_RUN, x), 0);
        check_golden(type, "a run", g.x + from, x, TN_RUN);
    }
    for (int i = 0; i < ISAS; i++)
        if (tn_kernels_select(tn_isas[i])) {
            tn_kernels_select(tn_isas[i])->widen(type, g.bytes + 1, 0, ROW, x);
            check_golden(type, tn_isas[i], g.x, x, ROW);
        }
}
END_TEST

/* Several blocks of random bytes: every ISA gives the bits of scalar. No scale is infinite or
   NaN. */
START_TEST(every_isa_widens_alike)
{
    enum { ROWS = 40 };
    const tn_dtype type = (tn_dtype)_i;
    const size_t size = tn_dtype_bytes(type, ROWS * ROW);
    unsigned char *bytes = malloc(size);
    tn_real *x = malloc(sizeof *x * ROWS * ROW);
    float *want = malloc(sizeof *want * ROWS * ROW);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(tn_random(1, 2, 0, i) & 0xbf);
    tn_kernels_scalar.widen(type, bytes, 0, ROWS * ROW, x);
    for (int i = 0; i < ROWS * ROW; i++)
        want[i] = (float)x[i];
    for (int i = 0; i < ISAS; i++)
        if (tn_kernels_select(tn_isas[i])) {
            tn_kernels_select(tn_isas[i])->widen(type, bytes, ROW / 2, ROWS * ROW - ROW / 2, x);
            check_same(type, tn_isas[i], want + ROW / 2, x, ROWS * ROW - ROW / 2);
        }
    free(bytes), free(x), free(want);
}
END_TEST

/* All 16-bit numbers of bf16 and f16, compared with their definition, also in arrays of odd
   length. */
START_TEST(every_half)
{
    for (int h = 0; h < 1 << 16; h++) {
        uint16_t bits = (uint16_t)h;
        int exponent = h >> 10 & 31, fraction = h & 1023;
        double value = exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
                       : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                      : ldexp(fraction, -24);
        tn_real x;
        ck_assert_int_eq(tn_widen(TN_F16, &bits, 0, 1, &x), 0);
        ck_assert(isnan(x) ? isnan(value) : x == (tn_real)(h >> 15 ? -value : value));
        ck_assert_int_eq(signbit(x) != 0, h >> 15);
        exponent = h >> 7 & 255, fraction = h & 127;
        value = exponent == 255 ? (fraction ? (double)NAN : (double)INFINITY)
                : exponent      ? ldexp(128 + fraction, exponent - 134)
                                : ldexp(fraction, -133);
        ck_assert_int_eq(tn_widen(TN_BF16, &bits, 0, 1, &x), 0);
        ck_assert(isnan(x) ? isnan(value) : x == (tn_real)(h >> 15 ? -value : value));
    }
}
END_TEST

START_TEST(plain_types)
{
    static const int32_t ids[] = { 0, -7, 1 << 24 };
    static const tn_real reals[] = { 0.25, -3, (tn_real)1e-30 };
    tn_real x[3];
    ck_assert_int_eq(tn_widen(TN_I32, ids, 1, 2, x), 0);
    ck_assert(x[0] == -7 && x[1] == 1 << 24);
    ck_assert_int_eq(tn_widen(TN_REAL, reals, 0, 3, x), 0);
    ck_assert_mem_eq(x, reals, sizeof x);
}
END_TEST

/* clang-format off */
static const struct { const char *name; int64_t block, bytes; } facts[] = {
    { "real", 1, sizeof(tn_real) }, { "i32", 1, 4 }, { "bf16", 1, 2 }, { "f16", 1, 2 }, { "q8_0", 32, 34 },
    { "q4_0", 32, 18 }, { "q4_1", 32, 20 }, { "q5_0", 32, 22 }, { "q5_1", 32, 24 }, { "q4_k", 256, 144 },
    { "q5_k", 256, 176 }, { "q6_k", 256, 210 } };
/* clang-format on */

START_TEST(sizes_and_names)
{
    ck_assert_int_eq(TN_DTYPES, sizeof facts / sizeof *facts);
    for (tn_dtype type = 0; type < TN_DTYPES; type++) {
        ck_assert_str_eq(tn_dtype_name(type), facts[type].name);
        ck_assert_int_eq(tn_dtype_block(type), facts[type].block);
        ck_assert_uint_eq(tn_dtype_bytes(type, 3 * facts[type].block),
                          (size_t)(3 * facts[type].bytes));
        ck_assert_uint_eq(tn_dtype_bytes(type, -facts[type].block), 0);
        if (facts[type].block > 1)
            ck_assert_uint_eq(tn_dtype_bytes(type, facts[type].block + 1), 0);
        tn_tensor *a = tn_tensor_new(type, 2, (int64_t[]){ 2, 256 }, false);
        ck_assert_uint_eq(tn_tensor_bytes(a), tn_dtype_bytes(type, 512));
        tn_tensor_free(a);
    }
}
END_TEST

/* Rows that are not whole blocks are refused, even if all numbers together fill whole blocks. */
START_TEST(rows_are_whole_blocks)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    const int64_t dim[] = { 32, 40 };
    ck_assert_ptr_null(tn_tensor_new(TN_Q8_0, 2, dim, false));
    ck_assert_ptr_null(tn_tape_input(t, TN_Q8_0, 2, dim));
    ck_assert_str_eq(tn_tape_error(t),
                     "input: rows of 40 numbers; expected whole blocks of q8_0, 32");
    tn_tape_reset(t);
    unsigned char bytes[40 * 34] = { 0 };
    tn_tensor w = { .dtype = TN_Q8_0, .ndim = 2, .dim = { 32, 40, 1, 1 }, .data = bytes };
    tn_tensor *ids = tn_tape_input(t, TN_I32, 1, (int64_t[]){ 1 });
    ids->i[0] = 0;
    ck_assert_ptr_null(tn_embed(t, &w, ids));
    ck_assert_str_eq(tn_tape_error(t),
                     "embed: operand 1 has rows of 40 numbers; expected whole blocks of q8_0, 32");
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

START_TEST(odd_runs_are_refused)
{
    static const struct {
        tn_dtype type;
        int64_t from, n;
    } odd[] = { { TN_Q4_0, 1, 32 },   { TN_Q4_0, 0, 31 },     { TN_Q6_K, 16, 32 },
                { TN_Q6_K, 0, 48 },   { TN_F16, -1, 2 },      { TN_F16, 0, -1 },
                { TN_DTYPES, 0, 32 }, { (tn_dtype)-1, 0, 32 } };
    const unsigned char bytes[256] = { 0 };
    tn_real x[64];
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        ck_assert_int_eq(tn_widen(odd[i].type, bytes, odd[i].from, odd[i].n, x), TN_EARG);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, values_are_those_of_ggml, TN_BF16, TN_DTYPES);
    tcase_add_loop_test(c, every_isa_widens_alike, TN_BF16, TN_DTYPES);
    tcase_add_test(c, every_half);
    tcase_add_test(c, plain_types);
    tcase_add_test(c, sizes_and_names);
    tcase_add_test(c, rows_are_whole_blocks);
    tcase_add_test(c, odd_runs_are_refused);
}
