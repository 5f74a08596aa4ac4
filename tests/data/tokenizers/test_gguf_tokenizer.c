/* test_gguf_tokenizer.c - the tokenizer inside a GGUF file.
   A file with the keys that llama.cpp writes is made of each golden tokenizer.json: its tokenizer
   is the same one. Where the keys cannot say what the JSON file does, that is changed first. The
   oracle is the package tokenizers, to which test_bpe.c compares the JSON files. Malformed files
   are rows of tests/fuzz/format_gguf_tokenizer.c. */
#include "tests/support/assets.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include "data/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_IDS = 1024, CHANGES = 5 };

typedef struct change {
    const char *from, *to;
} change;

static const struct made {
    const char *name, *model, *pre; /* pre NULL: llama */
    bool begins;                    /* what the key add_bos_token says */
    int begin, end;                 /* ids; -1: no key */
    change changes[CHANGES];        /* of all places in the JSON file */
} made[] = {
    { "gpt2", "gpt2", "gpt-2", false, -1, 0, { { 0 } } },
    { "smollm", "gpt2", "smollm", false, -1, 0, { { 0 } } },
    { "llama3", "gpt2", "llama-bpe", true, 400, 401, { { 0 } } },
    { "qwen2",
      "gpt2",
      "qwen2",
      false,
      400,
      401,
      { { "strip\":true", "strip\":false" }, { "\"normalized\":true", "\"normalized\":false" } } },
    { "tok512",
      "llama",
      NULL,
      true,
      1,
      2,
      { { "\"Regex\": \"(?<![\\\\s\\\\S]) +| +(?![\\\\s\\\\S])\"", "\"String\": \" \"" },
        { "\"Regex\": \" {2,}\"", "\"String\": \" \"" } } },
};

enum { MADE = sizeof made / sizeof *made };

static tn_tokenizer *opened(const char *path)
{
    tn_error e = { 0 };
    tn_tokenizer *k = tn_tokenizer_open(path, &e);
    must(&e);
    return k;
}

/* Changes all places of a text. */
static char *changed(char *text, change c)
{
    tn_text out = { 0 };
    const char *at = text, *next;
    for (; (next = strstr(at, c.from)) != NULL; at = next + strlen(c.from)) {
        tn_text_bytes(&out, at, (size_t)(next - at));
        tn_text_add(&out, "%s", c.to);
    }
    ck_assert_msg(at != text, "%s is not there", c.from);
    tn_text_add(&out, "%s", at);
    free(text);
    return out.s;
}

/* ---- a GGUF file of a tokenizer.json ---- */

static bool is_byte(const char *name)
{
    return !strncmp(name, "<0x", 3) && strlen(name) == 6;
}

static void add_array(tn_gguf_list *l, const char *key, tn_gguf_kind kind, const void *numbers,
                      int64_t n, tn_error *e)
{
    tn_gguf_add(l,
                &(tn_gguf_value){ .key = key,
                                  .array = true,
                                  .kind = kind,
                                  .count = n,
                                  .bytes = numbers,
                                  .size = (size_t)n * 4 },
                e);
}

/* Tokens in the order of their ids, their types, and scores that fall with the id. */
static void add_tokens(tn_gguf_list *l, const tn_json *root, bool pieces, tn_error *e)
{
    tn_span token[MOST_IDS] = { 0 };
    int32_t type[MOST_IDS] = { 0 };
    float score[MOST_IDS];
    int64_t n = 0, id = 0;
    for (const tn_json *v = tn_json_find(tn_json_find(root, "model"), "vocab")->child; v;
         v = v->next, n++) {
        ck_assert(tn_json_int(v, &id) && id < MOST_IDS);
        token[id] = (tn_span){ v->key, strlen(v->key) };
        type[id] = pieces && is_byte(v->key) ? 6 : 1;
    }
    for (const tn_json *v = tn_json_find(root, "added_tokens")->child; v; v = v->next) {
        bool special = false;
        const char *name = NULL;
        tn_json_get_int(v, "id", &id, e);
        tn_json_get_string(v, "content", &name, e);
        tn_json_get_bool(v, "special", &special, e);
        n += !token[id].s;
        token[id] = (tn_span){ name, strlen(name) };
        type[id] = !special ? 4 : pieces && !strcmp(name, "<unk>") ? 2 : 3;
    }
    for (int i = 0; i < 3; i++, n++) { /* rows that fill up the embedding */
        token[n] = (tn_span){ "[PAD]", 5 };
        type[n] = 5;
    }
    for (int64_t i = 0; i < n; i++)
        score[i] = -(float)i;
    tn_gguf_add_strings(l, "tokenizer.ggml.tokens", token, n, e);
    add_array(l, "tokenizer.ggml.token_type", TN_GGUF_I32, type, n, e);
    if (pieces)
        add_array(l, "tokenizer.ggml.scores", TN_GGUF_F32, score, n, e);
}

