/* test_tokens.c - data sets of token ids from memory.
   Against the same ids read from a file: facts, hashes and batches are the same. */
#include "data/data.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes are ids, and 256 is the end token. */
enum { RECORDS = 5, END = 256 };

static const struct {
    const char *prompt, *completion;
} lines[RECORDS] = {
    { "a", "bc" },
    { "", "some longer text" },
    { "a prompt that is cut", "and what follows" },
    { "1 + 1", "2" },
    { "a prompt that fills all of the room of its row", "left out" },
};

/* The ids that a file of the lines has. */
static int32_t memory[RECORDS][100];
static int64_t length[RECORDS], prompt[RECORDS];

static const int32_t *const records[RECORDS] = { memory[0], memory[1], memory[2], memory[3],
                                                 memory[4] };

static void make_ids(void)
{
    for (int i = 0; i < RECORDS; i++) {
        char all[100];
        prompt[i] = (int64_t)strlen(lines[i].prompt);
        length[i] = snprintf(all, sizeof all, "%s%s", lines[i].prompt, lines[i].completion);
        for (int64_t k = 0; k < length[i]; k++)
            memory[i][k] = (unsigned char)all[k];
        memory[i][length[i]++] = END;
    }
}

static void same_facts(const tn_dataset *a, const tn_dataset *b)
{
    const tn_data_facts x = tn_dataset_facts(a), y = tn_dataset_facts(b);
    const int64_t one[] = { x.text,      x.records, x.tokens,  x.loss_tokens,
                            x.truncated, x.skipped, x.unknown, x.left };
    const int64_t other[] = { y.text,      y.records, y.tokens,  y.loss_tokens,
                              y.truncated, y.skipped, y.unknown, y.left };
    ck_assert_mem_eq(one, other, sizeof one);
    ck_assert(tn_dataset_hash(a, 0) == tn_dataset_hash(b, 0));
}

/* Twenty batches, and from the middle on again. */
static void same_batches(const tn_dataset *a, const tn_dataset *b)
{
    tn_error e = { 0 };
    const tn_loader_options o = { .batch = 2, .seed = 3 };
    tn_loader *x = tn_loader_new(a, &o, &e), *y = tn_loader_new(b, &o, &e);
    must(&e);
    ck_assert(tn_loader_hash(x, 20) == tn_loader_hash(y, 20));
    ck_assert(tn_loader_hash(x, 20) != tn_loader_hash(y, 19));
    for (int k = 0; k < 10; k++)
        tn_loader_next(x);
    tn_loader_seek(y, 10);
    const tn_batch *p = tn_loader_next(x), *q = tn_loader_next(y);
    ck_assert(p->width == q->width && p->tokens == q->tokens);
    ck_assert_mem_eq(p->labels, q->labels, (size_t)(p->rows * p->width) * sizeof *p->labels);
    tn_loader_free(x);
    tn_loader_free(y);
}

START_TEST(records_are_those_of_a_file)
{
    make_ids();
    char *folder = temporary();
    tn_text text = { 0 };
    tn_error e = { 0 };
    for (int i = 0; i < RECORDS; i++)
        tn_text_add(&text, "{\"prompt\":\"%s\",\"completion\":\"%s\"}\n", lines[i].prompt,
                    lines[i].completion);
    put_file(folder, "a.jsonl", tn_text_done(&text, "lines", &e));
    char *path = tn_path_join(folder, "a.jsonl");
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    for (int no_mask = 0; no_mask < 2; no_mask++) {
        const tn_data_options o = { .max_length = 30, .no_mask = no_mask };
        tn_dataset *file = tn_dataset_jsonl(path, k, &o, &e);
        tn_dataset *own = tn_dataset_records(RECORDS, records, length, prompt, &o, &e);
        must(&e);
        ck_assert_int_eq(tn_dataset_facts(own).skipped, no_mask ? 0 : 1);
        same_facts(own, file);
        same_batches(own, file);
        tn_dataset *unmasked = tn_dataset_records(RECORDS, records, length, NULL, &o, &e);
        must(&e);
        ck_assert((tn_dataset_hash(unmasked, 0) == tn_dataset_hash(own, 0)) == no_mask);
        tn_dataset_free(unmasked);
        tn_dataset_free(file);
        tn_dataset_free(own);
    }
    tn_tokenizer_free(k);
    tn_text_free(&text);
    free(path);
    discard(folder);
}
END_TEST

