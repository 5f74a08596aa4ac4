/* encode.c - a rendered chat becomes token ids, and a flag for each: is it learnt.

   The text between two tokens of the template is encoded as one text, in which no other token is
   found by its name. A token counts as learnt if one of its bytes is. */
#include "data/chat/chat.h"
#include "data/tokenizers/tokenizer.h"
#include "data/tokenizers/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add(tn_chat_ids *out, int32_t id, bool learnt, tn_error *e)
{
    if (out->n == out->room) {
        const int64_t room = out->room ? 2 * out->room : 64;
        int32_t *ids = realloc(out->ids, (size_t)room * sizeof *ids);
        out->ids = ids ? ids : out->ids;
        bool *flags = ids ? realloc(out->learnt, (size_t)room * sizeof *flags) : NULL;
        out->learnt = flags ? flags : out->learnt;
        if (!flags)
            return tn_fail(e, TN_ENOMEM, "chat: out of memory");
        out->room = room;
    }
    out->ids[out->n] = id;
    out->learnt[out->n++] = learnt;
    return TN_OK;
}

/* The bytes that text[from..to) has in the form in which tokens have them, from the beginning of a
   part on. */
static size_t length_in_form(const tn_tokenizer *k, const char *text, size_t from, size_t to,
                             tn_text *form)
{
    const tn_span s = { text + from, to - from };
    form->n = 0;
    if (k->kind == TN_KIND_BYTE_LEVEL && k->rules.nfc && !tn_nfc_is_plain(s.s, s.n)) {
        tn_nfc(s.s, s.n, form);
        return form->n;
    }
    if (k->kind != TN_KIND_PIECES)
        return s.n;
    tn_pieces_normalise(k, s, (tn_part_place){ from == 0, true, false }, form);
    size_t n = form->n;
    for (size_t i = 0; i + 3 <= form->n; i++)
        if (!memcmp(form->s + i, "\u2581", 3))
            n -= 2; /* a token has a space instead */
    return n;
}

/* The part of the learnt range that is in text[from..to), in the form of tokens. */
static tn_chat_place learnt_in(const tn_tokenizer *k, const tn_chat_text *c, size_t from, size_t to,
                               tn_text *form)
{
    for (size_t i = 0; i < c->learnt.n; i++) {
        const tn_chat_place r = c->learnt.at[i];
        if (r.from < to && r.to > from)
            return (tn_chat_place){
                r.from > from ? length_in_form(k, c->text.s, from, r.from, form) : 0,
                r.to < to ? length_in_form(k, c->text.s, from, r.to, form) : SIZE_MAX
            };
    }
    return (tn_chat_place){ 0, 0 };
}

/* Encodes text[from..to), which has no token of the template. */
static int encode_part(const tn_tokenizer *k, const tn_chat_text *c, size_t from, size_t to,
                       int64_t *skipped, tn_chat_ids *out, tn_error *e)
{
    const int32_t *ids;
    int64_t lost = 0;
    size_t at = 0;
    tn_text form = { 0 }, token = { 0 };
    tn_walk w = { .k = k, .text = c->text.s, .at = from, .end = to, .plain = true, .e = e };
    const tn_chat_place learnt = learnt_in(k, c, from, to, &form);
    w.skipped = skipped ? &lost : NULL;
    for (int64_t n, before = 0; (n = tn_walk_next(&w, &ids)) > 0; before = lost)
        for (int64_t i = 0; i < n && !e->code; i++) {
            token.n = 0;
            tn_decode_token(k, ids[i], false, &token);
            const size_t next = at + token.n + (size_t)(i ? 0 : lost - before);
            add(out, ids[i], at < learnt.to && (next > learnt.from || at >= learnt.from), e);
            at = tn_is_bpe(k) ? next : w.at - from;
        }
    if (form.failed || token.failed)
        tn_fail(e, TN_ENOMEM, "chat: out of memory");
    if (skipped)
        *skipped += lost;
    tn_text_free(&form);
    tn_text_free(&token);
    tn_walk_end(&w);
    return e->code;
}

