/* test_safetensors.c - reading safetensors: good files, and files with one fault each. */
#include "tests/support/tests.h"

#include "data/data.h"
#include "tests/support/assets.h"
#include "tests/support/scratch.h"

#include <string.h>
#include <unistd.h>

/* Writes a file and opens it. It has the length of the header, the header, and zeros as data. */
static tn_safetensors *open_made(scratch *s, const char *header, size_t data, tn_error *e)
{
    uint64_t n = strlen(header);
    tn_text t = { 0 };
    tn_text_bytes(&t, &n, sizeof n);
    tn_text_bytes(&t, header, n);
    for (size_t i = 0; i < data; i++)
        tn_text_bytes(&t, "", 1);
    scratch_write(s, "made", t.s, t.n);
    tn_text_free(&t);
    return tn_safetensors_open(s->path, e);
}

static void says(const tn_error *e, const scratch *s, const char *what)
{
    ck_assert_int_eq(e->code, TN_EFORMAT);
    ck_assert_msg(!strncmp(e->text, s->path, strlen(s->path)), "%s", e->text);
    ck_assert_msg(strstr(e->text, what) != NULL, "\"%s\" does not say \"%s\"", e->text, what);
}

/* ---- headers: each row is a good header with one change. error NULL: it is still good ---- */

