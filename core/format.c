/* format.c - text that people read: a printf that escapes the control characters of strings.

   A name in a file may contain bytes that clear a terminal. It may also contain a newline and then
   a line that looks like ours. So every string in a message or on the terminal goes through the %s
   of this file. */
#include "core/core.h"
#include "core/utf8.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct sink {
    tn_sink *put;
    void *arg;
} sink;

/* ---- strings ---- */

/* Writes the first character of n > 0 bytes to out in the form that is shown. *width becomes its
   columns. Returns the number of its bytes in s. */
static size_t show_one(const char *s, size_t n, char out[12], size_t *width)
{
    static const char known[] = "\n\t\r", letters[] = "ntr";
    uint32_t code = 0;
    const size_t length = tn_utf8_read(s, n, &code);
    const char *found = length == 1 && code ? strchr(known, (int)code) : NULL;
    if (length && tn_utf8_is_plain(code)) {
        memcpy(out, s, length);
        out[length] = 0;
        *width = 1;
        return length;
    }
    if (found)
        *width = (size_t)snprintf(out, 12, "\\%c", letters[found - known]);
    else if (length > 1)
        *width = (size_t)snprintf(out, 12, "\\u%04x", (unsigned)code);
    else
        *width = (size_t)snprintf(out, 12, "\\x%02x", (unsigned char)*s);
    return length ? length : 1;
}

void tn_escape(tn_sink *put, void *arg, const char *s, size_t n)
{
    if (!put || !s)
        return;
    size_t width;
    char out[12];
    for (size_t at = 0; at < n;) {
        at += show_one(s + at, n - at, out, &width);
        put(arg, out, strlen(out));
    }
}

static size_t columns(const char *s, size_t n)
{
    size_t sum = 0, width;
    char out[12];
    for (size_t at = 0; at < n; sum += width)
        at += show_one(s + at, n - at, out, &width);
    return sum;
}

/* How many of the first n bytes of s belong to whole characters. */
static size_t whole(const char *s, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        const unsigned char first = (unsigned char)s[n - back];
        const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
        if (first >= 0xC0 || first < 0x80)
            return length > back ? n - back : n;
    }
    return n;
}

static void put_spaces(sink k, size_t width, size_t taken)
{
    for (; taken < width; taken++)
        k.put(k.arg, " ", 1);
}

/* Puts n bytes in at least `width` columns. Of more than `most` bytes it leaves the middle out. */
static void put_string(sink k, const char *s, size_t n, size_t most, size_t width, bool left)
{
    const size_t half = most > 3 ? (most - 3) / 2 : 0;
    const size_t head = n > most ? whole(s, half) : n;
    size_t tail = n > most ? half : 0;
    while (tail && ((unsigned char)s[n - tail] & 0xC0) == 0x80)
        tail--;
    const size_t taken = columns(s, head) + (n > most ? 3 : 0) + columns(s + n - tail, tail);
    if (!left)
        put_spaces(k, width, taken);
    tn_escape(k.put, k.arg, s, head);
    if (n > most)
        k.put(k.arg, "...", 3);
    tn_escape(k.put, k.arg, s + n - tail, tail);
    if (left)
        put_spaces(k, width, taken);
}

/* ---- conversions ---- */

typedef struct spec {              /* %-12.3llx */
    char flags[8], length, letter; /* length: 0, l, L (ll), z */
    bool left, has_precision;
    int width, precision;
} spec;

static int read_number(const char **s, va_list *args)
{
    int n = 0;
    if (**s == '*') {
        ++*s;
        return va_arg(*args, int);
    }
    for (; **s >= '0' && **s <= '9'; ++*s)
        n = n < 100000 ? 10 * n + (**s - '0') : n;
    return n;
}

/* Reads the conversion after a '%'. Returns the text after it. */
static const char *read_spec(const char *s, va_list *args, spec *p)
{
    *p = (spec){ .length = 0 };
    for (size_t n = 0; *s && strchr("-+ #0", *s); s++)
        if (n + 1 < sizeof p->flags)
            p->flags[n++] = *s;
    p->width = read_number(&s, args);
    p->has_precision = *s == '.';
    if (p->has_precision) {
        s++;
        p->precision = read_number(&s, args);
    }
    if (p->width < 0) { /* a negative width means "-", as in printf */
        p->width = -p->width;
        strcat(p->flags, "-");
    }
    p->has_precision = p->has_precision && p->precision >= 0;
    p->left = strchr(p->flags, '-') != NULL;
    for (; *s == 'l' || *s == 'z' || *s == 'h'; s++)
        p->length = *s == 'l' && p->length == 'l' ? 'L' : *s;
    p->letter = *s;
    return *s ? s + 1 : s;
}

static void put_integer(sink k, const spec *p, va_list *args)
{
    char form[64], out[512];
    const bool is_signed = p->letter == 'd' || p->letter == 'i';
    long long n = 0;
    unsigned long long u = 0;
    if (is_signed)
        n = p->length == 'L'   ? va_arg(*args, long long)
            : p->length == 'l' ? va_arg(*args, long)
            : p->length == 'z' ? (long long)va_arg(*args, ptrdiff_t)
                               : va_arg(*args, int);
    else
        u = p->length == 'L'   ? va_arg(*args, unsigned long long)
            : p->length == 'l' ? va_arg(*args, unsigned long)
            : p->length == 'z' ? va_arg(*args, size_t)
                               : va_arg(*args, unsigned);
    const int precision = p->has_precision ? p->precision : -1; /* negative: counts as not given */
    snprintf(form, sizeof form, "%%%s*.*ll%c", p->flags, p->letter);
    if (is_signed)
        snprintf(out, sizeof out, form, p->width, precision, n);
    else
        snprintf(out, sizeof out, form, p->width, precision, u);
    k.put(k.arg, out, strlen(out));
}

static void put_real(sink k, const spec *p, double x)
{
    char form[64], out[512];
    snprintf(form, sizeof form, "%%%s*.*%c", p->flags, p->letter);
    snprintf(out, sizeof out, form, p->width, p->has_precision ? p->precision : -1, x);
    k.put(k.arg, out, strlen(out));
}

static void put_argument(sink k, const spec *p, size_t most, va_list *args)
{
    const size_t width = (size_t)p->width;
    if (p->letter == 's') {
        const char *s = va_arg(*args, const char *);
        s = s ? s : "(null)";
        const size_t limit = p->has_precision ? (size_t)p->precision : SIZE_MAX;
        const size_t n = p->has_precision ? strnlen(s, limit) : strlen(s);
        put_string(k, s, n == limit ? whole(s, n) : n, most, width, p->left);
    } else if (p->letter == 'c') {
        const char c = (char)va_arg(*args, int);
        put_string(k, &c, 1, 1, width, p->left);
    } else if (p->letter && strchr("diuxXo", p->letter)) {
        put_integer(k, p, args);
    } else if (p->letter && strchr("feEgGaA", p->letter)) {
        put_real(k, p, va_arg(*args, double));
    } else {
        assert(p->letter == '%');
        k.put(k.arg, "%", 1);
    }
}

void tn_format(tn_sink *put, void *arg, size_t most, const char *format, va_list given)
{
    if (!put || !format)
        return;
    const sink k = { put, arg };
    va_list args;
    va_copy(args, given);
    for (const char *s = format; *s;) {
        const size_t n = strcspn(s, "%");
        spec p;
        if (n)
            put(arg, s, n);
        s += n;
        if (!*s)
            break;
        s = read_spec(s + 1, &args, &p);
        put_argument(k, &p, most ? most : SIZE_MAX, &args);
    }
    va_end(args);
}
