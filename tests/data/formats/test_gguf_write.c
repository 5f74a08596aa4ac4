/* test_gguf_write.c - writing GGUF: the bytes of ggml and of gguf-py. */
#include "tests/support/tests.h"

#include "data/gguf.h"
#include "tests/support/assets.h"
#include "tests/support/scratch.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static void same_files(const char *path, const char *other)
{
    tn_error e = { 0 };
    size_t n, m;
    char *a = tn_file_read(path, 1u << 30, &n, &e), *b = tn_file_read(other, 1u << 30, &m, &e);
    must(&e);
    ck_assert_uint_eq(n, m);
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            ck_abort_msg("%s and %s differ at byte %zu of %zu", path, other, i, n);
    free(a);
    free(b);
}

/* ---- a file that is read and written again is the same ---- */

static void copy_gguf(const char *path)
{
    scratch s;
    tn_error e = { 0 };
    tn_gguf_list keys = { 0 };
    tn_gguf *g = tn_gguf_open(path, &e);
    must(&e);
    const int64_t n = tn_gguf_count(g);
    tn_entry *entries = calloc((size_t)n + 1, sizeof *entries);
    for (int64_t i = 0; i < tn_gguf_keys(g); i++)
        tn_gguf_add(&keys, tn_gguf_key(g, i), &e);
    for (int64_t i = 0; i < n; i++)
        entries[i] = *tn_gguf_at(g, i);
    scratch_open(&s);
    tn_gguf_write(scratch_path(&s, "copy.gguf"), &keys, entries, n, &e);
    must(&e);
    same_files(path, s.path);
    scratch_close(&s);
    tn_gguf_list_free(&keys);
    free(entries);
    tn_gguf_close(g);
}

START_TEST(copies)
{
    static const char *const files[] = { "tiny.gguf", "blocks.gguf" };
    char path[64];
    snprintf(path, sizeof path, GOLDEN "gguf/%s", files[_i]);
    copy_gguf(path);
}
END_TEST

START_TEST(real_files)
{
    assets_each(".gguf", copy_gguf);
}
END_TEST

/* ---- a file made of values and numbers ---- */

/* tiny.gguf, which ggml made of the first numbers of quants_golden.json. */
START_TEST(the_bytes_of_ggml)
{
    static const tn_span words[] = { { "<s>", 3 }, { "a", 1 }, { "\304\240b", 3 } };
    static const float scores[] = { 0, -1, -2 };
    static const double half = 0.5;
    const tn_gguf_value arrays[] = {
        { "tokenizer.ggml.scores", true, TN_GGUF_F32, 3, scores, sizeof scores },
        { "f64", false, TN_GGUF_F64, 1, &half, sizeof half },
    };
    scratch s;
    tn_error e = { 0 };
    tn_gguf_list keys = { 0 };
    const tn_json *golden = tn_json_read(GOLDEN "quants_golden.json", &e);
    int64_t n;
    double *x = read_numbers(golden, "x", &n);
    tn_real ramp[6], numbers[64];
    must(&e);
    for (int i = 0; i < 64; i++)
        numbers[i] = (tn_real)(float)x[i];
    for (int i = 0; i < 6; i++)
        ramp[i] = (tn_real)i;
    const tn_entry entries[] = {
        { .name = "token_embd.weight",
          .type = TN_FILE_F32,
          .ndim = 2,
          .dim = { 2, 3 },
          .real = ramp },
        { .name = "blk.0.attn_q.weight",
          .type = TN_FILE_Q8_0,
          .ndim = 2,
          .dim = { 2, 32 },
          .real = numbers },
        { .name = "output_norm.weight",
          .type = TN_FILE_F16,
          .ndim = 1,
          .dim = { 5 },
          .real = numbers },
    };
    tn_gguf_add_string(&keys, "general.architecture", "llama", 5, &e);
    tn_gguf_add_int(&keys, "llama.block_count", TN_GGUF_U32, 2, &e);
    tn_gguf_add_real(&keys, "llama.rope.freq_base", 10000, &e);
    tn_gguf_add_int(&keys, "tokenizer.ggml.add_bos_token", TN_GGUF_BOOL, 1, &e);
    tn_gguf_add_strings(&keys, "tokenizer.ggml.tokens", words, 3, &e);
    tn_gguf_add(&keys, &arrays[0], &e);
    tn_gguf_add_int(&keys, "u64", TN_GGUF_U64, 1099511627776, &e);
    tn_gguf_add_int(&keys, "i8", TN_GGUF_I8, -3, &e);
    tn_gguf_add(&keys, &arrays[1], &e);
    scratch_open(&s);
    tn_gguf_write(scratch_path(&s, "made.gguf"), &keys, entries, 3, &e);
    must(&e);
    same_files(GOLDEN "gguf/tiny.gguf", s.path);
    scratch_close(&s);
    tn_gguf_list_free(&keys);
    tn_json_free(golden);
    free(x);
}
END_TEST

