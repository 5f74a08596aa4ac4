/* gguf_parse.c - reads what comes before the data of a GGUF file, and checks it.
   That is "GGUF", version, counts; keys with values; names, shapes and places of the tensors.
   Source: docs/gguf.md of ggml-org/ggml. What its reader refuses is refused here, and also a name
   that is malformed or there twice.

   1. A count is compared with the bytes that are left before memory is taken for it.
   2. Nothing is added to a number of the file before it is compared with what is left. */
#include "data/formats/gguf_file.h"
#include "core/utf8.h"

#include <stdlib.h>
#include <string.h>

typedef struct reader {
    const unsigned char *bytes;
    size_t pos, have;
    const char *path;
    tn_error *e;
} reader;

/* The next n bytes. NULL, and an error, if there are fewer. */
static const void *take(reader *r, size_t n, const char *what)
{
    if (r->e->code)
        return NULL;
    if (n > r->have - r->pos) {
        tn_fail(r->e, TN_EFORMAT,
                "%s: offset %zu: the file ends after %zu bytes of %s; expected %zu", r->path,
                r->pos, r->have - r->pos, what, n);
        return NULL;
    }
    r->pos += n;
    return r->bytes + r->pos - n;
}

static uint32_t take_u32(reader *r, const char *what)
{
    uint32_t x = 0;
    const void *bytes = take(r, sizeof x, what);
    if (bytes)
        memcpy(&x, bytes, sizeof x);
    return x;
}

static uint64_t take_u64(reader *r, const char *what)
{
    uint64_t x = 0;
    const void *bytes = take(r, sizeof x, what);
    if (bytes)
        memcpy(&x, bytes, sizeof x);
    return x;
}

/* A count of things that have at least `least` bytes each. */
static int64_t take_count(reader *r, size_t least, uint64_t most, const char *what)
{
    const size_t at = r->pos;
    const uint64_t n = take_u64(r, "a count"), left = (r->have - r->pos) / least;
    if (!r->e->code && (n > left || n > most))
        tn_fail(r->e, TN_EFORMAT, "%s: offset %zu: %llu %s; expected at most %llu%s", r->path, at,
                (unsigned long long)n, what, (unsigned long long)(left < most ? left : most),
                n > most ? "" : " in the bytes that are left");
    return r->e->code ? 0 : (int64_t)n;
}

static bool is_text(const char *s, size_t n)
{
    uint32_t code;
    for (size_t length; n; s += length, n -= length)
        if (!*s || !(length = tn_utf8_read(s, n, &code)))
            return false;
    return true;
}

/* A copy of the next string, to be freed. NULL: e says why. */
static char *take_name(reader *r, size_t most, const char *what)
{
    const size_t at = r->pos;
    const uint64_t n = take_u64(r, what);
    if (!r->e->code && n > most)
        tn_fail(r->e, TN_EFORMAT, "%s: offset %zu: %s of %llu bytes; expected at most %zu", r->path,
                at, what, (unsigned long long)n, most);
    const char *s = take(r, (size_t)n, what);
    if (s && !is_text(s, n))
        tn_fail(r->e, TN_EFORMAT, "%s: offset %zu: %s that is not UTF-8; expected text", r->path,
                at, what);
    char *copy = r->e->code ? NULL : strndup(s, n);
    if (!copy)
        tn_fail(r->e, TN_ENOMEM, "%s: no memory for its names", r->path);
    return copy;
}

/* ---- keys and values ---- */

static void skip_strings(reader *r, int64_t n)
{
    for (int64_t i = 0; i < n && !r->e->code; i++) {
        const size_t at = r->pos;
        const uint64_t size = take_u64(r, "the length of a string");
        if (!r->e->code && size > r->have - r->pos)
            tn_fail(r->e, TN_EFORMAT,
                    "%s: offset %zu: a string of %llu bytes; expected at most %zu", r->path, at,
                    (unsigned long long)size, r->have - r->pos);
        take(r, (size_t)size, "a string");
    }
}

