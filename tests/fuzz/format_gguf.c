/* format_gguf.c - GGUF: keys with values, and tensors, as gguf_text.h writes them. */
#include "tests/fuzz/gguf_text.h"

#include "data/gguf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "head 3 * *\n"
                           "key general.architecture string llama\n"
                           "key general.alignment u32 32\n"
                           "key u8 u8 200\n"
                           "key i8 i8 -3\n"
                           "key u16 u16 65535\n"
                           "key i16 i16 -300\n"
                           "key i32 i32 -70000\n"
                           "key u64 u64 1099511627776\n"
                           "key i64 i64 -5\n"
                           "key f32 f32 0.5\n"
                           "key f64 f64 -0.25\n"
                           "key yes bool 1\n"
                           "key words array string 3 <s> a b%20c\n"
                           "key scores array f32 3 0 -1 -2\n"
                           "key flags array bool 2 0 1\n"
                           "key nothing array u8 0\n"
                           "tensor a 0 * 3 2\n"
                           "tensor b.weight 8 * 32 2\n"
                           "tensor c 14 * 256\n"
                           "tensor empty 0 * 0 4\n"
                           "tensor last 1 * 5\n"
                           "data 32 ";
enum { DATA = 384 }; /* bytes: 32 of a, 96 of b, 224 of c, 10 of last and 22 after them */

#define KEY_100                                                                                    \
    "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define NAME_64 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

/* 22 bytes of the data */
#define HEX_22 "007be651cc37a21d88f36ed944bf2a95007be651cc37"

