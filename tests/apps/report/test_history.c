/* test_history.c - the charts of a run: what is read from log.jsonl, loss.svg, and tenon plot. */
#include "apps/report/history.h"
#include "tests/support/apps.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

#define HEAD(first)                                                                                  \
    "{\"tenon\":\"0\",\"config\":{\"command\":\"train\",\"lr\":1},\"seed\":0,\"first_step\":" #first \
    "}\n"
#define STEP(k, loss)                                                                              \
    "{\"split\":\"train\",\"step\":" #k ",\"loss\":" #loss ",\"elapsed_s\":" #k "}\n"
#define VALID(k, loss) "{\"split\":\"valid\",\"step\":" #k ",\"loss\":" #loss "}\n"

typedef struct row {
    const char *log;
    int train, valid; /* points; -1: refused */
    double last, best, at;
    const char *says;
} row;

static const row rows[] = {
    { HEAD(1) STEP(1, 3) STEP(2, 2), 2, 0, 2, 0, 0, NULL },
    { HEAD(1) VALID(0, 4) STEP(1, 3) VALID(1, 3.5) STEP(2, 2) VALID(2, 3.7), 2, 3, 2, 3.5, 1,
      NULL },
    /* a resume after step 1: the later lines of steps 2 and 3 count */
    { HEAD(1) VALID(0, 4) STEP(1, 3) STEP(2, 2) VALID(2, 1) STEP(3, 9) HEAD(2) STEP(2, 2.5)
          VALID(2, 3),
      2, 2, 2.5, 3, 2, NULL },
    { HEAD(1) STEP(1, 3) "{\"split\":\"train\",\"step\":2,\"lo", 1, 0, 3, 0, 0, NULL }, /* killed */
    { HEAD(1) STEP(1, 3) STEP(2, null), 1, 0, 3, 0, 0, NULL },
    { HEAD(1), -1, 0, 0, 0, 0, "log.jsonl: no losses" },
    { HEAD(1) STEP(1, 3) "}\n", -1, 0, 0, 0, 0, "log.jsonl:3" },
    { "", -1, 0, 0, 0, 0, "log.jsonl: no losses" },
};

START_TEST(reads_a_log)
{
    const row *r = &rows[_i];
    char *folder = temporary();
    tn_error e = { 0 };
    history h;
    double step = -1, loss = -1;
    put_file(folder, "log.jsonl", r->log);
    history_read(&h, folder, &e);
    if (r->train < 0) {
        must_fail(&e, TN_EFORMAT, r->says);
    } else {
        must(&e);
        ck_assert_int_eq(h.train.n, r->train);
        ck_assert_int_eq(h.valid.n, r->valid);
        ck_assert(h.train.loss[h.train.n - 1] == r->last);
        ck_assert_str_eq(h.config, "{\"command\":\"train\",\"lr\":1}");
        ck_assert(history_best(&h, &step, &loss) == (r->valid > 0));
        ck_assert(!r->valid || (step == r->at && loss == r->best));
    }
    history_free(&h);
    discard(folder);
}
END_TEST

#define RUN                                                                                        \
    "train --model m --tokenizer chars --data t.txt --iters 30 --steps-per-report 1 --steps-per-eval 5 --progress none "

/* Every run has its picture: a thin and a thick line, and dots for the evaluations. */
START_TEST(a_run_leaves_a_picture)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, RUN "-o o"), 0);
    ck_assert_int_eq(shell(&p, "test $(grep -c 'class=\"c0 thin\"' o/loss.svg) = 1 && "
                               "test $(grep -c 'class=\"c0 thick\" d=\"M6' o/loss.svg) = 1 && "
                               "test $(grep 'class=\"c1\" stroke-width=\"5\"' o/loss.svg | "
                               "grep -o h0 | wc -l) = 7 && "
                               "grep -q prefers-color-scheme:dark o/loss.svg"),
                     0);
    ck_assert_int_eq(tenon(&p, RUN "-o r --iters 20"), 0); /* another, longer by a resume */
    ck_assert_int_eq(shell(&p, "cp o/loss.svg a; echo mine >o/loss.svg"), 0);
    ck_assert_int_eq(tenon(&p, RUN "-o o --overwrite"), 1);
    place_has(&p, "err", "o/loss.svg: in the way");
    ck_assert_int_eq(shell(&p, "rm o/loss.svg"), 0);
    ck_assert_int_eq(tenon(&p, "plot o --svg b"), 0);
    ck_assert_int_eq(shell(&p, "cmp a b"), 0);
    place_end(&p);
}
END_TEST

typedef struct look {
    const char *before, *arguments;
    int status;
    const char *file, *has;
} look;

static const look looks[] = {
    { "LC_ALL=C", "o", 0, "out", "a training  b validation" },
    { "LC_ALL=C", "o", 0, "out", "best validation " },
    { "LC_ALL=C", "o/log.jsonl", 0, "out", "a training" },
    { "LC_ALL=C.UTF-8", "o", 0, "out", "┤" },
    { "LC_ALL=C", "o r", 0, "out", "a o  b r" },
    { "LC_ALL=C", "o r --html x", 0, "x", "<table><tr><th>run</th>" },
    { "LC_ALL=C", "o r --html x", 0, "x", "&quot;command&quot;:&quot;train&quot;" },
    { "LC_ALL=C", "o r --svg x --log-y --smooth 0", 0, "x", "<svg xmlns=" },
    { "LC_ALL=C", "", 2, "err", "a run is missing" },
    { "LC_ALL=C", "m", 1, "err", "m/log.jsonl: cannot open" },
    { "LC_ALL=C", "t.txt", 1, "err", "t.txt:1" },
    { "LC_ALL=C", "o --svg o", 2, "err", "--svg o: something is there" },
    { "LC_ALL=C", "o --html r", 2, "err", "--html r: something is there" },
    { "LC_ALL=C", "o --svg ./x.png", 2, "err",
      "--svg ./x.png: expected a name that ends in .svg, or" },
    { "LC_ALL=C", "o --html x.htm", 2, "err", "--html x.htm: expected a name that ends in .html" },
    { "LC_ALL=C", "o --html a.b/x", 1, "err", "a.b/x: cannot write" },
    { "LC_ALL=C", "o --svg x.SVG", 0, "x.SVG", "<svg xmlns=" },
};

START_TEST(plots_runs)
{
    place p = place_make();
    const look *l = &looks[_i];
    ck_assert_int_eq(tenon(&p, RUN "-o o"), 0);
    ck_assert_int_eq(tenon(&p, RUN "-o r --lr 0.01"), 0);
    ck_assert_int_eq(shell(&p, "%s \"$T\" plot %s >out 2>err", l->before, l->arguments), l->status);
    place_has(&p, l->file, l->has);
    ck_assert_int_eq(shell(&p,
                           "! grep -iq '<script\\|http-equiv\\|src=' x 2>/dev/null && "
                           "! awk 'length > 80' err | grep -q . || test %d != 0",
                           l->status),
                     0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, reads_a_log, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, a_run_leaves_a_picture);
    tcase_add_loop_test(c, plots_runs, 0, sizeof looks / sizeof *looks);
}
