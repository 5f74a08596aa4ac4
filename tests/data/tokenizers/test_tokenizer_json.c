/* test_tokenizer_json.c - tokenizers from Hugging Face files: the same ids, and what is refused. */
#include "data/data.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* Transformers 5.23 (tokenizers 0.23) wrote the golden folders, from vocabularies in random order.
   expected.json holds the ids that it gives. */
static const char *const golden[] = {
    "tests/golden/tokenizer/bytes",
    "tests/golden/tokenizer/chars",
};

static void check_encodes(const tn_tokenizer *k, const tn_json *expected)
{
    int64_t size = 0, end = 0;
    tn_error e = { 0 };
    tn_json_get_int(expected, "size", &size, &e);
    tn_json_get_int(expected, "end", &end, &e);
    ck_assert_int_eq(tn_tokenizer_size(k), size);
    ck_assert_int_eq(tn_tokenizer_end(k), end);
    const tn_json *cases = tn_json_find(expected, "cases");
    ck_assert_int_gt(cases->count, 20);
    for (const tn_json *c = cases->child; c != NULL; c = c->next) {
        const tn_json *text = tn_json_find(c, "text"), *wanted = tn_json_find(c, "ids");
        int32_t *ids = NULL;
        int64_t n = 0, room = 0, id = 0;
        tn_text back = { 0 };
        ck_assert_int_eq(tn_encode(k, text->text, text->length, &ids, &n, &room, NULL, &e), 0);
        ck_assert_int_eq(n, wanted->count);
        for (int64_t i = 0; i < n; i++)
            ck_assert(tn_json_int(tn_json_at(wanted, i), &id) && id == ids[i]);
        tn_decode(k, ids, n, &back);
        ck_assert_uint_eq(back.n, text->length);
        ck_assert(n == 0 || !memcmp(back.s, text->text, back.n));
        tn_text_free(&back);
        free(ids);
    }
    ck_assert_int_eq(e.code, 0);
}

/* The golden files give the golden ids. So do the files that we save after opening them. */
START_TEST(reference)
{
    tn_error e = { 0 };
    scratch s;
    scratch_open(&s);
    char *path = tn_path_join(golden[_i], "expected.json");
    const tn_json *expected = tn_json_read(path, &e);
    tn_tokenizer *k = tn_tokenizer_open(golden[_i], &e);
    ck_assert_msg(k != NULL, "%s", e.text);
    ck_assert_str_eq(tn_tokenizer_kind(k), strrchr(golden[_i], '/') + 1);
    check_encodes(k, expected);
    ck_assert_int_eq(tn_tokenizer_save(k, s.folder, &e), 0);
    tn_tokenizer_free(k);
    k = tn_tokenizer_open(s.folder, &e);
    ck_assert_msg(k != NULL, "%s", e.text);
    check_encodes(k, expected);
    tn_tokenizer_free(k);
    tn_json_free(expected);
    free(path);
    scratch_close(&s);
}
END_TEST

