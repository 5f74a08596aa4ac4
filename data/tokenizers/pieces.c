/* pieces.c - SentencePiece BPE (Llama 2, Mistral, Gemma): symbols are characters, U+2581 is a space.

   The text is not cut into words first: any two neighbours may merge. But most never do. A merge joins
   the last character of one token to the first of another; where no merge joins the two characters
   at a place, the text can be cut there. Such a place is a seam. Whether a merge joins two
   characters is kept in a filter of bits, which may also be set for two that are never joined. */
#include "data/tokenizers/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPACE = 0x2581, SEAM_BITS = 1 << 20 };

#define SPACE_TEXT "\xE2\x96\x81"

int tn_byte_of_name(tn_span name)
{
    static const char digits[] = "0123456789ABCDEF";
    if (name.n != 6 || memcmp(name.s, "<0x", 3) != 0 || name.s[5] != '>')
        return -1;
    const char *high = memchr(digits, name.s[3], 16), *low = memchr(digits, name.s[4], 16);
    return high && low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

/* ---- making one ---- */

static uint32_t seam_of(uint32_t before, uint32_t after)
{
    const uint64_t h = ((uint64_t)before << 32 | after) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(h >> 40) % SEAM_BITS;
}

static uint32_t first_of(tn_span t)
{
    uint32_t code = 0xFFFD;
    if (t.n)
        tn_utf8_read(t.s, t.n, &code);
    return code;
}

static uint32_t last_of(tn_span t)
{
    size_t at = t.n;
    while (at > 0 && ((unsigned char)t.s[--at] & 0xC0) == 0x80) {}
    return first_of((tn_span){ t.s + at, t.n - at });
}

/* Notes what every merge joins. */
static void note_seams(tn_tokenizer *k)
{
    for (uint64_t i = 0; i <= k->bpe.mask; i++) {
        const tn_pair *p = &k->bpe.pair[i];
        if (p->id < 0)
            continue;
        const int32_t part[2] = { (int32_t)p->left, (int32_t)p->right };
        for (int j = 0; j < 2; j++)
            k->no_seams = k->no_seams || part[j] == k->rules.unknown ||
                          tn_byte_of_name(tn_vocab_text(&k->vocab, part[j])) >= 0;
        const uint32_t bit = seam_of(last_of(tn_vocab_text(&k->vocab, part[0])),
                                     first_of(tn_vocab_text(&k->vocab, part[1])));
        k->seam[bit / 64] |= (uint64_t)1 << bit % 64;
    }
}

bool tn_pieces_seam(const tn_tokenizer *k, uint32_t before, uint32_t after)
{
    const uint32_t bit = seam_of(before, after);
    return !k->no_seams && !(k->seam[bit / 64] >> bit % 64 & 1);
}

int tn_pieces_start(tn_tokenizer *k, const tn_parts_of *p, tn_error *e)
{
    tn_vocab_new(&k->vocab, p->token, p->found, p->size, p->path, e);
    if (e->code)
        return e->code;
    if (p->score != NULL)
        tn_bpe_of_scores(&k->bpe, &k->vocab, p->score, p->path, e);
    else
        tn_bpe_new(&k->bpe, &k->vocab, p->merge, p->merges, p->path, e);
    k->seam = calloc(SEAM_BITS / 64, sizeof *k->seam);
    if (!e->code && k->seam == NULL)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", p->path);
    if (e->code)
        return e->code;
    for (int b = 0; b < 256; b++)
        k->byte[b] = -1;
    for (int64_t id = 0; id < p->size; id++) {
        const int b = p->token[id].s == NULL ? -1 : tn_byte_of_name(p->token[id]);
        const bool is_byte = p->score ? p->type[id] == TN_TOKEN_BYTE : p->found[id];
        if (b >= 0 && is_byte)
            k->byte[b] = (int32_t)id;
    }
    note_seams(k);
    return TN_OK;
}

/* ---- a text ---- */

/* Leaves out the spaces at the ends, and one of two side by side. */
static void add_trimmed(tn_span part, tn_part_place place, tn_text *out)
{
    size_t from = 0, to = part.n;
    while (place.first && from < to && part.s[from] == ' ')
        from++;
    while (place.last && to > from && part.s[to - 1] == ' ')
        to--;
    for (size_t i = from; i < to; i++)
        if (part.s[i] != ' ' || i == from || part.s[i - 1] != ' ')
            tn_text_bytes(out, part.s + i, 1);
}

static bool needs_prefix(tn_prefix prefix, tn_part_place place, const char *s, size_t n)
{
    if (prefix == TN_PREFIX_NONE || !place.first || (prefix == TN_PREFIX_FIRST && !place.text))
        return false;
    return prefix == TN_PREFIX_ALWAYS || !(*s == ' ' || (n >= 3 && !memcmp(s, SPACE_TEXT, 3)));
}

void tn_pieces_normalise(const tn_tokenizer *k, tn_span part, tn_part_place place, tn_text *out)
{
    tn_text trimmed = { 0 };
    if (k->rules.trim) {
        add_trimmed(part, place, &trimmed);
        part = (tn_span){ trimmed.s, trimmed.n };
    }
    if (part.n && needs_prefix(k->rules.prefix, place, part.s, part.n))
        tn_text_bytes(out, SPACE_TEXT, 3);
    for (size_t at = 0, end; at < part.n; at = end) {
        const char *space = memchr(part.s + at, ' ', part.n - at);
        end = space ? (size_t)(space - part.s) : part.n;
        tn_text_bytes(out, part.s + at, end - at);
        if (space != NULL) {
            tn_text_bytes(out, SPACE_TEXT, 3);
            end++;
        }
    }
    out->failed |= trimmed.failed;
    tn_text_free(&trimmed);
}

/* Do the tokens of all its bytes exist? */
static bool has_bytes(const tn_tokenizer *k, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (k->byte[(unsigned char)s[i]] < 0)
            return false;
    return k->rules.byte_fallback;
}

/* Adds the symbols of one character. *pending: an unknown token that comes before the next symbol
   with a token of its own. Returns false if the character is unknown. */
static bool add_symbols(tn_walk *w, const char *s, size_t n, bool *pending)
{
    const tn_tokenizer *k = w->k;
    const int32_t id = tn_vocab_find(&k->vocab, s, n);
    if (id >= 0 && *pending)
        tn_word_add(&w->word, k->rules.unknown, w->e);
    if (id >= 0) {
        tn_word_add(&w->word, id, w->e);
        *pending = false;
        return true;
    }
    if (has_bytes(k, s, n)) {
        for (size_t i = 0; i < n; i++)
            tn_word_add(&w->word, k->byte[(unsigned char)s[i]], w->e);
        return true;
    }
    if (k->rules.unknown < 0) {
        tn_walk_unknown(w, s, first_of((tn_span){ s, n }));
    } else {
        if (*pending && !k->rules.fuse_unknown)
            tn_word_add(&w->word, k->rules.unknown, w->e);
        *pending = true;
    }
    return false;
}

/* Bytes up to the next seam. */
static size_t seam_after(const tn_walk *w)
{
    const tn_splitter *p = &w->split;
    uint32_t code = 0, before = 0;
    size_t at = p->at;
    for (size_t n; at < p->n; at += n, before = code) {
        n = tn_utf8_read(p->s + at, p->n - at, &code);
        if (before && tn_pieces_seam(w->k, before, code))
            break;
    }
    return at - p->at;
}

/* The characters up to the next seam. One after an unknown character is passed over. */
void tn_pieces_next(tn_walk *w)
{
    tn_splitter *p = &w->split;
    bool pending = false, known = true;
    const size_t from = p->at, near = seam_after(w);
    if (tn_piece_cache_get(w->k->cache, p->s + from, near, &w->word, w->e)) {
        p->at += near;
        return;
    }
    uint32_t code = 0, before = 0;
    for (size_t n; p->at < p->n && !w->e->code; p->at += n, before = code) {
        n = tn_utf8_read(p->s + p->at, p->n - p->at, &code);
        if (before && !pending && tn_pieces_seam(w->k, before, code))
            break;
        known = add_symbols(w, p->s + p->at, n, &pending) && known;
    }
    if (pending)
        tn_word_add(&w->word, w->k->rules.unknown, w->e);
    if (!w->e->code)
        tn_bpe_merge(&w->k->bpe, &w->word, w->e);
    if (known && !w->e->code)
        tn_piece_cache_put(w->k->cache, p->s + from, p->at - from, w->word.id, w->word.n);
}

void tn_pieces_text(const tn_tokenizer *k, int32_t id, tn_text *out)
{
    const tn_span t = tn_vocab_text(&k->vocab, id);
    if (k->type[id] == TN_TOKEN_BYTE) {
        tn_text_bytes(out, &(char){ (char)tn_byte_of_name(t) }, 1);
        return;
    }
    for (size_t at = 0, n; at < t.n; at += n) {
        const bool space = t.n - at >= 3 && !memcmp(t.s + at, SPACE_TEXT, 3);
        n = space ? 3 : 1;
        tn_text_bytes(out, space ? " " : t.s + at, 1);
    }
}
