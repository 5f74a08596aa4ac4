/* test_evaluate.c - one pass over data gives the figures of each row alone, together. */
#include "nn/nn.h"
#include "tests/support/busy.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char text[] =
    "{\"prompt\":\"abc\",\"completion\":\"defgh\"}\n{\"prompt\":\"a\",\"completion\":\"b\"}\n"
    "{\"prompt\":\"hhhh\",\"completion\":\"aabbccdd\"}\n{\"text\":\"abcdefgh\"}\n{\"prompt\":"
    "\"ca\",\"completion\":\"h\"}\n";

typedef struct fixture {
    tn_context *c;
    tn_tape *t;
    tn_model *m;
    tn_tokenizer *k;
    tn_dataset *d;
    char *folder;
    tn_error e;
} fixture;

static fixture open_fixture(void)
{
    fixture f = { .c = tn_context_new(&(tn_options){ .threads = 2, .seed = 3 }),
                  .folder = temporary() };
    put_file(f.folder, "data.jsonl", text);
    char *path = tn_path_join(f.folder, "data.jsonl");
    f.t = tn_tape_new(f.c);
    f.m = tn_model_open(f.c, GOLDEN "tiny_models/gpt2", &f.e);
    f.k = tn_tokenizer_chars("abcdefgh", 8, &f.e);
    f.d = tn_dataset_jsonl(path, f.k, &(tn_data_options){ .max_length = 32 }, &f.e);
    must(&f.e);
    free(path);
    return f;
}

static void close_fixture(fixture *f)
{
    tn_dataset_free(f->d);
    tn_tokenizer_free(f->k);
    tn_model_free(f->m);
    tn_tape_free(f->t);
    tn_context_free(f->c);
    discard(f->folder);
}

static tn_loader *open_loader(fixture *f, int64_t batch)
{
    tn_loader *l =
        tn_loader_new(f->d, &(tn_loader_options){ .batch = batch, .in_order = true }, &f->e);
    must(&f->e);
    return l;
}

/* True if the argmax is right for every label of this row. */
static bool is_exact(fixture *f, const tn_batch *b)
{
    tn_tensor *ids = tn_tape_input(f->t, TN_I32, 2, (int64_t[]){ 1, b->width });
    memcpy(ids->i, b->ids, (size_t)b->width * sizeof *ids->i);
    const tn_tensor *z = tn_model_logits(f->m, f->t, ids);
    for (int64_t i = 0; i < b->width; i++)
        for (int64_t v = 0; b->labels[i] >= 0 && v < 64; v++)
            if (z->x[i * 64 + v] > z->x[i * 64 + b->labels[i]])
                return false;
    return true;
}

/* Computes the same figures from each row alone, with the loss op. */
static tn_eval by_rows(fixture *f, int64_t most)
{
    double L[16], n[16], sum = 0, spread = 0;
    tn_eval out = { 0 };
    tn_loader *l = open_loader(f, 1);
    tn_tape_train(f->t, 0);
    const tn_batch *b;
    while (out.rows < most && (b = tn_loader_next(l))) {
        n[out.rows] = (double)b->tokens;
        L[out.rows] = (double)tn_model_loss(f->m, f->t, b, 0)->x[0] * (double)b->tokens;
        out.exact += is_exact(f, b);
        tn_tape_reset(f->t);
        sum += L[out.rows++];
        out.tokens += b->tokens;
    }
    double N = (double)out.tokens, R = (double)out.rows;
    out.loss = sum / N;
    for (int64_t r = 0; r < out.rows; r++)
        spread += (L[r] - out.loss * n[r]) * (L[r] - out.loss * n[r]);
    out.error = sqrt(spread * R / (R - 1)) / N;
    tn_loader_free(l);
    return out;
}

/* Makes the model prefer one token, so that some rows are answered exactly. */
static void favour(fixture *f, int32_t token)
{
    tn_tensor *w = tn_params_find(f->m->params, "transformer.wte.weight")->w;
    tn_tensor *b = tn_params_find(f->m->params, "transformer.ln_f.bias")->w;
    for (int i = 0; i < 32; i++)
        b->x[i] += 100 * w->x[token * 32 + i];
}

START_TEST(figures_are_those_of_single_rows)
{
    static const struct {
        int64_t batch, batches, rows;
    } runs[] = {
        { 1, 0, 5 }, { 2, 0, 5 }, { 5, 0, 5 }, { 8, 0, 5 }, { 2, 2, 4 }, { 1, 3, 3 }, { 1, 1, 1 },
    };
    fixture f = open_fixture();
    double tolerance = sizeof(tn_real) == 8 ? 1e-12 : 1e-5;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        tn_eval found, expected = by_rows(&f, runs[i].rows);
        tn_loader *l = open_loader(&f, runs[i].batch);
        for (int again = 0; again < 2; again++) {
            tn_evaluate(f.m, f.t, l, runs[i].batches, &found, &f.e);
            must(&f.e);
            ck_assert_int_eq(found.rows, expected.rows);
            ck_assert_int_eq(found.tokens, expected.tokens);
            ck_assert_int_eq(found.exact, expected.exact);
            ck_assert_double_eq_tol(found.loss, expected.loss, tolerance * expected.loss);
            if (runs[i].rows > 1)
                ck_assert_double_eq_tol(found.error, expected.error, 10 * tolerance);
            else
                ck_assert_double_nan(found.error); /* one row has no spread */
        }
        tn_loader_free(l);
    }
    close_fixture(&f);
}
END_TEST

