/* test_gguf_model.c - the commands on a GGUF file that has its tokenizer, and on a folder with it. */
#include "tests/support/apps.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include "data/gguf.h"

#include <stdio.h>
#include <string.h>

enum { TOKENS = 64, ENTRIES = 64 };

/* 62 visible characters and the space, one merge's result, and the end token. */
static int64_t list_tokens(tn_span token[TOKENS], char memory[TOKENS][4], int32_t type[TOKENS])
{
    for (int i = 0; i < 61; i++) {
        memory[i][0] = (char)('@' + i);
        token[i] = (tn_span){ memory[i], 1 };
        type[i] = 1;
    }
    token[61] = (tn_span){ "\xC4\xA0", 2 };
    token[62] = (tn_span){ "ab", 2 };
    token[63] = (tn_span){ "<|end|>", 7 };
    type[61] = type[62] = 1;
    type[63] = 3;
    return TOKENS;
}

/* m.gguf: a golden model of 64 tokens with a tokenizer of as many. */
static void make_model(const place *p)
{
    char path[1200], memory[TOKENS][4];
    tn_span token[TOKENS];
    int32_t type[TOKENS];
    tn_entry entry[ENTRIES];
    tn_gguf_list keys = { 0 };
    tn_error e = { 0 };
    snprintf(path, sizeof path, "%s/" GOLDEN "tiny_models/llama/model.gguf", p->before);
    tn_gguf *g = tn_gguf_open(path, &e);
    must(&e);
    for (int64_t i = 0; i < tn_gguf_keys(g); i++)
        if (strcmp(tn_gguf_key(g, i)->key, "tokenizer.ggml.model") != 0)
            tn_gguf_add(&keys, tn_gguf_key(g, i), &e);
    const int64_t n = list_tokens(token, memory, type);
    const tn_gguf_value types = { .key = "tokenizer.ggml.token_type",
                                  .array = true,
                                  .kind = TN_GGUF_I32,
                                  .count = n,
                                  .bytes = type,
                                  .size = sizeof type };
    tn_gguf_add_string(&keys, "tokenizer.ggml.model", "gpt2", 4, &e);
    tn_gguf_add_string(&keys, "tokenizer.ggml.pre", "smollm", 6, &e);
    tn_gguf_add_strings(&keys, "tokenizer.ggml.tokens", token, n, &e);
    tn_gguf_add(&keys, &types, &e);
    tn_gguf_add_strings(&keys, "tokenizer.ggml.merges", &(tn_span){ "a b", 3 }, 1, &e);
    tn_gguf_add_int(&keys, "tokenizer.ggml.eos_token_id", TN_GGUF_U32, 63, &e);
    tn_gguf_add_string(&keys, "tokenizer.chat_template", "{{x}}", 5, &e);
    for (int64_t i = 0; i < tn_gguf_count(g) && i < ENTRIES; i++)
        entry[i] = *tn_gguf_at(g, i);
    tn_gguf_write("m.gguf", &keys, entry, tn_gguf_count(g), &e);
    must(&e);
    tn_gguf_list_free(&keys);
    tn_gguf_close(g);
}

START_TEST(commands_need_no_other_file)
{
    place p = place_make();
    make_model(&p);
    put_file(".", "t.txt", "ab abc cab bac cab abba");
    ck_assert_int_eq(tenon(&p, "tokenize --model m.gguf --ids --prompt 'abc ab'"), 0);
    place_has(&p, "out", "62 35 61 62\n");
    ck_assert_int_eq(tenon(&p, "generate --model m.gguf --prompt ab --max-tokens 3 --temp 0"), 0);
    place_has(&p, "out", "ab");
    ck_assert_int_eq(tenon(&p, "eval --model m.gguf --data t.txt"), 0);
    ck_assert_int_eq(shell(&p, "cp out first"), 0);
    ck_assert_int_eq(tenon(&p,
                           "train --model m.gguf --data t.txt --max-seq-length 4 --iters 2 -o l"),
                     0);
    ck_assert_int_eq(tenon(&p, "train --model m.gguf --data t.txt --max-seq-length 4 --iters 2 "
                               "--fine-tune-type full -o a"),
                     0);
    place_has(&p, "a/tokenizer.json", "\"ab\"");
    place_has(&p, "a/tokenizer_config.json", "\"eos_token\": \"<|end|>\"");
    place_has(&p, "a/tokenizer_config.json", "\"chat_template\": \"{{x}}\"");
    ck_assert_int_eq(tenon(&p, "tokenize --model a --ids --prompt 'abc ab'"), 0);
    place_has(&p, "out", "62 35 61 62\n");
    /* a folder with that file alone */
    ck_assert_int_eq(shell(&p, "mkdir f && mv m.gguf f/any.gguf"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model f --data t.txt"), 0);
    ck_assert_int_eq(shell(&p, "cmp out first"), 0);
    ck_assert_int_eq(tenon(&p, "generate --model f --adapter-path l --prompt ab --max-tokens 3"),
                     0);
    ck_assert_int_eq(shell(&p, "cp f/any.gguf f/other.gguf"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model f --data t.txt"), 1);
    place_has(&p, "err",
              "f: several GGUF files, any.gguf and other.gguf; expected the path of one");
    place_end(&p);
}
END_TEST

/* A tokenizer of characters or bytes goes into the file and comes back. */
START_TEST(a_tokenizer_without_merges_comes_back)
{
    place p = place_make();
    if (_i)
        ck_assert_int_eq(
            tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 --lr 1e-3 -o o"),
            0);
    else
        ck_assert_int_eq(shell(&p, "ln -s '%s'/data/bundled/base o", p.before), 0);
    ck_assert_int_eq(tenon(&p, "export --model o --format gguf --save-path o.gguf"), 0);
    static const char *const commands[] = {
        "tokenize --ids --prompt 'name[The Mill], area<|endoftext|>'",
        "generate --temp 0 --max-tokens 20 --prompt 'name[The Mill]'",
        "eval --data r.jsonl",
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        ck_assert_int_eq(tenon(&p, "%s --model o", commands[i]), 0);
        ck_assert_int_eq(shell(&p, "cp out first"), 0);
        ck_assert_int_eq(tenon(&p, "%s --model o.gguf", commands[i]), 0);
        ck_assert_int_eq(shell(&p, "cmp out first"), 0);
    }
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, commands_need_no_other_file);
    tcase_add_loop_test(c, a_tokenizer_without_merges_comes_back, 0, 2);
}
