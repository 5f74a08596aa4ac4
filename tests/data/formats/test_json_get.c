/* test_json_get.c - the functions that get members of a type from a parsed document. */
#include "tests/support/tests.h"

#include "data/data.h"

#include <stdio.h>
#include <string.h>

static const char text[] =
    "{\"i\":42,\"neg\":-7,\"max\":9223372036854775807,\"min\":-9223372036854775808,"
    "\"over\":9223372036854775808,\"real\":1.5,\"exp\":1e3,\"inf\":1e999,\"tiny\":1e-999,"
    "\"s\":\"hi\",\"nul\":\"a\\u0000b\",\"t\":true,\"f\":false,\"none\":null,"
    "\"a\":[0,1,{\"deep/~\":[\"x\"]}],\"o\":{}}";

typedef enum getter { INT, REAL, BOOLEAN, STRING } getter;

/* value: the result, as text; error: the message if there is no result. */
/* clang-format off */
typedef struct row { getter get; const char *key, *value, *error; } row;
/* clang-format on */

static const row rows[] = {
    { INT, "i", "42", NULL },
    { INT, "neg", "-7", NULL },
    { INT, "max", "9223372036854775807", NULL },
    { INT, "min", "-9223372036854775808", NULL },
    { INT, "absent", "-1", NULL },
    { INT, "none", "-1", NULL },
    { INT, "over", NULL, "c.json: /over is a number, expected an integer of 64 bits" },
    { INT, "real", NULL, "c.json: /real is a number, expected an integer of 64 bits" },
    { INT, "exp", NULL, "/exp is a number, expected an integer" },
    { INT, "s", NULL, "c.json: /s is the string \"hi\", expected an integer" },
    { INT, "t", NULL, "/t is a boolean, expected an integer" },
    { INT, "a", NULL, "/a is an array, expected an integer" },
    { INT, "o", NULL, "/o is an object, expected an integer" },
    { REAL, "real", "1.5", NULL },
    { REAL, "i", "42", NULL },
    { REAL, "exp", "1000", NULL },
    { REAL, "tiny", "0", NULL },
    { REAL, "absent", "-1", NULL },
    { REAL, "none", "-1", NULL },
    { REAL, "inf", NULL, "/inf is a number, expected a finite number" },
    { REAL, "s", NULL, "/s is the string \"hi\", expected a number" },
    { BOOLEAN, "t", "true", NULL },
    { BOOLEAN, "f", "false", NULL },
    { BOOLEAN, "absent", "true", NULL },
    { BOOLEAN, "none", "true", NULL },
    { BOOLEAN, "i", NULL, "/i is a number, expected true or false" },
    { STRING, "s", "hi", NULL },
    { STRING, "absent", "default", NULL },
    { STRING, "none", "default", NULL },
    { STRING, "nul", NULL, "/nul is the string \"a\\u0000b\", expected a string without U+0000" },
    { STRING, "i", NULL, "/i is a number, expected a string" },
};

START_TEST(getters)
{
    const row *r = &rows[_i];
    tn_error e = { 0 };
    char got[64];
    const tn_json *v = tn_json_parse(text, strlen(text), "c.json", 0, &e);
    ck_assert_msg(v != NULL, "%s", e.text);
    int64_t i = -1;
    double x = -1;
    bool b = true;
    const char *s = "default";
    switch (r->get) {
    case INT:
        tn_json_get_int(v, r->key, &i, &e);
        snprintf(got, sizeof got, "%lld", (long long)i);
        break;
    case REAL:
        tn_json_get_real(v, r->key, &x, &e);
        snprintf(got, sizeof got, "%g", x);
        break;
    case BOOLEAN:
        tn_json_get_bool(v, r->key, &b, &e);
        snprintf(got, sizeof got, "%s", b ? "true" : "false");
        break;
    default: tn_json_get_string(v, r->key, &s, &e); snprintf(got, sizeof got, "%s", s);
    }
    if (r->value) {
        ck_assert_msg(!e.code, "%s", e.text);
        ck_assert_str_eq(got, r->value);
    } else {
        ck_assert_int_eq(e.code, TN_EFORMAT);
        ck_assert_msg(strstr(e.text, r->error) != NULL, "\"%s\" is not \"%s\"", e.text, r->error);
        ck_assert(i == -1 && x == -1 && b && !strcmp(s, "default"));
    }
    tn_json_free(v);
}
END_TEST

