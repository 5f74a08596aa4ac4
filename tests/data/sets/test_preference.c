/* test_preference.c - records of two answers: how they are written, cut and laid in batches. */
#include "data/data.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <string.h>

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define ANSWER(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define TURN(q) "### Instruction:\n" q "\n\n### Response:\n"
#define HEAD(q)                                                                                    \
    "Below is an instruction that describes a task. Write a response that appropriately "          \
    "completes the request.\n\n" TURN(q)

#define TWENTY "01234567890123456789"
#define HUNDRED TWENTY TWENTY TWENTY TWENTY TWENTY

/* A record, and its two rows as text: | is the end token, and what carries loss stands in
   brackets. `rejected` NULL: it is left out. The forms without a prompt are those of TRL's
   extract_prompt. */
static const struct form {
    const char *line, *chosen, *rejected;
} forms[] = {
    { "{\"prompt\":\"ab\",\"chosen\":\"cd\",\"rejected\":\"e\"}", "ab[cd|]", "ab[e|]" },
    { "{\"prompt\":\"ab\",\"chosen\":\"\",\"rejected\":\"e\"}", "ab[|]", "ab[e|]" },
    { "{\"prompt\":\"\",\"chosen\":\"cd\",\"rejected\":\"ef\"}", "c[d|]", "e[f|]" },
    { "{\"prompt\":null,\"chosen\":\"It is blue\",\"rejected\":\"It is green\"}", "It is[ blue|]",
      "It is[ green|]" },
    { "{\"chosen\":\"abc\",\"rejected\":\"abd\"}", "ab[c|]", "ab[d|]" },
    { "{\"chosen\":\"a\\u00e4\",\"rejected\":\"a\\u00f6\"}", "a[\xC3\xA4|]", "a[\xC3\xB6|]" },
    { "{\"chosen\":\"abc\",\"rejected\":\"ab\"}", "ab[c|]", "ab[|]" },
    { "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\",\"messages\":[" USER("x") "]}",
      "a[b|]", "a[c|]" },
    { "{\"prompt\":[" USER("q") "],\"chosen\":[" ANSWER("a") "],\"rejected\":[" ANSWER("b") "]}",
      HEAD("q") "[a|]\n\n", HEAD("q") "[b|]\n\n" },
    { "{\"chosen\":[" USER("q") "," ANSWER("a") "],\"rejected\":[" USER("q") "," ANSWER("b") "]}",
      HEAD("q") "[a|]\n\n", HEAD("q") "[b|]\n\n" },
    { "{\"chosen\":[" USER("q") "," ANSWER("a") "," USER("r") "," ANSWER(
          "c") "],\"rejected\":[" USER("q") "," ANSWER("a") "," USER("r") "," ANSWER("d") "]}",
      HEAD("q") "a|\n\n" TURN("r") "[c|]\n\n", HEAD("q") "a|\n\n" TURN("r") "[d|]\n\n" },
    { "{\"prompt\":\"q\",\"chosen\":[" USER("q") "," ANSWER("a") "],\"rejected\":[" USER(
          "q") "," ANSWER("b") "]}",
      HEAD("q") "[a|]\n\n", HEAD("q") "[b|]\n\n" },
    { "{\"prompt\":\"q\",\"chosen\":[" ANSWER("a") "],\"rejected\":[" ANSWER("b") "]}",
      HEAD("q") "[a|]\n\n", HEAD("q") "[b|]\n\n" },
    { "{\"prompt\":[" USER("q") "],\"chosen\":\"a\",\"rejected\":\"b\"}", HEAD("q") "[a|]\n\n",
      HEAD("q") "[b|]\n\n" },
    { "{\"prompt\":[" USER("q") "],\"chosen\":" ANSWER("a") ",\"rejected\":" ANSWER("b") "}",
      HEAD("q") "[a|]\n\n", HEAD("q") "[b|]\n\n" },
    { "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"}],\"chosen\":{\"from\":\"gpt\","
      "\"value\":\"a\"},\"rejected\":{\"from\":\"gpt\",\"value\":\"b\"}}",
      HEAD("q") "[a|]\n\n", HEAD("q") "[b|]\n\n" },
    { "{\"instruction\":\"q\",\"input\":\"\",\"chosen\":\"a\",\"rejected\":\"b\"}",
      HEAD("q") "[a|]\n\n", HEAD("q") "[b|]\n\n" },
    { "{\"prompt\":\"ab\",\"chosen\":\"c\",\"rejected\":\"c\"}", "both answers are the same",
      NULL },
    { "{\"chosen\":[" USER("q") "],\"rejected\":[" USER("q") "]}", "both answers are the same",
      NULL },
    { "{\"prompt\":\"" HUNDRED HUNDRED HUNDRED "\",\"chosen\":\"c\",\"rejected\":\"d\"}",
      "nothing to learn in a row", NULL },
    { "{\"prompt\":\"p\",\"chosen\":\"" HUNDRED HUNDRED HUNDRED
      "c\",\"rejected\":\"" HUNDRED HUNDRED HUNDRED "d\"}",
      "both answers are the same", NULL },
};