static void add_merges(tn_gguf_list *l, const tn_json *root, tn_error *e)
{
    tn_text text = { 0 };
    tn_span merge[MOST_IDS];
    const tn_json *merges = tn_json_find(tn_json_find(root, "model"), "merges");
    ck_assert_int_le(merges->count, MOST_IDS);
    for (const tn_json *v = merges->child; v; v = v->next)
        if (v->kind == TN_STRING)
            tn_text_add(&text, "%s%c", v->text, 0);
        else
            tn_text_add(&text, "%s %s%c", tn_json_at(v, 0)->text, tn_json_at(v, 1)->text, 0);
    const char *at = text.s;
    for (int64_t i = 0; i < merges->count; i++, at += strlen(at) + 1)
        merge[i] = (tn_span){ at, strlen(at) };
    tn_gguf_add_strings(l, "tokenizer.ggml.merges", merge, merges->count, e);
    tn_text_free(&text);
}

static void write_gguf(const struct made *m, const tn_json *root, const char *path)
{
    tn_gguf_list l = { 0 };
    tn_error e = { 0 };
    tn_gguf_add_string(&l, "tokenizer.ggml.model", m->model, strlen(m->model), &e);
    if (m->pre)
        tn_gguf_add_string(&l, "tokenizer.ggml.pre", m->pre, strlen(m->pre), &e);
    add_tokens(&l, root, !m->pre, &e);
    if (m->pre)
        add_merges(&l, root, &e);
    if (m->begin >= 0)
        tn_gguf_add_int(&l, "tokenizer.ggml.bos_token_id", TN_GGUF_U32, m->begin, &e);
    if (m->end >= 0)
        tn_gguf_add_int(&l, "tokenizer.ggml.eos_token_id", TN_GGUF_U32, m->end, &e);
    if (strcmp(m->name, "tok512") != 0) /* llama begins with the first token without the key */
        tn_gguf_add_int(&l, "tokenizer.ggml.add_bos_token", TN_GGUF_BOOL, m->begins, &e);
    tn_gguf_write(path, &l, NULL, 0, &e);
    must(&e);
    tn_gguf_list_free(&l);
}

/* ---- two tokenizers are one ---- */

static void check_text(const tn_tokenizer *a, const tn_tokenizer *b, const tn_json *text,
                       bool template)
{
    const tn_tokenizer *k[2] = { a, b };
    int32_t *ids[2] = { 0 };
    int64_t n[2] = { 0 }, room[2] = { 0 }, skipped[2] = { 0 };
    tn_text back[2] = { { 0 }, { 0 } };
    tn_error e = { 0 };
    for (int i = 0; i < 2; i++) {
        (template ? tn_encode_template : tn_encode)(k[i], text->text, text->length, &ids[i], &n[i],
                                                    &room[i], &skipped[i], &e);
        must(&e);
        tn_decode(k[i], ids[i], n[i], &back[i]);
    }
    ck_assert_msg(n[0] == n[1] &&
                      (!n[0] || !memcmp(ids[0], ids[1], (size_t)n[0] * sizeof **ids)),
                  "\"%.60s\" has other ids", text->text);
    ck_assert_int_eq(skipped[0], skipped[1]);
    ck_assert(back[0].n == back[1].n && (!back[0].n || !memcmp(back[0].s, back[1].s, back[0].n)));
    for (int i = 0; i < 2; i++) {
        free(ids[i]);
        tn_text_free(&back[i]);
    }
}

