/* test_answer.c - a text that ends an answer is found over the borders of tokens, and no part is shown. */
#include "apps/ask/answer.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const struct { const char *text, *stops[4], *left; } cases[] = {
    { "one two three", { NULL }, "one two three" },
    { "one two three", { "two" }, "one " },
    { "one two three", { "three", "two" }, "one " },
    { "one two three", { "two thx", "hree" }, "one two t" },
    { "aaab", { "aab" }, "a" },
    { "ababac", { "abac" }, "ab" },
    { "one", { "one" }, "" },
    { "one", { "onetwo" }, "one" },
    { "xonyone", { "one" }, "xony" },
    { "abc", { "c", "bc", "abc" }, "" }, /* all end with the same token: the longest begins first */
};
/* clang-format on */

/* Each character is a token. What was shown is never more than what is left at the end. */
START_TEST(stops_are_found_as_tokens_come)
{
    tn_error e = { 0 };
    int32_t *ids = NULL;
    int64_t n = 0, room = 0;
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    answer a = { .tokenizer = k, .stops = cases[_i].stops, .shown = true };
    const size_t left = strlen(cases[_i].left);
    tn_encode(k, cases[_i].text, strlen(cases[_i].text), &ids, &n, &room, NULL, &e);
    for (int64_t i = 0; i < n; i++) {
        const bool stopped = answer_add(&a, ids[i], &e);
        ck_assert_uint_le(a.done, left);
        ck_assert(!stopped || a.text.n == left);
        if (stopped)
            break;
    }
    ck_assert(a.stopped == (left < strlen(cases[_i].text)));
    answer_close(&a, &e);
    must(&e);
    ck_assert_str_eq(a.text.s, cases[_i].left);
    ck_assert_uint_eq(a.done, left);
    putchar('\n'); /* the report begins on a line of its own */
    answer_free(&a);
    tn_tokenizer_free(k);
    free(ids);
}
END_TEST

/* A text that cannot begin a stop is shown at once. */
START_TEST(other_text_is_not_held_back)
{
    tn_error e = { 0 };
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    answer a = { .tokenizer = k, .stops = (const char *const[]){ "xyz", NULL }, .shown = true };
    static const char text[] = "axbxyc";
    static const size_t shown[] = { 1, 1, 3, 3, 3, 6 };
    for (int i = 0; i < 6; i++) {
        answer_add(&a, (unsigned char)text[i], &e); /* the id of a byte is the byte */
        ck_assert_uint_eq(a.done, shown[i]);
    }
    putchar('\n'); /* the report begins on a line of its own */
    answer_free(&a);
    tn_tokenizer_free(k);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, stops_are_found_as_tokens_come, 0, sizeof cases / sizeof *cases);
    tcase_add_test(c, other_text_is_not_held_back);
}
