/* test_format.c - text for people: like printf, but control characters in strings are escaped. */
#include "core/core.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
typedef struct text { char s[4096]; size_t n; } text;
/* clang-format on */

static void add(void *arg, const char *bytes, size_t n)
{
    text *t = arg;
    ck_assert_uint_lt(t->n + n, sizeof t->s);
    memcpy(t->s + t->n, bytes, n);
    t->n += n;
    t->s[t->n] = 0;
}

__attribute__((format(printf, 3, 4))) static const char *formatted(text *t, size_t most,
                                                                   const char *format, ...)
{
    va_list args;
    *t = (text){ .n = 0 };
    va_start(args, format);
    tn_format(add, t, most, format, args);
    va_end(args);
    return t->s;
}

/* The result of the C library's snprintf is the oracle. */
#define SAME(...)                                                                                  \
    do {                                                                                           \
        text t;                                                                                    \
        char expected[4096];                                                                       \
        snprintf(expected, sizeof expected, __VA_ARGS__);                                          \
        ck_assert_str_eq(formatted(&t, 0, __VA_ARGS__), expected);                                 \
    } while (0)

START_TEST(as_the_library_does)
{
    SAME("plain 100%%");
    SAME("%d|%5d|%-5d|%05d|%+d|% d|%i", -7, 42, 42, 42, 42, 42, -2147483647);
    SAME("%lld|%ld|%zu|%u|%x|%X|%04X|%016llx|%o", -9223372036854775807LL, -3L, (size_t)-1,
         4000000000u, 255u, 255u, 10u, 0xfeedULL, 8u);
    SAME("%.3d|%*d|%-*d|%02lld", 7, 6, 1, 6, 1, 5LL);
    SAME("%f|%.1f|%9.4g|%-9.3g|%e|%11.1e|%g|%.17g|%a|%.*f|%.0f", 1.5, 2.25, 1e-7, 1e20, 3.0, 4e-5,
         0.1, 1.0 / 3, 0.5, 2, 3.14159, 2.5);
    SAME("%g|%f|%5.1f|%-8g|", 1.0 / 0.0, -1.0 / 0.0, 0.0 / 0.0 < 1 ? 1.0 : 0.0, 1e300);
    SAME("%s|%5s|%-5s|%.2s|%*s|%-*s|%.*s|%5.1s", "ab", "ab", "ab", "abc", 4, "ab", 4, "ab", 1,
         "xyz", "q");
    SAME("%c%c", 'a', 'z');
    SAME("%s%d%s%lld", "", 1, "x", 2LL);
    SAME("%.100f", 1e300);
}
END_TEST

typedef struct shown {
    const char *raw, *shown;
} shown;

/* clang-format off */
static const shown strings[] = {
    { "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xd7\x90", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xd7\x90" },
    { "a\nb\tc\rd", "a\\nb\\tc\\rd" },
    { "\033[31mred\033]0;title\007", "\\x1b[31mred\\x1b]0;title\\x07" },
    { "\x01\x1f\x7f", "\\x01\\x1f\\x7f" },
    { "\xc2\x80 \xc2\x85 \xc2\x9b" "31m \xc2\x9f \xc2\xa0", "\\u0080 \\u0085 \\u009b31m \\u009f \xc2\xa0" },
    { "\x9b" "31m \xff \xc3", "\\x9b31m \\xff \\xc3" },      /* a C1 control as a byte; bytes that are not UTF-8 */
    { "\xe0\x80\x9b \xed\xa0\x80", "\\xe0\\x80\\x9b \\xed\\xa0\\x80" }, /* overlong; a surrogate */
    { "\xe2\x80\xa8\xe2\x80\xae" "cod.exe\xe2\x81\xa6", "\\u2028\\u202ecod.exe\\u2066" },
    { "\xe2\x80\x8e\xe2\x80\x90", "\xe2\x80\x8e\xe2\x80\x90" }, /* marks of direction, a hyphen: letters */
    { "back\\slash \\x1b", "back\\slash \\x1b" },
    { "", "" },
};
/* clang-format on */

START_TEST(controls_are_escaped)
{
    const shown *r = &strings[_i];
    text t, again;
    ck_assert_str_eq(formatted(&t, 0, "%s", r->raw), r->shown);
    ck_assert_str_eq(formatted(&again, 0, "%s", t.s),
                     r->shown); /* formatting the result again changes nothing */
    t = (text){ .n = 0 };
    tn_escape(add, &t, r->raw, strlen(r->raw));
    ck_assert_str_eq(t.s, r->shown);
}
END_TEST

/* Line ends and escape sequences of the format itself stay: they are the program's own. */
START_TEST(the_format_is_not_escaped)
{
    text t;
    ck_assert_str_eq(formatted(&t, 0, "\r%s\033[K\n", "\r"), "\r\\r\033[K\n");
    ck_assert_str_eq(formatted(&t, 0, "%c|%c", '\033', '\xe9'), "\\x1b|\\xe9");
    t = (text){ .n = 0 };
    tn_escape(add, &t, "a\0b", 3);
    ck_assert_str_eq(t.s, "a\\x00b");
}
END_TEST

/* Widths count characters, not bytes, and a cut is between two characters. */
START_TEST(widths_and_cuts)
{
    text t;
    ck_assert_str_eq(formatted(&t, 0, "%-4s|%4s|", "\xc3\xa9", "\xc3\xa9\n"),
                     "\xc3\xa9   | \xc3\xa9\\n|");
    ck_assert_str_eq(formatted(&t, 0, "%.1s|%.2s|%.3s", "\xc3\xa9", "\xc3\xa9",
                               "a\xc3\xa9"
                               "b"),
                     "|\xc3\xa9|a\xc3\xa9");
    ck_assert_str_eq(formatted(&t, 0, "%.5s", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80"),
                     "\xf0\x9f\x98\x80");
    ck_assert_str_eq(formatted(&t, 11, "%s", "0123456789ab"), "0123...89ab");
    ck_assert_str_eq(formatted(&t, 12, "%s", "0123456789ab"), "0123456789ab");
    ck_assert_str_eq(formatted(&t, 11, "%s",
                               "012\xc3\xa9"
                               "567\xc3\xa9"
                               "89a"),
                     "012...89a");
    ck_assert_str_eq(formatted(&t, 11, "%-12s|%s", "0123456789abc", "x"), "0123...9abc |x");
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, as_the_library_does);
    tcase_add_loop_test(c, controls_are_escaped, 0, sizeof strings / sizeof *strings);
    tcase_add_test(c, the_format_is_not_escaped);
    tcase_add_test(c, widths_and_cuts);
}
