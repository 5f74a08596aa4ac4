/* test_gguf.c - reading GGUF: files that ggml and gguf-py wrote, and each getter with each kind.
   Malformed files are the rows of tests/fuzz/format_gguf.c. */
#include "tests/support/tests.h"

#include "data/gguf.h"
#include "tests/support/assets.h"
#include "tests/support/scratch.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#define TYPES GOLDEN "gguf/types.gguf"

static tn_gguf *opened(const char *path)
{
    tn_error e = { 0 };
    tn_gguf *g = tn_gguf_open(path, &e);
    must(&e);
    ck_assert_str_eq(tn_gguf_path(g), path);
    return g;
}

/* ---- values ---- */

/* The keys of types.gguf, and the values with which gguf-py wrote them. refusal: the text of an
   error. */
typedef struct key_row {
    const char *key;
    enum { INT = 1, REAL = 2, BOOL = 4, STRING = 8 } is; /* getters that succeed */
    double number;
    int64_t whole;
    const char *string, *refusal;
} key_row;

static const key_row key_rows[] = {
    { "general.architecture", STRING, .string = "llama", .refusal = "is a string; expected" },
    { "general.alignment", INT | REAL, 64, 64, NULL, "is an integer; expected a" },
    { "u8", INT | REAL, 200, 200, NULL, "is an integer; expected a" },
    { "i8", INT | REAL, -100, -100, NULL, "is an integer; expected a" },
    { "u16", INT | REAL, 60000, 60000, NULL, "is an integer; expected a" },
    { "i16", INT | REAL, -30000, -30000, NULL, "is an integer; expected a" },
    { "u32", INT | REAL, 4e9, 4000000000, NULL, "is an integer; expected a" },
    { "i32", INT | REAL, -2e9, -2000000000, NULL, "is an integer; expected a" },
    { "u64", 0, .refusal = "is an integer; expected a" }, /* 2^63 */
    { "i64", INT | REAL, -0x1p62, -(1ll << 62), NULL, "is an integer; expected a" },
    { "f32", REAL, (double)0.1f, .refusal = "is a number; expected a" },
    { "f64", REAL, 0.1, .refusal = "is a number; expected a" },
    { "yes", BOOL, .whole = 1, .refusal = "is a boolean; expected a" },
    { "no", BOOL, .whole = 0, .refusal = "is a boolean; expected a" },
    { "text", STRING, .string = "\xC3\xA9\n\xE2\x98\x83", .refusal = "is a string; expected" },
    { "strings", 0, .refusal = "is an array of 3 strings; expected" },
    { "ints", 0, .refusal = "is an array of 3 integers; expected" },
    { "floats", 0, .refusal = "is an array of 2 numbers; expected" },
    { "flags", 0, .refusal = "is an array of 2 booleans; expected" },
};

static void refused(tn_error *e, bool right, const key_row *r)
{
    char text[128];
    snprintf(text, sizeof text, TYPES ": %s %s", r->key, r->refusal);
    if (right)
        must(e);
    else
        must_fail(e, TN_EFORMAT, text);
}

START_TEST(keys)
{
    const key_row *r = &key_rows[_i];
    tn_error e = { 0 };
    tn_gguf *g = opened(TYPES);
    int64_t whole = 77;
    double x = 77;
    bool yes = _i % 2;
    const char *string = "before";
    tn_gguf_get_int(g, r->key, &whole, &e);
    refused(&e, r->is & INT, r);
    ck_assert_int_eq(whole, r->is & INT ? r->whole : 77);
    tn_gguf_get_real(g, r->key, &x, &e);
    refused(&e, r->is & REAL, r);
    ck_assert(x == (r->is & REAL ? r->number : 77));
    tn_gguf_get_bool(g, r->key, &yes, &e);
    refused(&e, r->is & BOOL, r);
    ck_assert_int_eq(yes, r->is & BOOL ? r->whole : _i % 2);
    tn_gguf_get_string(g, r->key, &string, &e);
    refused(&e, r->is & STRING, r);
    ck_assert_str_eq(string, r->is & STRING ? r->string : "before");
    ck_assert_str_eq(tn_gguf_key(g, _i)->key, r->key);
    ck_assert_ptr_eq(tn_gguf_value_of(g, r->key), tn_gguf_key(g, _i));
    ck_assert_int_eq(tn_gguf_keys(g), sizeof key_rows / sizeof *key_rows);
    tn_gguf_close(g);
}
END_TEST

