/* gemm.c - the matrix product: cuts C into tasks, packs and multiplies panels.
   The tile kernel multiplies. This file knows no instruction set.

   A task computes the rows x cols of C that are marked x. It walks over k in slabs of `depth`:

                    B (k,n)   |     |p|p|p|     |   a slab: depth x cols of B, packed into
                              |     |p|p|p|     |   panels p, each `width` columns wide; they
                              |_____|_|_|_|_____|   stay in the second-level cache
        A (m,k)               C (m,n)
        |_____________|       |_________________|
        | t t t |     |       |     |x x x|     |   `height` rows t of A pass over one panel
        | t t t |     |       |     |x x x|     |   after the other: one call of the tile kernel
        |_____________|       |_________________|   for each panel

   B may have any type (types.def). Its numbers become tn_real when they are packed into the panels,
   a few rows at a time. A whole weight is never widened.

   If A is row-major, the rows t are read where they lie. If A is column-major (gradients of
   weights), they are turned into rows first. This reaches 88 % of the peak. With A packed into
   panels it was 83 %, because the panels of A and B together do not fit into the first-level cache.
   If k is only a few slabs long, all of them are packed together, for fewer columns. Then C is
   written once, not once for each slab (Zen 5: 1.02 to 1.04 times as fast, shapes of SmolLM2).
   Within a slab every element of C is one chain over k. The slabs are added in order. So the bits
   do not depend on the cutting into tasks (I1).

   Share of the FMA peak on Zen 3 with AVX2, shapes of GPT-2, one thread: 0.87. Prefetching, other
   tiles (6 x 16), slabs half as deep and other orders of these loops changed nothing.

   On a Xeon (Emerald Rapids) with AVX-512, shapes of SmolLM2, one thread: 0.80 to 0.82. A quiet
   neighbour on the core's other hardware thread gives 0.9. Packing takes 0.05 (reading B: 12 GB/s).
   These gave nothing: prefetching the next part of B while one is multiplied; tiles of 9 x 48,
   12 x 32, 14 x 32.

   On a Zen 5 with AVX-512, same shapes, one thread: 0.90. The tile kernel alone reaches 1.00. Without
   packing it would be 0.92; prefetching the next rows of A gave 0.98 of the speed. */
#include "core/gemm.h"
#include "core/kernels/kernels.h"

#include <stdatomic.h>

enum {
    SKINNY = 64, /* column-major A and at most so many rows or columns: shorter chains */
    SKINNY_DEPTH = 256,
    TASK_PANELS = 8, /* columns of a task, in panels: 8 * 24 * TN_KC floats are 295 kB of B */
    FEW_SLABS = 4,   /* so many are packed together */
    FEW_PANELS = 2,  /* no task is narrower only to give every thread enough tasks */
    TASK_ROWS = 64,  /* the rows of a task are a multiple of it */
    SMALL = 1 << 18, /* multiply-adds; about 5 us, too short to wake a thread */
    HEIGHT = 16,     /* rows that pass over a panel of a triangle together */
    FEW_ROWS = 8,    /* of A: row-major B is then not packed (1 row: 0.4 to 0.7 of the time) */
    ROWS = 8 /* of B, if it is row-major, are packed together: memory is read in long runs */
};

typedef struct plan {
    tn_context *c;
    const tn_kernels *kernels;
    tn_product p;
    int64_t width;      /* columns of a panel */
    int64_t height;     /* rows that pass over a panel together */
    int64_t depth;      /* length of a chain */
    int64_t rows, cols; /* of a task */
    int64_t slabs;      /* that are packed together: 1, or all */
    int64_t chunk;      /* their columns */
    int64_t across;     /* tasks side by side in C */
    int64_t tasks;
    bool share;  /* all threads share the tasks */
    bool turn_a; /* A is column-major and meets more than one panel */
    atomic_bool no_memory;
} plan;

