/* test_session.c - a session gives the tokens that computing everything again gives. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <string.h>

enum { MOST = 6, LENGTH = 26 };

static const char *const folders[] = { GOLDEN "tiny_models/gpt2", GOLDEN "tiny_models/qwen3",
                                       GOLDEN "tiny_models/gemma3" };

/* The ids of a prompt are those of the text, with `other` (if not negative) at place `at`. */
/* clang-format off */
static const struct { int length, at, other, reused; } asks[] = {
    { 5, -1, 0, 0 },  { 12, -1, 0, 5 }, /* the first answer is another text */
    { 12, -1, 0, 11 }, { 24, -1, 0, 12 }, { 24, 7, 3, 7 }, { 25, 7, 3, 24 },
    { 8, -1, 0, 7 },  { 26, -1, 0, 8 },
};
/* clang-format on */

static void ask(const tn_model *m, const int32_t *ids, int64_t n, tn_session *s, int32_t out[MOST])
{
    tn_error e = { 0 };
    int64_t made;
    memset(out, 0, MOST * sizeof *out);
    const tn_sampling how = { .max_tokens = MOST, .ends = ids, .end_count = 0, .session = s };
    tn_generate(m, 1, &ids, &n, &how, &out, &made, NULL, NULL, &e);
    must(&e);
    ck_assert_int_eq(made, MOST);
}

START_TEST(a_session_changes_no_token)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 3 });
    tn_error e = { 0 };
    tn_model *m = tn_model_open(c, folders[_i], &e);
    tn_adapter_open(m, folders[_i], &e);
    must(&e);
    tn_session *s = tn_session_new(m);
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        int32_t ids[LENGTH], with[MOST], without[MOST];
        for (int k = 0; k < asks[i].length; k++)
            ids[k] = k == asks[i].at ? asks[i].other : (7 * k + 11) % 31 + 1;
        ask(m, ids, asks[i].length, s, with);
        ask(m, ids, asks[i].length, NULL, without);
        ck_assert_mem_eq(with, without, sizeof with);
        ck_assert_int_eq(tn_session_reused(s), asks[i].reused);
    }
    tn_session_free(s);
    tn_model_free(m);
    tn_context_free(c);
}
END_TEST

/* Without its adapters a model is its base. A session that is cleared has nothing of the adapters. */
START_TEST(adapters_are_switched)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 3 });
    tn_error e = { 0 };
    tn_model *m = tn_model_open(c, folders[_i], &e), *base = tn_model_open(c, folders[_i], &e);
    tn_adapter_open(m, folders[_i], &e);
    must(&e);
    static const int32_t ids[] = { 3, 1, 4, 1, 5, 9, 2, 6 };
    int32_t on[MOST], off[MOST], again[MOST], of_base[MOST];
    tn_session *s = tn_session_new(m);
    ask(m, ids, 8, s, on);
    tn_lora_switch(m, false);
    tn_lora_switch(m, false);
    tn_session_clear(s);
    ask(m, ids, 8, s, off);
    ck_assert_int_eq(tn_session_reused(s), 0);
    ask(base, ids, 8, NULL, of_base);
    tn_lora_switch(m, true);
    tn_session_clear(s);
    ask(m, ids, 8, s, again);
    ck_assert_mem_eq(off, of_base, sizeof off);
    ck_assert_mem_eq(on, again, sizeof on);
    ck_assert(memcmp(on, off, sizeof on) != 0);
    tn_session_free(s);
    tn_model_free(base);
    tn_model_free(m);
    tn_context_free(c);
}
END_TEST

START_TEST(rows_and_models_that_do_not_fit_are_refused)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_error e = { 0 }, two = { 0 }, other = { 0 };
    tn_model *m = tn_model_open(c, folders[0], &e), *n = tn_model_open(c, folders[1], &e);
    must(&e);
    tn_session *s = tn_session_new(m);
    static const int32_t ids[] = { 1, 2 };
    int32_t room[2][1];
    int64_t made[2];
    const tn_sampling how = { .max_tokens = 1, .session = s };
    tn_generate(m, 2, (const int32_t *const[]){ ids, ids }, (int64_t[]){ 2, 2 }, &how,
                (int32_t *const[]){ room[0], room[1] }, made, NULL, NULL, &two);
    ck_assert_str_eq(two.text, "2 rows with a session; expected one, of its model");
    tn_generate(n, 1, (const int32_t *const[]){ ids }, (int64_t[]){ 2 }, &how,
                (int32_t *const[]){ room[0] }, made, NULL, NULL, &other);
    ck_assert_int_eq(other.code, TN_EARG);
    tn_session_free(s);
    tn_model_free(m);
    tn_model_free(n);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, a_session_changes_no_token, 0, sizeof folders / sizeof *folders);
    tcase_add_loop_test(c, adapters_are_switched, 0, sizeof folders / sizeof *folders);
    tcase_add_test(c, rows_and_models_that_do_not_fit_are_refused);
}
