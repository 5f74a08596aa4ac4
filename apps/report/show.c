/* show.c - prints what people read, and turns numbers, times and names into text. */
#include "apps/report/show.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *show_count(int64_t n, char *out)
{
    char digits[24];
    const int length = snprintf(digits, sizeof digits, "%lld", (long long)n);
    size_t to = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && digits[i - 1] != '-' && (length - i) % 3 == 0)
            out[to++] = ',';
        out[to++] = digits[i];
    }
    out[to] = 0;
    return out;
}

char *show_bytes(double bytes, char *out)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    int unit = 0;
    for (; bytes >= 1000 && unit < 4; unit++)
        bytes /= 1000;
    snprintf(out, SHOWN, "%.*f %s", unit && bytes < 99.95, bytes, units[unit]);
    return out;
}

char *show_loss(double loss, double error, char *out)
{
    const int n = snprintf(out, SHOWN, "%.4f", loss);
    if (!isnan(error) && n < SHOWN)
        snprintf(out + n, SHOWN - (size_t)n, " +- %.4f", error);
    return out;
}

const char *show_s(int64_t n)
{
    return n == 1 ? "" : "s";
}

char *show_time(double seconds, char *out)
{
    const long long s = (long long)(seconds + 0.5);
    if (seconds < 10)
        snprintf(out, SHOWN, "%.1fs", seconds);
    else if (s < 60)
        snprintf(out, SHOWN, "%llds", s);
    else if (s < 3600)
        snprintf(out, SHOWN, "%lldm%02llds", s / 60, s % 60);
    else
        snprintf(out, SHOWN, "%lldh%02lldm", s / 3600, s / 60 % 60);
    return out;
}

char *show_real(double x, char *out)
{
    for (int digits = 6; digits <= 17; digits++) { /* fewer: 10 would be 1e+01 */
        snprintf(out, SHOWN, "%.*g", digits, x);
        if (strtod(out, NULL) == x)
            break;
    }
    return out;
}

char *show_first(const tn_tokenizer *k, char *out)
{
    int n = 0;
    *out = 0;
    if (tn_tokenizer_begin(k) >= 0)
        n = snprintf(out, SHOWN, ", first token %d", tn_tokenizer_begin(k));
    if (tn_tokenizer_after(k) >= 0)
        snprintf(out + n, SHOWN - (size_t)n, ", last token %d", tn_tokenizer_after(k));
    return out;
}

void json_text(tn_text *out, const char *key, const char *value)
{
    tn_text_add(out, ",\"%s\":", key);
    tn_text_quote(out, value, strlen(value));
}

void json_real(tn_text *out, const char *key, double value, int digits)
{
    if (isfinite(value))
        tn_text_add(out, ",\"%s\":%.*g", key, digits, value);
    else
        tn_text_add(out, ",\"%s\":null", key);
}

rewards rewards_of(const tn_dpo *sum)
{
    const double n = (double)sum->pairs;
    return sum->pairs > 0 ? (rewards){ .chosen = sum->chosen / n,
                                       .rejected = sum->rejected / n,
                                       .margin = (sum->chosen - sum->rejected) / n,
                                       .accuracy = (double)sum->right / n }
                          : (rewards){ 0 };
}

char *show_rewards(const tn_dpo *sum, char *out)
{
    const rewards r = rewards_of(sum);
    snprintf(out, SHOWN, "margin %.4f  accuracy %.3f", r.margin, r.accuracy);
    return out;
}

void json_rewards(tn_text *out, const tn_dpo *sum)
{
    const rewards r = rewards_of(sum);
    json_real(out, "rewards/chosen", r.chosen, 6);
    json_real(out, "rewards/rejected", r.rejected, 6);
    json_real(out, "rewards/margins", r.margin, 6);
    json_real(out, "rewards/accuracies", r.accuracy, 6);
}

/* ---- standard output ---- */

