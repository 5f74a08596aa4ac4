/* test_loader.c - batches are a function of the seed and the index. */
#include "data/sets/dataset.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <math.h>
#include <string.h>

/* A data set of n records of 2 to `longest` tokens. The first token is the number of the record. */
static tn_dataset *make_records(int64_t n, int64_t longest, uint64_t seed)
{
    tn_dataset *d = calloc(1, sizeof *d);
    d->ids = calloc((size_t)(n * longest), sizeof *d->ids);
    d->start = calloc((size_t)n + 1, sizeof *d->start);
    d->prompt = calloc((size_t)n, sizeof *d->prompt);
    for (int64_t i = 0; i < n; i++) {
        const int64_t length = 2 + tn_random(seed, 1, 0, (uint64_t)i) % (longest - 1);
        d->prompt[i] = tn_random(seed, 2, 0, (uint64_t)i) % length;
        d->start[i + 1] = d->start[i] + length;
        for (int64_t t = 0; t < length; t++)
            d->ids[d->start[i] + t] = (uint16_t)(t ? 5000 + 600 * t + i % 600 : i);
    }
    d->n = d->start[n];
    d->facts.records = n;
    return d;
}

static tn_dataset *make_text(int64_t n, int64_t window)
{
    tn_dataset *d = calloc(1, sizeof *d);
    d->ids = calloc((size_t)n, sizeof *d->ids);
    for (int64_t i = 0; i < n; i++)
        d->ids[i] = (uint16_t)i;
    d->n = n;
    d->window = window;
    d->facts = (tn_data_facts){ .text = true, .records = (n - 1) / window };
    return d;
}

static tn_loader *make_loader(const tn_dataset *d, int64_t batch, uint64_t seed, bool in_order)
{
    tn_error e = { 0 };
    tn_loader *l =
        tn_loader_new(d, &(tn_loader_options){ .batch = batch, .seed = seed, .in_order = in_order },
                      &e);
    ck_assert_msg(l != NULL, "%s", e.text);
    return l;
}

/* Checks that every row of a batch is a record of the data set, shifted, padded and masked. */
static void check_batch(const tn_dataset *d, const tn_batch *b)
{
    int64_t tokens = 0, widest = 0, wrong = 0;
    for (int64_t r = 0; r < b->rows; r++) {
        const int32_t *ids = b->ids + r * b->width, *labels = b->labels + r * b->width;
        int32_t record[128];
        int64_t prompt;
        const int64_t length = tn_dataset_record(d, ids[0], &prompt);
        tn_dataset_ids(d, ids[0], 0, length, record);
        for (int64_t t = 0; t < b->width; t++) {
            wrong += ids[t] != (t < length - 1 ? record[t] : 0);
            wrong += labels[t] != (t < length - 1 && t + 1 >= prompt ? record[t + 1] : -1);
            tokens += labels[t] >= 0;
        }
        widest = length - 1 > widest ? length - 1 : widest;
    }
    ck_assert_int_eq(wrong, 0);
    ck_assert_int_eq(b->width, widest);
    ck_assert_int_eq(b->tokens, tokens);
}

static uint64_t batch_hash(const tn_batch *b)
{
    const size_t bytes = (size_t)(b->rows * b->width) * sizeof *b->ids;
    return tn_hash64(b->labels, bytes, tn_hash64(b->ids, bytes, (uint64_t)(b->width + 1)));
}

/* For random sizes, batches and seeds: every record comes once per epoch, and a seek gives the same
   batch. */
