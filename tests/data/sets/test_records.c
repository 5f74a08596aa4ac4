/* test_records.c - records of a file or a task.
   How each form is read, which tokens count in the loss, and which lines are refused. */
#include "data/data.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <string.h>
#include <unistd.h>

/* clang-format off */
typedef struct set { scratch s; tn_tokenizer *k; tn_dataset *d; tn_error e; } set;
/* clang-format on */

static void close_set(set *t)
{
    ck_assert((t->d == NULL) == (t->e.code != 0));
    tn_dataset_free(t->d);
    tn_tokenizer_free(t->k);
    scratch_close(&t->s);
}

static void open_lines(set *t, const char *text, size_t n, const tn_data_options *o)
{
    *t = (set){ .k = NULL };
    scratch_open(&t->s);
    t->k = tn_tokenizer_chars("abcdefghij {}\"", 14, &t->e);
    t->d = tn_dataset_jsonl(scratch_write(&t->s, "a.jsonl", text, n), t->k, o, &t->e);
}

/* The facts of good files. */
/* clang-format off */
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
    { "{\"text\":\"a\"}\n \t\n\n{\"text\":\"\"}\n", 9, 0, 0, 1, 2, 1, 0, 1, 0 }, /* blank lines; no text */
    { "{\"prompt\":\"a\",\"completion\":\"\"}\n", 9, 0, 0, 1, 2, 1, 0, 0, 0 }, /* the end token is learnt */
    { "{\"text\":\"abc\",\"prompt\":\"b\",\"completion\":\"c\"}\n", 9, 0, 0, 1, 3, 2, 0, 0, 0 },
    { "[{\"text\":\"a\"}, {\"prompt\":\"a\",\"completion\":\"b\"}]\n", 9, 0, 0, 2, 5, 3, 0, 0, 0 },
    { "{\"text\":\"Z\"}\n{\"text\":\"Za\"}\n", 9, 0, 1, 1, 2, 1, 0, 1, 2 },
};
/* clang-format on */

START_TEST(good)
{
    const struct good *g = &goods[_i];
    const tn_data_options o = { .max_length = g->max_length,
                                .no_mask = g->no_mask,
                                .skip_unknown = g->skip_unknown };
    set t;
    open_lines(&t, g->text, strlen(g->text), &o);
    ck_assert_msg(t.d != NULL, "%s", t.e.text);
    const tn_data_facts f = tn_dataset_facts(t.d);
    ck_assert(!f.text);
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
/* clang-format off */
END_TEST

static const struct bad { const char *text, *error; } bads[] = {
    { "", "a.jsonl: 0 bytes; expected at least 1" },
    { "\xFF\xFE{", "a.jsonl: a text in UTF-16; expected UTF-8" },
    { "\xFE\xFF{", "a.jsonl: a text in UTF-16; expected UTF-8" },
    { "{\"text\":\"a\"}\n\xEF\xBB\xBF{\"text\":\"a\"}\n", "a.jsonl:2: found byte 0xEF at column 1" },
    { "\xEF\xBB\xBF", "a.jsonl:1: an empty file; expected a JSON object a line" },
    { "\n \n", "a.jsonl:1: an empty file" },
    { "{\"text\":\"a\"}\n{\"text\":true}\n", "a.jsonl:2: \"text\" is a boolean; expected a text" },
    { "{\"text\":\"\"}\n", "a.jsonl: all records were skipped (1)" },
    { "{\"text\":null}\n", "a.jsonl:1: \"text\" is null; expected a text" },
    { "{\"prompt\":null,\"completion\":\"a\"}\n", "a.jsonl:1: \"prompt\" is null" },
    { "{\"prompt\":\"a\",\"completion\":null}\n", "a.jsonl:1: \"completion\" is null" },
    { "{}\n", "a.jsonl:1: no member that is known; expected \"messages\", \"conversations\"" },
    { "{\"prompt\":\"a\"}\n", "a.jsonl:1: \"completion\" is missing" },
    { "{\"completion\":\"a\"}\n", "a.jsonl:1: \"prompt\" is missing" },
    { "{\"prompt\":[],\"completion\":\"a\"}\n", "a.jsonl:1: \"completion\" is a string; expected a list of messages" },
    { "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}]}\n", "a.jsonl:1: a chat; expected a chat template for it" },
    { "[{\"text\":\"a\"},\n {\"text\":true}]", "a.jsonl:2: \"text\" is a boolean" },
    { "[]", "a.jsonl: all records were skipped (0)" },
    { "{\"text\":\"a\"}\n{\"text\":\"a\",\"text\":\"b\"}\n", "a.jsonl:2:" },
    { "{\"text\":\"a\"}\n{\"text\":\"a\"", "a.jsonl:2:" },
    { "{\"text\":\"a\"}\r{\"text\":\"a\"}\r", "a.jsonl:1:" },
    { "{\"text\":\"a\"} {\"text\":\"a\"}\n", "a.jsonl:1:" },
    { "[\"a\"]\n", "a.jsonl:1: not an object but a string; expected a JSON object with \"messages\"" },
    { "{\"text\":\"\xFF\"}\n", "a.jsonl:1:" },
    { "{\"text\":\"aZ\"}\n", "a.jsonl:1: in the text: byte 1: U+005A (\"Z\") is not in the vocabulary" },
    { "{\"prompt\":\"abc\",\"completion\":\"Z\"}\n", "a.jsonl:1: in the text: byte 0: U+005A" },
    { "{\"prompt\":\"Z\",\"completion\":\"a\"}\n", "a.jsonl:1: in the prompt: byte 0: U+005A" },
    { "{\"prompt\":\"abcdef\",\"completion\":\"a\"}\n", "a.jsonl: all records were skipped (1); expected one with "
      "a text or an answer to learn in a row of at most 5 tokens" },
};
/* clang-format on */

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

/* So many records that the memory for them must grow. Each has its own text. */
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
        int32_t ids[2]; /* the letter a is id 2, the end token id 14 */
        ck_assert(tn_dataset_record(t.d, i, &prompt) == i % 9 + 2 && prompt == i % 9);
        tn_dataset_ids(t.d, i, prompt, 2, ids);
        ck_assert(ids[0] == 2 + i % 10 && ids[1] == 14);
    }
    tn_text_free(&lines);
    close_set(&t);
}
END_TEST

/* Long lines, of which read memory is returned to the system piece by piece, and a line that is too
   long. */
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
    ck_assert_ptr_nonnull(
        strstr(t.e.text, "a.jsonl:2: a line of 33554433 bytes; expected at most"));
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
    tcase_add_loop_test(c, good, 0, sizeof goods / sizeof *goods);
    tcase_add_test(c, record);
    tcase_add_loop_test(c, bad, 0, sizeof bads / sizeof *bads);
    tcase_add_test(c, zero_byte);
    tcase_add_test(c, many);
    tcase_add_test(c, long_lines);
    tcase_add_test(c, task);
}