bool write_whole(FILE *f, const char *bytes, size_t n)
{
    for (size_t done = 0; done < n && !ferror(f);) {
        errno = 0;
        done += fwrite(bytes + done, 1, n - done, f);
        if (done < n && errno == EINTR)
            clearerr(f);
    }
    return !ferror(f);
}

/* After a failure ferror(stdout) stays set; main looks at it. */
static void write_out(const char *bytes, size_t n)
{
    write_whole(stdout, bytes, n);
}

/* Bytes that are collected and written together. */
typedef struct chunk {
    char s[1024];
    size_t n;
} chunk;

static void add_chunk(void *arg, const char *bytes, size_t n)
{
    chunk *c = arg;
    if (c->n + n > sizeof c->s) {
        write_out(c->s, c->n);
        c->n = 0;
    }
    if (n > sizeof c->s) {
        write_out(bytes, n);
    } else {
        memcpy(c->s + c->n, bytes, n);
        c->n += n;
    }
}

void show(const char *format, ...)
{
    chunk c;
    va_list args;
    c.n = 0;
    va_start(args, format);
    tn_format(add_chunk, &c, 0, format, args);
    va_end(args);
    write_out(c.s, c.n);
}

static void add_text(void *arg, const char *bytes, size_t n)
{
    tn_text_bytes(arg, bytes, n);
}

/* Adds the rest of a line and writes it in one piece. */
static void write_error(tn_text line, const char *format, va_list args, const char *end)
{
    tn_format(add_text, &line, 0, format, args);
    tn_text_add(&line, "%s", end);
    if (!line.failed)
        write_whole(stderr, line.s, line.n);
    tn_text_free(&line);
}

void show_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_error((tn_text){ 0 }, format, args, "");
    va_end(args);
}

void show_note(const char *format, ...)
{
    tn_text line = { 0 };
    va_list args;
    tn_text_add(&line, "tenon: note: ");
    va_start(args, format);
    write_error(line, format, args, "\n");
    va_end(args);
}

/* Lines and tabs stay, other controls are shown. */
static void write_lines(const char *s, size_t n)
{
    chunk c;
    c.n = 0;
    for (size_t at = 0, next; at < n; at = next + 1) {
        for (next = at; next < n && s[next] != '\n' && s[next] != '\t';)
            next++;
        tn_escape(add_chunk, &c, s + at, next - at);
        if (next < n)
            add_chunk(&c, s + next, 1);
    }
    write_out(c.s, c.n);
}

void show_text(tn_text *t, const char *what, tn_error *e)
{
    const char *text = tn_text_done(t, what, e);
    if (text)
        write_out(text, t->n);
    tn_text_free(t);
}

void show_answer(tn_text *t, const char *what, tn_error *e)
{
    const char *text = tn_text_done(t, what, e);
    if (text && isatty(STDOUT_FILENO))
        write_lines(text, t->n);
    else if (text)
        write_out(text, t->n);
    tn_text_free(t);
}

/* ---- shell words ---- */

static void note_escape(void *arg, const char *bytes, size_t n)
{
    bool *escapes = arg;
    *escapes = *escapes || (n > 1 && *bytes == '\\');
}

/* Writes a word with control characters as $'...', in ASCII. */
static void ansi_word(const char *word, tn_text *out)
{
    tn_text_add(out, "$'");
    for (; *word; word++)
        if (*word < ' ' || *word > '~' || *word == '\'' || *word == '\\')
            tn_text_add(out, "\\x%02x", (unsigned char)*word);
        else
            tn_text_bytes(out, word, 1);
    tn_text_add(out, "'");
}

void show_word(const char *word, tn_text *out)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
    if (*word && strspn(word, plain) == strlen(word)) {
        tn_text_add(out, "%s", word);
        return;
    }
    bool escapes = false;
    tn_escape(note_escape, &escapes, word, strlen(word));
    if (escapes) {
        ansi_word(word, out);
        return;
    }
    tn_text_add(out, "'");
    for (; *word; word++)
        if (*word == '\'')
            tn_text_add(out, "'\\''");
        else
            tn_text_bytes(out, word, 1);
    tn_text_add(out, "'");
}
