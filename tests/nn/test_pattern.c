/* test_pattern.c - patterns match what regexec and Python match; others are refused; time is linear. */
#include "nn/pattern.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* clang-format off */
/* What Python 3.11 returns for re.fullmatch(pattern, name), and for the rule of PEFT's
   rank_pattern, re.match(r"(.*\.)?(" + pattern + ")$", name). */
static const struct { const char *pattern, *name; bool whole, ending; } known[] = {
    { "q_proj", "model.layers.0.self_attn.q_proj", false, true },
    { "_proj", "model.layers.0.self_attn.q_proj", false, false },
    { "model.layers.1.mlp.down_proj", "model.layers.1.mlp.down_proj", true, true },
    { "model.layers.1.mlp.down_proj", "model.layers.11.mlp.down_proj", false, false },
    { "model.layers.1.mlp.down_proj", "modelxlayers.1.mlp.down_proj", true, true },
    { ".*\\.[34]\\.mlp\\.up_proj", "model.layers.3.mlp.up_proj", true, true },
    { ".*\\.[34]\\.mlp\\.up_proj", "model.layers.5.mlp.up_proj", false, false },
    { "layers.2.self_attn.o_proj", "model.layers.2.self_attn.o_proj", false, true },
    { "layers.2.self_attn.o_proj", "model.layers.12.self_attn.o_proj", false, false },
    { "q_proj|v_proj", "model.layers.0.self_attn.v_proj", false, true },
    { ".*(q|v)_proj", "model.layers.0.self_attn.v_proj", true, true },
    { "(c_attn|c_proj)", "transformer.h.0.attn.c_attn", false, true },
    { "h\\.\\d+\\.mlp\\.c_fc", "transformer.h.11.mlp.c_fc", false, true },
    { "h\\.\\d\\.mlp\\.c_fc", "transformer.h.11.mlp.c_fc", false, false },
    { "h\\.[^02-9]\\.mlp\\..*", "transformer.h.1.mlp.c_fc", false, true },
    { "h\\.[^02-9]\\.mlp\\..*", "transformer.h.4.mlp.c_fc", false, false },
    { "[]x]+", "]x]", true, true },
    { "[a-]b[\\d.]", "-b.", true, true },
    { "((a*)*b)*c", "aabbac", false, false },
    { "((a*)*b)*c", "aabbabc", true, true },
    { "", "a.", false, true },
    { "(|a)b", "b", true, true },
    { "a||b", "", true, true },
};

static const struct { const char *pattern, *text; } refused[] = {
    { "a?", "\"?\" in the pattern \"a?\": not supported; expected literals, . \\. [...] \\d * + (a|b)" },
    { "^a", "\"^\"" }, { "a$", "\"$\"" }, { "a{2}", "\"{\"" }, { "}", "\"}\"" }, { "\\w+", "\"\\w\"" },
    { "\\s", "\"\\s\"" }, { "a\\b", "\"\\b\"" }, { "(a)\\1", "\"\\1\"" }, { "a\\", "\"\\\"" },
    { "(?:a|b)", "\"(?\"" }, { "(?=a)", "\"(?\"" }, { "*a", "\"*\" in the pattern \"*a\": nothing is repeated" },
    { "(+a)", "\"+\"" }, { "a**", "\"*\" in the pattern \"a**\": a second repetition" }, { "a*+", "\"+\"" },
    { "a*?", "\"?\"" }, { "(a", "\"(\" in the pattern \"(a\": never closed" }, { "a)", "\")\" in the pattern \"a)\": never opened" },
    { "((a)", "\"(\"" }, { "[a", "\"[a\" in the pattern \"[a\": not a set" }, { "[]", "not a set" }, { "[z-a]", "not a set" },
    { "[\\w]", "not a set" }, { "[\\d-z]", "not a set" }, { "[a-\\d]", "not a set" }, { "[", "not a set" }, { "[^", "not a set" },
    { "[a-", "not a set" }, { "[\\", "not a set" },
    { "((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))", "too many open brackets" },
};
/* clang-format on */

START_TEST(matches_as_python_does)
{
    tn_error e = { 0 };
    tn_pattern_check(known[_i].pattern, "--x", TN_EFORMAT, &e);
    must(&e);
    ck_assert_int_eq(tn_pattern_matches(known[_i].pattern, known[_i].name, false), known[_i].whole);
    ck_assert_int_eq(tn_pattern_matches(known[_i].pattern, known[_i].name, true), known[_i].ending);
}
END_TEST