/* The loss of a row is that of tn_evaluate on the row alone; its labels are those of the data set. */
START_TEST(rows_are_rows_alone)
{
    fixture f = open_fixture();
    const double tolerance = sizeof(tn_real) == 8 ? 1e-12 : 1e-5;
    for (int64_t batch = 1; batch < 7; batch++)
        for (int64_t rows = 1; rows <= 5; rows++) {
            double loss[6] = { 0, 0, 0, 0, 0, 77 };
            int64_t tokens[6] = { 0 }, prompt;
            tn_loader *l = open_loader(&f, batch);
            tn_evaluate_rows(f.m, f.t, l, rows, loss, tokens, &f.e);
            must(&f.e);
            double all = 0;
            for (int64_t i = 0; i < rows; i++) {
                const int64_t n = tn_dataset_record(f.d, i, &prompt);
                ck_assert_int_eq(tokens[i], n - (prompt ? prompt : 1));
                all += loss[i];
                tn_eval first = by_rows(&f, i + 1);
                ck_assert_double_eq_tol(all, first.loss * (double)first.tokens, 100 * tolerance);
            }
            ck_assert(loss[rows] == (rows == 5 ? 77.0 : 0.0));
            tn_loader_free(l);
        }
    double loss[6];
    int64_t tokens[6];
    tn_loader *l = open_loader(&f, 2);
    tn_evaluate_rows(f.m, f.t, l, 6, loss, tokens, &f.e);
    must_fail(&f.e, TN_EARG, "evaluation: 5 rows; expected 6");
    tn_loader_free(l);
    close_fixture(&f);
}
END_TEST

/* 8 rows of up to 31 labels in one batch. */
START_TEST(targets_beyond_the_first_128_count)
{
    fixture f = open_fixture();
    static const char letters[] = "abcdefghhgfedcbaaceghfdbbdfhgeca";
    tn_text long_rows = { 0 };
    for (int i = 0; i < 8; i++)
        tn_text_add(&long_rows, "{\"text\":\"%.*s\"}\n", 30 - i, &letters[i]);
    put_file(f.folder, "long.jsonl", long_rows.s);
    char *path = tn_path_join(f.folder, "long.jsonl");
    tn_dataset_free(f.d);
    f.d = tn_dataset_jsonl(path, f.k, &(tn_data_options){ .max_length = 32 }, &f.e);
    must(&f.e);
    tn_eval found, expected = by_rows(&f, 8);
    tn_loader *l = open_loader(&f, 8);
    tn_evaluate(f.m, f.t, l, 0, &found, &f.e);
    must(&f.e);
    ck_assert_int_eq(found.tokens, expected.tokens);
    ck_assert_int_gt(found.tokens, 128);
    ck_assert_double_eq_tol(found.loss, expected.loss, sizeof(tn_real) == 8 ? 1e-12 : 1e-5);
    ck_assert_double_eq_tol(found.error, expected.error, sizeof(tn_real) == 8 ? 1e-11 : 1e-5);
    tn_loader_free(l);
    tn_text_free(&long_rows);
    free(path);
    close_fixture(&f);
}
END_TEST

START_TEST(exact_rows_are_counted)
{
    fixture f = open_fixture();
    tn_eval found;
    put_file(f.folder, "h.jsonl",
             "{\"prompt\":\"a\",\"completion\":\"hhh\"}\n{\"prompt\":\"b\",\"completion\":\"hg\"}\n"
             "{\"prompt\":\"hh\",\"completion\":\"hhhhhhhh\"}\n");
    char *path = tn_path_join(f.folder, "h.jsonl");
    tn_dataset_free(f.d);
    /* Cut before the end token, which is not "h". */
    f.d = tn_dataset_jsonl(path, f.k, &(tn_data_options){ .max_length = 4 }, &f.e);
    must(&f.e);
    favour(&f, 7);
    tn_loader *l = open_loader(&f, 2);
    tn_evaluate(f.m, f.t, l, 0, &found, &f.e);
    must(&f.e);
    ck_assert_int_eq(found.rows, 3);
    ck_assert_int_eq(found.exact, by_rows(&f, 3).exact);
    ck_assert_int_eq(found.exact, 2);
    tn_loader_free(l);
    free(path);
    close_fixture(&f);
}
END_TEST

