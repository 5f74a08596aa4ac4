/* test_algebra.c - eigenvalues, inverse roots and products of optim/algebra, by plain loops. */
#include "optim/algebra/linalg.h"
#include "tests/support/tests.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static const double eps = sizeof(tn_real) == sizeof(float) ? FLT_EPSILON : DBL_EPSILON;

/* True if this machine can take the path with wide vectors. Contexts of the double build never
   do. */
static bool has_vectors(void)
{
#if defined __x86_64__
    return __builtin_cpu_supports("avx2");
#else
    return false;
#endif
}

static double value(int64_t i)
{
    return 2 * tn_random_uniform(7, 1, 0, (uint64_t)i) - 1;
}

static double *numbers(int64_t n)
{
    return calloc((size_t)n, sizeof(double));
}

/* A E^T = E^T W and E E^T = 1 within limit times the largest |w|. */
static void check_eigen(int64_t r, const double *a, const double *w, const double *e, double limit)
{
    double top = fabs(w[0]) > fabs(w[r - 1]) ? fabs(w[0]) : fabs(w[r - 1]);
    for (int64_t k = 0; k < r; k++) {
        ck_assert(k == 0 || w[k - 1] <= w[k]);
        for (int64_t i = 0; i < r; i++) {
            double left = 0, dot = 0;
            for (int64_t j = 0; j < r; j++) {
                left += a[i * r + j] * e[k * r + j];
                dot += e[i * r + j] * e[k * r + j];
            }
            ck_assert_msg(fabs(left - w[k] * e[k * r + i]) <= limit * top, "r %d: residual %g",
                          (int)r, left - w[k] * e[k * r + i]);
            ck_assert_msg(fabs(dot - (i == k)) <= limit,
                          "r %d: rows %d and %d are not orthonormal: %g", (int)r, (int)i, (int)k,
                          dot - (i == k));
        }
    }
}

static void eigen_of(int64_t r, const double *a, double *w, double *e)
{
    double *work = numbers(r * r + 3 * r);
    tn_eigen(r, a, w, work, e);
    free(work);
}

/* Element (i,j), j <= i, of a symmetric matrix of this kind. */
static double element(int kind, int64_t i, int64_t j)
{
    switch (kind) {
    case 0: /* indefinite */ return value(1000 * i + j);
    case 1: /* rank 1 */ return value(i) * value(j);
    case 2: /* diagonal, with equal and zero entries */ return i == j ? (double)(i % 3) : 0;
    case 3: /* large at the top, small at the bottom */
        return value(i) * value(j) * pow(10, -(double)(i + j) / 3);
    default: /* almost tridiagonal */ return pow(1e-9, i > j ? (double)(i - j - 1) : 0);
    }
}

START_TEST(eigen_of_every_kind)
{
    static const int64_t sizes[] = { 1, 2, 3, 4, 5, 8, 13, 16, 33, 64, 128 };
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int kind = 0; kind < 5; kind++) {
            int64_t r = sizes[k];
            double *a = numbers(r * r), *w = numbers(r), *e = numbers(r * r), trace = 0;
            for (int64_t i = 0; i < r; i++)
                for (int64_t j = 0; j <= i; j++)
                    a[i * r + j] = a[j * r + i] = element(kind, i, j);
            eigen_of(r, a, w, e);
            check_eigen(r, a, w, e, 4 * (double)r * DBL_EPSILON);
            for (int64_t i = 0; i < r; i++)
                trace += w[i];
            ck_assert_double_eq_tol(trace, tn_small_trace(r, a), (double)r * 1e-14);
            free(a);
            free(w);
            free(e);
        }
}
END_TEST

START_TEST(eigen_that_are_known)
{
    double w[6], e[36];
    double zero[9] = { 0 }, two[4] = { 2, 1, 1, 2 }, dead[9] = { 2, 0, 1, 0, 0, 0, 1, 0, 2 };
    eigen_of(3, zero, w, e);
    ck_assert(w[0] == 0 && w[2] == 0);
    eigen_of(2, two, w, e);
    ck_assert_double_eq_tol(w[0], 1, 1e-15);
    ck_assert_double_eq_tol(w[1], 3, 1e-15);
    eigen_of(3, dead, w, e); /* a row of zeros gives an eigenvalue that is exactly 0 */
    ck_assert(w[0] == 0);
    double path[36] = { 0 }; /* second differences: 2 - 2 cos(k pi / 7) */
    for (int i = 0; i < 6; i++) {
        path[i * 6 + i] = 2;
        if (i)
            path[i * 6 + i - 1] = path[(i - 1) * 6 + i] = -1;
    }
    eigen_of(6, path, w, e);
    for (int k = 0; k < 6; k++)
        ck_assert_double_eq_tol(w[k], 2 - 2 * cos((k + 1) * acos(-1) / 7), 4e-15);
}
END_TEST

