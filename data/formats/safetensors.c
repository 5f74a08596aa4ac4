/* safetensors.c - reads a file: 8 bytes N, N bytes of JSON with the place of each tensor, data.
   Source: the README and tensor.rs of huggingface/safetensors; it refuses what they refuse. */
#include "data/formats/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MOST_HEADER = 100000000 };

static const char cut[] = "; the file may be cut short";

struct tn_safetensors {
    char *path;
    const unsigned char *map;
    size_t size, start; /* bytes of the file; where its data begin */
    const tn_json *header;
    tn_entry *entries; /* in the order of the data */
    const tn_entry **by_name;
    int64_t n;
};

/* clang-format off */
typedef struct known_type { const char *name; tn_file_type type; int bits; } known_type;

static const known_type known_types[] = {
#define TN_FILE_TYPE(name, bytes) { #name, TN_FILE_##name, 8 * bytes },
    TN_FILE_TYPES(TN_FILE_TYPE)
#undef TN_FILE_TYPE
    { "U64", TN_FILE_OTHER, 64 },       { "C64", TN_FILE_OTHER, 64 },
    { "U32", TN_FILE_OTHER, 32 },       { "U16", TN_FILE_OTHER, 16 },
    { "F8_E5M2", TN_FILE_OTHER, 8 },    { "F8_E4M3", TN_FILE_OTHER, 8 },
    { "F8_E8M0", TN_FILE_OTHER, 8 },    { "F8_E4M3FNUZ", TN_FILE_OTHER, 8 },
    { "F8_E5M2FNUZ", TN_FILE_OTHER, 8 }, { "F6_E2M3", TN_FILE_OTHER, 6 },
    { "F6_E3M2", TN_FILE_OTHER, 6 },    { "F4", TN_FILE_OTHER, 4 },
};
/* clang-format on */

static const known_type *find_type(const tn_json *dtype)
{
    for (size_t i = 0; i < sizeof known_types / sizeof *known_types; i++)
        if (!strcmp(known_types[i].name, dtype->text) && strlen(dtype->text) == dtype->length)
            return &known_types[i];
    return NULL;
}

/* A member of a tensor's description. It must exist and be of this kind. */
static const tn_json *part(const tn_safetensors *s, const tn_json *tensor, const char *key,
                           tn_json_kind kind, tn_error *e)
{
    const tn_json *v = tn_json_find(tensor, key);
    if (!v)
        tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" has no %s; expected dtype, shape, data_offsets",
                s->path, tensor->key, key);
    else if (v->kind != kind)
        tn_json_refuse(v, kind == TN_STRING ? "a string" : "an array", e);
    return e->code ? NULL : v;
}

/* Reads an array of integers from 0. */
static void read_naturals(const tn_json *array, int64_t *out, tn_error *e)
{
    for (const tn_json *v = array->child; v && !e->code; v = v->next, out++)
        if (!tn_json_int(v, out) || v->text[0] == '-')
            tn_json_refuse(v, "an integer from 0 to 2^63-1", e);
}

/* Compares the bytes of a tensor with its shape and type. An unknown type is not checked. */
static void check_size(const tn_safetensors *s, const tn_entry *t, const tn_json *dtype,
                       tn_error *e)
{
    const known_type *type = find_type(dtype);
    int64_t n = 1, bits = 0;
    bool over = false;
    for (int i = 0; i < t->ndim; i++)
        over = over || __builtin_mul_overflow(n, t->dim[i], &n);
    if (type)
        over = over || __builtin_mul_overflow(n, type->bits, &bits);
    if (over)
        tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\": its shape overflows; expected below 2^63 bits",
                s->path, t->name);
    else if (type && (bits % 8 || (uint64_t)bits / 8 != t->size))
        tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" has %zu bytes; expected %lld x %s, %lld bits",
                s->path, t->name, t->size, (long long)n, dtype->text, (long long)bits);
}

