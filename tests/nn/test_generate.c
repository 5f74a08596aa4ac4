/* test_generate.c - the cache equals computing everything again; rows in a batch; sampling. */
#include "core/trace.h"
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { V = 64, ROWS = 4, MOST = 20 };

static const int32_t none[1], nine = 9, three = 3; /* end tokens */

/* clang-format off */
typedef struct fixture { tn_context *c; tn_tape *t; tn_model *m; tn_error e; } fixture;
/* clang-format on */

static fixture open_fixture(void)
{
    fixture f = { .c = tn_context_new(&(tn_options){ .threads = 2, .seed = 3 }) };
    f.t = tn_tape_new(f.c);
    f.m = tn_model_open(f.c, GOLDEN "tiny_models/gpt2", &f.e);
    tn_adapter_open(f.m, GOLDEN "tiny_models/gpt2", &f.e);
    must(&f.e);
    return f;
}

static void close_fixture(fixture *f)
{
    tn_model_free(f->m);
    tn_tape_free(f->t);
    tn_context_free(f->c);
}

static const int32_t prompt[ROWS][12] = {
    { 5 }, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }, { 60, 3, 60 }, { 9, 9, 9, 9 }
};
static const int32_t *const prompts[ROWS] = { prompt[0], prompt[1], prompt[2], prompt[3] };
static const int64_t lengths[ROWS] = { 1, 12, 3, 4 };

/* clang-format off */
typedef struct result { int32_t ids[ROWS][MOST]; int64_t made[ROWS]; } result;
/* clang-format on */

static result generate(fixture *f, int64_t rows, int64_t first, const tn_sampling *s)
{
    result r = { 0 };
    int32_t *const out[ROWS] = { r.ids[0], r.ids[1], r.ids[2], r.ids[3] };
    tn_generate(f->m, rows, prompts + first, lengths + first, s, out, r.made, NULL, NULL, &f->e);
    must(&f->e);
    return r;
}

/* Computes the logits of the last position from the whole sequence. */
static void last_logits(fixture *f, const int32_t *ids, int64_t n, tn_real out[V])
{
    tn_tensor *in = tn_tape_input(f->t, TN_I32, 2, (int64_t[]){ 1, n });
    memcpy(in->i, ids, (size_t)n * sizeof *ids);
    tn_tensor *z = tn_model_logits(f->m, f->t, in);
    ck_assert_msg(z != NULL, "%s", tn_tape_error(f->t));
    memcpy(out, z->x + (n - 1) * V, V * sizeof *out);
    tn_tape_reset(f->t);
}

START_TEST(greedy_is_the_argmax_of_everything_computed_again)
{
    fixture f = open_fixture();
    result r = generate(&f, ROWS, 0, &(tn_sampling){ .max_tokens = MOST, .ends = none });
    for (int b = 0; b < ROWS; b++) {
        int32_t ids[64];
        int64_t n = lengths[b];
        memcpy(ids, prompts[b], (size_t)n * sizeof *ids);
        ck_assert_int_eq(r.made[b], MOST);
        for (int k = 0; k < MOST; k++) {
            tn_real z[V];
            last_logits(&f, ids, n, z);
            for (int v = 0; v < V; v++)
                ck_assert_msg(z[v] <= z[r.ids[b][k]], "row %d, token %d", b, k);
            ids[n++] = r.ids[b][k];
        }
    }
    close_fixture(&f);
}
END_TEST

static const tn_sampling settings[] = {
    { .max_tokens = MOST, .ends = none },
    { .max_tokens = MOST, .ends = none, .temperature = 1, .seed = 1 },
    { .max_tokens = MOST, .ends = none, .temperature = 0.7, .seed = 2, .top_k = 5 },
    { .max_tokens = MOST, .ends = none, .temperature = 1.3, .seed = 3, .top_p = 0.8 },
    { .max_tokens = MOST, .ends = &nine, .end_count = 1, .temperature = 2, .seed = 4 },
};

/* Greedy: a row alone gets the same tokens as in the batch. Sampling: random numbers depend on the
   place of a row, so the first row alone gets the same tokens, and so does a second call. */
