/* test_output.c - the folder of a command: output.c, swap.c, guard.c, marker.c and parents.c.
   A run may replace only files that an older run wrote. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

#define T "\"$T\" "
#define HOW "--tokenizer chars --iters 2 --progress none "
#define NEW T "train --model m " HOW /* from random weights */
#define TRAIN NEW "--data t.txt -o o "
#define OVER T "train --progress none --iters 2 --overwrite --data t.txt -o o " /* another model */
#define DONE TRAIN "; "                          /* a finished run in o */
#define OTHER NEW "--data t.txt --seed 1 -o p; " /* another one in p */
#define MODEL NEW "--data r.jsonl -o b; "        /* a model b with weights and a tokenizer */
#define PROJECT "mkdir o; cp m/config.json o; echo '{}' >o/tokenizer.json; echo mine >o/log.jsonl; "
#define PARTS MODEL "mkdir d; for f in train valid; do cp r.jsonl d/$f.jsonl; done; "
#define COMPARE T "compare --model b --data d --optimizers sgd --lr-grid 1e-3 "
#define STUDY COMPARE "--iters 2 --out o "
#define ADAPTED MODEL T "train --model b --data r.jsonl -o a --iters 2 --progress none; "
#define FUSE T "fuse --model b --adapter-path a >log -o o"
#define FUSED ADAPTED FUSE "; "

/* `made` makes files, then the command runs. The files that `kept` names must then be unchanged,
   including their links. */
typedef struct row {
    const char *made, *command;
    int status;
    const char *says; /* on standard error */
    const char *kept;
} row;

