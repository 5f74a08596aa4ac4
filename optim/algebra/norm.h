/* norm.h - the norm of a weight or a gradient. Internal header. */
#ifndef TN_NORM_H
#define TN_NORM_H

#include "core/core.h"

/* Sum of squares, in double and in a fixed order. 0 for n = 0. */
double tn_sum_squares(const tn_real *x, int64_t n);
double tn_norm(const tn_real *x, int64_t n); /* its root */

#endif
