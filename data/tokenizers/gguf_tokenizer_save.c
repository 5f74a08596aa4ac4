/* gguf_tokenizer_save.c - writes a tokenizer as keys of a GGUF file. gguf_tokenizer.c has the list of them.

   gpt2    byte-level BPE: tokens in letters, merges "a b" in order of rank
   llama   SentencePiece BPE: each token has a score, and the pair of neighbours whose token has the
           highest score is merged first. Merges of a tokenizer.json are in the order of such scores if
           the file was made from a SentencePiece model; others are refused.

   A tokenizer of bytes is a gpt2 without merges, one of characters a llama without merges. */
#include "data/gguf.h"
#include "data/tokenizers/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml."

enum { MARK = 0x2581 }; /* a space, in a llama */

typedef struct job {
    tn_gguf_list *l;
    const tn_tokenizer *k;
    int64_t size;
    tn_text text;   /* the texts of all tokens */
    size_t *start;  /* (size + 1) where they begin */
    int32_t *type;  /* (size) */
    tn_span *token; /* (size) */
    float *score;   /* (size) */
    tn_error *e;
} job;

static bool is_level(const tn_tokenizer *k)
{
    return k->kind == TN_KIND_BYTES || k->kind == TN_KIND_BYTE_LEVEL;
}

/* ---- tokens ---- */

/* Adds the text of a token of bytes or characters. Returns its type. */
static int32_t add_symbol(job *j, int32_t id)
{
    const tn_tokenizer *k = j->k;
    const uint32_t code = k->code[id];
    char s[4];
    if (code == TN_NO_CODE) {
        tn_text_add(&j->text, "%s", k->end_text ? k->end_text : "");
        return TN_TOKEN_CONTROL;
    }
    const uint32_t shown = k->kind == TN_KIND_BYTES ? tn_byte_letter(code)
                           : code == ' '            ? MARK
                                                    : code;
    tn_text_bytes(&j->text, s, tn_utf8_write(shown, s));
    return TN_TOKEN_NORMAL;
}

static int32_t add_token(job *j, int32_t id)
{
    const tn_tokenizer *k = j->k;
    const tn_span name = tn_vocab_text(&k->vocab, id);
    int32_t type = k->type[id];
    if (k->kind == TN_KIND_PIECES && id == k->rules.unknown)
        type = TN_TOKEN_UNKNOWN;
    for (int b = 0; k->kind == TN_KIND_PIECES && b < 256; b++)
        type = k->byte[b] == id ? TN_TOKEN_BYTE : type;
    if (k->kind == TN_KIND_BYTE_LEVEL && type == TN_TOKEN_NORMAL &&
        tn_vocab_find(&k->vocab, name.s, name.n) == id)
        tn_byte_letters(name, &j->text);
    else if (name.n)
        tn_text_bytes(&j->text, name.s, name.n);
    return type;
}

/* Ids without a token fill up the rows of the embedding. */
static int make_tokens(job *j)
{
    const tn_tokenizer *k = j->k;
    for (int64_t id = 0; id < j->size; id++) {
        j->start[id] = j->text.n;
        if (id < k->size)
            j->type[id] = tn_is_bpe(k) ? add_token(j, (int32_t)id) : add_symbol(j, (int32_t)id);
        if (j->text.n == j->start[id]) {
            tn_text_add(&j->text, "[PAD%lld]", (long long)id);
            j->type[id] = TN_TOKEN_UNUSED;
        }
    }
    j->start[j->size] = j->text.n;
    const char *s = tn_text_done(&j->text, "the tokenizer", j->e);
    for (int64_t id = 0; s && id < j->size; id++)
        j->token[id] = (tn_span){ s + j->start[id], j->start[id + 1] - j->start[id] };
    return j->e->code;
}

static int add_array(job *j, const char *key, tn_gguf_kind kind, const void *bytes)
{
    const tn_gguf_value v = { .key = key,
                              .array = true,
                              .kind = kind,
                              .count = j->size,
                              .bytes = bytes,
                              .size = 4 * (size_t)j->size };
    return tn_gguf_add(j->l, &v, j->e);
}

/* ---- merges, scores ---- */