/* clang-format off */
static const row rows[] = {
    /* only files of a run are replaced, and only if their names have exactly its forms */
    { DONE "cp -r o/checkpoint-2 o/checkpoint-2-best", TRAIN "--overwrite", 0, "",
      "o/checkpoint-2-best" },
    { DONE "cp -r o/checkpoint-2 o/checkpoint-002", TRAIN "--overwrite", 0, "", "o/checkpoint-002" },
    { DONE "mkdir o/checkpoint-9.tmp; echo mine >o/checkpoint-9.tmp/model.safetensors",
      TRAIN "--overwrite", 0, "", "o/checkpoint-9.tmp" },
    { DONE "echo mine >o/notes.txt; echo mine >o/log.jsonl.tmp", TRAIN "--overwrite", 0, "",
      "o/notes.txt o/log.jsonl.tmp" },
    { PROJECT "cp o/* .", NEW "--data t.txt --overwrite --output-dir .", 1,
      "./config.json: in the way of what tenon train writes", "config.json tokenizer.json log.jsonl" },
    { PROJECT, TRAIN "--overwrite", 1, "o/config.json: in the way", "o" },
    { PROJECT "rm o/config.json", TRAIN, 1, "o/log.jsonl: in the way", "o" },
    { "mkdir o; echo mine >o/adapter_config.json", TRAIN "--overwrite", 1,
      "o/adapter_config.json: in the way", "o" },
    { DONE "echo mine >o/adapter_config.json", TRAIN "--overwrite", 1,
      "o/adapter_config.json: in the way", "o" },
    /* a listed file that is not as the run wrote it is somebody else's */
    { DONE "echo >>o/config.json", TRAIN "--overwrite", 1,
      "o/config.json: in the way of what tenon train writes, and changed since a run wrote it", "o" },
    { DONE OTHER "cp p/model.safetensors o", TRAIN "--overwrite", 1, "o/model.safetensors: in the way",
      "o" },
    { DONE OTHER "cp p/model.safetensors o", TRAIN "--resume", 1, "o/model.safetensors: in the way",
      "o" },
    { DONE "echo '# mine' >>o/config.used", TRAIN "--overwrite", 1, "o/config.used: in the way", "o" },
    { DONE "echo mine >o/log.jsonl", TRAIN "--overwrite", 1, "o/log.jsonl: in the way", "o" },
    { DONE "echo mine >o/older-config.used", TRAIN "--overwrite", 1, "o/older-config.used: in the way",
      "o" },
    { DONE "touch o/*; echo '# mine' >>o/config.used", TRAIN "--resume", 0, "", "m" },
    { DONE "touch o/*; cp -r o q; rm -r o; mv q o", TRAIN "--overwrite", 0, "", "m" },
    { PARTS STUDY "; echo mine >o/table.csv", STUDY "--overwrite", 1, "o/table.csv: in the way", "o" },
    { PARTS STUDY "; echo mine >o/curves.jsonl", STUDY "--overwrite", 1, "o/curves.jsonl: in the way",
      "o" },
    { PARTS STUDY "; echo mine >o/runs.jsonl", STUDY "--overwrite", 1, "o/runs.jsonl: in the way", "o" },
    { "mkdir o; echo mine >o/config.used", TRAIN, 1, "o/config.used: in the way", "o" },
    { "mkdir -p o/model.safetensors", TRAIN, 1, "o/model.safetensors: in the way", "o" },
    { "mkdir -p o/checkpoint-2", TRAIN, 1, "o/checkpoint-2: in the way", "o" },
    { "mkdir -p o/checkpoint-9; echo mine >o/checkpoint-9/a", TRAIN "--overwrite", 1,
      "o/checkpoint-9: in the way", "o" },
    { "mkdir o; echo mine >o/checkpoint-9", TRAIN "--overwrite", 1, "o/checkpoint-9: in the way", "o" },
    { DONE OTHER "cp -r p/checkpoint-2 o/checkpoint-9", TRAIN "--overwrite", 1,
      "o/checkpoint-9: in the way", "o" },
    { DONE OTHER "rm -r o/checkpoint-2; cp -r p/checkpoint-2 o", TRAIN "--resume", 1,
      "o/checkpoint-2: in the way", "o" },
    { DONE "echo mine >o/checkpoint-2/notes.txt", TRAIN "--overwrite", 1,
      "o/checkpoint-2/notes.txt: in the way", "o" },
    { DONE, TRAIN "--overwrite --dump-graph o/profile.svg", 2, "in o; expected another folder", "o" },
    { "mkdir o", TRAIN "--dump-graph o/model.safetensors", 2, "in o; expected another folder", "o" },
    { DONE, TRAIN "--overwrite --dump-graph o/checkpoint-2/g.svg", 2, "expected another folder", "o" },
    { "", TRAIN "--dump-graph m/model.svg", 2, "in m; expected another folder", "m" },
    { DONE "echo mine >o/checkpoint-2/notes.txt", TRAIN "--resume", 0, "", "o/checkpoint-2" },
    { DONE "echo mine >o/checkpoint-2/tokenizer.json", TRAIN "--overwrite", 1,
      "o/checkpoint-2/tokenizer.json: in the way", "o" },
    { DONE "cp o/tokenizer.json mine; ln -sf ../../mine o/checkpoint-2/tokenizer.json",
      TRAIN "--overwrite", 1, "o/checkpoint-2/tokenizer.json: in the way", "o mine" },
    { "mkdir o; echo mine >o/.tenon-run", TRAIN "--overwrite", 1, "o/.tenon-run:", "o" },
    { "mkdir o; echo '{\"run\": \"12\", \"command\": \"train\", \"files\": [\"config.json\"]}' "
      ">o/.tenon-run; echo mine >o/config.json", TRAIN "--overwrite", 1, "o/.tenon-run", "o" },
    { "mkdir o; echo '{\"files\": [\"config.json\"]}' >o/.tenon-run; echo mine >o/config.json",
      TRAIN "--overwrite", 1, "o/.tenon-run: it has no run", "o" },
    { DONE "echo mine >n.txt; echo mine >o/notes.txt; sed -i 's/\"files\": \\[/&\"..\\/n.txt\", "
      "\"notes.txt\", /' o/.tenon-run", TRAIN "--overwrite", 0, "", "n.txt o/notes.txt" },

    /* nothing through a link */
    { DONE "mkdir home; echo mine >home/a; ln -s ../home o/checkpoint-old.tmp", TRAIN "--overwrite", 0,
      "", "home o/checkpoint-old.tmp" },
    { DONE "mkdir home; echo mine >home/model.safetensors; "
      "ln -s ../home o/checkpoint-1.0123456789abcdef.tmp",
      TRAIN "--overwrite", 0, "", "home o/checkpoint-1.0123456789abcdef.tmp" },
    { DONE "mv o/checkpoint-2 home; ln -s ../home o/checkpoint-2", TRAIN "--overwrite", 1,
      "o/checkpoint-2: in the way", "home o" },
    { DONE "mkdir home; echo mine >home/log.jsonl; ln -s ../home o/.tenon-0123456789abcdef.tmp",
      TRAIN "--overwrite", 1, "o/.tenon-0123456789abcdef.tmp: cannot be removed", "home o" },
    { DONE "mkdir home; echo mine >home/log.jsonl; ln -s ../home o/.tenon-new", TRAIN "--overwrite", 1,
      "o/.tenon-new: cannot be opened", "home o" },
    { "mkdir home; ln -s home o", TRAIN, 1, "o: a link to home; expected a folder", "home o" },
    { "mkdir home; ln -s home o", NEW "--data t.txt -o o/", 1, "o: a link to home; expected a folder",
      "home o" },
    { "mkdir home; ln -s home o", NEW "--data t.txt -o o/.//", 1, "o: a link to home", "home o" },
    { "ln -s home o", TRAIN, 1, "o: a link to home; expected a folder", "o" },
    { "mkdir o; echo mine >mine; ln -s ../mine o/log.jsonl", TRAIN "--overwrite", 1,
      "o/log.jsonl: in the way", "mine o" },
    { DONE "mv o/log.jsonl mine; ln -s ../mine o/log.jsonl", TRAIN "--resume", 1,
      "o/log.jsonl: in the way", "mine o" },
    { DONE "mv o/model.safetensors mine; ln -s ../mine o/model.safetensors", TRAIN "--overwrite", 1,
      "o/model.safetensors: in the way", "mine o" },
    { DONE "mv o/.tenon-run mine; ln -s ../mine o/.tenon-run", TRAIN "--overwrite", 1,
      "o/.tenon-run: cannot open", "mine o" },
    { DONE "cp -al o backup", TRAIN "--overwrite --seed 1", 0, "", "backup" }, /* hard links */
    { DONE "cp -al o backup", TRAIN "--resume", 0, "", "backup" },
    { "mkdir home; ln -s home l", NEW "--data t.txt -o l/o", 0, "", "l" }, /* a link above the folder is followed */

    /* files that are read stay */
    { DONE "cp o/*.json o/checkpoint-2", OVER "--model o/checkpoint-2", 2,
      "o/checkpoint-2 could be replaced, and --model o/checkpoint-2 reads it", "o" },
    { DONE, T "train --model o/checkpoint-2 --data t.txt -o o", 2, "--model o/checkpoint-2 reads it", "o" },
    { DONE, OVER "--model $PWD/./o/../o/checkpoint-2/", 2, "reads it", "o" },
    { DONE "ln -s o/checkpoint-2 l", OVER "--model l", 2, "--model l reads it", "o l" },
    { DONE "mkdir o/checkpoint-2/m; cp m/* o/checkpoint-2/m", OVER "--model o/checkpoint-2/m", 2,
      "could be replaced, and --model o/checkpoint-2/m reads it", "o" },
    { DONE "mkdir -p o/checkpoint-2/m/n; cp m/* o/checkpoint-2/m/n", OVER "--model o/checkpoint-2/m/n",
      2, "could be replaced, and --model o/checkpoint-2/m/n reads it", "o" },
    { DONE "mkdir l; cp o/*.json l; ln -s ../o/model.safetensors l", OVER "--model l", 2,
      "o/model.safetensors could be replaced, and --model l reads it", "o l" },
    { DONE "mkdir l; cp -l o/*.json o/*.safetensors l", OVER "--model l", 2, "could be replaced", "o l" },
    { DONE, T "train --model o --data t.txt -o ./o/ --overwrite", 2, "o: the folder of --model", "o" },
    { DONE "ln -s o l", OVER "--model l", 2, "o: the folder of --model", "o" },
    { "mkdir d; cp r.jsonl d/train.jsonl", NEW "--data d -o d", 2, "d: the folder of --data", "d" },
    { DONE "cp r.jsonl o/checkpoint-2", NEW "--data o/checkpoint-2/r.jsonl -o o --overwrite", 2,
      "--data o/checkpoint-2/r.jsonl reads it", "o" },
    { DONE "mkdir d; ln -s ../o/log.jsonl d/train.jsonl", NEW "--data d -o o --overwrite", 2,
      "o/log.jsonl could be replaced, and --data d reads it", "o d" },
    { DONE, NEW "--data o/log.jsonl -o o --overwrite", 2, "o/log.jsonl could be replaced", "o" },
    { DONE, T "train --config o/config.used -o o --overwrite", 2, "--config o/config.used reads it", "o" },
    { DONE, T "train --config o/config.used -o o --resume", 0, "", "o/config.used" },
    { MODEL "mkdir o; mv b o/base; cp r.jsonl o", T "train --model o/base --data o/r.jsonl -o o --iters 2",
      0, "", "o/base o/r.jsonl" },
    { "", NEW "--data t.txt -o m/o", 0, "", "m/config.json" },
    { "mkdir d; cp r.jsonl d/train.jsonl", NEW "--data d -o d/o", 0, "", "d/train.jsonl" },

    /* a run that fails changes nothing */
    { DONE, T "train --model m --tokenizer chars --data t.txt -o o --overwrite --learning-rate 1e30", 1,
      "step 2: ", "o" },
    { DONE, TRAIN "--overwrite --optimizer adamv", 2, "unknown", "o" },
    { DONE, NEW "--overwrite --data none.txt -o o", 1, "none.txt", "o" },
    { DONE, "ulimit -f 4; " TRAIN "--overwrite", 1, "File too large", "o" },
    { DONE, TRAIN, 1, "o: holds a finished run (model.safetensors); --overwrite replaces it", "o" },
    { DONE, TRAIN " --optimizer adam8bit", 2, "optimizer \"adam8bit\": unknown", "o" },
    { DONE, TRAIN " --report-to wandb", 2, "--report-to \"wandb\": expected jsonl, csv", "o" },
    { "mkdir home", NEW "--data t.txt -o home/o --optimizer adamv", 2, "", "home" },

    /* other commands */
    { PARTS "mkdir o; echo mine >o/table.csv", STUDY "--overwrite", 1, "o/table.csv: in the way", "o" },
    { PARTS "mkdir o home; echo mine >home/a; ln -s ../home/a o/runs.jsonl", STUDY "--overwrite", 1,
      "o/runs.jsonl: in the way", "o home" },
    { PARTS "mkdir home; ln -s home o", STUDY, 1, "o: a link to home", "o home" },
    { PARTS, COMPARE "--out b --overwrite", 2, "--out b: the folder of --model", "b" },
    { PARTS, COMPARE "--out d", 2, "--out d: the folder of --data", "d" },
    { PARTS, COMPARE "--iters 2 --out b/o", 0, "", "b/model.safetensors" },
    { PARTS STUDY "; echo mine >o/notes.txt", STUDY "--overwrite", 0, "", "o/notes.txt" },
    { PARTS STUDY, T "compare --config o/config.used --out o --overwrite", 2, "reads it", "o" },
    { PARTS STUDY, TRAIN "--overwrite", 1, "o: what tenon compare wrote", "o" },
    { PARTS DONE, STUDY "--overwrite", 1, "o: what tenon train wrote", "o" },
    { PARTS STUDY, STUDY "--overwrite --opt adam.beta1=0.5", 2, "not among", "o" },
    { PARTS STUDY, STUDY, 1, "o/runs.jsonl: of an older study", "o" },
    { PARTS STUDY, "ulimit -f 4; " COMPARE "--out o --overwrite --iters 99 --steps-per-report 1", 1,
      "File too large", "o/runs.jsonl o/curves.jsonl o/table.csv o/config.used o/.tenon-run" },
    { ADAPTED "mkdir o; echo mine >o/config.json", FUSE " --overwrite", 1, "o/config.json: in the way", "o" },
    { ADAPTED "mkdir home; ln -s home o", FUSE, 1, "o: a link to home", "home o" },
    { FUSED, FUSE, 1, "o/model.safetensors: of an older result; --overwrite replaces it", "o" },
    { FUSED "echo mine >o/notes.txt", FUSE " --overwrite", 0, "", "o/notes.txt a b" },
    { FUSED, TRAIN "--overwrite", 1, "o: what tenon fuse wrote", "o" },
    { ADAPTED "echo mine >o.gguf", FUSE ".gguf", 2, "o.gguf: something is there", "o.gguf" },
    { ADAPTED "ln -s m o.gguf", FUSE ".gguf", 2, "o.gguf: something is there", "o.gguf m" },
    { ADAPTED, "ulimit -f 4; " FUSE ".gguf", 1, "File too large", "a b" },
    { FUSED, "ulimit -f 4; " FUSE " --overwrite", 1, "File too large", "o a b" },
    { FUSED, T "fuse --model o --adapter-path a -o o --overwrite", 2, "o: the folder of --model", "o a" },
    { ADAPTED, T "fuse --model b --adapter-path a -o a --overwrite", 2, "a: the folder of --adapter-path", "a b" },
    { ADAPTED, T "fuse --model b --adapter-path a/checkpoint-2 -o a --overwrite", 1, "a: what tenon train wrote", "a b" },
    { "mkdir -p build/demo; echo mine >build/demo/report.svg", T "demo", 1,
      "build/demo/report.svg: in the way", "build" },
    { "mkdir -p build home; ln -s ../home build/demo", T "demo", 1, "build/demo: a link to ../home",
      "build home" },
    { "echo mine >a.svg", T "lab paths --svg a.svg", 2, "--svg a.svg: something is there", "a.svg" },
    { "echo mine >a; ln -s a a.svg", T "lab paths --svg a.svg", 2, "something is there", "a a.svg" },
    { "ln -s a a.svg", T "lab paths --svg a.svg", 2, "something is there", "a.svg" },
    { "mkdir a.svg", T "lab paths --svg a.svg", 2, "something is there", "a.svg" },
    { "", T "lab paths --svg x/a.svg", 1, "x/a.svg: cannot write: No such file", "m" },
    { "echo mine >a.svg.tmp", T "lab paths --svg a.svg", 0, "", "a.svg.tmp" },
};
/* clang-format on */

