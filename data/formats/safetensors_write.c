/* safetensors_write.c - writes safetensors files: the header, then each tensor.
   The order is that of the format's own library: by type, the widest first, then by name. */
#include "data/formats/file.h"
#include "core/utf8.h"

#include <stdlib.h>
#include <string.h>

static bool is_utf8(const char *s)
{
    uint32_t code;
    for (size_t n = strlen(s), length; n; s += length, n -= length)
        if (!(length = tn_utf8_read(s, n, &code)))
            return false;
    return true;
}

static int check_entry(const tn_entry *t, size_t *size, const char *path, tn_error *e)
{
    if (!is_utf8(t->name) || !strcmp(t->name, "__metadata__"))
        return tn_fail(e, TN_EARG, "%s: tensor \"%s\": not a possible name", path, t->name);
    if ((unsigned)t->type > TN_FILE_BOOL || !tn_entry_is_written(t))
        return tn_fail(e, TN_EARG, "%s: tensor \"%s\": not a type to write", path, t->name);
    if (!tn_entry_size(t, size))
        return tn_fail(e, TN_EARG, "%s: tensor \"%s\": shape and data do not fit", path, t->name);
    return TN_OK;
}

static int in_file_order(const void *a, const void *b)
{
    const tn_entry *x = *(const tn_entry *const *)a, *y = *(const tn_entry *const *)b;
    return x->type != y->type ? (x->type < y->type ? -1 : 1) : strcmp(x->name, y->name);
}

static void add_metadata(tn_text *h, const char *const *metadata)
{
    tn_text_add(h, "\"__metadata__\":{");
    for (int i = 0; metadata[i]; i += 2) {
        tn_text_add(h, i ? "," : "");
        tn_text_quote(h, metadata[i], strlen(metadata[i]));
        tn_text_add(h, ":");
        tn_text_quote(h, metadata[i + 1], strlen(metadata[i + 1]));
    }
    tn_text_add(h, "}");
}

static void add_entry(tn_text *h, const tn_entry *t, size_t begin, size_t end)
{
    tn_text_quote(h, t->name, strlen(t->name));
    tn_text_add(h, ":{\"dtype\":\"%s\",\"shape\":[", tn_file_type_name(t->type));
    for (int i = 0; i < t->ndim; i++)
        tn_text_add(h, "%s%lld", i ? "," : "", (long long)t->dim[i]);
    tn_text_add(h, "],\"data_offsets\":[%zu,%zu]}", begin, end);
}

/* Makes the header, padded so that the data begin at a multiple of eight. Our parser then reads it.
   A header that the parser refuses, such as one with a name twice, is not written. */
static int make_header(tn_text *h, const tn_entry **entries, int64_t n, const char *const *metadata,
                       const char *path, tn_error *e)
{
    size_t end = 0, size = 0;
    tn_text_add(h, "{");
    if (metadata)
        add_metadata(h, metadata);
    for (int64_t i = 0; i < n; i++) {
        size_t begin = end;
        if (check_entry(entries[i], &size, path, e))
            return e->code;
        if (__builtin_add_overflow(end, size, &end))
            return tn_fail(e, TN_EARG, "%s: more data than a file can hold", path);
        tn_text_add(h, h->n > 1 ? "," : "");
        add_entry(h, entries[i], begin, end);
    }
    tn_text_add(h, "}");
    while (h->n % 8 && !h->failed)
        tn_text_add(h, " ");
    const char *header = tn_text_done(h, path, e);
    tn_json_free(header ? tn_json_parse(header, h->n, path, 0, e) : NULL);
    return e->code;
}

int tn_safetensors_write(const char *path, const tn_entry *entries, int64_t n,
                         const char *const *metadata, tn_error *e)
{
    const int missing = tn_given(e, path && (entries || !n), __func__);
    if (missing)
        return missing;
    for (int64_t i = 0; i < n; i++)
        if (!entries[i].name)
            return tn_fail(e, TN_EARG, "%s: tensor %lld has no name", path, (long long)i + 1);
    for (int i = 0; metadata && metadata[i]; i += 2)
        if (!metadata[i + 1])
            return tn_fail(e, TN_EARG, "%s: metadata \"%s\" has no value; expected key, value, ...",
                           path, metadata[i]);
    const tn_entry **sorted = malloc(((size_t)n + 1) * sizeof *sorted);
    if (!sorted)
        return tn_fail(e, TN_ENOMEM, "%s: no memory for the header", path);
    for (int64_t i = 0; i < n; i++)
        sorted[i] = &entries[i];
    qsort(sorted, (size_t)n, sizeof *sorted, in_file_order);
    tn_text header = { 0 };
    if (!make_header(&header, sorted, n, metadata, path, e)) {
        tn_writer w = tn_writer_open(path, e);
        uint64_t size = header.n;
        tn_writer_add(&w, &size, sizeof size);
        tn_writer_add(&w, header.s, header.n);
        for (int64_t i = 0; i < n; i++)
            tn_writer_entry(&w, sorted[i]);
        tn_writer_close(&w);
    }
    tn_text_free(&header);
    free(sorted);
    return e->code;
}