START_TEST(alignment)
{
    static const tn_real x[] = { 1, 2, 3 };
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    for (int64_t at = 1; at <= 4096; at *= 2) {
        const tn_entry entries[] = {
            { .name = "a", .type = TN_FILE_BF16, .ndim = 1, .dim = { 1 }, .real = x },
            { .name = "b", .type = TN_FILE_F32, .ndim = 1, .dim = { 3 }, .real = x }
        };
        tn_gguf_list keys = { 0 };
        size_t size;
        tn_gguf_add_int(&keys, "general.alignment", TN_GGUF_U32, at, &e);
        tn_gguf_write(scratch_path(&s, "a.gguf"), &keys, entries, 2, &e);
        tn_gguf *g = tn_gguf_open(s.path, &e);
        must(&e);
        const char *a = tn_gguf_find(g, "a")->bytes, *b = tn_gguf_find(g, "b")->bytes;
        ck_assert_int_eq(b - a, at > 2 ? at : 2);
        free(tn_file_read(s.path, 100000, &size, &e));
        ck_assert_int_eq((int64_t)size % at, 0);
        tn_gguf_close(g);
        tn_gguf_list_free(&keys);
    }
    scratch_close(&s);
}
END_TEST

/* ---- quantised numbers ---- */

static const char *const quantised[] = { "Q8_0", "Q4_0" };

/* Rows that gguf-py quantised: normal numbers of every size, halves between two integers, blocks of
   zeros, two numbers of the same largest size, outliers, numbers whose scale is 0 as f16. */
START_TEST(the_blocks_of_gguf_py)
{
    tn_error e = { 0 };
    tn_gguf *g = tn_gguf_open(GOLDEN "gguf/blocks.gguf", &e);
    must(&e);
    const tn_entry *x = tn_gguf_find(g, "x"), *want = tn_gguf_find(g, quantised[_i]);
    const int64_t n = tn_entry_count(x);
    tn_real *numbers = malloc((size_t)n * sizeof *numbers);
    unsigned char *bytes = malloc(want->size);
    tn_gguf_real(g, x, numbers, &e);
    must(&e);
    ck_assert_uint_eq(tn_dtype_bytes(_i ? TN_Q4_0 : TN_Q8_0, n), want->size);
    tn_to_file_type(want->type, numbers, n, bytes);
    const size_t block = want->size / (size_t)(n / 32);
    for (size_t i = 0; i < want->size; i++)
        if (bytes[i] != ((const unsigned char *)want->bytes)[i])
            ck_abort_msg("%s: block %zu, byte %zu", quantised[_i], i / block, i % block);
    free(bytes);
    free(numbers);
    tn_gguf_close(g);
}
END_TEST

