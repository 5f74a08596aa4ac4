/* test_safetensors_write.c - writing safetensors: the same bytes as the library of the format. */
#include "tests/support/tests.h"

#include "data/data.h"
#include "tests/support/assets.h"
#include "tests/support/scratch.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static const tn_real six[] = { 0, 1, 2, 3, 4, 5 };

#define SIX "\0\0\0\0\0\0\x80?\0\0\0@\0\0@@\0\0\x80@\0\0\xA0@"

/* ---- the bytes that the library of the format writes; they are from its tests ---- */

typedef struct golden_row {
    int64_t n;
    tn_entry entry;
    const char *metadata[3];
    const char *bytes;
    size_t size;
} golden_row;

#define BYTES(b) .bytes = b, .size = sizeof b - 1

/* clang-format off */
static const golden_row golden_rows[] = {
    { .n = 1,
      .entry = { .name = "attn.0", .type = TN_FILE_F32, .ndim = 3, .dim = { 1, 2, 3 }, .real = six },
      BYTES("@\0\0\0\0\0\0\0{\"attn.0\":{\"dtype\":\"F32\",\"shape\":[1,2,3],\"data_offsets\":[0,24]}}" SIX) },
    { .n = 1,
      .entry = { .name = "attn0", .type = TN_FILE_F32, .ndim = 4, .dim = { 1, 1, 2, 3 }, .real = six },
      BYTES("H\0\0\0\0\0\0\0{\"attn0\":{\"dtype\":\"F32\",\"shape\":[1,1,2,3],\"data_offsets\":[0,24]}}"
            "       " SIX) },
    { .n = 0, BYTES("\10\0\0\0\0\0\0\0{}      ") },
    { .n = 0,
      .metadata = { "framework", "pt" },
      BYTES("(\0\0\0\0\0\0\0{\"__metadata__\":{\"framework\":\"pt\"}}     ") },
};
/* clang-format on */

static void holds(const char *path, const void *bytes, size_t size)
{
    tn_error e = { 0 };
    size_t n;
    char *got = tn_file_read(path, 1 << 30, &n, &e);
    ck_assert_msg(got != NULL, "%s", e.text);
    ck_assert_uint_eq(n, size);
    ck_assert(!memcmp(got, bytes, size));
    free(got);
}

START_TEST(golden_bytes)
{
    const golden_row *r = &golden_rows[_i];
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    const char *path = scratch_path(&s, "g");
    const char *const *metadata = r->metadata[0] ? r->metadata : NULL;
    ck_assert_msg(!tn_safetensors_write(path, &r->entry, r->n, metadata, &e), "%s", e.text);
    holds(path, r->bytes, r->size);
    scratch_close(&s);
}
END_TEST

/* The library orders tensors by type, in the order of its list of types, then by the bytes of the
   name. */
START_TEST(order)
{
    static const tn_file_type types[] = { TN_FILE_BOOL, TN_FILE_U8,   TN_FILE_I8,  TN_FILE_I16,
                                          TN_FILE_F16,  TN_FILE_BF16, TN_FILE_I32, TN_FILE_F32,
                                          TN_FILE_F64,  TN_FILE_I64 };
    static const char *const names[] = { "b", "a", "B", "\xC3\xA9", "a.10" };
    static const char *const sorted[] = { "B", "a.10", "a", "b", "\xC3\xA9" };
    enum { TYPES = 10, NAMES = 5 };
    char name[TYPES][NAMES][16];
    tn_entry entries[TYPES * NAMES];
    scratch s;
    tn_error e = { 0 };
    for (int i = 0; i < TYPES; i++) {
        for (int j = 0; j < NAMES; j++) {
            snprintf(name[i][j], sizeof name[i][j], "%s%s", names[j], tn_file_type_name(types[i]));
            entries[i * NAMES + j] = (tn_entry){ .name = name[i][j],
                                                 .type = types[i],
                                                 .ndim = 1,
                                                 .dim = { 1 },
                                                 .bytes = six,
                                                 .size = 0 };
        }
    }
    static const size_t sizes[] = { 1, 1, 1, 2, 2, 2, 4, 4, 8, 8 };
    for (int i = 0; i < TYPES * NAMES; i++)
        entries[i].size = sizes[i / NAMES];
    scratch_open(&s);
    const char *path = scratch_path(&s, "o");
    ck_assert_msg(!tn_safetensors_write(path, entries, TYPES * NAMES, NULL, &e), "%s", e.text);
    tn_safetensors *f = tn_safetensors_open(path, &e);
    ck_assert_msg(f != NULL, "%s", e.text);
    for (int i = 0; i < TYPES * NAMES; i++) {
        const tn_entry *t = tn_safetensors_at(f, i);
        ck_assert_int_eq(t->type, types[TYPES - 1 - i / NAMES]);
        ck_assert_int_eq(strncmp(t->name, sorted[i % NAMES], strlen(sorted[i % NAMES])), 0);
    }
    tn_safetensors_close(f);
    scratch_close(&s);
}
END_TEST

