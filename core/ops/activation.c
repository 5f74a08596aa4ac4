/* activation.c - relu, gelu, gelu_erf, silu: a function of each element by itself.

       relu:      y = max(a, 0)                                  da = dy where a > 0
       gelu:      y = a/2 (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3)))      da = dy y'(a)
       gelu_erf:  y = a/2 (1 + erf(a / sqrt(2)))
       silu:      y = a / (1 + exp(-a))

   Hendrycks and Gimpel, "Gaussian error linear units", arXiv:1606.08415: gelu_erf, of which gelu is
   the approximation that GPT-2 has, and silu. */
#include "core/ops/ops.h"

typedef void kernel(int64_t n, const tn_real *x, tn_real *y);
typedef void kernel_back(int64_t n, const tn_real *x, const tn_real *dy, tn_real beta, tn_real *dx);

typedef struct job {
    kernel *forward;
    kernel_back *backward;
    const tn_real *a, *dy;
    tn_real beta, *y; /* y: the result, or the gradient that is written */
} job;

static void forward_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    j->forward(to - from, j->a + from, j->y + from);
}

static void backward_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    j->backward(to - from, j->a + from, j->dy + from, j->beta, j->y + from);
}

static void forward(tn_tape *t, const tn_node *n, kernel *k)
{
    const tn_tensor *a = n->in[0];
    job j = { .forward = k, .a = a->x, .y = n->out->x };
    tn_over_elements(t, tn_tensor_count(a), forward_range, &j);
}

static void backward(tn_tape *t, const tn_node *n, kernel_back *k)
{
    const tn_tensor *a = n->in[0];
    job j = { .backward = k, .a = a->x, .dy = n->out->g };
    j.y = tn_grad(t, n, 0, &j.beta);
    if (j.y)
        tn_over_elements(t, tn_tensor_count(a), backward_range, &j);
}

static const tn_sample samples[] = {
    { .in = { { 1 } } },
    { .in = { { 3, 5 } } },
    { .in = { { 2, 3, 17 } } },
    { .in = { { 2, 1, 3, 2 } } },
    { .in = { { 1024, 3072 } }, .bench = true },
    { .in = { { 0 } } },
};

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
    .shape = tn_shape_as_first, .forward = relu_forward, .backward = relu_backward, .samples = samples };
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
    .shape = tn_shape_as_first, .forward = gelu_forward, .backward = gelu_backward, .samples = samples };
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
    .shape = tn_shape_as_first, .forward = gelu_erf_forward, .backward = gelu_erf_backward, .samples = samples };
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
    .shape = tn_shape_as_first, .forward = silu_forward, .backward = silu_backward, .samples = samples };
/* clang-format on */

tn_tensor *tn_silu(tn_tape *t, tn_tensor *a)
{
    return tn_apply(t, &tn_op_silu, (tn_tensor *[]){ a }, (tn_attr){ 0 });
}