START_TEST(rows_do_not_depend_on_each_other)
{
    fixture f = open_fixture();
    const tn_sampling *s = &settings[_i];
    result all = generate(&f, ROWS, 0, s), again = generate(&f, ROWS, 0, s);
    ck_assert_mem_eq(&all, &again, sizeof all);
    for (int b = 0; b < (s->temperature > 0 ? 1 : ROWS); b++) {
        result one = generate(&f, 1, b, s);
        ck_assert_int_eq(one.made[0], all.made[b]);
        ck_assert_mem_eq(one.ids[0], all.ids[b], sizeof one.ids[0]);
    }
    close_fixture(&f);
}
END_TEST

/* A smaller max_tokens gives the same tokens, but fewer. */
START_TEST(tokens_do_not_depend_on_how_many_follow)
{
    fixture f = open_fixture();
    tn_sampling s = settings[1];
    result longer = generate(&f, ROWS, 0, &s);
    s.max_tokens = 5;
    result shorter = generate(&f, ROWS, 0, &s);
    for (int b = 0; b < ROWS; b++)
        ck_assert_mem_eq(longer.ids[b], shorter.ids[b], 5 * sizeof(int32_t));
    close_fixture(&f);
}
END_TEST

/* The end of one row does not change the others. */
START_TEST(rows_stop_at_the_end_token)
{
    fixture f = open_fixture();
    result free_run = generate(&f, ROWS, 0, &(tn_sampling){ .max_tokens = MOST, .ends = none });
    int32_t stop = free_run.ids[1][4];
    result r =
        generate(&f, ROWS, 0, &(tn_sampling){ .max_tokens = MOST, .ends = &stop, .end_count = 1 });
    for (int b = 0; b < ROWS; b++) {
        int64_t n = 0;
        while (n < MOST && free_run.ids[b][n] != stop)
            n++;
        ck_assert_int_eq(r.made[b], n);
        ck_assert_mem_eq(r.ids[b], free_run.ids[b], (size_t)n * sizeof *r.ids[b]);
    }
    ck_assert_int_le(r.made[1], 4);
    close_fixture(&f);
}
END_TEST

/* A row ends at the first of several end tokens, as it would with this token alone. */
START_TEST(rows_stop_at_any_end_token)
{
    fixture f = open_fixture();
    result free_run = generate(&f, ROWS, 0, &(tn_sampling){ .max_tokens = MOST, .ends = none });
    int32_t ends[3];
    int at[3];
    for (int i = 0; i < 3; i++) { /* three different tokens, from three rows */
        const int32_t *ids = free_run.ids[i];
        for (at[i] = 2; (i > 0 && ids[at[i]] == ends[0]) || (i > 1 && ids[at[i]] == ends[1]);)
            at[i]++;
        ck_assert_int_lt(at[i], MOST);
        ends[i] = ids[at[i]];
    }
    result r = generate(&f, ROWS, 0,
                        &(tn_sampling){
                            .max_tokens = MOST, .end = &ends[2], .ends = ends, .end_count = 2 });
    for (int b = 0; b < ROWS; b++) {
        int64_t n = 0;
        while (n < MOST && free_run.ids[b][n] != ends[0] && free_run.ids[b][n] != ends[1] &&
               free_run.ids[b][n] != ends[2])
            n++;
        ck_assert_int_eq(r.made[b], n);
        ck_assert_mem_eq(r.ids[b], free_run.ids[b], (size_t)n * sizeof *r.ids[b]);
    }
    ck_assert(r.made[0] <= at[0] && r.made[1] <= at[1] && r.made[2] <= at[2]);
    close_fixture(&f);
}
END_TEST

/* If all settings but max_tokens are zero, rows end at the end tokens of the model and at no
   others. */
START_TEST(rows_stop_at_the_models_ends)
{
    fixture f = open_fixture();
    result free_run = generate(&f, ROWS, 0, &(tn_sampling){ .max_tokens = MOST, .ends = none });
    for (int32_t token = 0; token < V; token++) {
        f.m->ends[0] = token; /* one token ends a text: eos_token_id of the model's config */
        ck_assert_int_eq(f.m->end_count, 1);
        result r = generate(&f, ROWS, 0, &(tn_sampling){ .max_tokens = MOST });
        for (int b = 0; b < ROWS; b++) {
            int64_t n = 0;
            while (n < MOST && free_run.ids[b][n] != token)
                n++;
            ck_assert_int_eq(r.made[b], n);
            ck_assert_mem_eq(r.ids[b], free_run.ids[b], (size_t)n * sizeof *r.ids[b]);
        }
    }
    close_fixture(&f);
}
END_TEST

