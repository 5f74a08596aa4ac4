/* test_dpo.c - learning from preferences: the numbers of TRL, and the reference.
   tests/golden/preference.json was made in double with PyTorch, Transformers and PEFT, by the
   formula of TRL 1.16: three pairs, row by row, where the golden adapter of a tiny model is the
   new adapter. TRL's own DPOTrainer, whose log-probabilities are float, gives the same loss and
   rewards for gpt2 and llama, up to 2e-6. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/golden_model.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const bool in_double = sizeof(tn_real) == sizeof(double);
static const char *const models[] = { "gpt2", "llama", "gemma2" };
enum { MODELS = sizeof models / sizeof *models, PAIRS = 3, RECORDS = 2 * PAIRS, WIDEST = 16 };

typedef struct fixture {
    golden_model g;
    const tn_json *all, *expected; /* the file; its numbers of this model */
    double beta, reference[RECORDS];
    int32_t ids[RECORDS * WIDEST], labels[RECORDS * WIDEST], places[RECORDS * WIDEST];
    tn_batch batch;
} fixture;

static double number(const tn_json *object, const char *key)
{
    double x = (double)NAN;
    tn_error e = { 0 };
    tn_json_get_real(object, key, &x, &e);
    must(&e);
    return x;
}

/* Writes a row: the prompt and an answer. Returns its length without the last id. */
static int64_t put_row(const tn_json *pair, const char *answer, int64_t width, int32_t *ids,
                       int32_t *labels)
{
    int64_t all[2 * WIDEST], n = 0, id;
    const tn_json *prompt = tn_json_find(pair, "prompt");
    for (const tn_json *v = prompt->child; v; v = v->next)
        n += tn_json_int(v, &all[n]);
    for (const tn_json *v = tn_json_find(pair, answer)->child; v; v = v->next)
        n += tn_json_int(v, &all[n]);
    ck_assert_int_le(n - 1, width);
    for (int64_t t = 0; t < width; t++) {
        id = t + 1 < n ? all[t] : 0;
        ids[t] = (int32_t)id;
        labels[t] = t + 1 < n && t + 1 >= prompt->count ? (int32_t)all[t + 1] : -1;
    }
    return n - 1;
}

/* One below the other, as the loader lays them. */
static void put_rows(fixture *f)
{
    enum { WIDTH = 10 };
    int64_t r = 0;
    for (const tn_json *v = tn_json_find(f->all, "pairs")->child; v; v = v->next, r += 2) {
        put_row(v, "chosen", WIDTH, f->ids + r * WIDTH, f->labels + r * WIDTH);
        put_row(v, "rejected", WIDTH, f->ids + (r + 1) * WIDTH, f->labels + (r + 1) * WIDTH);
    }
    ck_assert_int_eq(r, RECORDS);
    f->batch = (tn_batch){
        .rows = RECORDS, .width = WIDTH, .ids = f->ids, .labels = f->labels, .pairs = PAIRS
    };
}

/* Side by side, without padding. */
static void pack_rows(fixture *f)
{
    int64_t at = 0;
    for (const tn_json *v = tn_json_find(f->all, "pairs")->child; v; v = v->next)
        for (int k = 0; k < 2; k++) {
            const int64_t n =
                put_row(v, k ? "rejected" : "chosen", WIDEST, f->ids + at, f->labels + at);
            for (int64_t i = 0; i < n; i++)
                f->places[at++] = (int32_t)i;
        }
    f->batch.rows = 1;
    f->batch.width = at;
    f->batch.places = f->places;
}

static void open_fixture(fixture *f, int model)
{
    *f = (fixture){ .beta = 0 };
    golden_open(&f->g, models[model], 0);
    tn_adapter_open(f->g.m, f->g.folder, &f->g.e);
    f->all = tn_json_read(GOLDEN "preference.json", &f->g.e);
    must(&f->g.e);
    f->beta = number(f->all, "beta");
    f->expected = tn_json_find(tn_json_find(f->all, "models"), models[model]);
    put_rows(f);
}

static void close_fixture(fixture *f)
{
    tn_json_free(f->all);
    golden_close(&f->g);
}

/* Transformers computes the angles of rope in float. */
static void near(double is, double expected, const char *what)
{
    const double most = (in_double ? 1e-5 : 2e-4) * fmax(1, fabs(expected));
    ck_assert_msg(fabs(is - expected) <= most, "%s: %.12g, expected %.12g", what, is, expected);
}

/* Forward and backward of the batch. Returns the loss. */
static double run(fixture *f, const double *reference, int64_t pairs, tn_dpo *sum)
{
    tn_tensor *p = tn_model_log_probs(f->g.m, f->g.t, &f->batch);
    tn_tensor *loss = p ? tn_dpo_loss(f->g.t, p, reference, f->beta, pairs) : NULL;
    ck_assert_msg(loss && !tn_backward(f->g.t, loss), "%s", tn_tape_error(f->g.t));
    const double value = (double)loss->x[0];
    tn_dpo_add(p, reference, f->beta, sum);
    tn_tape_reset(f->g.t);
    return value;
}