START_TEST(only_its_own_is_replaced)
{
    const row *r = &rows[_i];
    place p = place_make();
    ck_assert_int_eq(shell(&p, "exec >made; %s", *r->made ? r->made : ":"), 0);
    ck_assert_int_eq(shell(&p, "mkdir kept && cp -a --parents %s kept", r->kept), 0);
    const int status = shell(&p, "exec >out 2>err; %s", r->command);
    place_has(&p, "err", r->says);
    ck_assert_int_eq(status, r->status);
    ck_assert_int_eq(shell(&p, "test $(wc -l <err) = %d", status != 0), 0);
    ck_assert_int_eq(shell(&p,
                           "for f in %s; do diff -r --no-dereference $f kept/$f || exit 1; done",
                           r->kept),
                     0);
    /* a run that has ended leaves no unfinished files */
    ck_assert_int_eq(shell(&p,
                           "! find . -name kept -prune -o ! -type l -print | grep -E "
                           "'tenon.tmp|tenon-new|[0-9a-f]{16}.tmp' | grep -v '^./o/.tenon-%s'",
                           strstr(r->says, "too large") ? "" : "none"),
                     0);
    place_end(&p);
}
/* clang-format off */
END_TEST

#define NOWHERE "train --model m --tokenizer chars --data t.txt --iters 2000 --save-every 40 --progress none "

