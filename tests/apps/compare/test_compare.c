/* test_compare.c - tenon compare, as its user sees it. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* A shell command that succeeds if two folders have the same files, except for times. */
#define SAME(a, b)                                                                                 \
    "for f in " a " " b                                                                            \
    "; do sed 's/\"seconds_per_step.*\"state_/\"state_/' $f/runs.jsonl >$f.runs; "                 \
    "cut -d, -f1-10,12-18 $f/table.csv >$f.csv; done; cmp " a ".runs " b ".runs && cmp " a         \
    ".csv " b ".csv && cmp " a "/curves.jsonl " b "/curves.jsonl && cmp " a "/config.used " b      \
    "/config.used"

/* Five rates in two rounds, with two seeds. At one rate every run diverges. */
#define STUDY                                                                                        \
    "compare --model o --task lookup --optimizers sgd,lora-rite --lr-grid 1e-3,1e-2,1e30 --seeds 2 " \
    "--iters 20 --count 5 --steps-per-report 3 --steps-per-eval 7"

/* Makes a model whose tokenizer has all printable characters, from a task. */
static void make_model(const place *p)
{
    ck_assert_int_eq(
        tenon(p, "train --model m --data task:arithmetic --tokenizer chars -o o --iters 3"), 0);
}

/* All runs of a study have the same start and the same batches. An edge extends the grid. */
START_TEST(a_study_is_fair)
{
    place p = place_make();
    make_model(&p);
    ck_assert_int_eq(
        tenon(&p, "compare --model o --task lookup --out c --optimizers adamw,lora-rite --seeds 2 "
                  "--lr-grid 1e-9:1e-8:log2 --iters 3 --count 5"),
        0);
    ck_assert_int_eq(shell(&p, "test $(cut -d, -f3,14,15 c/table.csv | sort -u | wc -l) = 3"),
                     0); /* 2 seeds, head */
    ck_assert_int_eq(shell(&p, "test $(wc -l <c/table.csv) = 13"),
                     0); /* 2 x 2 x 2 runs; then one more rate of each, which is not better */
    place_has(&p, "out", "\n+-: standard deviation over the seeds");
    ck_assert_int_eq(tenon(&p, "compare --model o --task lookup --out c --optimizers sgd"), 1);
    place_has(&p, "err", "--overwrite");
    place_end(&p);
}
END_TEST

/* A grid grows by its own factor: 3.162, 10, 31.62, ... The rounding error does not grow. */
START_TEST(a_grid_goes_on_in_its_steps)
{
    place p = place_make();
    make_model(&p);
    ck_assert_int_eq(
        tenon(&p, "compare --model o --task lookup --out c --optimizers sgd --lr-grid 0.1:1:log3 "
                  "--iters 3 --count 5 --target-modules c_attn"),
        0);
    ck_assert_int_eq(shell(&p, "cut -d, -f2 c/table.csv | tr -d '\n' | grep -q '^%s$'",
                           "learning_rate0.10.316213.1621031.62100"),
                     0);
    place_end(&p);
}
END_TEST

/* config.used repeats the study. Numbers for which there is no data are not in its files. */
START_TEST(a_study_can_be_repeated)
{
    place p = place_make();
    make_model(&p);
    ck_assert_int_eq(
        tenon(&p,
              "compare --model o --task lookup --out c --optimizers sgd,lora-rite-paper --lr-grid "
              "1e-05,2.345e-05 --iters 3 --count 5 --steps-per-eval 2 --seed 12345 --lora-rank 4"),
        0);
    ck_assert_int_eq(shell(&p, "test $(grep ' seed ' out | sed 's/ valid.*/|/' | awk '{ print "
                               "length }' | sort -u | wc -l) = 1"),
                     0); /* columns */
    ck_assert_int_eq(tenon(&p, "compare --config c/config.used --out d"), 0);
    ck_assert_int_eq(shell(&p, SAME("c", "d")), 0);
    ck_assert_int_eq(shell(&p, "mkdir f; cp r.jsonl f/train.jsonl; cp r.jsonl f/valid.jsonl"), 0);
    ck_assert_int_eq(
        tenon(&p, "compare --model o --data f --out e --optimizers sgd --lr-grid 1 --iters 1"), 0);
    ck_assert_int_eq(shell(&p, "grep -q valid_loss e/runs.jsonl && ! grep -q test_ e/runs.jsonl"),
                     0);
    place_end(&p);
}
END_TEST

/* A grid does not grow to rates below --lr-min, because a rate could not fall from there to
   --lr-min. */