static int add_merges(job *j)
{
    int64_t n = 0;
    tn_pair *order = tn_is_bpe(j->k) ? tn_bpe_sorted(&j->k->bpe, &n) : calloc(1, sizeof *order);
    tn_span *merges = malloc(((size_t)n + 1) * sizeof *merges);
    size_t *start = malloc(((size_t)n + 1) * sizeof *start);
    tn_text text = { 0 };
    for (int64_t i = 0; order && start && i < n; i++) {
        start[i] = text.n;
        tn_byte_letters(tn_vocab_text(&j->k->vocab, (int32_t)order[i].left), &text);
        tn_text_add(&text, " ");
        tn_byte_letters(tn_vocab_text(&j->k->vocab, (int32_t)order[i].right), &text);
    }
    const char *s = order && merges && start ? tn_text_done(&text, "the tokenizer", j->e) : NULL;
    if (!s)
        tn_fail(j->e, TN_ENOMEM, "the tokenizer: out of memory");
    for (int64_t i = 0; s && i < n; i++)
        merges[i] = (tn_span){ s + start[i], (i + 1 < n ? start[i + 1] : text.n) - start[i] };
    if (s)
        tn_gguf_add_strings(j->l, KEY "merges", merges, n, j->e);
    tn_text_free(&text);
    free(start);
    free(merges);
    free(order);
    return j->e->code;
}

/* Do the scores give the same merges in the same order? */
static int check_scores(job *j, const tn_pair *order, int64_t n)
{
    tn_bpe b = { 0 };
    bool same = true;
    for (int64_t i = 0; i < j->k->size; i++)
        j->score[i] = j->score[i] > -(float)n - 1 ? j->score[i] : NAN;
    tn_bpe_of_scores(&b, &j->k->vocab, j->score, "the tokenizer", j->e);
    if (!j->e->code)
        same = b.pairs == n;
    for (int64_t i = 0; same && !j->e->code && i < n; i++)
        same = tn_bpe_find(&b, order[i].left, order[i].right) &&
               (i == 0 || j->score[order[i].id] <= j->score[order[i - 1].id]);
    if (!same)
        tn_fail(j->e, TN_EFORMAT,
                "the tokenizer: its merges are not in the order of scores; expected those of a "
                "SentencePiece model, as a GGUF file has scores only");
    for (int64_t i = 0; i < j->k->size; i++)
        j->score[i] = isnan(j->score[i]) ? -(float)n - 1 : j->score[i];
    tn_bpe_end(&b);
    return j->e->code;
}

/* A token has the score -r of its first merge r; one that no merge makes has less than all others. */
static int add_scores(job *j)
{
    int64_t n = 0;
    tn_pair *order = tn_is_bpe(j->k) ? tn_bpe_sorted(&j->k->bpe, &n) : calloc(1, sizeof *order);
    if (!order)
        return tn_fail(j->e, TN_ENOMEM, "the tokenizer: out of memory");
    for (int64_t i = 0; i < j->size; i++)
        j->score[i] = -(float)n - 1;
    for (int64_t i = n; i-- > 0;)
        j->score[order[i].id] = -(float)order[i].rank;
    if (n)
        check_scores(j, order, n);
    add_array(j, KEY "scores", TN_GGUF_F32, j->score);
    free(order);
    return j->e->code;
}

/* ---- settings ---- */

static void add_id(job *j, const char *key, int64_t id)
{
    if (id >= 0)
        tn_gguf_add_int(j->l, key, TN_GGUF_U32, id, j->e);
}

static void add_flag(job *j, const char *key, bool flag)
{
    tn_gguf_add_int(j->l, key, TN_GGUF_BOOL, flag, j->e);
}

/* The id of the token that a member of tokenizer_config.json names; -1: none. */
static int32_t id_of(const tn_tokenizer *k, const tn_json *config, const char *member)
{
    const tn_json *v = tn_json_find(config, member);
    if (v && v->kind == TN_OBJECT)
        v = tn_json_find(v, "content");
    const bool text = v && v->kind == TN_STRING && strlen(v->text) == v->length;
    return text ? tn_tokenizer_find(k, v->text) : -1;
}