static const row rows[] = {
    /* the head */
    { NULL, "", "0 bytes; expected at least 1", false },
    { NULL, "raw 47",
      "offset 0: the file ends after 1 bytes of the mark of a GGUF file; expected 4", false },
    { NULL, "raw 47475546", "offset 4: the file ends after 0 bytes of the version; expected 4",
      false },
    { NULL, "raw 4747554603000000", "offset 8: the file ends after 0 bytes of a count", false },
    { NULL, "raw 47475546030000000000000000000000",
      "offset 16: the file ends after 0 bytes of a count", false },
    { NULL, "raw 464747550300000000000000000000000000000000000000", "offset 0: not a GGUF file",
      false },
    { "GGUF", "GGML", "offset 0: not a GGUF file; expected the letters GGUF", true },
    { "head 3", "head 1", "offset 4: version 1; expected 2 or 3", false },
    { "head 3", "head 4", "offset 4: version 4; expected 2 or 3", false },
    { "head 3", "head 0", "offset 4: version 0", false },
    { "head 3", "head 50331648", "offset 4: version 3 of a big-endian file", false },
    { "head 3 * *", "head 3 1099511627776 *", "offset 8: 1099511627776 tensors; expected at most 4",
      false },
    { "head 3 * *", "head 3 * 1099511627776", "offset 16: 1099511627776 keys; expected at most ",
      false },
    { "head 3 * *", "head 3 18446744073709551615 *", "offset 8: 18446744073709551615 tensors",
      false },
    { "head 3 * *", "head 3 40 *", "tensor \"\" begins at byte ", false },
    { "head 3 * *", "head 3 6 *", "tensor \"\" begins at byte", false },
    { "head 3 * *", "head 3 4 *", "bytes after the last tensor; expected none", false },
    { "head 3 * *", "head 3 * 17", "the name of a tensor of ", false },
    { "head 3 * *", "head 3 * 15", "tensor \"nothing\" has 9 dimensions", false },
    /* keys */
    { "key u8", "key i8", "the key \"i8\" is there twice; expected it once", false },
    { "key u8", "key general.architecture", "\"general.architecture\" is there twice", false },
    { "key u8", "key @0:", "the key \"\"; expected ASCII", false },
    { "key u8", "key u8\xc3\xa9", "expected ASCII", false },
    { "key u8", "key u8\xff", "a key that is not UTF-8", false },
    { "key u8", "key u%008", "a key that is not UTF-8", false },
    { "key u8", "key @1152921504606846976:u8",
      "a key of 1152921504606846976 bytes; expected at most 65535", false },
    { "key u8", "key @18446744073709551615:u8", "a key of 18446744073709551615 bytes", false },
    { "key u8", "key @60000:u8", "the file ends after ", false },
    /* values */
    { "u8 u8 200", "u8 13 200", "key \"u8\" is of kind 13; expected 0 to 12", false },
    { "u8 u8 200", "u8 4294967295", "is of kind 4294967295", false },
    { "string llama", "string @1152921504606846976:llama", "a string of 1152921504606846976 bytes",
      false },
    { "string llama", "string @18446744073709551610:llama",
      "a string of 18446744073709551610 bytes", false },
    { "string llama", "string @5000:llama", "a string of 5000 bytes", false },
    { "yes bool 1", "yes bool 2", "key \"yes\" has the boolean 2; expected 0 or 1", false },
    { "flags array bool 2 0 1", "flags array bool 2 0 255", "key \"flags\" has the boolean 255",
      false },
    { "words array string 3", "words array array 3", "key \"words\" is an array of arrays", false },
    { "words array string 3", "words array 99 3", "key \"words\" is of kind 99", false },
    { "words array string 3", "words array string 1152921504606846976",
      "1152921504606846976 elements of an array", false },
    { "words array string 3", "words array string 18446744073709551615",
      "18446744073709551615 elements", false },
    { "words array string 3 <s>", "words array string 3 @999999:<s>", "a string of 999999 bytes",
      false },
    { "words array string 3 <s>", "words array string 300 <s>", "300 elements of an array", false },
    { "scores array f32 3", "scores array f32 4611686018427387904", "4611686018427387904 elements",
      false },
    { "scores array f32 3", "scores array f64 2305843009213693953", "2305843009213693953 elements",
      false },
    { "general.alignment u32 32", "general.alignment u32 0",
      "general.alignment is 0; expected a power of two", false },
    { "general.alignment u32 32", "general.alignment u32 33", "general.alignment is 33", false },
    { "general.alignment u32 32", "general.alignment u64 32",
      "general.alignment is not of kind U32", false },
    { "general.alignment u32 32", "general.alignment string 32", "general.alignment is a string",
      false },
    { "general.alignment u32 32", "general.alignment array u32 1 32",
      "general.alignment is an array of 1 integers", false },
    { "general.alignment u32 32", "general.alignment u32 64",
      "tensor \"b.weight\" begins at byte 32 of the data; expected 64, no overlap", false },
    { "general.alignment u32 32", "general.alignment u32 16",
      "tensor \"c\" begins at byte 128 of the data; expected 112, no hole", false },
    { "general.alignment u32 32", "general.alignment u32 1",
      "tensor \"b.weight\" begins at byte 32 of the data; expected 24, no hole", false },
    /* tensors: names */
    { "tensor a", "tensor last", "the tensor \"last\" is there twice", false },
    { "tensor a", "tensor \xff", "the name of a tensor that is not UTF-8", false },
    { "tensor a", "tensor a%00b", "the name of a tensor that is not UTF-8", false },
    { "tensor a", "tensor " NAME_64 "n", "the name of a tensor of 65 bytes; expected at most 64",
      false },
    { "tensor a", "tensor @9223372036854775807:a",
      "the name of a tensor of 9223372036854775807 bytes", false },
    { "tensor a", "tensor @64:", "the name of a tensor that is not UTF-8", false },
    /* shapes */
    { "a 0 * 3 2", "a 0 * 5 3 2 1 1 1", "tensor \"a\" has 5 dimensions; expected at most 4",
      false },
    { "a 0 * 3 2", "a 0 * 4294967295 3 2 1 1 1", "tensor \"a\" has 4294967295 dimensions", false },
    { "a 0 * 3 2", "a 0 * 18446744073709551615 2",
      "tensor \"a\" has a dimension of 18446744073709551615", false },
    { "a 0 * 3 2", "a 0 * 9223372036854775808 0",
      "tensor \"a\" has a dimension of 9223372036854775808", false },
    { "a 0 * 3 2", "a 0 * 4294967296 4294967296", "tensor \"a\": its shape overflows", false },
    { "a 0 * 3 2", "a 0 * 4294967296 1073741824", "tensor \"a\": its shape overflows", false },
    { "a 0 * 3 2", "a 0 * 4294967296 4294967296 0", "tensor \"a\": its shape overflows", false },
    { "b.weight 8 * 32 2", "b.weight 8 * 33 2",
      "tensor \"b.weight\" has rows of 33 x Q8_0; expected a multiple of 32", false },
    { "b.weight 8 * 32 2", "b.weight 8 * 2 32", "tensor \"b.weight\" has rows of 2 x Q8_0", false },
    { "b.weight 8 * 32 2", "b.weight 8 *", "tensor \"b.weight\" has rows of 1 x Q8_0", false },
    { "c 14 * 256", "c 14 * 128 2",
      "tensor \"c\" has rows of 128 x Q6_K; expected a multiple of 256", false },
    { "a 0 * 3 2", "a 0 * 300000 2",
      "tensor \"a\": 2400000 bytes at byte 0 of the data, which have 384 bytes", false },
    { "last 1 * 5", "last 1 * 4611686018427387903", "tensor \"last\": 9223372036854775806 bytes",
      false },
    { "a 0 * 3 2\n", "a 24 * 9223372036854775807\ntensor x 24 * 9223372036854775807\n",
      "have more than 2^64 bytes", false },
    /* types */
    { "a 0 *", "a 4 *", "tensor \"a\" is of the unknown type 4", false },
    { "a 0 *", "a 99 *", "tensor \"a\" is of the unknown type 99", false },
    { "a 0 *", "a 4294967295 *", "tensor \"a\" is of the unknown type 4294967295", false },
    { "c 14 * 256", "c 11 * 256 2", "tensor \"c\" is of type Q3_K; expected F32, F16", false },
    { "c 14 * 256", "c 16 * 256 3", "tensor \"c\" is of type IQ2_XXS; expected F32, F16", false },
    { "a 0 * 3 2", "a 26 * 3 2", "tensor \"a\" is of type I32; expected F32, F16", false },
    /* places */
    { "a 0 *", "a 0 32", "tensor \"a\" begins at byte 32 of the data; expected 0, no hole", false },
    { "b.weight 8 *", "b.weight 8 0",
      "tensor \"b.weight\" begins at byte 0 of the data; expected 32, no overlap", false },
    { "b.weight 8 *", "b.weight 8 24", "begins at byte 24 of the data; expected 32", false },
    { "b.weight 8 *", "b.weight 8 33", "begins at byte 33 of the data; expected 32", false },
    { "b.weight 8 *", "b.weight 8 18446744073709551584", "begins at byte 18446744073709551584",
      false },
    { "last 1 * 5", "last 1 * 5 4",
      "tensor \"last\": 40 bytes at byte 352 of the data, which have 384 bytes", false },
    { "", "00", "bytes after the last tensor; expected none", false },
    { "tensor last 1 * 5\n", "", "32 bytes after the last tensor", false },
    { HEX_22 "a2", "", "tensor \"last\": 10 bytes at byte 352 of the data, which have 361 bytes",
      false },
    { "empty 0 * 0 4", "empty 12 * 256 0 9223372036854775807",
      "tensor \"empty\": its shape overflows", false },
    { "data 32 ", NULL, "tensor \"a\": 24 bytes at byte 0 of the data, which have 0 bytes", false },
    { "general.alignment", NULL,
      "offset 8: 5 tensors; expected at most 2 in the bytes that are left", true },
    { "b.weight", NULL, "the file ends after 0 bytes of the name of a tensor; expected 8", true },
    /* valid */
    { "head 3", "head 2", NULL, false },
    { NULL, "head 3 * *\n", NULL, false },
    { NULL, "head 3 * *\ndata 32 ", NULL, false },
    { NULL, "head 3 * *\nkey k string @0:\n", NULL, false },
    { NULL, "head 3 * *\ntensor a 0 * 0\n", NULL, false },
    { "key general.alignment u32 32\n", "", NULL, false },
    { "key u8", "key " KEY_100, NULL, false },
    { "key u8", "key \x01%7f", NULL, false },
    { "string llama", "string \xff%00\xc3", NULL, false },
    { "words array string 3 <s>", "words array string 3 \xff%00", NULL, false },
    { "f32 f32 0.5", "f32 f32 nan", NULL, false },
    { "f64 f64 -0.25", "f64 f64 inf", NULL, false },
    { "u64 u64 1099511627776", "u64 u64 18446744073709551615", NULL, false },
    { "tensor a", "tensor " NAME_64, NULL, false },
    { "tensor a", "tensor @0:", NULL, false },
    { "tensor a", "tensor \xc3\xa9", NULL, false },
    { "a 0 * 3 2", "a 0 *", NULL, false },
    { "a 0 * 3 2", "a 0 * 1 3 1 2", NULL, false },
    { "a 0 * 3 2", "a 30 * 3 2", NULL, false },
    { "a 0 * 3 2", "a 28 * 3", NULL, false },
    { "b.weight 8 * 32 2", "b.weight 2 * 32 4", NULL, false },
    { "b.weight 8 * 32 2", "b.weight 6 * 32 4", NULL, false },
    { "empty 0 * 0 4", "empty 12 * 256 0 1000000000000", NULL, false },
    { HEX_22, "", NULL, false },
    END,
};

