/* types.c - sizes, names and values of the element types, from the table types.def. */
#include "core/kernels/kernels.h"
#include "core/tape.h"

typedef struct type_row {
    const char *name;
    int64_t numbers;
    size_t bytes;
} type_row;

static const type_row types[TN_DTYPES] = {
#define TN_TYPE(type, text, numbers, bytes, how) { text, numbers, bytes },
#include "core/types.def"
#undef TN_TYPE
};

static bool is_known(tn_dtype type)
{
    return (unsigned)type < TN_DTYPES;
}

const char *tn_dtype_name(tn_dtype type)
{
    return is_known(type) ? types[type].name : "unknown type";
}

int64_t tn_dtype_block(tn_dtype type)
{
    return is_known(type) ? types[type].numbers : 0;
}

size_t tn_dtype_bytes(tn_dtype type, int64_t count)
{
    if (!is_known(type) || count < 0 || count % types[type].numbers)
        return 0;
    return (size_t)(count / types[type].numbers) * types[type].bytes;
}

size_t tn_tensor_bytes(const tn_tensor *a)
{
    return a ? tn_dtype_bytes(a->dtype, tn_tensor_count(a)) : 0;
}

bool tn_dtype_takes(tn_dtype type, int ndim, const int64_t dim[])
{
    return is_known(type) && tn_shape_is_sane(ndim, dim) &&
           dim[ndim - 1] % types[type].numbers == 0;
}

int tn_widen(tn_dtype type, const void *bytes, int64_t from, int64_t n, tn_real *to)
{
    if (!bytes || !to || !is_known(type) || from < 0 || n < 0)
        return TN_EARG;
    if (types[type].numbers > 1 && (from % TN_RUN || n % TN_RUN))
        return TN_EARG;
    tn_kernels_scalar.widen(type, bytes, from, n, to);
    return 0;
}