START_TEST(a_grid_ends_at_the_least_rate)
{
    place p = place_make();
    make_model(&p);
    ck_assert_int_eq(tenon(&p,
                           "compare --model o --task lookup --out c --optimizers sgd --lr-min 1e29 "
                           "--lr-grid 1e29,1e30 --iters 2 --count 5"),
                     0);
    ck_assert_int_eq(shell(&p, "test $(wc -l <c/table.csv) = 3"), 0);
    place_end(&p);
}
END_TEST

/* ---- what a table reports about itself ---- */

/* The screen and the table report a best rate at the edge of the grid. They also report a study
   whose training improved nothing. */
START_TEST(an_edge_is_reported)
{
    place p = place_make();
    make_model(&p);
    ck_assert_int_eq(
        tenon(&p, "compare --model o --task lookup --out c --optimizers sgd,adamw --lr-grid "
                  "1e-10:1e-9:log2 --iters 2 --count 5 --opt sgd.momentum=0.9"),
        0);
    place_has(&p, "out", "nothing in this study beats the untrained model\n");
    place_has(&p, "out", "  as the untrained model\n");
    ck_assert_int_eq(
        shell(
            &p,
            "! grep -q 'edge:' out && grep '^sgd,.*,1,' c/table.csv | grep -q 'complete,nowhere,'"),
        0);
    ck_assert_int_eq(tenon(&p, "compare --model o --task lookup --out d --optimizers sgd,adamw "
                               "--lr-grid 1e-2 --iters 20 --count 50 --batch-size 8 "
                               "--opt sgd.weight_decay=1e3"),
                     0);
    place_has(&p, "out", "edge: the best rate of adamw, 0.01, is the only one that was tried");
    place_has(&p, "out", "\nno better than the untrained model: sgd\n");
    ck_assert_int_eq(shell(&p, "grep '^adamw,' d/table.csv | grep -q ',complete,only,'"), 0);
    ck_assert_int_eq(tenon(&p, "compare --model o --task lookup --out e --optimizers adamw "
                               "--lr-grid 1e-3,1e-2,1e30 --iters 20 --count 50"),
                     0);
    ck_assert_int_eq(shell(&p, "grep -q '^adamw,0.01,0,1,.*,complete,inside,' e/table.csv && "
                               "! grep -Eq 'edge|untrained model' out"),
                     0);
    place_end(&p);
}
END_TEST

/* A run that diverges is a row without losses. Its rate has no mean. */
START_TEST(a_diverged_run_is_a_result)
{
    place p = place_make();
    make_model(&p);
    ck_assert_int_eq(tenon(&p, "compare --model o --task lookup --out c --optimizers sgd --lr-grid "
                               "1e29,1e30 --lr-min 1e29 --warmup-steps 0 --iters 5 --count 5"),
                     0);
    place_has(&p, "out", "diverged: not finite after ");
    place_has(&p, "out", "every rate diverged in some run\n");
    place_has(&p, "out", "sgd           1e+29: 1 of 1 diverged  1e+30: 1 of 1 diverged\n");
    ck_assert_int_eq(shell(&p, "test $(grep -Ec '^sgd,1e\\+(29|30),0,0,,,,,,' c/table.csv) = 2 && "
                               "! grep -Eq 'nan|inf|_loss\":0,' c/table.csv c/runs.jsonl && "
                               "! grep -q valid_loss c/runs.jsonl"),
                     0);
    place_end(&p);
}
END_TEST

/* A step reads the clock when it begins and ends, and when its update begins and ends: each time a
   millisecond later. Four readings in a row, of which one is the first after a pause of four
   seconds: the pause falls into each part of a step. It changes the mean of the steps, but not
   their median. */
START_TEST(a_step_and_its_update_have_medians)
{
    place p = place_make();
    make_model(&p);
    for (int pause = 60; pause < 64; pause++) {
        ck_assert_int_eq(shell(&p,
                               "CLOCK_PAUSE=%d " TICKS "compare --model o --task lookup "
                               "--optimizers sgd --lr-grid 1e-3 --iters 60 --count 5 -o c "
                               "--overwrite >out 2>err",
                               pause),
                         0);
        place_has(&p, "out", "  3 ms/step, 1 of it the update  ");
        ck_assert_int_eq(shell(&p, "tail -n 1 c/table.csv | cut -d, -f 11,19 | "
                                   "grep -qx '0.00300,0.0010000'"),
                         0);
    }
    place_end(&p);
}
END_TEST

/* ---- stopping and resuming ---- */

/* A stopped study is marked as incomplete everywhere. It shows no best rate and no mean that could
   change. */
