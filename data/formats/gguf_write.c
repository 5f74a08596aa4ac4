/* gguf_write.c - writes GGUF files: the head, keys with values, the list of tensors, their data.
   The bytes before the data are read by our reader before the file is made: what it refuses, such
   as a name that is there twice, is not written. */
#include "data/formats/gguf_file.h"
#include "data/formats/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ALIGNMENT = 4096 };

/* ---- keys ---- */

static void add_bytes(tn_text *t, const void *bytes, size_t n)
{
    if (n)
        tn_text_bytes(t, bytes, n);
}

static void add_u32(tn_text *t, uint32_t x)
{
    tn_text_bytes(t, &x, sizeof x);
}

static void add_u64(tn_text *t, uint64_t x)
{
    tn_text_bytes(t, &x, sizeof x);
}

static void add_string(tn_text *t, const char *s, size_t n)
{
    add_u64(t, n);
    add_bytes(t, s, n);
}

void tn_gguf_list_free(tn_gguf_list *l)
{
    if (!l)
        return;
    tn_text_free(&l->text);
    l->count = 0;
}

/* Is it as a value of an open file is? */
static bool is_value(const tn_gguf_value *v)
{
    if ((unsigned)v->kind >= TN_GGUF_KIND_END || v->kind == TN_GGUF_ARRAY || v->count < 0 ||
        (!v->bytes && v->size) || (!v->array && v->count != 1))
        return false;
    if (v->kind != TN_GGUF_STRING)
        return v->size / tn_gguf_kind_bytes(v->kind) == (size_t)v->count &&
               v->size % tn_gguf_kind_bytes(v->kind) == 0;
    int64_t strings = 0;
    size_t at = 0;
    for (uint64_t n; at < v->size; at += (size_t)n, strings++) {
        if (v->size - at < sizeof n)
            return false;
        memcpy(&n, (const char *)v->bytes + at, sizeof n);
        at += sizeof n;
        if (n > v->size - at)
            return false;
    }
    return strings == v->count;
}

int tn_gguf_add(tn_gguf_list *l, const tn_gguf_value *v, tn_error *e)
{
    const int missing = tn_given(e, l && v && v->key, __func__);
    if (missing)
        return missing;
    if (!is_value(v))
        return tn_fail(e, TN_EARG, "%s: kind, count and bytes do not fit", v->key);
    add_string(&l->text, v->key, strlen(v->key));
    if (v->array)
        add_u32(&l->text, TN_GGUF_ARRAY);
    add_u32(&l->text, v->kind);
    if (v->array)
        add_u64(&l->text, (uint64_t)v->count);
    add_bytes(&l->text, v->bytes, v->size);
    l->count++;
    return e->code;
}

/* Adds a value that is no array. */
static int add_one(tn_gguf_list *l, const char *key, tn_gguf_kind kind, const void *bytes,
                   size_t size, tn_error *e)
{
    const tn_gguf_value v = { .key = key, .kind = kind, .count = 1, .bytes = bytes, .size = size };
    return tn_gguf_add(l, &v, e);
}

int tn_gguf_add_int(tn_gguf_list *l, const char *key, tn_gguf_kind kind, int64_t value, tn_error *e)
{
    const int missing = tn_given(e, l && key, __func__);
    if (missing)
        return missing;
    const bool is_kind = (unsigned)kind < TN_GGUF_KIND_END && kind != TN_GGUF_STRING &&
                         kind != TN_GGUF_ARRAY && kind != TN_GGUF_F32 && kind != TN_GGUF_F64;
    const size_t size = is_kind ? tn_gguf_kind_bytes(kind) : 0;
    const bool sign =
        kind == TN_GGUF_I8 || kind == TN_GGUF_I16 || kind == TN_GGUF_I32 || kind == TN_GGUF_I64;
    const int bits = kind == TN_GGUF_BOOL ? 1 : 8 * (int)size - sign;
    if (!is_kind || (!sign && value < 0) || (bits < 63 && (value < 0 ? ~value : value) >> bits))
        return tn_fail(e, TN_EARG, "%s: %lld is not of kind %d; expected a kind that holds it", key,
                       (long long)value, (int)kind);
    return add_one(l, key, kind, &value, size, e); /* the low bytes come first */
}

int tn_gguf_add_real(tn_gguf_list *l, const char *key, double value, tn_error *e)
{
    return add_one(l, key, TN_GGUF_F32, &(float){ (float)value }, sizeof(float), e);
}

int tn_gguf_add_strings(tn_gguf_list *l, const char *key, const tn_span *strings, int64_t n,
                        tn_error *e)
{
    const int missing = tn_given(e, l && key && (strings || !n), __func__);
    if (missing)
        return missing;
    tn_text t = { 0 };
    for (int64_t i = 0; i < n; i++)
        add_string(&t, strings[i].s, strings[i].n);
    const char *bytes = tn_text_done(&t, key, e);
    const tn_gguf_value v = {
        .key = key, .array = true, .kind = TN_GGUF_STRING, .count = n, .bytes = bytes, .size = t.n
    };
    if (bytes)
        tn_gguf_add(l, &v, e);
    tn_text_free(&t);
    return e->code;
}

int tn_gguf_add_string(tn_gguf_list *l, const char *key, const char *s, size_t n, tn_error *e)
{
    const int missing = tn_given(e, l && key && s, __func__);
    if (missing)
        return missing;
    tn_text t = { 0 };
    add_string(&t, s, n);
    const char *bytes = tn_text_done(&t, key, e);
    if (bytes)
        add_one(l, key, TN_GGUF_STRING, bytes, t.n, e);
    tn_text_free(&t);
    return e->code;
}

