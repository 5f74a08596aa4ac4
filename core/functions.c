/* functions.c - exp, log, cos, erf and erfc in double. They only add, multiply and divide.
   The functions of libm give other bits on a CPU with a fused multiply-add (glibc 2.36). Initial
   weights and cosine schedules are made with these functions, and must be the same on every CPU. */
#include "core/core.h"

#include <math.h>
#include <string.h>

static double from_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* exp(x) = 2^k exp(r), |r| <= ln(2)/2; exp(r) by its Taylor series to r^13 / 13! (< 1e-17). */
double tn_exp_of(double x)
{
    if (!(x > -745.2))
        return x != x ? x : 0;
    if (x > 709.79)
        return INFINITY;
    double k = floor(x * 1.4426950408889634 + 0.5);
    double r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
    double sum = 1;
    for (int i = 13; i >= 1; i--)
        sum = 1 + sum * r / i;
    int half = (int)k / 2, rest = (int)k - half;
    return sum * from_bits((uint64_t)(half + 1023) << 52) *
           from_bits((uint64_t)(rest + 1023) << 52);
}

/* log(x) = e ln(2) + 2 atanh(z), z = (m-1)/(m+1), x = m 2^e, sqrt(1/2) <= m < sqrt(2). */
double tn_log_of(double x)
{
    if (!(x > 0))
        return x == 0 ? -INFINITY : NAN;
    if (x == INFINITY)
        return x;
    int e;
    double m = frexp(x, &e);
    if (m < 0.7071067811865476) {
        m *= 2;
        e--;
    }
    double z = (m - 1) / (m + 1), q = z * z, sum = 0;
    for (int i = 21; i >= 3; i -= 2)
        sum = (sum + 1.0 / i) * q;
    return e * 6.93147180369123816490e-01 + (2 * (z + z * sum) + e * 1.90821492927058770002e-10);
}

/* cos(x) with x = k pi/2 + r, |r| <= pi/4; cos(r) and sin(r) by their Taylor series (< 1e-17). */
double tn_cos_of(double x)
{
    double k = floor(x * 0.6366197723675814 + 0.5);
    double r = ((x - k * 1.57079632673412561417) - k * 6.07710050630396597660e-11) -
               k * 2.02226624879595063154e-21;
    double q = -r * r, c = 1, s = 1;
    for (int i = 18; i >= 2; i -= 2) {
        c = 1 + c * q / (i * (i - 1));
        s = 1 + s * q / (i * (i + 1));
    }
    switch ((int64_t)k & 3) {
    case 0: return c;
    case 1: return -(s * r);
    case 2: return -c;
    default: return s * r;
    }
}

/* Abramowitz and Stegun, 7.1.6 and 7.1.14. For 0 <= z < 2, all terms positive,
       erf(z) = 2/sqrt(pi) e^(-z^2) (z + 2 z^3/3 + 4 z^5/(3 5) + 8 z^7/(3 5 7) + ...),
   and from 2 on
       erfc(z) = 1/sqrt(pi) e^(-z^2) / (z + (1/2)/(z + (2/2)/(z + (3/2)/(z + ...)))). */
static double erf_below_2(double z)
{
    double twice = 2 * z * z, sum = 1;
    for (int n = 40; n >= 1; n--)
        sum = 1 + sum * twice / (2 * n + 1);
    return 1.1283791670955126 * z * tn_exp_of(-z * z) * sum;
}

static double erfc_from_2(double z)
{
    double below = z;
    for (int n = 40; n >= 1; n--)
        below = z + 0.5 * n / below;
    return 0.5641895835477563 * tn_exp_of(-z * z) / below;
}

double tn_erf_of(double x)
{
    double z = fabs(x), up = z < 2 ? erf_below_2(z) : 1 - erfc_from_2(z);
    return x < 0 ? -up : up;
}

double tn_erfc_of(double x)
{
    return x < 2 ? 1 - tn_erf_of(x) : erfc_from_2(x);
}

double tn_power_of(double x, int64_t n)
{
    double base = n < 0 ? 1 / x : x, result = 1;
    for (uint64_t k = n < 0 ? -(uint64_t)n : (uint64_t)n; k; k >>= 1) {
        if (k & 1)
            result *= base;
        base *= base;
    }
    return result;
}