/* Numbers that no block holds do no harm: the sanitizers see a conversion that is out of range. */
START_TEST(blocks_of_anything)
{
    static const float odd[] = { 1e-45f, -1e-40f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN, 0, 1 };
    enum { ODD = sizeof odd / sizeof *odd };
    unsigned char bytes[34];
    tn_real x[32], back[32];
    for (int i = 0; i < ODD * ODD; i++) {
        for (int k = 0; k < 32; k++)
            x[k] = (tn_real)odd[k % 2 ? i / ODD : i % ODD];
        tn_to_file_type(_i ? TN_FILE_Q4_0 : TN_FILE_Q8_0, x, 32, bytes);
        tn_from_file_type(_i ? TN_FILE_Q4_0 : TN_FILE_Q8_0, bytes, 32, back);
        for (int k = 0; k < 32; k++)
            if (fabs((double)x[0]) < 2 && fabs((double)x[1]) < 2)
                ck_assert(fabs((double)(back[k] - x[k])) <= (_i ? 1. / 16 : 1. / 254) + 1e-3);
    }
}
END_TEST

/* ---- refusals ---- */

static const tn_real six[] = { 0, 1, 2, 3, 4, 5 };
static tn_real odd_block[32];

typedef struct bad_row {
    const char *fault;
    tn_entry entry;
    int code;
} bad_row;

#define NAME_63 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

/* clang-format off */
static const bad_row bad_rows[] = {
    { NULL, { .name = "x", .type = TN_FILE_F32, .ndim = 1, .dim = { 6 }, .real = six }, 0 },
    { NULL, { .name = NAME_63, .type = TN_FILE_F16, .ndim = 2, .dim = { 2, 3 }, .real = six }, 0 },
    { NULL, { .name = "", .type = TN_FILE_BF16, .real = six }, 0 },
    { NULL, { .name = "x", .type = TN_FILE_I8, .ndim = 1, .dim = { 6 }, .bytes = six, .size = 6 }, 0 },
    { NULL, { .name = "x", .type = TN_FILE_Q6_K, .ndim = 2, .dim = { 0, 256 } }, 0 },
    { NULL, { .name = "x", .type = TN_FILE_F32, .ndim = 2, .dim = { 1ll << 60, 0 } }, 0 },
    { "there twice", { .name = "good", .type = TN_FILE_F32, .ndim = 1, .dim = { 6 }, .real = six }, TN_EFORMAT },
    { "not UTF-8", { .name = "a\xFF", .type = TN_FILE_F32, .ndim = 1, .dim = { 6 }, .real = six }, TN_EFORMAT },
    { "a name of 64 bytes; expected at most 63", { .name = NAME_63 "n", .type = TN_FILE_F32, .ndim = 1, .dim = { 6 }, .real = six }, TN_EARG },
    { "has no name", { .type = TN_FILE_F32, .ndim = 1, .dim = { 6 }, .real = six }, TN_EARG },
    { "not a type to write", { .name = "x", .type = TN_FILE_OTHER, .ndim = 1, .dim = { 6 }, .bytes = six, .size = 6 }, TN_EARG },
    { "not a type to write", { .name = "x", .type = TN_FILE_BOOL, .ndim = 1, .dim = { 6 }, .bytes = six, .size = 6 }, TN_EARG },
    { "not a type to write", { .name = "x", .type = TN_FILE_I32, .ndim = 1, .dim = { 6 }, .real = six }, TN_EARG },
    { "not a type to write", { .name = "x", .type = TN_FILE_Q4_K, .ndim = 1, .dim = { 256 }, .real = six }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_I8, .ndim = 1, .dim = { 5 }, .bytes = six, .size = 6 }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_F32, .ndim = 1, .dim = { 6 } }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_F32, .ndim = 1, .dim = { -6 }, .real = six }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_F32, .ndim = 2, .dim = { 0, -6 }, .real = six }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_F32, .ndim = 5, .dim = { 6, 1, 1, 1, 1 }, .real = six }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_F32, .ndim = -1, .real = six }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_F32, .ndim = 2, .dim = { 1ll << 62, 4 }, .real = six }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_Q8_0, .ndim = 2, .dim = { 32, 1 }, .real = odd_block }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_Q8_0, .ndim = 0, .real = odd_block }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_Q4_0, .ndim = 1, .dim = { 32 }, .bytes = six, .size = 17 }, TN_EARG },
    { "holds nan at element 7; expected at most 8.31901e+06 for Q8_0",
      { .name = "x", .type = TN_FILE_Q8_0, .ndim = 1, .dim = { 32 }, .real = odd_block }, TN_ENONFINITE },
    { "holds nan at element 7; expected at most 524032 for Q4_0",
      { .name = "x", .type = TN_FILE_Q4_0, .ndim = 1, .dim = { 32 }, .real = odd_block }, TN_ENONFINITE },
};
/* clang-format on */

