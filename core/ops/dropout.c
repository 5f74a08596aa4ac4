/* dropout.c - y = a m / (1-p), m ~ Bernoulli(1-p); in evaluation y = a.

   Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15
   (2014), but scaled in training. m is not stored. Element i is kept if random number i of (seed,
   stream, draw) is at least p 2^32, so backward computes the same m again. */
#include "core/ops/ops.h"

enum { PIECE = 256 }; /* random numbers that are made at a time */

typedef struct job {
    const tn_kernels *kernels;
    uint64_t seed, stream;
    uint32_t draw, below; /* an element whose random number is less than `below` becomes 0 */
    tn_real factor;       /* 1/(1-p) */
    tn_masked of[2];
} job;

bool tn_drops(const tn_node *n, double p)
{
    return n->training && p > 0;
}

int tn_refuse_dropout(tn_tape *t, const tn_node *n, double p)
{
    if (p >= 0 && p < 1)
        return 0;
    return tn_refuse(t, n->op, TN_EARG,
                     "the dropout probability is %g; expected at least 0 and below 1", p);
}

/* y = beta y + factor x; where the random number is less than j->below, y = beta y. */
static void drop_piece(const job *j, const tn_masked *m, int64_t from, int64_t n,
                       const uint32_t *numbers)
{
    const tn_real *x = m->x + from, beta = m->beta, factor = j->factor;
    const uint32_t below = j->below;
    tn_real *y = m->y + from;
    for (int64_t k = 0; k < n; k++) {
        tn_real kept = factor * x[k];
        tn_accumulate(&y[k], beta, numbers[k] >= below ? kept : 0);
    }
}

/* `from` is a multiple of 4. */
static void drop_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t i = from; i < to; i += PIECE) {
        uint32_t numbers[PIECE];
        int64_t n = tn_min(PIECE, to - i);
        j->kernels->random(j->seed, j->stream, j->draw, (uint64_t)i / 4, n, numbers);
        for (const tn_masked *m = j->of; m < j->of + 2; m++)
            if (m->y)
                drop_piece(j, m, i, n, numbers);
    }
}

void tn_drop(tn_tape *t, const tn_node *n, double p, uint64_t stream, int64_t count,
             tn_masked first, tn_masked second)
{
    tn_context *c = tn_tape_context(t);
    job j = { .kernels = tn_kernels_of(c),
              .seed = tn_context_seed(c),
              .stream = stream,
              .draw = (uint32_t)n->draw,
              .below = (uint32_t)(p * 0x1p32),
              .factor = (tn_real)(1 / (1 - p)),
              .of = { first, second } };
    if (tn_drops(n, p))
        tn_over_elements(t, count, drop_range, &j);
    for (int i = 0; i < 2 && !tn_drops(n, p); i++)
        if (j.of[i].y)
            tn_add_values(t, count, j.of[i].x, j.of[i].beta, j.of[i].y);
}

static int dropout_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    tn_like(out, n->in[0]);
    return tn_refuse_dropout(t, n, n->attr.r[0]);
}

static void dropout_forward(tn_tape *t, tn_node *n)
{
    const tn_tensor *a = n->in[0];
    tn_drop(t, n, n->attr.r[0], n->attr.u, tn_tensor_count(a),
            (tn_masked){ .x = a->x, .y = n->out->x }, (tn_masked){ 0 });
}

/* y = a m / (1-p) */
static void dropout_backward(tn_tape *t, const tn_node *n)
{
    if (!tn_drops(n, n->attr.r[0])) {
        tn_grad_pass(t, n, 0);
        return;
    }
    tn_real beta, *da = tn_grad(t, n, 0, &beta);
    if (da)
        tn_drop(t, n, n->attr.r[0], n->attr.u, tn_tensor_count(n->out),
                (tn_masked){ n->out->g, beta, da }, (tn_masked){ 0 });
}

/* clang-format off */
const tn_op tn_op_dropout = { .name = "dropout", .inputs = 1,
    .shape = dropout_shape, .forward = dropout_forward, .backward = dropout_backward,
    .reads = tn_reads_nothing,
    .samples = (const tn_sample[]){
        { .in = { { 1 } }, .attr = { .r = { 0.5 }, .u = 1 } },
        { .in = { { 3, 5 } }, .attr = { .r = { 0 }, .u = 1 } },
        { .in = { { 2, 3, 17 } }, .attr = { .r = { 0.1 }, .u = 2 } },
        { .in = { { 2, 3, 2, 5 } }, .attr = { .r = { 0.9 }, .u = 3 } },
        { .in = { { 1024, 768 } }, .attr = { .r = { 0.1 }, .u = 4 }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 } }, .attr = { .r = { 1 } } }, "dropout: the dropout probability is 1; expected at least 0 and below 1" },
        { { .in = { { 2, 3 } }, .attr = { .r = { -0.5 } } }, "dropout: the dropout probability is -0.5; expected at least 0 and below 1" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_dropout(tn_tape *t, tn_tensor *a, double p, uint64_t stream)
{
    return tn_apply(t, &tn_op_dropout, (tn_tensor *[]){ a }, (tn_attr){ .r = { p }, .u = stream });
}