static void check_gradients(const fixture *f)
{
    int64_t factors = 0;
    const tn_json *all = tn_json_find(f->expected, "gradients");
    for (const tn_json *v = all->child; v; v = v->next, factors++) {
        const tn_param *p = tn_params_find(f->g.m->params, v->key);
        ck_assert_msg(p && p->w->has_grad, "%s", v->key);
        const int64_t n = tn_tensor_count(p->w);
        double norm = 0, expected[4];
        for (int64_t i = 0; i < n; i++)
            norm += (double)p->w->g[i] * (double)p->w->g[i];
        for (int64_t i = 0; i < 4; i++)
            ck_assert(tn_json_real(tn_json_at(v, i), &expected[i]));
        const double is[4] = { sqrt(norm), (double)p->w->g[0], (double)p->w->g[1],
                               (double)p->w->g[n - 1] };
        for (int i = 0; i < 4; i++)
            near(is[i], expected[i], v->key);
    }
    ck_assert_int_eq(factors, all->count);
    ck_assert_int_ge(factors, 8);
}

/* Case i: model i / 3, in rows, packed, and with the blocks that run again. */
START_TEST(numbers_are_those_of_trl)
{
    fixture f;
    tn_dpo sum = { 0 };
    open_fixture(&f, _i / 3);
    if (_i % 3 == 1)
        pack_rows(&f);
    f.g.m->recompute = _i % 3 == 2;
    tn_reference *r = tn_reference_base(f.g.m, &f.g.e);
    must(&f.g.e);
    ck_assert_int_eq(tn_reference_log_probs(r, f.g.t, &f.batch, f.reference, &f.g.e), 0);
    int64_t n;
    double *expected = read_numbers(f.expected, "reference", &n);
    for (int64_t i = 0; i < n; i++)
        near(f.reference[i], expected[i], "log p of the reference");
    free(expected);
    const tn_tensor *p = tn_model_log_probs(f.g.m, f.g.t, &f.batch);
    ck_assert(p && tn_tensor_count(p) == RECORDS);
    expected = read_numbers(f.expected, "log_probs", &n);
    for (int64_t i = 0; i < n; i++)
        near((double)p->x[i], expected[i], "log p");
    free(expected);
    tn_tape_reset(f.g.t);
    const double loss = run(&f, f.reference, 0, &sum);
    near(loss, number(f.expected, "loss"), "loss");
    ck_assert_int_eq(sum.pairs, PAIRS);
    near(sum.loss / PAIRS, number(f.expected, "loss"), "sum of losses");
    near(sum.chosen / PAIRS, number(f.expected, "rewards/chosen"), "chosen");
    near(sum.rejected / PAIRS, number(f.expected, "rewards/rejected"), "rejected");
    near((sum.chosen - sum.rejected) / PAIRS, number(f.expected, "rewards/margins"), "margin");
    near((double)sum.right / PAIRS, number(f.expected, "rewards/accuracies"), "accuracy");
    check_gradients(&f);
    tn_reference_free(r);
    close_fixture(&f);
}
END_TEST

/* One batch of three pairs is as three batches of one pair. */
START_TEST(batches_of_a_step_add_up)
{
    fixture f;
    tn_dpo sum = { 0 };
    double loss = 0;
    open_fixture(&f, 1);
    tn_reference *r = tn_reference_base(f.g.m, &f.g.e);
    tn_reference_log_probs(r, f.g.t, &f.batch, f.reference, &f.g.e);
    must(&f.g.e);
    const tn_batch all = f.batch;
    for (int i = 0; i < PAIRS; i++) {
        f.batch = all;
        f.batch.rows = 2;
        f.batch.ids += 2 * i * all.width;
        f.batch.labels += 2 * i * all.width;
        loss += run(&f, f.reference + 2 * i, PAIRS, &sum);
    }
    near(loss, number(f.expected, "loss"), "loss");
    ck_assert_int_eq(sum.pairs, PAIRS);
    check_gradients(&f);
    tn_reference_free(r);
    close_fixture(&f);
}
END_TEST

static void change_weights(tn_params *p, double by)
{
    for (int64_t i = 0; i < tn_params_count(p); i++)
        if (tn_params_at(p, i)->w->wants_grad)
            tn_params_at(p, i)->w->x[0] += (tn_real)by;
}

