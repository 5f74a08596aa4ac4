/* test_commands.c - every command: its help, and what it prints in ordinary use. */
#include "apps/options/options.h"
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
#define COMMAND(letter, name, synonyms, arguments, most, needs, help) ROW_##name,
#include "apps/commands/commands.def"
#undef COMMAND
    COMMANDS
};

typedef struct flag {
    const char *name, *commands;
} flag;

static const flag flags[] = {
#define TEXT(name, alias, value, def, commands, class, help) { #name, commands },
#define COUNT(name, alias, value, def, lo, hi, commands, class, help) { #name, commands },
#define REAL(name, alias, value, def, lo, hi, commands, class, help) { #name, commands },
#define FLAG(name, alias, def, commands, class, help) { #name, commands },
#define LIST(name, alias, value, commands, class, help) { #name, commands },
#include "apps/options/options.def"
#undef TEXT
#undef COUNT
#undef REAL
#undef FLAG
#undef LIST
};

/* Both helps have lines of less than 80 columns. The short one has less than 60 lines, needed
   options at its beginning, and only options of the long one. The long one has every option. */
START_TEST(help_lists_every_option)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "%s --help", commands[_i].name), 0);
    ck_assert_int_eq(shell(&p, "test ! -s err && mv out short && test $(wc -l <short) -lt 60"), 0);
    ck_assert_int_eq(tenon(&p, "help %s", commands[_i].name), 0);
    ck_assert_int_eq(shell(&p, "cmp out short"), 0);
    ck_assert_int_eq(tenon(&p, "%s --help-all", commands[_i].name), 0);
    ck_assert_int_eq(shell(&p, "cat short out | awk 'length >= 80 { exit 1 }'"), 0);
    ck_assert_int_ne(shell(&p, "grep -q '[{}]' short out"), 0);
    ck_assert_int_eq(shell(&p, "grep -o '^ .....--[^ ]*' short | while read -r x; do "
                               "grep -qFe \"$x\" out || exit 1; done"),
                     0);
    for (int k = 0; k < OPTIONS; k++) {
        char name[80];
        snprintf(name, sizeof name, "%s ", flags[k].name);
        for (char *s = name; *s; s++)
            *s = *s == '_' ? '-' : *s;
        if (strchr(flags[k].commands, commands[_i].letter))
            place_has(&p, "out", name);
    }
    place_end(&p);
}
END_TEST

static const struct {
    const char *command, *test;
} short_helps[] = {
    { "train", "sed -n 3p short | grep -q '^usage: tenon train --model PATH --data PATH "
               "--output-dir DIR \\[options]$'" },
    { "train",
      "sed '/^model and/q' short | sed -n 's/^ .....--\\([a-z-]*\\) .*/\\1/p' | tr '\\n' ' ' | "
      "grep -qx 'model data output-dir find-lr fast-dev-run dry-run '" },
    { "train", "grep -qx 'what is trained:' short && grep -q -e '--learning-rate F' short" },
    { "train", "! grep -q -e '--rank-pattern' short && grep -q -e 'tenon train --help-all lists' "
               "short" },
    { "task", "grep -q -e '--split' short && ! grep -q help-all short" },
    { "bench", "sed -n 3p short | grep -qx 'usage: tenon bench peak|matmul|ops|step|optimizers "
               "\\[options]'" },
};

START_TEST(short_help_begins_with_what_is_needed)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "%s --help", short_helps[_i].command), 0);
    ck_assert_int_eq(shell(&p, "mv out short && %s", short_helps[_i].test), 0);
    place_end(&p);
}
END_TEST

START_TEST(synonyms_are_commands)
{
    place p = place_make();
    for (const char *s = commands[_i].synonyms; *s;
         s += strcspn(s, ",") + (s[strcspn(s, ",")] == ',')) {
        char expected[64];
        ck_assert_int_eq(tenon(&p, "%.*s --help", (int)strcspn(s, ","), s), 0);
        snprintf(expected, sizeof expected, "tenon %s ", commands[_i].name);
        place_has(&p, "out", expected);
    }
    place_end(&p);
}
/* clang-format off */
END_TEST

typedef struct use { const char *arguments; const char *expected; } use;
/* clang-format on */

