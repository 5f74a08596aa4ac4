/* test_no_memory.c - every command when memory runs out.

   Each allocation of a command is refused, alone or with all that follow it. Then one of two things
   must happen. Status 0: output and files are as usual. Status 1: one line says that memory is out,
   and a resume from what was saved gives the result of a run that was not disturbed. `make torture`
   refuses every allocation, `make test` every 20th, half of these in each of the two builds. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined __GLIBC__ && !TESTS_SANITIZED

/* Shell commands; $T is the program. Only `run` is refused memory. */
typedef struct scene {
    const char *name;
    const char *before;  /* makes the folder o before the run */
    const char *run;     /* the command that is tested */
    const char *printed; /* prints what is compared of the output (the file out); NULL: all of it */
    const char *kept;    /* prints the parts of its files that are compared; NULL: it writes none */
    const char *go_on;   /* resumes after status 1; NULL: nothing is saved */
} scene;

#define TRAIN "--save-every 1 --batch-size 2 --threads 1 --output-dir o"
#define LORA "train --model b --data d --iters 2 --steps-per-eval 1 --opt eps=1e-9 " TRAIN
#define FULL                                                                                       \
    "train --model m --tokenizer bytes --data t.txt --iters 2 --grad-accumulation-steps 2 " TRAIN
#define GO_ON(run)                                                                                 \
    "if ls o/checkpoint-*/trainer_state.json >seen 2>seen; then $T " run " --resume; "             \
    "else $T " run " --overwrite; fi"
#define REPORT                                                                                     \
    "sed -e 's/[0-9,]* tok.s.*//' -e 's/ or more, of .*//' out; sed -e 's/,.tok_per_s.*//' -e 's/.elapsed_s.:[^,]*//' o/log.jsonl"
/* A line of the log that there was no memory for is missing, in the picture too. */
#define FILES                                                                                      \
    "find o -type f ! -name log.jsonl ! -name log.csv ! -name loss.svg | sort | xargs cksum"
#define COMPARE                                                                                    \
    "compare --model b --data d --out o --optimizers adamw,lora-rite --lr-grid 1e-2 --iters 2 "    \
    "--batch-size 2 --threads 1"

/* clang-format off */
static const scene scenes[] = {
    { "train, LoRA", "", "$T " LORA, REPORT, FILES, GO_ON(LORA) },
    { "train, full", "", "$T " FULL, REPORT, FILES, GO_ON(FULL) },
    { "train, resume", "$T " LORA "; rm -r o/checkpoint-2 o/adapter*", "$T " LORA " --resume", REPORT,
      FILES, GO_ON(LORA) },
    { "train, picture", "rm -f g.svg", "$T " FULL " --dry-run --profile --dump-graph g.svg", "head -n 3 out",
      "cksum g.svg", NULL },
    { "eval, records", "", "$T eval --model b --adapter-path a --data d --threads 1", NULL, NULL, NULL },
    { "eval, text", "", "$T eval --model b --data t.txt --threads 2", NULL, NULL, NULL },
    { "eval, task", "", "$T eval --model b --task arithmetic --count 3 --threads 1", NULL, NULL, NULL },
    { "generate", "",
      "$T generate --model b --adapter-path a --prompt '1 + 3 =' --prompt '2 + 5 =' --max-tokens 8 "
      "--top-k 20 --threads 1", NULL, NULL, NULL },
    { "inspect, model", "", "$T inspect b", "grep -v '^  available' out", NULL, NULL },
    { "inspect, adapter", "", "$T inspect a", NULL, NULL, NULL },
    { "inspect, checkpoint", "", "$T inspect a/checkpoint-2", NULL, NULL, NULL },
    { "inspect, data", "", "$T inspect --model b --data d", NULL, NULL, NULL },
    { "inspect, chats", "", "$T inspect --model b --data c.jsonl --chat-template zephyr", NULL, NULL, NULL },
    { "compare", "", "$T " COMPARE, "sed -n '/^validation/,/^$/p' out",
      "sed -e 's/,.[a-z_]*seconds[a-z_]*.:[^,]*//g' o/runs.jsonl; cat o/curves.jsonl o/config.used", NULL },
    { "fuse", "", "$T fuse --model b --adapter-path a --save-path o --threads 1", NULL, FILES, NULL },
    { "fuse, GGUF", "rm -f o.gguf", "$T fuse --model b --adapter-path a --save-path o.gguf --threads 1", NULL,
      "cksum o.gguf", NULL },
    { "export, PEFT", "", "$T export --model b --adapter-path a --format peft --save-path o --threads 1", NULL,
      FILES, NULL },
    { "export, adapter in GGUF", "rm -f o.gguf",
      "$T export --model b --adapter-path a --format gguf-lora --save-path o.gguf --threads 1", NULL,
      "cksum o.gguf", NULL },
    { "optimizers", "", "$T optimizers --markdown", NULL, NULL, NULL },
    { "task", "", "$T task restaurant", NULL, NULL, NULL },
    { "lab", "", "$T lab invariance --threads 1", NULL, NULL, NULL },
    { "help", "", "$T train --help", NULL, NULL, NULL },
    { "tokenize", "", "$T tokenize --model b -p '1 + 3 ='", NULL, NULL, NULL },
};
/* clang-format on */

/* The allocations that are refused one after the other: number `first`, then every `step`-th. */
typedef struct walk {
    long first, step;
} walk;

/* The last allocations are those of the output: of these, every second one is refused. */
static long next_of(walk w, long at, long all)
{
    const long last = all - 12 + (w.first > 1);
    if (at + w.step <= last)
        return at + w.step;
    return at < last ? last : at + (w.step < 2 ? w.step : 2);
}

