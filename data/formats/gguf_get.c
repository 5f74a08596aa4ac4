/* gguf_get.c - the values and the tensors of an open GGUF file. */
#include "data/formats/gguf_file.h"
#include "data/formats/file.h"

#include <math.h>
#include <string.h>

const char *tn_gguf_path(const tn_gguf *g)
{
    return g ? g->path : NULL;
}

int64_t tn_gguf_keys(const tn_gguf *g)
{
    return g ? g->n_values : 0;
}

const tn_gguf_value *tn_gguf_key(const tn_gguf *g, int64_t i)
{
    return g && i >= 0 && i < g->n_values ? &g->values[i] : NULL;
}

/* ---- elements ---- */

/* Copies element i of a kind of this size. */
static const void *element(const tn_gguf_value *v, int64_t i, void *out, size_t size)
{
    return memcpy(out, (const char *)v->bytes + (size_t)i * size, size);
}

/* clang-format off */
#define INTEGER(kind, type) \
    case TN_GGUF_##kind: { type x; element(v, i, &x, sizeof x); *out = (int64_t)x; return true; }
/* clang-format on */

bool tn_gguf_int(const tn_gguf_value *v, int64_t i, int64_t *out)
{
    uint64_t natural;
    if (!v || !out || i < 0 || i >= v->count)
        return false;
    switch (v->kind) {
        INTEGER(U8, uint8_t)
        INTEGER(I8, int8_t)
        INTEGER(U16, uint16_t)
        INTEGER(I16, int16_t)
        INTEGER(U32, uint32_t)
        INTEGER(I32, int32_t)
        INTEGER(I64, int64_t)
    case TN_GGUF_U64:
        element(v, i, &natural, sizeof natural);
        if (natural <= INT64_MAX)
            *out = (int64_t)natural;
        return natural <= INT64_MAX;
    default: return false;
    }
}

bool tn_gguf_float(const tn_gguf_value *v, int64_t i, double *out)
{
    int64_t whole;
    float single;
    double x;
    if (!v || !out || i < 0 || i >= v->count)
        return false;
    if (v->kind == TN_GGUF_F32) {
        element(v, i, &single, sizeof single);
        x = (double)single;
    } else if (v->kind == TN_GGUF_F64) {
        element(v, i, &x, sizeof x);
    } else if (tn_gguf_int(v, i, &whole)) {
        x = (double)whole;
    } else {
        return false;
    }
    if (isfinite(x))
        *out = x;
    return isfinite(x);
}

bool tn_gguf_string(const tn_gguf_value *v, size_t *at, tn_span *out)
{
    if (!v || !at || !out || v->kind != TN_GGUF_STRING || *at >= v->size)
        return false;
    uint64_t n;
    const char *s = (const char *)v->bytes + *at;
    memcpy(&n, s, sizeof n);
    *out = (tn_span){ s + sizeof n, (size_t)n };
    *at += sizeof n + (size_t)n;
    return true;
}

/* ---- a key's value ---- */

static void refuse(const tn_gguf *g, const tn_gguf_value *v, const char *expected, tn_error *e)
{
    static const char *const kinds[] = { [TN_GGUF_F32] = "number",
                                         [TN_GGUF_F64] = "number",
                                         [TN_GGUF_BOOL] = "boolean",
                                         [TN_GGUF_STRING] = "string" };
    const char *kind = kinds[v->kind] ? kinds[v->kind] : "integer";
    if (v->array)
        tn_fail(e, TN_EFORMAT, "%s: %s is an array of %lld %ss; expected %s", g->path, v->key,
                (long long)v->count, kind, expected);
    else
        tn_fail(e, TN_EFORMAT, "%s: %s is %s %s; expected %s", g->path, v->key,
                *kind == 'i' ? "an" : "a", kind, expected);
}

/* The value of a key that is given, or NULL: then nothing is to be done. */
static const tn_gguf_value *given(const tn_gguf *g, const char *key, const void *out,
                                  const char *function, tn_error *e)
{
    return tn_given(e, g && key && out, function) ? NULL : tn_gguf_value_of(g, key);
}

void tn_gguf_get_int(const tn_gguf *g, const char *key, int64_t *value, tn_error *e)
{
    const tn_gguf_value *v = given(g, key, value, __func__, e);
    if (v && (v->array || !tn_gguf_int(v, 0, value)))
        refuse(g, v, "an integer below 2^63", e);
}

void tn_gguf_get_real(const tn_gguf *g, const char *key, double *value, tn_error *e)
{
    const tn_gguf_value *v = given(g, key, value, __func__, e);
    if (v && (v->array || !tn_gguf_float(v, 0, value)))
        refuse(g, v, "a finite number", e);
}

void tn_gguf_get_bool(const tn_gguf *g, const char *key, bool *value, tn_error *e)
{
    const tn_gguf_value *v = given(g, key, value, __func__, e);
    if (v && (v->array || v->kind != TN_GGUF_BOOL))
        refuse(g, v, "a boolean", e);
    else if (v)
        *value = *(const unsigned char *)v->bytes != 0;
}

void tn_gguf_get_string(const tn_gguf *g, const char *key, const char **value, tn_error *e)
{
    const tn_gguf_value *v = given(g, key, value, __func__, e);
    const char *text = v ? g->texts[v - g->values] : NULL;
    if (v && !text)
        refuse(g, v, "a string of UTF-8 without zero bytes", e);
    else if (v)
        *value = text;
}

/* ---- tensors ---- */

int64_t tn_gguf_count(const tn_gguf *g)
{
    return g ? g->n : 0;
}

const tn_entry *tn_gguf_at(const tn_gguf *g, int64_t i)
{
    return g && i >= 0 && i < g->n ? &g->tensors[i].entry : NULL;
}

int64_t tn_gguf_index(const tn_gguf *g, const tn_entry *entry)
{
    if (!g || !entry || tn_gguf_find(g, entry->name) != entry)
        return -1;
    return (const tn_gguf_tensor *)entry - g->tensors;
}

const char *tn_gguf_type(const tn_gguf *g, const tn_entry *entry)
{
    const int64_t i = tn_gguf_index(g, entry);
    return i < 0 ? NULL : g->tensors[i].layout->name;
}

int tn_gguf_real(const tn_gguf *g, const tn_entry *entry, tn_real *out, tn_error *e)
{
    const int missing = tn_given(e, g && entry && out, __func__);
    if (missing)
        return missing;
    const char *type = tn_gguf_type(g, entry);
    if (!type)
        return tn_fail(e, TN_EARG, "%s: the tensor is not of this file", g->path);
    if (entry->type != TN_FILE_F32 && entry->type != TN_FILE_F64 &&
        (tn_file_dtype(entry->type) == TN_DTYPES))
        return tn_fail(
            e, TN_EFORMAT,
            "%s: tensor \"%s\" is of type %s; expected F32, F16, BF16, Q8_0, Q4_0, Q4_1, "
            "Q5_0, Q5_1, Q4_K, Q5_K or Q6_K",
            g->path, entry->name, type);
    tn_from_file_type(entry->type, entry->bytes, tn_entry_count(entry), out);
    return TN_OK;
}
