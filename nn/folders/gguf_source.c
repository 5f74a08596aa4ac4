/* gguf_source.c - the tensors of a GGUF file as the weights of a Hugging Face folder.
   A GGUF file has them under other names (gguf_names.c), and some of them in another form:

   rows        llama, smollm3: the rows of a head of q and k are 0, D/2, 1, D/2 + 1, ... of ours, because rope
               turns neighbours there and halves here
   transposed  gpt2: matrices of a block are (out,in) there and (in,out) here
   one less    gemma: norms multiply by w there and by 1 + w here

   Source: convert_hf_to_gguf.py of ggml-org/llama.cpp. */
#include "nn/folders/gguf_model.h"
#include "core/op.h"
#include "data/formats/file.h"

#include <stdlib.h>
#include <string.h>

typedef struct gguf_weights {
    tn_source source; /* the first member */
    tn_gguf *g;
    const char *architecture;
    int64_t heads, kv_heads;
    void **rows; /* of each tensor: its bytes in our order; NULL: they were not needed */
} gguf_weights;

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

int64_t tn_gguf_heads_of(const char *name, int64_t heads, int64_t kv_heads)
{
    const char *part = strncmp(name, "blk.", 4) ? NULL : strchr(name + 4, '.');
    if (!part)
        return 0;
    if (!strncmp(part, ".attn_q.", 8))
        return heads;
    return !strncmp(part, ".attn_k.", 8) ? kv_heads : 0;
}

tn_gguf_form tn_gguf_form_of(const char *architecture, const char *name, int ndim, int64_t rows,
                             int64_t heads)
{
    const bool turns_neighbours =
        !strcmp(architecture, "llama") || !strcmp(architecture, "smollm3");
    if (turns_neighbours && heads > 0 && ndim >= 1 && rows % (2 * heads) == 0)
        return TN_GGUF_ROWS;
    if (!strcmp(architecture, "gpt2") && ndim == 2 && !strncmp(name, "blk.", 4))
        return TN_GGUF_TRANSPOSED;
    if (!strncmp(architecture, "gemma", 5) && ends_with(name, "norm.weight"))
        return TN_GGUF_ONE_LESS;
    return TN_GGUF_AS_IT_IS;
}

static int64_t heads_of(const gguf_weights *w, const char *name)
{
    return tn_gguf_heads_of(name, w->heads, w->kv_heads);
}

static tn_gguf_form form_of(const gguf_weights *w, const tn_entry *t)
{
    return tn_gguf_form_of(w->architecture, t->name, t->ndim, t->dim[0], heads_of(w, t->name));
}

static void describe(const gguf_weights *w, int64_t index, tn_stored *out)
{
    const tn_entry *t = tn_gguf_at(w->g, index);
    const tn_gguf_form form = form_of(w, t);
    *out = (tn_stored){ .path = tn_gguf_path(w->g),
                        .name = t->name,
                        .index = index,
                        .type = form <= TN_GGUF_ROWS ? tn_file_dtype(t->type) : TN_DTYPES,
                        .ndim = t->ndim,
                        .bytes = form == TN_GGUF_AS_IT_IS ? t->bytes : NULL,
                        .size = t->size,
                        .entry = t };
    memcpy(out->dim, t->dim, sizeof out->dim);
    if (form == TN_GGUF_TRANSPOSED) {
        out->dim[0] = t->dim[1];
        out->dim[1] = t->dim[0];
    }
}

static void stored_at(const tn_source *s, int64_t index, tn_stored *out)
{
    describe((const gguf_weights *)s, index, out);
}

static bool find_stored(const tn_source *s, const char *name, tn_stored *out)
{
    const gguf_weights *w = (const gguf_weights *)s;
    char theirs[TN_GGUF_NAME];
    if (!tn_gguf_name(w->architecture, name, theirs))
        return false;
    const int64_t i = tn_gguf_index(w->g, tn_gguf_find(w->g, theirs));
    if (i >= 0)
        describe(w, i, out);
    return i >= 0;
}

/* No two names of weights are one in the file. */
static bool fits(const tn_source *s, const tn_stored *t, const char *name)
{
    (void)s, (void)t, (void)name;
    return false;
}

/* The frequencies of rope are in the config. */
static bool ignores(const tn_source *s, const tn_stored *t)
{
    (void)s;
    return !strcmp(t->name, "rope_freqs.weight");
}

/* ---- numbers ---- */

/* The numbers [from, from + n) of a tensor as they are in the file; in a quantised type both are
   multiples of 32. */