static uint32_t take_kind(reader *r, const char *key)
{
    const size_t at = r->pos;
    const uint32_t kind = take_u32(r, "the kind of a value");
    if (!r->e->code && kind >= TN_GGUF_KIND_END)
        tn_fail(r->e, TN_EFORMAT, "%s: offset %zu: key \"%s\" is of kind %u; expected 0 to %d",
                r->path, at, key, kind, TN_GGUF_KIND_END - 1);
    return r->e->code ? 0 : kind;
}

/* The bytes of a value, whose kind and count are known. */
static void take_elements(reader *r, tn_gguf_value *v)
{
    const size_t at = r->pos;
    v->bytes = r->bytes + at;
    if (v->kind == TN_GGUF_STRING)
        skip_strings(r, v->count);
    else
        take(r, (size_t)v->count * tn_gguf_kind_bytes(v->kind), "a value");
    v->size = r->pos - at;
    const unsigned char *b = v->bytes;
    for (size_t i = 0; v->kind == TN_GGUF_BOOL && i < v->size && !r->e->code; i++)
        if (b[i] > 1)
            tn_fail(r->e, TN_EFORMAT,
                    "%s: offset %zu: key \"%s\" has the boolean %d; expected 0 or 1", r->path,
                    at + i, v->key, b[i]);
}

/* A key is ASCII and not empty. The key belongs to the value, also after an error. */
static void take_value(reader *r, tn_gguf_value *v)
{
    const size_t at = r->pos;
    v->key = take_name(r, TN_GGUF_MOST_KEY, "a key");
    if (!v->key)
        return;
    bool ascii = *v->key != 0;
    for (const char *s = v->key; *s; s++)
        ascii = ascii && (signed char)*s > 0;
    if (!ascii)
        tn_fail(r->e, TN_EFORMAT, "%s: offset %zu: the key \"%s\"; expected ASCII", r->path, at,
                v->key);
    uint32_t kind = take_kind(r, v->key);
    v->count = 1;
    v->array = kind == TN_GGUF_ARRAY;
    if (v->array) {
        const size_t inner = r->pos;
        kind = take_kind(r, v->key);
        if (kind == TN_GGUF_ARRAY)
            tn_fail(r->e, TN_EFORMAT,
                    "%s: offset %zu: key \"%s\" is an array of arrays; expected strings or numbers",
                    r->path, inner, v->key);
        v->count = take_count(r, tn_gguf_kind_bytes(kind), UINT64_MAX, "elements of an array");
    }
    v->kind = (tn_gguf_kind)kind;
    if (!r->e->code)
        take_elements(r, v);
}

/* The text of a string that stands alone. It stays NULL for other values, and if it is no text. */
static char *text_of(const reader *r, const tn_gguf_value *v)
{
    if (r->e->code || v->array || v->kind != TN_GGUF_STRING)
        return NULL;
    const char *s = (const char *)v->bytes + sizeof(uint64_t);
    const size_t n = v->size - sizeof(uint64_t);
    if (!is_text(s, n))
        return NULL;
    char *text = strndup(s, n);
    if (!text)
        tn_fail(r->e, TN_ENOMEM, "%s: no memory for its texts", r->path);
    return text;
}

static void read_values(tn_gguf *g, reader *r, int64_t n)
{
    g->values = calloc((size_t)n + 1, sizeof *g->values);
    g->texts = calloc((size_t)n + 1, sizeof *g->texts);
    if (!g->values || !g->texts)
        tn_fail(r->e, TN_ENOMEM, "%s: no memory for its keys", r->path);
    for (; g->n_values < n && !r->e->code; g->n_values++) {
        take_value(r, &g->values[g->n_values]);
        g->texts[g->n_values] = text_of(r, &g->values[g->n_values]);
    }
}

/* ---- tensors ---- */

