/* nfc.c - the normal form C of a text. Source: Unicode Standard Annex 15; Hangul: chapter 3.12.

   1. Every character is taken apart until no part can be taken apart.
   2. Marks that follow each other are put in ascending order of their combining class; marks of
      the same class keep their order.
   3. A starter (class 0) and a character after it become one character where there is one, unless
      a character between them is a starter or has the same class or a higher one. */
#include "data/tokenizers/unicode.h"
#include "core/utf8.h"

#include <stdlib.h>

enum { /* Hangul: the first syllable, the first letters of the three kinds, and their numbers */
       S0 = 0xAC00,
       L0 = 0x1100,
       V0 = 0x1161,
       T0 = 0x11A7,
       LS = 19,
       VS = 21,
       TS = 28,
};

/* A character: its combining class, its place among all, itself. Sorting sorts by the first two. */
#define CLASS_OF(unit) ((uint32_t)((unit) >> 56))
#define CODE_OF(unit) ((uint32_t)(unit)&0x1FFFFF)

typedef struct units {
    uint64_t *u;
    size_t n, room;
    bool failed;
} units;

static int by_mark(const void *code, const void *mark)
{
    const uint32_t c = *(const uint32_t *)code;
    const tn_mark_range *m = mark;
    return (c > m->last) - (c < m->first);
}

static uint64_t class_of(uint32_t code)
{
    const tn_mark_range *m = tn_unicode_marks;
    const size_t n = sizeof tn_unicode_marks / sizeof *m;
    m = code < m->first ? NULL : bsearch(&code, m, n, sizeof *m, by_mark);
    return m ? m->class : 0;
}

static void add(units *out, uint32_t code)
{
    if (out->n == out->room && !out->failed) {
        const size_t room = out->room ? 2 * out->room : 256;
        uint64_t *u = realloc(out->u, room * sizeof *u);
        out->failed = u == NULL;
        out->u = u ? u : out->u;
        out->room = u ? room : out->room;
    }
    if (!out->failed) {
        out->u[out->n] = class_of(code) << 56 | (uint64_t)(uint32_t)out->n << 24 | code;
        out->n++;
    }
}

static int by_code(const void *code, const void *parts)
{
    const uint32_t c = *(const uint32_t *)code, other = ((const tn_decomposed *)parts)->code;
    return (c > other) - (c < other);
}

/* Step 1. */
static void take_apart(units *out, uint32_t code)
{
    if (code >= S0 && code < S0 + LS * VS * TS) {
        const uint32_t i = code - S0;
        add(out, L0 + i / (VS * TS));
        add(out, V0 + i % (VS * TS) / TS);
        if (i % TS)
            add(out, T0 + i % TS);
        return;
    }
    const tn_decomposed *p = tn_unicode_parts;
    const size_t n = sizeof tn_unicode_parts / sizeof *p;
    p = code < p->code ? NULL : bsearch(&code, p, n, sizeof *p, by_code);
    if (p == NULL) {
        add(out, code);
        return;
    }
    take_apart(out, p->first);
    if (p->second)
        take_apart(out, p->second);
}

static int by_class(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Step 2. */
static void sort_marks(units *t)
{
    for (size_t i = 0, end; i < t->n; i = end + 1) {
        for (end = i; end < t->n && CLASS_OF(t->u[end]);)
            end++;
        if (end - i > 1)
            qsort(t->u + i, end - i, sizeof *t->u, by_class);
    }
}

static int by_parts(const void *pair, const void *row)
{
    const uint32_t *want = pair;
    const tn_decomposed *p = &tn_unicode_parts[*(const uint16_t *)row];
    if (want[0] != p->first)
        return want[0] < p->first ? -1 : 1;
    return (want[1] > p->second) - (want[1] < p->second);
}

/* The one character that two become; 0 if there is none. */
static uint32_t together(uint32_t a, uint32_t b)
{
    if (a >= L0 && a < L0 + LS && b >= V0 && b < V0 + VS)
        return S0 + ((a - L0) * VS + b - V0) * TS;
    if (a >= S0 && a < S0 + LS * VS * TS && (a - S0) % TS == 0 && b > T0 && b < T0 + TS)
        return a + b - T0;
    const uint32_t pair[2] = { a, b };
    const size_t n = sizeof tn_unicode_composing / sizeof *tn_unicode_composing;
    const uint16_t *row = bsearch(pair, tn_unicode_composing, n, sizeof *row, by_parts);
    return row ? tn_unicode_parts[*row].code : 0;
}

/* Step 3. */
static void put_together(units *t)
{
    size_t kept = 0, starter = SIZE_MAX;
    for (size_t i = 0; i < t->n; i++) {
        const uint64_t u = t->u[i];
        const uint32_t class = CLASS_OF(u);
        /* What was kept after the starter has classes in ascending order, the last the highest. */
        const bool open =
            starter != SIZE_MAX && (kept == starter + 1 || CLASS_OF(t->u[kept - 1]) < class);
        const uint32_t one = open ? together(CODE_OF(t->u[starter]), CODE_OF(u)) : 0;
        if (one) {
            t->u[starter] = one;
            continue;
        }
        if (class == 0)
            starter = kept;
        t->u[kept++] = u;
    }
    t->n = kept;
}

void tn_nfc(const char *text, size_t n, tn_text *out)
{
    units t = { 0 };
    for (size_t at = 0; at < n;) {
        uint32_t code = 0xFFFD;
        const size_t bytes = tn_utf8_read(text + at, n - at, &code);
        take_apart(&t, code);
        at += bytes ? bytes : 1;
    }
    sort_marks(&t);
    put_together(&t);
    for (size_t i = 0; i < t.n; i++) {
        char s[4];
        tn_text_bytes(out, s, tn_utf8_write(CODE_OF(t.u[i]), s));
    }
    out->failed |= t.failed;
    free(t.u);
}

bool tn_nfc_is_plain(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] >= 0xCC) /* U+0300 begins with it */
            return false;
    return true;
}