static void read_entry(const tn_safetensors *s, const tn_json *tensor, tn_entry *t, tn_error *e)
{
    if (tensor->kind != TN_OBJECT) {
        tn_json_refuse(tensor, "an object", e);
        return;
    }
    const tn_json *dtype = part(s, tensor, "dtype", TN_STRING, e);
    const tn_json *shape = part(s, tensor, "shape", TN_ARRAY, e);
    const tn_json *offsets = part(s, tensor, "data_offsets", TN_ARRAY, e);
    if (e->code)
        return;
    if (shape->count > TN_FILE_RANK)
        tn_json_refuse(shape, "at most 8 dimensions", e);
    else if (offsets->count != 2)
        tn_json_refuse(offsets, "two offsets", e);
    if (e->code)
        return;
    int64_t at[2];
    const known_type *type = find_type(dtype);
    *t = (tn_entry){ .name = tensor->key, .type = type ? type->type : TN_FILE_OTHER };
    t->ndim = (int)shape->count;
    read_naturals(shape, t->dim, e);
    read_naturals(offsets, at, e);
    if (e->code)
        return;
    size_t room = s->size - s->start;
    if (at[0] > at[1] || (uint64_t)at[1] > room) {
        tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\": data_offsets [%lld,%lld]; expected in [0,%zu]%s",
                s->path, t->name, (long long)at[0], (long long)at[1], room,
                at[0] > at[1] ? "" : cut);
        return;
    }
    t->bytes = s->map + s->start + at[0];
    t->size = (size_t)(at[1] - at[0]);
    check_size(s, t, dtype, e);
}

static void check_metadata(const tn_json *metadata, tn_error *e)
{
    if (metadata->kind != TN_OBJECT && metadata->kind != TN_NULL)
        tn_json_refuse(metadata, "an object", e);
    for (const tn_json *m = metadata->child; m && !e->code; m = m->next)
        if (m->kind != TN_STRING)
            tn_json_refuse(m, "a string", e);
}

static void read_entries(tn_safetensors *s, tn_error *e)
{
    if (s->header->kind != TN_OBJECT) {
        tn_json_refuse(s->header, "an object", e);
        return;
    }
    size_t room = (size_t)s->header->count + 1;
    s->entries = calloc(room, sizeof *s->entries);
    s->by_name = calloc(room, sizeof *s->by_name);
    if (!s->entries || !s->by_name) {
        tn_fail(e, TN_ENOMEM, "%s: no memory for its header", s->path);
        return;
    }
    for (const tn_json *m = s->header->child; m && !e->code; m = m->next) {
        if (!strcmp(m->key, "__metadata__"))
            check_metadata(m, e);
        else
            read_entry(s, m, &s->entries[s->n++], e);
    }
}

static int by_place(const void *a, const void *b)
{
    const tn_entry *x = a, *y = b;
    const unsigned char *p = x->bytes, *q = y->bytes;
    if (p != q)
        return p < q ? -1 : 1;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    const tn_entry *x = *(const tn_entry *const *)a, *y = *(const tn_entry *const *)b;
    return strcmp(x->name, y->name);
}

/* The tensors must fill the file from the header to its end, without a hole or an overlap. */
static void check_places(tn_safetensors *s, tn_error *e)
{
    const unsigned char *data = s->map + s->start;
    size_t end = 0;
    qsort(s->entries, (size_t)s->n, sizeof *s->entries, by_place);
    for (int64_t i = 0; i < s->n && !e->code; i++) {
        const tn_entry *t = &s->entries[i];
        size_t begin = (size_t)((const unsigned char *)t->bytes - data);
        if (begin != end)
            tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" begins at byte %zu; expected %zu, no %s",
                    s->path, t->name, begin, end, begin < end ? "overlap" : "hole");
        end = begin + t->size;
        s->by_name[i] = t;
    }
    if (e->code)
        return;
    if (end != s->size - s->start)
        tn_fail(e, TN_EFORMAT, "%s: the tensors end at byte %zu; expected %zu, the file's end",
                s->path, end, s->size - s->start);
    qsort(s->by_name, (size_t)s->n, sizeof *s->by_name, by_name);
}

static void read_file(tn_safetensors *s, tn_error *e)
{
    uint64_t n;
    s->map = tn_file_map(s->path, sizeof n, SIZE_MAX, &s->size, e);
    if (!s->map)
        return;
    memcpy(&n, s->map, sizeof n);
    if (n > MOST_HEADER || n > s->size - sizeof n) {
        tn_fail(e, TN_EFORMAT, "%s: a header of %llu bytes; expected at most %zu%s", s->path,
                (unsigned long long)n,
                s->size - sizeof n < MOST_HEADER ? s->size - sizeof n : MOST_HEADER,
                n > MOST_HEADER ? "" : cut);
        return;
    }
    s->start = sizeof n + (size_t)n;
    s->header = tn_json_parse((const char *)s->map + sizeof n, (size_t)n, s->path, 0, e);
    if (s->header)
        read_entries(s, e);
    if (!e->code)
        check_places(s, e);
}