/* There are 32 positions. After a prompt of 12 tokens 20 more have a position, and one more can
   follow. */
START_TEST(rows_stop_where_positions_end)
{
    fixture f = open_fixture();
    int32_t ids[2][64] = { { 0 } };
    int32_t *const out[] = { ids[0], ids[1] };
    int64_t made[2];
    tn_generate(f.m, 2, prompts, lengths, &(tn_sampling){ .max_tokens = 64, .ends = none }, out,
                made, NULL, NULL, &f.e);
    must(&f.e);
    ck_assert(made[0] == 32 && made[1] == 21);
    int32_t whole[33] = { 1 };
    tn_generate(f.m, 1, &(const int32_t *){ whole }, &(int64_t){ 32 },
                &(tn_sampling){ .max_tokens = 5, .ends = none }, out, made, NULL, NULL, &f.e);
    must(&f.e);
    ck_assert_int_eq(made[0], 1);
    close_fixture(&f);
}
/* clang-format off */
END_TEST

/* How often each token comes first is compared with softmax(z / temperature), cut to top-k and
   top-p. */
static const struct { double temperature, top_p; int64_t top_k; } cuts[] = {
    { 1, 1, 0 }, { 0.5, 0, 0 }, { 1, 0, 3 }, { 1, 0.6, 0 }, { 2, 0.5, 10 },
};
/* clang-format on */

static void expected_shares(const tn_real *z, int cut, double share[V])
{
    bool used[V] = { false };
    double sum = 0, kept = 0, all = 0;
    for (int v = 0; v < V; v++)
        share[v] = exp((double)z[v] / cuts[cut].temperature);
    for (int pass = 0; pass < 2; pass++) {
        memset(used, 0, sizeof used);
        kept = 0;
        for (int k = 0; k < (cuts[cut].top_k ? cuts[cut].top_k : V); k++) {
            int best = -1;
            for (int v = 0; v < V; v++)
                best = !used[v] && (best < 0 || share[v] > share[best]) ? v : best;
            if (pass && cuts[cut].top_p > 0 && kept >= cuts[cut].top_p * all)
                break;
            used[best] = true;
            kept += share[best];
        }
        all = kept;
    }
    for (int v = 0; v < V; v++)
        sum += used[v] ? share[v] : 0;
    for (int v = 0; v < V; v++)
        share[v] = used[v] ? share[v] / sum : 0;
}

/* Samples one token after prompt 2, with the settings of this row of cuts. */
static int32_t draw(fixture *f, int cut, uint64_t seed)
{
    tn_sampling s = { .temperature = cuts[cut].temperature,
                      .top_p = cuts[cut].top_p,
                      .top_k = cuts[cut].top_k,
                      .seed = seed,
                      .max_tokens = 1,
                      .ends = none };
    return generate(f, 1, 2, &s).ids[0][0];
}

START_TEST(samples_have_the_right_shares)
{
    enum { DRAWS = 4000 };
    fixture f = open_fixture();
    tn_real z[V];
    double share[V];
    int64_t count[V] = { 0 };
    last_logits(&f, prompts[2], lengths[2], z);
    expected_shares(z, _i, share);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        count[draw(&f, _i, seed)]++;
    }
    for (int v = 0; v < V; v++) {
        double sigma = sqrt(share[v] * (1 - share[v]) / DRAWS), found = (double)count[v] / DRAWS;
        ck_assert_msg(fabs(found - share[v]) <= 5 * sigma, "token %d: share %g, expected %g", v,
                      found, share[v]);
    }
    close_fixture(&f);
}
END_TEST

/* The token that a random number u in (0,1) chooses. The shares are summed, the largest first. The
   token at which the sum reaches u is chosen. -1: u is too close to a border to decide. */
static int chosen(const double share[V], double u)
{
    bool used[V] = { false };
    double sum = 0;
    for (int k = 0; k < V; k++) {
        int best = -1;
        for (int v = 0; v < V; v++)
            best = !used[v] && (best < 0 || share[v] > share[best]) ? v : best;
        used[best] = true;
        sum += share[best];
        if (fabs(sum - u) < 1e-5)
            return -1;
        if (sum >= u)
            return best;
    }
    return -1;
}

