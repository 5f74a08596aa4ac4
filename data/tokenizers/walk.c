/* walk.c - the way of a text through a tokenizer: added tokens, normal form, pieces, merges.

     text     ...plain text...<|token|>...plain text...      1. tokens that are found by their name
     part     a beginning of plain text, normalised           2. 64 KiB or a little more
              plain<think>plain                               3. names that are found in that form
     piece    | the|quick|                                    4. split.c, or seams (pieces.c)
     ids      one or more for a piece                         5. bpe.c
   A part ends where every text is cut, so that its ids are those of the whole text. */
#include "core/utf8.h"
#include "data/tokenizers/tokenizer.h"
#include "data/tokenizers/unicode.h"

#include <stdio.h>
#include <string.h>

enum { PART_BYTES = 64 << 10 };

void tn_walk_unknown(tn_walk *w, const char *s, uint32_t code)
{
    char place[40] = "text";
    if (w->skipped != NULL) {
        ++*w->skipped;
        return;
    }
    if (s >= w->text && s < w->text + w->end) /* not in a normalised copy */
        snprintf(place, sizeof place, "byte %zu", w->base + (size_t)(s - w->text));
    char letter[8] = "", shown[16] = "";
    letter[tn_utf8_write(code, letter)] = 0;
    if (tn_utf8_is_plain(code))
        snprintf(shown, sizeof shown, " (\"%s\")", letter);
    tn_fail(w->e, TN_EFORMAT,
            "%s: U+%04X%s is not in the vocabulary; expected only its characters (a tokenizer of "
            "bytes has all)",
            place, (unsigned)code, shown);
}

/* Finds added tokens in the part from byte `at` on, and starts with the pieces before the first. */
static void look_inside(tn_walk *w, size_t at)
{
    const tn_tokenizer *k = w->k;
    w->next_normal =
        tn_names_find(w->plain ? NULL : k->normal, w->part.s, w->part.n, at, w->special);
    w->split = (tn_splitter){ .split = k->rules.split,
                              .s = w->part.s + at,
                              .n = w->next_normal.from - at };
}

static bool can_cut(const tn_tokenizer *k, unsigned char before, unsigned char after)
{
    if (!tn_split_always(before, after))
        return false;
    return k->rules.byte_level ? k->rules.split != TN_SPLIT_NONE
                               : tn_pieces_seam(k, before, 0x2581);
}

/* Can a name that is found in the text be on both sides of a cut, or white space beside one, which
   belongs to it? In a normalised name U+2581 may stand for a space. */
static bool has_wide_names(const tn_tokenizer *k)
{
    for (int64_t i = 0; i < k->n_added; i++) {
        const tn_added *a = &k->added[i];
        for (size_t at = 1; at < a->form.n; at++) {
            const unsigned char before = (unsigned char)a->form.s[at - 1];
            if (a->rstrip || tn_split_always(before, (unsigned char)a->form.s[at]) ||
                ((unsigned char)a->form.s[at] == 0xE2 && tn_split_always(before, ' ')))
                return true;
        }
    }
    return false;
}

size_t tn_walk_cut(const tn_tokenizer *k, const char *text, size_t n)
{
    const bool symbols = !tn_is_bpe(k);
    size_t at = n - 1;
    if (n < 2 || (!symbols && has_wide_names(k)))
        return 0;
    while (at > 0 && !(symbols ? ((unsigned char)text[at] & 0xC0) != 0x80
                               : can_cut(k, (unsigned char)text[at - 1], (unsigned char)text[at])))
        at--;
    return at;
}

/* Where the part that begins at w->at ends. */
static size_t part_end(const tn_walk *w)
{
    const size_t end = w->next.from;
    if (w->k->normal != NULL || end - w->at <= PART_BYTES)
        return end;
    for (size_t i = w->at + PART_BYTES; i < end; i++)
        if (can_cut(w->k, (unsigned char)w->text[i - 1], (unsigned char)w->text[i]))
            return i;
    return end;
}

/* Are these eight bytes ASCII, and none of them zero? */
static bool are_plain(const char *s)
{
    uint64_t word;
    memcpy(&word, s, sizeof word);
    return ((word | (word - 0x0101010101010101u)) & 0x8080808080808080u) == 0;
}

static int check_text(const tn_walk *w, size_t end)
{
    for (size_t at = w->at, bytes; at < end; at += bytes) {
        uint32_t code = 0;
        bytes = 8;
        if (end - at >= 8 && are_plain(w->text + at))
            continue;
        bytes = tn_utf8_read(w->text + at, end - at, &code);
        if (bytes == 0 || (code == 0 && w->no_zeros))
            return tn_fail(w->e, TN_EFORMAT, "byte %zu: %s; expected %s", w->base + at,
                           bytes ? "a zero byte" : "malformed UTF-8",
                           w->no_zeros ? "UTF-8 text" : "text");
    }
    return TN_OK;
}

static void next_part(tn_walk *w)
{
    const tn_tokenizer *k = w->k;
    const size_t end = part_end(w);
    const tn_span raw = { w->text + w->at, end - w->at };
    const tn_part_place place = { w->at == w->begin, w->first, end == w->next.from };
    if (check_text(w, end))
        return;
    w->normal.n = 0;
    w->part = raw;
    if (!k->rules.byte_level)
        tn_pieces_normalise(k, raw, place, &w->normal);
    else if (k->rules.nfc && !tn_nfc_is_plain(raw.s, raw.n))
        tn_nfc(raw.s, raw.n, &w->normal);
    if (w->normal.failed)
        tn_fail(w->e, TN_ENOMEM, "text: out of memory");
    else if (!k->rules.byte_level || w->normal.n)
        w->part = (tn_span){ w->normal.n ? w->normal.s : raw.s, w->normal.n };
    w->at = end;
    w->first = false;
    look_inside(w, 0);
}

/* Looks for the next added token of the text. */
static void look_ahead(tn_walk *w)
{
    w->next = tn_names_find(w->plain ? NULL : w->k->raw, w->text, w->end, w->at, w->special);
    w->first = w->begun || !w->continues;
    w->begun = true;
}

/* The next step of a BPE, if it gives ids or not. Returns false at the end. */
static bool step(tn_walk *w)
{
    if (!w->begun) {
        look_ahead(w);
    } else if (w->split.at < w->split.n) {
        if (w->k->rules.byte_level)
            tn_byte_level_next(w);
        else
            tn_pieces_next(w);
    } else if (w->next_normal.a != NULL) {
        tn_word_add(&w->word, w->next_normal.a->id, w->e);
        look_inside(w, w->next_normal.to);
    } else if (w->at < w->next.from) {
        next_part(w);
    } else if (w->next.a != NULL) {
        tn_word_add(&w->word, w->next.a->id, w->e);
        w->at = w->next.to;
        look_ahead(w);
    } else {
        return false;
    }
    return true;
}

int64_t tn_walk_next(tn_walk *w, const int32_t **ids)
{
    const bool symbols = w->k->kind == TN_KIND_BYTES || w->k->kind == TN_KIND_CHARS;
    w->word.n = 0;
    if (symbols)
        tn_symbols_next(w);
    while (!symbols && w->word.n == 0 && !w->e->code && step(w)) {}
    *ids = w->word.id;
    return w->e->code ? 0 : w->word.n;
}

void tn_walk_end(tn_walk *w)
{
    tn_word_end(&w->word);
    tn_text_free(&w->normal);
}
