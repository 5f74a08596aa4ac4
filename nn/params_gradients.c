/* params_gradients.c - the gradients of a set of weights: cleared, and put into one array. */
#include "core/gradients.h"
#include "nn/model.h"

#include <stdlib.h>
#include <string.h>

void tn_params_clear(tn_params *p)
{
    if (!p)
        return;
    for (int64_t i = 0; i < tn_params_count(p); i++)
        tn_params_at(p, i)->w->has_grad = false;
}

static bool has_memory(const tn_tensor *w)
{
    return w->wants_grad && w->g;
}

int tn_params_join(tn_params *p, tn_real **numbers, int64_t *count)
{
    tn_tensor **w = malloc((size_t)(tn_params_count(p) + 1) * sizeof *w);
    if (!w)
        return TN_ENOMEM;
    int64_t n = 0;
    for (int64_t i = 0; i < tn_params_count(p); i++)
        if (has_memory(tn_params_at(p, i)->w))
            w[n++] = tn_params_at(p, i)->w;
    const int code = tn_gradients_join(w, n, numbers, count);
    free(w);
    return code;
}

tn_real *tn_params_gradients(tn_params *p, int64_t *count, tn_error *e)
{
    tn_real *numbers = NULL;
    if (tn_given(e, p && count, __func__))
        return NULL;
    if (tn_params_is_sketch(p))
        return tn_fail(e, TN_ESTATE, "a sketch has no gradients; expected params with numbers"),
               NULL;
    if (tn_params_join(p, &numbers, count)) {
        tn_fail(e, TN_ENOMEM, "out of memory for the gradients");
        return NULL;
    }
    for (int64_t i = 0; i < tn_params_count(p); i++) {
        const tn_tensor *w = tn_params_at(p, i)->w;
        if (has_memory(w) && !w->has_grad)
            memset(w->g, 0, tn_tensor_bytes(w));
    }
    return numbers;
}
