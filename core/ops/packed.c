/* packed.c - the right operand of many small products, which is packed once. */
#include "core/ops/packed.h"

tn_packed tn_packed_of(tn_tape *t, tn_matrix b)
{
    tn_packed p = { .kernels = tn_kernels_on(t), .k = b.rows, .n = b.cols };
    const int64_t cols = p.kernels->tile_cols;
    p.width = tn_ranges(b.cols, cols) * cols;
    p.x = tn_temporary(t, (size_t)(p.k * p.width) * sizeof *p.x);
    for (int64_t k = 0; p.x && k < p.k; k += TN_KC)
        for (int64_t j = 0; j < p.n; j += cols) {
            const int64_t depth = tn_min(TN_KC, p.k - k);
            const tn_real *x = (const tn_real *)b.bytes + k * b.rs + j * b.cs;
            p.kernels->pack(depth, tn_min(cols, p.n - j), x, b.rs, b.cs,
                            p.x + k * p.width + j * depth);
        }
    return p;
}

void tn_packed_add(const tn_packed *p, int64_t rows, tn_view a, tn_view c)
{
    const int64_t cols = p->kernels->tile_cols;
    for (int64_t k = 0; k < p->k; k += TN_KC)
        for (int64_t j = 0; j < p->n; j += cols) {
            const int64_t depth = tn_min(TN_KC, p->k - k);
            p->kernels->tile(rows, tn_min(cols, p->n - j), depth, a.x + k, a.ld, 1,
                             p->x + k * p->width + j * depth, cols, c.x + j, c.ld, c.x + j, c.ld);
        }
}
