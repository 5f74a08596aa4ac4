/* activation.c - relu, gelu, gelu_erf, silu: a function of each element by itself.

       relu:      y = max(a, 0)                                  da = dy where a > 0
       gelu:      y = a/2 (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3)))      da = dy y'(a)
       gelu_erf:  y = a/2 (1 + erf(a / sqrt(2)))
       silu:      y = a / (1 + exp(-a))

   Hendrycks and Gimpel, "Gaussian error linear units", arXiv:1606.08415: gelu_erf, of which gelu is the
   approximation that GPT-2 has, and silu. Work is cut into pieces of TN_CHUNK elements. */
#include "core/ops/ops.h"

typedef void kernel(int64_t n, const tn_real *x, tn_real *y);
typedef void kernel_back(int64_t n, const tn_real *x, const tn_real *dy, tn_real beta, tn_real *dx);

typedef struct job {
    kernel *forward;
    kernel_back *backward;
    int64_t count;
    const tn_real *a, *dy;
    tn_real beta, *y; /* y: the result, or the gradient that is written */
} job;

static void chunk(void *arg, int64_t task, int thread)
{
    (void)thread;
    const job *j = arg;
    const int64_t from = task * TN_CHUNK, n = tn_min(j->count - from, TN_CHUNK);
    if (j->forward)
        j->forward(n, j->a + from, j->y + from);
    else
        j->backward(n, j->a + from, j->dy + from, j->beta, j->y + from);
}

static void run(tn_tape *t, job j)
{
    tn_parallel_for(tn_tape_context(t), tn_ranges(j.count, TN_CHUNK), chunk, &j);
}

static int same_as_input(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    (void)t;
    tn_like(out, n->in[0]);
    return 0;
}

static void forward(tn_tape *t, const tn_node *n, kernel *k)
{
    const tn_tensor *a = n->in[0];
    run(t, (job){ .forward = k, .count = tn_tensor_count(a), .a = a->x, .y = n->out->x });
}

static void backward(tn_tape *t, const tn_node *n, kernel_back *k)
{
    const tn_tensor *a = n->in[0];
    tn_real beta, *da = tn_grad(t, n, 0, &beta);
    if (da)
        run(t, (job){ .backward = k,
                      .count = tn_tensor_count(a),
                      .a = a->x,
                      .dy = n->out->g,
                      .beta = beta,
                      .y = da });
}

static const tn_sample samples[] = { { .in = { { 1 } } },
                                     { .in = { { 3, 5 } } },
                                     { .in = { { 2, 3, 17 } } },
                                     { .in = { { 2, 1, 3, 2 } } },
                                     { .in = { { 1024, 3072 } }, .bench = true },
                                     { .in = { { 0 } } } };

/* ---- relu ---- */

static void relu(int64_t n, const tn_real *x, tn_real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] < 0 ? 0 : x[i]; /* a NaN stays one */
}

/* dy is read whether it counts or not: compilers then choose without a branch, which costs 15 ns
   when it is guessed wrong. */
static void relu_back(int64_t n, const tn_real *x, const tn_real *dy, tn_real beta, tn_real *dx)
{
    for (int64_t i = 0; i < n; i++) {
        tn_real d = dy[i];
        tn_accumulate(&dx[i], beta, x[i] > 0 ? d : 0);
    }
}

static void relu_forward(tn_tape *t, tn_node *n)
{
    forward(t, n, relu);
}

static void relu_backward(tn_tape *t, const tn_node *n)
{
    backward(t, n, relu_back);
}

/* clang-format off */
const tn_op tn_op_relu = { .name = "relu", .inputs = 1, .rows = 1,
    .shape = same_as_input, .forward = relu_forward, .backward = relu_backward, .samples = samples };
/* clang-format on */

tn_tensor *tn_relu(tn_tape *t, tn_tensor *a)
{
    return tn_apply(t, &tn_op_relu, (tn_tensor *[]){ a }, (tn_attr){ 0 });
}

/* ---- gelu ---- */

static void gelu_forward(tn_tape *t, tn_node *n)
{
    forward(t, n, tn_kernels_on(t)->gelu);
}

static void gelu_backward(tn_tape *t, const tn_node *n)
{
    backward(t, n, tn_kernels_on(t)->gelu_back);
}

/* clang-format off */
const tn_op tn_op_gelu = { .name = "gelu", .inputs = 1, .rows = 1,
    .shape = same_as_input, .forward = gelu_forward, .backward = gelu_backward, .samples = samples };
/* clang-format on */

tn_tensor *tn_gelu(tn_tape *t, tn_tensor *a)
{
    return tn_apply(t, &tn_op_gelu, (tn_tensor *[]){ a }, (tn_attr){ 0 });
}

/* ---- gelu_erf ---- */

static void gelu_erf_forward(tn_tape *t, tn_node *n)
{
    forward(t, n, tn_kernels_on(t)->gelu_erf);
}

static void gelu_erf_backward(tn_tape *t, const tn_node *n)
{
    backward(t, n, tn_kernels_on(t)->gelu_erf_back);
}

/* clang-format off */
const tn_op tn_op_gelu_erf = { .name = "gelu_erf", .inputs = 1, .rows = 1,
    .shape = same_as_input, .forward = gelu_erf_forward, .backward = gelu_erf_backward, .samples = samples };
/* clang-format on */

tn_tensor *tn_gelu_erf(tn_tape *t, tn_tensor *a)
{
    return tn_apply(t, &tn_op_gelu_erf, (tn_tensor *[]){ a }, (tn_attr){ 0 });
}

/* ---- silu ---- */

static void silu_forward(tn_tape *t, tn_node *n)
{
    forward(t, n, tn_kernels_on(t)->silu);
}

static void silu_backward(tn_tape *t, const tn_node *n)
{
    backward(t, n, tn_kernels_on(t)->silu_back);
}

/* clang-format off */
const tn_op tn_op_silu = { .name = "silu", .inputs = 1, .rows = 1,
    .shape = same_as_input, .forward = silu_forward, .backward = silu_backward, .samples = samples };
/* clang-format on */

tn_tensor *tn_silu(tn_tape *t, tn_tensor *a)
{
    return tn_apply(t, &tn_op_silu, (tn_tensor *[]){ a }, (tn_attr){ 0 });
}