/* Entries whose squares underflow or overflow: first one of them beside larger entries, then all
   equal. */
START_TEST(eigen_at_the_ends_of_double)
{
    double w[3], e[9];
    for (double x = 1e-300; x < 1e-130; x *= 3) {
        double corner[9] = { 1, 0, x, 0, 1, 0, x, 0, 1 };
        eigen_of(3, corner, w, e);
        for (int k = 0; k < 3; k++)
            ck_assert_msg(fabs(w[k] - 1) < 1e-15, "%g in the corner: eigenvalue %g", x, w[k]);
        for (int k = 0; k < 9; k++)
            ck_assert(isfinite(e[k]));
    }
    for (double x = 1e-300; x < 1e300; x *= 1e7) {
        double two[4] = { 2 * x, x, x, 2 * x }, alike[9], t[9], work[30];
        eigen_of(2, two, w, e);
        ck_assert_double_eq_tol(w[0] / x, 1, 1e-14);
        ck_assert_double_eq_tol(w[1] / x, 3, 1e-14);
        for (int k = 0; k < 9; k++)
            alike[k] = x;
        tn_inverse_root(3, alike, 0, work, t); /* (t t^T) of x ones is ones / (9 x) */
        double sum = 0;
        for (int k = 0; k < 3; k++)
            sum += t[k] * t[3 + k];
        ck_assert_msg(fabs(sum * 9 * x - 1) < 1e-13, "all %g: t t^T is %g", x, sum);
    }
}
END_TEST

START_TEST(small_products)
{
    double a[9], b[9], ab[9], atb[9], abt[9];
    for (int i = 0; i < 9; i++) {
        a[i] = value(i);
        b[i] = value(i + 9);
    }
    tn_small_ab(3, a, b, ab);
    tn_small_atb(3, a, b, atb);
    tn_small_abt(3, a, b, abt);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double x = 0, y = 0, z = 0;
            for (int k = 0; k < 3; k++) {
                x += a[i * 3 + k] * b[k * 3 + j];
                y += a[k * 3 + i] * b[k * 3 + j];
                z += a[i * 3 + k] * b[j * 3 + k];
            }
            ck_assert_double_eq_tol(ab[i * 3 + j], x, 1e-15);
            ck_assert_double_eq_tol(atb[i * 3 + j], y, 1e-15);
            ck_assert_double_eq_tol(abt[i * 3 + j], z, 1e-15);
        }
    tn_small_symmetric(3, ab);
    ck_assert(ab[1] == ab[3] && ab[5] == ab[7]);
    double w[3], e[9], work[9], out[9];
    eigen_of(3, ab, w, e);
    tn_from_eigen(3, w, e, work, out);
    for (int i = 0; i < 9; i++)
        ck_assert_double_eq_tol(out[i], ab[i], 1e-15);
}
END_TEST

/* t^T gram t is 1 on the directions that are kept. t t^T is the pseudo-inverse: gram t t^T gram =
   gram. */
static void check_root(int64_t r, int64_t rank, double scale, double spread)
{
    int64_t n = 3 * r;
    double *x = numbers(n * r), *gram = numbers(r * r), *t = numbers(r * r),
           *work = numbers(2 * r * r + 4 * r);
    for (int64_t k = 0; k < rank; k++) /* a sum of `rank` outer products */
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < r; j++)
                x[i * r + j] += scale * pow(spread, -(double)k / (double)r) * value(i * 31 + k) *
                                value(j * 17 + k + 999);
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++)
            for (int64_t k = 0; k < n; k++)
                gram[i * r + j] += x[k * r + i] * x[k * r + j];
    tn_inverse_root(r, gram, 0, work, t);
    double *inverse = numbers(r * r), *a = numbers(r * r), *b = numbers(r * r);
    tn_small_abt(r, t, t, inverse);
    tn_small_ab(r, gram, inverse, a);
    double trace = tn_small_trace(r, a); /* the number of directions */
    ck_assert_msg(fabs(trace - (double)rank) < 1e-4, "r %d: %g directions, expected %d", (int)r,
                  trace, (int)rank);
    tn_small_ab(r, a, gram, b);
    double top = tn_small_trace(r, gram);
    for (int64_t i = 0; i < r * r; i++)
        ck_assert_msg(fabs(b[i] - gram[i]) <= 1e-9 * top, "r %d rank %d: %g", (int)r, (int)rank,
                      b[i] - gram[i]);
    tn_symmetric_inverse_root(r, gram, top, 0, work, a);
    tn_small_ab(r, a, a, b); /* its square is t t^T */
    for (int64_t i = 0; i < r * r; i++) {
        double off = fabs(b[i] - inverse[i]) / (1e-9 * tn_small_trace(r, inverse) + 1e-300);
        ck_assert_msg(off <= 1 && a[i] == a[i % r * r + i / r], "r %d rank %d: symmetric root",
                      (int)r, (int)rank);
    }
    free(x);
    free(gram);
    free(t);
    free(work);
    free(inverse);
    free(a);
    free(b);
}

