/* test_team.c - a run of several processes is the run of one, to the bit.
   The cases with mpirun are those of a build with MPI: make WITH_MPI=1. */
#include "apps/run/spread.h"
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* The sum is one more block as large as the gradients. */
START_TEST(the_sum_is_counted)
{
    place p = place_make();
    const char *dry = "train --model m --data t.txt --tokenizer bytes --dry-run --max-seq-length 8";
    ck_assert_int_eq(tenon(&p, "%s --grad-accumulation-steps 2", dry), 0);
    ck_assert_int_eq(shell(&p, "awk '$1 == \"gradients\" { g = $2 $3 } $1 == \"sum\" { s = $2 $3 } "
                               "END { exit !(g && g == s) }' out"),
                     0);
    ck_assert_int_eq(tenon(&p, "%s", dry), 0);
    ck_assert_int_eq(shell(&p, "! grep -q '  sum ' out"), 0);
    place_end(&p);
}
END_TEST

/* ---- how it is built ---- */

START_TEST(a_build_says_what_it_has)
{
    char built[64];
    place p = place_make();
    team_built(built, sizeof built);
    ck_assert_int_eq(tenon(&p, "--version"), 0);
    place_has(&p, "out", built);
    ck_assert_int_eq(shell(&p, "MAKEFLAGS= make -sC '%s' WITH_MPI=0 info >out 2>err", p.before), 0);
    place_has(&p, "out", "\nMPI        no; make WITH_MPI=1 ");
    ck_assert_int_eq(shell(&p, "MAKEFLAGS= make -sC '%s' WITH_MPI=1 MPICC=no-mpicc info >out 2>err",
                           p.before),
                     2);
    place_has(&p, "err", "expected the packages libopenmpi-dev and openmpi-bin");
    place_end(&p);
}
END_TEST

/* Without MPI two processes would do the same work twice. */
START_TEST(needs_a_build_with_mpi)
{
    place p = place_make();
    ck_assert_int_eq(
        shell(&p, "%s=2 \"$T\" train --model m --data t.txt --tokenizer bytes -o o >out 2>err",
              _i ? "PMI_SIZE" : "OMPI_COMM_WORLD_SIZE"),
        2);
    place_has(&p, "err",
              "tenon: mpirun started 2 processes, and this program was built without MPI");
    ck_assert_int_eq(shell(&p, "test $(wc -l <err) = 1 && test ! -s out && test ! -e o"), 0);
    place_end(&p);
}
END_TEST

/* ---- several processes ---- */

/* -q: no lines of mpirun about a status that is not 0. */
#define MPIRUN                                                                                     \
    "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun -q --oversubscribe "
#define STEPS                                                                                      \
    "--iters 4 --batch-size 2 --grad-accumulation-steps 12 --steps-per-report 1 --save-every 2 "
/* A record of log.jsonl without times, memory and the folder. */
#define NUMBERS_OF(folder)                                                                          \
    "sed -E 's/\"(elapsed_s|eta_s|rss_mb|threads|tok_per_s)\":[^,}]*//g; s/\"config\".*//' " folder \
    "/log.jsonl"

/* A base b, records r.jsonl, preferences p.jsonl. */
static place make(void)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data r.jsonl -o b --iters 9"),
                     0);
    ck_assert_int_eq(shell(&p, "sed -E 's/\"completion\": \"(.*)\\.\"/\"chosen\": \"\\1.\", "
                               "\"rejected\": \" 7\"/' r.jsonl >p.jsonl"),
                     0);
    return p;
}

static const char *const kinds[] = {
    "--model b --data r.jsonl --lora-dropout 0.1 --valid-split 0.2 --steps-per-eval 2",
    "--model b --data r.jsonl --lora-rank 2 --optimizer lora-rite --no-packing",
    "--model b --data r.jsonl --packing --target-modules c_attn",
    "--model b --data r.jsonl --fine-tune-type full --dropout 0.1",
    "--model m --tokenizer bytes --data t.txt --valid-split 0.2 --max-seq-length 32 --load-best",
    "--model b --data p.jsonl --lora-rank 2 --valid-split 0.2 --steps-per-eval 2",
    "--model b --data p.jsonl --fine-tune-type full",
};