/* More numbers than one chunk, converted to each floating type and read again. */
START_TEST(converts)
{
    enum { N = 10000 };
    static const tn_file_type types[] = { TN_FILE_F64, TN_FILE_F32, TN_FILE_F16, TN_FILE_BF16 };
    tn_real *x = malloc(N * sizeof *x), *back = malloc(N * sizeof *x);
    char *bytes = malloc(N * 8);
    scratch s;
    tn_error e = { 0 };
    for (int i = 0; i < N; i++)
        x[i] = (tn_real)sin(i);
    scratch_open(&s);
    for (int i = 0; i < 4; i++) {
        const tn_entry t = {
            .name = "x", .type = types[i], .ndim = 2, .dim = { N / 8, 8 }, .real = x
        };
        ck_assert_int_eq(tn_safetensors_write(scratch_path(&s, "c"), &t, 1, NULL, &e), 0);
        tn_safetensors *f = tn_safetensors_open(s.path, &e);
        ck_assert_int_eq(tn_entry_real(f, tn_safetensors_at(f, 0), back, &e), 0);
        tn_to_file_type(types[i], x, N, bytes);
        ck_assert(!memcmp(tn_safetensors_at(f, 0)->bytes, bytes, tn_safetensors_at(f, 0)->size));
        double most = types[i] == TN_FILE_BF16  ? 0x1p-9
                      : types[i] == TN_FILE_F16 ? 0x1p-12
                                                : 0x1p-25;
        for (int k = 0; k < N; k++)
            ck_assert(fabs((double)(back[k] - x[k])) <= most);
        tn_safetensors_close(f);
    }
    free(bytes);
    free(back);
    free(x);
    scratch_close(&s);
}
END_TEST

/* Save, load, save gives the same bytes. The second save replaces the file from which it reads. */
START_TEST(round_trip)
{
    static const char *const metadata[] = { "format", "pt", "a \"\n\xC3\xA9", "", NULL };
    const tn_entry entries[] = {
        { .name = "w \"\\/\t\xC3\xA9",
          .type = TN_FILE_BF16,
          .ndim = 2,
          .dim = { 2, 3 },
          .real = six },
        { .name = "scalar", .type = TN_FILE_F64, .real = six + 3 },
        { .name = "empty", .type = TN_FILE_F32, .ndim = 2, .dim = { 0, 5 } },
        { .name = "", .type = TN_FILE_U8, .ndim = 1, .dim = { 5 }, .bytes = "bytes", .size = 5 },
    };
    scratch s;
    tn_error e = { 0 };
    size_t size;
    scratch_open(&s);
    const char *path = scratch_path(&s, "r");
    ck_assert_msg(!tn_safetensors_write(path, entries, 4, metadata, &e), "%s", e.text);
    char *first = tn_file_read(path, 10000, &size, &e);
    tn_safetensors *f = tn_safetensors_open(path, &e);
    ck_assert_msg(f != NULL, "%s", e.text);
    ck_assert_str_eq(tn_safetensors_metadata(f, "a \"\n\xC3\xA9"), "");
    tn_entry again[4];
    for (int64_t i = 0; i < 4; i++)
        again[3 - i] = *tn_safetensors_at(f, i);
    ck_assert_msg(!tn_safetensors_write(path, again, 4, metadata, &e), "%s", e.text);
    holds(path, first, size);
    tn_safetensors_close(f);
    free(first);
    scratch_close(&s);
}
/* clang-format off */
END_TEST

/* ---- what is not written ---- */

typedef struct bad_row { const char *fault; tn_entry entry; int code; } bad_row;