START_TEST(epochs)
{
    enum { TRIALS = 100, EPOCHS = 4, MOST = 800 };
    for (uint64_t trial = (uint64_t)_i * TRIALS; trial < (uint64_t)(_i + 1) * TRIALS; trial++) {
        const int64_t n = 1 + tn_random(9, 1, 0, trial) % (trial % 2 ? 200 : 12);
        const int64_t batch = 1 + tn_random(9, 2, 0, trial) % (trial % 3 ? 20 : 5);
        const int64_t batches = (n * EPOCHS + batch - 1) / batch;
        const uint64_t seed = tn_random(9, 3, 0, trial);
        tn_dataset *d = make_records(n, 9, seed);
        tn_loader *l = make_loader(d, batch, seed, false);
        tn_loader *other = make_loader(d, batch, seed, false);
        uint64_t hash[MOST + 1];
        int seen[256] = { 0 }, wrong = 0;
        ck_assert_int_le(batches, MOST);
        for (int64_t i = 0, row = 0; i < batches; i++) {
            const tn_batch *b = tn_loader_next(l);
            ck_assert_int_eq(b->rows, batch);
            check_batch(d, b);
            hash[i] = batch_hash(b);
            for (int64_t r = 0; r < batch; r++, row++) /* it came once in each earlier epoch */
                wrong += seen[b->ids[r * b->width]]++ != row / n;
        }
        ck_assert_int_eq(wrong, 0);
        for (uint64_t k = 0; k < 5; k++) {
            const int64_t i = tn_random(9, 4 + k, 0, trial) % batches;
            tn_loader_seek(other, i);
            ck_assert_uint_eq(batch_hash(tn_loader_next(other)), hash[i]);
        }
        ck_assert_uint_eq(tn_loader_hash(l, batches), tn_loader_hash(other, batches));
        tn_loader_free(l);
        tn_loader_free(other);
        tn_dataset_free(d);
    }
}
END_TEST

/* tn_loader_hash changes neither the current batch nor the position. This holds after any number of
   batches, for records and for a text, in training and in order. */
START_TEST(a_hash_changes_nothing)
{
    tn_dataset *d = _i & 1 ? make_text(90, 7) : make_records(20, 9, 5);
    for (int taken = 1; taken < 4; taken++) {
        tn_loader *l = make_loader(d, 3, 8, _i & 2), *other = make_loader(d, 3, 8, _i & 2);
        const tn_batch *b = NULL;
        uint64_t before = 0;
        for (int i = 0; i < taken; i++) {
            b = tn_loader_next(l);
            before = batch_hash(b);
            tn_loader_next(other);
        }
        tn_loader_hash(l, 2);
        ck_assert_uint_eq(batch_hash(b), before);
        ck_assert_uint_eq(batch_hash(tn_loader_next(l)), batch_hash(tn_loader_next(other)));
        tn_loader_free(l);
        tn_loader_free(other);
    }
    tn_dataset_free(d);
}
END_TEST

/* Writes the hashes of the rows of the first `steps` steps, in the order of the batches. */
static void step_rows(const tn_dataset *d, tn_loader_options o, int64_t steps, uint64_t *out)
{
    tn_error e = { 0 };
    tn_loader *l = tn_loader_new(d, &o, &e);
    ck_assert_msg(l != NULL, "%s", e.text);
    for (int64_t i = 0; i < steps * o.accumulate; i++) {
        const tn_batch *b = tn_loader_next(l);
        ck_assert_int_eq(b->rows, o.batch);
        for (int64_t r = 0; r < b->rows; r++) {
            int64_t n = b->width; /* the padding is not hashed: it depends on the other rows */
            while (n > 0 && b->labels[r * b->width + n - 1] < 0)
                n--;
            const size_t bytes = (size_t)n * sizeof *b->ids;
            *out++ = tn_hash64(b->labels + r * b->width, bytes,
                               tn_hash64(b->ids + r * b->width, bytes, 0));
        }
    }
    tn_loader_free(l);
}

/* The rows of a step, and their order, depend only on the number of its rows: 8 x 1, 4 x 2, 2 x 4
   and 1 x 8 take the same rows. This holds for records and a text, also at the ends of epochs: an
   epoch may end between steps or inside one, and a step may contain several epochs. */
START_TEST(steps_do_not_depend_on_batches)
{
    enum { ROWS = 24, STEPS = 60 };
    static const int64_t sizes[] = { 1, 2, 5, 23, 24, 48, 100, 311, 1000 };
    for (int stream = 0; stream < 2; stream++) {
        tn_dataset *d = stream ? make_text(7 * sizes[_i] + 1, 7) : make_records(sizes[_i], 9, 4);
        uint64_t expected[STEPS * ROWS], found[STEPS * ROWS];
        step_rows(d, (tn_loader_options){ .batch = ROWS, .seed = 3, .accumulate = 1 }, STEPS,
                  expected);
        for (int64_t batch = 1; batch < ROWS; batch++) {
            if (ROWS % batch)
                continue;
            step_rows(d,
                      (tn_loader_options){ .batch = batch, .seed = 3, .accumulate = ROWS / batch },
                      STEPS, found);
            for (int i = 0; i < STEPS * ROWS; i++)
                ck_assert_msg(found[i] == expected[i], "batch %lld, row %d", (long long)batch, i);
        }
        tn_dataset_free(d);
    }
}
END_TEST