START_TEST(inverse_root_is_the_pseudo_inverse)
{
    for (int64_t r = 1; r <= 12; r++)
        for (int64_t rank = 0; rank <= r; rank++)
            for (int k = -1; k <= 1; k++)
                check_root(r, rank, pow(1e3, k), 1);
    check_root(4, 4, 1, 1e3);
    check_root(64, 64, 1, 1);
    check_root(64, 40, 1, 1);
}
END_TEST

/* Element (i,j) of a tall matrix. */
static double entry(tn_tall x, int64_t i, int64_t j)
{
    return (double)(x.by_column ? x.x[j * x.n + i] : x.x[i * x.r + j]);
}

static void check_tall(int64_t n, int64_t r, bool by_column)
{
    size_t size = (size_t)(n * r);
    tn_real *gx = calloc(size, sizeof *gx), *yx = calloc(size, sizeof *yx);
    tn_real *out = calloc(size, sizeof *out), *wide = calloc(size, sizeof *wide);
    double *k = numbers(r * r), *l = numbers(r * r), *work = numbers((int64_t)tn_tall_work(r));
    double *gram = numbers(r * r), *again = numbers(r * r);
    for (int64_t i = 0; i < n * r; i++) {
        gx[i] = (tn_real)value(i);
        yx[i] = (tn_real)value(i + 100000);
    }
    for (int64_t i = 0; i < r * r; i++) {
        k[i] = value(i + 200000);
        l[i] = value(i + 300000);
    }
    tn_tall g = { gx, n, r, by_column }, y = { yx, n, r, by_column };
    bool vectors = has_vectors();
    for (int same = 0; same < 2; same++) {
        tn_tall_gram(g, same ? g : y, work, false, gram);
        tn_tall_gram(g, same ? g : y, work, vectors, again);
        ck_assert_mem_eq(gram, again, (size_t)(r * r) * sizeof *gram);
        for (int64_t i = 0; i < r; i++)
            for (int64_t j = 0; j < r; j++) {
                double sum = 0;
                for (int64_t q = 0; q < n; q++)
                    sum += entry(g, q, i) * entry(same ? g : y, q, j);
                ck_assert_double_eq_tol(gram[i * r + j], sum, 1e-12);
            }
    }
    for (int both = 0; both < 2; both++) {
        tn_tall_combine(g, k, y, both ? l : NULL, work, false, out);
        tn_tall_combine(g, k, y, both ? l : NULL, work, vectors, wide);
        ck_assert_mem_eq(out, wide, size * sizeof *out);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < r; j++) {
                double sum = 0;
                for (int64_t q = 0; q < r; q++)
                    sum +=
                        entry(g, i, q) * k[q * r + j] + (both ? entry(y, i, q) * l[q * r + j] : 0);
                ck_assert_double_eq_tol(entry((tn_tall){ out, n, r, by_column }, i, j), sum,
                                        4 * (double)r * eps);
            }
    }
    tn_tall_combine(g, k, y, l, work, vectors, yx); /* in place */
    ck_assert_mem_eq(yx, wide, size * sizeof *out);
    tn_small_diagonal(r, 0.75, again);
    tn_tall_combine(g, k, y, again, work, false, out);
    tn_tall_add(g, k, y, 0.75, work, vectors, wide);
    ck_assert_mem_eq(out, wide, size * sizeof *out);
    tn_tall_add(g, k, y, 0.75, work, false, yx); /* in place */
    ck_assert_mem_eq(yx, out, size * sizeof *out);
    void *all[] = { gx, yx, out, wide, k, l, work, gram, again };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

START_TEST(tall_products)
{
    static const int64_t n[] = { 1, 2, 7, 127, 128, 129, 300 }, r[] = { 1, 2, 3, 4, 5, 8, 11, 16 };
    for (size_t i = 0; i < sizeof n / sizeof *n; i++)
        for (size_t j = 0; j < sizeof r / sizeof *r; j++)
            for (int by_column = 0; by_column < 2; by_column++)
                check_tall(n[i], r[j], by_column);
    check_tall(140, 128, true);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, eigen_of_every_kind);
    tcase_add_test(c, eigen_that_are_known);
    tcase_add_test(c, eigen_at_the_ends_of_double);
    tcase_add_test(c, small_products);
    tcase_add_test(c, inverse_root_is_the_pseudo_inverse);
    tcase_add_test(c, tall_products);
}