static void check_same(const tn_tokenizer *a, const tn_tokenizer *b, const tn_json *cases)
{
    ck_assert_int_eq(tn_tokenizer_size(a), tn_tokenizer_size(b));
    ck_assert_int_eq(tn_tokenizer_begin(a), tn_tokenizer_begin(b));
    for (const tn_json *c = cases->child; c; c = c->next)
        for (int template = 0; template <2; template ++)
            check_text(a, b, tn_json_find(c, "text"), template);
    ck_assert_int_gt(cases->count, 150);
}

START_TEST(a_gguf_file_has_the_tokenizer_of_its_json)
{
    const struct made *m = &made[_i];
    char path[160];
    size_t size = 0;
    tn_error e = { 0 };
    scratch s, again;
    scratch_open(&s);
    scratch_open(&again);
    snprintf(path, sizeof path, GOLDEN "tokenizer/%s/tokenizer.json", m->name);
    char *text = tn_text_read(path, 1 << 20, &size, &e);
    for (int i = 0; i < CHANGES && m->changes[i].from; i++)
        text = changed(text, m->changes[i]);
    if (!m->pre) { /* no steps that leave out spaces */
        char *prepend = strstr(text, "\"Prepend\"");
        char *steps = strstr(text, "\"normalizers\": [");
        while (*--prepend != '{') {}
        memset(steps + strlen("\"normalizers\": ["), ' ',
               (size_t)(prepend - steps) - strlen("\"normalizers\": ["));
    }
    put_file(s.folder, "tokenizer.json", text);
    tn_tokenizer *json = opened(s.folder);
    snprintf(path, sizeof path, GOLDEN "tokenizer/%s/expected.json", m->name);
    const tn_json *expected = tn_json_read(path, &e);
    const tn_json *root = tn_json_read(scratch_path(&s, "tokenizer.json"), &e);
    write_gguf(m, root, scratch_path(&s, "x.gguf"));
    tn_tokenizer *k = opened(scratch_path(&s, "x.gguf"));
    check_same(json, k, tn_json_find(expected, "cases"));
    ck_assert_int_eq(tn_tokenizer_end(k), m->end);
    ck_assert_str_eq(tn_tokenizer_file(scratch_path(&s, "x.gguf"), &e), "tokenizer.ggml.tokens");
    tn_tokenizer_save(k, again.folder, &e);
    must(&e);
    tn_tokenizer *copy = opened(again.folder);
    check_same(copy, k, tn_json_find(expected, "cases"));
    ck_assert_int_eq(tn_tokenizer_end(copy), m->end);
    if (m->pre)
        ck_assert(tn_tokenizer_hash(copy) == tn_tokenizer_hash(k));
    tn_tokenizer_free(copy);
    tn_tokenizer_free(k);
    tn_tokenizer_free(json);
    tn_json_free(root);
    tn_json_free(expected);
    free(text);
    scratch_close(&again);
    scratch_close(&s);
}
END_TEST

/* ---- a folder ---- */

