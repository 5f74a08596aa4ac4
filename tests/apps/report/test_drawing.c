/* test_drawing.c - train --dump-graph: a picture of the first step, and the same run. */
#include "tests/support/apps.h"
#include "tests/support/svg.h"
#include "tests/support/tests.h"

#include <stdlib.h>

#define TRAIN "train --model m --tokenizer chars --data t.txt --valid-split 0 --progress none "

static void check_file(const char *path)
{
    char *s = place_read(path);
    check_svg(s);
    free(s);
}

/* 25 ops of two blocks; 28 weights, of which the embedding is read twice; three inputs. */
START_TEST(the_first_step_is_drawn)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p,
                           TRAIN "--iters 2 --grad-accumulation-steps 2 -o o --dump-graph g.svg "
                                 "--profile"),
                     0);
    check_file("g.svg");
    ck_assert_int_eq(shell(&p, "test $(grep -c 'class=\"op\"' g.svg) = 26"),
                     0); /* with the legend */
    ck_assert_int_eq(shell(&p, "test $(grep -c '>transformer[^<]*</text>' g.svg) = 29"), 0);
    ck_assert_int_eq(shell(&p, "test $(grep -c '>input (4,64) i32</text>' g.svg) = 3"), 0);
    ck_assert_int_eq(shell(&p, "grep -q '>transformer.h.1.mlp.c_fc.weight (16,64)</text>' g.svg"),
                     0);
    ck_assert_int_eq(tenon(&p, TRAIN "--iters 2 --grad-accumulation-steps 2 -o r"), 0);
    ck_assert_int_eq(shell(&p, "cmp o/model.safetensors r/model.safetensors"), 0);
    place_end(&p);
}
END_TEST

/* What LoRA freezes is grey, and so are the ops before the first adapter. */
START_TEST(frozen_is_grey)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, TRAIN "--iters 1 -o b"), 0);
    ck_assert_int_eq(tenon(&p, "train --model b --data t.txt --dry-run --target-modules c_attn.q "
                               "--dump-graph g.svg"),
                     0);
    check_file("g.svg");
    ck_assert_int_eq(shell(&p, "test $(grep -c 'class=\"trained\"' g.svg) = 5"), 0);
    ck_assert_int_eq(shell(&p, "test $(grep -c 'class=\"frozen\"' g.svg) = 30"), 0);
    ck_assert_int_eq(shell(&p, "test $(grep -c 'class=\"still\"' g.svg) = 6"), 0);
    place_end(&p);
}
END_TEST

START_TEST(a_file_is_not_replaced)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "echo mine >g.svg"), 0);
    ck_assert_int_eq(tenon(&p, TRAIN "--iters 2 -o o --save-every 1 --dump-graph g.svg"), 2);
    place_has(&p, "err", "--dump-graph g.svg: something is there; expected a name that is free");
    ck_assert_int_eq(shell(&p, "test ! -e o && grep -qx mine g.svg"), 0);
    ck_assert_int_eq(tenon(&p, TRAIN "--iters 2 -o o --dump-graph o.png"), 2);
    place_has(&p, "err", "--dump-graph o.png: expected a name that ends in .svg, or has no ending");
    ck_assert_int_eq(tenon(&p, TRAIN "--iters 2 -o o --dump-graph no/g.svg"), 1);
    ck_assert_int_eq(shell(&p, "test ! -e o"), 0);
    /* a job that is started again with the same command goes on */
    ck_assert_int_eq(tenon(&p,
                           TRAIN "--iters 2 -o o --save-every 1 --dump-graph h.svg --auto-resume"),
                     0);
    ck_assert_int_eq(shell(&p, "rm -r o/checkpoint-2 o/model.safetensors"), 0);
    ck_assert_int_eq(tenon(&p,
                           TRAIN "--iters 2 -o o --save-every 1 --dump-graph h.svg --auto-resume"),
                     0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, the_first_step_is_drawn);
    tcase_add_test(c, frozen_is_grey);
    tcase_add_test(c, a_file_is_not_replaced);
}
