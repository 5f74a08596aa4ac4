/* ending.c - compares the end token's row of the head with other rows (ending.h). */
#include "apps/run/ending.h"

#include <math.h>
#include <stdlib.h>

static double dot(int64_t n, const tn_real *x, const tn_real *y)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

/* The first of up to 256 tokens, evenly spread, whose row has a cosine above 0.999 with that of
   `end`; -1: none. x: room for two rows. */
static int64_t like(const tn_tensor *head, int32_t end, tn_real *x)
{
    enum { MOST = 256 };
    const int64_t rows = head->dim[0], n = head->dim[1], step = (rows + MOST - 1) / MOST;
    tn_widen(head->dtype, head->data, end * n, n, x);
    const double own = dot(n, x, x);
    for (int64_t i = 0; i < rows; i += step) {
        tn_widen(head->dtype, head->data, i * n, n, x + n);
        if (i != end && dot(n, x, x + n) > 0.999 * sqrt(own * dot(n, x + n, x + n)))
            return i;
    }
    return -1;
}

ending ending_of(const setup *s, int64_t *other, tn_error *e)
{
    const tn_tensor *head = s->model->head;
    const int32_t end = tn_tokenizer_end(s->tokenizer);
    *other = -1;
    if (end < 0)
        return ENDING_NONE;
    if (s->sketch || head->wants_grad || s->model->output.lora || end >= head->dim[0] || e->code)
        return ENDING_LEARNT;
    tn_real *x = malloc(2 * (size_t)head->dim[1] * sizeof *x);
    if (x)
        *other = like(head, end, x);
    else
        tn_fail(e, TN_ENOMEM, "a row of the head: out of memory");
    free(x);
    return *other < 0 ? ENDING_LEARNT : ENDING_LIKE_OTHERS;
}
