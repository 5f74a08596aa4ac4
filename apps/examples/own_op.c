/* own_op.c - an op that is not in core/ops/, checked and used: y = sqrt(a^2 + s^2) - s.
   It is a loss that grows as a^2 near 0 and as |a| far from it, so that outliers pull less
   ("Charbonnier"). tn_op_check compares its backward with differences and much more: it finds
   1 % in this build, a millionth with -DTN_DOUBLE and libtenon64.a.

       make && build/examples/own_op

       soft_abs: 0 findings
       slope 1.996 (of 2), with squares 1.432 */
#include "core/op.h"

#include <math.h>
#include <stdio.h>

static int soft_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    if (!(n->attr.r[0] > 0))
        return tn_refuse(t, n->op, TN_EARG, "s is %g; expected more than 0", n->attr.r[0]);
    tn_like(out, n->in[0]);
    return 0;
}

static void soft_forward(tn_tape *t, tn_node *n)
{
    (void)t;
    const tn_real *a = n->in[0]->x, s = (tn_real)n->attr.r[0];
    for (int64_t i = 0; i < tn_tensor_count(n->out); i++)
        n->out->x[i] = (tn_real)sqrt((double)(a[i] * a[i] + s * s)) - s;
}

/* dy/da = a / sqrt(a^2 + s^2) = a / (y + s) */
static void soft_backward(tn_tape *t, const tn_node *n)
{
    const tn_real *a = n->in[0]->x, *y = n->out->x, *dy = n->out->g, s = (tn_real)n->attr.r[0];
    tn_real beta, *da = tn_grad(t, n, 0, &beta);
    for (int64_t i = 0; da && i < tn_tensor_count(n->out); i++) {
        const tn_real d = dy[i] * a[i] / (y[i] + s);
        da[i] = beta == 0 ? d : da[i] + d;
    }
}

/* clang-format off */
static const tn_op soft_abs = { .name = "soft_abs", .inputs = 1, .rows = 1,
    .shape = soft_shape, .forward = soft_forward, .backward = soft_backward,
    .reads_result = true, /* backward reads y */
    .samples = (const tn_sample[]){
        { .in = { { 1 } }, .attr = { .r = { 1 } } },
        { .in = { { 3, 5 } }, .attr = { .r = { 0.5 } } },
        { .in = { { 2, 1, 7 } }, .attr = { .r = { 2 } } },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3 } }, .attr = { .r = { 0 } } }, "soft_abs: s is 0; expected more than 0" },
        { .text = "" } } };
/* clang-format on */

static tn_tensor *soft(tn_tape *t, tn_tensor *a, double s)
{
    return tn_apply(t, &soft_abs, (tn_tensor *[]){ a }, (tn_attr){ .r = { s } });
}

static void print(void *arg, const char *bytes, size_t n)
{
    fwrite(bytes, 1, n, arg);
}

/* The slope of a line through points of y = 2 x, of which one is far off. */
static double fit(tn_tape *t, tn_tensor *slope, bool squares)
{
    slope->x[0] = 0;
    for (int step = 0; step < 500; step++) {
        tn_tensor *x = tn_tape_input(t, TN_REAL, TN_SHAPE(9, 1));
        tn_tensor *y = tn_tape_input(t, TN_REAL, TN_SHAPE(9, 1));
        for (int i = 0; x && y && i < 9; i++) {
            x->x[i] = (tn_real)(i + 1) / 9;
            y->x[i] = i == 8 ? 0 : -2 * x->x[i]; /* minus y: errors are added */
        }
        tn_tensor *error = tn_add(t, tn_matmul(t, x, slope), y);
        if (tn_backward(t, tn_mean(t, squares ? tn_mul(t, error, error) : soft(t, error, 0.01))))
            fprintf(stderr, "%s\n", tn_tape_error(t));
        slope->x[0] -= slope->has_grad ? (tn_real)0.2 / (1 + (tn_real)step / 50) * slope->g[0] : 0;
        slope->has_grad = false; /* as tn_params_clear does */
        tn_tape_reset(t);
    }
    return (double)slope->x[0];
}

int main(void)
{
    tn_context *c = tn_context_new(&(tn_options){ .seed = 1 });
    if (!c)
        return 1; /* out of memory, or this CPU does not have what $TN_ISA names */
    tn_tape *t = tn_tape_new(c);
    tn_tensor *slope = tn_tensor_new(TN_REAL, TN_SHAPE(1, 1), true);
    const int found = tn_op_check(&soft_abs, print, stdout);
    printf("soft_abs: %d findings\n", found);
    const double robust = fit(t, slope, false), squares = fit(t, slope, true);
    printf("slope %.3f (of 2), with squares %.3f\n", robust, squares);
    tn_tensor_free(slope), tn_tape_free(t), tn_context_free(c);
    return found != 0;
}
