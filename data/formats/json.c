/* json.c - one strict parser of RFC 8259 for every JSON text that is read.
   It reads headers of safetensors files, configs, tokenizers and records.

   A document has one allocation for all its strings, and a list of chunks for its values. A parsed
   string is never longer than its source, so the length of the text is enough for all strings. */
#include "data/formats/json.h"
#include "core/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Values, and the search for duplicate keys, take at most 64 MiB. */
enum { MOST_VALUES = (64 << 20) / (sizeof(tn_json) + 2 * sizeof(void *)) };

typedef struct tn_json_chunk {
    struct tn_json_chunk *next;
    size_t used, room;
    tn_json values[];
} chunk;

typedef struct parser {
    const char *s;
    size_t n, at;
    tn_document *d;
    char *out; /* where the next string goes */
    size_t values;
    const tn_json_taker *taker; /* NULL: all is kept */
    tn_error *e;
} parser;

/* The next byte; -1 at the end. */
static int peek(const parser *p)
{
    return p->at < p->n ? (unsigned char)p->s[p->at] : -1;
}

/* Sets the error for position `at`. found: a name for what is there; NULL: the byte there is shown.
   Returns false. */
static bool refuse(parser *p, size_t at, const char *found, const char *expected)
{
    char byte[32];
    int64_t line = p->d->line;
    size_t start = 0;
    for (size_t i = 0; i < at && !p->d->line; i++) {
        if (p->s[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    if (!p->d->line)
        line++;
    if (!found) {
        int c = at < p->n ? (unsigned char)p->s[at] : -1;
        found = byte;
        if (c < 0)
            found = "the end";
        else
            snprintf(byte, sizeof byte, c > ' ' && c < 127 ? "'%c'" : "byte 0x%02X", c);
    }
    tn_fail(p->e, TN_EFORMAT, "%s:%lld: found %s at column %zu; expected %s", p->d->path,
            (long long)line, found, at - start + 1, expected);
    return false;
}

static tn_json *new_value(parser *p)
{
    chunk *b = p->d->chunks;
    if (++p->values > MOST_VALUES) {
        refuse(p, p->at, "too many values", "a smaller document");
        return NULL;
    }
    if (!b || b->used == b->room) {
        size_t room = !b ? 16 : b->room < 4096 ? 2 * b->room : b->room;
        b = malloc(sizeof *b + room * sizeof *b->values);
        if (!b) {
            tn_fail(p->e, TN_ENOMEM, "%s: no memory for its values", p->d->path);
            return NULL;
        }
        b->next = p->d->chunks;
        b->used = 0;
        b->room = room;
        p->d->chunks = b;
    }
    tn_json *v = &b->values[b->used++];
    *v = (tn_json){ 0 };
    return v;
}

static void skip_space(parser *p)
{
    while (p->at < p->n && memchr(" \t\n\r", p->s[p->at], 4))
        p->at++;
}

/* The value of four hexadecimal digits; -1 if they are not such digits. */
static int32_t hex4(const parser *p, size_t at)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    int32_t code = 0;
    for (size_t i = at; i < at + 4; i++) {
        const char *d = i < p->n ? memchr(digits, p->s[i], sizeof digits - 1) : NULL;
        if (!d)
            return -1;
        code = code * 16 + (int32_t)(d - digits) - (d - digits > 15 ? 6 : 0);
    }
    return code;
}

/* \uXXXX, or two of them for a character past U+FFFF. p->at is at the backslash. */
static bool parse_unicode(parser *p)
{
    int32_t code = hex4(p, p->at + 2);
    size_t length = 6;
    if (code < 0)
        return refuse(p, p->at, "\\u", "four hexadecimal digits behind it");
    if (code >= 0xD800 && code <= 0xDFFF) {
        bool pair = p->n - p->at >= 12 && !memcmp(p->s + p->at + 6, "\\u", 2);
        int32_t low = pair ? hex4(p, p->at + 8) : -1;
        if (code > 0xDBFF || low < 0xDC00 || low > 0xDFFF)
            return refuse(p, p->at, "half of a surrogate pair", "both");
        code = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00);
        length = 12;
    }
    p->out += tn_utf8_write((uint32_t)code, p->out);
    p->at += length;
    return true;
}

static bool parse_escape(parser *p)
{
    static const char letter[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    char c = p->at + 1 < p->n ? p->s[p->at + 1] : 0;
    const char *known = c ? strchr(letter, c) : NULL;
    if (c == 'u')
        return parse_unicode(p);
    if (!known)
        return refuse(p, p->at + 1, NULL, "one of \"\\/bfnrtu behind a backslash");
    *p->out++ = plain[known - letter];
    p->at += 2;
    return true;
}

static bool parse_string(parser *p, const char **text, size_t *length)
{
    char *start = p->out;
    p->at++;
    for (int c; (c = peek(p)) != '"';) {
        if (c < ' ')
            return refuse(p, p->at, NULL, "a character of a string or its closing quote");
        if (c == '\\') {
            if (!parse_escape(p))
                return false;
            continue;
        }
        uint32_t code;
        const size_t n = c < 0x80 ? 1 : tn_utf8_read(p->s + p->at, p->n - p->at, &code);
        if (!n)
            return refuse(p, p->at, NULL, "UTF-8");
        for (size_t i = 0; i < n; i++)
            *p->out++ = p->s[p->at++];
    }
    p->at++;
    *text = start;
    *length = (size_t)(p->out - start);
    *p->out++ = 0;
    return true;
}

static bool parse_digits(parser *p)
{
    size_t start = p->at;
    while (peek(p) >= '0' && peek(p) <= '9')
        p->at++;
    return p->at > start || refuse(p, p->at, NULL, "a digit");
}

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?, kept as text. */
static bool parse_number(parser *p, tn_json *v)
{
    size_t start = p->at;
    if (peek(p) == '-')
        p->at++;
    if (peek(p) == '0')
        p->at++;
    else if (!parse_digits(p))
        return false;
    if (peek(p) == '.') {
        p->at++;
        if (!parse_digits(p))
            return false;
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        p->at++;
        if (peek(p) == '+' || peek(p) == '-')
            p->at++;
        if (!parse_digits(p))
            return false;
    }
    v->kind = TN_NUMBER;
    v->text = p->out;
    v->length = p->at - start;
    memcpy(p->out, p->s + start, v->length);
    p->out[v->length] = 0;
    p->out += v->length + 1;
    return true;
}

static bool parse_word(parser *p, tn_json *v, tn_json_kind kind, const char *word)
{
    size_t n = strlen(word);
    if (p->n - p->at < n || memcmp(p->s + p->at, word, n) != 0)
        return refuse(p, p->at, NULL, word);
    v->kind = kind;
    v->text = word;
    v->length = n;
    p->at += n;
    return true;
}

static int by_key(const void *a, const void *b)
{
    const tn_json *x = *(const tn_json *const *)a, *y = *(const tn_json *const *)b;
    int order = strcmp(x->key, y->key);
    return order ? order : (x->offset > y->offset) - (x->offset < y->offset);
}

/* Refuses an object with the same key twice. Sorting takes n log n steps for any keys. A hash table
   would take n^2 steps for keys that are chosen to collide. */
static bool check_keys(parser *p, const tn_json *object)
{
    size_t n = 0;
    if (object->count < 2)
        return true;
    const tn_json **members = malloc((size_t)object->count * sizeof *members);
    if (!members) {
        tn_fail(p->e, TN_ENOMEM, "%s: no memory for its keys", p->d->path);
        return false;
    }
    for (const tn_json *m = object->child; m; m = m->next)
        members[n++] = m;
    qsort(members, n, sizeof *members, by_key);
    const tn_json *twice = NULL;
    for (size_t i = 1; i < n && !twice; i++)
        if (!strcmp(members[i - 1]->key, members[i]->key))
            twice = members[i];
    free(members);
    if (!twice)
        return true;
    char found[100];
    snprintf(found, sizeof found, "the key \"%.70s\" again", twice->key);
    return refuse(p, twice->offset, found, "every key once");
}

static bool parse_key(parser *p, tn_json *member)
{
    size_t start = p->at, length;
    if (peek(p) != '"')
        return refuse(p, p->at, NULL, "a key in quotes");
    if (!parse_string(p, &member->key, &length))
        return false;
    if (strlen(member->key) != length)
        return refuse(p, start, "U+0000 in a key", "a key without it");
    skip_space(p);
    if (peek(p) != ':')
        return refuse(p, p->at, NULL, "':'");
    p->at++;
    skip_space(p);
    return true;
}

static bool parse_value(parser *p, tn_json *v, int depth);

/* Does the taker want the elements of this array? */
static bool is_taken(const parser *p, const tn_json *v, int depth)
{
    const tn_json_taker *t = p->taker;
    return t && v->kind == TN_ARRAY && depth == 3 && v->key && !strcmp(v->key, t->key) &&
           v->parent->key && !strcmp(v->parent->key, t->object);
}

/* Gives back the values that were made after `to` was the newest chunk and had `used` of them. One
   chunk is kept for the next values. */
static void give_back(parser *p, chunk *to, size_t used, size_t values)
{
    chunk *b = p->d->chunks;
    while (b != to && b->next != to) {
        chunk *old = b->next;
        b->next = old->next;
        free(old);
    }
    b->used = b == to ? used : 0;
    p->values = values;
}

/* Parses an element of the array and gives it away. */
static bool take_element(parser *p, tn_json *v, int depth)
{
    chunk *newest = p->d->chunks;
    const size_t used = newest->used, values = p->values;
    tn_json *element = new_value(p);
    if (!element)
        return false;
    element->parent = v;
    v->count++;
    const bool good =
        parse_value(p, element, depth) && !p->taker->take(p->taker->to, element, p->e);
    give_back(p, newest, used, values);
    return good;
}

/* Parses a member of an object or an element of an array, and appends it. */
static bool keep_member(parser *p, tn_json *v, tn_json **last, int depth)
{
    tn_json *member = new_value(p);
    if (!member)
        return false;
    member->parent = v;
    *(*last ? &(*last)->next : &v->child) = member;
    *last = member;
    v->count++;
    return (v->kind != TN_OBJECT || parse_key(p, member)) && parse_value(p, member, depth);
}

static bool parse_members(parser *p, tn_json *v, int depth)
{
    const bool object = v->kind == TN_OBJECT, taken = is_taken(p, v, depth);
    int end = object ? '}' : ']';
    tn_json *last = NULL;
    if (depth > TN_JSON_DEPTH)
        return refuse(p, p->at, "a value nested too deeply", "64 levels at most");
    p->at++;
    skip_space(p);
    while (v->count || peek(p) != end) {
        if (!(taken ? take_element(p, v, depth) : keep_member(p, v, &last, depth)))
            return false;
        skip_space(p);
        if (peek(p) == end)
            break;
        if (peek(p) != ',')
            return refuse(p, p->at, NULL, object ? "',' or '}'" : "',' or ']'");
        p->at++;
        skip_space(p);
    }
    p->at++;
    return !object || check_keys(p, v);
}

/* depth: the number of arrays and objects around the value. */
static bool parse_value(parser *p, tn_json *v, int depth)
{
    int c = peek(p);
    v->offset = p->at;
    switch (c) {
    case '{':
    case '[': v->kind = c == '{' ? TN_OBJECT : TN_ARRAY; return parse_members(p, v, depth + 1);
    case '"': v->kind = TN_STRING; return parse_string(p, &v->text, &v->length);
    case 't': return parse_word(p, v, TN_BOOL, "true");
    case 'f': return parse_word(p, v, TN_BOOL, "false");
    case 'n': return parse_word(p, v, TN_NULL, "null");
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return parse_number(p, v);
        return refuse(p, p->at, NULL, "a value");
    }
}

const tn_json *tn_json_parse_taking(const char *text, size_t size, const char *path, int64_t line,
                                    const tn_json_taker *taker, tn_error *e)
{
    size_t name = strlen(path) + 1;
    tn_document *d = malloc(sizeof *d + name + size + 1);
    if (!d) {
        tn_fail(e, TN_ENOMEM, "%s: no memory for %zu bytes", path, size);
        return NULL;
    }
    *d = (tn_document){ .line = line, .path = d->memory };
    memcpy(d->memory, path, name);
    parser p = { .s = text, .n = size, .d = d, .out = d->memory + name, .taker = taker, .e = e };
    skip_space(&p);
    bool good = parse_value(&p, &d->root, 0);
    skip_space(&p);
    if (good && (p.at == size || refuse(&p, p.at, NULL, "nothing behind the value")))
        return &d->root;
    tn_json_free(&d->root);
    return NULL;
}

void tn_json_free(const tn_json *root)
{
    tn_document *d = (tn_document *)root;
    if (!d)
        return;
    for (chunk *b = d->chunks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(d);
}
