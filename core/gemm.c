/* gemm.c - the matrix product: cuts C into tasks, packs what each task reads, and calls the tile
   kernel. Knows no instruction set.

   A task computes a block of columns for a range of rows. For each block of k it packs its columns
   of B into panels that stay in the second-level cache, then passes the rows of A over them. Every
   element of C is one chain over k within a block and the sum of blocks in order, so nothing of
   this cutting shows in the bits. */
#include "core/gemm.h"
#include "core/kernels/kernels.h"
#include "core/op.h"

#include <stdatomic.h>
#include <string.h>

enum {
    SKINNY = 64,       /* column-major A and no more rows or columns than this: shorter chains */
    SKINNY_DEPTH = 256,
    TASK_PANELS = 8,   /* columns of a task, in panels: B's block is 8 * 24 * 384 * 4 = 295 kB */
    TASK_ROWS = 64     /* rows of a task are a multiple of this */
};

typedef struct plan {
    tn_context *c;
    const tn_kernels *kernels;
    tn_product p;
    int64_t depth;              /* length of a chain */
    int64_t rows, cols;         /* of a task */
    int64_t across;             /* tasks side by side */
    int64_t tasks;
    atomic_bool no_memory;
} plan;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t parts(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

static plan plan_for(tn_context *c, const tn_product *p, int threads)
{
    const tn_kernels *kernels = tn_kernels_of(c);
    plan w = { .c = c, .kernels = kernels, .p = *p };
    w.depth = p->acs != 1 && least(p->m, p->n) <= SKINNY ? SKINNY_DEPTH : TN_KC;
    w.cols = TASK_PANELS * kernels->tile_cols;
    w.across = parts(p->n, w.cols);
    int64_t wanted = threads > 1 ? parts(2 * threads, w.across) : 1; /* tasks one above the other */
    w.rows = parts(parts(p->m, wanted), TASK_ROWS) * TASK_ROWS;
    w.tasks = w.across * parts(p->m, w.rows);
    return w;
}

/* Rows [i, i+rows) x columns [j, j+cols) of the block of k that begins at k; b is packed. */
static void multiply_block(const plan *w, int64_t i, int64_t rows, int64_t j, int64_t cols,
                           int64_t k, int64_t depth, const tn_real *b, tn_real *packed_a)
{
    const tn_product *p = &w->p;
    const int64_t width = w->kernels->tile_cols;
    const tn_real *a = p->a + i * p->ars + k * p->acs;
    ptrdiff_t ars = p->ars, acs = p->acs;
    if (acs != 1) {
        w->kernels->pack(depth, rows, a, acs, ars, packed_a);
        a = packed_a;
        ars = 1;
        acs = width;
    }
    tn_real *c = p->c + i * p->ldc + j;
    bool first = k == 0;
    const tn_real *start = !first || p->add ? c : p->bias ? p->bias + j : NULL;
    ptrdiff_t start_stride = !first || p->add ? p->ldc : 0;
    for (int64_t n = 0; n < cols; n += width)
        w->kernels->tile(rows, least(width, cols - n), depth, a, ars, acs, b + n * depth, width,
                         start ? start + n : NULL, start_stride, c + n, p->ldc);
}

static void task(void *arg, int64_t t, int thread)
{
    plan *w = arg;
    const tn_product *p = &w->p;
    const int64_t width = w->kernels->tile_cols;
    const int64_t i0 = t / w->across * w->rows, i1 = least(p->m, i0 + w->rows);
    const int64_t j = t % w->across * w->cols, cols = least(w->cols, p->n - j);
    size_t room = (size_t)((w->cols + width) * w->depth) * sizeof(tn_real);
    tn_real *b = tn_thread_memory(w->c, thread, TN_SLOT_GEMM, room);
    if (!b) {
        atomic_store(&w->no_memory, true);
        return;
    }
    tn_real *packed_a = b + w->cols * w->depth;
    for (int64_t k = 0; k < p->k; k += w->depth) {
        int64_t depth = least(w->depth, p->k - k);
        for (int64_t n = 0; n < cols; n += width)
            w->kernels->pack(depth, least(width, cols - n), p->b + k * p->brs + (j + n) * p->bcs,
                             p->brs, p->bcs, b + n * depth);
        for (int64_t i = i0; i < i1; i += width)
            multiply_block(w, i, least(width, i1 - i), j, cols, k, depth, b, packed_a);
    }
}

/* k = 0: C is its start. */
static void only_start(const tn_product *p)
{
    for (int64_t i = 0; i < p->m && !p->add; i++)
        for (int64_t j = 0; j < p->n; j++)
            p->c[i * p->ldc + j] = p->bias ? p->bias[j] : 0;
}

static int multiply(tn_context *c, const tn_product *p, int threads, int thread)
{
    if (p->m <= 0 || p->n <= 0)
        return TN_OK;
    if (p->k <= 0) {
        only_start(p);
        return TN_OK;
    }
    plan w = plan_for(c, p, threads);
    if (threads > 1)
        tn_parallel_for(c, w.tasks, task, &w);
    else
        for (int64_t t = 0; t < w.tasks; t++)
            task(&w, t, thread);
    return atomic_load(&w.no_memory) ? TN_ENOMEM : TN_OK;
}

int tn_gemm(tn_context *c, const tn_product *p)
{
    return multiply(c, p, tn_context_threads(c), 0);
}

int tn_gemm_here(tn_context *c, int thread, const tn_product *p)
{
    return multiply(c, p, 1, thread);
}