static double padding(tn_loader *l, int64_t batches)
{
    int64_t cells = 0, padded = 0;
    for (int64_t i = 0; i < batches; i++) {
        const tn_batch *b = tn_loader_next(l);
        for (int64_t c = 0; c < b->rows * b->width; c++)
            padded += b->ids[c] == 0;
        cells += b->rows * b->width;
    }
    return (double)padded / (double)cells;
}

/* Sorting within groups leaves under a fifth of the padding in every epoch; lengths are mixed. */
START_TEST(grouping)
{
    tn_dataset *d = make_records(4003, 100, 3);
    tn_loader *train = make_loader(d, 8, 3, false), *plain = make_loader(d, 8, 3, true);
    const double unsorted = padding(plain, 500);
    double sorted = 0;
    for (int epoch = 0; epoch < 3; epoch++)
        sorted = fmax(sorted, padding(train, 500));
    ck_assert_double_gt(unsorted, 0.4);
    ck_assert_double_lt(sorted, unsorted / 5);
    int rising = 0;
    int64_t last = 0;
    tn_loader_seek(train, 0);
    for (int i = 0; i < 500; i++) {
        const int64_t width = tn_loader_next(train)->width;
        rising += width > last;
        last = width;
    }
    ck_assert(rising > 200 && rising < 300);
    tn_loader_free(train);
    tn_loader_free(plain);
    tn_dataset_free(d);
}
END_TEST

/* Another seed or another epoch gives another order. Hashing does not move the loader. */
START_TEST(seeds)
{
    tn_dataset *d = make_records(100, 9, 1);
    tn_loader *l = make_loader(d, 10, 1, false), *other = make_loader(d, 10, 2, false);
    ck_assert_uint_ne(tn_loader_hash(l, 10), tn_loader_hash(other, 10));
    tn_loader_seek(l, 3);
    const uint64_t fourth = batch_hash(tn_loader_next(l));
    tn_loader_seek(l, 3);
    ck_assert_uint_ne(tn_loader_hash(l, 1), fourth);
    ck_assert_uint_eq(batch_hash(tn_loader_next(l)), fourth);
    for (int64_t i = 10; i < 20; i++) {
        tn_loader_seek(l, i);
        ck_assert_uint_ne(batch_hash(tn_loader_next(l)), fourth);
    }
    tn_loader_free(l);
    tn_loader_free(other);
    tn_dataset_free(d);
}
END_TEST

START_TEST(in_order)
{
    tn_dataset *d = make_records(10, 9, 1);
    tn_loader *l = make_loader(d, 4, 1, true);
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < 3; i++) {
            const tn_batch *b = tn_loader_next(l);
            ck_assert_int_eq(b->rows, i < 2 ? 4 : 2);
            check_batch(d, b);
            for (int64_t r = 0; r < b->rows; r++)
                ck_assert_int_eq(b->ids[r * b->width], i * 4 + r);
        }
        ck_assert_ptr_null(tn_loader_next(l));
    }
    const uint64_t whole = tn_loader_hash(l, 3);
    ck_assert_uint_eq(tn_loader_hash(l, 100), whole);
    tn_loader_free(l);
    tn_dataset_free(d);
}
END_TEST

/* A limit on the rows gives the first rows, whatever the size of the batches. */
START_TEST(first_rows_in_order)
{
    static const int64_t wanted[] = { 1, 4, 7, 10, 11, INT64_MAX };
    tn_dataset *sets[] = { make_records(10, 9, 1), make_text(51, 5) };
    for (int k = 0; k < 2; k++)
        for (int64_t batch = 1; batch < 13; batch++) {
            tn_error e = { 0 };
            const tn_loader_options o = { .batch = batch, .in_order = true, .rows = wanted[_i] };
            tn_loader *l = tn_loader_new(sets[k], &o, &e);
            for (int pass = 0; pass < 2; pass++) {
                int64_t rows = 0;
                for (const tn_batch *b; (b = tn_loader_next(l)) != NULL; rows += b->rows)
                    for (int64_t r = 0; r < b->rows; r++)
                        ck_assert_int_eq(b->ids[r * b->width], (rows + r) * (k ? 5 : 1));
                ck_assert_int_eq(rows, wanted[_i] < 10 ? wanted[_i] : 10);
            }
            tn_loader_free(l);
        }
    tn_dataset_free(sets[0]);
    tn_dataset_free(sets[1]);
}
END_TEST