START_TEST(a_sequence_is_that_of_a_file)
{
    static const char text[] = "a text of more than one window, read as bytes, each byte an id";
    int32_t ids[sizeof text - 1];
    for (size_t i = 0; i < sizeof text - 1; i++)
        ids[i] = text[i];
    char *folder = temporary();
    put_file(folder, "a.txt", text);
    char *path = tn_path_join(folder, "a.txt");
    tn_error e = { 0 };
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    static const tn_data_options runs[] = { { .max_length = 7 },
                                            { .max_length = 100, .short_text = true } };
    for (int i = 0; i < 2; i++) {
        tn_dataset *file = tn_dataset_text(path, k, 0, 1, &runs[i], &e);
        tn_dataset *own = tn_dataset_tokens(ids, sizeof text - 1, &runs[i], &e);
        must(&e);
        same_facts(own, file);
        same_batches(own, file);
        tn_dataset_free(file);
        tn_dataset_free(own);
    }
    tn_tokenizer_free(k);
    free(path);
    discard(folder);
}
END_TEST

/* clang-format off */
static const struct {
    int64_t count, length, prompt, most;
    int32_t id;
    const char *text;
} wrong[] = {
    { 0, 3, 0, 9, 1, "0 records; expected 1 or more" },
    { 2, -1, 0, 9, 1, "record 1: -1 ids; expected 0 or more, below 2^32, with their memory" },
    { 2, 3, 4, 9, 1, "record 1: a prompt of 4 of 3 ids; expected 0 to all" },
    { 2, 3, -1, 9, 1, "record 1: a prompt of -1 of 3 ids; expected 0 to all" },
    { 2, 3, 0, 9, -1, "record 1: id 2 is -1; expected 0 or more" },
    { 2, 3, 0, 1, 1, "max_length is 1; expected 2 or more" },
};
/* clang-format on */

START_TEST(wrong_records_are_refused)
{
    const int32_t good[] = { 1, 2, 3 }, bad[] = { 1, 2, wrong[_i].id };
    const int32_t *const ids[] = { good, bad };
    const int64_t lengths[] = { 3, wrong[_i].length }, prompts[] = { 0, wrong[_i].prompt };
    const tn_data_options o = { .max_length = wrong[_i].most };
    tn_error e = { 0 };
    ck_assert_ptr_null(tn_dataset_records(wrong[_i].count, ids, lengths, prompts, &o, &e));
    ck_assert_str_eq(e.text, wrong[_i].text);
    must_fail(&e, TN_EARG, wrong[_i].text);
}
END_TEST

/* Batches hold the ids that were given: the first records fit into two bytes, the last ones do not. */
START_TEST(large_ids)
{
    enum { COUNT = 40, LONGEST = 6 };
    int32_t made[COUNT][LONGEST];
    const int32_t *rows[COUNT];
    int64_t lengths[COUNT];
    tn_error e = { 0 };
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < LONGEST; j++)
            made[i][j] = (i < COUNT / 2 ? 1000 : 200000) + LONGEST * i + j;
        rows[i] = made[i];
        lengths[i] = 2 + i % (LONGEST - 1);
    }
    tn_dataset *d = tn_dataset_records(COUNT, rows, lengths, NULL,
                                       &(tn_data_options){ .max_length = LONGEST }, &e);
    tn_loader *l = tn_loader_new(d, &(tn_loader_options){ .batch = 3, .in_order = true }, &e);
    must(&e);
    int64_t i = 0;
    for (const tn_batch *b; (b = tn_loader_next(l)) != NULL;)
        for (int64_t r = 0; r < b->rows; r++, i++)
            for (int64_t t = 0; t < lengths[i] - 1; t++) {
                ck_assert_int_eq(b->ids[r * b->width + t], made[i][t]);
                ck_assert_int_eq(b->labels[r * b->width + t], made[i][t + 1]);
            }
    ck_assert_int_eq(i, COUNT);
    tn_loader_free(l);
    tn_dataset_free(d);
    d = tn_dataset_tokens(made[COUNT / 2 - 1], 2 * LONGEST, &(tn_data_options){ .max_length = 4 },
                          &e);
    int32_t out[4];
    tn_dataset_ids(d, 1, 0, 4, out); /* ids 4 and 5 of one row, then 0 and 1 of the next */
    must(&e);
    ck_assert_mem_eq(out, &made[COUNT / 2 - 1][4], sizeof out);
    tn_dataset_free(d);
}
END_TEST

