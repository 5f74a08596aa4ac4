/* test_bpe.c - BPE with merges: the ids and texts of the package tokenizers.
   tests/golden/tokenizer/NAME has a small tokenizer of each known kind, and expected.json with what
   the package tokenizers 0.23.3 makes of texts. With $TENON_ASSETS the real ones are tested,
   too. */
#include "tests/support/assets.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct kind {
    const char *name, *kind;
} kinds[] = {
    { "gpt2", "byte-level BPE" },      { "smollm", "byte-level BPE" },
    { "llama3", "byte-level BPE" },    { "qwen2", "byte-level BPE" },
    { "gemma", "SentencePiece BPE" },  { "llama2", "SentencePiece BPE" },
    { "tok512", "SentencePiece BPE" }, { "metaspace", "SentencePiece BPE" },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static tn_tokenizer *opened(const char *folder)
{
    tn_error e = { 0 };
    tn_tokenizer *k = tn_tokenizer_open(folder, &e);
    must(&e);
    return k;
}

/* ids: what the file lists; NULL: nothing is compared. */
static void check_ids(const char *what, const tn_json *text, const tn_json *wanted,
                      const int32_t *ids, int64_t n)
{
    int64_t i = 0, id = 0;
    for (const tn_json *v = wanted->child; v; v = v->next, i++)
        ck_assert_msg(i < n && tn_json_int(v, &id) && id == ids[i],
                      "%s: \"%.60s\": id %lld is %d; expected %lld", what, text->text, (long long)i,
                      i < n ? ids[i] : -1, (long long)id);
    ck_assert_msg(i == n, "%s: \"%.60s\": %lld ids; expected %lld", what, text->text, (long long)n,
                  (long long)i);
}

static void check_text(const char *what, const tn_json *wanted, const tn_text *t)
{
    ck_assert_msg(t->n == wanted->length && (!t->n || !memcmp(t->s, wanted->text, t->n)),
                  "%s: \"%.60s\": decoded to \"%.60s\"", what, wanted->text, t->s ? t->s : "");
}

/* The text of the ids, at once and token by token. */
static void check_decoded(const tn_tokenizer *k, const char *what, const tn_json *wanted,
                          const int32_t *ids, int64_t n)
{
    tn_text all = { 0 }, one = { 0 };
    tn_held held = { 0 };
    for (int64_t i = 0; i < n; i++)
        tn_decode_next(k, ids + i, 1, &held, &one);
    tn_decode_end(&held, &one);
    tn_decode(k, ids, n, &all);
    check_text(what, wanted, &all);
    check_text(what, wanted, &one);
    tn_text_free(&all);
    tn_text_free(&one);
}

static void check_case(const tn_tokenizer *k, const char *what, const tn_json *c)
{
    const tn_json *text = tn_json_find(c, "text"), *ids = tn_json_find(c, "ids");
    const tn_json *template = tn_json_find(c, "template"), *back = tn_json_find(c, "decoded");
    tn_error e = { 0 };
    int32_t *made = NULL;
    int64_t n = 0, room = 0, skipped = 0;
    tn_encode(k, text->text, text->length, &made, &n, &room, &skipped, &e);
    must(&e);
    check_ids(what, text, ids, made, n);
    check_decoded(k, what, back ? back : text, made, n);
    n = 0;
    tn_encode_template(k, text->text, text->length, &made, &n, &room, &skipped, &e);
    must(&e);
    check_ids(what, text, template ? template : ids, made, n);
    free(made);
}

/* All texts in one, many times: longer than what is looked at in one go. */
static void check_long(const tn_tokenizer *k, const char *what, const tn_json *expected)
{
    const tn_json *cases = tn_json_find(expected, "cases"),
                  *wanted = tn_json_find(expected, "long");
    const char *hash = NULL;
    char made[24];
    int64_t count = 0, n = 0, room = 0, skipped = 0;
    int32_t *ids = NULL;
    tn_error e = { 0 };
    tn_text once = { 0 }, all = { 0 };
    for (const tn_json *c = cases->child; c; c = c->next) {
        if (c != cases->child)
            tn_text_add(&once, " a ");
        tn_text_bytes(&once, tn_json_find(c, "text")->text, tn_json_find(c, "text")->length);
    }
    for (int i = 0; i < 40; i++)
        tn_text_bytes(&all, once.s, once.n);
    tn_encode(k, all.s, all.n, &ids, &n, &room, &skipped, &e);
    tn_json_get_int(wanted, "n", &count, &e);
    tn_json_get_string(wanted, "hash", &hash, &e);
    must(&e);
    snprintf(made, sizeof made, "%llu",
             (unsigned long long)tn_hash64(ids, (size_t)n * sizeof *ids, 0));
    ck_assert_msg(n == count && !strcmp(made, hash), "%s: a long text has other ids", what);
    free(ids);
    tn_text_free(&once);
    tn_text_free(&all);
}

static void check_all(const tn_tokenizer *k, const char *what, const tn_json *expected)
{
    tn_error e = { 0 };
    int64_t size = 0, n = 0;
    tn_json_get_int(expected, "size", &size, &e);
    ck_assert_int_eq(tn_tokenizer_size(k), size);
    for (const tn_json *c = tn_json_find(expected, "cases")->child; c; c = c->next, n++)
        check_case(k, what, c);
    ck_assert_int_gt(n, 150);
    check_long(k, what, expected);
}

/* The files of the reference, then the files that we write. */
START_TEST(ids_and_texts_are_the_reference_s)
{
    char folder[128], path[160];
    tn_error e = { 0 };
    scratch s;
    scratch_open(&s);
    snprintf(folder, sizeof folder, GOLDEN "tokenizer/%s", kinds[_i].name);
    snprintf(path, sizeof path, "%s/expected.json", folder);
    const tn_json *expected = tn_json_read(path, &e);
    tn_tokenizer *k = opened(folder);
    ck_assert_str_eq(tn_tokenizer_kind(k), kinds[_i].kind);
    check_all(k, kinds[_i].name, expected);
    tn_tokenizer_save(k, s.folder, &e);
    must(&e);
    tn_tokenizer *copy = opened(s.folder);
    check_all(copy, kinds[_i].name, expected);
    ck_assert(tn_tokenizer_hash(copy) == tn_tokenizer_hash(k));
    ck_assert_int_eq(tn_tokenizer_begin(copy), tn_tokenizer_begin(k));
    ck_assert_int_eq(tn_tokenizer_end(copy), tn_tokenizer_end(k));
    tn_tokenizer_free(copy);
    tn_tokenizer_free(k);
    tn_json_free(expected);
    scratch_close(&s);
}
END_TEST

/* The model of SentencePiece gives the ids of the tokenizer.json that was made of it. */
START_TEST(a_sentencepiece_model_is_its_tokenizer_json)
{
    tn_error e = { 0 };
    scratch s;
    scratch_open(&s);
    copy_file(GOLDEN "tokenizer/tok512", s.folder, "tokenizer.model");
    const tn_json *expected = tn_json_read(GOLDEN "tokenizer/tok512/expected.json", &e);
    ck_assert_str_eq(tn_tokenizer_file(s.folder, &e), "tokenizer.model");
    tn_tokenizer *k = opened(s.folder);
    check_all(k, "tokenizer.model", expected);
    ck_assert_int_eq(tn_tokenizer_begin(k), 1);
    ck_assert_int_eq(tn_tokenizer_end(k), 2);
    tn_tokenizer_free(k);
    tn_json_free(expected);
    scratch_close(&s);
}
END_TEST

static void add_merge(tn_text *t, const tn_json *m)
{
    if (m->kind == TN_STRING)
        tn_text_add(t, "%s\n", m->text);
    else
        tn_text_add(t, "%s %s\n", tn_json_at(m, 0)->text, tn_json_at(m, 1)->text);
}

/* vocab.json and merges.txt made of a tokenizer.json give its ids. */
START_TEST(the_older_files_of_gpt2)
{
    tn_error e = { 0 };
    tn_text vocab = { 0 }, merges = { 0 };
    scratch s;
    scratch_open(&s);
    const tn_json *root = tn_json_read(GOLDEN "tokenizer/gpt2/tokenizer.json", &e);
    const tn_json *expected = tn_json_read(GOLDEN "tokenizer/gpt2/expected.json", &e);
    const tn_json *model = tn_json_find(root, "model");
    for (const tn_json *v = tn_json_find(model, "vocab")->child; v; v = v->next) {
        tn_text_add(&vocab, vocab.n ? "," : "{");
        tn_text_quote(&vocab, v->key, strlen(v->key));
        tn_text_add(&vocab, ":%s", v->text);
    }
    tn_text_add(&vocab, "}");
    tn_text_add(&merges, "#version: 0.2\r\n");
    for (const tn_json *v = tn_json_find(model, "merges")->child; v; v = v->next)
        add_merge(&merges, v);
    tn_text_save(&vocab, s.folder, "vocab.json", &e);
    tn_text_save(&merges, s.folder, "merges.txt", &e);
    ck_assert_str_eq(tn_tokenizer_file(s.folder, &e), "vocab.json");
    tn_tokenizer *k = opened(s.folder);
    check_all(k, "merges.txt", expected);
    ck_assert_int_eq(tn_tokenizer_end(k), tn_tokenizer_find(k, "<|endoftext|>"));
    tn_tokenizer_free(k);
    tn_json_free(expected);
    tn_json_free(root);
    scratch_close(&s);
}
END_TEST

/* $TENON_ASSETS: the ids of real tokenizers, as another implementation gives them. */
START_TEST(real_tokenizers)
{
    static const char *const names[][2] = {
        { "tokenizers/gpt2", "gpt2" },     { "tokenizers/llama2-spm", "llama2" },
        { "tokenizers/llama3", "llama3" }, { "tokenizers/qwen3", "qwen3" },
        { "tokenizers/tok512", "tok512" },
    };
    char golden[64];
    tn_error e = { 0 };
    snprintf(golden, sizeof golden, "assets/tokenizers/golden/%s.json", names[_i][1]);
    char *path = assets(golden);
    if (!path)
        return;
    snprintf(golden, sizeof golden, "assets/%s", names[_i][0]);
    char *folder = assets(golden);
    const tn_json *cases = tn_json_read(path, &e);
    tn_tokenizer *k = opened(folder);
    for (const tn_json *c = cases->child; c; c = c->next) {
        const tn_json *text = tn_json_find(c, "text");
        int32_t *ids = NULL;
        int64_t n = 0, room = 0;
        tn_encode_template(k, text->text, text->length, &ids, &n, &room, NULL, &e);
        must(&e);
        check_ids(names[_i][1], text, tn_json_find(c, "ids"), ids, n);
        free(ids);
    }
    ck_assert_int_gt(cases->count, 60);
    tn_tokenizer_free(k);
    tn_json_free(cases);
    free(path);
    free(folder);
}
END_TEST

/* A megabyte of one word, of marks, of spaces takes no longer than other text. */
START_TEST(a_megabyte_of_any_text)
{
    static const char *const units[] = { "ab", " ", "\xCC\x81\xCC\xA7", "\xE4\xB8\xAD", "<" };
    char folder[128];
    snprintf(folder, sizeof folder, GOLDEN "tokenizer/%s", kinds[_i].name);
    tn_tokenizer *k = opened(folder);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        tn_error e = { 0 };
        tn_text t = { 0 }, back = { 0 };
        int32_t *ids = NULL;
        int64_t n = 0, room = 0, skipped = 0;
        while (t.n < 1 << 20)
            tn_text_add(&t, "%s", units[i]);
        const clock_t start = clock();
        tn_encode(k, t.s, t.n, &ids, &n, &room, &skipped, &e);
        const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        must(&e);
        ck_assert_msg(seconds < 5, "%s: \"%s\" x 1 MiB took %.1f s", folder, units[i], seconds);
        tn_decode(k, ids, n, &back);
        const bool same = back.n == t.n && !memcmp(back.s, t.s, t.n);
        ck_assert_msg(same || !strcmp(kinds[_i].name, "qwen2") ||
                          !strcmp(kinds[_i].name, "tok512") || !strcmp(kinds[_i].name, "metaspace"),
                      "%s: \"%s\" x 1 MiB is decoded to another text", folder, units[i]);
        free(ids);
        tn_text_free(&t);
        tn_text_free(&back);
    }
    tn_tokenizer_free(k);
}
END_TEST

