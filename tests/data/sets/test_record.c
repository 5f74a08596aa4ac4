/* test_record.c - the kinds of records: 78 records of six files, and their form by hand. */
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <string.h>

#define FOLDER "tests/golden/chat/formats/"

static const char *const files[] = { "alpaca.json",    "sharegpt.jsonl",
                                     "messages.jsonl", "prompt_completion.jsonl",
                                     "text.jsonl",     "mixed.jsonl" };

static bool same(tn_span is, const tn_json *expected)
{
    return expected && is.n == expected->length && !memcmp(is.s, expected->text, is.n);
}

static void check_chat(const tn_jsonl_record *r, const tn_json *expected)
{
    const tn_json *messages = tn_json_find(expected, "messages"), *v = messages->child;
    int64_t asked = 0;
    tn_error e = { 0 };
    tn_json_get_int(expected, "prompt_messages", &asked, &e);
    ck_assert_int_eq(r->count, messages->count);
    for (int64_t i = 0; i < r->count; i++, v = v->next) {
        const tn_json *reasoning = tn_json_find(v, "reasoning_content");
        ck_assert_int_eq(r->messages[i].asked, i < asked);
        ck_assert(same(r->messages[i].role, tn_json_find(v, "role")));
        ck_assert(same(r->messages[i].text, tn_json_find(v, "content")));
        ck_assert(reasoning ? same(r->messages[i].reasoning, reasoning)
                            : !r->messages[i].reasoning.s);
    }
}

/* The next record, or its error, is what expected.json says. */
static void check_next(tn_jsonl *j, const char *path, const tn_json *expected)
{
    char place[200];
    int64_t line = 0;
    tn_error e = { 0 };
    tn_jsonl_record r;
    tn_json_get_int(expected, "line", &line, &e);
    const bool read = tn_jsonl_next(j, &r, &e);
    snprintf(place, sizeof place, "%s:%lld: ", path, (long long)line);
    /* JSON does not say which of two values with one key counts; theirs is the last, we refuse. */
    if (tn_json_find(expected, "error") || strstr(e.text, "found the key")) {
        ck_assert_msg(!read && !strncmp(e.text, place, strlen(place)), "%s%s", place, e.text);
        return;
    }
    ck_assert_msg(read, "%s%s", place, e.text);
    ck_assert_int_eq(r.line, line);
    ck_assert_int_eq(r.skip, tn_json_find(expected, "skip") != NULL);
    if (r.skip)
        return;
    if (tn_json_find(expected, "messages")) {
        ck_assert_int_eq(r.kind, TN_RECORD_CHAT);
        check_chat(&r, expected);
    } else if (tn_json_find(expected, "text")) {
        ck_assert_int_eq(r.kind, TN_RECORD_TEXT);
        ck_assert(same(r.text, tn_json_find(expected, "text")));
    } else {
        ck_assert_int_eq(r.kind, TN_RECORD_PAIR);
        ck_assert(same(r.prompt, tn_json_find(expected, "prompt")));
        ck_assert(same(r.text, tn_json_find(expected, "completion")));
    }
}

START_TEST(every_kind_has_one_form)
{
    char path[128];
    tn_error e = { 0 };
    tn_jsonl_record r;
    const tn_json *root = tn_json_read(FOLDER "expected.json", &e);
    const tn_json *list = tn_json_find(root, files[_i]);
    snprintf(path, sizeof path, FOLDER "%s", files[_i]);
    tn_jsonl *j = tn_jsonl_open(path, TN_FORMAT_ANY, &e);
    must(&e);
    ck_assert_int_gt(list->count, 5);
    for (const tn_json *v = list->child; v; v = v->next)
        check_next(j, path, v);
    ck_assert(!tn_jsonl_next(j, &r, &e));
    must(&e);
    tn_jsonl_close(j);
    tn_json_free(root);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, every_kind_has_one_form, 0, sizeof files / sizeof *files);
}