START_TEST(absent_keys_change_nothing)
{
    tn_error e = { 0 };
    tn_gguf *g = opened(TYPES);
    int64_t whole = 77;
    double x = 77;
    bool yes = true;
    const char *string = "before";
    tn_gguf_get_int(g, "u", &whole, &e);
    tn_gguf_get_real(g, "u", &x, &e);
    tn_gguf_get_bool(g, "u", &yes, &e);
    tn_gguf_get_string(g, "u", &string, &e);
    must(&e);
    ck_assert(whole == 77 && x == 77 && yes && !strcmp(string, "before"));
    ck_assert_ptr_null(tn_gguf_value_of(g, "u"));
    ck_assert_ptr_null(tn_gguf_key(g, -1));
    ck_assert_ptr_null(tn_gguf_key(g, tn_gguf_keys(g)));
    tn_gguf_close(g);
}
END_TEST

START_TEST(arrays)
{
    static const char *const words[] = { "<s>", "", "a b" };
    static const int64_t ints[] = { 1, -2, 3 };
    tn_gguf *g = opened(TYPES);
    const tn_gguf_value *v = tn_gguf_value_of(g, "strings");
    tn_span span;
    size_t at = 0;
    int64_t whole, n = 0;
    double x;
    for (; tn_gguf_string(v, &at, &span); n++) {
        ck_assert_uint_eq(span.n, strlen(words[n]));
        ck_assert(!memcmp(span.s, words[n], span.n));
    }
    ck_assert_int_eq(n, 3);
    ck_assert(v->array && v->count == 3 && v->kind == TN_GGUF_STRING);
    v = tn_gguf_value_of(g, "ints");
    for (n = 0; tn_gguf_int(v, n, &whole); n++)
        ck_assert(whole == ints[n] && tn_gguf_float(v, n, &x) && x == (double)whole);
    ck_assert_int_eq(n, 3);
    ck_assert(!tn_gguf_int(v, -1, &whole) && !tn_gguf_string(v, &at, &span));
    v = tn_gguf_value_of(g, "floats");
    ck_assert(tn_gguf_float(v, 1, &x) && x == -1.5 && !tn_gguf_float(v, 2, &x));
    ck_assert(!tn_gguf_int(v, 0, &whole) && !tn_gguf_float(tn_gguf_value_of(g, "flags"), 0, &x));
    tn_gguf_close(g);
}
END_TEST

/* ---- tensors ---- */

/* 256 numbers of each type are those that ggml reads from the same bytes. */
START_TEST(types)
{
    tn_error e = { 0 };
    tn_gguf *g = opened(TYPES);
    const tn_json *golden = tn_json_read(GOLDEN "quants_golden.json", &e);
    tn_real x[256];
    int found = 0;
    must(&e);
    for (const tn_json *row = tn_json_find(golden, "types")->child; row; row = row->next) {
        for (int64_t i = 0; i < tn_gguf_count(g); i++) {
            const tn_entry *t = tn_gguf_at(g, i);
            if (strcasecmp(t->name, row->key) != 0)
                continue;
            ck_assert_int_eq(strcasecmp(tn_gguf_type(g, t), row->key), 0);
            ck_assert_str_eq(tn_gguf_type(g, t), tn_file_type_name(t->type));
            ck_assert_int_eq(tn_entry_count(t), 256);
            tn_gguf_real(g, t, x, &e);
            must(&e);
            int64_t n;
            double *want = read_numbers(row, "deq_f32", &n);
            for (int k = 0; k < 256; k++)
                ck_assert_msg((float)x[k] == (float)want[k], "%s: %d: %g, not %g", t->name, k,
                              (double)x[k], want[k]);
            free(want);
            found++;
        }
    }
    ck_assert_int_eq(found, 10);
    tn_json_free(golden);
    tn_gguf_close(g);
}
END_TEST

