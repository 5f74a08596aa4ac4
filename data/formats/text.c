/* text.c - a text that grows. When memory is out, `failed` stays set and later calls do nothing. */
#include "data/data.h"
#include "core/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `more` bytes and a zero byte after them. */
static bool reserve(tn_text *t, size_t more)
{
    if (t->failed || more >= SIZE_MAX / 2 - t->n) {
        t->failed = true;
        return false;
    }
    size_t need = t->n + more + 1;
    if (need <= t->room)
        return true;
    size_t room = need < 64 ? 64 : need + need / 2;
    char *s = realloc(t->s, room);
    if (!s) {
        t->failed = true;
        return false;
    }
    t->s = s;
    t->room = room;
    return true;
}

void tn_text_add(tn_text *t, const char *format, ...)
{
    if (!t || !format)
        return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        t->failed = true;
    if (n < 0 || !reserve(t, (size_t)n))
        return;
    va_start(args, format);
    vsnprintf(t->s + t->n, (size_t)n + 1, format, args);
    va_end(args);
    t->n += (size_t)n;
}

void tn_text_bytes(tn_text *t, const void *bytes, size_t n)
{
    if (!t || (!bytes && n) || !reserve(t, n))
        return;
    if (n)
        memcpy(t->s + t->n, bytes, n);
    t->n += n;
    t->s[t->n] = 0;
}

/* Bytes that are not UTF-8 become U+FFFD, so that the result is always valid JSON. Control
   characters are escaped, also those that JSON allows, because the text may be shown on a
   terminal. */
void tn_text_quote(tn_text *t, const char *s, size_t n)
{
    if (!t || (!s && n))
        return;
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    tn_text_bytes(t, "\"", 1);
    while (n) {
        uint32_t code;
        size_t length = tn_utf8_read(s, n, &code);
        const char *known = length == 1 && code ? strchr(plain, (int)code) : NULL;
        if (known)
            tn_text_add(t, "\\%c", letter[known - plain]);
        else if (length && !tn_utf8_is_plain(code))
            tn_text_add(t, "\\u%04x", (unsigned)code);
        else
            tn_text_bytes(t, length ? s : "\xEF\xBF\xBD", length ? length : 3);
        s += length ? length : 1;
        n -= length ? length : 1;
    }
    tn_text_bytes(t, "\"", 1);
}

void tn_text_join(tn_text *t, const tn_text *more)
{
    if (!t || !more)
        return;
    t->failed = t->failed || more->failed;
    tn_text_bytes(t, more->s, more->n);
}

const char *tn_text_done(const tn_text *t, const char *what, tn_error *e)
{
    if (!t || !what || !e) {
        tn_given(e, false, __func__);
        return NULL;
    }
    if (t->failed)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", what);
    return t->failed ? NULL : t->s ? t->s : "";
}

int tn_text_save(tn_text *t, const char *folder, const char *name, tn_error *e)
{
    const int missing = tn_given(e, t && folder && name, __func__);
    if (missing) {
        tn_text_free(t);
        return missing;
    }
    char *path = tn_path_join(folder, name);
    const char *text = tn_text_done(t, name, e);
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", name);
    else if (text)
        tn_file_write(path, text, t->n, e);
    free(path);
    tn_text_free(t);
    return e->code;
}

void tn_text_free(tn_text *t)
{
    if (!t)
        return;
    free(t->s);
    *t = (tn_text){ 0 };
}

enum { NAME_MOST = 64 };

/* The letter for a comparison of names: "-" counts as "_", and "A" as "a". */
static char plain_letter(char c)
{
    return c == '-' ? '_' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* How many letters to insert, remove or replace, or neighbours to exchange, to make b from a (the
   restricted distance of Damerau and Levenshtein). */
static int distance(const char *a, const char *b)
{
    int row[3][NAME_MOST + 1]; /* the last three rows of the table */
    const int n = (int)strlen(b);
    if (n > NAME_MOST || strlen(a) > NAME_MOST)
        return NAME_MOST;
    for (int j = 0; j <= n; j++)
        row[0][j] = j;
    int i = 1;
    for (; a[i - 1]; i++) {
        int *now = row[i % 3];
        const int *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];
        const char x = plain_letter(a[i - 1]);
        now[0] = i;
        for (int j = 1; j <= n; j++) {
            const char y = plain_letter(b[j - 1]);
            int best = before[j - 1] + (x != y);
            best = best < before[j] + 1 ? best : before[j] + 1;
            best = best < now[j - 1] + 1 ? best : now[j - 1] + 1;
            if (i > 1 && j > 1 && x == plain_letter(b[j - 2]) && y == plain_letter(a[i - 2]))
                best = best < earlier[j - 2] + 1 ? best : earlier[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[(i - 1) % 3][n];
}

const char *tn_nearest(const char *word, const char *const *names, int n)
{
    if (!word || !names)
        return NULL;
    const char *best = NULL;
    const int length = (int)strlen(word);
    int least = length < 3 ? 0 : length < 8 ? 1 : length / 4; /* beyond it a name is not similar */
    for (int i = 0; i < n; i++) {
        if (!names[i])
            continue;
        int d = distance(word, names[i]);
        if (d <= least && (!best || d < least)) {
            best = names[i];
            least = d;
        }
    }
    return best;
}