/* clang-format off */
/* Each part replaces its default in a good file. error NULL: the file is still good. */
static const struct refusal {
    const char *added, *pipeline, *model, *config, *error;
} refusals[] = {
    { NULL, NULL, NULL, NULL, NULL },
    { "", NULL, NULL, "{}", NULL },
    { NULL, NULL, NULL, "{\"eos_token\":{\"content\":\"<e>\"}}", NULL },
    { NULL, NULL, "\"type\":\"BPE\",\"vocab\":{\"a\":0,\"<e>\":2,\"b\":1},\"merges\":[]", NULL, NULL },
    { NULL, "\"normalizer\":{\"type\":\"NFC\"}", NULL, NULL, "/normalizer is \"NFC\"; expected null" },
    { NULL, "\"pre_tokenizer\":{\"type\":\"Whitespace\"}", NULL, NULL, "/pre_tokenizer is \"Whitespace\"" },
    { NULL, "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true},"
            "\"decoder\":{\"type\":\"ByteLevel\"}", NULL, NULL, "/pre_tokenizer/add_prefix_space is" },
    { NULL, "\"decoder\":null", NULL, NULL, "/decoder is \"\"; expected Fuse" },
    { NULL, "\"decoder\":{\"type\":\"ByteLevel\"}", NULL, NULL, "/decoder is \"ByteLevel\"; expected Fuse" },
    { NULL, "\"decoder\":{\"type\":\"Fuse\"},\"post_processor\":{\"type\":\"TemplateProcessing\","
            "\"single\":[1,2],\"special_tokens\":{\"<s>\":1}}", NULL, NULL, "/post_processor is \"Templ" },
    { NULL, "\"decoder\":{\"type\":\"Fuse\"},\"post_processor\":{\"type\":\"TemplateProcessing\","
            "\"single\":[{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{}}", NULL, NULL, NULL },
    { NULL, "\"decoder\":{\"type\":\"Fuse\"},\"post_processor\":{\"type\":\"TemplateProcessing\","
            "\"single\":[{\"SpecialToken\":{\"id\":\"<e>\"}}],\"special_tokens\":{}}", NULL, NULL,
      "/post_processor is \"Templ" },
    { NULL, "\"decoder\":{\"type\":\"Fuse\"},\"post_processor\":{\"type\":\"Roberta\"}", NULL, NULL,
      "/post_processor is \"Roberta\"; expected null or ByteLevel" },
    { NULL, "\"decoder\":{}", NULL, NULL, "/decoder is an object, expected an object with a \"type\"" },
    { NULL, "\"decoder\":7", NULL, NULL, "/decoder is a number" },
    { NULL, NULL, "\"type\":\"Unigram\",\"vocab\":{}", NULL, "/model/type is \"Unigram\"; expected BPE" },
    { NULL, NULL, "\"vocab\":{\"a\":0},\"merges\":[\"a b\"]", NULL, "/normalizer is \"\"; expected Replace of spaces" },
    { NULL, NULL, "\"vocab\":{\"a\":0,\"b\":1}", NULL, "/model is an object, expected an array of merges" },
    { NULL, NULL, "\"unk_token\":\"<unk>\",\"vocab\":{\"a\":0},\"merges\":[]", NULL, "/model/unk_token is" },
    { NULL, NULL, "\"byte_fallback\":true,\"vocab\":{\"a\":0},\"merges\":[]", NULL, "/model/byte_fallback" },
    { NULL, NULL, "\"dropout\":0.1,\"vocab\":{\"a\":0},\"merges\":[]", NULL, "/model/dropout is a number" },
    { NULL, NULL, "\"vocab\":{},\"merges\":[]", NULL, "/model/vocab: nothing found" },
    { NULL, NULL, "\"vocab\":{\"a\":0,\"ab\":1},\"merges\":[]", NULL, "a token of /model/vocab is \"ab\"; expected" },
    { NULL, NULL, "\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]", NULL, "/model/vocab/b is a number, expected an id" },
    { NULL, NULL, "\"vocab\":{\"a\":0,\"b\":5},\"merges\":[]", NULL, "/model/vocab/b is a number, expected an id" },
    { NULL, NULL, "\"vocab\":{\"a\":0,\"b\":-1},\"merges\":[]", NULL, "/model/vocab/b is a number" },
    { NULL, NULL, "\"vocab\":{\"a\":0,\"b\":2},\"merges\":[]", NULL, "/model/vocab/b is a number" },
    { NULL, NULL, "\"vocab\":{\"a\":0,\"b\":1.5},\"merges\":[]", NULL, "/model/vocab/b is a number, expected an int" },
    { NULL, NULL, "\"vocab\":{\"a\":0},\"merges\":[]", NULL, "the end token has id 2; expected ids 0 to 1" },
    { "{\"id\":2,\"content\":\"<e>\",\"special\":false}", NULL, NULL, NULL, "expected a special token" },
    { "{\"id\":2,\"special\":true}", NULL, NULL, NULL, "expected a special token with content and id" },
    { "{\"id\":2,\"content\":\"<e>\",\"special\":true},{\"id\":3,\"content\":\"<f>\",\"special\":true}", NULL, NULL,
      NULL, "expected an array of one added token" },
    { NULL, NULL, NULL, "{\"eos_token\":\"</s>\"}", "/eos_token is \"</s>\"; expected the added token" },
    { NULL, NULL, NULL, "{\"eos_token\":\"<e>\\u0000\"}", "/eos_token is \"<e>\"; expected the added" },
    { NULL, NULL, NULL, "{\"eos_token\":3}", "/eos_token is a number, expected a string" },
    { NULL, NULL, NULL, "{", "tokenizer_config.json" },
};
/* clang-format on */

START_TEST(refused)
{
    const struct refusal *r = &refusals[_i];
    tn_error e = { 0 };
    tn_text t = { 0 };
    scratch s;
    scratch_open(&s);
    tn_text_add(&t, "{\"added_tokens\":[%s],%s,\"model\":{%s}}",
                r->added ? r->added : "{\"id\":2,\"content\":\"<e>\",\"special\":true}",
                r->pipeline ? r->pipeline : "\"decoder\":{\"type\":\"Fuse\"}",
                r->model ? r->model : "\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]");
    scratch_write(&s, "tokenizer.json", t.s, t.n);
    if (r->config)
        scratch_write(&s, "tokenizer_config.json", r->config, strlen(r->config));
    tn_tokenizer *k = tn_tokenizer_open(s.folder, &e);
    if (r->error == NULL)
        ck_assert_msg(k != NULL && tn_tokenizer_size(k) >= 2, "%s", e.text);
    else
        ck_assert_msg(!k && strstr(e.text, r->error) && !strchr(e.text, '\n'), "%s", e.text);
    ck_assert(k == NULL || tn_tokenizer_end(k) == (r->added && !*r->added ? -1 : 2));
    tn_tokenizer_free(k);
    tn_text_free(&t);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, reference, 0, 2);
    tcase_add_loop_test(c, refused, 0, sizeof refusals / sizeof *refusals);
}
