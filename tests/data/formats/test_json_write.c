/* test_json_write.c - a JSON value as text again. */
#include "data/data.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <string.h>

static const struct {
    const char *text, *written;
} rows[] = {
    { "null", "null" },
    { " -1.50e+3 ", "-1.50e+3" },
    { "18446744073709551615", "18446744073709551615" },
    { "\"a\\u0000\\\"\\u00e9\"", "\"a\\u0000\\\"\xC3\xA9\"" },
    { "[ ]", "[]" },
    { "{ }", "{}" },
    { "[true,[1],{\"a\":{}}]", "[\n  true,\n  [\n    1\n  ],\n  {\n    \"a\": {}\n  }\n]" },
    { "{\"b\":1,\"a\":\"x\"}", "{\n  \"b\": 1,\n  \"a\": \"x\"\n}" },
};

START_TEST(is_written_as_it_was_read)
{
    tn_error e = { 0 };
    tn_text out = { 0 };
    const tn_json *v = tn_json_parse(rows[_i].text, strlen(rows[_i].text), "row", 0, &e);
    must(&e);
    tn_text_json(&out, v, 0);
    ck_assert_str_eq(tn_text_done(&out, "row", &e), rows[_i].written);
    tn_text_free(&out);
    tn_json_free(v);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, is_written_as_it_was_read, 0, sizeof rows / sizeof *rows);
}