/* Windows in order: each predicts all tokens up to the first one of the next window. */
START_TEST(text_in_order)
{
    tn_dataset *d = make_text(41, 5);
    tn_loader *l = make_loader(d, 3, 1, true);
    int64_t next = 0;
    for (const tn_batch *b; (b = tn_loader_next(l)) != NULL;) {
        ck_assert_int_eq(b->tokens, b->rows * b->width);
        for (int64_t c = 0; c < b->rows * b->width; c++, next++)
            ck_assert(b->ids[c] == next && b->labels[c] == next + 1);
    }
    ck_assert_int_eq(next, 40);
    tn_loader_free(l);
    tn_dataset_free(d);
}
END_TEST

/* Random windows start at every place where they fit, also at the last one. A seek gives the same
   windows again. */
START_TEST(text_training)
{
    tn_dataset *d = make_text(25, 5);
    tn_loader *l = make_loader(d, 4, 1, false);
    int starts[32] = { 0 };
    uint64_t hash[500];
    for (int i = 0; i < 500; i++) {
        const tn_batch *b = tn_loader_next(l);
        ck_assert(b->rows == 4 && b->width == 5 && b->tokens == 20);
        hash[i] = batch_hash(b);
        for (int64_t r = 0; r < 4; r++) {
            starts[b->ids[r * 5]]++;
            for (int64_t t = 0; t < 5; t++)
                ck_assert_int_eq(b->labels[r * 5 + t], b->ids[r * 5] + t + 1);
        }
    }
    for (int s = 0; s < 32; s++) /* 2000 draws over 20 places */
        ck_assert_msg(s < 20 ? starts[s] > 60 && starts[s] < 140 : starts[s] == 0, "%d", s);
    tn_loader_seek(l, 377);
    ck_assert_uint_eq(batch_hash(tn_loader_next(l)), hash[377]);
    tn_loader_seek(l, -1);
    ck_assert_uint_eq(batch_hash(tn_loader_next(l)), hash[0]);
    tn_loader_free(l);
    tn_dataset_free(d);
}
END_TEST

/* A seek to any distance gives a valid batch. */
START_TEST(far_away)
{
    tn_dataset *d = make_records(10, 9, 1);
    tn_loader *l = make_loader(d, 4, 1, false);
    tn_loader_seek(l, INT64_MAX);
    check_batch(d, tn_loader_next(l));
    tn_loader_free(l);
    tn_dataset_free(d);
}
END_TEST

START_TEST(refused)
{
    static const tn_loader_options wrong[] = {
        { .batch = 0 },
        { .batch = -1 },
        { .batch = INT64_MIN },
        { .batch = INT64_MAX },
        { .batch = 2, .accumulate = -1 },
        { .batch = 2, .accumulate = INT64_MAX / 2 + 1 },
    };
    tn_dataset *d = make_records(10, 9, 1);
    tn_error e = { 0 };
    ck_assert_ptr_null(tn_loader_new(d, &wrong[_i], &e));
    ck_assert_int_eq(e.code, TN_EARG);
    ck_assert_ptr_null(tn_loader_new(d, &(tn_loader_options){ .batch = 1 }, &e)); /* e sticks */
    tn_loader_free(NULL);
    tn_dataset_free(d);
}
END_TEST

/* A seed must give the same batches in every version of the library. */
START_TEST(pinned)
{
    tn_dataset *d = make_records(50, 9, 1);
    tn_loader *l = make_loader(d, 4, 1, false);
    ck_assert_uint_eq(tn_loader_hash(l, 40), 17625835377231945647u);
    tn_loader_free(l);
    tn_dataset_free(d);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, epochs, 0, 10);
    tcase_add_loop_test(c, steps_do_not_depend_on_batches, 0, 9);
    tcase_add_test(c, grouping);
    tcase_add_test(c, seeds);
    tcase_add_test(c, in_order);
    tcase_add_loop_test(c, first_rows_in_order, 0, 6);
    tcase_add_test(c, text_in_order);
    tcase_add_test(c, text_training);
    tcase_add_test(c, far_away);
    tcase_add_loop_test(c, refused, 0, 6);
    tcase_add_loop_test(c, a_hash_changes_nothing, 0, 4);
    tcase_add_test(c, pinned);
}
