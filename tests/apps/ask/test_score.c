/* test_score.c - score.c: answers are generated and counted as right or wrong. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* eval counts as many right answers as `generate` gives, one record after the other. The model
   answers some of them right. */
START_TEST(eval_of_records_counts_right_answers)
{
    place p = place_make();
    ck_assert_int_eq(
        shell(
            &p,
            "\"$(dirname \"$T\")\"/examples/base_text 12 3 | tail -n 12 >a.jsonl; B='%s/data/bundled/base'; "
            "ln -s \"$B\" b; right=0; while read -r line; do "
            "prompt=\"${line#*prompt\\\":\\\"}\"; prompt=\"${prompt%%%%\\\"*}\"; "
            "answer=\"${line#*completion\\\":\\\"}\"; answer=\"${answer%%%%\\\"*}\"; "
            "\"$T\" generate --model b --temp 0 --prompt \"$prompt\" >made; "
            "test \"$(cat made)\" = \"$prompt$answer\" && right=$((right + 1)); done <a.jsonl; "
            "echo \"exact       $right of 12 \" >right; test $right -gt 2 && test $right -lt 12",
            p.before),
        0);
    char *right = place_read("right");
    right[strcspn(right, "\n")] = 0;
    ck_assert_int_eq(tenon(&p, "eval --model b --data a.jsonl"), 0);
    place_has(&p, "out", right);
    /* The count is the same among records without a completion, in rows that cut the records, and
       with the loss on prompts. */
    ck_assert_int_eq(
        shell(&p, "{ echo '{\"text\":\"oak\"}'; sed 's/{/{\"id\": \"x\", /' a.jsonl; "
                  "echo '{\"text\":\"pine\"}'; } >c.jsonl; mkdir d; cp c.jsonl d/valid.jsonl"),
        0);
    ck_assert_int_eq(tenon(&p, "eval --model b --data c.jsonl --max-seq-length 40"), 0);
    place_has(&p, "out", right);
    /* A row that is cut is no right answer, even if each of its labels is predicted. */
    ck_assert_int_eq(
        shell(&p, "echo '{\"prompt\":\"oak\",\"completion\":\" and the old oak tree\"}' >l.jsonl"),
        0);
    ck_assert_int_eq(tenon(&p, "eval --model b --data l.jsonl"), 0);
    place_has(&p, "out", "exact       0 of 1 (0.0 %), teacher-forced ");
    ck_assert_int_eq(tenon(&p, "eval --model b --data l.jsonl --max-seq-length 8"), 0);
    place_has(&p, "out", ", 1 cut at 8 tokens (1 of them lost tokens that count in the loss)\n");
    place_has(&p, "out", "exact       0 of 1 (0.0 %)\n");
    ck_assert_int_eq(tenon(&p, "eval --model b --data d --split valid --no-mask-prompt"), 0);
    place_has(&p, "out", right);
    free(right);
    ck_assert_int_eq(shell(&p, "echo '{\"text\":\"oak\"}' >n.jsonl"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model b --data n.jsonl"), 0);
    ck_assert_int_ne(shell(&p, "grep -q exact out"), 0);
    place_end(&p);
}
END_TEST

/* A file with the records of a task has the score of the task. The model has learnt 8 records by
   heart, 4 not. */
START_TEST(a_file_of_a_task_scores_as_the_task)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p,
                           "train --model m --tokenizer chars --data task:lookup:8 --batch-size 8 "
                           "--iters 150 --lr 3e-2 -o f"),
                     0);
    ck_assert_int_eq(shell(&p, "\"$T\" task lookup --count 12 >a.jsonl"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model f --task lookup --split train --count 12"), 0);
    ck_assert_int_eq(shell(&p, "grep -v '^data\\|^parts' out >task; grep -q '^exact *[1-9]' task"),
                     0);
    ck_assert_int_eq(tenon(&p, "eval --model f --data a.jsonl"), 0);
    ck_assert_int_eq(shell(&p, "grep -v '^data' out | cmp - task"), 0);
    place_end(&p);
}
END_TEST

/* Runs eval on the first `count` records of the task. The model has learnt 30 of them by heart. */
static void eval_of_a_learner(const place *p, int count)
{
    ck_assert_int_eq(
        tenon(p, "train --model m --data task:arithmetic --tokenizer chars -o o --iters 3"), 0);
    ck_assert_int_eq(shell(p, "\"$T\" task arithmetic --count 30 --split test >k.jsonl"), 0);
    ck_assert_int_eq(
        tenon(p, "train --model o --data k.jsonl -o f --fine-tune-type full --iters 300 --lr 1e-2"),
        0);
    ck_assert_int_eq(tenon(p, "eval --model f --task arithmetic --count %d", count), 0);
}

/* A greedy answer is right exactly if each of its tokens is predicted right. 75 questions are more
   than one batch of answers. */
START_TEST(both_ways_to_score_agree)
{
    place p = place_make();
    eval_of_a_learner(&p, 75);
    ck_assert_int_eq(
        shell(&p, "awk '/^exact/ { ok = $2 == $NF && $2 > 0 && $2 < 75 } END { exit !ok }' out"),
        0);
    place_end(&p);
}
END_TEST

/* An answer does not depend on a longer prompt in the same batch. There are 40 positions, and
   prompts of this task have up to 35 tokens. */
START_TEST(long_prompts_do_not_cut_other_answers)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "sed -i 's/n_positions\": 64/n_positions\": 40/' m/config.json"), 0);
    eval_of_a_learner(&p, 30);
    ck_assert_int_eq(shell(&p, "awk '/^exact/ { ok = $2 > 5 } END { exit !ok }' out"), 0);
    place_end(&p);
}
END_TEST

/* Each answer of a chat is asked for, after the right messages before it. The model has learnt
   these chats; `generate` gives the same answers. */
START_TEST(eval_of_chats_counts_right_answers)
{
    place p = place_make();
    place_chat(&p);
    ck_assert_int_eq(tenon(&p, "eval --model co --data chat.jsonl"), 0);
    place_has(&p, "out", "exact       32 of 32 (100.0 %)\n");
    ck_assert_int_eq(
        shell(&p, "printf '%%s\\n' '{\"messages\":[{\"role\":\"user\",\"content\":\"red\"},"
                  "{\"role\":\"assistant\",\"content\":\"rose!\"}]}' "
                  "'{\"messages\":[{\"role\":\"user\",\"content\":\"red\"},"
                  "{\"role\":\"assistant\",\"content\":\"ros\"}]}' "
                  "'{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
                  "{\"role\":\"assistant\",\"content\":\"hello\"}]}' "
                  "'{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
                  "{\"role\":\"assistant\",\"content\":\"\"}]}' "
                  "'{\"prompt\":\"red\",\"completion\":\"banana\"}' >mixed.jsonl"),
        0);
    ck_assert_int_eq(tenon(&p, "generate --model co -p red -p hi --temp 0"), 0);
    ck_assert_int_eq(shell(&p, "printf 'rose\\n---\\nhello\\n' | cmp - out"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model co --data mixed.jsonl"), 0);
    place_has(&p, "out", "exact       1 of ");
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, eval_of_records_counts_right_answers);
    tcase_add_test(c, a_file_of_a_task_scores_as_the_task);
    tcase_add_test(c, both_ways_to_score_agree);
    tcase_add_test(c, long_prompts_do_not_cut_other_answers);
    tcase_add_test(c, eval_of_chats_counts_right_answers);
}