/* A folder's own tokenizer is read before that of a GGUF file in it; of two such files none is. */
START_TEST(the_gguf_file_of_a_folder)
{
    tn_error e = { 0 };
    scratch s;
    scratch_open(&s);
    const tn_json *root = tn_json_read(GOLDEN "tokenizer/smollm/tokenizer.json", &e);
    put_file(s.folder, "other.gguf", "no GGUF file");
    ck_assert_ptr_null(tn_tokenizer_file(s.folder, &e));
    must(&e);
    write_gguf(&made[1], root, scratch_path(&s, "a.gguf"));
    ck_assert_str_eq(tn_tokenizer_file(s.folder, &e), "tokenizer.ggml.tokens");
    tn_tokenizer *k = opened(s.folder);
    ck_assert_str_eq(tn_tokenizer_kind(k), "byte-level BPE");
    tn_tokenizer_free(k);
    write_gguf(&made[1], root, scratch_path(&s, "b.gguf"));
    ck_assert_ptr_null(tn_tokenizer_open(s.folder, &e));
    must_fail(&e, TN_EFORMAT, ": several GGUF files, a.gguf and b.gguf; expected the path of one");
    copy_file(GOLDEN "tokenizer/bytes", s.folder, "tokenizer.json");
    ck_assert_str_eq(tn_tokenizer_file(s.folder, &e), "tokenizer.json");
    k = opened(s.folder);
    ck_assert_str_eq(tn_tokenizer_kind(k), "bytes");
    tn_tokenizer_free(k);
    tn_json_free(root);
    scratch_close(&s);
}
END_TEST

/* ---- real files ---- */

/* The ids of a text, and what they are decoded to. */
static void check_golden(const tn_tokenizer *k, const tn_json *c, bool template, const char *key)
{
    const tn_json *text = tn_json_find(c, "text"), *wanted = tn_json_find(c, key);
    const tn_json *decoded = tn_json_find(c, template ? "decoded" : "text");
    int32_t *ids = NULL;
    int64_t n = 0, room = 0, skipped = 0, i = 0, id = 0;
    tn_text back = { 0 };
    tn_held held = { 0 };
    tn_error e = { 0 };
    (template ? tn_encode_template : tn_encode)(k, text->text, text->length, &ids, &n, &room,
                                                &skipped, &e);
    must(&e);
    for (const tn_json *v = wanted->child; v; v = v->next, i++)
        ck_assert(i < n && tn_json_int(v, &id) && ids[i] == id);
    ck_assert_int_eq(i, n);
    decoded = decoded ? decoded : text;
    for (int64_t j = 0; j < n; j++) { /* with the names of special tokens */
        const size_t before = back.n + held.n;
        tn_decode_next(k, &ids[j], 1, &held, &back);
        if (back.n + held.n == before)
            tn_decode_token(k, ids[j], true, &back);
    }
    tn_decode_end(&held, &back);
    ck_assert_msg(back.n == decoded->length && (!back.n || !memcmp(back.s, decoded->text, back.n)),
                  "\"%.60s\" is decoded to \"%.60s\"", text->text, back.n ? back.s : "");
    tn_text_free(&back);
    free(ids);
}

/* $TENON_ASSETS: SmolLM2's file, and the ids and texts that the package tokenizers gives. */
START_TEST(smollm2)
{
    tn_error e = { 0 };
    char *path = assets("golden/hf/smollm2/tokenizer_golden.json");
    if (!path)
        return;
    char *file = assets("assets/models/smollm2-135m-instruct-gguf/SmolLM2-135M-Instruct.Q4_1.gguf");
    char *folder = assets("assets/models/smollm2-135m-instruct-gguf/.");
    const tn_json *golden = tn_json_read(path, &e);
    must(&e);
    const tn_json *cases = tn_json_find(golden, "cases");
    tn_tokenizer *k = opened(file), *json = opened(folder);
    for (const tn_json *c = cases->child; c; c = c->next) {
        check_golden(k, c, true, "ids");
        if (tn_json_find(c, "ids_specials_as_text"))
            check_golden(k, c, false, "ids_specials_as_text");
    }
    ck_assert_int_eq(cases->count, 60);
    ck_assert_str_eq(tn_tokenizer_kind(json), tn_tokenizer_kind(k));
    ck_assert(tn_tokenizer_hash(json) == tn_tokenizer_hash(k));
    tn_tokenizer_free(json);
    tn_tokenizer_free(k);
    tn_json_free(golden);
    free(folder);
    free(file);
    free(path);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, a_gguf_file_has_the_tokenizer_of_its_json, 0, MADE);
    tcase_add_test(c, the_gguf_file_of_a_folder);
    tcase_add_test(c, smollm2);
}
