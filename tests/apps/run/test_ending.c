/* test_ending.c - whether a training can teach where an answer ends. */
#include "apps/run/ending.h"
#include "tests/support/apps.h"
#include "tests/support/tests.h"


enum { END = 256, V = 257, C = 8 }; /* of the tokenizer of bytes */

/* The row of the end token is a scaled copy of row `copy`, if that is not -1. */
static const struct row {
    int copy;
    double scale;
    bool trained, adapter, sketch;
    ending how;
    int other;
} rows[] = {
    { -1, 1, false, false, false, ENDING_LEARNT, -1 },
    { 4, 1, false, false, false, ENDING_LIKE_OTHERS, 4 },
    { 0, 3, false, false, false, ENDING_LIKE_OTHERS, 0 }, /* the norm is no direction */
    { 4, -1, false, false, false, ENDING_LEARNT, -1 },
    { 4, 0, false, false, false, ENDING_LEARNT, -1 },
    { 4, 1, true, false, false, ENDING_LEARNT, -1 },
    { 4, 1, false, true, false, ENDING_LEARNT, -1 },
    { 4, 1, false, false, true, ENDING_LEARNT, -1 },
};

START_TEST(a_frozen_row_like_another_is_found)
{
    const struct row *r = &rows[_i];
    tn_error e = { 0 };
    tn_tensor *head = tn_tensor_new(TN_REAL, 2, (int64_t[]){ V, C }, r->trained);
    tn_adapter adapter = { 0 };
    tn_model m = { .head = head, .output = { .lora = r->adapter ? &adapter : NULL } };
    setup s = { .model = &m, .tokenizer = tn_tokenizer_bytes(&e), .sketch = r->sketch };
    int64_t other;
    for (int64_t i = 0; i < V * C; i++)
        head->x[i] = (tn_real)(tn_random_uniform(1, 2, 0, (uint64_t)i) - 0.5);
    for (int64_t i = 0; r->copy >= 0 && i < C; i++)
        head->x[END * C + i] = (tn_real)r->scale * head->x[r->copy * C + i];
    ck_assert_int_eq(ending_of(&s, &other, &e), r->how);
    ck_assert_int_eq(other, r->other);
    ck_assert_int_eq(e.code, 0);
    tn_tokenizer_free(s.tokenizer);
    tn_tensor_free(head);
}
END_TEST

/* The note comes with records that have answers, and not with texts. */
START_TEST(a_tokenizer_without_an_end_is_noted)
{
    place p = place_make();
    ck_assert_int_eq(
        shell(&p,
              "cp -r m n; cd n; { printf '{\"added_tokens\":[],\"decoder\":{\"type\":\"Fuse\"},"
              "\"model\":{\"vocab\":{\"a\":0'; i=0; for c in b c d e f g; do i=$((i + 1)); "
              "printf ',\"%%s\":%%d' $c $i; done; printf '},\"merges\":[]}}'; } >tokenizer.json; "
              "echo '{}' >tokenizer_config.json; cd ..; for i in 1 2 3 4; do "
              "echo '{\"prompt\":\"ab\",\"completion\":\"cd\"}'; done >r.jsonl; "
              "for i in $(seq 300); do printf abc; done >t.txt"),
        0);
    const char *note = "the tokenizer has no end token: the model does not learn where";
    ck_assert_int_eq(tenon(&p, "train --model n --data r.jsonl --valid-split 0 --iters 1 -o a"), 0);
    place_has(&p, "out", note);
    ck_assert_int_eq(tenon(&p, "train --model n --data t.txt --valid-split 0 --iters 1 -o b"), 0);
    ck_assert_int_eq(shell(&p, "! grep -q 'end token' out"), 0);
    place_end(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, a_frozen_row_like_another_is_found, 0, sizeof rows / sizeof *rows);
}

void tests_of_program(TCase *c)
{
    tcase_add_test(c, a_tokenizer_without_an_end_is_noted);
}
