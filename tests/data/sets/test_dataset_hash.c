/* test_dataset_hash.c - hashes of data sets and tokenizers depend on all that a run depends on. */
#include "data/data.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <string.h>

/* The hash of the first `records` records of a file with this name and text; 0: of all records. */
static uint64_t hash_of(const char *name, const char *text, int64_t width, bool no_mask,
                        int64_t records)
{
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    const tn_data_options o = { .max_length = width, .no_mask = no_mask };
    const char *path = scratch_write(&s, name, text, strlen(text));
    tn_dataset *d = strstr(name, ".txt") ? tn_dataset_text(path, k, 0, 1, &o, &e)
                                         : tn_dataset_jsonl(path, k, &o, &e);
    ck_assert_msg(d != NULL, "%s", e.text);
    const uint64_t hash = tn_dataset_hash(d, records);
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    scratch_close(&s);
    return hash;
}

#define A "{\"prompt\":\"1\",\"completion\":\"23\"}\n"
#define B "{\"text\":\"xyz\"}\n"

/* clang-format off */
typedef struct row { const char *name, *text; int64_t width; bool no_mask; } row;
/* clang-format on */

static const row rows[] = {
    { "a.txt", "0123456789", 3, false },
    { "a.txt", "0123456780", 3, false },  /* after the last window, but used */
    { "a.txt", "01234567890", 3, false }, /* longer, by less than a window */
    { "a.txt", "1123456789", 3, false },
    { "a.txt", "0123456789", 4, false },
    { "a.jsonl", A B, 9, false },
    { "a.jsonl", B A, 9, false },
    { "a.jsonl", A, 9, false },
    { "a.jsonl", A B, 9, true },
    { "a.jsonl", A "{\"text\":\"xyZ\"}\n", 9, false },
    { "a.jsonl", "{\"prompt\":\"12\",\"completion\":\"3\"}\n" B, 9, false }, /* the same ids */
    { "a.jsonl", A B B, 9, false },
};

enum { ROWS = sizeof rows / sizeof *rows };

START_TEST(data_differ)
{
    for (int a = 0; a < ROWS; a++)
        for (int b = 0; b < ROWS; b++) {
            const row *x = &rows[a], *y = &rows[b];
            ck_assert_msg((hash_of(x->name, x->text, x->width, x->no_mask, 0) ==
                           hash_of(y->name, y->text, y->width, y->no_mask, 0)) == (a == b),
                          "%d and %d", a, b);
        }
}
END_TEST

/* If data grow, the hash of their first records stays the same. */
START_TEST(data_grow)
{
    const uint64_t before = hash_of("a.jsonl", A B, 9, false, 0);
    ck_assert(hash_of("a.jsonl", A B A, 9, false, 2) == before);
    ck_assert(hash_of("a.jsonl", A B, 9, false, 2) == before);
    ck_assert(hash_of("a.jsonl", A B A, 9, false, 0) != before);
    ck_assert(hash_of("a.jsonl", A A B, 9, false, 2) != before);
    ck_assert(hash_of("a.jsonl", A B A, 9, false, 1) != before);
}
END_TEST

/* The hash of ids from memory. */
static uint64_t hash_of_ids(const int32_t *ids, int64_t n)
{
    tn_error e = { 0 };
    tn_dataset *d =
        tn_dataset_records(1, &ids, &n, NULL, &(tn_data_options){ .max_length = 9 }, &e);
    ck_assert_msg(d != NULL, "%s", e.text);
    const uint64_t hash = tn_dataset_hash(d, 0);
    tn_dataset_free(d);
    return hash;
}

/* Checkpoints hold the hash: sets whose ids have 16 bits keep the one that they always had. */
START_TEST(hashes_of_checkpoints)
{
    const int32_t large[] = { 65536, 2, 3 }, low[] = { 0, 2, 3 }, odd[] = { 65536, 2, 4 };
    ck_assert(hash_of("a.jsonl", A B, 9, false, 0) == 13177959174159486097u);
    ck_assert(hash_of("a.txt", "0123456789", 3, false, 0) == 5518196974215229070u);
    ck_assert(hash_of_ids(large, 3) != hash_of_ids(low, 3));
    ck_assert(hash_of_ids(large, 3) != hash_of_ids(odd, 3));
    ck_assert(hash_of_ids(large, 3) == hash_of_ids(large, 3));
}
END_TEST

START_TEST(tokenizers_differ)
{
    enum { KINDS = 4 };
    tn_error e = { 0 };
    tn_tokenizer *k[KINDS] = { tn_tokenizer_bytes(&e), tn_tokenizer_chars("abc", 3, &e),
                               tn_tokenizer_chars("abd", 3, &e),
                               tn_tokenizer_chars("abcd", 4, &e) },
                 *again = tn_tokenizer_chars("cab", 3, &e);
    for (int i = 0; i < KINDS; i++)
        for (int j = 0; j < KINDS; j++)
            ck_assert_msg((tn_tokenizer_hash(k[i]) == tn_tokenizer_hash(k[j])) == (i == j),
                          "%d and %d", i, j);
    ck_assert(tn_tokenizer_hash(k[1]) == tn_tokenizer_hash(again));
    for (int i = 0; i < KINDS; i++)
        tn_tokenizer_free(k[i]);
    tn_tokenizer_free(again);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, data_differ);
    tcase_add_test(c, data_grow);
    tcase_add_test(c, hashes_of_checkpoints);
    tcase_add_test(c, tokenizers_differ);
}
