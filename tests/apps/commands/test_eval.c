/* test_eval.c - tenon eval: windows of a text, questions with choices, and JSON. */
#include "tests/support/apps.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include "data/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* o: a model of printable characters. */
static void make_model(const place *p)
{
    ck_assert_int_eq(
        tenon(p, "train --model m --data task:arithmetic --tokenizer chars -o o --iters 3"), 0);
}

/* A member of the JSON object that was printed. */
static double number(const char *key)
{
    tn_error e = { 0 };
    double x = -1;
    char *text = place_read("out");
    const tn_json *root = tn_json_parse(text, strlen(text), "out", 0, &e);
    must(&e);
    ck_assert(tn_json_real(tn_json_find(root, key), &x));
    tn_json_free(root);
    free(text);
    return x;
}

/* With one token each, the likeliest choice is what greedy decoding says. Of two choices that begin
   alike the longer one is never likelier. */
START_TEST(choices)
{
    place p = place_make();
    make_model(&p);
    ck_assert_int_eq(tenon(&p, "generate --model o --prompt '1 + 1' --max-tokens 1 --temp 0"), 0);
    char *out = place_read("out");
    const char best = out[strlen("1 + 1")];
    char line[256], others[64] = "";
    for (char c = '0'; c <= '9'; c++)
        if (c != best)
            snprintf(others + strlen(others), 6, ",\"%c\"", c);
    ck_assert(best != '"' && best != '\\' && best != '\'');
    snprintf(line, sizeof line, "{\"prompt\":\"1 + 1\",\"choices\":[\"%c\"%s],\"answer\":0}\n",
             best, others);
    put_file(".", "right.jsonl", line);
    snprintf(line, sizeof line, "{\"prompt\":\"1 + 1\",\"choices\":[\"%c\"%s],\"answer\":3}\n",
             best, others);
    put_file(".", "wrong.jsonl", line);
    snprintf(line, sizeof line,
             "{\"prompt\":\"1 + 1\",\"choices\":[\"%c7\",\"%c\"],\"answer\":\"%c\"}\n", best, best,
             best);
    put_file(".", "long.jsonl", line);
    static const char *const files[] = { "right", "wrong", "long" };
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(tenon(&p, "eval --model o --data %s.jsonl --json", files[i]), 0);
        ck_assert(number("questions") == 1.0);
        ck_assert(number("right_by_sum") == (i != 1 ? 1.0 : 0.0));
    }
    /* a number is its text */
    ck_assert_int_eq(
        shell(&p,
              "printf '%%s\\n' '{\"prompt\":2,\"choices\":[5,4,\"3\"],\"answer\":4}' "
              ">n.jsonl; sed 's/[0-9]/\"&\"/g; s/\"\"/\"/g' n.jsonl >s.jsonl; cat n.jsonl s.jsonl"),
        0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(tenon(&p, "eval --model o --data %s.jsonl --json", i ? "s" : "n"), 0);
        ck_assert_int_eq(shell(&p, "sed 's/s.jsonl/n.jsonl/' out >out%d", i), 0);
    }
    ck_assert_int_eq(shell(&p, "cmp out0 out1 && grep -q '\"questions\":1' out1"), 0);
    ck_assert_int_eq(shell(&p, "cat right.jsonl wrong.jsonl long.jsonl right.jsonl > all.jsonl"),
                     0);
    ck_assert_int_eq(tenon(&p, "eval --model o --data all.jsonl --batch-size 3"), 0);
    place_has(&p, "out", "choices     3 of 4 right by the sum of log-probabilities (75.0 %), ");
    free(out);
    place_end(&p);
}
END_TEST

/* The loss over all windows is the mean over those of each part of the text. */
START_TEST(windows)
{
    place p = place_make();
    make_model(&p);
    put_file(".", "w.txt", "12 + 34 = 46\n99 - 1 = 98\n");
    put_file(".", "1.txt", "12 + 34 ");
    put_file(".", "2.txt", "= 46\n99 ");
    put_file(".", "3.txt", "- 1 = 98");
    double loss[4];
    for (int i = 1; i < 4; i++) {
        ck_assert_int_eq(
            tenon(&p, "eval --model o --data %d.txt --max-seq-length 8 --stride 8 --json", i), 0);
        ck_assert(number("tokens") == 7.0);
        loss[i] = number("loss");
    }
    ck_assert_int_eq(tenon(&p, "eval --model o --data w.txt --max-seq-length 8 --stride 8 --json"),
                     0);
    ck_assert_double_eq_tol(number("loss"), (loss[1] + loss[2] + loss[3]) / 3, 1e-6);
    ck_assert(number("rows") == 3.0);
    ck_assert_int_eq(tenon(&p, "eval --model o --data w.txt --max-seq-length 8 --stride 8 "
                               "--chunks 2 --json"),
                     0);
    ck_assert_double_eq_tol(number("loss"), (loss[1] + loss[2]) / 2, 1e-6);
    ck_assert_int_eq(tenon(&p, "eval --model o --data w.txt --max-seq-length 8 --chunks 2"), 0);
    place_has(&p, "out", "tokens      16 in 2 rows of 3\n");
    place_end(&p);
}
END_TEST

/* clang-format off */
static const struct { const char *arguments, *says; } wrong[] = {
    { "--data r.jsonl --stride 4", "--stride: only for a .txt or .bin, which is cut into windows" },
    { "--data r.jsonl --chunks 4", "--chunks: only for a .txt or .bin, which is cut into windows" },
    { "--data t.txt --max-seq-length 8 --stride 9", "--stride 9: expected at most --max-seq-length 8" },
};
/* clang-format on */

START_TEST(misuse)
{
    place p = place_make();
    make_model(&p);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(tenon(&p, "eval --model o %s", wrong[i].arguments), 2);
        place_has(&p, "err", wrong[i].says);
    }
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, choices);
    tcase_add_test(c, windows);
    tcase_add_test(c, misuse);
}
