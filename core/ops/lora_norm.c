/* lora_norm.c - the norm of each output's weights with a LoRA adapter added.

       n[o] = sqrt(sum over i of (W + s B A)[o][i]^2)        W (out,in), A (R,in), B (out,R)

   Liu et al., "DoRA: weight-decomposed low-rank adaptation", arXiv:2402.09353, divides by it. There
   and in PEFT it is a constant in backward (section 4.3), so this op has no gradient. W may be a
   frozen weight of any type. A task is some outputs. It widens some numbers of W at a time, on its
   stack: the sum W + s B A is never in memory as a whole. */
#include "core/ops/ops.h"

#include <math.h>

enum { OUTPUTS = 32, PIECE = 256 }; /* outputs of a task; inputs that are widened together */

typedef struct job {
    const tn_kernels *kernels;
    const tn_tensor *w;
    int64_t in, out, rank;
    tn_real s;
    const tn_real *a, *b; /* (R,in), (out,R); TN_IN_OUT: b is s B^T (R,out) */
    tn_real *norm;
} job;

static int lora_norm_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *w = n->in[0], *a = n->in[1], *b = n->in[2];
    const int64_t layout = n->attr.i[0];
    if (layout != TN_OUT_IN && layout != TN_IN_OUT)
        return tn_refuse(t, n->op, TN_EARG, "layout %lld; expected TN_OUT_IN or TN_IN_OUT",
                         (long long)layout);
    const int in = layout == TN_OUT_IN ? 1 : 0;
    if (w->ndim != 2 || a->ndim != 2 || b->ndim != 2 || a->dim[1] != w->dim[in] ||
        b->dim[0] != w->dim[1 - in] || a->dim[0] != b->dim[1])
        return tn_refuse_shapes(t, n);
    tn_shape_of(out, 1, b->dim[0], 1, 1, 1);
    return 0;
}

/* W (out,in): the outputs [from,to), one after the other. */
static void norms_of_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    tn_real v[PIECE];
    for (int64_t o = from; o < to; o++) {
        double sum = 0;
        for (int64_t i = 0; i < j->in; i += PIECE) {
            const int64_t n = j->in - i < PIECE ? j->in - i : PIECE;
            j->kernels->widen(j->w->dtype, j->w->data, o * j->in + i, n, v);
            for (int64_t r = 0; r < j->rank; r++)
                j->kernels->axpy(n, j->s * j->b[o * j->rank + r], j->a + r * j->in + i, v);
            sum += (double)j->kernels->square_sum(n, v, 0);
        }
        j->norm[o] = (tn_real)sqrt(sum);
    }
}

/* W (in,out): the outputs [from,to) side by side. */
static void norms_of_columns(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    const int64_t n = to - from;
    double sum[OUTPUTS] = { 0 };
    tn_real v[OUTPUTS];
    for (int64_t i = 0; i < j->in; i++) {
        j->kernels->widen(j->w->dtype, j->w->data, i * j->out + from, n, v);
        for (int64_t r = 0; r < j->rank; r++)
            j->kernels->axpy(n, j->a[r * j->in + i], j->b + r * j->out + from, v);
        for (int64_t o = 0; o < n; o++)
            sum[o] += (double)v[o] * (double)v[o];
    }
    for (int64_t o = 0; o < n; o++)
        j->norm[from + o] = (tn_real)sqrt(sum[o]);
}

/* s B^T (R,out), in temporary memory. NULL when memory is out. */
static const tn_real *turned(tn_tape *t, const tn_tensor *b, tn_real s)
{
    const int64_t out = b->dim[0], rank = b->dim[1];
    tn_real *turned = tn_temporary(t, (size_t)(rank * out) * sizeof *turned);
    for (int64_t i = 0; turned && i < rank * out; i++)
        turned[i] = s * b->x[i % out * rank + i / out];
    return turned;
}

static void lora_norm_forward(tn_tape *t, tn_node *n)
{
    const tn_tensor *a = n->in[1], *b = n->in[2];
    const bool rows = n->attr.i[0] == TN_OUT_IN;
    job j = { .kernels = tn_kernels_on(t),
              .w = n->in[0],
              .in = a->dim[1],
              .out = b->dim[0],
              .rank = a->dim[0],
              .s = (tn_real)n->attr.r[0],
              .a = a->x,
              .b = b->x,
              .norm = n->out->x };
    if (!rows)
        j.b = turned(t, b, j.s);
    if (j.b)
        tn_parallel_ranges(tn_tape_context(t), j.out, OUTPUTS,
                           rows ? norms_of_rows : norms_of_columns, &j);
}

static tn_tensor *lora_norm_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    tn_tensor *w = attr.i[0] == TN_OUT_IN ? in[0] : tn_transpose(t, in[0], 0, 1);
    tn_tensor *v = tn_add(t, w, tn_scale(t, tn_matmul(t, in[2], in[1]), attr.r[0]));
    return tn_sqrt(t, tn_sum_dim(t, tn_square(t, v), 1, false));
}

/* clang-format off */
const tn_op tn_op_lora_norm = { .name = "lora_norm", .inputs = 3, .frozen = 1, .detached = 7,
    .shape = lora_norm_shape, .forward = lora_norm_forward, .reference = lora_norm_reference,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1 }, { 1, 1 }, { 1, 1 } }, .attr = { .r = { 2 } } },
        { .in = { { 7, 5 }, { 2, 5 }, { 7, 2 } }, .attr = { .r = { 0.5 } } },
        { .in = { { 5, 7 }, { 2, 5 }, { 7, 2 } }, .attr = { .i = { TN_IN_OUT }, .r = { 0.5 } } },
        { .in = { { 3, 600 }, { 4, 600 }, { 3, 4 } }, .attr = { .r = { 3 } } },
        { .in = { { 9, 70 }, { 3, 9 }, { 70, 3 } }, .attr = { .i = { TN_IN_OUT }, .r = { 2 } } },
        { .in = { { 768, 768 }, { 8, 768 }, { 768, 8 } }, .attr = { .r = { 2 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 7, 5 }, { 2, 5 }, { 5, 2 } } }, "lora_norm: shapes do not fit: (7,5) (2,5) (5,2)" },
        { { .in = { { 7, 5 }, { 2, 5 }, { 7, 2 } }, .attr = { .i = { TN_IN_OUT } } },
          "lora_norm: shapes do not fit: (7,5) (2,5) (7,2)" },
        { { .in = { { 7, 5 }, { 2, 5 }, { 7, 3 } } }, "lora_norm: shapes do not fit: (7,5) (2,5) (7,3)" },
        { { .in = { { 7, 5 }, { 2, 5 }, { 7, 2 } }, .attr = { .i = { 2 } } },
          "lora_norm: layout 2; expected TN_OUT_IN or TN_IN_OUT" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_lora_norm(tn_tape *t, tn_tensor *w, tn_tensor *a, tn_tensor *b, double s, tn_layout l)
{
    return tn_apply(t, &tn_op_lora_norm, (tn_tensor *[]){ w, a, b },
                    (tn_attr){ .i = { l }, .r = { s } });
}