/* A copy stays what the model was; the model goes on as it is, and the tape in its mode. */
START_TEST(a_copy_stays)
{
    fixture f;
    double before[RECORDS], now[RECORDS];
    open_fixture(&f, 0);
    tn_reference *r = tn_reference_copy(f.g.m, &f.g.e);
    must(&f.g.e);
    tn_reference_log_probs(r, f.g.t, &f.batch, before, &f.g.e);
    const tn_tensor *p = tn_model_log_probs(f.g.m, f.g.t, &f.batch);
    for (int i = 0; i < RECORDS; i++)
        ck_assert(before[i] == (double)p->x[i]);
    change_weights(f.g.m->params, 0.5);
    const uint64_t hash = tn_params_hash(f.g.m->params, false);
    tn_tape_train(f.g.t, 7);
    tn_reference_log_probs(r, f.g.t, &f.batch, now, &f.g.e);
    must(&f.g.e);
    ck_assert(!memcmp(before, now, sizeof now));
    ck_assert(tn_tape_mode(f.g.t).training && tn_tape_mode(f.g.t).draw == 7);
    ck_assert_uint_eq(tn_params_hash(f.g.m->params, false), hash);
    p = tn_model_log_probs(f.g.m, f.g.t, &f.batch);
    ck_assert(fabs(before[0] - (double)p->x[0]) > 1e-4);
    tn_reference_free(r);
    close_fixture(&f);
}
END_TEST

/* The sums of all batches are those of each. */
START_TEST(an_evaluation_adds_up)
{
    fixture f;
    tn_dpo all, one, sum = { 0 };
    open_fixture(&f, 2);
    char *folder = temporary();
    put_file(folder, "p.jsonl",
             "{\"prompt\":\"abc\",\"chosen\":\"defg\",\"rejected\":\"h\"}\n"
             "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"ccccc\"}\n"
             "{\"prompt\":\"ba\",\"chosen\":\"ddd\",\"rejected\":\"ee\"}\n");
    char *path = tn_path_join(folder, "p.jsonl");
    tn_tokenizer *k = tn_tokenizer_chars("abcdefgh", 8, &f.g.e);
    tn_dataset *d = tn_dataset_jsonl(path, k, &(tn_data_options){ .max_length = 32 }, &f.g.e);
    tn_reference *r = tn_reference_base(f.g.m, &f.g.e);
    const tn_loader_options o = { .batch = 2, .in_order = true };
    tn_loader *l = tn_loader_new(d, &o, &f.g.e);
    must(&f.g.e);
    ck_assert_int_eq(tn_evaluate_dpo(r, f.g.t, l, 0, f.beta, &all, &f.g.e), 0);
    ck_assert_int_eq(tn_evaluate_dpo(r, f.g.t, l, 1, f.beta, &one, &f.g.e), 0);
    ck_assert(all.pairs == 3 && one.pairs == 2 && all.tokens == 5 + 2 + 2 + 6 + 4 + 3);
    for (const tn_batch *b; (b = tn_loader_next(l)) != NULL;) {
        double reference[4];
        ck_assert_int_eq(b->pairs, b->rows / 2);
        tn_reference_log_probs(r, f.g.t, b, reference, &f.g.e);
        tn_dpo_add(tn_model_log_probs(f.g.m, f.g.t, b), reference, f.beta, &sum);
        tn_tape_reset(f.g.t);
    }
    near(all.loss, sum.loss, "loss");
    near(all.square, sum.square, "square");
    near(all.chosen - all.rejected, sum.chosen - sum.rejected, "margin");
    ck_assert(all.right == sum.right && all.likelier == sum.likelier);
    tn_loader_free(l);
    tn_reference_free(r);
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    discard(folder);
    free(path);
    close_fixture(&f);
}
END_TEST

START_TEST(misuse)
{
    fixture f;
    open_fixture(&f, 0);
    tn_tensor *p = tn_model_log_probs(f.g.m, f.g.t, &f.batch);
    ck_assert_ptr_null(tn_dpo_loss(f.g.t, p, f.reference, 0, 0));
    ck_assert_str_eq(tn_tape_error(f.g.t), "dpo: 6 log-probabilities and beta 0; expected an even "
                                           "number and beta above 0");
    tn_tape_reset(f.g.t);
    f.batch.rows = 3;
    p = tn_model_log_probs(f.g.m, f.g.t, &f.batch);
    ck_assert_ptr_null(tn_dpo_loss(f.g.t, p, f.reference, 1, 0));
    ck_assert(strstr(tn_tape_error(f.g.t), "dpo: 3 log-probabilities and beta 1"));
    tn_tape_reset(f.g.t);
    tn_params_freeze(f.g.m->params, "*");
    ck_assert_ptr_null(tn_reference_copy(f.g.m, &f.g.e));
    must_fail(&f.g.e, TN_ESTATE, "the reference: no weight is trained");
    close_fixture(&f);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, numbers_are_those_of_trl, 0, 3 * MODELS);
    tcase_add_test(c, batches_of_a_step_add_up);
    tcase_add_test(c, a_copy_stays);
    tcase_add_test(c, an_evaluation_adds_up);
    tcase_add_test(c, misuse);
}