static const use uses[] = {
    { "--help", "train" },
    { "--version", "tenon 0." },
    { "eval --help",
      "which part of the data (unset: test):" }, /* the help text is that of this command */
    { "bench --help", "in a row (unset: 256)\n" },
    { "optimizers", "lora-rite" },
    { "optimizers adamw", "--weight-decay sets" },
    { "optimizers adamw", "beta2           0.999    at least 0 and below 1  decay of" },
    { "optimizers --markdown", "| [lora-rite](lora_rite.c) | `" },
    { "lab", "conditioning " },
    { "lab paths", "from (1.2, 3.6)" },
    { "train --help-all", "clip=1 (limit of the" },
    { "task", "restaurant" },
    { "task arithmetic --count 2 --split test", "{\"prompt\":\"" },
    { "task support --count 1 --chat",
      "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi there, do you take instalments for a "
      "bell?\"},{\"role\":\"assistant\",\"content\":\"Yes. A bell can be paid" },
    { "inspect o", "transformer.h.1.mlp.c_proj.weight" },
    { "inspect o/model.safetensors", "tensors" },
    { "inspect m/config.json", "n_embd" },
    { "inspect m.gguf", "m.gguf: GGUF, 11 keys, 28 tensors, 28,544 numbers, 114 kB\n" },
    { "inspect m.gguf", "  gpt2.attention.layer_norm_epsilon            1e-05\n" },
    { "inspect m.gguf",
      "  blk.0.attn_qkv.weight     F32   (96,32)" },
    { "inspect m.gguf", "  LoRA r=8 on all-linear " },
    { "inspect types.gguf", "  strings                                      array of 3\n" },
    { "inspect types.gguf",
      "  u64                                          9223372036854775808\n" },
    { "inspect types.gguf", "  yes                                          true\n" },
    { "inspect types.gguf", " Q2_K  (1,256)  84 B\n" },
    { "inspect types.gguf", "supported  no: types.gguf: tensor \"token_embd.weight\" is missing" },
    { "inspect --data r.jsonl --model o", "1 + 4 =" },
    { "inspect --data t.txt --tokenizer bytes --max-seq-length 8", "with     The quick" },
    { "generate --model o --prompt 'The quick' --max-tokens 5 --temp 0", "The quick" },
    { "generate --model o -p A -p B --max-tokens 3", "---" },
    { "generate --model o -p '' --max-tokens 3", "" },
    { "eval --model o --data t.txt", "perplexity" },
    { "eval --model o --data r.jsonl", "23 rows" },
    { "eval --model o --data r.jsonl --max-seq-length 9",
      "10 rows, 10 cut at 9 tokens (10 of them lost tokens that count in the loss), 13 skipped (nothing to learn in a row: 13, first in line " },
    { "eval --model o --task lookup --count 7", "of 7" },
    { "eval --model o --task lookup --split train --count 7", "of 7" },
    { "eval --model o --data task:lookup:7 --split valid", "of 7" },
    { "inspect o --data task:lookup:7", "7 records" },
    { "inspect o --data t.txt", "record 0: 65 tokens" },
    { "inspect o --data r.jsonl",
      "23 records (completion), 301 tokens, 111 in the loss\n\nlengths: " },
    { "inspect o --data r.jsonl --count 1", ", the longest: " },
    { "inspect o --data r.jsonl --count 1", ", of average length: " },
    { "inspect o --data r.jsonl --max-seq-length 12 --truncate front",
      " cut in front at 12 tokens\n" },
    { "inspect o --data r.jsonl --max-seq-length 12 --count 23", " tokens, cut, " },
    { "train --model o --data r.jsonl --dry-run", "nothing was written" },
    { "train --model m.gguf --tokenizer chars --data t.txt --dry-run", "m.gguf  gpt2  2 layers" },
    { "train --model m --tokenizer chars --data r.jsonl --dry-run", "\nweights    random\n" },
    { "compare --model m --tokenizer chars --task lookup --out c --optimizers sgd --lr-grid 1e-3 "
      "--iters 1 --count 2",
      "\nweights    random\n" },
    { "train --model o --data r.jsonl --dry-run --fine-tune-type full --optimizer lora-rite",
      "there are no LoRA pairs: every weight goes to adamw\n" },
    { "compare --model o --task lookup --out c --optimizers sgd,lora-rite,loraplus --lr-grid 1e-3 "
      "--iters 1 --count 2 --fine-tune-type full",
      "every weight goes to adamw under lora-rite, loraplus\n" },
    { "compare --model o --task lookup --out c --optimizers sgd,lora-rite --lr-grid 1e-3,1e-2 --iters 2 --count 5",
      "* chosen" },
};

/* Makes a model whose tokenizer has all printable characters, from a task. Puts two GGUF files
   beside it. */
static void make_model(const place *p)
{
    ck_assert_int_eq(
        tenon(p, "train --model m --data task:arithmetic --tokenizer chars -o o --iters 3"), 0);
    ck_assert_int_eq(shell(p,
                           "cp '%s'/tests/golden/tiny_models/gpt2/model.gguf m.gguf && "
                           "cp '%s'/tests/golden/gguf/types.gguf .",
                           p->before, p->before),
                     0);
}

