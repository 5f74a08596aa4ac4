/* tall.c - products with tall matrices, panel by panel: the first half of linalg.h.
   A panel is PANEL rows of X (n,r), read into columns of double. Zeros follow the last row and the
   last column, so that every loop runs over whole vectors:

       | column 0 | column 1 | ... | column r-1 | 0 ... 0 |     padded(r) columns of PANEL doubles

   A vector is LANES consecutive rows of a column. A sum over rows adds its lanes at the end. The
   same C is compiled for the baseline and for AVX2: a product of 768 x 8 takes 10 us with the first
   and 4 us with the second. No multiply-add is fused, so both give the same bits. */
#include "optim/algebra/linalg.h"

#include <string.h>

enum { PANEL = 128, LANES = 4, CHUNKS = PANEL / LANES, TILE = 4 };

typedef double lanes __attribute__((vector_size(LANES * sizeof(double)), aligned(8), may_alias));

static int64_t padded(int64_t r)
{
    return (r + TILE - 1) / TILE * TILE;
}

size_t tn_tall_work(int64_t r)
{
    return (size_t)(2 * padded(r) * PANEL + 2 * r * padded(r));
}

/* Reads the rows from .. from+PANEL-1 into the panel p: column j at p + j PANEL. */
static void load(tn_tall x, int64_t from, double *restrict p)
{
    int64_t rows = x.n - from < PANEL ? x.n - from : PANEL;
    if (rows < PANEL || x.r % TILE)
        memset(p, 0, (size_t)(padded(x.r) * PANEL) * sizeof *p);
    for (int64_t j = 0; j < x.r && x.by_column; j++)
        for (int64_t i = 0; i < rows; i++)
            p[j * PANEL + i] = (double)x.x[j * x.n + from + i];
    for (int64_t i = 0; i < rows && !x.by_column; i++)
        for (int64_t j = 0; j < x.r; j++)
            p[j * PANEL + i] = (double)x.x[(from + i) * x.r + j];
}

/* Writes the panel p as these rows of `out`, which is stored as `like` is. */
static void store(const double *restrict p, tn_tall like, int64_t from, tn_real *restrict out)
{
    int64_t rows = like.n - from < PANEL ? like.n - from : PANEL;
    for (int64_t j = 0; j < like.r && like.by_column; j++)
        for (int64_t i = 0; i < rows; i++)
            out[j * like.n + from + i] = (tn_real)p[j * PANEL + i];
    for (int64_t i = 0; i < rows && !like.by_column; i++)
        for (int64_t j = 0; j < like.r; j++)
            out[(from + i) * like.r + j] = (tn_real)p[j * PANEL + i];
}

#define INLINE static inline __attribute__((always_inline))

/* out (r,r) += X^T Y of one panel, in tiles of 4 x 2. If x is y, skips tiles below the diagonal. */
INLINE void gram_of(int64_t r, const double *x, const double *y, double *out)
{
    for (int64_t i = 0; i < r; i += 4)
        for (int64_t j = x == y ? i : 0; j < r; j += 2) {
            const lanes *a = (const lanes *)(x + i * PANEL), *b = (const lanes *)(y + j * PANEL);
            lanes s[4][2] = { { { 0 } } };
            for (int n = 0; n < CHUNKS; n++)
                for (int k = 0; k < 4; k++)
                    for (int l = 0; l < 2; l++)
                        s[k][l] += a[n + k * CHUNKS] * b[n + l * CHUNKS];
            for (int k = 0; k < 4 && i + k < r; k++)
                for (int l = 0; l < 2 && j + l < r; l++)
                    out[(i + k) * r + j + l] +=
                        (s[k][l][0] + s[k][l][2]) + (s[k][l][1] + s[k][l][3]);
        }
}

