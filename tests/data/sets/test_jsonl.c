/* test_jsonl.c - the reader of JSONL: the records of lines, and how lines may end.
   test_records.c has the lines that are refused. */
#include "data/data.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <string.h>

typedef struct wanted {
    const char *prompt, *text;
} wanted; /* prompt NULL: no pair; text NULL: the end */

/* clang-format off */
static const struct file { const char *bytes; wanted records[4]; } files[] = {
    { "{\"text\":\"a b\"}\n", { { NULL, "a b" } } },
    { "{\"text\":\"a\"}", { { NULL, "a" } } }, /* the last line has no line end */
    { "{\"text\":\"a\"}\r\n{\"text\":\"b\"}\r\n", { { NULL, "a" }, { NULL, "b" } } },
    { "{\"text\":\"a\"}\r", { { NULL, "a" } } },
    { "\xEF\xBB\xBF{\"text\":\"a\"}\n{\"text\":\"b\"}", { { NULL, "a" }, { NULL, "b" } } },
    { "{\"text\":\"\xEF\xBB\xBF" "a\"}", { { NULL, "\xEF\xBB\xBF" "a" } } }, /* this mark is part of the text */
    { " {\"text\" : \"a\"}\t\n\n \r\n", { { NULL, "a" } } },
    { "{\"prompt\":\"p\",\"completion\":\"c\"}\n{\"text\":\"t\"}\n", { { "p", "c" }, { NULL, "t" } } },
    { "{\"completion\":\"c\",\"prompt\":\"\"}", { { "", "c" } } },
    { "{\"id\":\"x\",\"text\":\"a\",\"label\":7,\"meta\":{\"text\":\"no\",\"prompt\":[\"no\"]}}", { { NULL, "a" } } },
    { "{\"id\":7,\"prompt\":\"p\",\"completion\":\"c\",\"Text\":\"no\",\"prompts\":null}", { { "p", "c" } } },
    { "{\"text\":null,\"prompt\":\"p\",\"completion\":\"c\"}\n{\"text\":\"t\",\"prompt\":null,\"completion\":null}",
      { { "p", "c" }, { NULL, "t" } } }, /* keys of other rows of a table are null */
    { "{\"text\":\"\\u00e9\\n\\ud83d\\ude00\"}", { { NULL, "\xC3\xA9\n\xF0\x9F\x98\x80" } } },
};
/* clang-format on */

static bool same(tn_span found, const char *text)
{
    return found.n == strlen(text) && !memcmp(found.s, text, found.n);
}

START_TEST(gives_the_texts_alone)
{
    const struct file *f = &files[_i];
    scratch s;
    tn_error e = { 0 };
    tn_jsonl_record r;
    scratch_open(&s);
    tn_jsonl *j = tn_jsonl_open(scratch_write(&s, "a.jsonl", f->bytes, strlen(f->bytes)), TN_FORMAT_ANY, &e);
    for (int i = 0; f->records[i].text; i++) {
        const wanted *w = &f->records[i];
        ck_assert_msg(j && tn_jsonl_next(j, &r, &e), "%s", e.text);
        ck_assert_int_eq(r.kind, w->prompt ? TN_RECORD_PAIR : TN_RECORD_TEXT);
        ck_assert_int_eq(r.line, i + 1);
        ck_assert(same(r.prompt, w->prompt ? w->prompt : "") && same(r.text, w->text));
    }
    ck_assert(!tn_jsonl_next(j, &r, &e) && !e.code);
    tn_jsonl_close(j);
    scratch_close(&s);
}
END_TEST

enum { RECORDS = 300, MOST = 12 };

/* clang-format off */
static const tn_span letters[] = {
    { "a", 1 }, { " ", 1 }, { "\"", 1 }, { "\\", 1 }, { "/", 1 }, { "\n", 1 }, { "\r", 1 }, { "\t", 1 },
    { "\0", 1 }, { "\x01", 1 }, { "\x7F", 1 }, { "{", 1 }, { "}", 1 }, { "\xC2\x85", 2 }, { "\xC3\xA9", 2 },
    { "\xE2\x80\xA8", 3 }, { "\xEF\xBB\xBF", 3 }, { "\xF0\x9F\x98\x80", 4 },
};
/* clang-format on */

/* At least `least` random letters. */
static tn_text random_text(uint64_t number, uint64_t least)
{
    const uint64_t count = least + tn_random(3, 1, 0, number) % MOST;
    tn_text out = { 0 };
    tn_text_add(&out, "%s", "");
    for (uint64_t i = 0; i < count; i++) {
        const tn_span *l =
            &letters[tn_random(3, 2, (uint32_t)number, i) % (sizeof letters / sizeof *letters)];
        tn_text_bytes(&out, l->s, l->n);
    }
    return out;
}

/* Any characters, also zero bytes, are read back from JSON strings unchanged. */
START_TEST(gives_back_every_text)
{
    tn_text file = { 0 }, prompt[RECORDS], completion[RECORDS];
    for (int i = 0; i < RECORDS; i++) {
        prompt[i] = random_text(2 * (uint64_t)i, 0);
        completion[i] = random_text(2 * (uint64_t)i + 1, 1);
        tn_text_add(&file, "{\"id\":%d,\"prompt\":", i);
        tn_text_quote(&file, prompt[i].s, prompt[i].n);
        tn_text_add(&file, ",\"completion\":");
        tn_text_quote(&file, completion[i].s, completion[i].n);
        tn_text_add(&file, "}\n");
    }
    scratch s;
    tn_error e = { 0 };
    tn_jsonl_record r;
    scratch_open(&s);
    tn_jsonl *j = tn_jsonl_open(scratch_write(&s, "a.jsonl", file.s, file.n), TN_FORMAT_ANY, &e);
    for (int i = 0; i < RECORDS; i++) {
        ck_assert_msg(j && tn_jsonl_next(j, &r, &e), "%s", e.text);
        ck_assert(r.kind == TN_RECORD_PAIR && r.prompt.n == prompt[i].n && r.text.n == completion[i].n);
        ck_assert(!memcmp(r.prompt.s, prompt[i].s, r.prompt.n));
        ck_assert(!memcmp(r.text.s, completion[i].s, r.text.n));
    }
    ck_assert(!tn_jsonl_next(j, &r, &e) && !e.code);
    tn_jsonl_close(j);
    for (int i = 0; i < RECORDS; i++) {
        tn_text_free(&prompt[i]);
        tn_text_free(&completion[i]);
    }
    tn_text_free(&file);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, gives_the_texts_alone, 0, sizeof files / sizeof *files);
    tcase_add_test(c, gives_back_every_text);
}
