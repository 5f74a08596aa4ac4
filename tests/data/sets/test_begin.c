/* test_begin.c - the token before a text, and records whose completion goes on from the prompt.
   The reference is the tokenizer call of Transformers on the whole text of a record: the first
   token of the template, then the ids of prompt and completion together. */
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* begin: what the template of the golden file puts first */
static const struct kind {
    const char *name;
    int begin;
} kinds[] = { { "llama3", 400 },  { "llama2", 1 }, { "tok512", 1 },
              { "metaspace", 1 }, { "gemma", 1 },  { "gpt2", -1 } };

/* No merge joins the two parts of any of these. */
static const struct {
    const char *prompt, *completion;
} parts[] = {
    { "the name", " of it" }, { "Once upon", " a time" }, { "MR =>", " x" }, { "", "all of it" },
    { "", " all" },
};

enum { KINDS = sizeof kinds / sizeof *kinds, PARTS = sizeof parts / sizeof *parts };

static tn_tokenizer *opened(const char *name)
{
    char path[128];
    tn_error e = { 0 };
    snprintf(path, sizeof path, GOLDEN "tokenizer/%s", name);
    tn_tokenizer *k = tn_tokenizer_open(path, &e);
    must(&e);
    return k;
}

/* begin, the ids of a text, and `last` if it is not negative. Returns how many. */
static int64_t whole(const tn_tokenizer *k, const char *text, int32_t last, int32_t out[64])
{
    int32_t *ids = NULL;
    int64_t n = 0, room = 0, made = 0;
    tn_error e = { 0 };
    tn_encode(k, text, strlen(text), &ids, &n, &room, NULL, &e);
    must(&e);
    ck_assert_int_lt(n, 60);
    if (tn_tokenizer_begin(k) >= 0)
        out[made++] = tn_tokenizer_begin(k);
    if (n)
        memcpy(out + made, ids, (size_t)n * sizeof *ids);
    made += n;
    if (last >= 0)
        out[made++] = last;
    free(ids);
    return made;
}

