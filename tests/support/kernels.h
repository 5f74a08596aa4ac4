/* kernels.h - for tests of kernels: the instruction sets, and activations in long double. */
#ifndef TN_TESTS_KERNELS_H
#define TN_TESTS_KERNELS_H

#include "core/kernels/kernels.h"
#include "tests/support/tests.h"

#include <math.h>

/* How many tn_isas there are. */
enum {
    ISAS = 0
#define ISA(name) +1
#include "core/kernels/isas.def"
#undef ISA
};

/* The result, and the gradient, of a formula with one operand. */
static inline void result_of(const tn_formulas *f, int64_t n, const tn_real *x, tn_real *y)
{
    f->y(n, &(tn_elements){ .in = { x, x, x }, .dy = x }, 0, y);
}

static inline void gradient_of(const tn_formulas *f, int64_t n, const tn_real *x, const tn_real *dy,
                               tn_real beta, tn_real *dx)
{
    f->dx[0](n, &(tn_elements){ .in = { x, x, x }, .dy = dy }, beta, dx);
}

static inline long double gelu_of(long double x)
{
    const long double root = 0.797884560802865355879892119868763737L; /* sqrt(2/pi) */
    return x / 2 * (1 + tanhl(root * (x + 0.044715L * x * x * x)));
}

static inline long double gelu_slope_of(long double x)
{
    const long double root = 0.797884560802865355879892119868763737L;
    long double t = tanhl(root * (x + 0.044715L * x * x * x));
    return (1 + t) / 2 + x / 2 * (1 - t * t) * root * (1 + 3 * 0.044715L * x * x);
}

static inline long double gelu_erf_of(long double x)
{
    return x / 2 * erfcl(-x * 0.707106781186547524400844362104849039L);
}

static inline long double gelu_erf_slope_of(long double x)
{
    return erfcl(-x * 0.707106781186547524400844362104849039L) / 2 +
           x * expl(-x * x / 2) * 0.398942280401432677939946059934381868L;
}

static inline long double silu_of(long double x)
{
    return x / (1 + expl(-x));
}

static inline long double silu_slope_of(long double x)
{
    long double s = 1 / (1 + expl(-x));
    return s + x * s / (1 + expl(x));
}

#endif