/* Computes the bytes of a tensor, whose row of the table and shape are known. */
static void find_size(const reader *r, tn_gguf_tensor *t, size_t at)
{
    tn_entry *const entry = &t->entry;
    int64_t n = 1, last = entry->ndim ? entry->dim[entry->ndim - 1] : 1, size = 0;
    bool over = false, empty = false;
    for (int i = 0; i < entry->ndim; i++) {
        empty = empty || !entry->dim[i];
        over = over || (entry->dim[i] && __builtin_mul_overflow(n, entry->dim[i], &n));
    }
    over = over || __builtin_mul_overflow(n / t->layout->numbers, t->layout->bytes, &size);
    entry->size = empty ? 0 : (size_t)size;
    if (over)
        tn_fail(r->e, TN_EFORMAT,
                "%s: offset %zu: tensor \"%s\": its shape overflows; expected below 2^63 bytes",
                r->path, at, entry->name);
    else if (last % t->layout->numbers)
        tn_fail(r->e, TN_EFORMAT,
                "%s: offset %zu: tensor \"%s\" has rows of %lld x %s; expected a multiple of %lld",
                r->path, at, entry->name, (long long)last, t->layout->name,
                (long long)t->layout->numbers);
}

/* The shape, the last dimension first, and the type. */
static void take_shape(reader *r, tn_gguf_tensor *t)
{
    tn_entry *const entry = &t->entry;
    size_t at = r->pos;
    const uint32_t ndim = take_u32(r, "a number of dimensions");
    if (ndim > TN_GGUF_NDIM)
        tn_fail(r->e, TN_EFORMAT,
                "%s: offset %zu: tensor \"%s\" has %u dimensions; expected at most %d", r->path, at,
                entry->name, ndim, TN_GGUF_NDIM);
    for (uint32_t i = 0; i < ndim && !r->e->code; i++) {
        at = r->pos;
        const uint64_t dim = take_u64(r, "a dimension");
        if (dim > INT64_MAX)
            tn_fail(r->e, TN_EFORMAT,
                    "%s: offset %zu: tensor \"%s\" has a dimension of %llu; expected below 2^63",
                    r->path, at, entry->name, (unsigned long long)dim);
        entry->dim[ndim - 1 - i] = (int64_t)dim;
    }
    entry->ndim = r->e->code ? 0 : (int)ndim;
    at = r->pos;
    const uint32_t number = take_u32(r, "a type");
    t->layout = tn_gguf_layout_number(number);
    if (!r->e->code && !t->layout)
        tn_fail(r->e, TN_EFORMAT,
                "%s: offset %zu: tensor \"%s\" is of the unknown type %u; expected "
                "F32 (0), F16 (1) or another type of GGUF",
                r->path, at, entry->name, number);
    if (r->e->code)
        return;
    entry->type = t->layout->type;
    find_size(r, t, at);
}

/* `end` is where the data of the tensor before it end, padded. */
static void take_tensor(reader *r, tn_gguf_tensor *t, size_t alignment, size_t *end)
{
    t->entry.name = take_name(r, TN_GGUF_MOST_NAME, "the name of a tensor");
    if (!t->entry.name)
        return;
    take_shape(r, t);
    const size_t at = r->pos, begin = *end;
    const uint64_t offset = take_u64(r, "an offset");
    if (!r->e->code && offset != begin)
        tn_fail(
            r->e, TN_EFORMAT,
            "%s: offset %zu: tensor \"%s\" begins at byte %llu of the data; expected %zu, no %s",
            r->path, at, t->entry.name, (unsigned long long)offset, begin,
            offset < begin ? "overlap" : "hole");
    t->offset = begin;
    *end = tn_gguf_pad(begin + t->entry.size, alignment);
    if (!r->e->code && *end < begin)
        tn_fail(r->e, TN_EFORMAT, "%s: offset %zu: the tensors to \"%s\" have more than 2^64 bytes",
                r->path, at, t->entry.name);
}

/* All tensors must be in the file, and nothing after them but padding. */
static void find_data(tn_gguf *g, const reader *r, size_t end)
{
    g->start = tn_gguf_pad(r->pos, g->alignment);
    const size_t room = g->size > g->start ? g->size - g->start : 0;
    for (int64_t i = 0; i < g->n && !r->e->code; i++) {
        tn_gguf_tensor *t = &g->tensors[i];
        if (t->entry.size > room || t->offset > room - t->entry.size)
            tn_fail(
                r->e, TN_EFORMAT,
                "%s: tensor \"%s\": %zu bytes at byte %zu of the data, which have %zu bytes; the "
                "file may be cut short",
                r->path, t->entry.name, t->entry.size, t->offset, room);
        t->entry.bytes = r->bytes + (t->entry.size ? g->start + t->offset : 0);
    }
    if (!r->e->code && room > end)
        tn_fail(r->e, TN_EFORMAT, "%s: offset %zu: %zu bytes after the last tensor; expected none",
                r->path, g->start + end, room - end);
}