START_TEST(records_are_the_call_on_the_whole)
{
    tn_tokenizer *k = opened(kinds[_i].name);
    const int32_t end = tn_tokenizer_end(k);
    scratch s;
    scratch_open(&s);
    ck_assert_int_eq(tn_tokenizer_begin(k), kinds[_i].begin);
    for (int i = 0; i < PARTS; i++) {
        char line[128], text[64];
        int32_t wanted[64], ids[64], before[64];
        int64_t prompt = 0;
        tn_error e = { 0 };
        const bool pair = *parts[i].prompt;
        snprintf(text, sizeof text, "%s%s", parts[i].prompt, parts[i].completion);
        snprintf(line, sizeof line,
                 pair ? "{\"prompt\":\"%s\",\"completion\":\"%s\"}" : "{\"text\":\"%s%s\"}",
                 parts[i].prompt, parts[i].completion);
        put_file(s.folder, "r.jsonl", line);
        tn_dataset *d = tn_dataset_jsonl(scratch_path(&s, "r.jsonl"), k,
                                         &(tn_data_options){ .max_length = 64 }, &e);
        must(&e);
        const int64_t n = whole(k, text, end, wanted);
        ck_assert_int_eq(tn_dataset_record(d, 0, &prompt), n);
        tn_dataset_ids(d, 0, 0, n, ids);
        ck_assert_mem_eq(ids, wanted, (size_t)n * sizeof *ids);
        ck_assert_int_eq(prompt,
                         pair ? whole(k, parts[i].prompt, -1, before) : kinds[_i].begin >= 0);
        ck_assert_int_eq(tn_dataset_facts(d).loss_tokens, n - (prompt > 1 ? prompt : 1));
        tn_dataset_free(d);
    }
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

/* Only at the beginning of the file. */
START_TEST(a_text_begins_once)
{
    tn_tokenizer *k = opened(kinds[_i].name);
    scratch s;
    scratch_open(&s);
    tn_error e = { 0 };
    int32_t wanted[64], ids[64];
    put_file(s.folder, "t.txt", "\xEF\xBB\xBFthe name of it");
    for (int part = 0; part < 2; part++) {
        const tn_data_options o = { .max_length = 64, .short_text = true };
        tn_dataset *d = tn_dataset_text(scratch_path(&s, "t.txt"), k, part ? 0.6 : 0, 1, &o, &e);
        must(&e);
        const int64_t n = whole(k, part ? " of it" : "the name of it", -1, wanted);
        const int64_t left = part && kinds[_i].begin >= 0;
        ck_assert_int_eq(tn_dataset_facts(d).tokens, n - left);
        tn_dataset_ids(d, 0, 0, n - left, ids);
        if (!part || !left)
            ck_assert_mem_eq(ids, wanted, (size_t)n * sizeof *ids);
        else
            ck_assert_int_ne(ids[0], kinds[_i].begin);
        tn_dataset_free(d);
    }
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

/* What Transformers 5.24 puts before and after a text. In a tokenizer.json its template alone
   decides, in the older files add_bos_token and add_eos_token. */
static const struct {
    const char *name, *file, *config;
    int begin, after;
} configs[] = {
    { "llama2", "tokenizer.json", "", 1, -1 },
    { "llama2", "tokenizer.json", ",\"add_bos_token\":true", 1, -1 },
    { "llama2", "tokenizer.json", ",\"add_bos_token\":false", 1, -1 },
    { "llama2", "tokenizer.json", ",\"add_eos_token\":true", 1, -1 },
    { "llama2", "tokenizer.json", ",\"bos_token\":\"</s>\",\"add_bos_token\":true", 1, -1 },
    { "tok512", "tokenizer.model", ",\"bos_token\":\"<s>\",\"add_bos_token\":true", 1, -1 },
    { "tok512", "tokenizer.model", ",\"bos_token\":\"<s>\",\"add_bos_token\":false", -1, -1 },
    { "tok512", "tokenizer.model", ",\"bos_token\":\"</s>\",\"add_bos_token\":true", 2, -1 },
    { "tok512", "tokenizer.model",
      ",\"bos_token\":\"<s>\",\"add_bos_token\":true,\"add_eos_token\":true", 1, 2 },
    { "tok512", "tokenizer.model",
      ",\"bos_token\":\"<s>\",\"add_bos_token\":false,\"add_eos_token\":true", -1, 2 },
    { "tok512", "tokenizer.model",
      ",\"bos_token\":\"</s>\",\"add_bos_token\":true,\"add_eos_token\":true", 2, 2 },
};

START_TEST(the_config_decides)
{
    char path[128];
    tn_error e = { 0 };
    scratch s;
    scratch_open(&s);
    snprintf(path, sizeof path, GOLDEN "tokenizer/%s", configs[_i].name);
    copy_file(path, s.folder, configs[_i].file);
    snprintf(path, sizeof path, "{\"eos_token\":\"</s>\"%s}", configs[_i].config);
    put_file(s.folder, "tokenizer_config.json", path);
    tn_tokenizer *k = tn_tokenizer_open(s.folder, &e);
    must(&e);
    ck_assert_int_eq(tn_tokenizer_begin(k), configs[_i].begin);
    ck_assert_int_eq(tn_tokenizer_after(k), configs[_i].after);
    tn_tokenizer_save(k, s.folder, &e); /* the template of its tokenizer.json has both */
    tn_tokenizer_free(k);
    k = tn_tokenizer_open(s.folder, &e);
    must(&e);
    ck_assert_int_eq(tn_tokenizer_begin(k), configs[_i].begin);
    ck_assert_int_eq(tn_tokenizer_after(k), configs[_i].after);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, records_are_the_call_on_the_whole, 0, KINDS);
    tcase_add_loop_test(c, a_text_begins_once, 0, KINDS);
    tcase_add_loop_test(c, the_config_decides, 0, sizeof configs / sizeof *configs);
}
