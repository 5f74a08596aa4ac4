/* embed.c - y[i] = w[ids[i]]: rows of w (V,C), one for each of ids (...) -> (...,C).

       dw[ids[i]] += dy[i], in the order of i

   A task of backward is a range of the vocabulary. It goes through all ids and adds the rows of dy
   whose id is in its range. */
#include "core/ops/ops.h"

#include <string.h>

enum { RANGE = 1024 }; /* vocabulary entries of a task of backward */

typedef struct job {
    const tn_kernels *kernels;
    const tn_tensor *w;
    const int32_t *ids;
    int64_t count, cols;
    const tn_real *dy;
    tn_real beta, *to; /* y, or dw */
} job;

static job job_of(tn_tape *t, const tn_node *n)
{
    const tn_tensor *w = n->in[0], *ids = n->in[1];
    return (job){
        .kernels = tn_kernels_on(t),
        .w = w,
        .ids = ids->i,
        .count = tn_tensor_count(ids),
        .cols = w->dim[1],
        .dy = n->out->g,
    };
}

static int embed_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *w = n->in[0], *ids = n->in[1];
    if (w->ndim != 2 || ids->ndim == TN_MAX_NDIM)
        return tn_refuse_shapes(t, n);
    for (int64_t i = 0, count = tn_tensor_count(ids); i < count; i++)
        if (ids->i[i] < 0 || ids->i[i] >= w->dim[0])
            return tn_refuse(t, n->op, TN_EARG, "id %d at position %lld; expected 0 to %lld",
                             ids->i[i], (long long)i, (long long)w->dim[0] - 1);
    tn_shape_of(out, ids->ndim + 1, ids->dim[0], ids->dim[1], ids->dim[2], 1);
    out->dim[ids->ndim] = w->dim[1];
    return 0;
}

static void copy_row(void *arg, int64_t i, int thread)
{
    (void)thread;
    const job *j = arg;
    j->kernels->widen(j->w->dtype, j->w->data, j->ids[i] * j->cols, j->cols, j->to + i * j->cols);
}

static void embed_forward(tn_tape *t, tn_node *n)
{
    job j = job_of(t, n);
    j.to = n->out->x;
    tn_parallel_for(tn_tape_context(t), j.count, copy_row, &j);
}

static void add_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    if (j->beta == 0)
        memset(j->to + from * j->cols, 0, (size_t)((to - from) * j->cols) * sizeof *j->to);
    for (int64_t i = 0; i < j->count; i++)
        if (j->ids[i] >= from && j->ids[i] < to)
            j->kernels->axpy(j->cols, 1, j->dy + i * j->cols, j->to + j->ids[i] * j->cols);
}

/* y[i] = w[ids[i]] */
static void embed_backward(tn_tape *t, const tn_node *n)
{
    job j = job_of(t, n);
    j.to = tn_grad(t, n, 0, &j.beta); // (V,C)
    if (j.to)
        tn_parallel_ranges(tn_tape_context(t), n->in[0]->dim[0], RANGE, add_range, &j);
}

/* clang-format off */
const tn_op tn_op_embed = { .name = "embed", .inputs = 2, .ids = 2, .frozen = 1, .rows = 2,
    .shape = embed_shape, .forward = embed_forward, .backward = embed_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1 }, { 1 } }, .ids = 1 },
        { .in = { { 5, 3 }, { 2, 3 } }, .ids = 5 },
        { .in = { { 3, 7 }, { 2, 3, 4 } }, .ids = 3 },
        { .in = { { 9, 2 }, { 30 } }, .ids = 9 },
        { .in = { { 10007, 128 }, { 1024 } }, .ids = 10007, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 5 }, { 2, 3 } }, .ids = 5 }, "embed: shapes do not fit: (5) (2,3)" },
        { { .in = { { 5, 2 }, { 1, 1, 1, 1 } }, .ids = 5 }, "embed: shapes do not fit: (5,2) (1,1,1,1)" },
        { { .in = { { 5, 2 }, { 1 } }, .ids = 1, .negative_ids = true },
          "embed: id -1 at position 0; expected 0 to 4" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_embed(tn_tape *t, tn_tensor *w, tn_tensor *ids)
{
    return tn_apply(t, &tn_op_embed, (tn_tensor *[]){ w, ids }, (tn_attr){ 0 });
}