/* A run makes folders but writes nothing into them. `out` is its output folder, `left` is what
   remains. */
static const struct { const char *made, *out, *left; } nowhere[] = {
    { ":", "x", "" },
    { ":", "x/y/z", "" },
    { ":", "./x//y/z/", "" },
    { "mkdir x", "x/y/z", "x" },
    { "mkdir -p x/y; echo mine >x/mine", "x/y/z", "x x/mine x/y" },
    { "mkdir home; ln -s home x", "x/y/z", "home x" },
};
/* clang-format on */

START_TEST(folders_made_for_nothing_go)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "%s", nowhere[_i].made), 0);
    /* The signal must be ignored from the beginning: otherwise it kills ThreadSanitizer when that
       starts. */
    ck_assert_int_eq(shell(&p,
                           "(trap '' XFSZ; ulimit -f 0; exec \"$T\" " NOWHERE
                           "-o %s 2>&1) | cat >err",
                           nowhere[_i].out),
                     0);
    place_has(&p, "err", "File too large");
    ck_assert_int_eq(
        shell(&p, "test \"$(find x home 2>ls | sort | tr '\\n' ' ' | sed 's/ $//')\" = '%s'",
              nowhere[_i].left),
        0);
    place_end(&p);
}
END_TEST

/* Somebody replaces the folder of a run by another while the run is stopped. The run must not
   remove that one, even if it is empty. */
START_TEST(an_empty_folder_of_somebody_stays)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p,
                           SENDS NOWHERE "-o o 2>err & await grep -q '^State:.T' /proc/$!/status; "
                                         "mv o moved; mkdir o; kill -CONT $pid; wait $pid",
                           "STOP", "1", "\"step\":1,"),
                     1);
    place_has(&p, "err", "o: moved away while this run went on");
    ck_assert_int_eq(shell(&p, "test -d o && test -z \"$(ls -A o)\" && test -s moved/log.jsonl"),
                     0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, only_its_own_is_replaced, 0, sizeof rows / sizeof *rows);
    tcase_add_loop_test(c, folders_made_for_nothing_go, 0, sizeof nowhere / sizeof *nowhere);
    tcase_add_test(c, an_empty_folder_of_somebody_stays);
}