static void furnish(const char *folder)
{
    char all[sizeof text + 2 * DATA];
    size_t n = sizeof text - 1;
    memcpy(all, text, n);
    for (int i = 0; i < DATA; i++, n += 2) {
        all[n] = "0123456789abcdef"[i * 7 % 16];
        all[n + 1] = "0123456789abcdef"[i * 11 % 16];
    }
    bytes file = gguf_pack((bytes){ all, n });
    file_write(folder, "x.gguf", file);
    free(file.s);
}

static void must_be(bool right)
{
    if (!right)
        abort();
}

/* Every getter with every key, and every element. */
static void use_value(const tn_gguf *g, const tn_gguf_value *v)
{
    tn_error each[4] = { 0 };
    int64_t whole = 0;
    double x = 0;
    bool yes = false;
    const char *string = NULL;
    must_be(tn_gguf_value_of(g, v->key) == v);
    tn_gguf_get_int(g, v->key, &whole, &each[0]);
    tn_gguf_get_real(g, v->key, &x, &each[1]);
    tn_gguf_get_bool(g, v->key, &yes, &each[2]);
    tn_gguf_get_string(g, v->key, &string, &each[3]);
    must_be(!each[3].code == (string != NULL) && isfinite(x));
    for (int i = 0; i < 4; i++)
        must_be(!each[i].code || strstr(each[i].text, "; expected"));
    for (int64_t i = -1; i <= v->count; i++) {
        const bool there = tn_gguf_float(v, i, &x) || tn_gguf_int(v, i, &whole);
        must_be(!there || (i >= 0 && i < v->count && v->kind != TN_GGUF_STRING));
    }
    tn_span span;
    size_t at = 0, sum = 0;
    int64_t strings = 0;
    for (; tn_gguf_string(v, &at, &span); strings++)
        for (size_t i = 0; i < span.n; i++)
            sum += (unsigned char)span.s[i];
    must_be(strings == (v->kind == TN_GGUF_STRING ? v->count : 0) && sum < SIZE_MAX);
}

