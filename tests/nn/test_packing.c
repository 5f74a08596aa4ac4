/* test_packing.c - records side by side in a row: the same numbers as in rows of their own. */
#include "core/op.h"
#include "nn/model.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = sizeof(tn_real) == sizeof(double) ? 1e-12 : 2e-5;

/* Every tiny model; the windows of gemma2 and gemma3 are 8 positions wide. */
static const char *const models[] = { "gemma", "gemma2", "gemma3", "gemma3_nested",
                                      "gpt2",  "llama",  "llama3", "phi3",
                                      "qwen2", "qwen3",  "smollm3" };
enum { MODELS = sizeof models / sizeof *models, RECORDS = 7, LONGEST = 31, PROMPT = 3 };

/* In one row these are 98 tokens: more than a tile of attention. */
static const int64_t lengths[RECORDS] = { 5, 30, 2, 17, LONGEST, 9, 11 };

typedef struct fixture {
    tn_context *c;
    tn_tape *t;
    tn_model *m;
    tn_dataset *d;
    tn_loader *rows, *packed;
    tn_error e;
} fixture;

static tn_dataset *make_data(tn_error *e)
{
    static int32_t ids[RECORDS][LONGEST];
    const int32_t *records[RECORDS];
    int64_t prompts[RECORDS];
    for (int64_t r = 0; r < RECORDS; r++) {
        for (int64_t i = 0; i < LONGEST; i++)
            ids[r][i] = (int32_t)(tn_random(5, 1, (uint32_t)r, (uint64_t)i) % 32);
        records[r] = ids[r];
        prompts[r] = lengths[r] > PROMPT ? PROMPT : 0;
    }
    return tn_dataset_records(RECORDS, records, lengths, prompts,
                              &(tn_data_options){ .max_length = LONGEST }, e);
}

static void open_fixture(fixture *f, const char *model)
{
    char folder[64];
    snprintf(folder, sizeof folder, GOLDEN "tiny_models/%s", model);
    *f = (fixture){ .c = tn_context_new(&(tn_options){ .threads = 2, .seed = 1 }) };
    f->t = tn_tape_new(f->c);
    f->m = tn_model_open(f->c, folder, &f->e);
    f->d = make_data(&f->e);
    tn_loader_options o = { .batch = RECORDS, .seed = 4 };
    f->rows = tn_loader_new(f->d, &o, &f->e);
    o.packing = true;
    f->packed = tn_loader_new(f->d, &o, &f->e);
    must(&f->e);
}

static void close_fixture(fixture *f)
{
    tn_loader_free(f->rows);
    tn_loader_free(f->packed);
    tn_dataset_free(f->d);
    tn_model_free(f->m);
    tn_tape_free(f->t);
    tn_context_free(f->c);
}

/* The loss of a batch; the gradients of all weights one after the other, to be freed. */
static double run_batch(fixture *f, const tn_batch *b, tn_real **gradients)
{
    int64_t n = 0;
    tn_params_clear(f->m->params);
    tn_tape_train(f->t, 0);
    tn_tensor *loss = tn_model_loss(f->m, f->t, b, 0);
    ck_assert_msg(loss && !tn_backward(f->t, loss), "%s", tn_tape_error(f->t));
    const double value = (double)loss->x[0];
    const tn_real *g = tn_params_gradients(f->m->params, &n, &f->e);
    *gradients = malloc((size_t)n * sizeof **gradients);
    memcpy(*gradients, g, (size_t)n * sizeof **gradients);
    tn_tape_reset(f->t);
    return value;
}

/* Weight by weight: the largest difference, divided by the largest gradient. `from` is where the
   weight's gradient begins in both arrays. */
static void check_gradients(const fixture *f, const char *model, const tn_real *a, const tn_real *b)
{
    const tn_real *start = tn_params_at(f->m->params, 0)->w->g;
    for (int64_t i = 0; i < tn_params_count(f->m->params); i++) {
        const tn_param *p = tn_params_at(f->m->params, i);
        const int64_t from = p->w->g - start;
        double most = 0, largest = 0;
        for (int64_t k = from; k < from + tn_tensor_count(p->w); k++) {
            most = fmax(most, fabs((double)(a[k] - b[k])));
            largest = fmax(largest, fabs((double)b[k]));
        }
        ck_assert_msg(most <= TOLERANCE * largest && largest > 0, "%s: %s differs by %g of %g",
                      model, p->name, most, largest);
    }
}

/* Case i: model i / 2, which with odd i runs its blocks again in backward. */
START_TEST(loss_and_gradients_are_those_of_padded_rows)
{
    fixture f;
    tn_real *padded, *packed;
    open_fixture(&f, models[_i / 2]);
    const tn_batch *rows = tn_loader_next(f.rows);
    const double expected = run_batch(&f, rows, &padded);
    f.m->recompute = _i % 2;
    const tn_batch *row = tn_loader_next(f.packed);
    ck_assert_int_eq(row->rows, 1);
    ck_assert_int_eq(row->tokens, rows->tokens);
    ck_assert_double_eq_tol(run_batch(&f, row, &packed), expected, TOLERANCE * expected);
    check_gradients(&f, models[_i / 2], packed, padded);
    free(padded);
    free(packed);
    close_fixture(&f);
}
END_TEST