START_TEST(other_patterns_are_refused)
{
    tn_error e = { 0 };
    tn_pattern_check(refused[_i].pattern, "--x", TN_EFORMAT, &e);
    must_fail(&e, TN_EFORMAT, refused[_i].text);
    ck_assert(!tn_pattern_matches(refused[_i].pattern, "a", true));
}
END_TEST

/* A random pattern over a, b and the dot, in the form that regcomp reads, too. */
static size_t draw(uint64_t trial, uint64_t *at, int depth, char *out)
{
    size_t n = 0;
    for (uint64_t parts = 1 + tn_random(9, trial, 0, (*at)++) % 3; parts > 0; parts--) {
        const uint64_t what = tn_random(9, trial, 0, (*at)++) % (depth > 2 ? 6 : 10);
        static const char *const atoms[] = { "a", "b", ".", "\\.", "[ab]", "[^a.]" };
        const bool set = what < 6;
        if (!set)
            out[n++] = '(';
        n +=
            set ? (size_t)sprintf(out + n, "%s", atoms[what]) : draw(trial, at, depth + 1, out + n);
        if (what > 7) {
            out[n++] = '|';
            n += draw(trial, at, depth + 1, out + n);
        }
        if (!set)
            out[n++] = ')';
        const uint64_t often = tn_random(9, trial, 0, (*at)++) % 6;
        if (often < 2)
            out[n++] = often ? '*' : '+';
    }
    out[n] = 0;
    return n;
}

START_TEST(matches_as_regexec_does)
{
    int matched = 0, compared = 0;
    for (uint64_t trial = 0; trial < 4000; trial++) {
        char pattern[4096], whole[4200], ending[4200];
        uint64_t at = 0;
        if (draw(trial, &at, 0, pattern) > 255)
            continue;
        regex_t r, s;
        snprintf(whole, sizeof whole, "^(%s)$", pattern);
        snprintf(ending, sizeof ending, "^(.*\\.)?(%s)$", pattern);
        ck_assert_int_eq(regcomp(&r, whole, REG_EXTENDED | REG_NOSUB), 0);
        ck_assert_int_eq(regcomp(&s, ending, REG_EXTENDED | REG_NOSUB), 0);
        for (uint64_t k = 0; k < 12; k++) {
            char name[8] = "";
            const uint64_t length = tn_random(9, trial, 1, 20 * k) % 7;
            for (uint64_t i = 0; i < length; i++)
                name[i] = "aab."[tn_random(9, trial, 1, 20 * k + i + 1) % 4];
            const bool is = !regexec(&r, name, 0, NULL, 0), ends = !regexec(&s, name, 0, NULL, 0);
            ck_assert_msg(tn_pattern_matches(pattern, name, false) == is, "%s %s", pattern, name);
            ck_assert_msg(tn_pattern_matches(pattern, name, true) == ends, "%s %s", pattern, name);
            matched += is;
            compared++;
        }
        regfree(&r);
        regfree(&s);
    }
    ck_assert(matched > compared / 20 && compared > 40000);
}
END_TEST

/* Patterns that take programs which go back an exponential time. */
START_TEST(time_is_linear)
{
    static const char *const slow[] = { "(a*)*b", "((((((a+)+)+)+)+)+)+b", "(a|a|a)*b",
                                        "(.*.*.*)*b", "((a*)*|(a*)*)*b" };
    char name[160];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    const clock_t start = clock();
    for (int k = 0; k < 100; k++)
        ck_assert(!tn_pattern_matches(slow[_i], name, true));
    ck_assert_double_lt((double)(clock() - start) / CLOCKS_PER_SEC, 5);
}
END_TEST

START_TEST(length_is_limited)
{
    char text[300];
    tn_error e = { 0 };
    for (int i = 0; i < 255; i++)
        text[i] = "a|"[i % 2];
    text[255] = 0;
    tn_pattern_check(text, "--x", TN_EFORMAT, &e);
    must(&e);
    ck_assert(tn_pattern_matches(text, "a", false) && !tn_pattern_matches(text, "aa", false));
    strcpy(text + 255, "|");
    tn_pattern_check(text, "--x", TN_EFORMAT, &e);
    must_fail(&e, TN_EFORMAT, "is longer than 255 bytes");
    ck_assert(!tn_pattern_matches(text, "a", false));
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, matches_as_python_does, 0, sizeof known / sizeof *known);
    tcase_add_loop_test(c, other_patterns_are_refused, 0, sizeof refused / sizeof *refused);
    tcase_add_test(c, matches_as_regexec_does);
    tcase_add_loop_test(c, time_is_linear, 0, 5);
    tcase_add_test(c, length_is_limited);
}
