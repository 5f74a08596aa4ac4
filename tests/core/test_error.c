/* test_error.c - the sticky error: the first one stays, in one line without control characters. */
#include "core/core.h"
#include "tests/support/tests.h"

#include <string.h>

/* clang-format off */
static const struct { const char *given, *kept; } texts[] = {
    { "a.json:7: \"x\" is a number, expected a string", "a.json:7: \"x\" is a number, expected a string" },
    { "a\nb\tc\033[31m\177", "a\\nb\\tc\\x1b[31m\\x7f" },
    { "csi \xc2\x9b" "31m \x9b" "31m", "csi \\u009b31m \\x9b31m" },
    { "caf\xc3\xa9 \xc2\xa0 \xe2\x82\xac \xc2", "caf\xc3\xa9 \xc2\xa0 \xe2\x82\xac \\xc2" },
};
/* clang-format on */

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

/* If a text is too long, its reason stays complete, and a path keeps its beginning and end. */
START_TEST(the_reason_stays)
{
    char path[3000], other[3000], e_acute[3001];
    memset(path, 'p', sizeof path);
    memset(other, 'o', sizeof other);
    for (int i = 0; i < 3000; i += 2)
        memcpy(e_acute + i, "\xc3\xa9", 3);
    memcpy(path, "/first/", 7);
    path[sizeof path - 1] = other[sizeof other - 1] = 0;
    memcpy(path + sizeof path - 6, "/last", 5);
    static const char reason[] =
        ": cannot open: No such file or directory; expected a model folder";
    for (int k = 0; k < 4; k++) {
        tn_error e = { 0 }, outer = { 0 };
        if (k == 3)
            tn_fail(&e, TN_EIO, "%s/%s%s", e_acute, e_acute + 1, reason);
        else if (k == 2)
            tn_fail(&e, TN_EIO, "%s: cannot be renamed to %s%s", path, other, reason);
        else
            tn_fail(&e, TN_EIO, "%s%s", path, reason);
        if (k == 1)
            tn_fail(&outer, TN_EIO, "%s; the one before is checkpoint-%d", e.text, 12);
        const char *text = k == 1 ? outer.text : e.text, *end = strstr(text, reason);
        ck_assert_msg(end != NULL, "%s", text);
        ck_assert_uint_lt(strlen(text), sizeof e.text);
        ck_assert(k == 3 || !strncmp(text, "/first/p", 8));
        ck_assert(k == 3 || strstr(text, "p/last") != NULL);
        ck_assert(k == 1 ? strstr(end, "; the one before is checkpoint-12") != NULL
                         : !end[sizeof reason - 1]);
        tn_error_add(&e, "; %s; --split %s reads it", "the newest checkpoint is after step 100",
                     "valid");
        ck_assert_ptr_nonnull(strstr(e.text, "model folder; the newest"));
        ck_assert_ptr_nonnull(strstr(e.text, "; --split valid reads it"));
        ck_assert_uint_lt(strlen(e.text), sizeof e.text);
    }
}
END_TEST

/* A text that fits does not change. Nothing is added to an error that is not set. */
START_TEST(what_fits_is_whole)
{
    char path[480];
    memset(path, 'p', sizeof path);
    path[sizeof path - 1] = 0;
    tn_error e = { 0 };
    tn_error_add(&e, "nothing");
    ck_assert_str_eq(e.text, "");
    tn_fail(&e, TN_EIO, "%s: gone", path);
    ck_assert_uint_eq(strlen(e.text), sizeof path - 1 + 6);
    ck_assert(!strncmp(e.text, path, sizeof path - 1));
    tn_error_add(&e, ", %d", 7);
    ck_assert_str_eq(e.text + sizeof path - 1, ": gone, 7");
}
END_TEST

/* Codes are distinct, negative, and have a meaning. */
START_TEST(codes_have_meanings)
{
    static const int codes[] = {
#define TN_ERR(name, number, meaning) name,
#include "core/errors.def"
#undef TN_ERR
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
    tcase_add_test(c, the_reason_stays);
    tcase_add_test(c, what_fits_is_whole);
    tcase_add_test(c, codes_have_meanings);
}