START_TEST(no_bit_depends_on_the_number_of_processes)
{
    place p = make();
    ck_assert_int_eq(tenon(&p, "train %s " STEPS "-o one", kinds[_i]), 0);
    for (int n = 2; n <= 4; n++) {
        ck_assert_int_eq(shell(&p,
                               MPIRUN "-np %d \"$T\" train %s " STEPS "-o all >out 2>err; s=$?; "
                                      "cat err; exit $s",
                               n, kinds[_i]),
                         0);
        place_same(&p, "one", "all");
        ck_assert_int_eq(shell(&p, NUMBERS_OF("one") " >1; " NUMBERS_OF(
                                       "all") " >2; cmp 1 2 && "
                                              "test $(grep -c loss 1) -ge 4"),
                         0);
        place_has(&p, "out", "saved all\n");
        ck_assert_int_eq(shell(&p, "test $(grep -c '^model ' out) = 1 && rm -r all"), 0);
    }
    place_end(&p);
}
END_TEST

/* What one process left, three go on with, and the other way round. */
START_TEST(another_number_resumes)
{
    static const char *const how[][2] = { { MPIRUN "-np 3 ", "" }, { "", MPIRUN "-np 2 " } };
    place p = make();
    const char *train =
        "\"$T\" train --model b --data r.jsonl --optimizer lora-rite --valid-split 0.2 "
        "--steps-per-eval 2 " STEPS;
    ck_assert_int_eq(shell(&p, "%s%s -o whole >out", how[_i][0], train), 0);
    ck_assert_int_eq(shell(&p, "mkdir o; cp -r whole/checkpoint-2 whole/config.used o"), 0);
    ck_assert_int_eq(shell(&p, "%s%s -o o --resume >out", how[_i][1], train), 0);
    place_has(&p, "out", "resumed    after step 2\n");
    ck_assert_int_eq(shell(&p, "rm whole/best o/best"), 0);
    ck_assert_int_eq(shell(&p, "for f in adapter_model.safetensors checkpoint-4; do "
                               "diff -r whole/$f o/$f || exit 1; done"),
                     0);
    place_end(&p);
}
END_TEST

/* The short trials. */
START_TEST(trials)
{
    static const char *const tries[] = { "--find-lr", "--dry-run", "--fast-dev-run" };
    place p = make();
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(shell(&p,
                               MPIRUN "-np 2 \"$T\" train --model b --data r.jsonl --batch-size 2 "
                                      "--iters 30 --grad-accumulation-steps 2 %s >out 2>err",
                               tries[i]),
                         0);
        ck_assert_int_eq(shell(&p, "test $(grep -c 'nothing was written' out) = 1"), 0);
        if (i > 0)
            continue;
        ck_assert_int_eq(shell(&p, "grep ^lowest out >all"), 0);
        ck_assert_int_eq(tenon(&p, "train --model b --data r.jsonl --batch-size 2 --iters 30 "
                                   "--grad-accumulation-steps 2 --find-lr"),
                         0);
        ck_assert_int_eq(shell(&p, "grep ^lowest out | diff - all"), 0);
    }
    place_end(&p);
}
END_TEST

#define TRAIN "\"$T\" train --model b --data r.jsonl --batch-size 2 -o o --iters 9 "

/* clang-format off */
static const struct { const char *command; int status; const char *says; } refused[] = {
    /* wrong usage */
    { "-np 4 " TRAIN, 2, "--grad-accumulation-steps 1: 4 processes share the batches of a step; "
      "expected 4, or a multiple of it (--batch-size is the rows of one of these batches)" },
    { "-np 2 " TRAIN "--grad-accumulation-steps 3", 2, "3: 2 processes share" },
    { "-np 2 " TRAIN "--grad-accumulation-steps 2 --itres 3", 2, "--itres: unknown option" },
    { "-np 2 " TRAIN "--grad-accumulation-steps 2 --data - <r.jsonl", 2,
      "--data -: 2 processes cannot read one standard input" },
    { "-np 2 \"$T\" generate --model b -p 1", 2,
      "generate: mpirun started 2 processes; expected one: only training runs on more" },
    { "-np 2 \"$T\" compare --model b --data r.jsonl --out c", 2, "compare: mpirun started 2" },
    /* all processes fail */
    { "-np 2 " TRAIN "--grad-accumulation-steps 2 --adapter-path no", 1, "tenon: no" },
    /* one process fails: before the run begins */
    { "-np 1 " TRAIN "--grad-accumulation-steps 2 : -np 1 \"$T\" train --model b --data no.jsonl "
      "--grad-accumulation-steps 2 -o o", 1, "no.jsonl: No such file" },
    { "-np 1 " TRAIN "--grad-accumulation-steps 2 : -np 1 \"$T\" train --model b --data s.jsonl "
      "--batch-size 2 --grad-accumulation-steps 2 --iters 9 -o o", 1,
      "process 1: the training data are other than in process 0" },
    { "-np 1 " TRAIN "--grad-accumulation-steps 2 : -np 1 " TRAIN "--grad-accumulation-steps 2 "
      "--seed 1", 1, "process 1: the options or weights are other than in process 0" },
    { "-np 1 " TRAIN "--grad-accumulation-steps 2 : -np 1 -x TN_ISA=scalar " TRAIN
      "--grad-accumulation-steps 2", 1, "kernels scalar; expected " },
    { "-np 2 \"$T\" train --model b --data r.jsonl --grad-accumulation-steps 2 -o m/config.json", 1,
      "m/config.json" },
};
/* clang-format on */

