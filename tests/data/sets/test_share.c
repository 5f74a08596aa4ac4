/* test_share.c - the share of records that is kept for validation, and who is on which side. */
#include "data/data.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <string.h>

enum { MOST = 1000 };

/* A file of `texts` different records, each `times` times. Backwards: in the opposite order, and
   the first letter of each text as an escape. */
static char *write_records(scratch *s, const char *name, int texts, int times, bool backwards)
{
    tn_text out = { 0 };
    for (int i = 0; i < texts * times; i++) {
        const int at = backwards ? texts * times - 1 - i : i;
        tn_text_add(&out,
                    backwards ? "{ \"text\" : \"\\u0072ecord %d\" }\n"
                              : "{\"text\":\"record %d\"}\n",
                    at % texts);
    }
    char *path = strdup(scratch_write(s, name, out.s, out.n));
    tn_text_free(&out);
    return path;
}

/* Counts how often each text is on a side. Returns the records of the side. */
static int count_side(const char *const *paths, int files, tn_side side, double share,
                      int times[MOST])
{
    tn_error e = { 0 };
    tn_jsonl_record r;
    int n = 0;
    const tn_side sides[2] = { side, side };
    memset(times, 0, MOST * sizeof *times);
    tn_records *in = tn_records_open(
        &(tn_records_options){ .paths = paths, .sides = sides, .count = files, .share = share },
        &e);
    for (; in && tn_records_next(in, &r, &e); n++) {
        int number = -1;
        if (r.text.n)
            ck_assert_int_eq(sscanf(r.text.s, "record %d", &number), 1);
        if (number >= 0)
            times[number]++;
    }
    tn_records_close(in);
    must(&e);
    return n;
}

static const struct rule {
    int texts, times;
    double share;
    int kept;
} rules[] = {
    { 1, 1, -1, 0 },     { 39, 1, -1, 0 },     { 40, 1, -1, 8 },    { 169, 1, -1, 8 },
    { 170, 1, -1, 9 },   { 300, 1, -1, 15 },   { 1000, 1, -1, 50 }, { 300, 1, 0, 0 },
    { 300, 1, 0.1, 30 }, { 5, 1, 0.2, 1 },     { 300, 1, 1, 300 },  { 100, 3, 0.1, 30 },
    { 100, 3, -1, 15 },  { 100, 7, 0.05, 35 }, { 1, 300, 0.5, 0 }, /* all or none of a text */
};

/* Every record is on one side, and all that are equal are on the same. */
START_TEST(a_share_is_kept)
{
    const struct rule *rule = &rules[_i];
    int train[MOST], valid[MOST];
    scratch s;
    scratch_open(&s);
    char *path = write_records(&s, "a.jsonl", rule->texts, rule->times, false);
    const int kept = count_side((const char *const *)&path, 1, TN_SIDE_VALID, rule->share, valid);
    ck_assert_int_eq(kept, rule->kept);
    ck_assert_int_eq(count_side((const char *const *)&path, 1, TN_SIDE_TRAIN, rule->share, train),
                     rule->texts * rule->times - kept);
    for (int i = 0; i < rule->texts; i++) {
        ck_assert_int_eq(train[i] + valid[i], rule->times);
        ck_assert(valid[i] == 0 || train[i] == 0);
    }
    free(path);
    scratch_close(&s);
}
END_TEST

/* The same texts are kept whatever their order and spelling, and in how many files they are. */
START_TEST(the_texts_alone_decide)
{
    int here[MOST], there[MOST];
    scratch s;
    scratch_open(&s);
    char *const file[4] = { write_records(&s, "a.jsonl", 300, 2, false),
                            write_records(&s, "b.jsonl", 300, 2, true),
                            write_records(&s, "c.jsonl", 300, 1, true),
                            write_records(&s, "d.jsonl", 300, 1, false) };
    const char *const *files = (const char *const *)file;
    const int n = count_side(files, 1, TN_SIDE_VALID, 0.1, here);
    ck_assert_int_eq(n, 60);
    ck_assert_int_eq(count_side(files + 1, 1, TN_SIDE_VALID, 0.1, there), n);
    ck_assert_mem_eq(here, there, sizeof here);
    ck_assert_int_eq(count_side(files + 2, 2, TN_SIDE_VALID, 0.1, there), n);
    ck_assert_mem_eq(here, there, sizeof here);
    /* They are spread: neither half of the numbers has all but a few. */
    int low = 0;
    for (int i = 0; i < 150; i++)
        low += here[i];
    ck_assert_msg(low > 15 && low < 45, "%d of %d", low, n);
    for (int i = 0; i < 4; i++)
        free(file[i]);
    scratch_close(&s);
}
END_TEST