START_TEST(errors_come_through)
{
    fixture f = open_fixture();
    tn_eval found;
    tn_loader *l = open_loader(&f, 2);
    tn_params_find(f.m->params, "transformer.ln_f.bias")->w->x[3] = (tn_real)INFINITY;
    tn_evaluate(f.m, f.t, l, 0, &found, &f.e);
    must_fail(&f.e, TN_ENONFINITE, "evaluation: the loss is");
    f.m->positions = 3;
    tn_evaluate(f.m, f.t, l, 0, &found, &f.e);
    must_fail(&f.e, TN_ESHAPE, "the model has 3");
    f.m->positions = 32;
    f.m->vocab = 4;
    tn_evaluate(f.m, f.t, l, 0, &found, &f.e);
    must_fail(&f.e, TN_EARG, "the vocabulary has 4");
    tn_loader_free(l);
    close_fixture(&f);
}
END_TEST

/* The tape keeps its mode, also after an error. */
START_TEST(mode_is_left_as_it_was)
{
    static const struct {
        tn_mode mode;
        int64_t positions;
        int code;
    } calls[] = {
        { { true, 7 }, 32, 0 },
        { { false, 9 }, 32, 0 },
        { { true, 8 }, 3, TN_ESHAPE },
        { { false, 0 }, 3, TN_ESHAPE },
    };
    fixture f = open_fixture();
    tn_loader *l = open_loader(&f, 2);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        tn_eval found;
        tn_error e = { 0 };
        f.m->positions = calls[i].positions;
        tn_tape_set_mode(f.t, calls[i].mode);
        ck_assert_int_eq(tn_evaluate(f.m, f.t, l, 0, &found, &e), calls[i].code);
        ck_assert(tn_tape_mode(f.t).training == calls[i].mode.training);
        ck_assert_uint_eq(tn_tape_mode(f.t).draw, calls[i].mode.draw);
    }
    tn_loader_free(l);
    close_fixture(&f);
}
END_TEST

START_TEST(second_thread_is_refused)
{
    fixture f = open_fixture();
    tn_loader *l = open_loader(&f, 2);
    tn_eval found;
    busy other;
    busy_begin(&other, f.c);
    ck_assert_int_eq(tn_evaluate(f.m, f.t, l, 0, &found, &f.e), TN_ESTATE);
    must_fail(&f.e, TN_ESTATE, "the context runs on another thread; expected one thread at a time");
    busy_end(&other);
    ck_assert_int_eq(tn_evaluate(f.m, f.t, l, 0, &found, &f.e), 0);
    ck_assert_int_eq(found.rows, 5);
    tn_loader_free(l);
    close_fixture(&f);
}
END_TEST

/* Labels for four rows of three scores. share: of the rows with a label, how many are right. */
static const struct {
    int32_t labels[4];
    double share; /* below 0: NaN */
} accuracies[] = {
    { { 2, 0, 1, 0 }, 1 },      { { 2, 0, 1, 1 }, 0.75 },     { { -1, 1, -1, 0 }, 0.5 },
    { { -1, -1, -1, -1 }, -1 }, { { 3, 7, 1, -5 }, 1.0 / 3 }, { { 0, 2, 0, 2 }, 0 },
};

START_TEST(accuracy_counts_the_largest)
{
    tn_tensor *z = tn_tensor_new(TN_REAL, 3, (int64_t[]){ 2, 2, 3 }, false);
    tn_tensor *labels = tn_tensor_new(TN_I32, 2, (int64_t[]){ 2, 2 }, false);
    tn_tensor *other = tn_tensor_new(TN_I32, 1, (int64_t[]){ 3 }, false);
    memcpy(z->x, (tn_real[]){ 1, 2, 3, 3, 1, 2, -5, -1, -2, 4, 4, 4 }, sizeof(tn_real[12]));
    memcpy(labels->i, accuracies[_i].labels, sizeof accuracies[_i].labels);
    const double share = tn_accuracy(z, labels);
    ck_assert(accuracies[_i].share < 0 ? isnan(share) : share == accuracies[_i].share);
    ck_assert(isnan(tn_accuracy(z, other)) && isnan(tn_accuracy(labels, labels)));
    tn_tensor_free(z);
    tn_tensor_free(labels);
    tn_tensor_free(other);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, accuracy_counts_the_largest, 0, sizeof accuracies / sizeof *accuracies);
    tcase_add_test(c, figures_are_those_of_single_rows);
    tcase_add_test(c, rows_are_rows_alone);
    tcase_add_test(c, targets_beyond_the_first_128_count);
    tcase_add_test(c, exact_rows_are_counted);
    tcase_add_test(c, errors_come_through);
    tcase_add_test(c, mode_is_left_as_it_was);
    tcase_add_test(c, second_thread_is_refused);
}
