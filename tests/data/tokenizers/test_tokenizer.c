/* test_tokenizer.c - byte and character tokenizers: ids of texts and texts of ids. */
#include "data/data.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

START_TEST(bytes)
{
    tn_error e = { 0 };
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    int32_t *ids = NULL;
    int64_t n = 0, room = 0;
    ck_assert_str_eq(tn_tokenizer_kind(k), "bytes");
    ck_assert_int_eq(tn_tokenizer_size(k), 257);
    ck_assert_int_eq(tn_tokenizer_end(k), 256);
    ck_assert_int_eq(tn_encode(k, "a\xE2\x82\xAC", 4, &ids, &n, &room, NULL, &e), 0);
    ck_assert_int_eq(tn_encode(k, "<|endoftext|>", 13, &ids, &n, &room, NULL, &e), 0);
    ck_assert_int_eq(n, 17); /* appended; the end token's name is ordinary text */
    ck_assert(ids[0] == 'a' && ids[1] == 0xE2 && ids[3] == 0xAC && ids[4] == '<');
    const int32_t odd[] = { 'x', 256, -1, 257, 'y' };
    tn_text out = { 0 };
    tn_decode(k, odd, 5, &out);
    ck_assert_str_eq(out.s, "xy");
    tn_text_free(&out);
    free(ids);
    tn_tokenizer_free(k);
}
END_TEST

START_TEST(unknown_characters)
{
    tn_error e = { 0 };
    tn_tokenizer *k = tn_tokenizer_chars("ab", 2, &e);
    int32_t *ids = NULL;
    int64_t n = 0, room = 0, skipped = 0;
    ck_assert_int_eq(tn_encode(k,
                               "a\xC3\xA9"
                               "b\xC3\xA9",
                               6, &ids, &n, &room, &skipped, &e),
                     0);
    ck_assert_int_eq(n, 2);
    ck_assert_int_eq(skipped, 2);
    ck_assert_int_eq(tn_encode(k, "ab\xC3\xA9", 4, &ids, &n, &room, NULL, &e), TN_EFORMAT);
    ck_assert_str_eq(e.text,
                     "byte 2: U+00E9 (\"\xC3\xA9\") is not in the vocabulary; expected only its "
                     "characters (a tokenizer of bytes has all)");
    ck_assert_int_eq(n, 2); /* nothing was appended */
    e = (tn_error){ 0 };
    ck_assert_int_eq(tn_encode(k, "a\xED\xA0\x80", 4, &ids, &n, &room, &skipped, &e), TN_EFORMAT);
    ck_assert_str_eq(e.text, "byte 1: malformed UTF-8; expected text");
    ck_assert_ptr_null(tn_tokenizer_bytes(&e)); /* the error sticks */
    e = (tn_error){ 0 };
    ck_assert_ptr_null(tn_tokenizer_chars("", 0, &e));
    e = (tn_error){ 0 };
    ck_assert_ptr_null(tn_tokenizer_chars("a\0b", 3, &e));
    ck_assert_str_eq(e.text, "byte 1: a zero byte; expected UTF-8 text");
    free(ids);
    tn_tokenizer_free(k);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, bytes);
    tcase_add_test(c, unknown_characters);
}