/* The loop of Hugging Face's page about perplexity: begin, end and how many of its tokens a window
   scores. A label is predicted from the token before it, so the first token of a window has
   none. */
START_TEST(windows_with_a_stride)
{
    enum { N = 50 };
    int32_t ids[N];
    for (int i = 0; i < N; i++)
        ids[i] = 100 + i;
    for (int64_t T = 2; T < 12; T++)
        for (int64_t S = 1; S <= T; S++) {
            tn_error e = { 0 };
            tn_dataset *d =
                tn_dataset_tokens(ids, N, &(tn_data_options){ .max_length = T, .stride = S }, &e);
            tn_loader *l =
                tn_loader_new(d, &(tn_loader_options){ .batch = 1, .in_order = true }, &e);
            must(&e);
            int64_t before = 0, windows = 0, labels = 0;
            for (int64_t begin = 0; begin + T <= N; begin += S, windows++) {
                const int64_t scored = begin + T - before;
                const tn_batch *b = tn_loader_next(l);
                ck_assert_int_eq(b->width, T - 1);
                for (int64_t t = 0; t + 1 < T; t++) {
                    const bool counts = t + 1 >= T - scored;
                    ck_assert_int_eq(b->ids[t], ids[begin + t]);
                    ck_assert_int_eq(b->labels[t], counts ? ids[begin + t + 1] : -1);
                    labels += counts;
                }
                before = begin + T;
            }
            ck_assert_ptr_null(tn_loader_next(l));
            ck_assert_int_eq(tn_dataset_facts(d).records, windows);
            ck_assert_int_eq(tn_dataset_facts(d).loss_tokens, labels);
            ck_assert_int_eq(tn_dataset_facts(d).left, N - before);
            tn_loader_free(l);
            ck_assert_ptr_null(tn_loader_new(d, &(tn_loader_options){ .batch = 1 }, &e));
            must_fail(&e, TN_EARG, "windows with a stride are not for training");
            tn_dataset_free(d);
        }
    tn_error e = { 0 };
    ck_assert_ptr_null(
        tn_dataset_tokens(ids, N, &(tn_data_options){ .max_length = 4, .stride = 5 }, &e));
    must_fail(&e, TN_EARG, "stride is 5; expected 1 to the 4 tokens of a window");
}
END_TEST

START_TEST(what_holds_nothing_is_refused)
{
    const tn_data_options o = { .max_length = 9 };
    const int32_t ids[] = { 1, -70000 };
    tn_error e = { 0 };
    ck_assert_ptr_null(
        tn_dataset_records(1, (const int32_t *[]){ NULL }, (int64_t[]){ 2 }, NULL, &o, &e));
    must_fail(&e, TN_EARG, "record 0: 2 ids at NULL; expected 0 or more");
    ck_assert_ptr_null(
        tn_dataset_records(1, (const int32_t *[]){ ids }, (int64_t[]){ 1 }, NULL, &o, &e));
    must_fail(&e, TN_EFORMAT, "all records were skipped (1)");
    ck_assert_ptr_null(tn_dataset_tokens(ids, 1, &o, &e));
    must_fail(&e, TN_EFORMAT, "a text of 1 token; expected at least 10");
    ck_assert_ptr_null(tn_dataset_tokens(ids, 2, &o, &e));
    must_fail(&e, TN_EARG, "id 1 is -70000; expected 0 or more");
    ck_assert_ptr_null(tn_dataset_tokens(ids, -1, &o, &e));
    must_fail(&e, TN_EARG, "-1 ids; expected 0 or more");
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, records_are_those_of_a_file);
    tcase_add_test(c, a_sequence_is_that_of_a_file);
    tcase_add_loop_test(c, wrong_records_are_refused, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(c, large_ids);
    tcase_add_test(c, windows_with_a_stride);
    tcase_add_test(c, what_holds_nothing_is_refused);
}