/* Our last dimension is the first one in the file. */
START_TEST(shapes_and_places)
{
    tn_error e = { 0 };
    tn_gguf *g = opened(TYPES);
    const tn_entry *f32 = tn_gguf_find(g, "f32"), *f16 = tn_gguf_find(g, "f16");
    tn_real x[256], y[256];
    ck_assert(f32->ndim == 2 && f32->dim[0] == 4 && f32->dim[1] == 64 && f32->size == 1024);
    ck_assert(f16->ndim == 3 && f16->dim[0] == 2 && f16->dim[1] == 4 && f16->dim[2] == 32);
    tn_gguf_real(g, f32, x, &e);
    tn_gguf_real(g, f16, y, &e);
    must(&e);
    ck_assert(x[0] == -2 && x[40] == (tn_real)-3.5 && x[255] == (tn_real)-1.66265869f);
    ck_assert(y[0] == -2 && y[40] == (tn_real)-3.5);
    ck_assert_ptr_null(tn_gguf_find(g, "f3"));
    ck_assert_ptr_null(tn_gguf_at(g, -1));
    ck_assert_ptr_null(tn_gguf_at(g, tn_gguf_count(g)));
    ck_assert_int_eq(tn_gguf_count(g), 13);
    tn_gguf_close(g);
}
END_TEST

START_TEST(other_types_are_refused_by_name)
{
    static const char *const names[][2] = { { "q2_K", "Q2_K" }, { "scalar_like", "I32" } };
    tn_error e = { 0 };
    tn_real x[256];
    tn_gguf *g = opened(TYPES);
    for (int i = 0; i < 2; i++) {
        char text[128];
        snprintf(text, sizeof text,
                 TYPES ": tensor \"%s\" is of type %s; expected F32, F16, BF16, ", names[i][0],
                 names[i][1]);
        ck_assert_str_eq(tn_gguf_type(g, tn_gguf_find(g, names[i][0])), names[i][1]);
        tn_gguf_real(g, tn_gguf_find(g, names[i][0]), x, &e);
        must_fail(&e, TN_EFORMAT, text);
    }
    const tn_entry other = { .name = "f32", .type = TN_FILE_F32 };
    ck_assert_ptr_null(tn_gguf_type(g, &other));
    tn_gguf_real(g, &other, x, &e);
    must_fail(&e, TN_EARG, "not of this file");
    tn_gguf_close(g);
}
END_TEST

/* A file of ggml itself, with the values that gguf-py reads from it. */
START_TEST(tiny)
{
    tn_error e = { 0 };
    tn_gguf *g = opened(GOLDEN "gguf/tiny.gguf");
    int64_t layers = 0, i8 = 0, u64 = 0;
    double base = 0, half = 0, score = 0;
    bool bos = false;
    tn_real x[64];
    tn_gguf_get_int(g, "llama.block_count", &layers, &e);
    tn_gguf_get_int(g, "i8", &i8, &e);
    tn_gguf_get_int(g, "u64", &u64, &e);
    tn_gguf_get_real(g, "llama.rope.freq_base", &base, &e);
    tn_gguf_get_real(g, "f64", &half, &e);
    tn_gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &bos, &e);
    must(&e);
    ck_assert(layers == 2 && i8 == -3 && u64 == 1099511627776 && base == 10000 && half == 0.5);
    ck_assert(bos && tn_gguf_float(tn_gguf_value_of(g, "tokenizer.ggml.scores"), 2, &score));
    ck_assert(score == -2);
    const tn_entry *embedding = tn_gguf_find(g, "token_embd.weight");
    ck_assert(embedding->dim[0] == 2 && embedding->dim[1] == 3);
    tn_gguf_real(g, embedding, x, &e);
    for (int i = 0; i < 6; i++)
        ck_assert(x[i] == (tn_real)i);
    tn_gguf_real(g, tn_gguf_find(g, "blk.0.attn_q.weight"), x, &e);
    ck_assert((float)x[0] == -1.9998779f && (float)x[1] == -1.7006836f &&
              (float)x[2] == 1.9053955f);
    tn_gguf_real(g, tn_gguf_find(g, "output_norm.weight"), x, &e);
    ck_assert((float)x[1] == -1.6933594f && (float)x[4] == 1.5683594f);
    must(&e);
    tn_gguf_close(g);
}
END_TEST