START_TEST(an_error_stops_getters)
{
    tn_error e = { 0 };
    int64_t i = 5;
    const tn_json *v = tn_json_parse("{\"a\":\"x\",\"b\":7}", 15, "c.json", 0, &e);
    tn_json_get_int(v, "a", &i, &e);
    tn_json_get_int(v, "b", &i, &e);
    ck_assert_int_eq(i, 5);
    ck_assert_str_eq(e.text, "c.json: /a is the string \"x\", expected an integer");
    tn_json_free(v);
}
END_TEST

START_TEST(finds)
{
    tn_error e = { 0 };
    const tn_json *v = tn_json_parse(text, strlen(text), "c.json", 0, &e),
                  *a = tn_json_find(v, "a");
    ck_assert_str_eq(tn_json_at(a, 1)->text, "1");
    ck_assert_ptr_null(tn_json_at(a, 3));
    ck_assert_ptr_null(tn_json_at(a, -1));
    ck_assert_ptr_null(tn_json_at(v, 0));
    ck_assert_ptr_null(tn_json_at(NULL, 0));
    ck_assert_ptr_null(tn_json_find(a, "a"));
    ck_assert_ptr_null(tn_json_find(v, "absent"));
    ck_assert_ptr_null(tn_json_find(NULL, "a"));
    int64_t i;
    double x;
    ck_assert(!tn_json_int(NULL, &i) && !tn_json_int(a, &i));
    ck_assert(!tn_json_real(NULL, &x) && !tn_json_real(a, &x));
    tn_json_free(v);
}
END_TEST

/* A message names the place: a pointer as in RFC 6901, and the line if the text is a line of a
   file. */
START_TEST(says_where)
{
    tn_error e = { 0 };
    const tn_json *v = tn_json_parse(text, strlen(text), "c.jsonl", 7, &e);
    const tn_json *deep =
        tn_json_at(tn_json_find(tn_json_at(tn_json_find(v, "a"), 2), "deep/~"), 0);
    ck_assert_int_eq(tn_json_refuse(deep, "a number", &e), TN_EFORMAT);
    ck_assert_str_eq(e.text, "c.jsonl:7: /a/2/deep~1~0/0 is the string \"x\", expected a number");
    e = (tn_error){ 0 };
    tn_json_refuse(v, "an array", &e);
    ck_assert_str_eq(e.text, "c.jsonl:7: the top value is an object, expected an array");
    e = (tn_error){ 0 };
    tn_json_free(v);
    ck_assert_ptr_null(tn_json_parse("{\"a\":\n1,}", 9, "c.jsonl", 7, &e));
    ck_assert_msg(strstr(e.text, "c.jsonl:7: found '}'") != NULL, "%s", e.text);
}
END_TEST

/* A long text is cut between characters. */
START_TEST(long_strings)
{
    tn_error e = { 0 };
    static const char euros[] = "[\"\u20AC\u20AC\u20AC\u20AC\u20AC\u20AC\u20AC\u20AC\u20AC\u20AC"
                                "\u20AC\u20AC\u20AC\u20AC\"]";
    const tn_json *v = tn_json_parse(euros, sizeof euros - 1, "c.json", 0, &e);
    tn_json_refuse(v->child, "a number", &e);
    ck_assert_str_eq(e.text, "c.json: /0 is the string \"\u20AC\u20AC\u20AC\u20AC\u20AC\u20AC\u20AC"
                             "\u20AC\u20AC\u20AC\u20AC\u20AC\u20AC\"..., expected a number");
    tn_json_free(v);
}
END_TEST

/* A key that is longer than a message and has a line break: the message is one line, with the
   reason. */
START_TEST(long_keys)
{
    tn_error e = { 0 };
    tn_text t = { 0 };
    tn_text_add(&t, "{\"\\n");
    for (int i = 0; i < 5000; i++)
        tn_text_add(&t, "/");
    tn_text_add(&t, "\":1}");
    const tn_json *v = tn_json_parse(t.s, t.n, "c.json", 0, &e);
    tn_json_refuse(v->child, "a string", &e);
    ck_assert_uint_gt(strlen(e.text), sizeof e.text - 1 - sizeof e.text / 8);
    ck_assert_ptr_nonnull(strstr(e.text, "~1 is a number, expected a string"));
    ck_assert_ptr_null(strchr(e.text, '\n'));
    tn_json_free(v);
    tn_text_free(&t);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, getters, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, an_error_stops_getters);
    tcase_add_test(c, finds);
    tcase_add_test(c, says_where);
    tcase_add_test(c, long_strings);
    tcase_add_test(c, long_keys);
}
