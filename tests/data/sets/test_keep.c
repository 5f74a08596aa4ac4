/* test_keep.c - where a record is cut, and why one is left out. */
#include "data/data.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <string.h>

#define SYSTEM "{\"role\":\"system\",\"content\":\"S\"},"
#define TURN(q, a)                                                                                 \
    "{\"role\":\"user\",\"content\":\"" q "\"},{\"role\":\"assistant\",\"content\":\"" a "\"}"
#define CHAT(messages) "{\"messages\":[" messages "]}\n"
#define HEAD(q) "### Instruction:\n" q "\n\n### Response:\n"

/* A record, what is left of it in a row, and the part of that which carries loss, as text: | is the
   end token. The first token of a row never carries loss. */
static const struct cut {
    const char *line;
    bool front, no_mask;
    int64_t length;
    const char *left, *learnt;
    int64_t cut, answers;
} cuts[] = {
    { "{\"text\":\"abcdefgh\"}\n", false, false, 9, "abcdefgh|", "bcdefgh|", 0, 0 },
    { "{\"text\":\"abcdefgh\"}\n", false, false, 4, "abcd", "bcd", 1, 1 },
    { "{\"text\":\"abcdefgh\"}\n", true, false, 4, "fgh|", "gh|", 1, 1 },
    { "{\"prompt\":\"abcdef\",\"completion\":\"xyz\"}\n", false, false, 8, "abcdefxy", "xy", 1, 1 },
    { "{\"prompt\":\"abcdef\",\"completion\":\"xyz\"}\n", true, false, 8, "cdefxyz|", "xyz|", 1,
      0 },
    { "{\"prompt\":\"abcdef\",\"completion\":\"xyz\"}\n", true, false, 5, "fxyz|", "xyz|", 1, 0 },
    { "{\"prompt\":\"abcdef\",\"completion\":\"xyz\"}\n", true, false, 3, "yz|", "z|", 1, 1 },
    { "{\"prompt\":\"abcdef\",\"completion\":\"xyz\"}\n", true, true, 8, "cdefxyz|", "defxyz|", 1,
      1 },
    { CHAT(SYSTEM TURN("q", "a") "," TURN("r", "b")), false, false, 77,
      "S" HEAD("q") "a|\n\n" HEAD("r") "b|\n\n", "a|b|", 0, 0 },
    { CHAT(SYSTEM TURN("q", "a") "," TURN("r", "b")), false, false, 76,
      "S" HEAD("q") "a|\n\n" HEAD("r") "b|\n", "a|b|", 1, 0 },
    { CHAT(SYSTEM TURN("q", "a") "," TURN("r", "b")), false, false, 60,
      "S" HEAD("q") "a|\n\n### Instruction:\nr\n\n#", "a|", 1, 1 },
    { CHAT(SYSTEM TURN("q", "a") "," TURN("r", "b")), true, false, 76, "S" HEAD("r") "b|\n\n", "b|",
      1, 1 },
    { CHAT(SYSTEM TURN("q", "a") "," TURN("r", "b")), true, false, 38,
      "### Instruction:\nr\n\n"
      "### Response:\nb|\n\n",
      "b|", 1, 1 },
    { CHAT(TURN("q", "a") "," TURN("r", "bc")), true, false, 4, "c|\n\n", "|", 1, 1 },
};

static void add_id(const tn_tokenizer *k, int32_t id, tn_text *out)
{
    if (id == tn_tokenizer_end(k))
        tn_text_add(out, "|");
    else
        tn_decode(k, &id, 1, out);
}

static tn_dataset *open_set(scratch *s, const char *lines, const tn_data_options *o, tn_error *e)
{
    tn_tokenizer *k = tn_tokenizer_bytes(e);
    tn_dataset *d = tn_dataset_jsonl(scratch_write(s, "a.jsonl", lines, strlen(lines)), k, o, e);
    tn_tokenizer_free(k);
    return d;
}

START_TEST(a_record_is_cut)
{
    scratch s;
    tn_error e = { 0 };
    int32_t ids[200];
    bool flags[200];
    int64_t prompt;
    const struct cut *c = &cuts[_i];
    tn_text left = { 0 }, learnt = { 0 };
    scratch_open(&s);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    tn_dataset *d = open_set(&s, c->line,
                             &(tn_data_options){ .max_length = c->length,
                                                 .front = c->front,
                                                 .no_mask = c->no_mask,
                                                 .chat = tn_chat_template_find("alpaca_turns") },
                             &e);
    must(&e);
    const int64_t n = tn_dataset_record(d, 0, &prompt);
    tn_dataset_ids(d, 0, 0, n, ids);
    tn_dataset_learnt(d, 0, 0, n, flags);
    for (int64_t i = 0; i < n; i++) {
        add_id(k, ids[i], &left);
        if (flags[i])
            add_id(k, ids[i], &learnt);
    }
    const tn_data_facts f = tn_dataset_facts(d);
    ck_assert_str_eq(tn_text_done(&left, "", &e), c->left);
    ck_assert_str_eq(tn_text_done(&learnt, "", &e), c->learnt);
    ck_assert_int_le(n, c->length);
    ck_assert(f.truncated == c->cut && f.answers_cut == c->answers);
    ck_assert(f.loss_tokens == (int64_t)learnt.n && tn_dataset_cut(d, 0) == (c->cut == 1));
    tn_text_free(&left);
    tn_text_free(&learnt);
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

/* Each record that is left out is counted with its reason, and the first has its line. */
START_TEST(what_is_left_out_has_a_reason)
{
    static const char lines[] = "{\"text\":\"some\"}\n" CHAT(
        "{\"role\":\"user\",\"content\":\"q\"}") "{\"text\":\"\"}\n"
                                                 "{\"prompt\":\"too long for a row of these\",\"completion\":\"a\"}\n{\"text\":\"\"}\n";
    static const struct {
        int64_t count, line;
    } expected[TN_SKIPS] = {
        [TN_SKIP_NO_ANSWER] = { 1, 2 }, [TN_SKIP_NO_TEXT] = { 2, 3 }, [TN_SKIP_NO_ROOM] = { 1, 4 }
    };
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    tn_dataset *d = open_set(&s, lines, &(tn_data_options){ .max_length = 10 }, &e);
    must(&e);
    const tn_data_facts f = tn_dataset_facts(d);
    ck_assert(f.skipped == 4 && f.records == 1 && f.formats[TN_FORMAT_TEXT] == 1 &&
              f.formats[TN_FORMAT_COMPLETION] == 0);
    for (int why = 0; why < TN_SKIPS; why++) {
        const tn_skipped out = tn_dataset_skipped(d, (tn_skip)why);
        ck_assert(out.count == expected[why].count && out.line == expected[why].line);
        ck_assert(tn_skip_text((tn_skip)why));
        ck_assert(out.count ? strstr(out.path, "/a.jsonl") != NULL : !out.path);
    }
    tn_dataset_free(d);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, a_record_is_cut, 0, sizeof cuts / sizeof *cuts);
    tcase_add_test(c, what_is_left_out_has_a_reason);
}
