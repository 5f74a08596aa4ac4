/* test_utf8.c - UTF-8: table 3-7 of the Unicode standard, and every code point. */
#include "tests/support/tests.h"

#include "core/utf8.h"

#include <string.h>

/* clang-format off */
typedef struct row { const char *s; size_t n, takes; uint32_t code; } row;
/* clang-format on */

static const row rows[] = {
    { "a", 1, 1, 'a' },
    { "\0", 1, 1, 0 },
    { "\x7F", 1, 1, 0x7F },
    { "\xC2\x80", 2, 2, 0x80 },
    { "\xDF\xBF", 2, 2, 0x7FF },
    { "\xE0\xA0\x80", 3, 3, 0x800 },
    { "\xED\x9F\xBF", 3, 3, 0xD7FF },
    { "\xEE\x80\x80", 3, 3, 0xE000 },
    { "\xEF\xBF\xBF", 3, 3, 0xFFFF },
    { "\xF0\x90\x80\x80", 4, 4, 0x10000 },
    { "\xF4\x8F\xBF\xBF", 4, 4, 0x10FFFF },
    { "\xC3\xA9 and more", 11, 2, 0xE9 },
    { "\x80", 1, 0, 0 }, /* continuation without a start */
    { "\xBF", 1, 0, 0 },
    { "\xC0\x80", 2, 0, 0 }, /* overlong */
    { "\xC1\xBF", 2, 0, 0 },
    { "\xE0\x9F\xBF", 3, 0, 0 },
    { "\xF0\x8F\xBF\xBF", 4, 0, 0 },
    { "\xED\xA0\x80", 3, 0, 0 }, /* surrogates */
    { "\xED\xBF\xBF", 3, 0, 0 },
    { "\xF4\x90\x80\x80", 4, 0, 0 }, /* past U+10FFFF */
    { "\xF5\x80\x80\x80", 4, 0, 0 },
    { "\xFF", 1, 0, 0 },
    { "\xC3", 1, 0, 0 }, /* cut short */
    { "\xE2\x82\xAC", 2, 0, 0 },
    { "\xF0\x9F\x98\x80", 3, 0, 0 },
    { "\xC3(", 2, 0, 0 }, /* another character instead of a continuation */
    { "\xE2\x82(", 3, 0, 0 },
    { "\xE2(\xAC", 3, 0, 0 },
    { "\xF0\x9F\x98\xC0", 4, 0, 0 },
};

START_TEST(table)
{
    const row *r = &rows[_i];
    uint32_t code = 0;
    ck_assert_uint_eq(tn_utf8_read(r->s, r->n, &code), r->takes);
    ck_assert_uint_eq(code, r->code);
}
END_TEST

START_TEST(every_code_point)
{
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        char s[4];
        uint32_t back = 0;
        bool surrogate = c >= 0xD800 && c <= 0xDFFF;
        size_t n = tn_utf8_write(c, s);
        ck_assert_uint_eq(tn_utf8_read(s, n, &back), surrogate ? 0 : n);
        ck_assert_uint_eq(back, surrogate ? 0 : c);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, table, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, every_code_point);
}
