/* test_interrupted.c - every command while signals interrupt its system calls.
   Each call fails once with EINTR (tests/preload/interrupted.c). Output and files must be as
   usual. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOW "--iters 4 --save-every 1 --batch-size 2 --threads 1 --progress lines -o o "
#define LORA "train --model b --data d " HOW
#define FULL "train --model m --tokenizer bytes --data t.txt " HOW

/* There are a model b and records d. `before` makes o, then the command runs. The files `same` must
   be as usual. */
typedef struct row {
    const char *before, *command, *same;
} row;

static const row rows[] = {
    { "", LORA, "o" },
    { "", FULL, "o" },
    { FULL "--seed 2", FULL "--overwrite", "o" },
    { LORA, LORA "--iters 6 --resume", "o" },
    { "", "eval --model b --data t.txt --threads 1", "out" },
    { "", "generate --model b -p 1 -p 2 -n 4 --threads 1", "out" },
    { "", "inspect b/model.safetensors", "out" },
    { "", "inspect b/tokenizer.json", "out" },
    { "export --model b --format gguf --save-path x.gguf",
      "inspect x.gguf | grep -v '^  available'", "out" },
    { "", "lab paths --svg x.svg", "out x.svg" },
    { "",
      "compare --model b --data d --optimizers sgd --lr-grid 1e-3,1e-2 --iters 2 --threads 1 -o o",
      "o/curves.jsonl o/config.used" },
};

START_TEST(an_interrupted_call_is_made_again)
{
    const row *r = &rows[_i];
    place p = place_make();
    ck_assert_int_eq(shell(&p, "mkdir d; head -n 9 r.jsonl | tee d/valid.jsonl >d/train.jsonl"), 0);
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 -o b"), 0);
    for (int k = 0; k < 2; k++) {
        ck_assert_int_eq(shell(&p, "rm -rf o x.svg x.gguf"), 0);
        if (*r->before)
            ck_assert_int_eq(tenon(&p, "%s", r->before), 0);
        const int status = shell(&p,
                                 "export INTERRUPTED_COUNT=$PWD/count; L=${T%%/*}/interrupted.so; "
                                 "%s \"$T\" %s >out 2>err",
                                 k ? "LD_PRELOAD=\"$L\"" : "", r->command);
        char *err = place_read("err");
        ck_assert_msg(status == 0 && !*err, "%s: status %d: %s", r->command, status, err);
        free(err);
        ck_assert_int_eq(shell(&p, "mkdir r%d; cp -r %s r%d", k, r->same, k), 0);
    }
    ck_assert_int_eq(shell(&p, "test $(cat count) -gt 3"), 0);
    place_same(&p, "r0", "r1");
    ck_assert_int_eq(shell(&p, "! ls -A o 2>ls | grep tenon-.*tmp"), 0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    if (TESTS_SANITIZED)
        return; /* a sanitizer makes its own system calls */
    tcase_add_loop_test(c, an_interrupted_call_is_made_again, 0, sizeof rows / sizeof *rows);
}
