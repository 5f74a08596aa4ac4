/* loss_pair.c - losses of two tensors of one shape: the mean of a term for each pair of elements.

       mse:              mean of (a - b)^2
       l1:               mean of |a - b|; its slope is 0 where a = b
       bce_with_logits:  mean of -b log s - (1 - b) log(1 - s), s = 1 / (1 + exp(-a)). For large |a|
                         this would lose digits. The term is computed as a (h - b) +
                         log(1 + exp(-|a|)), where h is 1 if a > 0, else 0. Its slope is
                         h - b +- 1 / (1 + exp(|a|))
       kl:               mean of b (log b - a)

   The terms and their slopes are rows of elementwise.def. Each chunk of TN_CHUNK elements is summed
   separately, TN_BLOCK elements at a time. The sums are added in order, in double. */
#include "core/ops/broadcast.h"

typedef struct job {
    const tn_kernels *kernels;
    tn_formula *formula;
    tn_elements z; /* where operands begin */
    double *part;  /* (chunks) */
    tn_real dy, beta, *to;
} job;

static int pair_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    if (!tn_same_shape(n->in[0], n->in[1]))
        return tn_refuse_shapes(t, n);
    return tn_shape_of_number(t, n, out);
}

static job job_of(tn_tape *t, const tn_node *n)
{
    const tn_real *a = n->in[0]->x, *b = n->in[1]->x;
    return (job){ .kernels = tn_kernels_on(t), .z = { .in = { a, b, a }, .dy = a } };
}

static void sum_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    tn_real room[TN_BLOCK];
    double sum = 0;
    for (int64_t i = from, n; i < to; i += n) {
        n = tn_min(TN_BLOCK, to - i);
        const tn_elements z = tn_elements_from(&j->z, i);
        j->formula(n, &z, 0, room);
        sum += (double)j->kernels->sum(n, room);
    }
    j->part[from / TN_CHUNK] = sum;
}

/* loss = mean of the terms */
static void forward(tn_tape *t, const tn_node *n, const tn_formulas *f)
{
    int64_t count = tn_tensor_count(n->in[0]), chunks = tn_ranges(count, TN_CHUNK);
    job j = job_of(t, n);
    j.formula = f->y;
    j.part = tn_temporary(t, (size_t)chunks * sizeof *j.part);
    if (!j.part)
        return;
    tn_over_elements(t, count, sum_range, &j);
    double sum = 0;
    for (int64_t i = 0; i < chunks; i++)
        sum += j.part[i];
    n->out->x[0] = (tn_real)(sum / (double)count);
}

static void slope_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    tn_real dy[TN_BLOCK];
    for (int i = 0; i < TN_BLOCK; i++)
        dy[i] = j->dy;
    for (int64_t i = from, n; i < to; i += n) {
        n = tn_min(TN_BLOCK, to - i);
        tn_elements z = tn_elements_from(&j->z, i);
        z.dy = dy;
        j->formula(n, &z, j->beta, j->to + i);
    }
}

static void backward(tn_tape *t, const tn_node *n, const tn_formulas *f)
{
    const int64_t count = tn_tensor_count(n->in[0]);
    job j = job_of(t, n);
    j.dy = n->out->g[0] / (tn_real)count;
    for (int i = 0; i < 2; i++) {
        j.formula = f->dx[i];
        j.to = tn_grad(t, n, i, &j.beta);
        if (j.to)
            tn_over_elements(t, count, slope_range, &j);
    }
}

static tn_tensor *mse_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    (void)attr;
    tn_tensor *d = tn_sub(t, in[0], in[1]);
    return tn_mean(t, tn_mul(t, d, d));
}

static tn_tensor *l1_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    (void)attr;
    tn_tensor *more = tn_relu(t, tn_sub(t, in[0], in[1])), *less = tn_sub(t, in[1], in[0]);
    return tn_mean(t, tn_add(t, more, tn_relu(t, less)));
}

static const tn_sample samples[] = {
    { .in = { { 1 }, { 1 } } },
    { .in = { { 3, 5 }, { 3, 5 } } },
    { .in = { { 2, 3, 200 }, { 2, 3, 200 } } },
    { .in = { { 2, 1, 3, 2 }, { 2, 1, 3, 2 } } },
    { .in = { { 1024, 1024 }, { 1024, 1024 } }, .bench = true },
    { .in = { { 0 } } },
};

static tn_tensor *bce_with_logits_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    (void)attr;
    return tn_mean(t, tn_sub(t, tn_softplus(t, in[0]), tn_mul(t, in[0], in[1])));
}

static tn_tensor *kl_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    (void)attr;
    return tn_mean(t, tn_mul(t, in[1], tn_sub(t, tn_log(t, in[1]), in[0])));
}

/* l1 has a kink where a = b: in these samples no difference of the gradient check reaches it. */
static const tn_sample apart[] = {
    { .in = { { 1 }, { 1 } } },
    { .in = { { 3, 4 }, { 3, 4 } } },
    { .in = { { 2, 2, 3 }, { 2, 2, 3 } } },
    { .in = { { 2, 1, 3, 2 }, { 2, 1, 3, 2 } } },
    { .in = { { 1024, 1024 }, { 1024, 1024 } }, .bench = true },
    { .in = { { 0 } } },
};

/* clang-format off */
#define LOSS(name, ...)                                                                            \
    static void name##_forward(tn_tape *t, tn_node *n)                                             \
    {                                                                                              \
        forward(t, n, &tn_kernels_on(t)->formulas->name);                                          \
    }                                                                                              \
    static void name##_backward(tn_tape *t, const tn_node *n)                                      \
    {                                                                                              \
        backward(t, n, &tn_kernels_on(t)->formulas->name);                                         \
    }                                                                                              \
    const tn_op tn_op_##name = { #name, .inputs = 2, .shape = pair_shape, .forward = name##_forward, \
        .backward = name##_backward, .reference = name##_reference,                                 \
        .refusals = (const tn_refusal[]){                                                          \
            { { .in = { { 2, 3 }, { 3 } } }, #name ": shapes do not fit: (2,3) (3)" },             \
            { { .in = { { 2, 3 }, { 3, 2 } } }, #name ": shapes do not fit: (2,3) (3,2)" },        \
            { .text = "" } }, __VA_ARGS__ };                                                       \
    tn_tensor *tn_##name(tn_tape *t, tn_tensor *a, tn_tensor *b)                                   \
    {                                                                                              \
        return tn_apply(t, &tn_op_##name, (tn_tensor *[]){ a, b }, (tn_attr){ 0 });                \
    }

LOSS(mse, .samples = samples)
LOSS(l1, .samples = apart)
LOSS(bce_with_logits, .samples = samples)
LOSS(kl, .samples = samples, .positive = 2)
/* clang-format on */
