/* test_chats.c - data sets of chats: which tokens are learnt, and what stands beside them. */
#include "data/data.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <string.h>

static const char lines[] =
    "{\"prompt\": \"1 + 1 =\", \"completion\": \" 2\"}\n"
    "{\"messages\": [{\"role\": \"user\", \"content\": \"q1\"}, {\"role\": \"assistant\", \"content\": "
    "\"a1\"}, {\"role\": \"user\", \"content\": \"q2\"}, {\"role\": \"assistant\", \"content\": \"a2\"}]}\n"
    "{\"prompt\": [{\"role\": \"user\", \"content\": \"q3\"}, {\"role\": \"assistant\", \"content\": "
    "\"a3\"}, {\"role\": \"user\", \"content\": \"q4\"}], \"completion\": [{\"role\": \"assistant\", "
    "\"content\": \"a4\"}]}\n"
    "{\"messages\": [{\"role\": \"user\", \"content\": \"nobody answers\"}]}\n"
    "{\"text\": \"text\"}\n";

/* The labels of each record as text; | stands for the end token. The first token of a text has no
   label. */
static const char *const learnt[] = { " 2|", "a1|a2|", "a4|", "ext|" };
enum { RECORDS = sizeof learnt / sizeof *learnt };

static tn_dataset *open_set(scratch *s, const tn_tokenizer *k, bool no_mask, tn_error *e)
{
    const tn_data_options o = { .max_length = 1000,
                                .no_mask = no_mask,
                                .chat = tn_chat_template_find("alpaca_turns") };
    tn_dataset *d = tn_dataset_jsonl(scratch_write(s, "a.jsonl", lines, strlen(lines)), k, &o, e);
    must(e);
    return d;
}

static void add_id(const tn_tokenizer *k, int32_t id, tn_text *out)
{
    if (id == tn_tokenizer_end(k))
        tn_text_add(out, "|");
    else
        tn_decode(k, &id, 1, out);
}

/* The labels that a loader gives, and the flags of the data set, are the answers. */
START_TEST(only_answers_are_learnt)
{
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    tn_dataset *d = open_set(&s, k, false, &e);
    const tn_data_facts f = tn_dataset_facts(d);
    tn_loader *l = tn_loader_new(d, &(tn_loader_options){ .batch = 1, .in_order = true }, &e);
    int64_t count = 0;
    ck_assert(f.records == RECORDS && f.chats == 2 && f.skipped == 1);
    ck_assert_ptr_eq(f.chat, tn_chat_template_find("alpaca_turns"));
    for (int64_t i = 0; i < RECORDS; i++) {
        const tn_batch *b = tn_loader_next(l);
        tn_text labels = { 0 };
        bool flags[1001] = { 0 };
        tn_dataset_learnt(d, i, 0, b->width + 1, flags);
        for (int64_t t = 0; t < b->width; t++) {
            ck_assert_int_eq(flags[t + 1], b->labels[t] >= 0);
            if (b->labels[t] >= 0)
                add_id(k, b->labels[t], &labels);
        }
        ck_assert_str_eq(tn_text_done(&labels, "labels", &e), learnt[i]);
        ck_assert_int_eq(b->tokens, (int64_t)strlen(learnt[i]));
        count += b->tokens;
        tn_text_free(&labels);
    }
    ck_assert_int_eq(count, f.loss_tokens);
    tn_loader_free(l);
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

/* no_mask: everything but the first token is learnt. The flags are part of the hash. */
START_TEST(or_all_is_learnt)
{
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    tn_dataset *a = open_set(&s, k, false, &e), *b = open_set(&s, k, true, &e);
    const tn_data_facts f = tn_dataset_facts(b);
    ck_assert_int_eq(f.loss_tokens, f.tokens - f.records);
    ck_assert_int_eq(f.tokens, tn_dataset_facts(a).tokens);
    ck_assert(tn_dataset_hash(a, 0) != tn_dataset_hash(b, 0));
    tn_dataset_free(a);
    tn_dataset_free(b);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, only_answers_are_learnt);
    tcase_add_test(c, or_all_is_learnt);
}
