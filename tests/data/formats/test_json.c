/* test_json.c - what the parser accepts and refuses, and the place that it reports. */
#include "tests/support/tests.h"

#include "data/data.h"
#include "tests/support/assets.h"
#include "tests/support/scratch.h"

#include <stdio.h>
#include <string.h>

static const tn_json *parse(const char *text, tn_error *e)
{
    return tn_json_parse(text, strlen(text), "a.json", 0, e);
}

/* ---- texts that are JSON documents (`error` NULL), and texts that are not ---- */

typedef struct row {
    const char *text, *error;
} row;

static const row rows[] = {
    { "null", NULL },
    { " \t\r\n[1 , 2]\n", NULL },
    { "", "a.json:1: found the end at column 1; expected a value" },
    { "  \n ", "a.json:2: found the end at column 2; expected a value" },
    { "\xEF\xBB\xBF[]", "found byte 0xEF at column 1; expected a value" },
    { "[] []", "found '[' at column 4; expected nothing behind the value" },
    { "[1]\n\n]", "a.json:3: found ']' at column 1; expected nothing" },
    { "[]\v", "found byte 0x0B" },
    /* containers */
    { "[]", NULL },
    { "{}", NULL },
    { "[[],{}]", NULL },
    { "[1,]", "found ']' at column 4; expected a value" },
    { "[,1]", "found ','" },
    { "[1 2]", "found '2' at column 4; expected ',' or ']'" },
    { "[1", "found the end at column 3; expected ',' or ']'" },
    { "[1}", "found '}' at column 3; expected ',' or ']'" },
    { "{\"a\":1,}", "found '}' at column 8; expected a key" },
    { "{\"a\" 1}", "found '1' at column 6; expected ':'" },
    { "{\"a\":}", "found '}' at column 6; expected a value" },
    { "{a:1}", "found 'a' at column 2; expected a key in quotes" },
    { "{1:1}", "expected a key in quotes" },
    { "{'a':1}", "expected a key in quotes" },
    { "{\"a\":1]", "found ']' at column 7; expected ',' or '}'" },
    { "[1 // one\n]", "found '/'" },
    /* words */
    { "[true,false,null]", NULL },
    { "tru", "expected true" },
    { "falsy", "expected false" },
    { "None", "found 'N' at column 1; expected a value" },
    { "NaN", "expected a value" },
    { "nan", "expected null" },
    { "Infinity", "expected a value" },
    { "True", "expected a value" },
    { "truefalse", "expected nothing behind" },
    /* numbers */
    { "[0,-0,10,1.5,-0.25,1e3,1E+3,2.5e-10]", NULL },
    { "12345678901234567890123456789", NULL },
    { "1e999", NULL },
    { "01", "found '1' at column 2" },
    { "-", "found the end at column 2; expected a digit" },
    { "-a", "expected a digit" },
    { "+1", "found '+' at column 1; expected a value" },
    { ".5", "found '.' at column 1; expected a value" },
    { "1.", "found the end at column 3; expected a digit" },
    { "1.e3", "found 'e' at column 3; expected a digit" },
    { "1e", "expected a digit" },
    { "1e+", "expected a digit" },
    { "0x10", "found 'x'" },
    { "1_000", "found '_'" },
    { "-Infinity", "expected a digit" },
    /* strings */
    { "\"\"", NULL },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", NULL },
    { "\"\x7F\"", NULL },
    { "\"abc", "found the end at column 5; expected a character" },
    { "\"a\nb\"", "a.json:1: found byte 0x0A at column 3" },
    { "\"a\tb\"", "found byte 0x09" },
    { "\"\\x41\"", "found 'x' at column 3; expected one of" },
    { "\"\\'\"", "expected one of" },
    { "\"\\", "found the end at column 3; expected one of" },
    { "\"\\u12\"", "expected four hexadecimal digits" },
    { "\"\\u12G4\"", "expected four hexadecimal digits" },
    { "\"\\u", "expected four hexadecimal digits" },
    { "'a'", "found ''' at column 1; expected a value" },
    /* surrogates: both halves or none */
    { "\"\\ud83d\\ude00\"", NULL },
    { "\"\\uD83D\\uDE00\"", NULL },
    { "\"\\ud83d\"", "found half of a surrogate pair at column 2; expected both" },
    { "\"\\ud83dx\\ude00\"", "half of a surrogate pair" },
    { "\"\\ud83d\\u0041\"", "half of a surrogate pair" },
    { "\"\\ud83d\\ud83d\"", "half of a surrogate pair" },
    { "\"\\ude00\"", "half of a surrogate pair" },
    { "\"\\ude00\\ud83d\"", "half of a surrogate pair" },
    { "\"\\ude00\\ude00\"", "half of a surrogate pair" },
    { "\"\\ud83d\\ude0\"", "half of a surrogate pair" },
    /* UTF-8, in strings and keys */
    { "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"", NULL },
    { "\"\xC3(\"", "found byte 0xC3 at column 2; expected UTF-8" },
    { "\"\xC0\x80\"", "expected UTF-8" },
    { "\"\xED\xA0\xBD\xED\xB8\x80\"", "expected UTF-8" },
    { "\"\xF4\x90\x80\x80\"", "expected UTF-8" },
    { "\"\xE2\x82", "expected UTF-8" },
    { "{\"\xFF\":1}", "expected UTF-8" },
    /* keys: each only once in its object; escapes are decoded before keys are compared */
    { "{\"a\":1,\"b\":2}", NULL },
    { "{\"a\":{\"a\":1},\"b\":{\"a\":2}}", NULL },
    { "{\"a\":1,\"A\":2,\"\":3,\" \":4,\"aa\":5}", NULL },
    { "{\"a\":1,\"b\":2,\n\"a\":3}",
      "a.json:2: found the key \"a\" again at column 5; expected every key once" },
    { "{\"a\":1,\"\\u0061\":2}", "the key \"a\" again" },
    { "{\"\":1,\"\":2}", "the key \"\" again" },
    { "[{\"x\":{\"b\":1,\"c\":2,\"b\":3}}]", "the key \"b\" again" },
    { "{\"a\\u0000b\":1}", "found U+0000 in a key at column 2" },
    { "{\"a\\\\u0000b\":1}", NULL },
    { "\"a\\u0000b\"", NULL },
};

START_TEST(strict)
{
    const row *r = &rows[_i];
    tn_error e = { 0 };
    const tn_json *v = parse(r->text, &e);
    if (r->error) {
        ck_assert_msg(!v, "accepted: %s", r->text);
        ck_assert_int_eq(e.code, TN_EFORMAT);
        ck_assert_msg(strstr(e.text, r->error) != NULL, "\"%s\" is not \"%s\"", e.text, r->error);
    } else {
        ck_assert_msg(v != NULL, "%s", e.text);
        ck_assert_int_eq(e.code, 0);
    }
    tn_json_free(v);
}
END_TEST

/* Every prefix of a document is refused, and nothing after its end is read. */
START_TEST(cut_short)
{
    static const char whole[] =
        "{\"a\":[1.5e-3,true,null,{}],\"b\\u00e9\":\"\\ud83d\\ude00\xC3\xA9\\n\"}";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        tn_error e = { 0 };
        char *part = malloc(n ? n : 1);
        memcpy(part, whole, n);
        ck_assert_ptr_null(tn_json_parse(part, n, "a.json", 0, &e));
        ck_assert_int_eq(e.code, TN_EFORMAT);
        free(part);
    }
}
END_TEST

