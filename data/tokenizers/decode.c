/* decode.c - the text of ids, at once and token by token. */
#include "data/tokenizers/tokenizer.h"

#include <string.h>

/* Does the token add no text? */
static bool is_silent(const tn_tokenizer *k, int32_t id)
{
    if (!tn_is_bpe(k))
        return k->code[id] == TN_NO_CODE;
    return k->type[id] == TN_TOKEN_CONTROL || k->type[id] == TN_TOKEN_UNKNOWN ||
           k->type[id] == TN_TOKEN_UNUSED;
}

void tn_decode_token(const tn_tokenizer *k, int32_t id, bool names, tn_text *out)
{
    if (!k || !out || id < 0 || id >= k->size)
        return;
    const bool silent = is_silent(k, id);
    if (silent && !names)
        return;
    if (silent && id == k->end)
        tn_text_add(out, "%s", k->end_text);
    else if (!tn_is_bpe(k))
        tn_symbols_text(k, id, out);
    else if (k->kind == TN_KIND_PIECES && !silent)
        tn_pieces_text(k, id, out);
    else
        tn_text_bytes(out, tn_vocab_text(&k->vocab, id).s, tn_vocab_text(&k->vocab, id).n);
}

/* The text of a token. The first token with text loses a space where encoding adds one. */
static void decode_one(const tn_tokenizer *k, int32_t id, bool *begun, tn_text *out)
{
    const size_t from = out->n;
    tn_decode_token(k, id, false, out);
    if (out->n == from || *begun)
        return;
    *begun = true;
    if (tn_is_bpe(k) && k->rules.strip && !out->failed && out->s[from] == ' ') {
        memmove(out->s + from, out->s + from + 1, out->n - from); /* with the zero byte */
        out->n--;
    }
}

void tn_decode(const tn_tokenizer *k, const int32_t *ids, int64_t n, tn_text *out)
{
    bool begun = false;
    if (!k || !ids || !out)
        return;
    for (int64_t i = 0; i < n; i++)
        decode_one(k, ids[i], &begun, out);
}

/* ---- decoding token by token ---- */

/* Are n bytes the beginning of a longer character? Then some continuation bytes complete it. The
   lowest and the highest are tried. */
static bool is_beginning(const char *s, size_t n)
{
    for (int fill = 0x80; fill <= 0xBF && n < 4; fill += 0x3F) {
        char whole[4];
        uint32_t code;
        memset(whole, fill, sizeof whole);
        memcpy(whole, s, n);
        if (tn_utf8_read(whole, sizeof whole, &code) > n)
            return true;
    }
    return false;
}

/* Moves complete characters and wrong bytes from held to out. At the end an incomplete character is
   wrong, too. */
static void release(tn_held *held, bool end, tn_text *out)
{
    while (held->n > 0 && (end || !is_beginning(held->bytes, held->n))) {
        uint32_t code;
        size_t n = tn_utf8_read(held->bytes, held->n, &code);
        if (n > 0) {
            tn_text_bytes(out, held->bytes, n);
        } else {
            for (n = held->n < 3 ? held->n : 3; n > 1 && !is_beginning(held->bytes, n);)
                n--;
            tn_text_bytes(out, "\xEF\xBF\xBD", 3);
        }
        held->n -= n;
        memmove(held->bytes, held->bytes + n, held->n);
    }
}

void tn_decode_next(const tn_tokenizer *k, const int32_t *ids, int64_t n, tn_held *held,
                    tn_text *out)
{
    tn_text token = { 0 };
    if (!k || !ids || !held || !out)
        return;
    for (int64_t i = 0; i < n; i++) {
        token.n = 0;
        decode_one(k, ids[i], &held->begun, &token);
        for (size_t j = 0; j < token.n; j++) {
            held->bytes[held->n++] = token.s[j];
            release(held, false, out);
        }
    }
    out->failed |= token.failed;
    tn_text_free(&token);
}

void tn_decode_end(tn_held *held, tn_text *out)
{
    if (!held || !out)
        return;
    release(held, true, out);
}