static tn_dataset *open_set(scratch *s, const tn_tokenizer *k, const char *lines, int64_t length,
                            bool front, tn_error *e)
{
    const tn_data_options o = { .max_length = length,
                                .front = front,
                                .chat = tn_chat_template_find("alpaca_turns") };
    return tn_dataset_jsonl(scratch_write(s, "a.jsonl", lines, strlen(lines)), k, &o, e);
}

/* Ids [from, to) of a record, with brackets around what carries loss. */
static const char *row_text(const tn_dataset *d, const tn_tokenizer *k, int64_t i, int64_t from,
                            int64_t to, tn_text *out)
{
    bool inside = false;
    for (int64_t at = from; at < to; at++) {
        int32_t id;
        bool learnt;
        tn_dataset_ids(d, i, at, 1, &id);
        tn_dataset_learnt(d, i, at, 1, &learnt);
        if (learnt != inside)
            tn_text_add(out, learnt ? "[" : "]");
        inside = learnt;
        if (id == tn_tokenizer_end(k))
            tn_text_add(out, "|");
        else
            tn_decode(k, &id, 1, out);
    }
    tn_error e = { 0 };
    tn_text_add(out, inside ? "]" : "");
    return tn_text_done(out, "a row", &e);
}

static void check_rows(const tn_dataset *d, const tn_tokenizer *k, int64_t i, const char *chosen,
                       const char *rejected)
{
    tn_text a = { 0 }, b = { 0 };
    int64_t prompt, n = tn_dataset_record(d, i, &prompt), second = tn_dataset_second(d, i);
    ck_assert_str_eq(row_text(d, k, i, 0, second, &a), chosen);
    ck_assert_str_eq(row_text(d, k, i, second, n, &b), rejected);
    tn_text_free(&a);
    tn_text_free(&b);
}