START_TEST(does_what_it_is_for)
{
    place p = place_make();
    make_model(&p);
    const int status = tenon(&p, "%s", uses[_i].arguments);
    place_has(&p, "err", "");
    ck_assert_int_eq(status, 0);
    place_has(&p, "out", uses[_i].expected);
    ck_assert_int_eq(shell(&p, "test ! -s err"), 0);
    place_end(&p);
}
END_TEST

START_TEST(a_gguf_file_needs_a_tokenizer)
{
    place p = place_make();
    make_model(&p);
    ck_assert_int_eq(tenon(&p, "generate --model m.gguf --prompt A"), 1);
    place_has(&p, "err",
              "tenon: m.gguf: no tokenizer.ggml.tokens; expected one, or --adapter-path");
    ck_assert_int_eq(tenon(&p,
                           "train --model m.gguf --tokenizer chars --data t.txt --iters 1 -o a"),
                     0);
    ck_assert_int_eq(tenon(&p, "eval --model m.gguf --adapter-path a --data t.txt"), 0);
    place_has(&p, "out", "perplexity");
    place_end(&p);
}
END_TEST

/* clang-format off */
static const struct { const char *command, *test; } looks[] = {
    { "LC_ALL=C.UTF-8 \"$T\" lab paths --color always", "grep -q \"$(printf '\\033\\\\[34m')\" out" },
    { "LC_ALL=C.UTF-8 \"$T\" lab paths --color=never", "! grep -q \"$(printf '\\033')\" out" },
    { "LC_ALL=C.UTF-8 \"$T\" lab paths", "! grep -q \"$(printf '\\033')\" out" },
    { "LC_ALL=C \"$T\" lab paths --color always", "! grep -q \"$(printf '\\033')\" out" },
    { "\"$T\" train --model m --tokenizer chars --data r.jsonl --iters 20 -o s", "grep -q '^step ' out" },
    { "\"$T\" train --model m --tokenizer chars --data r.jsonl --iters 20 -o s --quiet", "! grep -q '^step ' out" },
};
/* clang-format on */

START_TEST(looks_as_asked)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "%s >out 2>err", looks[_i].command), 0);
    ck_assert_msg(shell(&p, "%s", looks[_i].test) == 0, "%s", looks[_i].command);
    place_end(&p);
}
END_TEST

static const char *const small[] = {
    "--help",
    "inspect o",
    "generate --model o --prompt A --max-tokens 3",
    "eval --model o --task lookup --count 2",
    "train --model o --data r.jsonl --iters 2 -o t",
    "train --model o --data r.jsonl --iters 2 --fine-tune-type full -o t",
    "compare --model o --task lookup --out c --optimizers sgd --lr-grid 1e-3 --iters 1 --count 2",
    "lab first-steps",
    "lab rank --optimizers sgd",
};

/* 64 KB of stack are enough: no function has a large array on the stack. */
START_TEST(a_small_stack_is_enough)
{
    if (TESTS_SANITIZED)
        return; /* a sanitizer makes every frame larger */
    place p = place_make();
    make_model(&p);
    ck_assert_int_eq(shell(&p, "ulimit -s 64 && \"$T\" %s >out 2>err", small[_i]), 0);
    place_end(&p);
}
END_TEST

/* The continuation of a prompt does not depend on a longer prompt in the same command. */
START_TEST(prompts_do_not_shorten_each_other)
{
    place p = place_make();
    make_model(&p);
    ck_assert_int_eq(tenon(&p, "generate --model o --temp 0 -p 2 -n 60"), 0);
    ck_assert_int_eq(shell(&p, "mv out alone"), 0);
    ck_assert_int_eq(tenon(&p, "generate --model o --temp 0 -p 2 -n 60 -p $(printf '%%050d' 0)"),
                     0);
    ck_assert_int_eq(
        shell(&p, "head -c $(stat -c %%s alone) out | cmp alone - && test $(wc -c <alone) -gt 50"),
        0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, help_lists_every_option, 0, COMMANDS);
    tcase_add_loop_test(c, short_help_begins_with_what_is_needed, 0,
                        sizeof short_helps / sizeof *short_helps);
    tcase_add_loop_test(c, synonyms_are_commands, 0, COMMANDS);
    tcase_add_loop_test(c, does_what_it_is_for, 0, sizeof uses / sizeof *uses);
    tcase_add_loop_test(c, looks_as_asked, 0, sizeof looks / sizeof *looks);
    tcase_add_test(c, a_gguf_file_needs_a_tokenizer);
    tcase_add_loop_test(c, a_small_stack_is_enough, 0, sizeof small / sizeof *small);
    tcase_add_test(c, prompts_do_not_shorten_each_other);
}
