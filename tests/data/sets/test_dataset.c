/* test_dataset.c - records and texts: what is read of each form.
   Which tokens count, what is refused and at which line. */
#include "data/data.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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
    int32_t ids[2];
    int64_t prompt;
    open_text(&t, "0123456789", 0, 1, (tn_data_options){ .max_length = 3 });
    tn_data_facts f = tn_dataset_facts(t.d);
    ck_assert(f.stream && f.records == 3 && f.tokens == 10 && f.loss_tokens == 9);
    ck_assert(tn_dataset_record(t.d, 1, &prompt) == 4 && prompt == 0);
    tn_dataset_ids(t.d, 1, 2, 2, ids);
    ck_assert(ids[0] == '5' && ids[1] == '6');
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
    ck_assert_ptr_nonnull(strstr(t.e.text, "a.txt: byte 10: malformed UTF-8; expected text"));
    close_set(&t);
    open_text(&t, "", 0, 1, (tn_data_options){ .max_length = 3 });
    ck_assert_int_eq(t.e.code, TN_EFORMAT);
    close_set(&t);
}
END_TEST

/* Longer than what is read at a time, with a character across every place where a piece may end. */
START_TEST(long_text)
{
    enum { SIZE = 5 << 20, PART = 1000 };
    char *text = malloc(SIZE + 1);
    set t;
    for (int i = 0; i < SIZE; i++)
        text[i] = "\xF0\x9F\x99\x82x"[i % 5]; /* four bytes and one */
    text[SIZE] = 0;
    open_text(&t, text, 0, 1, (tn_data_options){ .max_length = PART });
    ck_assert_msg(t.d != NULL, "%s", t.e.text);
    ck_assert_int_eq(tn_dataset_facts(t.d).tokens, SIZE);
    int wrong = 0;
    for (int64_t i = 0; i < tn_dataset_facts(t.d).records; i++) {
        int32_t ids[PART];
        tn_dataset_ids(t.d, i, 0, PART, ids);
        for (int64_t j = 0; j < PART; j++)
            wrong += ids[j] != (unsigned char)text[i * PART + j];
    }
    ck_assert_int_eq(wrong, 0);
    close_set(&t);
    text[SIZE - 2] = (char)0xFF;
    open_text(&t, text, 0, 1, (tn_data_options){ .max_length = PART });
    ck_assert_ptr_nonnull(strstr(t.e.text, "a.txt: byte 5242875: malformed UTF-8"));
    close_set(&t);
    free(text);
}
END_TEST

#ifndef TN_DEBUG
static int64_t peak(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_maxrss * INT64_C(1024);
}