static const bad_row bad_rows[] = {
    { NULL, { .name = "x", .type = TN_FILE_F32, .ndim = 1, .dim = { 6 }, .real = six }, 0 },
    { NULL, { .name = "x", .type = TN_FILE_I8, .ndim = 1, .dim = { 6 }, .bytes = six, .size = 6 }, 0 },
    { "\"good\" again", { .name = "good", .type = TN_FILE_F32, .ndim = 1, .dim = { 6 }, .real = six }, TN_EFORMAT },
    { "\"good\" again", { .name = "good", .type = TN_FILE_F16, .ndim = 1, .dim = { 6 }, .real = six }, TN_EFORMAT },
    { "not a possible name", { .name = "\xFF", .type = TN_FILE_F32, .ndim = 1, .dim = { 6 }, .real = six }, TN_EARG },
    { "not a possible name", { .name = "__metadata__", .type = TN_FILE_F32, .real = six }, TN_EARG },
    { "not a type to write", { .name = "x", .type = TN_FILE_OTHER, .ndim = 1, .dim = { 6 }, .bytes = six, .size = 6 },
      TN_EARG },
    { "not a type to write", { .name = "x", .type = TN_FILE_I32, .ndim = 1, .dim = { 6 }, .real = six }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_I8, .ndim = 1, .dim = { 5 }, .bytes = six, .size = 6 }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_F32, .ndim = 1, .dim = { 6 } }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_F32, .ndim = 1, .dim = { -6 }, .real = six }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_F32, .ndim = 2, .dim = { 0, -6 }, .real = six }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_F32, .ndim = 9, .real = six }, TN_EARG },
    { "do not fit", { .name = "x", .type = TN_FILE_F32, .ndim = 2, .dim = { 1ll << 62, 4 }, .real = six }, TN_EARG },
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
    scratch_open(&s);
    const char *path = scratch_write(&s, "a", "old", 3);
    ck_assert_int_eq(tn_safetensors_write(path, entries, 2, NULL, &e), r->code);
    if (r->code) {
        ck_assert_msg(strstr(e.text, r->fault) != NULL, "\"%s\" does not say \"%s\"", e.text,
                      r->fault);
        ck_assert_int_eq(strncmp(e.text, path, strlen(path)), 0);
        holds(path, "old", 3);
    }
    ck_assert_int_eq(access(scratch_path(&s, "a.tmp"), F_OK), -1);
    scratch_close(&s);
}
END_TEST

static const struct {
    const char *list[5];
    int code;
} bad_metadata[] = {
    { { "a", "1", "a", "2" }, TN_EFORMAT }, /* a key twice */
    { { "a" }, TN_EARG },                   /* a key without a value */
    { { "a", "1", "b" }, TN_EARG },
};

START_TEST(refuses_wrong_metadata)
{
    const char *const *metadata = bad_metadata[_i].list;
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    ck_assert_int_eq(tn_safetensors_write(scratch_path(&s, "a"), NULL, 0, metadata, &e),
                     bad_metadata[_i].code);
    ck_assert_int_eq(access(s.path, F_OK), -1);
    scratch_close(&s);
}
END_TEST

START_TEST(reports_what_the_system_refuses)
{
    tn_error e = { 0 };
    const tn_entry *t = &golden_rows[0].entry;
    ck_assert_int_eq(tn_safetensors_write("/nonexistent/a", t, 1, NULL, &e), TN_EIO);
    ck_assert_ptr_nonnull(strstr(e.text, "/nonexistent/a: cannot write: No such file"));
    e = (tn_error){ 0 };
    ck_assert_int_eq(tn_safetensors_write("/dev/full", t, 1, NULL, &e), TN_EIO);
    e = (tn_error){ .code = TN_ESTATE, .text = "earlier" };
    ck_assert_int_eq(tn_safetensors_write("/nonexistent/a", t, 1, NULL, &e), TN_ESTATE);
    ck_assert_str_eq(e.text, "earlier");
}
END_TEST

/* A real file that is read and saved holds the same tensors. */
static void saves_again(const char *path)
{
    scratch s;
    tn_error e = { 0 };
    tn_safetensors *f = tn_safetensors_open(path, &e), *g;
    ck_assert_msg(f != NULL, "%s", e.text);
    int64_t n = tn_safetensors_count(f);
    tn_entry *entries = calloc((size_t)n + 1, sizeof *entries);
    for (int64_t i = 0; i < n; i++)
        entries[i] = *tn_safetensors_at(f, i);
    scratch_open(&s);
    tn_safetensors_write(scratch_path(&s, "again"), entries, n, NULL, &e);
    g = tn_safetensors_open(s.path, &e);
    ck_assert_msg(g != NULL, "%s", e.text);
    ck_assert_int_eq(tn_safetensors_count(g), n);
    for (int64_t i = 0; i < n; i++) {
        const tn_entry *a = &entries[i], *b = tn_safetensors_find(g, a->name);
        ck_assert(b && a->type == b->type && a->ndim == b->ndim && a->size == b->size);
        ck_assert(!memcmp(a->dim, b->dim, sizeof a->dim) && !memcmp(a->bytes, b->bytes, a->size));
    }
    tn_safetensors_close(f);
    tn_safetensors_close(g);
    free(entries);
    scratch_close(&s);
}

START_TEST(real_files)
{
    assets_each("adapter_model.safetensors", saves_again);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, golden_bytes, 0, sizeof golden_rows / sizeof *golden_rows);
    tcase_add_test(c, order);
    tcase_add_test(c, converts);
    tcase_add_test(c, round_trip);
    tcase_add_loop_test(c, refuses, 0, sizeof bad_rows / sizeof *bad_rows);
    tcase_add_loop_test(c, refuses_wrong_metadata, 0, sizeof bad_metadata / sizeof *bad_metadata);
    tcase_add_test(c, reports_what_the_system_refuses);
    tcase_add_test(c, real_files);
}
