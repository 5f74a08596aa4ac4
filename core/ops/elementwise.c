/* elementwise.c - add, mul, scale.

       add:   y = a + b              da = dy            db = dy, summed over rows when b is one row
       mul:   y = a b                da = dy b          db = dy a
       scale: y = s a                da = s dy */
#include "core/ops/ops.h"

typedef struct job {
    const tn_real *a, *b;
    int64_t cols; /* of b in add: b[i % cols] belongs to element i */
    tn_real s, beta;
    tn_real *y; /* the result, or the gradient that is written */
} job;

/* ---- add ---- */

static int add_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *a = n->in[0], *b = n->in[1];
    bool row = b->ndim == 1 && b->dim[0] == tn_cols(a);
    if (!row && !tn_same_shape(a, b))
        return tn_refuse_shapes(t, n);
    tn_like(out, a);
    return 0;
}

static void add_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t i = from, n; i < to; i += n) {
        int64_t col = i % j->cols;
        n = tn_min(j->cols - col, to - i);
        for (int64_t k = 0; k < n; k++)
            j->y[i + k] = j->a[i + k] + j->b[col + k];
    }
}

static void add_forward(tn_tape *t, tn_node *n)
{
    const tn_tensor *a = n->in[0], *b = n->in[1];
    job j = { .a = a->x, .b = b->x, .cols = tn_tensor_count(b), .y = n->out->x };
    tn_over_elements(t, tn_tensor_count(a), add_range, &j);
}

/* y = a + b. a's comes last: it may take over the memory of dy. */
static void add_backward(tn_tape *t, const tn_node *n)
{
    const tn_tensor *a = n->in[0], *b = n->in[1], *out = n->out;
    tn_real beta, *db = tn_grad(t, n, 1, &beta); // b's shape
    if (db && tn_same_shape(a, b))
        tn_add_values(t, tn_tensor_count(a), out->g, beta, db);
    else if (db)
        tn_sum_columns(t, tn_rows(a), tn_cols(a), out->g, beta, db);
    tn_grad_pass(t, n, 0);
}

/* clang-format off */
const tn_op tn_op_add = { .name = "add", .inputs = 2, .rows = 3,
    .shape = add_shape, .forward = add_forward, .backward = add_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1 }, { 1 } } },
        { .in = { { 3, 5 }, { 3, 5 } } },
        { .in = { { 2, 3, 7 }, { 7 } } },
        { .in = { { 300, 3 }, { 3 } } },
        { .in = { { 2, 1, 2, 3 }, { 2, 1, 2, 3 } }, .same = 2 },
        { .in = { { 1024, 768 }, { 1024, 768 } }, .bench = true },
        { .in = { { 1024, 768 }, { 768 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 }, { 2, 4 } } }, "add: shapes do not fit: (2,3) (2,4)" },
        { { .in = { { 2, 3 }, { 2 } } }, "add: shapes do not fit: (2,3) (2)" },
        { { .in = { { 2, 3 } } }, "add: operand 2 is missing" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_add(tn_tape *t, tn_tensor *a, tn_tensor *b)
{
    return tn_apply(t, &tn_op_add, (tn_tensor *[]){ a, b }, (tn_attr){ 0 });
}

/* ---- mul ---- */

static int mul_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    if (!tn_same_shape(n->in[0], n->in[1]))
        return tn_refuse_shapes(t, n);
    return tn_shape_as_first(t, n, out);
}

static void mul_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t i = from; i < to; i++)
        tn_accumulate(&j->y[i], j->beta, j->a[i] * j->b[i]);
}

static void mul_forward(tn_tape *t, tn_node *n)
{
    job j = { .a = n->in[0]->x, .b = n->in[1]->x, .y = n->out->x };
    tn_over_elements(t, tn_tensor_count(n->out), mul_range, &j);
}

/* y = a b */
static void mul_backward(tn_tape *t, const tn_node *n)
{
    for (int i = 0; i < 2; i++) {
        job j = { .a = n->out->g, .b = n->in[1 - i]->x };
        j.y = tn_grad(t, n, i, &j.beta);
        if (j.y)
            tn_over_elements(t, tn_tensor_count(n->out), mul_range, &j);
    }
}

/* clang-format off */
const tn_op tn_op_mul = { .name = "mul", .inputs = 2, .rows = 3,
    .shape = mul_shape, .forward = mul_forward, .backward = mul_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1 }, { 1 } } },
        { .in = { { 3, 5 }, { 3, 5 } } },
        { .in = { { 2, 3, 7 }, { 2, 3, 7 } } },
        { .in = { { 5, 3 }, { 5, 3 } }, .same = 2 },
        { .in = { { 1024, 768 }, { 1024, 768 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 }, { 3, 2 } } }, "mul: shapes do not fit: (2,3) (3,2)" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_mul(tn_tape *t, tn_tensor *a, tn_tensor *b)
{
    return tn_apply(t, &tn_op_mul, (tn_tensor *[]){ a, b }, (tn_attr){ 0 });
}

/* ---- scale ---- */

static void scale_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t i = from; i < to; i++)
        tn_accumulate(&j->y[i], j->beta, j->s * j->a[i]);
}

static void scale_forward(tn_tape *t, tn_node *n)
{
    job j = { .a = n->in[0]->x, .s = (tn_real)n->attr.r[0], .y = n->out->x };
    tn_over_elements(t, tn_tensor_count(n->out), scale_range, &j);
}

/* y = s a */
static void scale_backward(tn_tape *t, const tn_node *n)
{
    job j = { .a = n->out->g, .s = (tn_real)n->attr.r[0] };
    j.y = tn_grad(t, n, 0, &j.beta);
    if (j.y)
        tn_over_elements(t, tn_tensor_count(n->out), scale_range, &j);
}

/* clang-format off */
const tn_op tn_op_scale = { .name = "scale", .inputs = 1, .rows = 1,
    .shape = tn_shape_as_first, .forward = scale_forward, .backward = scale_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1 } }, .attr = { .r = { 3 } } },
        { .in = { { 3, 5 } }, .attr = { .r = { -0.125 } } },
        { .in = { { 2, 3, 7 } }, .attr = { .r = { 0 } } },
        { .in = { { 2, 1, 3, 2 } }, .attr = { .r = { 1.7 } } },
        { .in = { { 1024, 768 } }, .attr = { .r = { 0.3 } }, .bench = true },
        { .in = { { 0 } } } } };
/* clang-format on */

tn_tensor *tn_scale(tn_tape *t, tn_tensor *a, double s)
{
    return tn_apply(t, &tn_op_scale, (tn_tensor *[]){ a }, (tn_attr){ .r = { s } });
}
