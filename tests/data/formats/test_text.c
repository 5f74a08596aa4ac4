/* test_text.c - texts that grow, also when memory is out. */
#include "tests/support/tests.h"

#include "data/data.h"

#include <string.h>

/* clang-format off */
typedef struct row { const char *s; size_t n; const char *quoted; } row;

static const row rows[] = {
    { "", 0, "\"\"" },
    { "plain", 5, "\"plain\"" },
    { "\"\\/", 3, "\"\\\"\\\\/\"" },
    { "\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"" },
    { "\0\x1F\x7F", 3, "\"\\u0000\\u001f\\u007f\"" },
    { "\xC2\x80\xC2\x9B\xC2\x9F\xC2\xA0", 8, "\"\\u0080\\u009b\\u009f\xC2\xA0\"" },
    { "\xE2\x80\xA8\xE2\x80\xAE", 6, "\"\\u2028\\u202e\"" },
    { "\xC3\xA9\xF0\x9F\x98\x80", 6, "\"\xC3\xA9\xF0\x9F\x98\x80\"" },
    { "a\xFF" "b\xE2\x82", 5, "\"a\xEF\xBF\xBD" "b\xEF\xBF\xBD\xEF\xBF\xBD\"" },
};
/* clang-format on */

START_TEST(quotes)
{
    const row *r = &rows[_i];
    tn_text t = { 0 };
    tn_text_quote(&t, r->s, r->n);
    ck_assert(!t.failed);
    ck_assert_str_eq(t.s, r->quoted);
    ck_assert_uint_eq(t.n, strlen(r->quoted));
    tn_text_free(&t);
}
END_TEST

START_TEST(grows)
{
    tn_text t = { 0 };
    for (int i = 0; i < 20000; i++)
        tn_text_add(&t, "%d,", i % 10);
    ck_assert_uint_eq(t.n, 40000);
    ck_assert_uint_eq(strlen(t.s), 40000);
    ck_assert_int_eq(t.s[2 * 7], '7');
    tn_text_bytes(&t, "a\0b", 3);
    ck_assert_uint_eq(t.n, 40003);
    ck_assert_mem_eq(t.s + 40000, "a\0b", 4);
    tn_text_free(&t);
    ck_assert_ptr_null(t.s);
}
END_TEST

START_TEST(nearest)
{
    static const char *const names[] = { "adam", "ADAMW", "lora_rite", NULL, "Adam" };
    ck_assert_str_eq(tn_nearest("adamW", names, 5), "ADAMW"); /* case does not count */
    ck_assert_str_eq(tn_nearest("LORA-RITE", names, 5), "lora_rite");
    ck_assert_str_eq(tn_nearest("adim", names, 5), "adam");
    ck_assert_str_eq(tn_nearest("adma", names, 5), "adam"); /* two neighbours exchanged */
    ck_assert_str_eq(tn_nearest("lora_rit", names, 5), "lora_rite");
    ck_assert_str_eq(tn_nearest("lroa_riet", names, 5), "lora_rite");
    ck_assert_ptr_null(tn_nearest("lroa_riat", names, 5)); /* three changes of nine letters */
    ck_assert_ptr_null(tn_nearest("sgd", names, 5));
    ck_assert_ptr_null(tn_nearest("adxx", names, 5));
    ck_assert_ptr_null(tn_nearest("ad", (const char *const[]){ "add" }, 1));
}
END_TEST

START_TEST(lack_of_memory_sticks)
{
    tn_text t = { 0 };
    tn_text_add(&t, "kept");
    tn_text_bytes(&t, "x", SIZE_MAX - 2);
    ck_assert(t.failed);
    tn_text_add(&t, "ignored");
    ck_assert_str_eq(t.s, "kept");
    tn_text_free(&t);
    ck_assert(!t.failed);
}
END_TEST

/* A text of which a part is missing, because memory was out, is never returned. */
START_TEST(a_cut_text_is_refused)
{
    tn_error e = { 0 };
    tn_text cut = { 0 }, all = { 0 }, none = { 0 };
    tn_text_add(&cut, "begin");
    tn_text_bytes(&cut, "x", SIZE_MAX - 2);
    ck_assert_ptr_null(tn_text_done(&cut, "the options", &e));
    ck_assert_int_eq(e.code, TN_ENOMEM);
    ck_assert_str_eq(e.text, "the options: out of memory");
    e = (tn_error){ 0 };
    tn_text_add(&all, "a");
    tn_text_join(&all, &none);
    ck_assert_str_eq(tn_text_done(&all, "", &e), "a");
    ck_assert_str_eq(tn_text_done(&none, "", &e), "");
    tn_text_join(&all, &cut);
    ck_assert_int_eq(e.code, 0);
    ck_assert_int_eq(tn_text_save(&all, "/tmp", "never-written", &e), TN_ENOMEM);
    ck_assert_ptr_null(all.s); /* freed */
    tn_text_free(&cut);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, quotes, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, grows);
    tcase_add_test(c, nearest);
    tcase_add_test(c, lack_of_memory_sticks);
    tcase_add_test(c, a_cut_text_is_refused);
}
