/* test_packing.c - packed batches: the records of the padded ones, side by side. */
#include "data/data.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <string.h>

enum { MOST = 60, LONGEST = 20 };

/* n records of 2 to LONGEST ids; the first id is the number of the record. */
static tn_dataset *make_records(int64_t n, uint64_t seed)
{
    static int32_t ids[MOST][LONGEST];
    const int32_t *records[MOST];
    int64_t length[MOST], prompt[MOST];
    tn_error e = { 0 };
    for (int64_t r = 0; r < n; r++) {
        length[r] = 2 + tn_random(seed, 1, 0, (uint64_t)r) % (LONGEST - 1);
        prompt[r] = tn_random(seed, 2, 0, (uint64_t)r) % length[r];
        for (int64_t i = 0; i < LONGEST; i++)
            ids[r][i] = (int32_t)(i ? 100 * i + r : r);
        records[r] = ids[r];
    }
    tn_dataset *d = tn_dataset_records(n, records, length, prompt,
                                       &(tn_data_options){ .max_length = LONGEST }, &e);
    must(&e);
    return d;
}

static tn_loader *make_loader(const tn_dataset *d, tn_loader_options o, bool packing)
{
    tn_error e = { 0 };
    o.packing = packing;
    tn_loader *l = tn_loader_new(d, &o, &e);
    must(&e);
    return l;
}

/* The next record of a packed row from id `at` on: its ids and labels are those of the padded row.
   Returns where it ends. */
static int64_t check_record(const tn_dataset *d, const tn_batch *row, int64_t at,
                            const tn_batch *padded, int64_t r)
{
    int64_t prompt, wrong = 0;
    const int32_t *ids = padded->ids + r * padded->width;
    const int32_t *labels = padded->labels + r * padded->width;
    const int64_t n = tn_dataset_record(d, ids[0], &prompt) - 1;
    ck_assert_int_le(at + n, row->width);
    for (int64_t i = 0; i < n; i++)
        wrong += row->ids[at + i] != ids[i] || row->labels[at + i] != labels[i] ||
                 row->places[at + i] != i;
    ck_assert_int_eq(wrong, 0);
    return at + n;
}

/* For random sizes: every packed batch has the records of the padded one in their order, and
   nothing else. Each is a function of the seed and the index. */
START_TEST(the_same_records_without_padding)
{
    enum { TRIALS = 40, BATCHES = 12 };
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        const int64_t n = 1 + tn_random(3, 1, 0, trial) % (MOST - 1);
        const tn_loader_options o = { .batch = 1 + tn_random(3, 2, 0, trial) % 9,
                                      .seed = trial,
                                      .accumulate = 1 + tn_random(3, 3, 0, trial) % 3 };
        tn_dataset *d = make_records(n, trial);
        tn_loader *padded = make_loader(d, o, false), *packed = make_loader(d, o, true);
        for (int64_t i = 0; i < BATCHES; i++) {
            const int64_t index = trial % 2 ? BATCHES - 1 - i : i;
            tn_loader_seek(packed, index);
            tn_loader_seek(padded, index);
            const tn_batch *row = tn_loader_next(packed), *rows = tn_loader_next(padded);
            int64_t at = 0;
            ck_assert_int_eq(row->rows, 1);
            for (int64_t r = 0; r < o.batch; r++)
                at = check_record(d, row, at, rows, r);
            ck_assert_int_eq(at, row->width);
            ck_assert_int_eq(row->tokens, rows->tokens);
            ck_assert_ptr_null(rows->places);
        }
        ck_assert_uint_ne(tn_loader_hash(packed, 1), o.batch == 1 ? 0 : tn_loader_hash(padded, 1));
        tn_loader_free(padded);
        tn_loader_free(packed);
        tn_dataset_free(d);
    }
}
END_TEST

/* The sums are those of the batches, of one epoch at most, and leave the loader where it was. */
START_TEST(sums_are_those_of_the_batches)
{
    enum { N = 50, BATCH = 8, EPOCH = 7 };
    tn_dataset *d = make_records(N, 6);
    const tn_loader_options o = { .batch = BATCH, .seed = 2 };
    tn_loader *padded = make_loader(d, o, false), *packed = make_loader(d, o, true);
    for (int64_t n = 0; n <= 2 * EPOCH; n += EPOCH / 2) {
        int64_t tokens = 0, cells = 0, widest = 0, largest = 0;
        for (int64_t i = 0; i < n && i < EPOCH; i++) {
            tn_loader_seek(padded, i);
            tn_loader_seek(packed, i);
            const tn_batch *rows = tn_loader_next(padded), *row = tn_loader_next(packed);
            const int64_t area = rows->rows * rows->width;
            tokens += row->width;
            cells += area;
            widest = area > widest ? area : widest;
            largest = row->width > largest ? row->width : largest;
        }
        const tn_loader_sums a = tn_loader_sum(padded, n), b = tn_loader_sum(packed, n);
        ck_assert_int_eq(a.tokens, tokens);
        ck_assert_int_eq(b.tokens, tokens);
        ck_assert_int_eq(a.padded, cells);
        ck_assert_int_eq(b.padded, cells);
        ck_assert_int_eq(a.largest, widest);
        ck_assert_int_eq(b.largest, largest);
    }
    tn_loader_seek(packed, 3);
    const tn_batch *row = tn_loader_next(packed);
    const int64_t width = row->width;
    const int32_t first = row->ids[0];
    tn_loader_sum(packed, 2 * EPOCH);
    ck_assert_int_eq(row->width, width);
    ck_assert_int_eq(row->ids[0], first);
    tn_loader *other = make_loader(d, o, true);
    tn_loader_seek(other, 4);
    ck_assert_int_eq(tn_loader_next(packed)->width, tn_loader_next(other)->width);
    tn_loader_free(padded);
    tn_loader_free(packed);
    tn_loader_free(other);
    tn_dataset_free(d);
}
END_TEST

/* Windows of a text are full: packing changes nothing. In order, rows are counted: it is refused. */
START_TEST(where_nothing_is_packed)
{
    enum { N = 40 };
    int32_t ids[N];
    tn_error e = { 0 };
    for (int32_t i = 0; i < N; i++)
        ids[i] = i;
    tn_dataset *d = tn_dataset_tokens(ids, N, &(tn_data_options){ .max_length = 6 }, &e);
    must(&e);
    tn_loader *l = make_loader(d, (tn_loader_options){ .batch = 3 }, true);
    tn_loader *plain = make_loader(d, (tn_loader_options){ .batch = 3 }, false);
    ck_assert_uint_eq(tn_loader_hash(l, 4), tn_loader_hash(plain, 4));
    ck_assert_int_eq(tn_loader_next(l)->rows, 3);
    const tn_loader_sums sums = tn_loader_sum(l, 2);
    ck_assert_int_eq(sums.tokens, 2 * 3 * 6);
    ck_assert_int_eq(sums.padded, 2 * 3 * 6);
    ck_assert_int_eq(sums.largest, 3 * 6);
    ck_assert_ptr_null(
        tn_loader_new(d, &(tn_loader_options){ .batch = 3, .in_order = true, .packing = true },
                      &e));
    must_fail(&e, TN_EARG, "packing is for training; expected a loader without in_order");
    tn_loader_free(l);
    tn_loader_free(plain);
    tn_dataset_free(d);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, the_same_records_without_padding);
    tcase_add_test(c, sums_are_those_of_the_batches);
    tcase_add_test(c, where_nothing_is_packed);
}
