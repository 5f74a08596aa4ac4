#include "data/data.h"
#include "tests/data/scratch.h"
#include "tests/tests.h"

#include <string.h>

typedef struct set { scratch s; tn_tokenizer *k; tn_dataset *d; tn_error e; } set;

static void open_text(set *t, const char *text, double from, double to, tn_data_options o)
{
    *t = (set){ .k = NULL };
    scratch_open(&t->s);
    t->k = tn_tokenizer_bytes(&t->e);
    const char *path = scratch_write(&t->s, "a.txt", text, strlen(text));
    t->d = tn_dataset_text(path, t->k, from, to, &o, &t->e);
}

static void close_set(set *t)
{
    ck_assert((t->d == NULL) == (t->e.code != 0));
    tn_dataset_free(t->d);
    tn_tokenizer_free(t->k);
    scratch_close(&t->s);
}

/* Windows overlap by the token that one predicts last and the next begins with. */
START_TEST(windows)
{
    set t;
    int64_t length, prompt;
    open_text(&t, "0123456789", 0, 1, (tn_data_options){ .max_length = 3 });
    tn_data_facts f = tn_dataset_facts(t.d);
    ck_assert(f.stream && f.records == 3 && f.tokens == 10 && f.loss_tokens == 9);
    const int32_t *ids = tn_dataset_record(t.d, 1, &length, &prompt);
    ck_assert(length == 4 && prompt == 0 && ids[0] == '3' && ids[3] == '6');
    close_set(&t);
    open_text(&t, "012345678", 0, 1, (tn_data_options){ .max_length = 3 }); /* one token less */
    ck_assert_int_eq(tn_dataset_facts(t.d).records, 2);
    close_set(&t);
    open_text(&t, "012", 0, 1, (tn_data_options){ .max_length = 3 });
    ck_assert_ptr_nonnull(strstr(t.e.text, "a.txt: a text of 3 tokens; expected at least 4"));
    close_set(&t);
    open_text(&t, "0123", 0, 1, (tn_data_options){ .max_length = 1 });
    ck_assert_int_eq(t.e.code, TN_EARG);
    close_set(&t);
}
END_TEST

/* Two parts that meet at a fraction lose no byte and cut no character, wherever it falls. */
START_TEST(fractions)
{
    static const char text[] = "ab\xE2\x82\xAC\xF0\x9F\x99\x82" "cd\xC3\xA9\xE2\x82\xAC" "efgh";
    const tn_data_options o = { .max_length = 2 };
    const double at = 0.25 + _i / 40.0;
    set a, b;
    open_text(&a, text, 0, at, o);
    open_text(&b, text, at, 1, o);
    ck_assert_msg(a.d != NULL && b.d != NULL, "%s%s", a.e.text, b.e.text);
    const int64_t first = tn_dataset_facts(a.d).tokens;
    ck_assert_int_eq(first + tn_dataset_facts(b.d).tokens, (int64_t)strlen(text));
    ck_assert_int_ne((unsigned char)text[first] & 0xC0, 0x80);
    close_set(&a);
    close_set(&b);
}
END_TEST

START_TEST(malformed_text)
{
    set t;
    open_text(&t, "0123456789\xFF", 0.5, 1, (tn_data_options){ .max_length = 3 });
    ck_assert_ptr_nonnull(strstr(t.e.text, "a.txt: from byte 5 on: byte 5: malformed UTF-8"));
    close_set(&t);
    open_text(&t, "", 0, 1, (tn_data_options){ .max_length = 3 });
    ck_assert_int_eq(t.e.code, TN_EFORMAT);
    close_set(&t);
}
END_TEST

static void open_lines(set *t, const char *text, size_t n, const tn_data_options *o)
{
    *t = (set){ .k = NULL };
    scratch_open(&t->s);
    t->k = tn_tokenizer_chars("abcdefghij {}\"", 14, &t->e);
    t->d = tn_dataset_jsonl(scratch_write(&t->s, "a.jsonl", text, n), t->k, o, &t->e);
}