/* Final hidden states (T,C) of a packed batch with these ids, on the tape. */
static tn_tensor *run_hidden(fixture *f, tn_batch b, const int32_t *ids)
{
    b.ids = ids;
    tn_tensor *h = tn_batch_hidden(f->m, f->t, &b);
    ck_assert_msg(h != NULL, "%s", tn_tape_error(f->t));
    return h;
}

/* Other ids in one record change no bit of what is computed for the others, and all of its own. */
START_TEST(a_record_sees_only_itself)
{
    fixture f;
    open_fixture(&f, models[_i]);
    const tn_batch b = *tn_loader_next(f.packed);
    const int64_t C = f.m->width;
    int32_t *ids = malloc((size_t)b.width * sizeof *ids);
    tn_tape_eval(f.t);
    const tn_tensor *h = run_hidden(&f, b, b.ids);
    for (int64_t from = 0, to; from < b.width; from = to) {
        memcpy(ids, b.ids, (size_t)b.width * sizeof *ids);
        for (to = from; to == from || (to < b.width && b.places[to] != 0); to++)
            ids[to] = (ids[to] + 1) % 32;
        const tn_tensor *changed = run_hidden(&f, b, ids);
        for (int64_t t = 0; t < b.width; t++) {
            const bool same = !memcmp(h->x + t * C, changed->x + t * C, (size_t)C * sizeof *h->x);
            ck_assert_msg(same == (t < from || t >= to), "%s: token %lld, changed %lld to %lld",
                          models[_i], (long long)t, (long long)from, (long long)to);
        }
    }
    free(ids);
    close_fixture(&f);
}
END_TEST

/* Only one record has labels. Other ids in the others change no bit of its loss and gradients. */
START_TEST(a_gradient_comes_from_its_record)
{
    fixture f;
    tn_real *first, *second;
    open_fixture(&f, models[_i]);
    tn_batch b = *tn_loader_next(f.packed);
    int32_t *labels = malloc((size_t)b.width * sizeof *labels);
    int32_t *ids = malloc((size_t)b.width * sizeof *ids);
    for (int64_t i = 0, record = 0; i < b.width; i++) {
        record += b.places[i] == 0;
        labels[i] = record == 4 ? b.labels[i] : -1;
        ids[i] = record == 4 ? b.ids[i] : (b.ids[i] + 1) % 32;
    }
    b.labels = labels;
    const double loss = run_batch(&f, &b, &first);
    b.ids = ids;
    ck_assert_double_eq(run_batch(&f, &b, &second), loss);
    int64_t n = 0;
    tn_params_gradients(f.m->params, &n, &f.e);
    for (int64_t i = 0; i < n; i++)
        ck_assert_msg(first[i] == second[i], "%s: gradient %lld", models[_i], (long long)i);
    free(first);
    free(second);
    free(labels);
    free(ids);
    close_fixture(&f);
}
END_TEST

/* An evaluation of packed records has the loss of padded ones. */
START_TEST(evaluation_is_the_same)
{
    fixture f;
    tn_eval rows, packed;
    open_fixture(&f, models[_i]);
    tn_evaluate(f.m, f.t, f.rows, 2, &rows, &f.e);
    tn_evaluate(f.m, f.t, f.packed, 2, &packed, &f.e);
    must(&f.e);
    ck_assert_int_eq(packed.tokens, rows.tokens);
    ck_assert_double_eq_tol(packed.loss, rows.loss, TOLERANCE * rows.loss);
    close_fixture(&f);
}
END_TEST

/* A place that the model has no position for is refused, although its row is short. */
START_TEST(place_without_position)
{
    fixture f;
    open_fixture(&f, models[_i]);
    const int64_t P = f.m->positions;
    const int32_t ids[2] = { 1, 2 }, labels[2] = { 2, 3 }, places[2] = { 0, (int32_t)P };
    const tn_batch b = { .rows = 1, .width = 2, .ids = ids, .labels = labels, .places = places };
    char expected[64];
    snprintf(expected, sizeof expected, "embed: %lld positions; the model has %lld",
             (long long)P + 1, (long long)P);
    ck_assert_ptr_null(tn_model_loss(f.m, f.t, &b, 0));
    ck_assert_str_eq(tn_tape_error(f.t), expected);
    close_fixture(&f);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, loss_and_gradients_are_those_of_padded_rows, 0, 2 * MODELS);
    tcase_add_loop_test(c, a_record_sees_only_itself, 0, MODELS);
    tcase_add_loop_test(c, a_gradient_comes_from_its_record, 0, MODELS);
    tcase_add_loop_test(c, evaluation_is_the_same, 0, MODELS);
    tcase_add_loop_test(c, place_without_position, 0, MODELS);
}