/* Names of special tokens in a text are text, in a template tokens. */
START_TEST(special_tokens_of_a_text_are_text)
{
    static const char text[] = "<|im_start|>user<think>";
    tn_error e = { 0 };
    tn_tokenizer *k = opened(GOLDEN "tokenizer/qwen2");
    const int32_t start = tn_tokenizer_find(k, "<|im_start|>"),
                  think = tn_tokenizer_find(k, "<think>");
    int32_t *ids = NULL;
    int64_t n = 0, room = 0;
    tn_text name = { 0 };
    ck_assert(start > 0 && think > 0 && tn_tokenizer_find(k, "<none>") == -1);
    tn_encode(k, text, strlen(text), &ids, &n, &room, NULL, &e);
    for (int64_t i = 0; i < n; i++)
        ck_assert_int_ne(ids[i], start);
    ck_assert_int_eq(ids[n - 1], think);
    n = 0;
    tn_encode_template(k, text, strlen(text), &ids, &n, &room, NULL, &e);
    must(&e);
    ck_assert_int_eq(ids[0], start);
    tn_decode_token(k, start, false, &name);
    ck_assert_uint_eq(name.n, 0);
    tn_decode_token(k, start, true, &name);
    ck_assert_str_eq(name.s, "<|im_start|>");
    tn_text_free(&name);
    free(ids);
    tn_tokenizer_free(k);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, ids_and_texts_are_the_reference_s, 0, KINDS);
    tcase_add_test(c, a_sentencepiece_model_is_its_tokenizer_json);
    tcase_add_test(c, the_older_files_of_gpt2);
    tcase_add_loop_test(c, real_tokenizers, 0, 5);
    tcase_add_loop_test(c, a_megabyte_of_any_text, 0, KINDS);
    tcase_add_test(c, special_tokens_of_a_text_are_text);
}