/* The facts of good files. */
static const struct good {
    const char *text;
    int64_t max_length;
    bool no_mask, skip_unknown;
    int64_t records, tokens, loss_tokens, truncated, skipped, unknown;
} goods[] = {
    { "{\"text\":\"abc\"}\n", 9, 0, 0, 1, 4, 3, 0, 0, 0 },
    { "{\"text\":\"abc\"}", 9, 0, 0, 1, 4, 3, 0, 0, 0 },
    { "\xEF\xBB\xBF{\"text\":\"abc\"}\r\n{\"text\":\"d\"}\r\n", 9, 0, 0, 2, 6, 4, 0, 0, 0 },
    { "{\"prompt\":\"ab\",\"completion\":\"cde\"}\n", 9, 0, 0, 1, 6, 4, 0, 0, 0 },
    { "{\"prompt\":\"ab\",\"completion\":\"cde\",\"id\":7}\n", 9, 1, 0, 1, 6, 5, 0, 0, 0 },
    { "{\"prompt\":\"\",\"completion\":\"cde\"}\n", 9, 0, 0, 1, 4, 3, 0, 0, 0 },
    { "{\"prompt\":\"ab\",\"completion\":\"cde\"}\n{\"text\":\"abc\"}\n", 9, 0, 0, 2, 10, 7, 0, 0, 0 },
    { "{\"prompt\":\"ab\",\"completion\":\"cde\"}\n{\"text\":\"abc\"}\n", 4, 0, 0, 2, 8, 5, 1, 0, 0 },
    { "{\"prompt\":\"abcd\",\"completion\":\"e\"}\n{\"text\":\"abc\"}\n", 4, 0, 0, 1, 4, 3, 0, 1, 0 },
    { "{\"prompt\":\"abcd\",\"completion\":\"e\"}\n", 4, 1, 0, 1, 4, 3, 1, 0, 0 },
    { "{\"prompt\":\"aZ\",\"completion\":\"b\\u00e9\"}\n", 9, 0, 1, 1, 3, 2, 0, 0, 2 },
    { "{\"text\":\"Z\"}\n{\"text\":\"Za\"}\n", 9, 0, 1, 1, 2, 1, 0, 1, 2 },
};

START_TEST(good)
{
    const struct good *g = &goods[_i];
    const tn_data_options o = { g->max_length, g->no_mask, g->skip_unknown };
    set t;
    open_lines(&t, g->text, strlen(g->text), &o);
    ck_assert_msg(t.d != NULL, "%s", t.e.text);
    const tn_data_facts f = tn_dataset_facts(t.d);
    ck_assert(!f.stream);
    ck_assert_int_eq(f.records, g->records);
    ck_assert_int_eq(f.tokens, g->tokens);
    ck_assert_int_eq(f.loss_tokens, g->loss_tokens);
    ck_assert_int_eq(f.truncated, g->truncated);
    ck_assert_int_eq(f.skipped, g->skipped);
    ck_assert_int_eq(f.unknown, g->unknown);
    close_set(&t);
}
END_TEST

START_TEST(record)
{
    static const char text[] = "{\"completion\":\"cd\",\"prompt\":\"ab\"}\n";
    set t;
    int64_t length, prompt;
    open_lines(&t, text, strlen(text), &(tn_data_options){ .max_length = 9 });
    const int32_t *ids = tn_dataset_record(t.d, 0, &length, &prompt);
    tn_text out = { 0 };
    ck_assert(length == 5 && prompt == 2 && ids[4] == tn_tokenizer_end(t.k));
    tn_decode(t.k, ids, length, &out);
    ck_assert_str_eq(out.s, "abcd");
    tn_text_free(&out);
    close_set(&t);
}
END_TEST

static const struct bad { const char *text, *error; } bads[] = {
    { "", "a.jsonl:1: an empty file; expected a JSON object a line" },
    { "\xEF\xBB\xBF", "a.jsonl:1: an empty file" },
    { "{\"text\":\"a\"}\n\n{\"text\":\"a\"}\n", "a.jsonl:2: an empty line; expected a JSON object" },
    { "{\"text\":\"a\"}\n{\"text\":\"a\"}\n\r\n", "a.jsonl:3: an empty line" },
    { "{\"text\":\"a\"}\n{\"text\":\"\"}\n", "a.jsonl:2: \"text\" is empty; expected some text" },
    { "{\"text\":\"a\"}\n{\"text\":7}\n", "a.jsonl:2: \"text\" is not a string; expected a string" },
    { "{\"text\":null}\n", "a.jsonl:1: \"text\" is not a string" },
    { "{}\n", "a.jsonl:1: \"text\" is missing; expected \"text\", or \"prompt\" and \"completion\"" },
    { "{\"prompt\":\"a\"}\n", "a.jsonl:1: \"completion\" is missing" },
    { "{\"completion\":\"a\"}\n", "a.jsonl:1: \"prompt\" is missing" },
    { "{\"prompt\":\"a\",\"completion\":\"\"}\n", "a.jsonl:1: \"completion\" is empty" },
    { "{\"prompt\":[],\"completion\":\"a\"}\n", "a.jsonl:1: \"prompt\" is not a string" },
    { "{\"text\":\"a\",\"prompt\":\"b\",\"completion\":\"c\"}\n", "a.jsonl:1: \"text\" beside \"prompt\"" },
    { "{\"text\":\"a\"}\n{\"text\":\"a\",\"text\":\"b\"}\n", "a.jsonl:2:" },
    { "{\"text\":\"a\"}\n{\"text\":\"a\"", "a.jsonl:2:" },
    { "{\"text\":\"a\"}\r{\"text\":\"a\"}\r", "a.jsonl:1:" },
    { "{\"text\":\"a\"} {\"text\":\"a\"}\n", "a.jsonl:1:" },
    { "[\"a\"]\n", "a.jsonl:1: not an object; expected {\"text\"} or {\"prompt\",\"completion\"}" },
    { "{\"text\":\"\xFF\"}\n", "a.jsonl:1:" },
    { "{\"text\":\"aZ\"}\n", "a.jsonl:1: in the text: byte 1: U+005A is not in the vocabulary" },
    { "{\"prompt\":\"abc\",\"completion\":\"Z\"}\n", "a.jsonl:1: in the text: byte 0: U+005A" },
    { "{\"prompt\":\"Z\",\"completion\":\"a\"}\n", "a.jsonl:1: in the prompt: byte 0: U+005A" },
    { "{\"prompt\":\"abcdef\",\"completion\":\"a\"}\n", "a.jsonl: all 1 records were skipped; expected" },
};