/* Writes all of it and reads it again: the same values, the same bytes of tensors. */
static void write_again(const tn_gguf *g, const char *folder, tn_error *e)
{
    char *path = path_in(folder, "again");
    const int64_t n = tn_gguf_count(g);
    tn_entry *entries = calloc((size_t)n + 1, sizeof *entries);
    tn_gguf_list keys = { 0 };
    for (int64_t i = 0; i < tn_gguf_keys(g); i++)
        if (strcmp(tn_gguf_key(g, i)->key, "general.alignment") != 0)
            must_be(!tn_gguf_add(&keys, tn_gguf_key(g, i), e));
    for (int64_t i = 0; i < n; i++) {
        entries[i] = *tn_gguf_at(g, i);
        if (strlen(entries[i].name) > 63)
            entries[i].name = "shorter";
    }
    tn_gguf_write(path, &keys, entries, n, e);
    tn_gguf *again = tn_gguf_open(path, e);
    for (int64_t i = 0; i < n && again; i++) {
        const tn_entry *a = tn_gguf_at(again, i);
        must_be(a->size == entries[i].size && a->ndim == entries[i].ndim);
        must_be(!memcmp(a->bytes, entries[i].bytes, a->size));
    }
    must_be(!again || tn_gguf_count(again) == n);
    tn_gguf_close(again);
    tn_gguf_list_free(&keys);
    free(entries);
    free(path);
}

/* Every value, and every tensor as numbers. */
static int use(const char *folder, tn_error *e)
{
    char *path = path_in(folder, "x.gguf");
    tn_gguf *g = tn_gguf_open(path, e);
    for (int64_t i = 0; i < tn_gguf_keys(g); i++)
        use_value(g, tn_gguf_key(g, i));
    for (int64_t i = 0; i < tn_gguf_count(g) && !e->code; i++) {
        const tn_entry *t = tn_gguf_at(g, i);
        tn_real *numbers = malloc((size_t)tn_entry_count(t) * sizeof *numbers + 1);
        must_be(tn_gguf_find(g, t->name) == t && tn_gguf_type(g, t));
        tn_gguf_real(g, t, numbers, e);
        free(numbers);
    }
    tn_error of_writing = { 0 };
    if (g && !e->code)
        write_again(g, folder, &of_writing);
    must_be(!of_writing.code || strstr(of_writing.text, "is there twice"));
    tn_gguf_close(g);
    free(path);
    return e->code;
}

/* clang-format off */
const format format_gguf = { .name = "gguf", .file = "x.gguf", .furnish = furnish, .use = use,
                             .pack = gguf_pack, .unpack = gguf_unpack, .rows = rows };
/* clang-format on */