/* ---- tensors ---- */

/* A quantised type has no NaN, and its scale, an f16, is at most 65504. */
static int check_range(const tn_entry *t, const char *path, tn_error *e)
{
    const double most = tn_file_type_most(t->type);
    tn_real room[TN_ENTRY_PART];
    int64_t n = 0;
    for (int64_t from = 0; t->type > TN_FILE_BOOL; from += n) {
        const tn_real *x = tn_entry_part(t, from, &n, room);
        if (n <= 0)
            return TN_OK;
        for (int64_t i = 0; i < n; i++)
            if (!(fabs((double)x[i]) <= most))
                return tn_fail(
                    e, TN_ENONFINITE,
                    "%s: tensor \"%s\" holds %g at element %lld; expected at most %g for %s", path,
                    t->name, (double)x[i], (long long)(from + i), most, tn_file_type_name(t->type));
    }
    return TN_OK;
}

static int check_entry(const tn_entry *t, size_t *size, const char *path, tn_error *e)
{
    if (strlen(t->name) >= TN_GGUF_MOST_NAME)
        return tn_fail(e, TN_EARG, "%s: tensor \"%s\": a name of %zu bytes; expected at most %d",
                       path, t->name, strlen(t->name), TN_GGUF_MOST_NAME - 1);
    if (!tn_gguf_layout_type(t->type) || !tn_entry_is_written(t))
        return tn_fail(e, TN_EARG, "%s: tensor \"%s\": not a type to write", path, t->name);
    if (t->ndim > TN_GGUF_NDIM || !tn_entry_size(t, size))
        return tn_fail(e, TN_EARG, "%s: tensor \"%s\": shape and data do not fit", path, t->name);
    return check_range(t, path, e);
}

static void add_entry(tn_text *head, const tn_entry *t, size_t offset)
{
    add_string(head, t->name, strlen(t->name));
    add_u32(head, (uint32_t)t->ndim);
    for (int i = t->ndim; i-- > 0;)
        add_u64(head, (uint64_t)t->dim[i]);
    add_u32(head, tn_gguf_layout_type(t->type)->number);
    add_u64(head, offset);
}

static void add_head(tn_text *head, const tn_gguf_list *keys, int64_t tensors)
{
    add_bytes(head, "GGUF", 4);
    add_u32(head, 3);
    add_u64(head, (uint64_t)tensors);
    add_u64(head, (uint64_t)(keys ? keys->count : 0));
    if (keys)
        tn_text_join(head, &keys->text);
}

/* The alignment that the keys ask for; 0 after an error. */
static size_t find_alignment(const tn_gguf_list *keys, const char *path, tn_error *e)
{
    tn_text head = { 0 };
    add_head(&head, keys, 0);
    const char *bytes = tn_text_done(&head, path, e);
    tn_gguf *g = bytes ? tn_gguf_parse(path, bytes, head.n, head.n, e) : NULL;
    const size_t alignment = g ? g->alignment : 0;
    if (alignment > MOST_ALIGNMENT)
        tn_fail(e, TN_EARG, "%s: general.alignment is %zu; expected at most %d", path, alignment,
                MOST_ALIGNMENT);
    tn_gguf_close(g);
    tn_text_free(&head);
    return e->code ? 0 : alignment;
}

/* All that comes before the data, padded. */
static int make_head(tn_text *head, const tn_gguf_list *keys, const tn_entry *entries, int64_t n,
                     size_t alignment, const char *path, tn_error *e)
{
    size_t end = 0, size = 0;
    add_head(head, keys, n);
    for (int64_t i = 0; i < n; i++) {
        if (check_entry(&entries[i], &size, path, e))
            return e->code;
        add_entry(head, &entries[i], end);
        if (size > SIZE_MAX / 2 - alignment || end > SIZE_MAX / 2)
            return tn_fail(e, TN_EARG, "%s: more data than a file can hold", path);
        end = tn_gguf_pad(end + size, alignment);
    }
    while (head->n % alignment && !head->failed)
        tn_text_bytes(head, "", 1);
    const char *bytes = tn_text_done(head, path, e);
    tn_gguf_close(bytes ? tn_gguf_parse(path, bytes, head->n, head->n + end, e) : NULL);
    return e->code;
}

static void pad(tn_writer *w, size_t n, size_t alignment)
{
    static const char zeros[TN_GGUF_ALIGNMENT];
    for (size_t left = tn_gguf_pad(n, alignment) - n, part; left; left -= part) {
        part = left < sizeof zeros ? left : sizeof zeros;
        tn_writer_add(w, zeros, part);
    }
}

int tn_gguf_write(const char *path, const tn_gguf_list *keys, const tn_entry *entries, int64_t n,
                  tn_error *e)
{
    const int missing = tn_given(e, path && (entries || !n), __func__);
    if (missing)
        return missing;
    for (int64_t i = 0; i < n; i++)
        if (!entries[i].name)
            return tn_fail(e, TN_EARG, "%s: tensor %lld has no name", path, (long long)i + 1);
    tn_text head = { 0 };
    const size_t alignment = find_alignment(keys, path, e);
    if (alignment && !make_head(&head, keys, entries, n, alignment, path, e)) {
        tn_writer w = tn_writer_open(path, e);
        tn_writer_add(&w, head.s, head.n);
        for (int64_t i = 0; i < n; i++) {
            size_t size = 0;
            tn_entry_size(&entries[i], &size);
            tn_writer_entry(&w, &entries[i]);
            pad(&w, size, alignment);
        }
        tn_writer_close(&w);
    }
    tn_text_free(&head);
    return e->code;
}