START_TEST(refuses)
{
    const bad_row *r = &bad_rows[_i];
    const tn_entry entries[] = {
        { .name = "good", .type = TN_FILE_F32, .ndim = 1, .dim = { 1 }, .real = six }, r->entry
    };
    scratch s;
    tn_error e = { 0 };
    size_t n;
    odd_block[7] = (tn_real)NAN;
    scratch_open(&s);
    const char *path = scratch_write(&s, "a", "old", 3);
    tn_gguf_write(path, NULL, entries, 2, &e);
    if (!r->fault) {
        must(&e);
        tn_gguf *g = tn_gguf_open(path, &e);
        must(&e);
        ck_assert_int_eq(tn_gguf_find(g, r->entry.name)->type, r->entry.type);
        tn_gguf_close(g);
    } else {
        must_fail(&e, r->code, r->fault);
        char *old = tn_file_read(path, 3, &n, &e);
        must(&e);
        ck_assert_str_eq(old, "old");
        free(old);
    }
    ck_assert_int_eq(access(scratch_path(&s, "a.tenon.tmp"), F_OK), -1);
    scratch_close(&s);
}
END_TEST

START_TEST(refuses_keys)
{
    static const struct {
        tn_gguf_kind kind;
        int64_t value;
        bool good;
    } rows[] = {
        { TN_GGUF_U8, 255, true },          { TN_GGUF_U8, 256, false },
        { TN_GGUF_U8, -1, false },          { TN_GGUF_I8, -128, true },
        { TN_GGUF_I8, 127, true },          { TN_GGUF_I8, -129, false },
        { TN_GGUF_I8, 128, false },         { TN_GGUF_U16, 65535, true },
        { TN_GGUF_U16, 65536, false },      { TN_GGUF_I16, -32768, true },
        { TN_GGUF_I16, 32768, false },      { TN_GGUF_U32, 4294967295, true },
        { TN_GGUF_U32, 4294967296, false }, { TN_GGUF_I32, INT32_MIN, true },
        { TN_GGUF_I32, 2147483648, false }, { TN_GGUF_U64, INT64_MAX, true },
        { TN_GGUF_U64, -1, false },         { TN_GGUF_I64, INT64_MIN, true },
        { TN_GGUF_I64, INT64_MAX, true },   { TN_GGUF_BOOL, 1, true },
        { TN_GGUF_BOOL, 2, false },         { TN_GGUF_F32, 1, false },
        { TN_GGUF_STRING, 1, false },       { TN_GGUF_ARRAY, 0, false },
        { TN_GGUF_KIND_END, 0, false },
    };
    scratch s;
    scratch_open(&s);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tn_error e = { 0 };
        tn_gguf_list keys = { 0 };
        int64_t back = 7;
        bool yes = false;
        tn_gguf_add_int(&keys, "key", rows[i].kind, rows[i].value, &e);
        ck_assert_msg((e.code == 0) == rows[i].good, "row %zu: %s", i, e.text);
        if (rows[i].good) {
            tn_gguf_write(scratch_path(&s, "k"), &keys, NULL, 0, &e);
            tn_gguf *g = tn_gguf_open(s.path, &e);
            must(&e);
            if (rows[i].kind == TN_GGUF_BOOL)
                tn_gguf_get_bool(g, "key", &yes, &e);
            else
                tn_gguf_get_int(g, "key", &back, &e);
            must(&e);
            ck_assert(rows[i].kind == TN_GGUF_BOOL ? yes : back == rows[i].value);
            ck_assert_int_eq(tn_gguf_key(g, 0)->kind, rows[i].kind);
            tn_gguf_close(g);
        } else {
            must_fail(&e, TN_EARG, "key: ");
        }
        tn_gguf_list_free(&keys);
    }
    scratch_close(&s);
}
END_TEST

