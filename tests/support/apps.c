/* apps.c - runs the program in a temporary folder. */
#include "tests/support/apps.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char config[] =
    "{\"model_type\": \"gpt2\", \"architectures\": [\"GPT2LMHeadModel\"], \"n_layer\": 2, "
    "\"n_head\": 2,\n"
    " \"n_embd\": 16, \"n_positions\": 64, \"n_ctx\": 64, \"vocab_size\": 97,\n"
    " \"activation_function\": \"gelu_new\", \"layer_norm_epsilon\": 1e-5}\n";

static void write_file(const char *path, const char *text, int times)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < times; i++)
        fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
}

static void write_records(const char *path)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < 23; i++)
        fprintf(f, "{\"prompt\": \"%d + %d =\", \"completion\": \" %d.\"}\n", i, i + 3, 2 * i + 3);
    ck_assert_int_eq(fclose(f), 0);
}

place place_make(void)
{
    place p;
    const char *around = getenv("TMPDIR");
    const char *build = getenv("BUILD");
    char path[512];
    snprintf(path, sizeof path, "%s/tenon", build ? build : "build");
    ck_assert_msg(realpath(path, p.program) != NULL, "%s is not built", path);
    ck_assert_int_lt(snprintf(p.folder, sizeof p.folder, "%s/tenon-test-XXXXXX",
                              around ? around : "/tmp"),
                     (int)sizeof p.folder);
    ck_assert_ptr_nonnull(getcwd(p.before, sizeof p.before));
    ck_assert_ptr_nonnull(mkdtemp(p.folder));
    ck_assert_int_eq(chdir(p.folder), 0);
    ck_assert_int_eq(shell(&p, "mkdir m"), 0);
    write_file("m/config.json", config, 1);
    write_file("t.txt", "The quick brown fox jumps over the lazy dog. 0123456789\n", 40);
    write_records("r.jsonl");
    return p;
}

static const char chat_config[] =
    "{\"model_type\": \"gpt2\", \"n_layer\": 2, \"n_head\": 2, \"n_embd\": 32, \"n_positions\": 256,\n"
    " \"vocab_size\": 406, \"eos_token_id\": 400}\n";
static const char chat_tokens[] =
    "{\"eos_token\": \"<|endoftext|>\", \"chat_template\": \"{% for m in messages %}<|im_start|>\"}\n";

void place_chat(const place *p)
{
    static const char *const says[][2] = {
        { "red", "rose" }, { "blue", "sky" }, { "hi", "hello" }, { "yo", "hey" }
    };
    ck_assert_int_eq(shell(p, "mkdir cm"), 0);
    write_file("cm/config.json", chat_config, 1);
    write_file("cm/tokenizer_config.json", chat_tokens, 1);
    FILE *f = fopen("chat.jsonl", "w");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++)
            fprintf(f,
                    "{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}, "
                    "{\"role\": \"assistant\", \"content\": \"%s\"}, {\"role\": \"user\", "
                    "\"content\": \"%s\"}, {\"role\": \"assistant\", \"content\": \"%s\"}]}\n",
                    says[i][0], says[i][1], says[k][0], says[k][1]);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(shell(p,
                           "sed 's/<think>/<|im_end|>/' '%s'/tests/golden/tokenizer/qwen2/"
                           "tokenizer.json >cm/tokenizer.json",
                           p->before),
                     0);
    ck_assert_int_eq(tenon(p, "train --model cm --data chat.jsonl --valid-split 0 --iters 200 "
                              "--learning-rate 3e-3 --batch-size 8 -o co"),
                     0);
}

void place_end(place *p)
{
    ck_assert_int_eq(chdir(p->before), 0);
    ck_assert_int_eq(shell(p, "rm -rf %s", p->folder), 0);
}

static int run(const place *p, const char *command)
{
    char line[4096];
    const int n = snprintf(line, sizeof line,
                           "T='%s'; L=${T%%/*}; await() { pid=$!; until \"$@\" 2>/dev/null || "
                           "! kill -0 $pid 2>/dev/null; do sleep 0.01; done; }; %s",
                           p->program, command);
    ck_assert_int_lt(n, (int)sizeof line);
    const int status = system(line);
    ck_assert_int_ne(status, -1);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int shell(const place *p, const char *format, ...)
{
    char command[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return run(p, command);
}

int tenon(const place *p, const char *format, ...)
{
    char arguments[1024], command[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(arguments, sizeof arguments, format, args);
    va_end(args);
    snprintf(command, sizeof command, "\"$T\" %s >out 2>err", arguments);
    return run(p, command);
}

char *place_read(const char *file)
{
    FILE *f = fopen(file, "r");
    char *text = calloc(1, 1 << 20);
    ck_assert_ptr_nonnull(text);
    if (f) {
        text[fread(text, 1, (1 << 20) - 1, f)] = 0;
        fclose(f);
    }
    return text;
}

void place_has(const place *p, const char *file, const char *text)
{
    char *all = place_read(file);
    ck_assert_msg(strstr(all, text) != NULL, "%s/%s: expected \"%s\" in\n%s", p->folder, file, text,
                  all);
    free(all);
}

void place_same(const place *p, const char *a, const char *b)
{
    const int status = shell(p, "diff -rq -x log.jsonl -x log.csv -x loss.svg %s %s >differ", a, b);
    char *text = place_read("differ");
    ck_assert_msg(status == 0, "%s", text);
    free(text);
}