START_TEST(a_stopped_study_is_incomplete)
{
    place p = place_make();
    make_model(&p);
    ck_assert_int_eq(tenon(&p, STUDY " --out whole"), 0);
    ck_assert_int_eq(shell(&p, "! grep -rq incomplete whole && ! grep -q INCOMPLETE out"), 0);
    /* stopped in the second of the six runs of the second seed */
    ck_assert_int_eq(shell(&p, SENDS STUDY " --out c >out 2>err", "TERM", "8", "\"step\":1,"), 130);
    place_has(&p, "out", "\nINCOMPLETE: 7 runs are done, 5 of the grids so far are not");
    place_has(&p, "out", "its 2 seeds are done");
    ck_assert_int_eq(shell(&p, "grep -q '^lora-rite .* 0.01: 1 of 2 runs' out"), 0);
    place_has(&p, "out", " --out c --resume\n");
    place_has(&p, "c/config.used", "\n# incomplete: ");
    ck_assert_int_eq(
        shell(
            &p,
            "test $(grep -c ',incomplete,,' c/table.csv) = 7 && test $(wc -l <c/runs.jsonl) = 7 && "
            "! cut -d, -f4 c/table.csv | grep -q 1"),
        0);
    ck_assert_int_eq(tenon(&p, STUDY " --out c"), 1);
    place_has(&p, "err",
              "c/runs.jsonl: of an older study; --resume goes on with one that was stopped");
    /* the config file is enough to resume */
    ck_assert_int_eq(tenon(&p, "compare --config c/config.used --out c --resume"), 0);
    place_has(&p, "out", " of 12 runs are done\n");
    ck_assert_int_eq(shell(&p, SAME("c", "whole")), 0);
    place_end(&p);
}
END_TEST

/* A study may be stopped often, by any signal, each time after some more of its writes. At the end
   its files are those of a study that was not stopped. */
START_TEST(a_stopped_study_goes_on)
{
    static const char *const signals[] = { "KILL", "INT", "TERM" };
    place p = place_make();
    make_model(&p);
    ck_assert_int_eq(tenon(&p, STUDY " --out c"), 0);
    ck_assert_int_eq(shell(&p,
                           "n=0 k=1 again=; until " SENDS STUDY " --out d $again >out 2>err; do "
                           "grep -q tenon: err && exit 9; test -s d/runs.jsonl && n=$((n + 1)); "
                           "test -e d/config.used && again=--resume; "
                           "k=$((k + k / 8 + 1)); done; echo $n >stops",
                           signals[_i], "$k", ""),
                     0);
    ck_assert_int_eq(shell(&p, "test $(cat stops) -ge 3"), 0);
    ck_assert_int_eq(shell(&p, SAME("c", "d")), 0);
    /* a resume of a finished study changes nothing */
    ck_assert_int_eq(tenon(&p, STUDY " --out d --resume --threads 1"), 0);
    ck_assert_int_eq(shell(&p, SAME("c", "d")), 0);
    place_end(&p);
}
END_TEST

/* `prepare` changes the folder of a study that was stopped after its 4th run. Then --resume is
   tried, unless the arguments begin with "!": then they say how. */
typedef struct row {
    const char *prepare, *arguments;
    int status;
    const char *line;
} row;

#define HALF                                                                                       \
    "head -4 c/runs.jsonl >r; mv r c/runs.jsonl; echo '# incomplete: ' >>c/config.used; rm c/table.csv; "