static void widen(const tn_entry *t, int64_t from, int64_t n, tn_real *out)
{
    if (t->type == TN_FILE_F32 || t->type == TN_FILE_F64)
        tn_from_file_type(t->type, (const char *)t->bytes + tn_file_type_bytes(t->type, from), n,
                          out);
    else
        tn_widen(tn_file_dtype(t->type), t->bytes, from, n, out);
}

/* The row of the file that is row r of ours. */
static int64_t row_there(const gguf_weights *w, const tn_entry *t, int64_t r)
{
    const int64_t size = t->dim[0] / heads_of(w, t->name), i = r % size;
    return r - i + i % (size / 2) * 2 + i / (size / 2);
}

static void read_rows(const gguf_weights *w, const tn_entry *t, int64_t from, int64_t n,
                      tn_real *out)
{
    const int64_t width = t->ndim == 2 ? t->dim[1] : 1;
    for (int64_t part; n; from += part, out += part, n -= part) {
        const int64_t r = from / width, at = from % width;
        part = width - at < n ? width - at : n;
        widen(t, row_there(w, t, r) * width + at, part, out);
    }
}

static void read_transposed(const tn_entry *t, int64_t from, int64_t n, tn_real *out)
{
    const int64_t rows = t->dim[0], width = t->dim[1];
    const int64_t run = tn_dtype_block(tn_file_dtype(t->type)) > 1 ? 32 : 1;
    tn_real few[32];
    for (int64_t i = 0; i < n; i++) {
        const int64_t place = (from + i) % rows * width + (from + i) / rows;
        widen(t, place - place % run, run, few);
        out[i] = few[place % run];
    }
}

static int read_stored(const tn_source *s, const tn_stored *stored, int64_t from, int64_t n,
                       tn_real *out, tn_error *e)
{
    const gguf_weights *w = (const gguf_weights *)s;
    const tn_entry *t = stored->entry;
    tn_real none[1];
    if (t->type != TN_FILE_F32 && t->type != TN_FILE_F64 && tn_file_dtype(t->type) == TN_DTYPES)
        return tn_gguf_real(w->g, t, none, e); /* it refuses this type */
    switch (form_of(w, t)) {
    case TN_GGUF_ROWS: read_rows(w, t, from, n, out); break;
    case TN_GGUF_TRANSPOSED: read_transposed(t, from, n, out); break;
    default: widen(t, from, n, out);
    }
    for (int64_t i = 0; form_of(w, t) == TN_GGUF_ONE_LESS && i < n; i++)
        out[i] -= 1;
    return e->code;
}

/* The bytes of a tensor whose rows are moved: whole rows, so that no number is rounded again. */
static const void *arrange(tn_source *s, const tn_stored *stored)
{
    gguf_weights *w = (gguf_weights *)s;
    const tn_entry *t = stored->entry;
    char *bytes = w->rows[stored->index];
    if (bytes)
        return bytes;
    bytes = w->rows[stored->index] = malloc(t->size + 1);
    const size_t each = t->size / (size_t)t->dim[0];
    for (int64_t r = 0; bytes && r < t->dim[0]; r++)
        memcpy(bytes + (size_t)r * each, (const char *)t->bytes + (size_t)row_there(w, t, r) * each,
               each);
    return bytes;
}

/* ---- the file ---- */

static void close_gguf(tn_source *s)
{
    gguf_weights *w = (gguf_weights *)s;
    for (int64_t i = 0; w->rows && i < s->count; i++)
        free(w->rows[i]);
    free(w->rows);
    tn_gguf_close(w->g);
    free(w);
}

tn_source *tn_gguf_source(const char *path, const tn_json **config, tn_error *e)
{
    gguf_weights *w = malloc(sizeof *w);
    if (!w) {
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
        return NULL;
    }
    *w = (gguf_weights){ .g = tn_gguf_open(path, e),
                         .architecture = "",
                         .source = { .at = stored_at,
                                     .find = find_stored,
                                     .fits = fits,
                                     .ignores = ignores,
                                     .read = read_stored,
                                     .arrange = arrange,
                                     .free = close_gguf } };
    w->source.count = tn_gguf_count(w->g);
    w->rows = calloc((size_t)w->source.count + 1, sizeof *w->rows);
    if (!w->rows)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    *config = e->code ? NULL : tn_gguf_config(w->g, e);
    if (*config) {
        tn_gguf_get_string(w->g, "general.architecture", &w->architecture, e);
        tn_json_get_int(*config, "num_attention_heads", &w->heads, e);
        tn_json_get_int(*config, "num_key_value_heads", &w->kv_heads, e);
    }
    if (!tn_source_start(&w->source, e))
        return &w->source;
    tn_source_drop(&w->source);
    return NULL;
}
