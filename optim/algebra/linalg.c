/* linalg.c - small dense matrices (r,r): products, eigenvalues, inverse roots.
   Eigenvalues come from Householder's tridiagonal form and implicit QL steps (Dubrulle, Martin and
   Wilkinson 1968; Golub and Van Loan, Matrix Computations, 8.3). They take 2.5 us at r = 8, where
   Jacobi's method takes 6, and 0.3 ms at r = 64 instead of 2. tall.c has the tall matrices. */
#include "optim/algebra/linalg.h"

#include <float.h>
#include <math.h>
#include <string.h>

void tn_small_ab(int64_t r, const double *restrict a, const double *restrict b,
                 double *restrict out)
{
    memset(out, 0, (size_t)(r * r) * sizeof *out);
    for (int64_t i = 0; i < r; i++)
        for (int64_t k = 0; k < r; k++)
            for (int64_t j = 0; j < r; j++)
                out[i * r + j] += a[i * r + k] * b[k * r + j];
}

void tn_small_atb(int64_t r, const double *restrict a, const double *restrict b,
                  double *restrict out)
{
    memset(out, 0, (size_t)(r * r) * sizeof *out);
    for (int64_t k = 0; k < r; k++)
        for (int64_t i = 0; i < r; i++)
            for (int64_t j = 0; j < r; j++)
                out[i * r + j] += a[k * r + i] * b[k * r + j];
}

void tn_small_abt(int64_t r, const double *restrict a, const double *restrict b,
                  double *restrict out)
{
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++) {
            double sum = 0;
            for (int64_t k = 0; k < r; k++)
                sum += a[i * r + k] * b[j * r + k];
            out[i * r + j] = sum;
        }
}

void tn_small_symmetric(int64_t r, double *a)
{
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < i; j++)
            a[i * r + j] = a[j * r + i] = 0.5 * (a[i * r + j] + a[j * r + i]);
}

void tn_small_diagonal(int64_t r, double d, double *out)
{
    for (int64_t j = 0; j < r * r; j++)
        out[j] = j % (r + 1) ? 0 : d;
}

void tn_small_scale(int64_t r, double by, double *a)
{
    for (int64_t j = 0; j < r * r; j++)
        a[j] *= by;
}

double tn_small_trace(int64_t r, const double *a)
{
    double sum = 0;
    for (int64_t i = 0; i < r; i++)
        sum += a[i * r + i];
    return sum;
}

/* The largest entry is near 1, so entries with a smaller square count as zero. Without this limit,
   2 / (the square) below could overflow. */
static const double least_square = 1e-290;

/* e = (1 - beta v v^T) e. v is zero before `from`. sums: r doubles. */
static void reflect(int64_t r, int64_t from, double beta, const double *restrict v,
                    double *restrict sums, double *restrict e)
{
    memset(sums, 0, (size_t)r * sizeof *sums);
    for (int64_t i = from; i < r; i++)
        for (int64_t j = 0; j < r; j++)
            sums[j] += v[i] * e[i * r + j];
    for (int64_t i = from; i < r; i++)
        for (int64_t j = 0; j < r; j++)
            e[i * r + j] -= beta * v[i] * sums[j];
}

/* a = Q tri Q^T for a symmetric a, by reflections 1 - beta v v^T. e, the identity on entry, becomes
   Q^T. d gets the diagonal of tri, off the entries below it. v, p: r doubles each. */
static void tridiagonalise(int64_t r, double *restrict a, double *restrict e, double *restrict d,
                           double *restrict off, double *restrict v, double *restrict p)
{
    for (int64_t k = 0; k + 1 < r; k++) {
        double tail = 0, head = a[(k + 1) * r + k], size;
        for (int64_t i = k + 2; i < r; i++)
            tail += a[i * r + k] * a[i * r + k];
        off[k] = head;
        if (tail < least_square)
            continue; /* this column is tridiagonal already */
        size = sqrt(head * head + tail);
        off[k] = head > 0 ? -size : size;
        for (int64_t i = k + 1; i < r; i++)
            v[i] = a[i * r + k];
        v[k + 1] -= off[k];
        double beta = 2 / (v[k + 1] * v[k + 1] + tail), half = 0;
        for (int64_t i = k + 1; i < r; i++)
            p[i] = 0;
        for (int64_t j = k + 1; j < r; j++)
            for (int64_t i = k + 1; i < r; i++)
                p[i] += v[j] * a[j * r + i];
        for (int64_t i = k + 1; i < r; i++)
            half += p[i] * v[i];
        for (int64_t i = k + 1; i < r; i++)
            p[i] = beta * (p[i] - 0.5 * beta * half * v[i]);
        for (int64_t i = k + 1; i < r; i++)
            for (int64_t j = k + 1; j < r; j++)
                a[i * r + j] -= v[i] * p[j] + p[i] * v[j];
        reflect(r, k + 1, beta, v, p, e);
    }
    for (int64_t i = 0; i < r; i++)
        d[i] = a[i * r + i];
}

/* Rows x and y become c x - s y and s x + c y. */
static void rotate(int64_t r, double c, double s, double *restrict x, double *restrict y)
{
    for (int64_t i = 0; i < r; i++) {
        double a = x[i], b = y[i];
        x[i] = c * a - s * b;
        y[i] = s * a + c * b;
    }
}

