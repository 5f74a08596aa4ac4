/* test_chat.c - chats as text and as token ids, as Transformers makes them.
   25 conversations in 12 templates. */
#include "data/chat/chat.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "tests/golden/chat/"

enum { MOST = 16 }; /* messages of a conversation */

static tn_span span_of(const tn_json *v)
{
    return v ? (tn_span){ v->text, v->length } : (tn_span){ NULL, 0 };
}

/* Reads a conversation of conversations.json; returns how many messages it has. -1: a content is
   not a string, which no template sees. */
static int64_t read_messages(const tn_json *list, tn_message m[MOST])
{
    int64_t n = 0;
    for (const tn_json *v = list->child; v; v = v->next, n++) {
        const tn_json *text = tn_json_find(v, "content");
        if (text->kind != TN_STRING)
            return -1;
        ck_assert_int_lt(n, MOST);
        m[n] = (tn_message){ .role = span_of(tn_json_find(v, "role")),
                             .text = span_of(text),
                             .reasoning = span_of(tn_json_find(v, "reasoning_content")) };
    }
    return n;
}

/* The byte at which code point `at` of a text begins. */
static size_t byte_of(const tn_text *t, int64_t at)
{
    size_t i = 0;
    for (; i < t->n && at; at--)
        for (i++; i < t->n && ((unsigned char)t->s[i] & 0xC0) == 0x80;)
            i++;
    return i;
}

static void check_learnt(const tn_chat_text *c, const tn_json *ranges, const char *name)
{
    ck_assert_msg(c->learnt.n == (size_t)ranges->count, "%s", name);
    for (int64_t i = 0; i < ranges->count; i++) {
        const tn_json *r = tn_json_at(ranges, i);
        const int64_t from = atoll(r->child->text), to = atoll(r->child->next->text);
        ck_assert_msg(c->learnt.at[i].from == byte_of(&c->text, from) &&
                          c->learnt.at[i].to == byte_of(&c->text, to),
                      "%s: %zu..%zu", name, c->learnt.at[i].from, c->learnt.at[i].to);
    }
}

/* One conversation in one template: its text, without and with what asks for an answer. */
static void check_text(const tn_chat_template *t, const tn_json *messages, const tn_json *expected,
                       const char *ask, const char *eos, const char *name)
{
    tn_message m[MOST];
    const int64_t n = read_messages(messages, m);
    const tn_json *text = tn_json_find(expected, "text"),
                  *learnt = tn_json_find(expected, "trained");
    if (n < 0)
        return;
    for (int with = 0; with < 2; with++) {
        tn_error e = { 0 };
        tn_chat_text c = { .bos = *t->name == 'g' ? "<bos>" : "<s>", .eos = eos };
        tn_chat_render(t, m, n, with, &c, &e);
        if (!text) {
            ck_assert_msg(e.code == TN_EFORMAT, "%s %s: %s", t->name, name, c.text.s);
        } else {
            ck_assert_msg(!e.code, "%s %s: %s", t->name, name, e.text);
            tn_text_bytes(&c.text, "", 1);
            const size_t asks = with ? strlen(ask) : 0;
            ck_assert_msg(c.text.n - 1 == text->length + asks &&
                              !memcmp(c.text.s, text->text, text->length) &&
                              !memcmp(c.text.s + text->length, ask, asks),
                          "%s %s\n%s\n%s", t->name, name, c.text.s, text->text);
            if (learnt)
                check_learnt(&c, learnt, name);
        }
        tn_chat_text_free(&c);
    }
}

static void check_texts(const char *template, const tn_json *cases, const char *ask,
                        const char *eos)
{
    tn_error e = { 0 };
    const tn_json *all = tn_json_read(FOLDER "conversations.json", &e);
    const tn_chat_template *t = tn_chat_template_find(template);
    ck_assert_ptr_nonnull(t);
    ck_assert_int_eq(cases->count, 25);
    for (const tn_json *c = cases->child; c; c = c->next) {
        const tn_json *own = tn_json_find(c, "gen");
        check_text(t, tn_json_find(all, c->key), c, own ? own->text : ask, eos, c->key);
    }
    tn_json_free(all);
    must(&e);
}