START_TEST(bad)
{
    set t;
    open_lines(&t, bads[_i].text, strlen(bads[_i].text), &(tn_data_options){ .max_length = 5 });
    ck_assert_ptr_null(t.d);
    ck_assert_msg(strstr(t.e.text, bads[_i].error) && !strchr(t.e.text, '\n'), "%s", t.e.text);
    close_set(&t);
}
END_TEST

START_TEST(zero_byte)
{
    set t;
    open_lines(&t, "{\"text\":\"a\0b\"}\n", 16, &(tn_data_options){ .max_length = 5 });
    ck_assert_ptr_null(t.d);
    close_set(&t);
}
END_TEST

/* More records than the first room, every one with its own text. */
START_TEST(many)
{
    enum { RECORDS = 1000 };
    tn_text lines = { 0 };
    set t;
    int64_t length, prompt;
    for (int i = 0; i < RECORDS; i++)
        tn_text_add(&lines, "{\"prompt\":\"%.*s\",\"completion\":\"%c\"}\n", i % 9, "abcdefghi",
                    'a' + i % 10);
    open_lines(&t, lines.s, lines.n, &(tn_data_options){ .max_length = 20 });
    ck_assert_int_eq(tn_dataset_facts(t.d).records, RECORDS);
    for (int i = 0; i < RECORDS; i++) {
        const int32_t *ids = tn_dataset_record(t.d, i, &length, &prompt);
        ck_assert(length == i % 9 + 2 && prompt == i % 9);
        ck_assert_int_eq(ids[prompt] - (i % 10), ids[length - 1] - 12); /* 'a' is 2, the end 14 */
    }
    tn_text_free(&lines);
    close_set(&t);
}
END_TEST

START_TEST(task)
{
    tn_error e = { 0 };
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    const tn_data_options o = { .max_length = 256 };
    tn_dataset *d = tn_dataset_task("lookup", 5, "valid", 10, 20, k, &o, &e);
    tn_record r;
    int64_t length, prompt;
    ck_assert_int_eq(tn_dataset_facts(d).records, 20);
    ck_assert_int_eq(tn_task_record(tn_task_find("lookup"), 5, "valid", 13, &r), 0);
    const int32_t *ids = tn_dataset_record(d, 3, &length, &prompt);
    ck_assert_int_eq(prompt, (int64_t)strlen(r.prompt));
    ck_assert_int_eq(length, prompt + (int64_t)strlen(r.completion) + 1);
    ck_assert_int_eq(ids[prompt + 1], r.completion[1]);
    tn_dataset_free(d);
    ck_assert_ptr_null(tn_dataset_task("nothing", 5, "valid", 0, 1, k, &o, &e));
    ck_assert_str_eq(e.text, "no task is called \"nothing\"");
    e = (tn_error){ 0 };
    ck_assert_ptr_null(tn_dataset_task("lookup", 5, "dev", 0, 1, k, &o, &e));
    ck_assert_ptr_nonnull(strstr(e.text, "split \"dev\"; expected train, valid or test"));
    e = (tn_error){ 0 };
    ck_assert_ptr_null(tn_dataset_task("lookup", 5, "test", 0, 0, k, &o, &e));
    ck_assert_int_eq(e.code, TN_EARG);
    tn_tokenizer_free(k);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, windows);
    tcase_add_loop_test(c, fractions, 0, 20);
    tcase_add_test(c, malformed_text);
    tcase_add_loop_test(c, good, 0, sizeof goods / sizeof *goods);
    tcase_add_test(c, record);
    tcase_add_loop_test(c, bad, 0, sizeof bads / sizeof *bads);
    tcase_add_test(c, zero_byte);
    tcase_add_test(c, many);
    tcase_add_test(c, task);
}
