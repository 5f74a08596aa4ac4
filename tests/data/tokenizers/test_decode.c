/* test_decode.c - decoding token by token, compared with Python's incremental decoder. */
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include "core/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

static size_t read_hex(const char *s, unsigned char out[MOST])
{
    size_t n = 0;
    for (unsigned byte; n < MOST && sscanf(s + 2 * n, "%2x", &byte) == 1 && s[2 * n] != ' '; n++)
        out[n] = (unsigned char)byte;
    return n;
}

static bool is_text(const tn_text *t)
{
    uint32_t code;
    size_t at = 0, n;
    while (at < t->n && (n = tn_utf8_read(t->s + at, t->n - at, &code)) > 0)
        at += n;
    return at == t->n;
}

/* Decodes `step` tokens at a time. The text is always valid UTF-8; at the end it is that of
   Python. */
static void check(const tn_tokenizer *k, const char *line, size_t step)
{
    unsigned char bytes[MOST], expected[MOST];
    const size_t n = read_hex(line, bytes), m = read_hex(strchr(line, ' ') + 1, expected);
    int32_t ids[MOST];
    tn_text out = { 0 };
    tn_held held = { 0 };
    for (size_t i = 0; i < n; i++)
        ids[i] = bytes[i];
    for (size_t i = 0; i < n; i += step) {
        tn_decode_next(k, ids + i, (int64_t)(n - i < step ? n - i : step), &held, &out);
        ck_assert_msg(is_text(&out) && held.n < 4, "%.20s: not valid after %zu bytes", line, i + 1);
        ck_assert(out.n <= m && (!out.n || !memcmp(out.s, expected, out.n)));
    }
    tn_decode_end(&held, &out);
    ck_assert_msg(out.n == m && !memcmp(out.s, expected, m), "%.60s: another text", line);
    ck_assert_uint_eq(held.n, 0);
    tn_text_free(&out);
}

START_TEST(bytes_become_what_python_makes_of_them)
{
    tn_error e = { 0 };
    size_t size;
    int rows = 0;
    char *text = tn_file_read(GOLDEN "tokenizer/utf8_replace.txt", 1 << 20, &size, &e);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    must(&e);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        for (size_t step = 1; *line != '#' && step <= 4; step++, rows++)
            check(k, line, step);
    ck_assert_int_eq(rows, 1600);
    tn_tokenizer_free(k);
    free(text);
}
END_TEST

/* With a tokenizer of characters nothing is held back. The end token adds no text. */
START_TEST(characters_come_at_once)
{
    tn_error e = { 0 };
    tn_tokenizer *k = tn_tokenizer_chars("a\xc3\xa9\xe2\x82\xac", 6, &e),
                 *b = tn_tokenizer_bytes(&e);
    must(&e);
    tn_text out = { 0 };
    tn_held held = { 0 };
    const int32_t ids[] = { 0, 1, 3, 2, 99, -1 }, euro[] = { 0xE2, 256, 0x82, 256, 0xAC };
    tn_decode_next(k, ids, 6, &held, &out);
    ck_assert_str_eq(out.s, "a\xc3\xa9\xe2\x82\xac");
    tn_text_free(&out);
    tn_decode_next(b, euro, 4, &held, &out);
    ck_assert_uint_eq(out.n, 0);
    tn_decode_next(b, euro + 4, 1, &held, &out);
    ck_assert_str_eq(out.s, "\xe2\x82\xac");
    tn_text_free(&out);
    tn_tokenizer_free(k);
    tn_tokenizer_free(b);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, bytes_become_what_python_makes_of_them);
    tcase_add_test(c, characters_come_at_once);
}
