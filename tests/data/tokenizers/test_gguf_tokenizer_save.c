/* test_gguf_tokenizer_save.c - a tokenizer as keys of a GGUF file.
   Golden tokenizers are written and read again; then they give the ids that the package tokenizers
   gives (expected.json). With $TENON_ASSETS the real ones are tested, too. */
#include "data/gguf.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PADDED = 3 }; /* ids of the model that the tokenizer does not have */

static const struct kind {
    const char *folder, *model, *pre;
    /* What a GGUF file does not say: spaces are left out where there are several; added tokens
       with this letter take the spaces around them. */
    bool trims;
    const char *but;
} kinds[] = {
    { GOLDEN "tokenizer/gpt2", "gpt2", "gpt-2", false, NULL },
    { GOLDEN "tokenizer/smollm", "gpt2", "smollm", false, NULL },
    { GOLDEN "tokenizer/llama3", "gpt2", "llama-bpe", false, NULL },
    { GOLDEN "tokenizer/qwen2", "gpt2", "qwen2", false, "<" },
    { GOLDEN "tokenizer/tok512", "llama", NULL, true, "<" },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static tn_tokenizer *opened(const char *path)
{
    tn_error e = { 0 };
    tn_tokenizer *k = tn_tokenizer_open(path, &e);
    must(&e);
    return k;
}

/* Writes a GGUF file with nothing but the tokenizer. */
static void write_keys(const char *path, const tn_tokenizer *k, const char *chat)
{
    tn_error e = { 0 };
    tn_gguf_list keys = { 0 };
    tn_gguf_add_tokenizer(&keys, k, tn_tokenizer_size(k) + PADDED, chat, &e);
    tn_gguf_write(path, &keys, NULL, 0, &e);
    must(&e);
    tn_gguf_list_free(&keys);
}

static bool is_trimmed(const tn_json *text)
{
    return text->text[0] == ' ' || strstr(text->text, "  ") ||
           (text->length && text->text[text->length - 1] == ' ');
}

/* Returns whether both give the same ids for a text with the names of special tokens. */
static bool same_ids(const tn_tokenizer *a, const tn_tokenizer *b, const tn_json *text)
{
    const tn_tokenizer *const both[] = { a, b };
    int32_t *ids[2] = { NULL, NULL };
    int64_t n[2] = { 0, 0 }, room[2] = { 0, 0 }, skipped = 0;
    tn_error e = { 0 };
    for (int i = 0; i < 2; i++)
        tn_encode_template(both[i], text->text, text->length, &ids[i], &n[i], &room[i], &skipped,
                           &e);
    must(&e);
    const bool same =
        n[0] == n[1] && (n[0] == 0 || !memcmp(ids[0], ids[1], (size_t)n[0] * sizeof *ids[0]));
    free(ids[0]);
    free(ids[1]);
    return same;
}

static void has_key(const tn_gguf *g, const char *key, const char *value)
{
    tn_error e = { 0 };
    const char *found = NULL;
    tn_gguf_get_string(g, key, &found, &e);
    must(&e);
    ck_assert_msg(value ? found && !strcmp(found, value) : !found, "%s is %s", key,
                  found ? found : "missing");
}

/* test_bpe.c compares the tokenizer that is written here with expected.json. */
START_TEST(gives_the_same_ids)
{
    const struct kind *kind = &kinds[_i];
    char file[128];
    tn_error e = { 0 };
    scratch s;
    scratch_open(&s);
    snprintf(file, sizeof file, "%s/expected.json", kind->folder);
    tn_tokenizer *k = opened(kind->folder);
    write_keys(scratch_path(&s, "k.gguf"), k, "{{ x }}");
    tn_tokenizer *again = opened(s.path);
    const tn_json *expected = tn_json_read(file, &e);
    tn_gguf *g = tn_gguf_open(s.path, &e);
    must(&e);
    int compared = 0;
    for (const tn_json *c = tn_json_find(expected, "cases")->child; c; c = c->next) {
        const tn_json *text = tn_json_find(c, "text");
        if ((kind->trims && is_trimmed(text)) || (kind->but && strstr(text->text, kind->but)))
            continue;
        ck_assert_msg(same_ids(k, again, text), "%s: \"%s\"", kind->folder, text->text);
        compared++;
    }
    ck_assert_int_gt(compared, 10);
    ck_assert_int_eq(tn_tokenizer_size(k), tn_tokenizer_size(again));
    ck_assert(tn_tokenizer_end(k) < 0 || tn_tokenizer_end(k) == tn_tokenizer_end(again));
    ck_assert_int_eq(tn_tokenizer_begin(k), tn_tokenizer_begin(again));
    ck_assert_int_eq(tn_gguf_value_of(g, "tokenizer.ggml.tokens")->count,
                     tn_tokenizer_size(k) + PADDED);
    has_key(g, "tokenizer.ggml.model", kind->model);
    has_key(g, "tokenizer.ggml.pre", kind->pre);
    has_key(g, "tokenizer.chat_template", "{{ x }}");
    tn_gguf_close(g);
    tn_json_free(expected);
    tn_tokenizer_free(k);
    tn_tokenizer_free(again);
    scratch_close(&s);
}
END_TEST

/* Tokenizers without merges: their tokens in a GGUF file, which llama.cpp reads. */
static const struct {
    const char *text; /* its characters; NULL: bytes */
    const char *model;
    int64_t id;
    const char *token; /* of this id */
} symbols[] = {
    { NULL, "gpt2", 'a', "a" },
    { NULL, "gpt2", ' ', "\xC4\xA0" },
    { NULL, "gpt2", 0, "\xC4\x80" },
    { NULL, "gpt2", 255, "\xC3\xBF" },
    { NULL, "gpt2", 257, "[PAD257]" },
    { "a b", "llama", 0, "\xE2\x96\x81" },
    { "a b", "llama", 1, "a" },
    { "a\nb", "llama", 0, "\n" },
    { "a\xC3\xA9", "llama", 1, "\xC3\xA9" },
};

/* What the file says is the same tokenizer. */
static void reads_back(const tn_tokenizer *k, const char *folder)
{
    static const char text[] = "\"a b <|endoftext|>b\\na \\u00e9 [PAD0]\\u2581\"";
    tn_error e = { 0 };
    tn_tokenizer *again = opened(folder);
    const tn_json *v = tn_json_parse(text, strlen(text), "text", 0, &e);
    must(&e);
    ck_assert_str_eq(tn_tokenizer_kind(again), tn_tokenizer_kind(k));
    ck_assert_int_eq(tn_tokenizer_size(again), tn_tokenizer_size(k));
    ck_assert_int_eq(tn_tokenizer_end(again), tn_tokenizer_end(k));
    ck_assert_int_eq(tn_tokenizer_begin(again), -1);
    ck_assert(tn_tokenizer_hash(again) == tn_tokenizer_hash(k));
    ck_assert(same_ids(k, again, v));
    tn_json_free(v);
    tn_tokenizer_free(again);
}

START_TEST(without_merges)
{
    const char *text = symbols[_i].text;
    tn_error e = { 0 };
    scratch s;
    scratch_open(&s);
    tn_tokenizer *k = text ? tn_tokenizer_chars(text, strlen(text), &e) : tn_tokenizer_bytes(&e);
    write_keys(scratch_path(&s, "k.gguf"), k, NULL);
    tn_gguf *g = tn_gguf_open(s.path, &e);
    must(&e);
    const tn_gguf_value *tokens = tn_gguf_value_of(g, "tokenizer.ggml.tokens");
    const tn_gguf_value *types = tn_gguf_value_of(g, "tokenizer.ggml.token_type");
    tn_span token = { NULL, 0 };
    size_t at = 0;
    int64_t type = 0;
    for (int64_t i = 0; i <= symbols[_i].id; i++)
        ck_assert(tn_gguf_string(tokens, &at, &token));
    ck_assert_uint_eq(token.n, strlen(symbols[_i].token));
    ck_assert_mem_eq(token.s, symbols[_i].token, token.n);
    ck_assert(tn_gguf_int(types, tn_tokenizer_end(k), &type) && type == 3);
    ck_assert(tn_gguf_int(types, 0, &type) && type == 1);
    has_key(g, "tokenizer.ggml.model", symbols[_i].model);
    ck_assert_int_eq(tn_gguf_value_of(g, "tokenizer.ggml.merges") != NULL, !text);
    reads_back(k, s.path);
    tn_gguf_close(g);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

/* Merges that scores do not give, as the made-up ones of these are, and a letter that is taken. */
static const struct {
    const char *folder, *says;
} refused[] = {
    { GOLDEN "tokenizer/llama2", "not in the order of scores" },
    { GOLDEN "tokenizer/gemma", "not in the order of scores" },
    { GOLDEN "tokenizer/metaspace", "not in the order of scores" },
    { GOLDEN "tokenizer/chars", "a token U+2581" },
};

START_TEST(refuses)
{
    tn_error e = { 0 };
    tn_gguf_list keys = { 0 };
    tn_tokenizer *k = opened(refused[_i].folder);
    tn_gguf_add_tokenizer(&keys, k, tn_tokenizer_size(k), NULL, &e);
    must_fail(&e, TN_EFORMAT, refused[_i].says);
    tn_gguf_add_tokenizer(&keys, k, tn_tokenizer_size(k) - 1, NULL, &e);
    must_fail(&e, TN_EARG, "expected at most the model's");
    tn_gguf_list_free(&keys);
    tn_tokenizer_free(k);
}
END_TEST

/* The texts that the real tokenizers are tested with. */
static const char *const real[] = { "gpt2", "llama3", "qwen3", "llama2-spm" };

START_TEST(real_ones)
{
    char *golden = assets("golden/tokenizer_golden.json"), name[64];
    if (!golden)
        return;
    tn_error e = { 0 };
    scratch s;
    scratch_open(&s);
    snprintf(name, sizeof name, "assets/tokenizers/%s", real[_i]);
    char *folder = assets(name);
    const tn_json *texts = tn_json_find(tn_json_read(golden, &e), "strings");
    must(&e);
    tn_tokenizer *k = opened(folder);
    write_keys(scratch_path(&s, "k.gguf"), k, NULL);
    tn_tokenizer *again = opened(s.path);
    for (const tn_json *text = texts ? texts->child : NULL; text; text = text->next)
        ck_assert_msg(same_ids(k, again, text), "%s: \"%s\"", name, text->text);
    ck_assert_ptr_nonnull(texts);
    tn_json_free(texts->parent);
    tn_tokenizer_free(k);
    tn_tokenizer_free(again);
    free(folder);
    free(golden);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, gives_the_same_ids, 0, KINDS);
    tcase_add_loop_test(c, without_merges, 0, sizeof symbols / sizeof *symbols);
    tcase_add_loop_test(c, refuses, 0, sizeof refused / sizeof *refused);
    tcase_add_loop_test(c, real_ones, 0, sizeof real / sizeof *real);
}