START_TEST(zero_bytes_are_bytes)
{
    tn_error e = { 0 };
    ck_assert_ptr_null(tn_json_parse("[1]\0", 4, "a.json", 0, &e));
    ck_assert_ptr_nonnull(strstr(e.text, "found byte 0x00 at column 4"));
    e = (tn_error){ 0 };
    ck_assert_ptr_null(tn_json_parse("\"\\\0\"", 4, "a.json", 0, &e));
    ck_assert_ptr_nonnull(strstr(e.text, "found byte 0x00 at column 3"));
    e = (tn_error){ 0 };
    ck_assert_ptr_null(tn_json_parse("\"\\u00\0", 6, "a.json", 0, &e));
    ck_assert_ptr_nonnull(strstr(e.text, "four hexadecimal digits"));
}
END_TEST

START_TEST(tree)
{
    tn_error e = { 0 };
    const tn_json *v = parse(" {\"b\":[10,\"x\\u0000y\"],\"a\":-1.50e2,\"c\":false}", &e);
    ck_assert_msg(v != NULL, "%s", e.text);
    ck_assert_int_eq(v->kind, TN_OBJECT);
    ck_assert_int_eq(v->count, 3);
    ck_assert_ptr_null(v->parent);
    ck_assert_uint_eq(v->offset, 1);
    const tn_json *b = v->child, *a = b->next, *c = a->next; /* in the order of the text */
    ck_assert_str_eq(b->key, "b");
    ck_assert_int_eq(b->count, 2);
    ck_assert_uint_eq(b->offset, 6);
    ck_assert_str_eq(b->child->text, "10");
    ck_assert_ptr_null(b->child->key);
    ck_assert_uint_eq(b->child->next->length, 3);
    ck_assert_mem_eq(b->child->next->text, "x\0y", 4);
    ck_assert_ptr_eq(b->child->parent, b);
    ck_assert_str_eq(a->text, "-1.50e2");
    ck_assert_int_eq(c->kind, TN_BOOL);
    ck_assert_str_eq(c->text, "false");
    ck_assert_ptr_null(c->next);
    tn_json_free(v);
}
END_TEST