/* One implicit QL step with Wilkinson's shift on rows first .. last of the tridiagonal matrix. */
static void ql_step(int64_t r, int64_t first, int64_t last, double *d, double *off, double *e)
{
    double g = (d[first + 1] - d[first]) / (2 * off[first]), root = sqrt(g * g + 1);
    double s = 1, c = 1, p = 0;
    g = d[last] - d[first] + off[first] / (g + (g < 0 ? -root : root));
    for (int64_t i = last - 1; i >= first; i--) {
        double f = s * off[i], b = c * off[i];
        root = sqrt(f * f + g * g);
        off[i + 1] = root;
        if (root == 0) { /* underflow has split the matrix */
            d[i + 1] -= p;
            off[last] = 0;
            return;
        }
        s = f / root;
        c = g / root;
        g = d[i + 1] - p;
        double t = (d[i] - g) * s + 2 * c * b;
        p = s * t;
        d[i + 1] = g + p;
        g = c * t - b;
        rotate(r, c, s, e + i * r, e + (i + 1) * r);
    }
    d[first] -= p;
    off[first] = g;
    off[last] = 0;
}

/* Each row of e goes with its eigenvalue. */
static void sort_ascending(int64_t r, double *w, double *e)
{
    for (int64_t i = 0; i < r; i++) {
        int64_t least = i;
        for (int64_t k = i + 1; k < r; k++)
            if (w[k] < w[least])
                least = k;
        double swap = w[i];
        w[i] = w[least];
        w[least] = swap;
        for (int64_t j = 0; j < r && least != i; j++) {
            swap = e[i * r + j];
            e[i * r + j] = e[least * r + j];
            e[least * r + j] = swap;
        }
    }
}

/* Whether the entry `off` between two diagonal entries counts as zero. */
static bool negligible(double off, double above, double below)
{
    return fabs(off) <= DBL_EPSILON / 2 * (fabs(above) + fabs(below));
}

/* Multiplies a by a power of two that brings its largest entry near 1, so that squares do not
   underflow or overflow. Powers of two change no digit. Returns the inverse of that power. */
static double scale_to_one(int64_t r, double *a)
{
    double largest = 0;
    int exponent;
    for (int64_t j = 0; j < r * r; j++)
        largest = fabs(a[j]) > largest ? fabs(a[j]) : largest;
    if (!(largest > 0 && isfinite(largest)))
        return 1;
    frexp(largest, &exponent);
    exponent = exponent < -1000 ? -1000 : exponent; /* 2^1000 is finite, and so is its inverse */
    double by = ldexp(1, -exponent);
    tn_small_scale(r, by, a);
    return 1 / by;
}

void tn_eigen(int64_t r, const double *of, double *w, double *work, double *e)
{
    double *a = work, *off = a + r * r, *v = off + r, *p = v + r;
    memcpy(a, of, (size_t)(r * r) * sizeof *a);
    double unit = scale_to_one(r, a);
    tn_small_diagonal(r, 1, e);
    tridiagonalise(r, a, e, w, off, v, p);
    off[r - 1] = 0;
    for (int64_t first = 0; first < r; first++)
        for (int round = 0; round < 60; round++) { /* two or three are enough */
            int64_t last = first;
            while (last + 1 < r && !negligible(off[last], w[last], w[last + 1]))
                last++;
            if (last == first)
                break;
            ql_step(r, first, last, w, off, e);
        }
    for (int64_t i = 0; i < r; i++)
        w[i] *= unit;
    sort_ascending(r, w, e);
}

void tn_from_eigen(int64_t r, const double *f, const double *e, double *work, double *out)
{
    for (int64_t k = 0; k < r; k++)
        for (int64_t j = 0; j < r; j++)
            work[k * r + j] = f[k] * e[k * r + j];
    tn_small_atb(r, e, work, out);
    tn_small_symmetric(r, out);
}

double tn_gram_cut(int64_t r)
{
    double eps = sizeof(tn_real) == sizeof(float) ? FLT_EPSILON : DBL_EPSILON;
    double wanted = (double)(r * r) * eps * eps, rounding = 8 * (double)r * DBL_EPSILON;
    return wanted > rounding ? wanted : rounding;
}

void tn_inverse_root(int64_t r, const double *gram, double cut, double *work, double *t)
{
    double *e = work, *w = e + r * r, *rest = w + r;
    tn_eigen(r, gram, w, rest, e);
    double least = fmax(tn_gram_cut(r), cut) * w[r - 1];
    for (int64_t k = 0; k < r; k++) {
        double f = w[k] > least ? 1 / sqrt(w[k]) : 0;
        for (int64_t i = 0; i < r; i++)
            t[i * r + k] = f * e[k * r + i];
    }
}

void tn_symmetric_inverse_root(int64_t r, const double *gram, double size, double cut, double *work,
                               double *out)
{
    double *e = work, *w = e + r * r, *rest = w + r;
    tn_eigen(r, gram, w, rest, e);
    double least = fmax(tn_gram_cut(r) * size, cut * w[r - 1]);
    for (int64_t k = 0; k < r; k++)
        w[k] = w[k] > least ? 1 / sqrt(w[k]) : 0;
    tn_from_eigen(r, w, e, rest, out);
}