static void add_settings(job *j, const char *chat)
{
    const tn_tokenizer *k = j->k;
    const bool bpe = tn_is_bpe(k);
    const tn_json *config =
        k->config ? tn_json_parse(k->config, k->config_size, "tokenizer_config.json", 0, j->e)
                  : NULL;
    const int32_t begin = bpe ? k->rules.begin : -1;
    const tn_json *own = tn_json_find(config, "chat_template");
    add_id(j, KEY "bos_token_id", begin >= 0 ? begin : id_of(k, config, "bos_token"));
    add_id(j, KEY "eos_token_id", k->end);
    add_id(j, KEY "unknown_token_id", bpe ? k->rules.unknown : -1);
    add_id(j, KEY "padding_token_id", id_of(k, config, "pad_token"));
    add_flag(j, KEY "add_bos_token", begin >= 0);
    add_flag(j, KEY "add_eos_token", bpe && k->rules.after >= 0 && k->rules.after == k->end);
    if (!is_level(k)) {
        add_flag(j, KEY "add_space_prefix", bpe && k->rules.prefix != TN_PREFIX_NONE);
        add_flag(j, KEY "remove_extra_whitespaces", bpe && k->rules.trim);
    }
    if (!chat && own && own->kind == TN_STRING)
        tn_json_get_string(config, "chat_template", &chat, j->e);
    if (chat)
        tn_gguf_add_string(j->l, "tokenizer.chat_template", chat, strlen(chat), j->e);
    tn_json_free(config);
}

/* What llama.cpp calls the split of a text into words. NULL: it does not know it. */
static const char *pre_of(const tn_tokenizer *k)
{
    static const char *const names[] = { [TN_SPLIT_GPT2] = "gpt-2",
                                         [TN_SPLIT_SMOLLM] = "smollm",
                                         [TN_SPLIT_LLAMA3] = "llama-bpe",
                                         [TN_SPLIT_QWEN2] = "qwen2" };
    if (k->kind == TN_KIND_BYTES)
        return names[TN_SPLIT_GPT2]; /* no matter which: there are no merges */
    const bool ignores = k->rules.split == TN_SPLIT_LLAMA3;
    return k->rules.split == TN_SPLIT_NONE || k->rules.ignore_merges != ignores
               ? NULL
               : names[k->rules.split];
}

/* Has a tokenizer of characters the letter that stands for a space? */
static bool has_mark(const tn_tokenizer *k)
{
    for (int64_t i = 0; k->kind == TN_KIND_CHARS && i < k->size; i++)
        if (k->code[i] == MARK)
            return true;
    return false;
}

int tn_gguf_add_tokenizer(tn_gguf_list *l, const tn_tokenizer *k, int64_t size, const char *chat,
                          tn_error *e)
{
    const int missing = tn_given(e, l && k, __func__);
    if (missing)
        return missing;
    const size_t room = (size_t)size + 1;
    if (size < k->size)
        return tn_fail(e, TN_EARG, "the tokenizer: %lld tokens; expected at most the model's %lld",
                       (long long)k->size, (long long)size);
    if (has_mark(k))
        return tn_fail(e, TN_EFORMAT,
                       "the tokenizer: a token U+2581; expected none beside the "
                       "space, which has this letter in a GGUF file");
    const char *pre = is_level(k) ? pre_of(k) : NULL;
    if (is_level(k) && !pre)
        return tn_fail(e, TN_EFORMAT,
                       "the tokenizer: it cuts a text in a way for which a GGUF file "
                       "has no name; expected that of GPT-2, SmolLM, Llama 3 or Qwen 2");
    job j = { .l = l,
              .k = k,
              .size = size,
              .start = malloc(room * sizeof *j.start),
              .type = calloc(room, sizeof *j.type),
              .token = calloc(room, sizeof *j.token),
              .score = calloc(room, sizeof *j.score),
              .e = e };
    if (!j.start || !j.type || !j.token || !j.score)
        tn_fail(e, TN_ENOMEM, "the tokenizer: out of memory");
    else if (!make_tokens(&j)) {
        const char *model = is_level(k) ? "gpt2" : "llama";
        tn_gguf_add_string(l, KEY "model", model, strlen(model), e);
        if (pre)
            tn_gguf_add_string(l, KEY "pre", pre, strlen(pre), e);
        tn_gguf_add_strings(l, KEY "tokens", j.token, size, e);
        add_array(&j, KEY "token_type", TN_GGUF_I32, j.type);
        if (pre)
            add_merges(&j);
        else
            add_scores(&j);
        add_settings(&j, chat);
    }
    tn_text_free(&j.text);
    free(j.start);
    free(j.type);
    free(j.token);
    free(j.score);
    return e->code;
}
