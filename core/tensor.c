/* tensor.c - tensors that belong to the caller; shapes, counts and their text. */
#include "core/gradients.h"
#include "core/tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t tn_tensor_count(const tn_tensor *a)
{
    return a ? a->dim[0] * a->dim[1] * a->dim[2] * a->dim[3] : 0;
}

int64_t tn_cols(const tn_tensor *a)
{
    return a ? a->dim[a->ndim - 1] : 0;
}

int64_t tn_rows(const tn_tensor *a)
{
    return a ? tn_tensor_count(a) / tn_cols(a) : 0;
}

bool tn_same_shape(const tn_tensor *a, const tn_tensor *b)
{
    bool same = a && b && a->ndim == b->ndim;
    for (int i = 0; same && i < TN_MAX_NDIM; i++)
        same = a->dim[i] == b->dim[i];
    return same;
}

void tn_shape_copy(tn_tensor *out, int ndim, const int64_t dim[])
{
    out->ndim = ndim;
    for (int i = 0; i < TN_MAX_NDIM; i++)
        out->dim[i] = i < ndim ? dim[i] : 1;
}

void tn_shape_of(tn_tensor *out, int ndim, int64_t d0, int64_t d1, int64_t d2, int64_t d3)
{
    if (out)
        tn_shape_copy(out, ndim, (int64_t[]){ d0, d1, d2, d3 });
}

void tn_like(tn_tensor *out, const tn_tensor *a)
{
    if (a)
        tn_shape_of(out, a->ndim, a->dim[0], a->dim[1], a->dim[2], a->dim[3]);
}

char *tn_tensor_shape(const tn_tensor *a, char *out)
{
    return a ? tn_shape_text(a->ndim, a->dim, out, 64) : NULL;
}

char *tn_shape_text(int ndim, const int64_t dim[], char *out, size_t room)
{
    if (!dim || !out)
        return NULL;
    size_t n = (size_t)snprintf(out, room, "(");
    for (int i = 0; i < ndim && n < room; i++)
        n += (size_t)snprintf(out + n, room - n, "%s%lld", i ? "," : "", (long long)dim[i]);
    if (n < room)
        snprintf(out + n, room - n, ")");
    return out;
}

bool tn_shape_is_sane(int ndim, const int64_t dim[])
{
    int64_t count = 1, most = (int64_t)1 << 40;
    if (!dim || ndim < 1 || ndim > TN_MAX_NDIM)
        return false;
    for (int i = 0; i < ndim; i++) {
        if (dim[i] < 1 || dim[i] > most / count)
            return false;
        count *= dim[i];
    }
    return true;
}

/* The system gives addresses for more memory than it has, and kills the process that uses them. So
   a large tensor is compared with the memory that is available. This takes 0.1 ms, so small tensors
   are not compared. */
static bool fits_memory(size_t bytes)
{
    const size_t large = 64 << 20;
    return bytes < large || bytes <= tn_memory_room();
}

tn_tensor *tn_tensor_sketch(tn_dtype dtype, int ndim, const int64_t dim[], bool wants_grad)
{
    tn_tensor *a = tn_dtype_takes(dtype, ndim, dim) ? calloc(1, sizeof *a) : NULL;
    if (!a)
        return NULL;
    *a = (tn_tensor){
        .dtype = dtype, .self = a, .users = 1, .wants_grad = wants_grad && dtype == TN_REAL
    };
    tn_shape_copy(a, ndim, dim);
    return a;
}

tn_tensor *tn_tensor_new(tn_dtype dtype, int ndim, const int64_t dim[], bool wants_grad)
{
    tn_tensor *a = tn_tensor_sketch(dtype, ndim, dim, wants_grad);
    if (!a)
        return NULL;
    if (fits_memory((a->wants_grad ? 2 : 1) * tn_tensor_bytes(a)))
        a->data = tn_pages_new(tn_tensor_bytes(a));
    if (a->data && a->wants_grad)
        a->g = tn_pages_new(tn_tensor_bytes(a));
    if (!a->data || (a->wants_grad && !a->g)) {
        tn_tensor_free(a);
        return NULL;
    }
    return a;
}

/* Ops read these types as they lie; the others are read byte by byte. */
static bool must_move(tn_dtype dtype, const void *bytes)
{
    return (dtype == TN_REAL && (uintptr_t)bytes % _Alignof(tn_real)) ||
           (dtype == TN_I32 && (uintptr_t)bytes % _Alignof(int32_t));
}

static void no_release(void *arg)
{
    (void)arg;
}

tn_tensor *tn_tensor_borrow(tn_dtype dtype, int ndim, const int64_t dim[], const void *bytes,
                            size_t size, void (*release)(void *arg), void *arg)
{
    tn_tensor *a = bytes ? tn_tensor_sketch(dtype, ndim, dim, false) : NULL;
    if (!a || tn_tensor_bytes(a) != size) {
        tn_tensor_free(a);
        return NULL;
    }
    if (must_move(dtype, bytes)) {
        tn_tensor_free(a);
        a = tn_tensor_new(dtype, ndim, dim, false);
        if (a)
            memcpy(a->data, bytes, size);
        if (a && release)
            release(arg);
        return a;
    }
    a->data = (void *)(uintptr_t)bytes; /* never written */
    a->release = release ? release : no_release;
    a->arg = arg;
    return a;
}

static void free_values(tn_tensor *a)
{
    if (a->release)
        a->release(a->arg);
    else
        tn_pages_free(a->data, tn_tensor_bytes(a));
}

bool tn_tensor_own(tn_tensor *a)
{
    if (!a->release && a->dtype == TN_REAL)
        return true;
    const int64_t n = tn_tensor_count(a);
    const size_t bytes = (size_t)n * sizeof *a->x;
    tn_real *x = fits_memory(bytes) ? tn_pages_new(bytes) : NULL;
    if (!x)
        return false;
    tn_widen(a->dtype, a->data, 0, n, x);
    free_values(a);
    a->dtype = TN_REAL;
    a->x = x;
    a->release = NULL;
    return true;
}

/* Was it made by tn_tensor_new or tn_tensor_borrow? A copy of such a struct was not. */
static bool is_callers(const tn_tensor *a)
{
    return a->self == a && !a->tape;
}

void tn_tensor_freeze(tn_tensor *a)
{
    if (!a)
        return;
    a->wants_grad = false;
    if (!is_callers(a))
        return;
    tn_gradient_free(a);
    a->has_grad = false;
}

void tn_tensor_free(tn_tensor *a)
{
    if (a && is_callers(a))
        tn_tensor_release(a);
}

/* Atomic, because two contexts on two threads may use the same frozen weights. */
bool tn_tensor_hold(tn_tensor *a)
{
    if (!is_callers(a))
        return false;
    __atomic_add_fetch(&a->users, 1, __ATOMIC_RELAXED);
    return true;
}

void tn_tensor_release(tn_tensor *a)
{
    if (__atomic_sub_fetch(&a->users, 1, __ATOMIC_ACQ_REL))
        return;
    tn_tensor_freeze(a);
    free_values(a);
    free(a);
}