/* out = X K of one panel, or out + X K if add. k is K^T, (r, padded r). */
INLINE void multiply_of(int64_t r, const double *restrict x, const double *restrict k, bool add,
                        double *restrict out)
{
    for (int64_t j = 0; j < r; j++, out += PANEL)
        for (int64_t i = 0; i < r; i += 4) {
            const double *f = k + j * padded(r) + i, *a = x + i * PANEL;
            double f0 = f[0], f1 = f[1], f2 = f[2], f3 = f[3];
            bool first = i == 0 && !add;
            for (int n = 0; n < PANEL; n++) {
                double sum = (first ? 0 : out[n]) + a[n] * f0;
                sum += a[n + PANEL] * f1;
                sum += a[n + 2 * PANEL] * f2;
                out[n] = sum + a[n + 3 * PANEL] * f3;
            }
        }
}

typedef struct kernels { /* gram_of and multiply_of as they are, or compiled for AVX2 */
    void (*gram)(int64_t r, const double *x, const double *y, double *out);
    void (*multiply)(int64_t r, const double *x, const double *k, bool add, double *out);
} kernels;

#if defined __x86_64__
#define WIDE __attribute__((target("avx2"))) static

WIDE void gram_wide(int64_t r, const double *x, const double *y, double *out)
{
    gram_of(r, x, y, out);
}

WIDE void multiply_wide(int64_t r, const double *x, const double *k, bool add, double *out)
{
    multiply_of(r, x, k, add, out);
}
#endif

static kernels kernels_for(bool wide)
{
#if defined __x86_64__
    if (wide)
        return (kernels){ gram_wide, multiply_wide };
#endif
    (void)wide;
    return (kernels){ gram_of, multiply_of };
}

void tn_tall_gram(tn_tall x, tn_tall y, double *work, bool wide, double *out)
{
    const kernels run = kernels_for(wide);
    double *px = work, *py = x.x == y.x ? px : px + padded(x.r) * PANEL;
    memset(out, 0, (size_t)(x.r * x.r) * sizeof *out);
    for (int64_t from = 0; from < x.n; from += PANEL) {
        load(x, from, px);
        if (py != px)
            load(y, from, py);
        run.gram(x.r, px, py, out);
    }
    for (int64_t i = 0; i < x.r && px == py; i++)
        for (int64_t j = 0; j < i; j++)
            out[i * x.r + j] = out[j * x.r + i];
}

/* K (r,r) into K^T (r, padded r). */
static void transpose(int64_t r, const double *k, double *out)
{
    for (int64_t j = 0; j < r; j++)
        for (int64_t i = 0; i < padded(r); i++)
            out[j * padded(r) + i] = i < r ? k[i * r + j] : 0;
}

/* out = G K + Y L; if L is NULL, G K + keep Y; if y.x is NULL, too, G K. */
static void combine(tn_tall g, const double *k, tn_tall y, const double *l, double keep,
                    double *work, bool wide, tn_real *out)
{
    const kernels run = kernels_for(wide);
    const int64_t size = padded(g.r) * PANEL;
    double *px = work, *po = px + size, *pk = po + size, *pl = pk + g.r * padded(g.r);
    transpose(g.r, k, pk);
    if (l)
        transpose(g.r, l, pl);
    for (int64_t from = 0; from < g.n; from += PANEL) {
        load(g, from, px);
        run.multiply(g.r, px, pk, false, po);
        if (y.x)
            load(y, from, px);
        if (l)
            run.multiply(g.r, px, pl, true, po);
        for (int64_t j = 0; j < g.r * PANEL && y.x && !l; j++)
            po[j] += keep * px[j];
        store(po, g, from, out);
    }
}

void tn_tall_combine(tn_tall g, const double *k, tn_tall y, const double *l, double *work,
                     bool wide, tn_real *out)
{
    combine(g, k, l ? y : (tn_tall){ 0 }, l, 0, work, wide, out);
}

void tn_tall_add(tn_tall g, const double *k, tn_tall y, double keep, double *work, bool wide,
                 tn_real *out)
{
    combine(g, k, y, NULL, keep, work, wide, out);
}
