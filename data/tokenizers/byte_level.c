/* byte_level.c - byte-level BPE (GPT-2, SmolLM, Llama 3, Qwen): symbols are the bytes of a piece.

   Files spell a token in letters, one for each byte (tn_byte_letter). Here it is the bytes themselves. */
#include "data/tokenizers/tokenizer.h"

#include <stdlib.h>
#include <string.h>

uint32_t tn_byte_letter(uint32_t b)
{
    if (b <= 32)
        return 256 + b;
    if (b >= 127 && b <= 160)
        return 256 + 33 + (b - 127);
    return b == 173 ? 256 + 67 : b;
}

void tn_byte_letters(tn_span bytes, tn_text *out)
{
    for (size_t i = 0; i < bytes.n; i++) {
        char s[4];
        tn_text_bytes(out, s, tn_utf8_write(tn_byte_letter((unsigned char)bytes.s[i]), s));
    }
}

uint32_t tn_byte_of_letter(uint32_t letter)
{
    if (letter < 256)
        return tn_byte_letter(letter) == letter ? letter : TN_NO_CODE;
    if (letter > 256 + 67)
        return TN_NO_CODE;
    const uint32_t i = letter - 256;
    return i <= 32 ? i : i < 67 ? i - 33 + 127 : 173;
}

/* Writes the bytes that the letters of a token stand for. Returns their number; SIZE_MAX: a
   character is no letter for a byte. */
static size_t spell(tn_span token, char *out)
{
    size_t n = 0;
    for (size_t at = 0; at < token.n;) {
        uint32_t code = TN_NO_CODE;
        const size_t bytes = tn_utf8_read(token.s + at, token.n - at, &code);
        const uint32_t b = bytes ? tn_byte_of_letter(code) : TN_NO_CODE;
        if (b == TN_NO_CODE)
            return SIZE_MAX;
        out[n++] = (char)b;
        at += bytes;
    }
    return n;
}

int32_t tn_byte_level_find(const tn_tokenizer *k, tn_span letters)
{
    char bytes[1024];
    const size_t n = letters.n <= sizeof bytes ? spell(letters, bytes) : SIZE_MAX;
    return n == SIZE_MAX || n == 0 ? -1 : tn_vocab_find(&k->vocab, bytes, n);
}

/* The spelt texts of tokens and of the parts of merges, in one memory. */
typedef struct spelt {
    char *memory;
    tn_span *token;
    tn_merge *merge;
    bool *found;
} spelt;

static bool make_spelt(const tn_parts_of *p, spelt *out)
{
    size_t bytes = 1;
    for (int64_t i = 0; i < p->size; i++)
        bytes += p->token[i].n;
    for (int64_t i = 0; i < p->merges; i++)
        bytes += p->merge[i].left.n + p->merge[i].right.n;
    out->memory = malloc(bytes);
    out->token = malloc((size_t)p->size * sizeof *out->token);
    out->found = malloc((size_t)p->size * sizeof *out->found);
    out->merge = malloc(((size_t)p->merges + 1) * sizeof *out->merge);
    return out->memory && out->token && out->found && out->merge;
}

/* A token that is not spelt in letters is left as it is; text never becomes it by merging. */
static tn_span spell_to(char **to, tn_span token, bool *in_letters)
{
    const size_t n = spell(token, *to);
    *in_letters = n != SIZE_MAX;
    if (!*in_letters)
        return token;
    const tn_span out = { *to, n };
    *to += n;
    return out;
}

/* Refuses a text that two tokens have which are not spelt in letters: no table has them. */
static int check_unspelt(const tn_parts_of *p, bool *found, tn_error *e)
{
    tn_vocab names = { 0 };
    bool some = false;
    for (int64_t i = 0; i < p->size; i++) {
        found[i] = p->found[i] && !found[i];
        some |= found[i];
    }
    if (some)
        tn_vocab_new(&names, p->token, found, p->size, p->path, e);
    tn_vocab_end(&names);
    return e->code;
}

int tn_byte_level_start(tn_tokenizer *k, const tn_parts_of *p, tn_error *e)
{
    spelt s = { 0 };
    if (!make_spelt(p, &s))
        tn_fail(e, TN_ENOMEM, "%s: out of memory", p->path);
    char *to = s.memory;
    for (int64_t i = 0; i < p->size && !e->code; i++) {
        bool letters = false;
        s.token[i] = p->token[i];
        if (p->found[i])
            s.token[i] = spell_to(&to, p->token[i], &letters);
        s.found[i] = letters;
    }
    for (int64_t i = 0; i < p->merges && !e->code; i++) {
        bool left, right;
        s.merge[i].left = spell_to(&to, p->merge[i].left, &left);
        s.merge[i].right = spell_to(&to, p->merge[i].right, &right);
        if (!left || !right)
            tn_fail(e, TN_EFORMAT, "%s: merge %lld is not in GPT-2's letters for bytes", p->path,
                    (long long)i);
    }
    if (!e->code)
        tn_vocab_new(&k->vocab, s.token, s.found, p->size, p->path, e);
    if (!e->code)
        check_unspelt(p, s.found, e);
    if (!e->code)
        tn_bpe_new(&k->bpe, &k->vocab, s.merge, p->merges, p->path, e);
    for (int b = 0; b < 256 && !e->code; b++)
        k->byte[b] = tn_vocab_find(&k->vocab, &(char){ (char)b }, 1);
    free(s.memory);
    free(s.token);
    free(s.merge);
    free(s.found);
    return e->code;
}

/* The byte s[0] has no token. */
static void unknown_byte(tn_walk *w, const char *s)
{
    const tn_rules *r = &w->k->rules;
    const bool again = w->word.n > 0 && w->word.id[w->word.n - 1] == r->unknown;
    if (r->unknown < 0)
        tn_walk_unknown(w, s, (unsigned char)*s);
    else if (!again || !r->fuse_unknown)
        tn_word_add(&w->word, r->unknown, w->e);
}

void tn_byte_level_next(tn_walk *w)
{
    const tn_tokenizer *k = w->k;
    const size_t n = tn_split_next(&w->split);
    const char *s = w->split.s + w->split.at - n;
    if (tn_piece_cache_get(k->cache, s, n, &w->word, w->e))
        return;
    const int32_t whole = k->rules.ignore_merges ? tn_vocab_find(&k->vocab, s, n) : -1;
    bool known = true;
    if (whole >= 0)
        tn_word_add(&w->word, whole, w->e);
    for (size_t i = 0; whole < 0 && i < n && !w->e->code; i++) {
        const int32_t id = k->byte[(unsigned char)s[i]];
        known = known && id >= 0;
        if (id >= 0)
            tn_word_add(&w->word, id, w->e);
        else
            unknown_byte(w, s + i);
    }
    if (whole < 0 && !w->e->code)
        tn_bpe_merge(&k->bpe, &w->word, w->e);
    if (known && !w->e->code) /* an unknown byte is counted or refused each time */
        tn_piece_cache_put(k->cache, s, n, w->word.id, w->word.n);
}
