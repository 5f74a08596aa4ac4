/* split.c - the splits of GPT-2, SmolLM, Llama 3 and Qwen 2, written by hand.

   GPT-2:   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
   Llama 3: (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*
            |\s*[\r\n]+|\s+(?!\S)|\s+
   Qwen 2:  as Llama 3 with \p{N} in place of \p{N}{1,3}
   At each place the alternatives are tried in their order. \s+(?!\S) leaves the last white space
   of a run to the word after it. */
#include "data/tokenizers/split.h"
#include "core/utf8.h"
#include "data/tokenizers/unicode.h"

#include <string.h>

/* A text, or the part of it that is cut. */
typedef struct part {
    const char *s;
    size_t n;
} part;

typedef struct letter {
    uint32_t code;
    size_t bytes; /* 0: the end */
    tn_class class;
} letter;

static letter letter_at(part p, size_t at)
{
    letter c = { 0, 0, TN_SPACE };
    if (at >= p.n)
        return c;
    const unsigned char first = (unsigned char)p.s[at];
    if (first < 0x80)
        return (letter){ first, 1, tn_unicode_class(first) };
    c.bytes = tn_utf8_read(p.s + at, p.n - at, &c.code);
    c.class = c.bytes ? tn_unicode_class(c.code) : TN_OTHER;
    c.bytes += c.bytes == 0;
    return c;
}

/* The end of the run of a class from `at` on, of at most `most` characters. */
static size_t run_end(part p, size_t at, tn_class class, size_t most)
{
    for (letter c; most-- > 0 && (c = letter_at(p, at)).bytes && c.class == class;)
        at += c.bytes;
    return at;
}

static bool is_line_end(char c)
{
    return c == '\r' || c == '\n';
}

/* White space: \s+(?!\S)|\s+. With lines, \s*[\r\n]+ is tried before. */
static size_t cut_space(part p, bool lines)
{
    size_t last = 0, line = 0, end = 0;
    for (letter c; (c = letter_at(p, end)).bytes && c.class == TN_SPACE; end += c.bytes) {
        last = end;
        if (is_line_end(p.s[end]))
            line = end + 1;
    }
    if (lines && line)
        return line;
    return end < p.n && last > 0 ? last : end;
}

/* 's 't 're 've 'm 'll 'd; 0: none. With any_case, U+017F is an s, too. */
static size_t cut_contraction(part p, bool any_case)
{
    static const char *const ends[] = { "s", "t", "re", "ve", "m", "ll", "d" };
    if (p.n < 2 || *p.s != '\'')
        return 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const size_t m = strlen(ends[i]);
        bool same = p.n > m;
        for (size_t j = 0; j < m && same; j++)
            same = (any_case ? p.s[1 + j] | 0x20 : p.s[1 + j]) == ends[i][j];
        if (same)
            return 1 + m;
    }
    return any_case && p.n >= 3 && !memcmp(p.s + 1, "\xC5\xBF", 2) ? 3 : 0;
}

static size_t cut_gpt2(part p)
{
    const size_t contraction = cut_contraction(p, false);
    if (contraction)
        return contraction;
    const size_t word = *p.s == ' ';
    const letter c = letter_at(p, word);
    return c.class != TN_SPACE ? run_end(p, word, c.class, SIZE_MAX) : cut_space(p, false);
}

static size_t cut_llama3(part p, size_t numbers)
{
    const size_t contraction = cut_contraction(p, true);
    if (contraction)
        return contraction;
    const letter first = letter_at(p, 0);
    const bool alone = is_line_end(*p.s) || first.class == TN_LETTER || first.class == TN_DIGIT;
    const size_t word = alone ? 0 : first.bytes;
    if (letter_at(p, word).class == TN_LETTER)
        return run_end(p, word, TN_LETTER, SIZE_MAX);
    if (first.class == TN_DIGIT)
        return run_end(p, 0, TN_DIGIT, numbers);
    const size_t sign = *p.s == ' ';
    if (letter_at(p, sign).class != TN_OTHER)
        return cut_space(p, true);
    size_t end = run_end(p, sign, TN_OTHER, SIZE_MAX);
    while (end < p.n && is_line_end(p.s[end]))
        end++;
    return end;
}

/* Finds the next number from p->at on. */
static void find_number(tn_splitter *p)
{
    uint32_t code = 0;
    for (p->stop = p->at; p->stop < p->n;) {
        const unsigned char first = (unsigned char)p->s[p->stop];
        if (first < 0x80 && tn_unicode_class(first) != TN_DIGIT) {
            p->stop++;
            continue;
        }
        const size_t bytes = tn_utf8_read(p->s + p->stop, p->n - p->stop, &code);
        if (bytes && tn_unicode_is_number(code))
            return;
        p->stop += bytes ? bytes : 1;
    }
}

static size_t cut_smollm(tn_splitter *p)
{
    if (p->at > p->stop || (p->at == 0 && p->stop == 0))
        find_number(p);
    if (p->at < p->stop)
        return cut_gpt2((part){ p->s + p->at, p->stop - p->at });
    return letter_at((part){ p->s, p->n }, p->at).bytes;
}

size_t tn_split_next(tn_splitter *p)
{
    const part rest = { p->s + p->at, p->n - p->at };
    size_t n = 0;
    if (rest.n == 0)
        return 0;
    switch (p->split) {
    case TN_SPLIT_NONE: n = rest.n; break;
    case TN_SPLIT_GPT2: n = cut_gpt2(rest); break;
    case TN_SPLIT_SMOLLM: n = cut_smollm(p); break;
    case TN_SPLIT_LLAMA3: n = cut_llama3(rest, 3); break;
    case TN_SPLIT_QWEN2: n = cut_llama3(rest, 1); break;
    }
    p->at += n;
    return n;
}

bool tn_split_always(unsigned char before, unsigned char after)
{
    const unsigned char small = before | 0x20;
    return after == ' ' && small >= 'a' && small <= 'z';
}

#define REST "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define START "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"

const char *tn_split_pattern(tn_split split)
{
    return split == TN_SPLIT_LLAMA3  ? START "\\p{N}{1,3}" REST
           : split == TN_SPLIT_QWEN2 ? START "\\p{N}" REST
                                     : NULL;
}

tn_split tn_split_of(const char *pattern)
{
    for (tn_split split = TN_SPLIT_LLAMA3; split <= TN_SPLIT_QWEN2; split++)
        if (!strcmp(pattern, tn_split_pattern(split)))
            return split;
    return TN_SPLIT_NONE;
}