/* The message comes once, and nothing is left. */
START_TEST(ends_all_processes)
{
    place p = make();
    ck_assert_int_eq(shell(&p, "head -n 22 r.jsonl >s.jsonl"), 0);
    ck_assert_int_eq(shell(&p, MPIRUN "%s >out 2>err", refused[_i].command), refused[_i].status);
    place_has(&p, "err", refused[_i].says);
    ck_assert_int_eq(shell(&p, "test $(grep -c ^tenon err) = 1 && test ! -e o && test ! -e c"), 0);
    place_end(&p);
}
END_TEST

/* A number that is not finite, in whichever process, has the message of a single process. */
START_TEST(names_the_same_op)
{
    place p = make();
    const char *train =
        "\"$T\" train --model b --data r.jsonl --batch-size 2 --fine-tune-type full --lr "
        "1e30 --iters 9 --save-every 1 --grad-accumulation-steps 6";
    ck_assert_int_eq(shell(&p, "%s -o o >out 2>one", train), 1);
    place_has(&p, "one", "newest checkpoint is after step 1");
    ck_assert_int_eq(shell(&p, MPIRUN "-np 3 %s -o q >out 2>err", train), 1);
    ck_assert_int_eq(shell(&p, "grep ^tenon err | diff - one"), 0);
    place_end(&p);
}
END_TEST

#define LONG                                                                                       \
    "\"$T\" train --model b --data r.jsonl --grad-accumulation-steps 2 --batch-size 2 "            \
    "--save-every 100000 --steps-per-report 50 --lr-scheduler constant --warmup-steps 0 "          \
    "--max-time 250s "
#define BEGUN "await grep -q '\"step\":50,' o/log.jsonl; "

/* A folder that is taken away fails in process 0 alone, in the midst of a run. */
START_TEST(a_failure_in_the_midst_ends_all)
{
    place p = make();
    ck_assert_int_eq(shell(&p, MPIRUN "-np 2 " LONG "-o o --iters 1000000 >out 2>err & " BEGUN
                                      "mv o gone; kill -USR1 $pid; wait $pid"),
                     1);
    ck_assert_int_eq(shell(&p, "test $(grep -c ^tenon err) = 1"), 0);
    place_end(&p);
}
END_TEST

/* A signal to one process saves and ends the run in all; so does one to mpirun, to save only. */
START_TEST(a_signal_saves)
{
    place p = make();
    ck_assert_int_eq(shell(&p,
                           MPIRUN "-np 2 " LONG "-o o --iters 1000000 >out 2>err & " BEGUN
                                  "kill -USR1 $pid; await eval 'ls o | grep -q checkpoint'; "
                                  "kill -TERM $(pgrep -P $pid tenon | %s -n 1); wait $pid",
                           _i ? "head" : "tail"),
                     130);
    place_has(&p, "out", "stopped and saved after step ");
    place_has(&p, "out", "\nto continue: mpirun -np 2 ");
    ck_assert_int_eq(shell(&p, "test $(grep -c ^stopped out) = 1"), 0);
    ck_assert_int_eq(
        shell(&p, "n=$(sed -n 's/^stopped and saved after step //p' out); n=$((n + 3)); " LONG
                  "-o o --resume --iters $n >out && " LONG "-o one --iters $n >out"),
        0);
    ck_assert_int_eq(shell(&p, "cmp o/adapter_model.safetensors one/adapter_model.safetensors"), 0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    char built[64];
    team_built(built, sizeof built);
    tcase_add_test(c, the_sum_is_counted);
    tcase_add_test(c, a_build_says_what_it_has);
    if (!strcmp(built, "no MPI")) {
        tcase_add_loop_test(c, needs_a_build_with_mpi, 0, 2);
        return;
    }
    tcase_add_loop_test(c, no_bit_depends_on_the_number_of_processes, 0,
                        sizeof kinds / sizeof *kinds);
    tcase_add_loop_test(c, another_number_resumes, 0, 2);
    tcase_add_test(c, trials);
    tcase_add_loop_test(c, ends_all_processes, 0, sizeof refused / sizeof *refused);
    tcase_add_test(c, names_the_same_op);
    tcase_add_test(c, a_failure_in_the_midst_ends_all);
    tcase_add_loop_test(c, a_signal_saves, 0, 2);
}