START_TEST(is_gguf)
{
    scratch s;
    scratch_open(&s);
    ck_assert(tn_gguf_is(TYPES) && !tn_gguf_is(GOLDEN "quants_golden.json"));
    ck_assert(!tn_gguf_is(GOLDEN) && !tn_gguf_is(GOLDEN "gguf/nothing"));
    ck_assert(!tn_gguf_is(scratch_write(&s, "short", "GGU", 3)));
    ck_assert(!tn_gguf_is(scratch_write(&s, "empty", "", 0)));
    scratch_close(&s);
}
END_TEST

/* ---- many names ---- */

static void add_number(tn_text *t, uint64_t x, size_t n)
{
    tn_text_bytes(t, &x, n);
}

/* Opens a file of 60,000 keys and 60,000 empty tensors, whose names begin with the same characters.
   A comparison of each name with each other would take minutes. `twice`: the last key is there
   twice. */
static double seconds_to_open(scratch *s, bool twice, tn_error *e)
{
    enum { N = 60000 };
    struct timespec begin, end;
    char name[64];
    tn_text t = { 0 };
    tn_text_add(&t, "GGUF");
    add_number(&t, 3, 4);
    add_number(&t, N, 8);
    add_number(&t, N, 8);
    for (int i = 0; i < 2 * N; i++) {
        const int k = i % N;
        snprintf(name, sizeof name, "a.long.beginning.of.a.name.%d", twice && k == N - 1 ? 7 : k);
        add_number(&t, strlen(name), 8);
        tn_text_bytes(&t, name, strlen(name));
        add_number(&t, i < N ? TN_GGUF_U8 : 1, 4); /* kind; or one dimension */
        add_number(&t, 0, i < N ? 1 : 8 + 4 + 8 - 12);
        if (i >= N)
            tn_text_bytes(&t, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
    }
    scratch_write(s, "many", t.s, t.n);
    tn_text_free(&t);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    tn_gguf *g = tn_gguf_open(s->path, e);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    if (g)
        ck_assert_int_eq(tn_gguf_count(g) + tn_gguf_keys(g), 2 * N);
    tn_gguf_close(g);
    return (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
}

START_TEST(many_names)
{
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    const double seconds = seconds_to_open(&s, false, &e);
    must(&e);
    ck_assert_msg(seconds < 5, "%g seconds", seconds);
    seconds_to_open(&s, true, &e);
    must_fail(&e, TN_EFORMAT, "the key \"a.long.beginning.of.a.name.7\" is there twice");
    scratch_close(&s);
}
END_TEST

/* ---- real files ---- */

/* Opens a file and reads tensors of every type, but no large ones, which take seconds. */
static void reads_all(const char *path)
{
    enum { MOST = 1 << 20 };
    tn_error e = { 0 };
    tn_gguf *g = opened(path);
    tn_real *x = malloc(MOST * sizeof *x);
    int64_t read = 0;
    for (int64_t i = 0; i < tn_gguf_count(g); i++) {
        const tn_entry *t = tn_gguf_at(g, i);
        const int64_t n = tn_entry_count(t);
        ck_assert_ptr_eq(tn_gguf_find(g, t->name), t);
        if (n > MOST || read > 4 * MOST)
            continue;
        tn_gguf_real(g, t, x, &e);
        must(&e);
        read += n;
        for (int64_t k = 0; k < n; k++)
            if (!(x[k] > -1e4 && x[k] < 1e4))
                ck_abort_msg("%s: %s: %g", path, t->name, (double)x[k]);
    }
    ck_assert_int_gt(read, 0);
    free(x);
    tn_gguf_close(g);
}

START_TEST(real_files)
{
    assets_each(".gguf", reads_all);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, keys, 0, sizeof key_rows / sizeof *key_rows);
    tcase_add_test(c, absent_keys_change_nothing);
    tcase_add_test(c, arrays);
    tcase_add_test(c, types);
    tcase_add_test(c, shapes_and_places);
    tcase_add_test(c, other_types_are_refused_by_name);
    tcase_add_test(c, tiny);
    tcase_add_test(c, is_gguf);
    tcase_add_test(c, many_names);
    tcase_add_test(c, real_files);
}