/* Beside another record, since a set of nothing is refused. */
START_TEST(every_form_is_two_rows)
{
    const struct form *f = &forms[_i];
    scratch s;
    char lines[1024];
    tn_error e = { 0 };
    scratch_open(&s);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    snprintf(lines, sizeof lines, "%s\n{\"prompt\":\"x\",\"chosen\":\"y\",\"rejected\":\"z\"}\n",
             f->line);
    tn_dataset *d = open_set(&s, k, lines, 300, false, &e);
    must(&e);
    const tn_data_facts facts = tn_dataset_facts(d);
    ck_assert(facts.pairs && facts.records == (f->rejected ? 2 : 1));
    ck_assert_int_eq(facts.formats[TN_FORMAT_PREFERENCE], facts.records);
    ck_assert_int_eq(facts.skipped, f->rejected ? 0 : 1);
    if (f->rejected)
        check_rows(d, k, 0, f->chosen, f->rejected);
    for (int why = 0; why < TN_SKIPS && !f->rejected; why++)
        ck_assert_int_eq(tn_dataset_skipped(d, (tn_skip)why).count,
                         !strcmp(tn_skip_text((tn_skip)why), f->chosen));
    check_rows(d, k, facts.records - 1, "x[y|]", "x[z|]");
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

/* Rows of at most 80 tokens: the first 75 of the prompt are digits. */
#define LONG "123456789012345678901234567890123456789012345678901234567890123456789012345"
static const struct cut {
    bool front;
    const char *chosen, *rejected;
    int64_t answers;
} cuts[] = {
    { false, LONG "[abcde]", LONG "[x|]", 1 },
    { true, "56789012345678901234567890123456789012345678901234567890123456789012345[abcdefgh|]",
      "56789012345678901234567890123456789012345678901234567890123456789012345[x|]", 0 },
};

/* At the end each row is cut by itself; in front both lose the same ids. The record counts once. */
START_TEST(rows_are_cut)
{
    const struct cut *c = &cuts[_i];
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    tn_dataset *d =
        open_set(&s, k, "{\"prompt\":\"" LONG "\",\"chosen\":\"abcdefgh\",\"rejected\":\"x\"}\n",
                 80, c->front, &e);
    must(&e);
    const tn_data_facts f = tn_dataset_facts(d);
    check_rows(d, k, 0, c->chosen, c->rejected);
    ck_assert(f.truncated == 1 && f.answers_cut == c->answers && tn_dataset_cut(d, 0));
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

static const char pairs[] = "{\"prompt\":\"p\",\"chosen\":\"aa\",\"rejected\":\"b\"}\n"
                            "{\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":\"dddd\"}\n"
                            "{\"prompt\":\"p\",\"chosen\":\"e\",\"rejected\":\"f\"}\n";

/* The labels of a batch that count, as text: a comma between records, a line end between pairs. */
static const char *labels(const tn_batch *b, const tn_tokenizer *k, tn_text *out)
{
    int64_t records = 0;
    tn_error e = { 0 };
    for (int64_t i = 0; i < b->rows * b->width; i++) {
        if (b->places ? b->places[i] == 0 : i % b->width == 0)
            tn_text_add(out, records++ % 2 ? "," : "\n");
        if (b->labels[i] >= 0 && b->labels[i] != tn_tokenizer_end(k))
            tn_decode(k, &b->labels[i], 1, out);
    }
    ck_assert_int_eq(records, 2 * b->pairs);
    return tn_text_done(out, "labels", &e);
}

START_TEST(a_pair_stays_together)
{
    scratch s;
    tn_error e = { 0 };
    tn_text first = { 0 }, second = { 0 };
    scratch_open(&s);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    tn_dataset *d = open_set(&s, k, pairs, 80, false, &e);
    tn_loader *l = tn_loader_new(d, &(tn_loader_options){ .batch = 2, .in_order = true }, &e);
    must(&e);
    const tn_batch *b = tn_loader_next(l);
    ck_assert(b->pairs == 2 && b->rows == 4 && b->width == 5 && b->tokens == 3 + 2 + 2 + 5);
    ck_assert_str_eq(labels(b, k, &first), "\naa,b\nc,dddd");
    b = tn_loader_next(l);
    ck_assert(b->pairs == 1 && b->rows == 2);
    ck_assert_str_eq(labels(b, k, &second), "\ne,f");
    ck_assert_ptr_null(tn_loader_next(l));
    tn_text_free(&first);
    tn_text_free(&second);
    tn_loader_free(l);
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

/* In training, in any order; case 1: packed. */
START_TEST(an_epoch_has_every_pair)
{
    scratch s;
    tn_error e = { 0 };
    tn_text all = { 0 };
    scratch_open(&s);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    tn_dataset *d = open_set(&s, k, pairs, 80, false, &e);
    tn_loader *l =
        tn_loader_new(d, &(tn_loader_options){ .batch = 3, .seed = 1, .packing = _i == 1 }, &e);
    must(&e);
    const tn_batch *b = tn_loader_next(l);
    ck_assert(b->pairs == 3 && b->rows == (_i ? 1 : 6) && b->tokens == 16);
    const char *text = labels(b, k, &all);
    ck_assert(strlen(text) == strlen("\naa,b\nc,dddd\ne,f"));
    ck_assert(strstr(text, "\naa,b") && strstr(text, "\nc,dddd") && strstr(text, "\ne,f"));
    const tn_loader_sums sums = tn_loader_sum(l, 1);
    ck_assert(sums.tokens == 16 && sums.padded == 6 * 5 && sums.largest == (_i ? 16 : 30));
    tn_text_free(&all);
    tn_loader_free(l);
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

#define PAIR "{\"prompt\":\"p\",\"chosen\":\"a\",\"rejected\":\"b\"}\n"
static const struct wrong {
    const char *lines, *says;
} wrong[] = {
    { "{\"prompt\":\"p\",\"chosen\":\"a\"}\n",
      "a.jsonl:1: \"rejected\" is missing; expected a text or a list of messages" },
    { PAIR "{\"prompt\":\"p\",\"chosen\":null,\"rejected\":\"b\"}\n",
      "a.jsonl:2: \"chosen\" is null; expected a text or a list of messages" },
    { "{\"chosen\":\"a\",\"rejected\":[]}\n",
      "a.jsonl:1: \"rejected\" is a list; expected a text, as \"chosen\" is" },
    { "{\"chosen\":[" ANSWER("a") "],\"rejected\":\"b\"}\n",
      "a.jsonl:1: \"rejected\" is a string; expected messages, as \"chosen\" is" },
    { "{\"prompt\":[],\"chosen\":true,\"rejected\":false}\n",
      "a.jsonl:1: \"chosen\" is a boolean; expected a text" },
    { "{\"prompt\":[" USER("q") "],\"chosen\":[7],\"rejected\":[" ANSWER("a") "]}\n",
      "a.jsonl:1: message 0: a number; expected an object" },
    { PAIR "{\"text\":\"abc\"}\n",
      "a.jsonl:2: a record without \"chosen\" among records that have it; expected one of the two "
      "alone" },
    { "{\"text\":\"abc\"}\n" PAIR, "a.jsonl:2: \"chosen\" and \"rejected\" among records that have "
                                   "neither; expected one of the two alone" },
};

START_TEST(a_wrong_record_is_refused)
{
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    ck_assert_ptr_null(open_set(&s, k, wrong[_i].lines, 80, false, &e));
    must_fail(&e, TN_EFORMAT, wrong[_i].says);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

START_TEST(a_text_is_no_company)
{
    scratch s;
    tn_error e = { 0 };
    const int32_t ids[] = { 1, 2, 3, 4, 5 };
    scratch_open(&s);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    tn_dataset *parts[] = { open_set(&s, k, pairs, 80, false, &e),
                            tn_dataset_tokens(ids, 5, &(tn_data_options){ .max_length = 2 }, &e) };
    must(&e);
    ck_assert_ptr_null(tn_dataset_join(parts, 2, &e));
    must_fail(&e, TN_EFORMAT, "preferences (\"chosen\" and \"rejected\") beside other data");
    tn_dataset *twice = tn_dataset_join((tn_dataset *[]){ parts[0], parts[0] }, 2, &e);
    must(&e);
    ck_assert(tn_dataset_facts(twice).pairs && tn_dataset_facts(twice).records == 6);
    check_rows(twice, k, 4, "p[c|]", "p[dddd|]");
    tn_dataset_free(twice);
    tn_dataset_free(parts[0]);
    tn_dataset_free(parts[1]);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, every_form_is_two_rows, 0, sizeof forms / sizeof *forms);
    tcase_add_loop_test(c, rows_are_cut, 0, sizeof cuts / sizeof *cuts);
    tcase_add_test(c, a_pair_stays_together);
    tcase_add_loop_test(c, an_epoch_has_every_pair, 0, 2);
    tcase_add_loop_test(c, a_wrong_record_is_refused, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(c, a_text_is_no_company);
}
