/* entry.c - writes the numbers of a tensor into a file, whatever the format of the file.
   They are given as bytes, which are copied, or as numbers, which are converted. */
#include "data/formats/file.h"

size_t tn_file_type_bytes(tn_file_type type, int64_t n)
{
    static const size_t sizes[] = {
#define TN_FILE_TYPE(name, bytes) [TN_FILE_##name] = bytes,
        TN_FILE_TYPES(TN_FILE_TYPE)
#undef TN_FILE_TYPE
    };
    return type <= TN_FILE_BOOL ? (size_t)n * sizes[type] : tn_dtype_bytes(tn_file_dtype(type), n);
}

/* Are there numbers to convert? */
static bool has_numbers(const tn_entry *t)
{
    return !t->bytes && (t->real || (t->tensor && t->tensor->data) || t->fill);
}

bool tn_entry_is_written(const tn_entry *t)
{
    switch (t->type) {
    case TN_FILE_F64:
    case TN_FILE_F32:
    case TN_FILE_F16:
    case TN_FILE_BF16:
    case TN_FILE_Q8_0:
    case TN_FILE_Q4_0: return true;
    default: return !has_numbers(t);
    }
}

bool tn_entry_size(const tn_entry *t, size_t *size)
{
    if (t->ndim < 0 || t->ndim > TN_FILE_RANK)
        return false;
    const bool quantised = t->type > TN_FILE_BOOL;
    const int64_t block = quantised ? tn_dtype_block(tn_file_dtype(t->type)) : 1;
    size_t n = 1;
    if ((t->ndim ? t->dim[t->ndim - 1] : 1) % block)
        return false;
    for (int i = 0; i < t->ndim; i++)
        if (t->dim[i] < 0 || __builtin_mul_overflow(n, (size_t)t->dim[i], &n))
            return false;
    if (n > SIZE_MAX / 16) /* no number has more than 8 bytes */
        return false;
    *size = tn_file_type_bytes(t->type, (int64_t)n);
    if (has_numbers(t) && !t->real && t->tensor && tn_tensor_count(t->tensor) != (int64_t)n)
        return false;
    return t->bytes ? t->size == *size : has_numbers(t) || !*size;
}

const tn_real *tn_entry_part(const tn_entry *t, int64_t from, int64_t *n, tn_real *room)
{
    const int64_t left = (has_numbers(t) ? tn_entry_count(t) : 0) - from;
    *n = left < TN_ENTRY_PART ? left : TN_ENTRY_PART;
    if (!t->real && !t->tensor && *n > 0)
        t->fill(t->arg, from, *n, room);
    else if (!t->real && *n > 0)
        tn_widen(t->tensor->dtype, t->tensor->data, from, *n, room);
    return t->real ? t->real + from : room;
}

void tn_writer_entry(tn_writer *w, const tn_entry *t)
{
    unsigned char buffer[8 * TN_ENTRY_PART];
    tn_real room[TN_ENTRY_PART];
    int64_t n = 0;
    if (t->bytes)
        tn_writer_add(w, t->bytes, t->size);
    for (int64_t done = 0; !w->e->code; done += n) {
        const tn_real *x = tn_entry_part(t, done, &n, room);
        if (n <= 0)
            return;
        tn_to_file_type(t->type, x, n, buffer);
        tn_writer_add(w, buffer, tn_file_type_bytes(t->type, n));
    }
}