static void read_tensors(tn_gguf *g, reader *r, int64_t n)
{
    int64_t alignment = TN_GGUF_ALIGNMENT;
    const tn_gguf_value *v = tn_gguf_value_of(g, "general.alignment");
    size_t end = 0;
    tn_gguf_get_int(g, "general.alignment", &alignment, r->e);
    if (!r->e->code && (v && v->kind != TN_GGUF_U32))
        tn_fail(r->e, TN_EFORMAT, "%s: general.alignment is not of kind U32", r->path);
    if (!r->e->code && (alignment < 1 || alignment & (alignment - 1)))
        tn_fail(r->e, TN_EFORMAT, "%s: general.alignment is %lld; expected a power of two", r->path,
                (long long)alignment);
    g->alignment = (size_t)alignment;
    g->tensors = calloc((size_t)n + 1, sizeof *g->tensors);
    if (!g->tensors)
        tn_fail(r->e, TN_ENOMEM, "%s: no memory for its tensors", r->path);
    for (; g->n < n && !r->e->code; g->n++)
        take_tensor(r, &g->tensors[g->n], g->alignment, &end);
    if (!r->e->code)
        find_data(g, r, end);
}

/* ---- the file ---- */

/* Sorts pointers to n things of `size` bytes, each with its name at its beginning. Refuses a name
   that is there twice. NULL: e says why. */
static const char *const **sorted(const void *things, size_t size, int64_t n, const char *what,
                                  const reader *r)
{
    const char *const **out = r->e->code ? NULL : calloc((size_t)n + 1, sizeof *out);
    if (!out) {
        tn_fail(r->e, TN_ENOMEM, "%s: no memory for its names", r->path);
        return NULL;
    }
    for (int64_t i = 0; i < n; i++)
        out[i] = (const char *const *)((const char *)things + (size_t)i * size);
    qsort(out, (size_t)n, sizeof *out, tn_gguf_by_name);
    for (int64_t i = 1; i < n; i++)
        if (!strcmp(*out[i - 1], *out[i]))
            tn_fail(r->e, TN_EFORMAT, "%s: the %s \"%s\" is there twice; expected it once", r->path,
                    what, *out[i]);
    return out;
}

void tn_gguf_read(tn_gguf *g, const void *bytes, size_t have, tn_error *e)
{
    reader start = { .bytes = bytes, .have = have, .path = g->path, .e = e }, *const r = &start;
    const char *magic = take(r, 4, "the mark of a GGUF file");
    if (magic && memcmp(magic, "GGUF", 4) != 0)
        tn_fail(r->e, TN_EFORMAT, "%s: offset 0: not a GGUF file; expected the letters GGUF",
                r->path);
    const uint32_t version = take_u32(r, "the version");
    if (!r->e->code && version != 2 && version != 3)
        tn_fail(r->e, TN_EFORMAT, "%s: offset 4: version %u%s; expected 2 or 3, little-endian",
                r->path, version & 0xFFFF ? version : __builtin_bswap32(version),
                version & 0xFFFF ? "" : " of a big-endian file");
    /* The least bytes: a tensor has the length of its name, dimensions, type, place; a key its
       length and one letter, kind, and one byte. */
    const int64_t n = take_count(r, 8 + 4 + 4 + 8, TN_GGUF_MOST, "tensors");
    const int64_t n_values = take_count(r, 8 + 1 + 4 + 1, TN_GGUF_MOST, "keys");
    read_values(g, r, n_values);
    g->by_key = sorted(g->values, sizeof *g->values, g->n_values, "key", r);
    if (r->e->code)
        return;
    read_tensors(g, r, n);
    g->by_name = sorted(g->tensors, sizeof *g->tensors, g->n, "tensor", r);
}