/* clang-format off */
static const row rows[] = {
    /* accepted: runs that were not finished are done again */
    { "", "", 0, "" },
    { "printf '{\"optimizer\":\"sgd\",\"learn' >>c/runs.jsonl", "", 0, "" },
    { "printf '{\"optimizer\":\"lora-rite\",\"learning_rate\":0.01,' >>c/curves.jsonl", "", 0, "" },
    { "grep -v lora-rite c/curves.jsonl >r; head -30 r >c/curves.jsonl; head -2 c/runs.jsonl >r; "
      "mv r c/runs.jsonl", "", 0, "" },
    { ": >c/runs.jsonl", "", 0, "" },
    { ": >c/runs.jsonl; : >c/curves.jsonl", "", 0, "" },
    { "rm c/runs.jsonl c/curves.jsonl", "", 0, "" },
    { "sed -i '/^# incomplete/d' c/config.used", "", 0, "" },
    { "", "--threads 1", 0, "" },
    { "", "! --auto-resume", 0, "" },
    { "rm -r c", "! --auto-resume", 0, "" },
    { "cp -r o p", "--model p", 0, "" },
    /* another study */
    { "", "--lora-rank 4", 1, "--resume: --lora-rank: other than in c/config.used" },
    { "", "--seeds 3", 1, "--resume: --seeds: other than in c/config.used" },
    { "", "--steps-per-report 4", 1, "--resume: --steps-per-report: other than in" },
    { "", "--opt sgd.momentum=0.5", 1, "--resume: --opt: other than in" },
    { "sed -i 's/^lr-grid = .*/lr-grid = 1/' c/config.used", "", 1, "--resume: --lr-grid: other than in" },
    { "sed -i 's/^optimizers = .*//' c/config.used", "", 1, "--resume: --optimizers: other than in" },
    { "sed -i '2s/0.01/0.02/' c/runs.jsonl", "", 1,
      "c/runs.jsonl:2: a run that this study does not have" },
    { "sed -i '1s/\"sgd\"/\"lion\"/' c/runs.jsonl", "", 1,
      "c/runs.jsonl:1: expected a finished run of this study" },
    { "\"$T\" train --model m --data task:arithmetic --tokenizer chars -o p --iters 4 >q", "--model p", 1,
      "--resume: frozen weights: other than in c/config.used" },
    { "sed -i 's/n_head\": 2/n_head\": 4/' o/config.json", "", 1, "--resume: model: other than in c/config.used" },
    { "sed -i 's/\"untrained_loss\":4/\"untrained_loss\":5/' c/runs.jsonl", "", 1,
      "--resume: the loss of the untrained model is 4" },
    /* a damaged or missing folder */
    { "sed -i '2s/^/x/' c/runs.jsonl", "", 1, "c/runs.jsonl:2: found 'x' at column 1" },
    { "sed -i '2d' c/runs.jsonl; sed -n 1p c/runs.jsonl >>c/runs.jsonl", "", 1,
      "c/runs.jsonl:4: a run that this study does not have" },
    { "sed -i '2s/\"diverged_at\":0/\"diverged_at\":3/' c/runs.jsonl", "", 1,
      "c/runs.jsonl:2: expected a finished run of this study" },
    { "sed -i '2s/\"valid_loss\":[^,]*/\"valid_loss\":\"low\"/' c/runs.jsonl", "", 1,
      "c/runs.jsonl:2: /valid_loss is the string \"low\"" },
    { "sed -i '2s/\"test_exact\":[0-9]*/\"test_exact\":99/' c/runs.jsonl", "", 1,
      "c/runs.jsonl:2: expected a finished run of this study" },
    { "sed -i '2s/\"seed\":0/\"seed\":7/' c/runs.jsonl", "", 1,
      "c/runs.jsonl:2: expected a finished run of this study" },
    { "rm c/config.used", "", 1, "c/config.used: does not exist; expected a study to resume" },
    { "rm c/curves.jsonl", "", 1, "c/curves.jsonl: cannot open: No such file or directory" },
    { "rm -r c", "", 1, "c/config.used: does not exist; expected a study to resume" },
    { "", "--overwrite", 2, "--resume and --overwrite: use only one" },
    { "", "! --auto-resume --overwrite", 2, "--auto-resume and --overwrite: use only one" },
    { "", "!", 1, "c/config.used: in the way of what tenon compare writes, and changed" },
};
/* clang-format on */

START_TEST(a_resume_trusts_nothing)
{
    place p = place_make();
    const row *r = &rows[_i];
    make_model(&p);
    ck_assert_int_eq(tenon(&p, STUDY " --out d"), 0);
    ck_assert_int_eq(shell(&p, "cp -r d c; " HALF "%s", *r->prepare ? r->prepare : ":"), 0);
    const bool other = *r->arguments == '!';
    const int status =
        tenon(&p, STUDY " --out c %s %s", other ? "" : "--resume", r->arguments + other);
    place_has(&p, "err", r->line);
    ck_assert_int_eq(status, r->status);
    if (!status)
        ck_assert_int_eq(shell(&p,
                               "sed -i 's/^model = .*/model = o/' c/config.used; " SAME("c", "d")),
                         0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, a_study_is_fair);
    tcase_add_test(c, a_grid_goes_on_in_its_steps);
    tcase_add_test(c, a_study_can_be_repeated);
    tcase_add_test(c, a_grid_ends_at_the_least_rate);
    tcase_add_test(c, an_edge_is_reported);
    tcase_add_test(c, a_diverged_run_is_a_result);
    tcase_add_test(c, a_step_and_its_update_have_medians);
    tcase_add_test(c, a_stopped_study_is_incomplete);
    tcase_add_loop_test(c, a_stopped_study_goes_on, 0, 3);
    tcase_add_loop_test(c, a_resume_trusts_nothing, 0, sizeof rows / sizeof *rows);
}