static plan plan_for(tn_context *c, const tn_product *p, int threads)
{
    const tn_kernels *kernels = tn_kernels_of(c);
    plan w = { .c = c, .kernels = kernels, .p = *p, .width = kernels->tile_cols };
    /* A group has as many rows as a panel has columns. In a triangle smaller groups waste less. */
    w.height = p->triangle != TN_NO_TRIANGLE && w.width > HEIGHT ? HEIGHT : w.width;
    w.depth = p->acs != 1 && tn_min(p->m, p->n) <= SKINNY ? SKINNY_DEPTH : TN_KC;
    w.share = threads > 1 && (double)p->m * (double)p->n * (double)p->k > SMALL;
    /* Tasks side by side pack different parts of B. Tasks one below another pack the same part
       again, so they are made only if there are too few panels. (Before, N 576 was packed twice on
       two threads: 1.02 of the time.) */
    const int64_t panels = tn_ranges(p->n, w.width), wanted = w.share ? 2 * threads : 1;
    const int64_t across =
        tn_max(tn_ranges(panels, TASK_PANELS), tn_min(wanted, panels / FEW_PANELS));
    int64_t unit = w.width; /* the columns of a task are a multiple of it */
    while (p->b.type != TN_REAL && unit % TN_RUN)
        unit += w.width;
    w.cols = tn_max(p->n / across / unit, 1) * unit;
    w.across = tn_ranges(p->n, w.cols);
    int64_t below = tn_ranges(wanted, w.across); /* tasks one below another */
    w.rows = tn_ranges(tn_ranges(p->m, below), TASK_ROWS) * TASK_ROWS;
    w.tasks = w.across * tn_ranges(p->m, w.rows);
    w.turn_a = p->acs != 1 && p->n > w.width;
    /* A column-major A would be turned again for each chunk. */
    const int64_t slabs = tn_ranges(p->k, w.depth);
    w.slabs = slabs <= FEW_SLABS && p->acs == 1 && p->m > FEW_ROWS ? slabs : 1;
    w.chunk = w.slabs == 1 ? w.cols : tn_max(TASK_PANELS * w.width / w.slabs / unit, 1) * unit;
    return w;
}

/* A slab of B as tn_real, for the tile kernel. */
typedef struct slab {
    int64_t k, depth, j, cols; /* rows [k, k+depth) of columns [j, j+cols) */
    const tn_real *x; /* row d of the panel that begins at column n is at x + d*rs + n*cs */
    int64_t rs, cs;
} slab;

/* `rows` x `cols` of B from (k, j) on, as tn_real: in place, or widened into `wide`. */
static tn_matrix values_of_b(const plan *w, int64_t k, int64_t rows, int64_t j, int64_t cols,
                             tn_real *wide)
{
    const tn_matrix *b = &w->p.b;
    const int64_t from = k * b->rs + j * b->cs;
    if (b->type == TN_REAL)
        return (tn_matrix){ (const tn_real *)b->bytes + from, TN_REAL, rows, cols, b->rs, b->cs };
    const bool by_rows = b->cs == 1;
    const int64_t runs = by_rows ? rows : cols, length = by_rows ? cols : rows;
    for (int64_t i = 0; i < runs; i++)
        w->kernels->widen(b->type, b->bytes, from + i * (by_rows ? b->rs : b->cs), length,
                          wide + i * length);
    tn_matrix m = tn_matrix_of(wide, runs, length);
    return by_rows ? m : tn_transposed(m);
}

/* Packs the slab into panels, piece by piece. `wide` holds the widened numbers of a piece. A
   column-major B that must be widened has a kernel of its own. (Widening some columns, then turning
   them, took 1.2 to 2 times as long.) */
static void pack_slab(const plan *w, slab *s, tn_real *packed, tn_real *wide)
{
    const bool by_rows = w->p.b.cs == 1, at_once = !by_rows && w->p.b.type != TN_REAL;
    const int64_t most_cols = by_rows ? s->cols : w->width, most_rows = by_rows ? ROWS : s->depth;
    for (int64_t j = 0; j < s->cols && at_once; j += w->width)
        w->kernels->pack_wide(w->p.b.type, w->p.b.bytes, s->k + (s->j + j) * w->p.b.cs, w->p.b.cs,
                              s->depth, tn_min(w->width, s->cols - j), packed + j * s->depth);
    for (int64_t j = 0; j < s->cols && !at_once; j += most_cols)
        for (int64_t d = 0; d < s->depth; d += most_rows) {
            tn_matrix b = values_of_b(w, s->k + d, tn_min(most_rows, s->depth - d), s->j + j,
                                      tn_min(most_cols, s->cols - j), wide);
            const tn_real *x = b.bytes;
            for (int64_t n = 0; n < b.cols; n += w->width)
                w->kernels->pack(b.rows, tn_min(w->width, b.cols - n), x + n * b.cs, b.rs, b.cs,
                                 packed + (j + n) * s->depth + d * w->width);
        }
    s->x = packed;
    s->rs = w->width;
    s->cs = s->depth;
}

/* The slab that begins at (k, j) and has at most `cols` columns. If few rows of A pass over it, a
   row-major B is not packed. A narrow last panel that is not widened is packed all the same: the
   kernel reads a panel to its full width, and the memory may end after the last row of B. */
static slab slab_of(const plan *w, int64_t k, int64_t j, int64_t cols, tn_real *packed,
                    tn_real *wide)
{
    slab s = { .k = k, .depth = tn_min(w->depth, w->p.k - k), .j = j, .cols = cols };
    const bool widened = w->p.b.type != TN_REAL;
    if (w->p.b.cs == 1 && w->p.m <= FEW_ROWS && (widened || cols >= w->width)) {
        s.cols -= widened ? 0 : cols % w->width;
        tn_matrix b = values_of_b(w, k, s.depth, j, s.cols, packed);
        s.x = b.bytes;
        s.rs = b.rs;
        s.cs = 1;
    } else {
        pack_slab(w, &s, packed, wide);
    }
    return s;
}

