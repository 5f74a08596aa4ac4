/* test_join.c - several data sets as one: its rows, counts and batches are those of its parts. */
#include "data/data.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <string.h>

enum { T = 5, PARTS = 3 };

static const char text[] = "a text of forty bytes, cut into windows.";
static const char lines[] =
    "{\"prompt\":\"ab\",\"completion\":\"cd\"}\n{\"text\":\"longer than T\"}\n"
    "{\"text\":\"\"}\n{\"text\":\"xyz\"}\n";

static void make_parts(scratch *s, tn_dataset *part[PARTS], tn_error *e)
{
    const tn_data_options o = { .max_length = T };
    tn_tokenizer *k = tn_tokenizer_bytes(e);
    part[0] = tn_dataset_jsonl(scratch_write(s, "a.jsonl", lines, strlen(lines)), k, &o, e);
    part[1] = tn_dataset_text(scratch_write(s, "a.txt", text, strlen(text)), k, 0, 1, &o, e);
    part[2] =
        tn_dataset_task("lookup", 1, "train", 0, 4, k, &(tn_data_options){ .max_length = 99 }, e);
    must(e);
    tn_tokenizer_free(k);
}

static void check_row(const tn_dataset *all, int64_t row, const tn_dataset *part, int64_t i)
{
    int64_t prompt = -1, expected = -2;
    int32_t a[100], b[100];
    bool learnt[100], flags[100];
    const int64_t n = tn_dataset_record(part, i, &expected);
    ck_assert_int_eq(tn_dataset_record(all, row, &prompt), n);
    ck_assert_int_eq(prompt, expected);
    tn_dataset_ids(part, i, 0, n, a);
    tn_dataset_ids(all, row, 0, n, b);
    tn_dataset_learnt(part, i, 0, n, learnt);
    tn_dataset_learnt(all, row, 0, n, flags);
    ck_assert(!memcmp(a, b, (size_t)n * sizeof *a) && !memcmp(learnt, flags, (size_t)n));
}

/* The parts and their tokenizer are freed first. */
START_TEST(rows_are_those_of_the_parts)
{
    scratch s;
    tn_error e = { 0 };
    tn_dataset *part[PARTS], *again[PARTS];
    scratch_open(&s);
    make_parts(&s, part, &e);
    make_parts(&s, again, &e);
    tn_dataset *all = tn_dataset_join(part, PARTS, &e);
    must(&e);
    int64_t row = 0, tokens = 0, learnt = 0, skipped = 0, cut = 0;
    for (int i = 0; i < PARTS; i++)
        tn_dataset_free(part[i]);
    for (int i = 0; i < PARTS; i++) {
        const tn_data_facts f = tn_dataset_facts(again[i]);
        for (int64_t k = 0; k < f.records; k++)
            check_row(all, row++, again[i], k);
        tokens += f.tokens;
        learnt += f.loss_tokens;
        skipped += f.skipped;
        cut += f.truncated;
        tn_dataset_free(again[i]);
    }
    const tn_data_facts f = tn_dataset_facts(all);
    ck_assert(!f.text && f.records == row && f.tokens == tokens && f.loss_tokens == learnt &&
              f.skipped == skipped && f.truncated == cut && skipped == 1 && cut == 1);
    ck_assert_int_eq(row, 3 + 7 + 4);
    tn_dataset_free(all);
    scratch_close(&s);
}
END_TEST

/* An epoch has every row of every part once, in an order that mixes them. */
START_TEST(an_epoch_has_all_rows)
{
    scratch s;
    tn_error e = { 0 };
    tn_dataset *part[PARTS];
    scratch_open(&s);
    make_parts(&s, part, &e);
    tn_dataset *all = tn_dataset_join(part, PARTS, &e);
    tn_loader *l = tn_loader_new(all, &(tn_loader_options){ .batch = 1, .seed = 3 }, &e);
    must(&e);
    const int64_t rows = tn_dataset_facts(all).records;
    int64_t seen = 0, moved = 0;
    bool used[32] = { false };
    for (int64_t i = 0; i < rows; i++) {
        const tn_batch *b = tn_loader_next(l);
        for (int64_t r = 0, prompt; r < rows; r++) {
            int32_t ids[100];
            const int64_t n = tn_dataset_record(all, r, &prompt);
            tn_dataset_ids(all, r, 0, n, ids);
            if (used[r] || b->width != n - 1 || memcmp(ids, b->ids, (size_t)(n - 1) * sizeof *ids))
                continue;
            used[r] = true;
            seen++;
            moved += r != i;
            break;
        }
    }
    ck_assert_int_eq(seen, rows);
    ck_assert_int_gt(moved, rows / 2);
    for (int i = 0; i < PARTS; i++)
        tn_dataset_free(part[i]);
    tn_loader_free(l);
    tn_dataset_free(all);
    scratch_close(&s);
}
END_TEST

/* The hash is that of all parts, in their order. */
START_TEST(the_hash_knows_every_part)
{
    scratch s;
    tn_error e = { 0 };
    tn_dataset *part[PARTS];
    uint64_t hash[4];
    scratch_open(&s);
    make_parts(&s, part, &e);
    tn_dataset *const orders[4][PARTS] = { { part[0], part[1], part[2] },
                                           { part[0], part[1], part[2] },
                                           { part[0], part[2], part[1] },
                                           { part[0], part[1], part[1] } };
    for (int i = 0; i < 4; i++) {
        tn_dataset *all = tn_dataset_join(orders[i], PARTS, &e);
        hash[i] = tn_dataset_hash(all, 0);
        tn_dataset_free(all);
    }
    must(&e);
    ck_assert(hash[0] == hash[1] && hash[0] != hash[2] && hash[0] != hash[3]);
    ck_assert(!tn_dataset_join(part, 0, &e) && !e.code);
    for (int i = 0; i < PARTS; i++)
        tn_dataset_free(part[i]);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, rows_are_those_of_the_parts);
    tcase_add_test(c, an_epoch_has_all_rows);
    tcase_add_test(c, the_hash_knows_every_part);
}
