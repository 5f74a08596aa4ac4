/* arrays.c - exp, log, tanh and sigmoid of arrays (op.h), with the kernels of the ops. */
#include "core/ops/ops.h"

static void over_array(tn_formula *f, int64_t n, const tn_real *x, tn_real *y)
{
    f(n, &(tn_elements){ .in = { x, x, x }, .dy = x }, 0, y);
}

void tn_exp_array(const tn_context *c, int64_t n, const tn_real *x, tn_real *y)
{
    if (c && x && y)
        over_array(tn_kernels_of(c)->formulas->exp.y, n, x, y);
}

void tn_log_array(const tn_context *c, int64_t n, const tn_real *x, tn_real *y)
{
    if (c && x && y)
        over_array(tn_kernels_of(c)->formulas->log.y, n, x, y);
}

void tn_tanh_array(const tn_context *c, int64_t n, const tn_real *x, tn_real *y)
{
    if (c && x && y)
        over_array(tn_kernels_of(c)->formulas->tanh.y, n, x, y);
}

void tn_sigmoid_array(const tn_context *c, int64_t n, const tn_real *x, tn_real *y)
{
    if (c && x && y)
        over_array(tn_kernels_of(c)->formulas->sigmoid.y, n, x, y);
}