START_TEST(likelier_tokens_come_first_in_the_draw)
{
    enum { DRAWS = 200 };
    fixture f = open_fixture();
    tn_real z[V];
    double share[V];
    int skipped = 0;
    last_logits(&f, prompts[2], lengths[2], z);
    expected_shares(z, _i, share);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        double u = tn_random_uniform(seed, tn_stream("generate.0"), 0, (uint64_t)lengths[2]);
        int token = chosen(share, u);
        skipped += token < 0;
        if (token >= 0)
            ck_assert_int_eq(draw(&f, _i, seed), token);
    }
    ck_assert_int_le(skipped, 5);
    close_fixture(&f);
}
END_TEST

static void collect(void *arg, int64_t row, int32_t token)
{
    result *r = arg;
    r->ids[row][r->made[row]++] = token;
}

START_TEST(every_token_is_reported_as_it_comes)
{
    fixture f = open_fixture();
    result r = { 0 }, seen = { 0 };
    int32_t *const out[ROWS] = { r.ids[0], r.ids[1], r.ids[2], r.ids[3] };
    tn_sampling s = {
        .temperature = 1, .seed = 1, .max_tokens = MOST, .ends = &three, .end_count = 1
    };
    tn_generate(f.m, ROWS, prompts, lengths, &s, out, r.made, collect, &seen, &f.e);
    must(&f.e);
    ck_assert_mem_eq(&r, &seen, sizeof r);
    close_fixture(&f);
}
/* clang-format off */
END_TEST

static const struct { tn_sampling s; int64_t length; const char *text; } refused[] = {
    { { .max_tokens = 1 }, 0, "prompt 1 has 0 tokens; expected 1 to 32" },
    { { .max_tokens = 1 }, 33, "prompt 1 has 33 tokens; expected 1 to 32" },
    { { .max_tokens = 1, .temperature = -1 }, 1, "temperature -1" },
    { { .max_tokens = 1, .temperature = NAN }, 1, "temperature" },
    { { .max_tokens = 1, .top_k = -1 }, 1, "top-k -1" },
    { { .max_tokens = 1, .top_p = 1.5 }, 1, "top-p 1.5" },
    { { .max_tokens = 1, .min_p = -0.5 }, 1, "min-p -0.5" },
    { { .max_tokens = 1, .penalty = -1 }, 1, "penalty -1" },
    { { .max_tokens = 1, .end_count = 2 }, 1, "2 end tokens, but none is given" },
};
/* clang-format on */

static void count_event(void *arg, const tn_event *event)
{
    int *n = arg;
    ck_assert(!event->backward);
    ++*n;
}

/* The caller's tape sees the ops of every pass; its error and what is on it are gone, its mode stays. */
START_TEST(the_callers_tape_is_used)
{
    fixture f = open_fixture();
    int events = 0, once = 0;
    const result want = generate(&f, ROWS, 0, &(tn_sampling){ .max_tokens = 7, .ends = none });
    tn_sampling s = { .max_tokens = 1, .ends = none, .tape = f.t };
    tn_tape_trace(f.t, count_event, &events);
    generate(&f, ROWS, 0, &s);
    once = events;
    ck_assert_int_gt(once, 20);
    s.max_tokens = 7;
    ck_assert_ptr_null(tn_add(f.t, NULL, NULL));
    tn_tape_train(f.t, 5);
    const result got = generate(&f, ROWS, 0, &s);
    ck_assert_mem_eq(&got, &want, sizeof got);
    ck_assert_int_eq(events, 8 * once);
    ck_assert(tn_tape_mode(f.t).training && tn_tape_mode(f.t).draw == 5);
    ck_assert_int_eq(tn_tape_code(f.t), 0);
    close_fixture(&f);
}
END_TEST

static void count_numbers(void *arg, const tn_event *event)
{
    if (!strcmp(event->op, "attention"))
        *(int64_t *)arg += tn_tensor_count(event->out);
}