static walk walk_of(void)
{
    const char *every = getenv("TORTURE_EVERY");
    if (every && atol(every) > 0)
        return (walk){ 1, atol(every) };
    return (walk){ sizeof(tn_real) == 4 ? 1 : 21, 40 };
}

/* Makes a base model b, an adapter a, and a folder of records d. */
static void make_base(const place *p)
{
    ck_assert_int_eq(
        shell(
            p,
            "printf '{\"instruction\":\"1\",\"input\":\"2\",\"output\":\"3\"}\\n"
            "{\"messages\":[{\"role\":\"user\",\"content\":\"4\"},{\"role\":\"assistant\","
            "\"content\":[{\"type\":\"text\",\"text\":\"5\"}]}]}\\n' >c.jsonl && mkdir d && cp r.jsonl d/train.jsonl && head -n 5 r.jsonl | tee d/valid.jsonl "
            ">d/test.jsonl"),
        0);
    ck_assert_int_eq(
        shell(p, "$T train --model m --tokenizer bytes --data t.txt --iters 1 --output-dir b >out "
                 "&& $T " LORA " >out && mv o a"),
        0);
}

typedef struct trial {
    const scene *s;
    long at;
    bool sticks;
} trial;

/* Runs the command. If at > 0, this allocation is refused. Returns the status; out, err and o
   stay. */
static int run(const place *p, const trial *t)
{
    const char *before = t->s->kept ? "rm -rf o;" : "";
    if (*t->s->before)
        ck_assert_int_eq(shell(p, "rm -rf o; (%s) >out 2>&1", t->s->before), 0);
    return shell(
        p,
        "%s export NO_MEMORY_AT=%ld NO_MEMORY_COUNT=$PWD/count %s LD_PRELOAD=\"$S\"; (%s) >out 2>err",
        *t->s->before ? "" : before, t->at, t->sticks ? "NO_MEMORY_STICKS=1" : "", t->s->run);
}

static bool same_files(const char *a, const char *b)
{
    char *left = place_read(a), *right = place_read(b);
    const bool same = !strcmp(left, right);
    free(left);
    free(right);
    return same;
}

/* True if the command prints the same as after the undisturbed run, or if there is no command. */
static bool as_before(const place *p, const char *command, const char *name)
{
    char now[32], then[32];
    snprintf(now, sizeof now, "%s", command ? name : "out");
    snprintf(then, sizeof then, "%s.true", name);
    return (!command || !shell(p, "(%s) >%s 2>&1", command, name)) && same_files(now, then);
}

/* True if the file is one line that says that memory is out. */
static bool says_so(const char *file)
{
    char *text = place_read(file), *end = strchr(text, '\n');
    const bool so = end && !end[1] && !strncmp(text, "tenon: ", 7) && strstr(text, "memory");
    free(text);
    return so;
}

/* What is wrong with the end of the run. NULL if nothing is. */
static const char *judge(const place *p, const trial *t, int status)
{
    const scene *s = t->s;
    if (status == 0)
        return !same_files("err", "/dev/null")             ? "prints an error"
               : !as_before(p, s->printed, "printed")      ? "prints something else"
               : s->kept && !as_before(p, s->kept, "kept") ? "writes something else"
                                                           : NULL;
    if (status != 1)
        return "ends in another way";
    if (!says_so("err"))
        return "does not say in one line that memory is out";
    if (s->go_on && shell(p, "(%s) >out 2>after", s->go_on))
        return "cannot be gone on from";
    return s->go_on && !as_before(p, s->kept, "kept") ? "goes on to another end" : NULL;
}

static long count_allocations(void)
{
    char *text = place_read("count");
    const long n = atol(text);
    free(text);
    return n;
}

START_TEST(command_without_memory)
{
    char shim[2048];
    place p = place_make();
    trial t = { .s = &scenes[_i] };
    int wrong = 0, runs = 0;
    snprintf(shim, sizeof shim, "%.*s/no_memory.so", (int)(strrchr(p.program, '/') - p.program),
             p.program);
    setenv("S", shim, 1);
    make_base(&p);
    ck_assert_msg(run(&p, &t) == 0, "%s: %s", t.s->name, place_read("err"));
    ck_assert_int_eq(shell(&p, "(%s) >printed.true", t.s->printed ? t.s->printed : "cat out"), 0);
    ck_assert_int_eq(shell(&p, "(%s) >kept.true", t.s->kept ? t.s->kept : ":"), 0);
    const long all = count_allocations();
    ck_assert_int_gt(all, 0);
    const walk w = walk_of();
    for (long at = w.first; at <= all; at = next_of(w, at, all))
        for (int k = 0; k < 2; k++, runs++) {
            t.at = at;
            t.sticks = k;
            const int status = run(&p, &t);
            const char *fault = judge(&p, &t, status);
            if (fault && wrong++ < 400)
                fprintf(stderr, "%s: without allocation %ld%s: status %d, %s: %s\n", t.s->name, at,
                        k ? " and what follows" : "", status, fault, place_read("err"));
        }
    ck_assert_msg(!wrong, "%s: %d of %d runs ended wrong, of %ld allocations", t.s->name, wrong,
                  runs, all);
    place_end(&p);
}
END_TEST

#define WALKED
#endif

void tests(TCase *c)
{
#ifdef WALKED
    tcase_add_loop_test(c, command_without_memory, 0, sizeof scenes / sizeof *scenes);
#else
    (void)c;
#endif
}