/* clang-format off */
static const struct family {
    const char *name, *tokenizer, *eos;
} families[] = {
    { "smollm2", "assets/models/smollm2-135m-instruct-gguf", "<|im_end|>" },
    { "qwen3", "assets/tokenizers/qwen3", "<|im_end|>" },
    { "llama3", "assets/tokenizers/llama3", "<|eot_id|>" },
    { "llama3_2", "assets/tokenizers/llama3", "<|eot_id|>" },
    { "llama2", "assets/tokenizers/llama2-spm", "</s>" },
    { "zephyr", "assets/tokenizers/llama2-spm", "</s>" },
};
static const struct { const char *key, *name; } text_only[] = {
    { "mistral", "mistral" }, { "mistral_v1", "mistral_v1" }, { "gemma", "gemma" }, { "gemma3", "gemma3" },
    { "alpaca_stanford", "alpaca" }, { "alpaca_llamafactory", "alpaca_turns" },
};
/* clang-format on */

static const tn_json *read_family(const char *name)
{
    char path[128];
    tn_error e = { 0 };
    snprintf(path, sizeof path, FOLDER "%s.json", name);
    const tn_json *root = tn_json_read(path, &e);
    must(&e);
    return root;
}

START_TEST(texts_of_families)
{
    const struct family *f = &families[_i];
    const tn_json *root = read_family(f->name);
    check_texts(f->name, tn_json_find(root, "cases"), tn_json_find(root, "gen")->text, f->eos);
    tn_json_free(root);
}
END_TEST

START_TEST(texts_alone)
{
    tn_error e = { 0 };
    const tn_json *root = tn_json_read(FOLDER "text_only.json", &e);
    const tn_json *f = tn_json_find(root, text_only[_i].key);
    check_texts(text_only[_i].name, tn_json_find(f, "cases"), tn_json_find(f, "gen")->text,
                tn_json_find(f, "eos")->text);
    tn_json_free(root);
    must(&e);
}
END_TEST

/* ---- ids ---- */

static void check_ids(const tn_chat_ids *is, const tn_json *ids, const tn_json *mask,
                      const tn_json *more, const char *name)
{
    int64_t id = 0;
    const int64_t asks = more ? more->count : 0;
    ck_assert_msg(is->n == ids->count + asks, "%s: %lld ids, expected %lld", name, (long long)is->n,
                  (long long)(ids->count + asks));
    const tn_json *v = ids->child;
    for (int64_t i = 0; i < is->n; i++, v = v->next) {
        if (i == ids->count)
            v = more->child;
        ck_assert(tn_json_int(v, &id));
        ck_assert_msg(is->ids[i] == id, "%s: id %lld is %d, expected %lld", name, (long long)i,
                      is->ids[i], (long long)id);
        ck_assert_msg(is->learnt[i] == (i < ids->count && mask->text[i] == '1'), "%s: mask %lld",
                      name, (long long)i);
    }
}

static void check_case(const tn_chat_template *t, const tn_tokenizer *k, const tn_json *messages,
                       const tn_json *expected, const tn_json *asks)
{
    tn_message m[MOST];
    const int64_t n = read_messages(messages, m);
    const tn_json *ids = tn_json_find(expected, "ids_safe"), *mask = tn_json_find(expected, "mask");
    for (int with = 0; with < 2 && ids && n >= 0; with++) {
        tn_error e = { 0 };
        tn_chat_ids is = { 0 };
        int64_t skipped = 0;
        tn_chat_encode(t, k, m, n, with, &is, &skipped, &e);
        must(&e);
        const tn_json *whole = with ? tn_json_find(expected, "ids_safe_with_gen") : NULL;
        check_ids(&is, whole ? whole : ids, whole ? tn_json_find(expected, "mask_with_gen") : mask,
                  with && !whole ? asks : NULL, expected->key);
        tn_chat_ids_free(&is);
    }
}

