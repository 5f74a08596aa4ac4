/* norm.c - norms by eight sums side by side. One sum alone would wait for each of its additions. */
#include "optim/algebra/norm.h"

#include <math.h>

double tn_sum_squares(const tn_real *x, int64_t n)
{
    double s[8] = { 0 };
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int l = 0; l < 8; l++)
            s[l] += (double)x[i + l] * (double)x[i + l];
    for (; i < n; i++)
        s[i % 8] += (double)x[i] * (double)x[i];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

double tn_norm(const tn_real *x, int64_t n)
{
    return sqrt(tn_sum_squares(x, n));
}
