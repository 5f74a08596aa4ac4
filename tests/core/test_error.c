/* test_error.c - the sticky error: the first one stays, in one line without control characters. */
#include "core/core.h"
#include "tests/support/tests.h"

#include <string.h>

static const struct { const char *given, *kept; } texts[] = {
    { "a.json:7: \"x\" is a number, expected a string", "a.json:7: \"x\" is a number, expected a string" },
    { "a\nb\tc\033[31m\177", "a?b?c?[31m?" },
    { "csi \xc2\x9b" "31m", "csi ??31m" },
    { "caf\xc3\xa9 \xc2\xa0 \xe2\x82\xac \xc2", "caf\xc3\xa9 \xc2\xa0 \xe2\x82\xac \xc2" },
};

START_TEST(one_line_without_controls)
{
    tn_error e = { 0 };
    ck_assert_int_eq(tn_fail(&e, TN_EFORMAT, "%s", texts[_i].given), TN_EFORMAT);
    ck_assert_str_eq(e.text, texts[_i].kept);
}
END_TEST

START_TEST(the_first_stays)
{
    tn_error e = { 0 };
    tn_fail(&e, TN_EIO, "first");
    ck_assert_int_eq(tn_fail(&e, TN_EFORMAT, "second"), TN_EIO);
    ck_assert_str_eq(e.text, "first");
}
END_TEST

START_TEST(a_long_one_is_cut)
{
    tn_error e = { 0 };
    tn_fail(&e, TN_EIO, "%02000d", 7);
    ck_assert_uint_eq(strlen(e.text), sizeof e.text - 1);
}
END_TEST

/* Codes are distinct, negative, and have a meaning. */
START_TEST(codes_have_meanings)
{
    static const int codes[] = {
#define ERR(name, number, meaning) name,
#include "core/errors.def"
#undef ERR
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        ck_assert_int_lt(codes[i], 0);
        ck_assert_str_ne(tn_strerror(codes[i]), tn_strerror(1));
        for (size_t k = 0; k < i; k++)
            ck_assert_int_ne(codes[i], codes[k]);
    }
    ck_assert_str_eq(tn_strerror(0), "success");
    ck_assert_str_eq(tn_strerror(1), "unknown error");
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, one_line_without_controls, 0, sizeof texts / sizeof *texts);
    tcase_add_test(c, the_first_stays);
    tcase_add_test(c, a_long_one_is_cut);
    tcase_add_test(c, codes_have_meanings);
}