/* Records without a text to learn are never kept, and do not count. */
START_TEST(records_to_skip_are_not_kept)
{
    static const char text[] = "{\"text\":\"\"}\n{\"text\":\"record 1\"}\n{\"text\":\"\"}\n"
                               "{\"text\":\"record 2\"}\n";
    int times[MOST];
    scratch s;
    scratch_open(&s);
    const char *path = scratch_write(&s, "a.jsonl", text, strlen(text));
    ck_assert_int_eq(count_side(&path, 1, TN_SIDE_VALID, 0.5, times), 1);
    ck_assert_int_eq(times[1] + times[2], 1);
    ck_assert_int_eq(count_side(&path, 1, TN_SIDE_TRAIN, 0.5, times), 3);
    scratch_close(&s);
}
END_TEST

#define TURN(role, text) "{\"role\":\"" role "\",\"content\":\"" text "\"}"
#define SYSTEM TURN("system", "Be kind.")

/* The forms of a preference of a prompt, %d, with an answer, %d. alone: without a prompt, all
   prompts are the same, and each answer decides for itself. */
static const struct asked {
    const char *form;
    bool alone;
} asked[] = {
    { "{\"prompt\":\"record %d\",\"chosen\":\" a%d\",\"rejected\":\" b\"}\n", false },
    { "{\"prompt\":[" SYSTEM "," TURN("user", "record %d") "],\"chosen\":[" TURN(
          "assistant", "a%d") "],\"rejected\":[" TURN("assistant", "b") "]}\n",
      false },
    { "{\"id\":%d,\"prompt\":\"\",\"chosen\":\"record %d\",\"rejected\":\"no\"}\n", true },
    { "{\"id\":%d,\"prompt\":[" SYSTEM
      "],\"chosen\":[" TURN("assistant", "record %d") "],\"rejected\":[" TURN("assistant",
                                                                              "no") "]}\n",
      true },
};

/* The number behind "record " of a record's prompt or answer. */
static int number_of(const tn_jsonl_record *r, bool alone)
{
    int number = -1;
    tn_span text = alone ? r->text : r->prompt;
    if (r->count)
        text = r->messages[1].text;
    ck_assert_int_eq(sscanf(text.s, "record %d", &number), 1);
    return number;
}

/* 100 prompts with 3 answers each: all three are on one side. Without prompts 300 answers. */
START_TEST(answers_to_one_prompt_stay_together)
{
    enum { PROMPTS = 100, EACH = 3, KEPT = 30 };
    const struct asked *row = &asked[_i];
    tn_error e = { 0 };
    scratch s;
    tn_text text = { 0 };
    int times[PROMPTS * EACH] = { 0 }, n = 0;
    scratch_open(&s);
    for (int i = 0; i < PROMPTS * EACH; i++)
        tn_text_add(&text, row->form, i % PROMPTS, i);
    const char *path = scratch_write(&s, "a.jsonl", text.s, text.n);
    const tn_side side = TN_SIDE_VALID;
    tn_records *in = tn_records_open(
        &(tn_records_options){ .paths = &path, .sides = &side, .count = 1, .share = 0.1 }, &e);
    for (tn_jsonl_record r; in && tn_records_next(in, &r, &e); n++)
        times[number_of(&r, row->alone)]++;
    must(&e);
    ck_assert_int_eq(n, KEPT);
    for (int i = 0; i < PROMPTS * EACH; i++)
        ck_assert(times[i] == 0 || times[i] == (row->alone ? 1 : EACH));
    tn_records_close(in);
    tn_text_free(&text);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, answers_to_one_prompt_stay_together, 0, sizeof asked / sizeof *asked);
    tcase_add_loop_test(c, a_share_is_kept, 0, sizeof rules / sizeof *rules);
    tcase_add_test(c, the_texts_alone_decide);
    tcase_add_test(c, records_to_skip_are_not_kept);
}