/* Adds the products of the slab to `rows` rows (at most `height`) of C from row i on. In a triangle
   it uses only the k that the longest of these rows needs, perhaps none. (Attention at T 64 then
   takes 0.7 of the time.) */
static void multiply_slab(const plan *w, int64_t i, int64_t rows, const slab *s, tn_real *turned_a)
{
    const tn_product *p = &w->p;
    int64_t edge = i + p->edge, first = 0, end = s->depth, cols = s->cols; /* of the slab's k */
    if (p->triangle == TN_A_UPPER)
        first = tn_min(tn_max(edge - s->k, 0), s->depth);
    if (p->triangle == TN_A_LOWER)
        end = tn_max(tn_min(edge + rows - s->k, s->depth), 0);
    if (p->triangle == TN_C_LOWER)
        cols = tn_min(edge + rows - s->j, cols);
    const tn_real *a = p->a + i * p->ars + (s->k + first) * p->acs;
    ptrdiff_t ars = p->ars, acs = p->acs;
    if (w->turn_a) {
        w->kernels->turn(end - first, rows, a, acs, turned_a, s->depth);
        a = turned_a;
        ars = s->depth;
        acs = 1;
    }
    for (int64_t n = 0; n < cols; n += w->width) {
        tn_real *c = p->c + i * p->ldc + s->j + n;
        const tn_real *start = s->k > 0 || p->add ? c : p->bias ? p->bias + s->j + n : NULL;
        w->kernels->tile(rows, tn_min(w->width, cols - n), end - first, a, ars, acs,
                         s->x + first * s->rs + n * s->cs, s->rs, start, start == c ? p->ldc : 0, c,
                         p->ldc);
    }
}

static void task(void *arg, int64_t t, int thread)
{
    plan *w = arg;
    const tn_product *p = &w->p;
    const int64_t first = t / w->across * w->rows, end = tn_min(p->m, first + w->rows);
    const int64_t j = t % w->across * w->cols, cols = tn_min(w->cols, p->n - j);
    const int64_t most = w->chunk * w->slabs; /* columns of slabs that are packed together */
    size_t room = (size_t)((most + w->width) * w->depth) * sizeof(tn_real);
    tn_real *packed = tn_thread_memory(w->c, thread, TN_SCRATCH_PRODUCT, room);
    if (!packed) {
        atomic_store(&w->no_memory, true);
        return;
    }
    tn_real *other = packed + most * w->depth; /* widened numbers of B, then turned rows of A */
    slab s[FEW_SLABS];
    for (int64_t k = 0; k < p->k; k += w->slabs * w->depth)
        for (int64_t n = 0; n < cols; n += s->cols) {
            for (int64_t i = 0; i < w->slabs; i++)
                s[i] = slab_of(w, k + i * w->depth, j + n, tn_min(w->chunk, cols - n),
                               packed + i * w->chunk * w->depth, other);
            for (int64_t i = first; i < end; i += w->height)
                for (int64_t each = 0; each < w->slabs; each++)
                    multiply_slab(w, i, tn_min(w->height, end - i), &s[each], other);
        }
}

static void all_tasks(void *arg, int64_t i, int thread)
{
    const plan *w = arg;
    (void)i;
    for (int64_t t = 0; t < w->tasks; t++)
        task(arg, t, thread);
}

/* For k = 0: C gets its start only. */
static void only_start(const tn_product *p)
{
    for (int64_t i = 0; i < p->m && !p->add; i++)
        for (int64_t j = 0; j < p->n; j++)
            p->c[i * p->ldc + j] = p->bias ? p->bias[j] : 0;
}

static int multiply(tn_context *c, const tn_product *p, bool here, int thread)
{
    if (p->m <= 0 || p->n <= 0)
        return TN_OK;
    if (p->k <= 0) {
        only_start(p);
        return TN_OK;
    }
    plan w = plan_for(c, p, here ? 1 : tn_context_threads(c));
    if (here)
        all_tasks(&w, 0, thread);
    else if (w.share)
        tn_parallel_for(c, w.tasks, task, &w);
    else
        tn_parallel_for(c, 1, all_tasks, &w); /* gives this thread its number */
    return atomic_load(&w.no_memory) ? TN_ENOMEM : TN_OK;
}

int tn_gemm(tn_context *c, const tn_product *p)
{
    return multiply(c, p, false, 0);
}

int tn_gemm_here(tn_context *c, int thread, const tn_product *p)
{
    return multiply(c, p, true, thread);
}