/* Every \uXXXX gives the UTF-8 of its character. */
START_TEST(every_escape)
{
    for (unsigned c = 1; c < 0x10000; c++) {
        char text[32], bytes[5] = { 0 };
        tn_error e = { 0 };
        snprintf(text, sizeof text, c & 1 ? "\"\\u%04x\"" : "\"\\u%04X\"", c);
        if (c < 0x80)
            bytes[0] = (char)c;
        else if (c < 0x800)
            bytes[0] = (char)(0xC0 | c >> 6), bytes[1] = (char)(0x80 | (c & 63));
        else
            bytes[0] = (char)(0xE0 | c >> 12), bytes[1] = (char)(0x80 | (c >> 6 & 63)),
            bytes[2] = (char)(0x80 | (c & 63));
        const tn_json *v = parse(text, &e);
        if (c >= 0xD800 && c <= 0xDFFF)
            ck_assert_ptr_null(v);
        else
            ck_assert_str_eq(v->text, bytes);
        tn_json_free(v);
    }
    tn_error e = { 0 };
    const tn_json *v = parse("\"\\ud800\\udc00\\uDBFF\\uDFFF\"", &e);
    ck_assert_str_eq(v->text, "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF");
    tn_json_free(v);
}
END_TEST

/* 64 levels are read, 65 are refused, and 10,000 do not overflow the stack. */
START_TEST(depth)
{
    static const struct {
        size_t levels;
        bool good;
    } table[] = { { 64, true }, { 65, false }, { 10000, false } };
    for (size_t i = 0; i < 3; i++) {
        size_t n = table[i].levels;
        tn_error e = { 0 };
        char *text = malloc(2 * n);
        memset(text, '[', n);
        memset(text + n, ']', n);
        const tn_json *v = tn_json_parse(text, 2 * n, "a.json", 0, &e);
        ck_assert_int_eq(v != NULL, table[i].good);
        if (!v)
            ck_assert_ptr_nonnull(
                strstr(e.text, "nested too deeply at column 65; expected 64 levels"));
        tn_json_free(v);
        free(text);
    }
}
END_TEST

/* 300,000 members whose keys have the same long beginning. If `twice` is set, the last key is there
   twice. */
START_TEST(many_members)
{
    for (int twice = 0; twice < 2; twice++) {
        tn_error e = { 0 };
        tn_text t = { 0 };
        int n = 300000;
        tn_text_add(&t, "{");
        for (int i = 0; i < n; i++)
            tn_text_add(&t, "\"a.long.beginning.for.all.%d\":%d,", i, i);
        tn_text_add(&t, "\"a.long.beginning.for.all.%d\":0}", twice ? n / 2 : n);
        const tn_json *v = tn_json_parse(t.s, t.n, "a.json", 0, &e);
        ck_assert_int_eq(v == NULL, twice);
        if (twice)
            ck_assert_ptr_nonnull(
                strstr(e.text, "the key \"a.long.beginning.for.all.150000\" again"));
        else
            ck_assert_int_eq(v->count, n + 1);
        tn_json_free(v);
        tn_text_free(&t);
    }
}
END_TEST

/* The memory for the values of a text is limited. */
START_TEST(too_many_values)
{
    tn_error e = { 0 };
    size_t n = 2000001;
    char *text = malloc(n);
    for (size_t i = 0; i < n; i++)
        text[i] = i ? (i & 1 ? '0' : ',') : '[';
    text[n - 1] = ']';
    ck_assert_ptr_null(tn_json_parse(text, n, "a.json", 0, &e));
    ck_assert_ptr_nonnull(strstr(e.text, "too many values"));
    free(text);
}
END_TEST

START_TEST(earlier_errors_and_missing_files)
{
    tn_error e = { .code = TN_ESTATE, .text = "earlier" };
    ck_assert_ptr_null(parse("[]", &e));
    ck_assert_ptr_null(tn_json_read("/nonexistent.json", &e));
    ck_assert_str_eq(e.text, "earlier");
    e = (tn_error){ 0 };
    ck_assert_ptr_null(tn_json_read("/nonexistent.json", &e));
    ck_assert_int_eq(e.code, TN_EIO);
    tn_json_free(NULL);
}
END_TEST

/* A file may begin with a byte order mark; UTF-16 is refused by its name. */
START_TEST(marks)
{
    tn_error e = { 0 };
    scratch s;
    scratch_open(&s);
    const tn_json *v = tn_json_read(scratch_write(&s, "a.json", "\xEF\xBB\xBF[7]", 6), &e);
    ck_assert_msg(v != NULL && v->count == 1, "%s", e.text);
    tn_json_free(v);
    ck_assert_ptr_null(tn_json_read(scratch_write(&s, "a.json", "\xFF\xFE[\0", 4), &e));
    ck_assert_ptr_nonnull(strstr(e.text, "a.json: a text in UTF-16; expected UTF-8"));
    scratch_close(&s);
}
END_TEST

static void opens(const char *path)
{
    tn_error e = { 0 };
    const tn_json *v = tn_json_read(path, &e);
    ck_assert_msg(v != NULL, "%s", e.text);
    tn_json_free(v);
}

START_TEST(real_files)
{
    assets_each(".json", opens);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, strict, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, cut_short);
    tcase_add_test(c, zero_bytes_are_bytes);
    tcase_add_test(c, tree);
    tcase_add_test(c, every_escape);
    tcase_add_test(c, depth);
    tcase_add_test(c, many_members);
    tcase_add_test(c, too_many_values);
    tcase_add_test(c, earlier_errors_and_missing_files);
    tcase_add_test(c, marks);
    tcase_add_test(c, real_files);
}