static bool is_learnt(const tn_chat_text *c, size_t at)
{
    for (size_t i = 0; i < c->learnt.n; i++)
        if (at >= c->learnt.at[i].from && at < c->learnt.at[i].to)
            return true;
    return false;
}

/* The id of a token that the template wrote. *lacks: the tokenizer does not have it. */
static int encode_token(const tn_tokenizer *k, const tn_chat_text *c, tn_chat_place r,
                        tn_chat_ids *out, bool *lacks, tn_error *e)
{
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)(r.to - r.from), c->text.s + r.from);
    const int32_t id = tn_tokenizer_find(k, name);
    *lacks = id < 0;
    if (*lacks)
        return tn_fail(e, TN_EFORMAT,
                       "the tokenizer has no token %s; expected another chat template", name);
    return add(out, id, is_learnt(c, r.from), e);
}

/* The name of the begin or end token. A tokenizer that does not say which it is may have one of the
   usual names. NULL: there is none. */
static const char *name_of(const tn_tokenizer *k, int32_t id, const char *const usual[2],
                           tn_text *name)
{
    for (int i = 0; i < 2 && id < 0; i++)
        id = tn_tokenizer_find(k, usual[i]);
    if (id < 0)
        return NULL;
    tn_decode_token(k, id, true, name);
    tn_text_bytes(name, "", 1);
    return name->failed ? NULL : name->s;
}

static int encode(const tn_chat_template *t, const tn_tokenizer *k, const tn_message *m, int64_t n,
                  bool ask, tn_chat_ids *out, int64_t *skipped, bool *lacks, tn_error *e)
{
    static const char *const begins[] = { "<s>", "<bos>" }, *const ends[] = { "</s>", "<eos>" };
    tn_text bos = { 0 }, eos = { 0 };
    tn_chat_text c = { .bos = name_of(k, tn_tokenizer_begin(k), begins, &bos),
                       .eos = name_of(k, tn_tokenizer_end(k), ends, &eos) };
    size_t at = 0;
    if (bos.failed || eos.failed)
        tn_fail(e, TN_ENOMEM, "chat: out of memory");
    if (!e->code)
        tn_chat_render(t, m, n, ask, &c, e);
    for (size_t i = 0; i < c.tokens.n && !e->code; at = c.tokens.at[i++].to)
        if (c.tokens.at[i].from == at ||
            !encode_part(k, &c, at, c.tokens.at[i].from, skipped, out, e))
            encode_token(k, &c, c.tokens.at[i], out, lacks, e);
    if (!e->code && at < c.text.n)
        encode_part(k, &c, at, c.text.n, skipped, out, e);
    tn_chat_text_free(&c);
    tn_text_free(&bos);
    tn_text_free(&eos);
    return e->code;
}

/* Adds the names of the templates whose tokens the tokenizer has to a refusal of another. */
static void add_possible(const tn_tokenizer *k, tn_error *e)
{
    static const tn_message m[] = { { .role = { "user", 4 }, .text = { "a", 1 } },
                                    { .role = { "assistant", 9 }, .text = { "a", 1 } } };
    const char *name, *before = ":";
    for (int64_t i = 0; (name = tn_chat_template_name(i)) != NULL; i++) {
        tn_error no = { 0 };
        bool lacks = false;
        tn_chat_ids ids = { 0 };
        if (!encode(tn_chat_template_find(name), k, m, 2, false, &ids, NULL, &lacks, &no)) {
            tn_error_add(e, "%s %s", before, name);
            before = "";
        }
        tn_chat_ids_free(&ids);
    }
}

int tn_chat_encode(const tn_chat_template *t, const tn_tokenizer *k, const tn_message *m, int64_t n,
                   bool ask, tn_chat_ids *out, int64_t *skipped, tn_error *e)
{
    bool lacks = false;
    const int missing = tn_given(e, t && k && m && out, __func__);
    if (missing)
        return missing;
    if (encode(t, k, m, n, ask, out, skipped, &lacks, e) && lacks)
        add_possible(k, e);
    return e->code;
}

void tn_chat_ids_free(tn_chat_ids *ids)
{
    if (!ids)
        return;
    free(ids->ids);
    free(ids->learnt);
    *ids = (tn_chat_ids){ 0 };
}
