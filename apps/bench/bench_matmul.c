/* bench_matmul.c - tenon bench matmul: times the products of training, as a share of the peak. */
#include "apps/bench/bench.h"
#include "apps/report/lines.h"
#include "apps/report/machine.h"
#include "core/gemm.h"

#include <math.h>
#include <stdio.h>

enum { N_MOST = 3072, K_MOST = 3072, M_MOST = 4096 };

static const int64_t rows[] = { 64, 256, 1024, 4096 }; /* M */
static const struct {
    int64_t n, k;
} shapes[] = { { 768, 768 }, { 2304, 768 }, { 3072, 768 }, { 768, 3072 } };
enum { SHAPES = sizeof shapes / sizeof *shapes, ROWS = sizeof rows / sizeof *rows };

/* The same product, with its operands stored in the ways that training has. dW is the gradient of a
   weight: it sums over M, C (N,K) = A^T B with A (M,N), B (M,K). */
typedef enum layout { NN, NT, TN, DW, LAYOUTS } layout;
static const char *const layout_names[LAYOUTS] = { "NN", "NT", "TN", "dW" };

typedef struct operands {
    tn_tensor *a, *b, *c;
} operands;

static tn_product product(layout l, int64_t m, int64_t n, int64_t k, const operands *x)
{
    const tn_real *a = x->a->x, *b = x->b->x;
    if (l == DW)
        return tn_product_of(tn_transposed(tn_matrix_of(a, m, n)), tn_matrix_of(b, m, k), 0,
                             x->c->x, k);
    return tn_product_of(l == TN ? tn_transposed(tn_matrix_of(a, k, m)) : tn_matrix_of(a, m, k),
                         l == NT ? tn_transposed(tn_matrix_of(b, n, k)) : tn_matrix_of(b, k, n), 0,
                         x->c->x, n);
}

/* GFLOP/s: the median of BENCH_RUNS runs, after one run to warm up. */
static double rate_of(tn_context *c, const tn_product *p)
{
    double v[BENCH_RUNS];
    double work = 2e-9 * (double)p->m * (double)p->n * (double)p->k;
    double start = now_seconds();
    tn_gemm(c, p);
    int calls = 1 + (int)(2e-3 / (now_seconds() - start)); /* in one run: 2 ms or more */
    for (int i = 0; i < BENCH_RUNS; i++) {
        start = now_seconds();
        for (int j = 0; j < calls; j++)
            tn_gemm(c, p);
        v[i] = work * calls / (now_seconds() - start);
    }
    return bench_median(v, BENCH_RUNS);
}

/* Prints all products on one context. Without vectors only the smallest M: others take minutes. */
static void table(tn_context *c, bool all, const operands *x)
{
    double mean[LAYOUTS] = { 0 }, mean_rate[LAYOUTS] = { 0 };
    double least[LAYOUTS] = { 9, 9, 9, 9 };
    int cases = 0;
    lines line = lines_begin(), *t = &line;
    t->indent = 25;
    lines_add(t, "\n%s, %d thread%s: GFLOP/s and share of the peak, measured before each line\n",
              tn_context_isa(c), tn_context_threads(c), tn_context_threads(c) > 1 ? "s" : "");
    lines_cell(t, t->indent, "   M     N     K      peak");
    for (int l = 0; l < LAYOUTS; l++)
        lines_cell(t, 14, "  %10s", layout_names[l]);
    for (int i = 0; i < (all ? ROWS : 1); i++)
        for (int s = 0; s < SHAPES; s++, cases++) {
            double peak = bench_flops(c);
            lines_add(t, "\n");
            lines_cell(t, t->indent, "%4d %5d %5d %9.1f", (int)rows[i], (int)shapes[s].n,
                       (int)shapes[s].k, peak);
            for (layout l = 0; l < LAYOUTS; l++) {
                tn_product p = product(l, rows[i], shapes[s].n, shapes[s].k, x);
                double rate = rate_of(c, &p), share = rate / peak;
                lines_cell(t, 14, "  %7.1f %3.0f %%", rate, 100 * share);
                mean[l] += log(share);
                mean_rate[l] += log(rate);
                least[l] = share < least[l] ? share : least[l];
            }
        }
    lines_add(t, "\n");
    lines_cell(t, t->indent, "geometric mean");
    for (int l = 0; l < LAYOUTS; l++)
        lines_cell(t, 14, "  %7.1f %3.0f %%", exp(mean_rate[l] / cases),
                   100 * exp(mean[l] / cases));
    lines_add(t, "\n");
    lines_cell(t, t->indent, "smallest share");
    for (int l = 0; l < LAYOUTS; l++)
        lines_cell(t, 14, "  %7s %3.0f %%", "", 100 * least[l]);
    lines_add(t, "\n");
}

int bench_matmul(const options *o, tn_error *e)
{
    operands x = { tn_tensor_new(TN_REAL, 2, (int64_t[]){ M_MOST, K_MOST }, false),
                   tn_tensor_new(TN_REAL, 2, (int64_t[]){ M_MOST, N_MOST }, false),
                   tn_tensor_new(TN_REAL, 2, (int64_t[]){ M_MOST, N_MOST }, false) };
    if (!x.a || !x.b || !x.c)
        tn_fail(e, TN_ENOMEM, "no memory for the operands");
    int threads = bench_threads(o);
    for (int i = 0; tn_isas[i] && !e->code; i++)
        for (int t = 0; t < (threads > 1 ? 2 : 1) && !e->code; t++) {
            tn_context *c = bench_context(tn_isas[i], t ? threads : 1, e);
            if (!c)
                continue;
            tn_fill_normal(x.a->x, tn_tensor_count(x.a), 1, 1, 1);
            tn_fill_normal(x.b->x, tn_tensor_count(x.b), 1, 1, 2);
            table(c, i > 0, &x);
            tn_context_free(c);
        }
    tn_tensor_free(x.a);
    tn_tensor_free(x.b);
    tn_tensor_free(x.c);
    return e->code;
}