tn_safetensors *tn_safetensors_open(const char *path, tn_error *e)
{
    if (tn_given(e, path, __func__))
        return NULL;
    tn_safetensors *s = calloc(1, sizeof *s);
    if (s)
        s->path = strdup(path);
    if (!s || !s->path)
        tn_fail(e, TN_ENOMEM, "%s: no memory to open it", path);
    else
        read_file(s, e);
    if (!e->code)
        return s;
    tn_safetensors_close(s);
    return NULL;
}

void tn_safetensors_close(tn_safetensors *s)
{
    if (!s)
        return;
    if (s->map)
        munmap((void *)s->map, s->size);
    tn_json_free(s->header);
    free(s->by_name);
    free(s->entries);
    free(s->path);
    free(s);
}

const char *tn_safetensors_path(const tn_safetensors *s)
{
    return s ? s->path : NULL;
}

int64_t tn_safetensors_count(const tn_safetensors *s)
{
    return s ? s->n : 0;
}

const tn_entry *tn_safetensors_at(const tn_safetensors *s, int64_t i)
{
    return s && i >= 0 && i < s->n ? &s->entries[i] : NULL;
}

const tn_entry *tn_safetensors_find(const tn_safetensors *s, const char *name)
{
    if (!s || !name)
        return NULL;
    const tn_entry wanted = { .name = name }, *key = &wanted;
    const tn_entry *const *found =
        bsearch(&key, s->by_name, (size_t)s->n, sizeof *s->by_name, by_name);
    return found ? *found : NULL;
}

const char *tn_safetensors_metadata(const tn_safetensors *s, const char *key)
{
    if (!s)
        return NULL;
    const tn_json *v = tn_json_find(tn_json_find(s->header, "__metadata__"), key);
    return v ? v->text : NULL;
}

int64_t tn_entry_count(const tn_entry *entry)
{
    if (!entry)
        return 0;
    int64_t n = 1;
    for (int i = 0; i < entry->ndim; i++)
        n *= entry->dim[i];
    return n;
}

/* The message shows the type as the file has it, because tenon may not know the type. */
static int refuse_type(const tn_safetensors *s, const tn_entry *t, const char *expected,
                       tn_error *e)
{
    const tn_json *dtype = tn_json_find(tn_json_find(s->header, t->name), "dtype");
    return tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" is of type %s; expected %s", s->path, t->name,
                   dtype ? dtype->text : "?", expected);
}

int tn_entry_real(const tn_safetensors *s, const tn_entry *entry, tn_real *out, tn_error *e)
{
    const int missing = tn_given(e, s && entry && out, __func__);
    if (missing)
        return missing;
    switch (entry->type) {
    case TN_FILE_F64:
    case TN_FILE_F32:
    case TN_FILE_F16:
    case TN_FILE_BF16:
        tn_from_file_type(entry->type, entry->bytes, tn_entry_count(entry), out);
        return TN_OK;
    default: return refuse_type(s, entry, "F64, F32, F16 or BF16", e);
    }
}

int tn_entry_int(const tn_safetensors *s, const tn_entry *entry, int32_t *out, tn_error *e)
{
    const int missing = tn_given(e, s && entry && out, __func__);
    if (missing)
        return missing;
    const unsigned char *in = entry->bytes;
    int64_t n = tn_entry_count(entry);
    if (entry->type != TN_FILE_I32 && entry->type != TN_FILE_I64)
        return refuse_type(s, entry, "I32 or I64", e);
    if (entry->type == TN_FILE_I32) {
        if (n)
            memcpy(out, in, (size_t)n * sizeof *out);
        return TN_OK;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t x;
        memcpy(&x, in + 8 * i, sizeof x);
        if (x < INT32_MIN || x > INT32_MAX)
            return tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\": %lld at %lld; expected 32 bits",
                           s->path, entry->name, (long long)x, (long long)i);
        out[i] = (int32_t)x;
    }
    return TN_OK;
}