/* Rows that are given the same ids have the tokens of rows with copies of them. Their prompt runs
   once: of the 12 + 12 + 3 tokens and padding, 3 rows of 12, one row is left out. */
START_TEST(rows_share_a_prompt)
{
    static const char *const models[] = { GOLDEN "tiny_models/gpt2", GOLDEN "tiny_models/gemma2" };
    static const int64_t n[] = { 12, 12, 3, 12 };
    int64_t numbers[2] = { 0, 0 };
    result r[2] = { 0 };
    fixture f = { .c = tn_context_new(&(tn_options){ .threads = 2, .seed = 3 }) };
    f.t = tn_tape_new(f.c);
    f.m = tn_model_open(f.c, models[_i % 2], &f.e);
    must(&f.e);
    tn_sampling s = settings[_i / 2];
    s.tape = f.t;
    for (int k = 0; k < 2; k++) {
        int32_t copy[12];
        memcpy(copy, prompt[1], sizeof copy);
        const int32_t *const ids[] = { prompt[1], k ? prompt[1] : copy, prompt[2], prompt[3] };
        int32_t *const out[ROWS] = { r[k].ids[0], r[k].ids[1], r[k].ids[2], r[k].ids[3] };
        tn_tape_trace(f.t, count_numbers, &numbers[k]);
        tn_generate(f.m, 3, ids, n, &s, out, r[k].made, NULL, NULL, &f.e);
        must(&f.e);
    }
    ck_assert_mem_eq(&r[0], &r[1], sizeof r[0]);
    const int64_t row = f.m->layers * f.m->heads * f.m->head_size;
    ck_assert_int_eq(numbers[0] - numbers[1], 12 * row);
    close_fixture(&f);
}
END_TEST

START_TEST(wrong_settings_are_refused)
{
    fixture f = open_fixture();
    int32_t ids[33] = { 0 }, token;
    int64_t made;
    tn_generate(f.m, 1, &(const int32_t *){ ids }, &refused[_i].length, &refused[_i].s,
                &(int32_t *){ &token }, &made, NULL, NULL, &f.e);
    must_fail(&f.e, TN_EARG, refused[_i].text);
    tn_generate(f.m, 1, &(const int32_t *){ NULL }, &(int64_t){ 1 },
                &(tn_sampling){ .max_tokens = 1 }, &(int32_t *){ &token }, &made, NULL, NULL, &f.e);
    must_fail(&f.e, TN_EARG, "row 1 has no prompt");
    tn_generate(f.m, 1, &(const int32_t *){ ids }, &(int64_t){ 1 },
                &(tn_sampling){ .max_tokens = 1 }, &(int32_t *){ NULL }, &made, NULL, NULL, &f.e);
    must_fail(&f.e, TN_EARG, "row 1 has no prompt or no room");
    ids[0] = V;
    tn_generate(f.m, 1, &(const int32_t *){ ids }, &(int64_t){ 1 },
                &(tn_sampling){ .max_tokens = 1 }, &(int32_t *){ &token }, &made, NULL, NULL, &f.e);
    ck_assert_msg(f.e.code && strstr(f.e.text, "embed"), "%s", f.e.text);
    close_fixture(&f);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, greedy_is_the_argmax_of_everything_computed_again);
    tcase_add_loop_test(c, rows_do_not_depend_on_each_other, 0, sizeof settings / sizeof *settings);
    tcase_add_test(c, tokens_do_not_depend_on_how_many_follow);
    tcase_add_test(c, rows_stop_at_the_end_token);
    tcase_add_test(c, rows_stop_at_any_end_token);
    tcase_add_test(c, rows_stop_at_the_models_ends);
    tcase_add_test(c, rows_stop_where_positions_end);
    tcase_add_loop_test(c, samples_have_the_right_shares, 0, sizeof cuts / sizeof *cuts);
    tcase_add_loop_test(c, likelier_tokens_come_first_in_the_draw, 0, sizeof cuts / sizeof *cuts);
    tcase_add_test(c, every_token_is_reported_as_it_comes);
    tcase_add_test(c, the_callers_tape_is_used);
    tcase_add_loop_test(c, rows_share_a_prompt, 0, 2 * sizeof settings / sizeof *settings);
    tcase_add_loop_test(c, wrong_settings_are_refused, 0, sizeof refused / sizeof *refused);
}
