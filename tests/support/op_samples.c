/* op_samples.c - makes the operands of a sample and calls its op. */
#include "tests/support/op_samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 7 };

static void fill_real(tn_tensor *a, uint64_t stream)
{
    for (int64_t k = 0; k < tn_tensor_count(a); k++) {
        double u = 4 * tn_random_uniform(SEED, stream, 0, (uint64_t)k) - 2;
        a->x[k] = (tn_real)(u < 0 ? u - 0.1 : u + 0.1);
    }
}

/* The first number is the largest there may be (or -1), so that the ends of the range occur. */
static void fill_ids(tn_tensor *a, uint64_t stream, int64_t ids, bool negative)
{
    for (int64_t k = 0; k < tn_tensor_count(a); k++) {
        uint32_t u = tn_random(SEED, stream, 0, (uint64_t)k);
        a->i[k] = k == 0 ? (int32_t)ids - 1 : (int32_t)(u % (uint32_t)ids);
        if (negative && k % 3 == 0)
            a->i[k] = -1;
    }
}

static bool has_rows(const tn_op *op, int i, int ndim)
{
    return op->rows >> i & 1 && (ndim > 1 || op->ids >> i & 1);
}

call call_new(const tn_op *op, const tn_sample *s, int index, int64_t rows)
{
    call c = { .op = op, .attr = s->attr };
    snprintf(c.name, sizeof c.name, "%s: sample %d", op->name, index);
    for (int i = 0; i < op->inputs; i++) {
        int ndim = 0;
        while (ndim < TN_MAX_NDIM && s->in[i][ndim])
            ndim++;
        int64_t dim[TN_MAX_NDIM];
        memcpy(dim, s->in[i], sizeof dim);
        if (rows && has_rows(op, i, ndim))
            dim[0] = rows;
        if (i && s->same >> i & 1)
            c.in[i] = c.in[0];
        else if (ndim)
            c.in[i] = tn_tensor_new(op->ids >> i & 1 ? TN_I32 : TN_REAL, ndim, dim, true);
        if (!c.in[i] || (i && c.in[i] == c.in[0]))
            continue;
        if (c.in[i]->dtype == TN_I32)
            fill_ids(c.in[i], (uint64_t)i, s->ids, s->negative_ids);
        else
            fill_real(c.in[i], (uint64_t)i);
    }
    return c;
}

bool call_is_first(const call *c, int i)
{
    return c->in[i] && c->in[i]->dtype == TN_REAL && (i == 0 || c->in[i] != c->in[0]);
}

bool call_has_rows(const call *c, int i)
{
    return c->in[i] && has_rows(c->op, i, c->in[i]->ndim);
}

void call_free(call *c)
{
    for (int i = c->op->inputs - 1; i >= 0; i--)
        if (i == 0 || c->in[i] != c->in[0])
            tn_tensor_free(c->in[i]);
}

void call_clear(const call *c)
{
    for (int i = 0; i < c->op->inputs; i++) {
        tn_tensor *a = c->in[i];
        if (!a)
            continue;
        a->has_grad = false;
        for (int64_t k = 0; a->g && k < tn_tensor_count(a); k++)
            a->g[k] = (tn_real)NAN;
    }
}

tn_tensor *call_loss(const call *c, tn_tape *t, bool plain, tn_tensor **out)
{
    tn_tape_reset(t);
    tn_tape_train(t, 1);
    tn_tensor *y = plain ? c->op->reference(t, c->in, c->attr) : tn_apply(t, c->op, c->in, c->attr);
    ck_assert_msg(y != NULL, "%s: %s", c->name, tn_tape_error(t));
    if (out)
        *out = y;
    tn_tensor *weights = tn_tape_input(t, TN_REAL, y->ndim, y->dim);
    fill_real(weights, 100);
    return tn_sum(t, tn_mul(t, y, weights));
}

static int64_t gradients_count(const call *c)
{
    int64_t count = 0;
    for (int i = 0; i < c->op->inputs; i++)
        count += call_is_first(c, i) && c->in[i]->wants_grad ? tn_tensor_count(c->in[i]) : 0;
    return count;
}

/* Copies the gradients one after another. */
static void copy_gradients(const call *c, tn_real *to)
{
    for (int i = 0; i < c->op->inputs; i++) {
        if (!call_is_first(c, i) || !c->in[i]->wants_grad)
            continue;
        ck_assert_msg(c->in[i]->has_grad, "%s: no gradient of operand %d", c->name, i);
        memcpy(to, c->in[i]->g, (size_t)tn_tensor_count(c->in[i]) * sizeof *to);
        to += tn_tensor_count(c->in[i]);
    }
}

tn_real *call_gradients(const call *c)
{
    tn_real *g = malloc((size_t)gradients_count(c) * sizeof *g);
    ck_assert_ptr_nonnull(g);
    copy_gradients(c, g);
    return g;
}

numbers call_numbers(const call *c, tn_tape *t, bool plain)
{
    tn_tensor *out, *loss = call_loss(c, t, plain, &out);
    call_clear(c);
    numbers n = { .out = tn_tensor_count(out) };
    n.count = n.out + gradients_count(c);
    n.x = malloc((size_t)n.count * sizeof *n.x);
    ck_assert_ptr_nonnull(n.x);
    memcpy(n.x, out->x, (size_t)n.out * sizeof *n.x);
    if (n.count > n.out)
        ck_assert_msg(tn_backward(t, loss) == 0, "%s: %s", c->name, tn_tape_error(t));
    copy_gradients(c, n.x + n.out);
    return n;
}

int64_t samples_of(const tn_op *op)
{
    int64_t n = 0;
    while (op->samples && op->samples[n].in[0][0])
        n++;
    return n;
}

bench bench_new(void)
{
    bench b = { .c = tn_context_new(&(tn_options){ .threads = 2, .seed = 3 }) };
    b.t = b.c ? tn_tape_new(b.c) : NULL;
    ck_assert_ptr_nonnull(b.t);
    return b;
}

void bench_free(bench b)
{
    tn_tape_free(b.t);
    tn_context_free(b.c);
}

tn_tensor *tensor(int ndim, const int64_t dim[], const double *values, bool wants)
{
    tn_tensor *a = tn_tensor_new(TN_REAL, ndim, dim, wants);
    ck_assert_ptr_nonnull(a);
    tn_fill_uniform(a->x, tn_tensor_count(a), 1, 11, (uint64_t)tn_tensor_count(a));
    for (int64_t i = 0; values && i < tn_tensor_count(a); i++)
        a->x[i] = (tn_real)values[i];
    return a;
}