/* Values whose parts do not fit, and lists that no file can have. */
START_TEST(refuses_lists)
{
    static const tn_gguf_value values[] = {
        { "k", false, TN_GGUF_U32, 1, "123", 3 },
        { "k", false, TN_GGUF_U32, 2, "1234567", 8 },
        { "k", true, TN_GGUF_U32, -1, NULL, 0 },
        { "k", true, TN_GGUF_U32, 1, NULL, 4 },
        { "k", true, TN_GGUF_ARRAY, 0, NULL, 0 },
        { "k", true, TN_GGUF_KIND_END, 0, NULL, 0 },
        { "k", false, TN_GGUF_STRING, 1, "1234567", 7 },
        { "k", false, TN_GGUF_STRING, 1, "\2\0\0\0\0\0\0\0a", 9 },
        { "k", true, TN_GGUF_STRING, 2, "\1\0\0\0\0\0\0\0a", 9 },
        { "k", true, TN_GGUF_STRING, 0, "\1\0\0\0\0\0\0\0a", 9 },
    };
    static const struct {
        const char *first, *second, *says;
        int code;
    } lists[] = {
        { "a", "a", "the key \"a\" is there twice", TN_EFORMAT },
        { "a", "", "the key \"\"; expected ASCII", TN_EFORMAT },
        { "a", "\xC3\xA9", "expected ASCII", TN_EFORMAT },
        { "a", "general.alignment", "general.alignment is 7; expected a power of two", TN_EFORMAT },
    };
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        tn_gguf_list keys = { 0 };
        tn_gguf_add(&keys, &values[i], &e);
        must_fail(&e, TN_EARG, "k: kind, count and bytes do not fit");
        ck_assert_int_eq(keys.count, 0);
        tn_gguf_list_free(&keys);
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        tn_gguf_list keys = { 0 };
        tn_gguf_add_int(&keys, lists[i].first, TN_GGUF_U32, 7, &e);
        tn_gguf_add_int(&keys, lists[i].second, TN_GGUF_U32, 7, &e);
        must(&e);
        tn_gguf_write(scratch_path(&s, "l"), &keys, NULL, 0, &e);
        must_fail(&e, lists[i].code, lists[i].says);
        ck_assert_int_eq(access(s.path, F_OK), -1);
        tn_gguf_list_free(&keys);
    }
    scratch_close(&s);
}
END_TEST

/* A link is not followed, and what it points to stays. */
START_TEST(refuses_links)
{
    scratch s;
    tn_error e = { 0 };
    size_t n;
    scratch_open(&s);
    char *target = strdup(scratch_write(&s, "target", "old", 3));
    ck_assert_int_eq(symlink(target, scratch_path(&s, "link")), 0);
    tn_gguf_write(s.path, NULL, NULL, 0, &e);
    must_fail(&e, TN_EIO, "link: a folder, link or device; expected a file or nothing");
    char *old = tn_file_read(target, 3, &n, &e);
    must(&e);
    ck_assert_str_eq(old, "old");
    free(old);
    free(target);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, copies, 0, 2);
    tcase_add_test(c, real_files);
    tcase_add_test(c, the_bytes_of_ggml);
    tcase_add_test(c, alignment);
    tcase_add_loop_test(c, the_blocks_of_gguf_py, 0, 2);
    tcase_add_loop_test(c, blocks_of_anything, 0, 2);
    tcase_add_loop_test(c, refuses, 0, sizeof bad_rows / sizeof *bad_rows);
    tcase_add_test(c, refuses_keys);
    tcase_add_test(c, refuses_lists);
    tcase_add_test(c, refuses_links);
}
