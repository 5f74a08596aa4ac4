/* options_file.c - reads and writes config files: lines `name = value`.

   A value is plain, 'quoted' or "quoted". A blank and a # end a plain value and begin a comment.
   Blanks around a plain value do not belong to it. Between single quotes every character stands for
   itself. Between double quotes \n, \r, \t, \\, \" and \xHH (a byte) stand for other characters, so
   every value can be written. */
#include "apps/options/options_set.h"
#include "core/utf8.h"

#include <stdio.h>
#include <string.h>

enum { CONFIG_MOST = 1 << 20 };

static const char blanks[] = " \t\r", hex_digits[] = "0123456789abcdef";
static const char escape_letter[] = "nrt\\\"", escaped[] = "\n\r\t\\\"";

/* ---- writing ---- */

/* Bytes of the character at s if it is written unchanged. 0: its first byte is written as \xHH. */
static size_t plain_length(const char *s)
{
    uint32_t code;
    const size_t length = tn_utf8_read(s, strlen(s), &code);
    return length && tn_utf8_is_plain(code) ? length : 0;
}

static bool has_control(const char *s)
{
    for (size_t n; *s && (n = plain_length(s)) > 0;)
        s += n;
    return *s != 0;
}

/* Is the text not empty, without a blank at either end? */
static bool is_trimmed(const char *s)
{
    const size_t n = strlen(s);
    return n && !strchr(blanks, s[0]) && !strchr(blanks, s[n - 1]);
}

void options_line(const char *name, const char *value, tn_text *out)
{
    const bool control = has_control(value);
    if (!control && is_trimmed(value) && !strpbrk(value, "#\"'")) {
        tn_text_add(out, "%s = %s\n", name, value);
        return;
    }
    if (!control && strpbrk(value, "\\\"") && !strchr(value, '\'')) {
        tn_text_add(out, "%s = '%s'\n", name, value);
        return;
    }
    tn_text_add(out, "%s = \"", name);
    for (const char *s = value; *s;) {
        const char *known = strchr(escaped, *s);
        const size_t n = plain_length(s);
        if (known)
            tn_text_add(out, "\\%c", escape_letter[known - escaped]);
        else if (!n)
            tn_text_add(out, "\\x%02x", (unsigned char)*s);
        else
            tn_text_bytes(out, s, n);
        s += n ? n : 1;
    }
    tn_text_add(out, "\"\n");
}

/* ---- reading ---- */

/* Removes the blanks and the pair of quotes around a name, in place. */
static char *trimmed(char *s)
{
    s += strspn(s, blanks);
    size_t n = strlen(s);
    while (n && strchr(blanks, s[n - 1]))
        n--;
    s[n] = 0;
    if (n > 1 && (*s == '"' || *s == '\'') && s[n - 1] == *s) {
        s[n - 1] = 0;
        s++;
    }
    return s;
}

/* The value of a hexadecimal digit. -1: it is not such a digit. */
static int hex_value(char c)
{
    const char *known = c ? strchr(hex_digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    return known ? (int)(known - hex_digits) : -1;
}

/* The character that the escape at s stands for; 0: unknown. *taken becomes the escape's length. */
static char unescape(const char *s, size_t *taken)
{
    const char *known = s[1] ? strchr(escape_letter, s[1]) : NULL;
    *taken = known ? 2 : 4;
    if (known)
        return escaped[known - escape_letter];
    const int high = s[1] == 'x' ? hex_value(s[2]) : -1, low = high < 0 ? -1 : hex_value(s[3]);
    return low < 0 ? 0 : (char)(16 * high + low);
}

/* Removes the quotes around a value that begins with a quote, in place. */
static int read_quoted(char *value, const char *where, tn_error *e)
{
    const char quote = *value;
    const char *s = value + 1;
    char *out = value;
    while (*s && *s != quote) {
        size_t taken = 1;
        const char c = quote == '"' && *s == '\\' ? unescape(s, &taken) : *s;
        if (!c)
            return tn_fail(e, TN_EFORMAT,
                           "%s\"%.4s\"; expected one of \\n \\r \\t \\\\ \\\" \\xHH, or "
                           "single quotes around the value",
                           where, s);
        *out++ = c;
        s += taken;
    }
    if (!*s)
        return tn_fail(e, TN_EFORMAT, "%sa value without its closing quote %c", where, quote);
    s += 1 + strspn(s + 1, blanks);
    if (*s && *s != '#')
        return tn_fail(e, TN_EFORMAT,
                       "%s\"%.80s\" behind a closing quote; expected the end of the "
                       "line",
                       where, s);
    *out = 0;
    return 0;
}

/* Cuts off the comment after a plain value, and the blanks before it. */
static char *read_plain(char *value)
{
    for (char *s = value; *s; s++)
        if (*s == '#' &&
            memchr(blanks, s[-1], sizeof blanks - 1)) /* a value has a byte before it */
            *s = 0;
    size_t n = strlen(value);
    while (n && strchr(blanks, value[n - 1]))
        n--;
    value[n] = 0;
    return value;
}

static int read_line(options *o, const command *c, char *line, int64_t number, const bool before[],
                     tn_error *e)
{
    char where[300];
    snprintf(where, sizeof where, "%.240s:%lld: ", o->config, (long long)number);
    char *end = line + strcspn(line, "=:#");
    const bool has_value = *end && *end != '#';
    *end = 0;
    const char *name = trimmed(line);
    if (!*name && !has_value)
        return 0;
    if (!has_value)
        return tn_fail(e, TN_EFORMAT, "%s\"%.80s\"; expected name = value", where, name);
    const word_meaning m = word_find(name, strlen(name), c->letter);
    int i = option_find(name, strlen(name), c->letter);
    if (i < 0 && m.option)
        i = option_find(m.option, strlen(m.option), c->letter);
    else if (i < 0 && m.known && !m.says)
        return 0;
    if (i == OPT_config)
        return tn_fail(e, TN_EFORMAT, "%s%s: expected no config file inside another", where, name);
    if (i < 0)
        return option_unknown(name, strlen(name), c, where, e);
    char *value = end + 1 + strspn(end + 1, blanks);
    if (*value != '"' && *value != '\'')
        read_plain(value);
    else if (read_quoted(value, where, e))
        return e->code;
    if (before[i]) /* the command line wins */
        return 0;
    if (o->given[i] && options_table[i].kind != OPTION_LIST)
        return tn_fail(e, TN_EFORMAT, "%s%s is set a second time", where, name);
    return option_set(o, i, value, where, e);
}

int options_read(options *o, const command *c, tn_error *e)
{
    bool before[OPTIONS];
    size_t size;
    memcpy(before, o->given, sizeof before);
    before[OPT_iters] = before[OPT_epochs] =
        before[OPT_iters] || before[OPT_epochs]; /* one thing */
    o->file = tn_text_read(o->config, CONFIG_MOST, &size, e);
    if (!o->file)
        return e->code;
    if (strlen(o->file) != size)
        return tn_fail(e, TN_EFORMAT, "%s: a zero byte at %zu; expected text", o->config,
                       strlen(o->file));
    int64_t number = 1;
    for (char *line = o->file; line && !e->code; number++) {
        char *next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        read_line(o, c, line, number, before, e);
        line = next;
    }
    return e->code;
}