START_TEST(ids_of_families)
{
    char path[600];
    tn_error e = { 0 };
    const struct family *f = &families[_i];
    const char *assets = getenv("TENON_ASSETS");
    if (!assets) /* skipped: real tokenizers are too large to be kept here */
        return;
    snprintf(path, sizeof path, "%s/%s", assets, f->tokenizer);
    const tn_json *root = read_family(f->name);
    const tn_json *all = tn_json_read(FOLDER "conversations.json", &e);
    tn_tokenizer *k = tn_tokenizer_open(path, &e);
    must(&e);
    const tn_json *cases = tn_json_find(root, "cases");
    for (const tn_json *c = cases->child; c; c = c->next) {
        const tn_json *own = tn_json_find(c, "gen_ids");
        check_case(tn_chat_template_find(f->name), k, tn_json_find(all, c->key), c,
                   own ? own : tn_json_find(root, "gen_ids"));
    }
    tn_tokenizer_free(k);
    tn_json_free(all);
    tn_json_free(root);
}
END_TEST

/* ---- which template ---- */

/* clang-format off */
static const struct { const char *jinja, *name; } known[] = {
    { "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n'}}{% endfor %}",
      "chatml" },
    { "'<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n'",
      "smollm2" },
    { "'<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n'",
      "qwen2.5" },
    { "'<|im_start|>system\nYou are a robot that nobody knows<|im_end|>\n'", NULL },
    { "'<|im_start|>' message.reasoning_content '</think>'", "qwen3" },
    { "'<|im_start|>' content.split('</think>')", NULL },
    { "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'", "llama3" },
    { "'<|start_header_id|>system<|end_header_id|>\n\n' \"Cutting Knowledge Date: December 2023\\n\"", "llama3_2" },
    { "'<|user|>\n' '<|system|>\n' '<|assistant|>\n' + eos_token", "zephyr" },
    { "'<|user|>\n' + '<|end|>\n' '<|assistant|>\n' eos_token", NULL },
    { "bos_token + '[INST] ' + content.strip() + ' [/INST]' '<<SYS>>\\n'", "llama2" },
    { "bos_token '[INST] ' + message['content'] + ' [/INST]' eos_token", "mistral" },
    { "' [INST] ' + system_message + '\n\n' + content + ' [/INST]'", "mistral_v1" },
    { "'[AVAILABLE_TOOLS] ' '[INST] '", NULL },
    { "'<start_of_turn>' raise_exception('System role not supported')", "gemma" },
    { "'<start_of_turn>' first_user_prefix", "gemma3" },
    { "'### Instruction:'", NULL },
    { "", NULL },
};
/* clang-format on */

START_TEST(a_template_is_known_by_its_words)
{
    const tn_chat_template *t = tn_chat_template_of(known[_i].jinja);
    ck_assert_ptr_eq(t, tn_chat_template_find(known[_i].name));
    ck_assert_int_eq(t == NULL, known[_i].name == NULL);
}
END_TEST

START_TEST(every_template_has_a_name)
{
    int64_t n = 0;
    for (const char *name; (name = tn_chat_template_name(n)); n++)
        ck_assert_ptr_nonnull(tn_chat_template_find(name));
    ck_assert_int_eq(n, 14);
    ck_assert_ptr_null(tn_chat_template_find("jinja"));
    ck_assert_ptr_null(tn_chat_template_name(-1));
}
END_TEST

/* A tokenizer that lacks a token of the template is refused by the token's name. */
START_TEST(a_tokenizer_without_the_tokens)
{
    tn_error e = { 0 };
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    tn_message m = { .role = { "user", 4 }, .text = { "Hi", 2 } };
    tn_chat_ids ids = { 0 };
    tn_chat_encode(tn_chat_template_find("chatml"), k, &m, 1, true, &ids, NULL, &e);
    must_fail(&e, TN_EFORMAT,
              "the tokenizer has no token <|im_start|>; expected another chat template");
    tn_chat_encode(tn_chat_template_find("alpaca"), k, &m, 1, true, &ids, NULL, &e);
    must(&e);
    tn_chat_ids_free(&ids);
    tn_tokenizer_free(k);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, texts_of_families, 0, sizeof families / sizeof *families);
    tcase_add_loop_test(c, texts_alone, 0, sizeof text_only / sizeof *text_only);
    tcase_add_loop_test(c, ids_of_families, 0, sizeof families / sizeof *families);
    tcase_add_loop_test(c, a_template_is_known_by_its_words, 0, sizeof known / sizeof *known);
    tcase_add_test(c, every_template_has_a_name);
    tcase_add_test(c, a_tokenizer_without_the_tokens);
}