/* Twice the file, and a little. */
START_TEST(memory)
{
    enum { SIZE = 16 << 20, LINE = 256, SLACK = 6 << 20 };
    static const char start[] = "{\"text\":\"", end[] = "\"}\n";
    tn_error e = { 0 };
    scratch s;
    char line[LINE + 1];
    scratch_open(&s);
    memset(line, 'a', LINE);
    memcpy(line, start, sizeof start - 1);
    memcpy(line + LINE - sizeof end + 1, end, sizeof end - 1);
    FILE *f = fopen(scratch_path(&s, "a"), "wb");
    for (int i = 0; i < SIZE / LINE; i++)
        fwrite(line, 1, LINE, f);
    ck_assert_int_eq(fclose(f), 0);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    const int64_t before = peak();
    const tn_data_options o = { .max_length = LINE };
    tn_dataset *d = _i ? tn_dataset_jsonl(s.path, k, &o, &e)
                       : tn_dataset_text(s.path, k, 0, 1, &o, &e);
    ck_assert_msg(d != NULL, "%s", e.text);
    ck_assert_int_le(peak() - before, 2 * SIZE + SLACK);
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

#endif

/* Ids are kept in 16 bits: 65536 of them, and not one more. */
START_TEST(vocabulary)
{
    tn_text t = { 0 };
    tn_error e = { 0 };
    int32_t last;
    for (uint32_t c = 0x20000; c < 0x2FFFF + (uint32_t)_i; c++) {
        const char s[4] = { (char)0xF0, (char)(0x80 | c >> 12), (char)(0x80 | (c >> 6 & 63)),
                            (char)(0x80 | (c & 63)) };
        tn_text_bytes(&t, s, 4);
    }
    tn_tokenizer *k = tn_tokenizer_chars(t.s, t.n, &e);
    scratch s;
    scratch_open(&s);
    tn_dataset *d = tn_dataset_text(scratch_write(&s, "a.txt", t.s, t.n), k, 0, 1,
                                    &(tn_data_options){ .max_length = 65534 }, &e);
    ck_assert_int_eq(tn_tokenizer_size(k), 65536 + _i);
    if (_i) {
        ck_assert_str_eq(e.text, "a tokenizer of 65537 ids; expected at most 65536");
    } else {
        tn_dataset_ids(d, 0, 65534, 1, &last);
        ck_assert_int_eq(last, 65534);
    }
    ck_assert((d == NULL) == _i);
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    tn_text_free(&t);
    scratch_close(&s);
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
    { "{\"text\":\"abc\"}\n{\"text\":\"d\"}\n\r\n \t\n", 9, 0, 0, 2, 6, 4, 0, 0, 0 },
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
    int32_t ids[5];
    int64_t prompt;
    open_lines(&t, text, strlen(text), &(tn_data_options){ .max_length = 9 });
    tn_text out = { 0 };
    ck_assert(tn_dataset_record(t.d, 0, &prompt) == 5 && prompt == 2);
    tn_dataset_ids(t.d, 0, 0, 5, ids);
    ck_assert_int_eq(ids[4], tn_tokenizer_end(t.k));
    tn_decode(t.k, ids, 5, &out);
    ck_assert_str_eq(out.s, "abcd");
    tn_text_free(&out);
    close_set(&t);
}
END_TEST

static const struct bad { const char *text, *error; } bads[] = {
    { "", "a.jsonl: 0 bytes; expected at least 1" },
    { "\xEF\xBB\xBF", "a.jsonl:1: an empty file; expected a JSON object a line" },
    { "{\"text\":\"a\"}\n\n{\"text\":\"a\"}\n", "a.jsonl:2: an empty line; expected a JSON object" },
    { "\n \n", "a.jsonl:1: an empty file" },
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
    { "{\"prompt\":\"abcdef\",\"completion\":\"a\"}\n", "a.jsonl: all records were skipped (1); expected one with "
      "text to learn in a row of at most 5 tokens" },
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
    int64_t prompt;
    for (int i = 0; i < RECORDS; i++)
        tn_text_add(&lines, "{\"prompt\":\"%.*s\",\"completion\":\"%c\"}\n", i % 9, "abcdefghi",
                    'a' + i % 10);
    open_lines(&t, lines.s, lines.n, &(tn_data_options){ .max_length = 20 });
    ck_assert_int_eq(tn_dataset_facts(t.d).records, RECORDS);
    for (int i = 0; i < RECORDS; i++) {
        int32_t ids[2]; /* 'a' is 2, the end 14 */
        ck_assert(tn_dataset_record(t.d, i, &prompt) == i % 9 + 2 && prompt == i % 9);
        tn_dataset_ids(t.d, i, prompt, 2, ids);
        ck_assert(ids[0] == 2 + i % 10 && ids[1] == 14);
    }
    tn_text_free(&lines);
    close_set(&t);
}
END_TEST

/* Lines that cross what is given back at a time; a line that is too long. */
START_TEST(long_lines)
{
    enum { LINE = 1500000, LINES = 4, LONGEST = 32 << 20 };
    tn_text lines = { 0 };
    char *text = malloc(LINE + 1);
    set t;
    for (int i = 0; i < LINES; i++) {
        memset(text, 'a' + i, LINE);
        text[LINE] = 0;
        tn_text_add(&lines, "{\"text\":\"%s\"}\n", text);
    }
    open_lines(&t, lines.s, lines.n, &(tn_data_options){ .max_length = 2 * LINE });
    ck_assert_int_eq(tn_dataset_facts(t.d).records, LINES);
    for (int i = 0; i < LINES; i++) {
        int32_t ids[2];
        int64_t prompt;
        ck_assert_int_eq(tn_dataset_record(t.d, i, &prompt), LINE + 1);
        tn_dataset_ids(t.d, i, LINE - 1, 2, ids);
        ck_assert(ids[0] == 2 + i && ids[1] == 14);
    }
    tn_dataset_free(t.d);
    scratch_write(&t.s, "a.jsonl", "{\"text\":\"a\"}\n", 13);
    ck_assert_int_eq(truncate(t.s.path, 13 + LONGEST + 1), 0);
    t.d = tn_dataset_jsonl(t.s.path, t.k, &(tn_data_options){ .max_length = 9 }, &t.e);
    ck_assert_ptr_nonnull(strstr(t.e.text, "a.jsonl:2: a line of 33554433 bytes; expected at most"));
    free(text);
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
    int32_t ids[TN_TASK_TEXT];
    int64_t prompt;
    ck_assert_int_eq(tn_dataset_facts(d).records, 20);
    ck_assert_int_eq(tn_task_record(tn_task_find("lookup"), 5, "valid", 13, &r), 0);
    const int64_t length = tn_dataset_record(d, 3, &prompt);
    ck_assert_int_eq(prompt, (int64_t)strlen(r.prompt));
    ck_assert_int_eq(length, prompt + (int64_t)strlen(r.completion) + 1);
    tn_dataset_ids(d, 3, 0, length, ids);
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
    tcase_add_test(c, long_text);
#ifndef TN_DEBUG /* sanitizers keep what was freed */
    tcase_add_loop_test(c, memory, 0, 2);
#endif
    tcase_add_loop_test(c, vocabulary, 0, 2);
    tcase_add_loop_test(c, good, 0, sizeof goods / sizeof *goods);
    tcase_add_test(c, record);
    tcase_add_loop_test(c, bad, 0, sizeof bads / sizeof *bads);
    tcase_add_test(c, zero_byte);
    tcase_add_test(c, many);
    tcase_add_test(c, long_lines);
    tcase_add_test(c, task);
}
