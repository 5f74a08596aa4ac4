/* gradients.c - one block of memory for the gradients of many tensors of the caller. */
#include "core/gradients.h"
#include "core/arena.h"

#include <stdlib.h>
#include <string.h>

struct tn_gradients {
    int users;     /* tensors whose gradient is in the block; the last one frees it */
    int64_t count; /* numbers, gaps included */
    tn_real *numbers;
};

/* The numbers of a tensor and the gap after it: the next one begins at a multiple of 64 bytes. */
static int64_t room_of(const tn_tensor *a)
{
    const int64_t line = 64 / (int64_t)sizeof(tn_real);
    return (tn_tensor_count(a) + line - 1) / line * line;
}

/* Atomic, because the tapes that free the last tensors may run on different threads. */
void tn_gradient_free(tn_tensor *a)
{
    struct tn_gradients *b = a->block;
    if (!b) {
        tn_pages_free(a->g, tn_tensor_bytes(a));
    } else if (!__atomic_sub_fetch(&b->users, 1, __ATOMIC_ACQ_REL)) {
        tn_pages_free(b->numbers, (size_t)b->count * sizeof *b->numbers);
        free(b);
    }
    a->g = NULL;
    a->block = NULL;
}

/* Are these the tensors of one block, and all of them? */
static bool are_joined(tn_tensor *const w[], int64_t n, int64_t count)
{
    const struct tn_gradients *b = w[0]->block;
    bool joined = b && b->count == count;
    for (int64_t i = 0; joined && i < n; i++)
        joined = w[i]->block == b;
    return joined;
}

static struct tn_gradients *block_new(int64_t count)
{
    struct tn_gradients *b = malloc(sizeof *b);
    tn_real *numbers = b ? tn_pages_new((size_t)count * sizeof *numbers) : NULL;
    if (!numbers) {
        free(b);
        return NULL;
    }
    *b = (struct tn_gradients){ .count = count, .numbers = numbers };
    return b;
}

int tn_gradients_join(tn_tensor *const w[], int64_t n, tn_real **numbers, int64_t *count)
{
    *count = 0;
    *numbers = NULL;
    for (int64_t i = 0; i < n; i++)
        *count += room_of(w[i]);
    if (!n)
        return 0;
    struct tn_gradients *b = are_joined(w, n, *count) ? w[0]->block : block_new(*count);
    if (!b)
        return TN_ENOMEM;
    *numbers = b->numbers;
    if (b == w[0]->block)
        return 0;
    b->users = (int)n;
    for (int64_t i = 0, at = 0; i < n; at += room_of(w[i++])) {
        if (w[i]->has_grad)
            memcpy(b->numbers + at, w[i]->g, tn_tensor_bytes(w[i]));
        tn_gradient_free(w[i]);
        w[i]->g = b->numbers + at;
        w[i]->block = b;
    }
    return 0;
}
