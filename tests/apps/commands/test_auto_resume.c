/* test_auto_resume.c - tenon train --auto-resume starts a run, or resumes it. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

/* A scheduler starts the same command again and again. The command begins a run if there is none,
   or if a run was killed before its first checkpoint. Otherwise it resumes the run. */
START_TEST(auto_resume_starts_and_goes_on)
{
    place p = place_make();
    const char *how = "train --model m --tokenizer chars --data r.jsonl --iters 12 --save-every 4";
    ck_assert_int_eq(tenon(&p, "%s -o o", how), 0);
    ck_assert_int_eq(tenon(&p, "%s -o n --auto-resume", how), 0); /* nothing there */
    place_same(&p, "o", "n");
    ck_assert_int_eq(shell(&p, "mkdir e"), 0);
    ck_assert_int_eq(tenon(&p, "%s -o e --auto_resume", how), 0); /* an empty folder */
    place_same(&p, "o", "e");
    ck_assert_int_eq(
        shell(&p, "cp -r o k; rm -r k/checkpoint-* k/*.safetensors k/tokenizer* k/config.json "
                  "k/loss.svg; "
                  "head -n 3 o/log.jsonl >k/log.jsonl"),
        0);
    ck_assert_int_eq(tenon(&p, "%s -o k --auto-resume", how),
                     0); /* killed before the first checkpoint */
    place_same(&p, "o", "k");
    ck_assert_int_eq(shell(&p, "test $(grep -c '^{\"tenon\"' k/log.jsonl) = 1"), 0);
    ck_assert_int_eq(shell(&p, "rm -r k/checkpoint-12 k/*.safetensors k/tokenizer* k/config.json"),
                     0);
    ck_assert_int_eq(tenon(&p, "%s -o k --auto-resume", how), 0); /* killed later */
    place_has(&p, "out", "resumed    after step 8");
    place_same(&p, "o", "k");
    ck_assert_int_eq(tenon(&p, "%s -o k --auto-resume", how), 0); /* done */
    place_same(&p, "o", "k");
    ck_assert_int_eq(tenon(&p, "%s -o k --auto-resume --overwrite", how), 2);
    ck_assert_int_eq(tenon(&p, "%s -o x --resume", how), 1); /* --resume needs a checkpoint */
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, auto_resume_starts_and_goes_on);
}