#define A "\"a\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[0,16]}"
#define B "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[16,19]}"
#define A_WITH(dtype, shape, offsets)                                                              \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}," B "}"
#define B_WITH(dtype, shape, offsets)                                                              \
    "{" A ",\"b\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define META(m) "{\"__metadata__\":" m "," A "," B "}"

/* clang-format off */
typedef struct row { const char *header; size_t data; const char *error; } row;

static const row rows[] = {
    { "{" A "," B "}", 19, NULL },
    { "{" B "," A "}", 19, NULL },
    { "{" A "," B "}     ", 19, NULL },
    { " \n{" A "," B "}\n", 19, NULL },
    { "{}", 0, NULL },
    /* the end of the file */
    { "{" A "," B "}", 20, "the tensors end at byte 19; expected 20" },
    { "{" A "," B "}", 18, "tensor \"b\": data_offsets [16,19]; expected in [0,18]" },
    { "{}", 1, "the tensors end at byte 0; expected 1" },
    /* not a header */
    { "", 19, ":1: found the end at column 1; expected a value" },
    { "[" "]", 19, "the top value is an array, expected an object" },
    { "{" A "," B, 19, "expected ',' or '}'" },
    { "{" A "," B "}x", 19, "found 'x'" },
    { "{" A "," A "}", 19, "the key \"a\" again" },
    { "{" A ",\"\\u0061\":{}}", 19, "the key \"a\" again" },
    { "{\"a\xFF\":{}," B "}", 19, "expected UTF-8" },
    { "{\"a\\u0000\":{}," B "}", 19, "U+0000 in a key" },
    { "{\"a\":[]," B "}", 19, "/a is an array, expected an object" },
    { "{\"a\":null," B "}", 19, "/a is null, expected an object" },
    /* places */
    { A_WITH("\"I32\"", "[2,2]", "[0,16]"), 19, NULL },
    { B_WITH("\"U8\"", "[3]", "[15,18]"), 18, "tensor \"b\" begins at byte 15; expected 16, no overlap" },
    { B_WITH("\"U8\"", "[3]", "[17,20]"), 20, "tensor \"b\" begins at byte 17; expected 16, no hole" },
    { B_WITH("\"U8\"", "[3]", "[0,3]"), 16, "tensor \"a\" begins at byte 0; expected 3, no overlap" },
    { B_WITH("\"I32\"", "[2,2]", "[0,16]"), 16, "begins at byte 0; expected 16, no overlap" },
    { B_WITH("\"U8\"", "[3]", "[19,16]"), 19, "data_offsets [19,16]; expected in [0,19]" },
    { B_WITH("\"U8\"", "[3]", "[16,9223372036854775807]"), 19, "expected in [0,19]" },
    { B_WITH("\"U8\"", "[3]", "[16,18446744073709551615]"), 19, "/b/data_offsets/1 is a number" },
    { A_WITH("\"I32\"", "[2,2]", "[-0,16]"), 19, "/a/data_offsets/0 is a number, expected an integer from 0" },
    { A_WITH("\"I32\"", "[2,2]", "[0,16.0]"), 19, "/a/data_offsets/1 is a number, expected an integer" },
    { A_WITH("\"I32\"", "[2,2]", "[0]"), 19, "/a/data_offsets is an array, expected two offsets" },
    { A_WITH("\"I32\"", "[2,2]", "[0,16,16]"), 19, "expected two offsets" },
    { A_WITH("\"I32\"", "[2,2]", "{}"), 19, "/a/data_offsets is an object, expected an array" },
    /* shapes and sizes */
    { A_WITH("\"F32\"", "[4]", "[0,16]"), 19, NULL },
    { A_WITH("\"BF16\"", "[1,8,1]", "[0,16]"), 19, NULL },
    { A_WITH("\"I32\"", "[1,1,1,1,1,1,2,2]", "[0,16]"), 19, NULL },
    { A_WITH("\"I32\"", "[1,1,1,1,1,1,1,2,2]", "[0,16]"), 19, "/a/shape is an array, expected at most 8" },
    { A_WITH("\"I32\"", "[2,1]", "[0,16]"), 19, "tensor \"a\" has 16 bytes; expected 2 x I32, 64 bits" },
    { A_WITH("\"I32\"", "[]", "[0,16]"), 19, "expected 1 x I32" },
    { A_WITH("\"I32\"", "[0]", "[0,16]"), 19, "expected 0 x I32" },
    { A_WITH("\"F64\"", "[2,2]", "[0,16]"), 19, "expected 4 x F64" },
    { B_WITH("\"I32\"", "[2,2]", "[16,20]"), 20, "tensor \"b\" has 4 bytes; expected 4 x I32" },
    { A_WITH("\"I32\"", "[2,18446744073709551614]", "[0,16]"), 19, "/a/shape/1 is a number" },
    { A_WITH("\"I32\"", "[4294967296,4294967296]", "[0,16]"), 19, "tensor \"a\": its shape overflows" },
    { A_WITH("\"I32\"", "[4611686018427387904,4]", "[0,16]"), 19, "tensor \"a\": its shape overflows" },
    { A_WITH("\"I32\"", "[4611686018427387904]", "[0,16]"), 19, "tensor \"a\": its shape overflows" },
    { A_WITH("\"I32\"", "[4294967296,4294967296,0]", "[0,16]"), 19, "tensor \"a\": its shape overflows" },
    { A_WITH("\"I32\"", "[-2,-2]", "[0,16]"), 19, "/a/shape/0 is a number, expected an integer from 0" },
    { A_WITH("\"I32\"", "[2.0,2]", "[0,16]"), 19, "/a/shape/0 is a number, expected an integer" },
    { A_WITH("\"I32\"", "[2e0,2]", "[0,16]"), 19, "/a/shape/0 is a number, expected an integer" },
    { A_WITH("\"I32\"", "[\"2\",2]", "[0,16]"), 19, "/a/shape/0 is the string \"2\", expected an integer" },
    { A_WITH("\"I32\"", "[[2],2]", "[0,16]"), 19, "/a/shape/0 is an array, expected an integer" },
    { A_WITH("\"I32\"", "4", "[0,16]"), 19, "/a/shape is a number, expected an array" },
    /* types: the size of a known type is checked, the size of an unknown type is not */
    { A_WITH("\"U64\"", "[2]", "[0,16]"), 19, NULL },
    { A_WITH("\"U64\"", "[4]", "[0,16]"), 19, "expected 4 x U64" },
    { A_WITH("\"F4\"", "[32]", "[0,16]"), 19, NULL },
    { A_WITH("\"F4\"", "[33]", "[0,16]"), 19, "expected 33 x F4, 132 bits" },
    { A_WITH("\"F6_E2M3\"", "[4]", "[0,3]"), 19, "begins at byte 16; expected 3" },
    { A_WITH("\"NEW\"", "[7]", "[0,16]"), 19, NULL },
    { A_WITH("\"I32\\u0000\"", "[7]", "[0,16]"), 19, NULL },
    { A_WITH("32", "[2,2]", "[0,16]"), 19, "/a/dtype is a number, expected a string" },
    { A_WITH("null", "[2,2]", "[0,16]"), 19, "/a/dtype is null, expected a string" },
    /* parts */
    { "{\"a\":{\"shape\":[2,2],\"data_offsets\":[0,16]}," B "}", 19, "tensor \"a\" has no dtype" },
    { "{\"a\":{\"dtype\":\"I32\",\"data_offsets\":[0,16]}," B "}", 19, "tensor \"a\" has no shape" },
    { "{\"a\":{\"dtype\":\"I32\",\"shape\":[2,2]}," B "}", 19, "tensor \"a\" has no data_offsets" },
    { "{\"a\":{}," B "}", 19, "tensor \"a\" has no dtype" },
    /* empty tensors, at any border between two tensors */
    { "{" A "," B ",\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[16,16]}}", 19, NULL },
    { "{\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}," A "," B "}", 19, NULL },
    { "{" A "," B ",\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[8,8]}}", 19,
      "tensor \"e\" begins at byte 8; expected 16, no overlap" },
    /* metadata: strings only */
    { META("{}"), 19, NULL },
    { META("{\"format\":\"pt\",\"dtype\":\"x\"}"), 19, NULL },
    { META("null"), 19, NULL },
    { META("{\"step\":3}"), 19, "/__metadata__/step is a number, expected a string" },
    { META("{\"a\":{}}"), 19, "/__metadata__/a is an object, expected a string" },
    { META("[]"), 19, "/__metadata__ is an array, expected an object" },
    { META("\"pt\""), 19, "/__metadata__ is the string \"pt\", expected an object" },
};
/* clang-format on */

START_TEST(headers)
{
    const row *r = &rows[_i];
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    tn_safetensors *f = open_made(&s, r->header, r->data, &e);
    ck_assert_msg((f == NULL) == (r->error != NULL), "%s: %s", r->header, e.text);
    if (r->error)
        says(&e, &s, r->error);
    tn_safetensors_close(f);
    scratch_close(&s);
}
/* clang-format off */
END_TEST

/* ---- files whose length or first bytes are wrong ---- */

typedef struct raw_row { const char *bytes; size_t n; const char *error; } raw_row;
/* clang-format on */

static const raw_row raw_rows[] = {
    { "\2\0\0\0\0\0\0\0{}", 10, NULL },
    { "", 0, "0 bytes; expected at least 8" },
    { "\2\0\0\0\0\0\0", 7, "7 bytes; expected at least 8" },
    { "\0\0\0\0\0\0\0\0", 8, "found the end" },
    { "\3\0\0\0\0\0\0\0{}", 10, "a header of 3 bytes; expected at most 2" },
    { "\1\0\0\0\0\0\0\0{}", 10, "found the end" },
    { "\0\0\0\0\0\0\0\x80{}", 10, "a header of 9223372036854775808 bytes; expected at most 2" },
    { "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10, "a header of 18446744073709551615 bytes" },
    { "\xF8\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10, "expected at most 2" },
    { "\x89PNG\r\n\x1A\n....", 12, "expected at most 4" },
};

START_TEST(raw_files)
{
    const raw_row *r = &raw_rows[_i];
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    tn_safetensors *f = tn_safetensors_open(scratch_write(&s, "raw", r->bytes, r->n), &e);
    ck_assert_int_eq(f == NULL, r->error != NULL);
    if (r->error)
        says(&e, &s, r->error);
    tn_safetensors_close(f);
    scratch_close(&s);
}
END_TEST

/* A header of 100,000,001 bytes in a file that is large enough (it is sparse). */
START_TEST(header_too_large)
{
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    const char *path = scratch_write(&s, "large", "\1\xE1\xF5\5\0\0\0\0{}", 10);
    ck_assert_int_eq(truncate(path, 200000000), 0);
    ck_assert_ptr_null(tn_safetensors_open(path, &e));
    says(&e, &s, "a header of 100000001 bytes; expected at most 100000000");
    scratch_close(&s);
}
END_TEST

START_TEST(nested_header)
{
    scratch s;
    tn_error e = { 0 };
    char *deep = malloc(10001);
    memset(deep, '[', 10000);
    deep[10000] = 0;
    scratch_open(&s);
    ck_assert_ptr_null(open_made(&s, deep, 0, &e));
    says(&e, &s, "nested too deeply");
    free(deep);
    scratch_close(&s);
}
END_TEST

/* ---- what is read ---- */

START_TEST(golden_bytes)
{
    static const char bytes[] =
        "@\0\0\0\0\0\0\0{\"attn.0\":{\"dtype\":\"F32\",\"shape\":[1,2,3],"
        "\"data_offsets\":[0,24]}}\0\0\0\0\0\0\x80?\0\0\0@\0\0@@\0\0\x80@\0\0\xA0@";
    scratch s;
    tn_error e = { 0 };
    tn_real x[6];
    int32_t i[6];
    scratch_open(&s);
    tn_safetensors *f = tn_safetensors_open(scratch_write(&s, "g", bytes, sizeof bytes - 1), &e);
    ck_assert_msg(f != NULL, "%s", e.text);
    ck_assert_str_eq(tn_safetensors_path(f), s.path);
    ck_assert_int_eq(tn_safetensors_count(f), 1);
    const tn_entry *t = tn_safetensors_find(f, "attn.0");
    ck_assert_ptr_eq(t, tn_safetensors_at(f, 0));
    ck_assert_ptr_null(tn_safetensors_at(f, 1));
    ck_assert_ptr_null(tn_safetensors_at(f, -1));
    ck_assert_ptr_null(tn_safetensors_find(f, "attn"));
    ck_assert_ptr_null(tn_safetensors_metadata(f, "format"));
    ck_assert(t->ndim == 3 && t->dim[0] == 1 && t->dim[1] == 2 && t->dim[2] == 3);
    ck_assert(t->type == TN_FILE_F32 && t->size == 24 && tn_entry_count(t) == 6);
    ck_assert_int_eq(tn_entry_real(f, t, x, &e), 0);
    for (int k = 0; k < 6; k++)
        ck_assert(x[k] == (tn_real)k);
    ck_assert_int_eq(tn_entry_int(f, t, i, &e), TN_EFORMAT);
    says(&e, &s, "tensor \"attn.0\" is of type F32; expected I32 or I64");
    tn_safetensors_close(f);
    scratch_close(&s);
}
END_TEST

/* Names with any characters, tensors in the order of their data, scalars, empty tensors,
   metadata. */
START_TEST(entries)
{
    static const char header[] =
        "{\"z\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
        "\"a \\\"\\u00e9\\n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[3,11],\"more\":[1]},"
        "\"\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[1,3]},"
        "\"e\":{\"dtype\":\"BF16\",\"shape\":[3,0],\"data_offsets\":[3,3]},"
        "\"__metadata__\":{\"format\":\"pt\",\"\":\"x\"}}";
    static const char *const order[] = { "z", "", "e", "a \"\xC3\xA9\n" };
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    tn_safetensors *f = open_made(&s, header, 11, &e);
    ck_assert_msg(f != NULL, "%s", e.text);
    ck_assert_int_eq(tn_safetensors_count(f), 4);
    for (int64_t i = 0; i < 4; i++) {
        ck_assert_str_eq(tn_safetensors_at(f, i)->name, order[i]);
        ck_assert_ptr_eq(tn_safetensors_find(f, order[i]), tn_safetensors_at(f, i));
    }
    const tn_entry *scalar = tn_safetensors_at(f, 3), *empty = tn_safetensors_at(f, 2);
    ck_assert(scalar->ndim == 0 && tn_entry_count(scalar) == 1);
    ck_assert(empty->ndim == 2 && tn_entry_count(empty) == 0);
    ck_assert_str_eq(tn_safetensors_metadata(f, "format"), "pt");
    ck_assert_str_eq(tn_safetensors_metadata(f, ""), "x");
    ck_assert_ptr_null(tn_safetensors_metadata(f, "z"));
    ck_assert_ptr_null(tn_safetensors_find(f, "__metadata__"));
    tn_safetensors_close(f);
    scratch_close(&s);
}
END_TEST

/* Numbers at odd addresses, of every type that can be read. Other types are refused by their
   names. */
START_TEST(numbers)
{
    static const struct {
        const char *dtype, *bytes;
        size_t size;
        double x;
        bool real, whole;
    } table[] = {
        { "F64", "\0\0\0\0\0\0\xF8\xBF", 8, -1.5, true, false },
        { "F32", "\0\0\xC0\xBF", 4, -1.5, true, false },
        { "F16", "\0\xBE", 2, -1.5, true, false },
        { "BF16", "\xC0\xBF", 2, -1.5, true, false },
        { "I64", "\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8, -2, false, true },
        { "I64", "\xFF\xFF\xFF\x7F\0\0\0\0", 8, INT32_MAX, false, true },
        { "I64", "\0\0\0\x80\xFF\xFF\xFF\xFF", 8, INT32_MIN, false, true },
        { "I64", "\0\0\0\x80\0\0\0\0", 8, 0, false, false },
        { "I64", "\xFF\xFF\xFF\x7F\xFF\xFF\xFF\xFF", 8, 0, false, false },
        { "I32", "\xFE\xFF\xFF\xFF", 4, -2, false, true },
        { "I16", "\1\0", 2, 0, false, false },
        { "U8", "\1", 1, 0, false, false },
        { "BOOL", "\1", 1, 0, false, false },
        { "U32", "\1\0\0\0", 4, 0, false, false },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        scratch s;
        tn_error e = { 0 };
        tn_text t = { 0 };
        tn_text_bytes(&t, "\0\0\0\0\0\0\0\0", 8);
        tn_text_add(&t, "{\"p\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},");
        tn_text_add(&t, "\"x\":{\"dtype\":\"%s\",\"shape\":[1],\"data_offsets\":[1,%zu]}}",
                    table[i].dtype, table[i].size + 1);
        while (t.n % 8)
            tn_text_add(&t, " ");
        t.s[0] = (char)(t.n - 8);
        tn_text_bytes(&t, "", 1);
        tn_text_bytes(&t, table[i].bytes, table[i].size);
        scratch_open(&s);
        tn_safetensors *f = tn_safetensors_open(scratch_write(&s, "n", t.s, t.n), &e);
        ck_assert_msg(f != NULL, "%s", e.text);
        tn_real x = 0;
        int32_t k = 0;
        int got = tn_entry_real(f, tn_safetensors_find(f, "x"), &x, &e);
        ck_assert_int_eq(got, table[i].real ? 0 : TN_EFORMAT);
        if (!table[i].real)
            says(&e, &s, table[i].dtype);
        e = (tn_error){ 0 };
        got = tn_entry_int(f, tn_safetensors_find(f, "x"), &k, &e);
        ck_assert_int_eq(got, table[i].whole ? 0 : TN_EFORMAT);
        ck_assert((double)x + k == table[i].x);
        tn_safetensors_close(f);
        tn_text_free(&t);
        scratch_close(&s);
    }
}
END_TEST

/* 100,000 tensors are opened and found in linear time. */
START_TEST(many_tensors)
{
    scratch s;
    tn_error e = { 0 };
    tn_text t = { 0 };
    int n = 100000;
    tn_text_add(&t, "{");
    for (int i = 0; i < n; i++)
        tn_text_add(&t, "%s\"layer.%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                    i ? "," : "", i, n - 1 - i, n - i);
    tn_text_add(&t, "}");
    scratch_open(&s);
    tn_safetensors *f = open_made(&s, t.s, (size_t)n, &e);
    ck_assert_msg(f != NULL, "%s", e.text);
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "layer.%d", i);
        ck_assert_ptr_eq(tn_safetensors_find(f, name), tn_safetensors_at(f, n - 1 - i));
    }
    tn_safetensors_close(f);
    tn_text_free(&t);
    scratch_close(&s);
}
END_TEST

START_TEST(earlier_errors_and_missing_files)
{
    tn_error e = { .code = TN_ESTATE, .text = "earlier" };
    ck_assert_ptr_null(tn_safetensors_open("/nonexistent", &e));
    ck_assert_str_eq(e.text, "earlier");
    for (int i = 0; i < 2; i++) {
        e = (tn_error){ 0 };
        ck_assert_ptr_null(tn_safetensors_open(i ? "/" : "/nonexistent", &e));
        ck_assert_int_eq(e.code, TN_EIO);
    }
    tn_safetensors_close(NULL);
}
END_TEST

static void opens(const char *path)
{
    tn_error e = { 0 };
    tn_safetensors *f = tn_safetensors_open(path, &e);
    ck_assert_msg(f != NULL, "%s", e.text);
    tn_safetensors_close(f);
}

START_TEST(real_files)
{
    assets_each(".safetensors", opens);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, headers, 0, sizeof rows / sizeof *rows);
    tcase_add_loop_test(c, raw_files, 0, sizeof raw_rows / sizeof *raw_rows);
    tcase_add_test(c, header_too_large);
    tcase_add_test(c, nested_header);
    tcase_add_test(c, golden_bytes);
    tcase_add_test(c, entries);
    tcase_add_test(c, numbers);
    tcase_add_test(c, many_tensors);
    tcase_add_test(c, earlier_errors_and_missing_files);
    tcase_add_test(c, real_files);
}
