/* call.c - makes the operands of a sample and calls its op. */
#include "core/check/call.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 7, WEIGHTS = 100 /* the stream of the loss */ };

static tn_real number(uint64_t stream, int64_t k)
{
    double u = 4 * tn_random_uniform(SEED, stream, 0, (uint64_t)k) - 2;
    return (tn_real)(u < 0 ? u - 0.1 : u + 0.1);
}

static void fill_real(tn_tensor *a, uint64_t stream, bool positive)
{
    for (int64_t k = 0; k < tn_tensor_count(a); k++)
        a->x[k] = positive ? (tn_real)(0.5 + fabs((double)number(stream, k))) : number(stream, k);
}

/* The first number is the largest allowed one, or -1: so the ends of the range occur. */
static void fill_ids(tn_tensor *a, uint64_t stream, int64_t ids, bool negative)
{
    for (int64_t k = 0; k < tn_tensor_count(a); k++) {
        uint32_t u = tn_random(SEED, stream, 0, (uint64_t)k);
        a->i[k] = k == 0 ? (int32_t)ids - 1 : (int32_t)(u % (uint32_t)(ids > 0 ? ids : 1));
        if (negative && k % 3 == 0)
            a->i[k] = -1;
    }
}

static bool has_rows(const tn_op *op, int i, int ndim)
{
    return op->rows >> i & 1 && (ndim > 1 || op->ids >> i & 1);
}

/* True if operand i must be positive. The rule of an operand that is the same tensor as operand 0
   holds for operand 0, too. */
static bool is_positive(const tn_op *op, const tn_sample *s, int i)
{
    return op->positive >> i & 1 || (i == 0 && op->positive & (unsigned)s->same);
}

/* Operand i of the sample; NULL when memory is out. */
static tn_tensor *make_operand(const tn_op *op, const tn_sample *s, int i, int ndim, int64_t rows)
{
    const bool ids = op->ids >> i & 1;
    int64_t dim[TN_MAX_NDIM];
    memcpy(dim, s->in[i], sizeof dim);
    if (rows && has_rows(op, i, ndim))
        dim[0] = rows;
    const bool wants = op->backward && !(op->fixed >> i & 1);
    tn_tensor *a = tn_tensor_new(ids ? TN_I32 : TN_REAL, ndim, dim, wants);
    if (a && ids)
        fill_ids(a, (uint64_t)i, s->ids, s->negative_ids);
    else if (a)
        fill_real(a, (uint64_t)i, is_positive(op, s, i));
    return a;
}

tn_call tn_call_new(const tn_op *op, const tn_sample *s, int index, int64_t rows)
{
    tn_call c = { .op = op, .attr = s->attr, .draw = 1, .before = (tn_real)NAN };
    snprintf(c.name, sizeof c.name, "sample %d", index);
    for (int i = 0; i < op->inputs; i++) {
        int ndim = 0;
        while (ndim < TN_MAX_NDIM && s->in[i][ndim])
            ndim++;
        if (i && s->same >> i & 1)
            c.in[i] = c.in[0];
        else if (ndim)
            c.in[i] = make_operand(op, s, i, ndim, rows);
    }
    return c;
}

bool tn_call_is_first(const tn_call *c, int i)
{
    return c->in[i] && c->in[i]->dtype == TN_REAL && !(c->op->fixed >> i & 1) &&
           (i == 0 || c->in[i] != c->in[0]);
}

bool tn_call_has_rows(const tn_call *c, int i)
{
    return c->in[i] && has_rows(c->op, i, c->in[i]->ndim);
}

void tn_call_free(tn_call *c)
{
    for (int i = c->op->inputs - 1; i >= 0; i--)
        if (i == 0 || c->in[i] != c->in[0])
            tn_tensor_free(c->in[i]);
}

void tn_call_clear(const tn_call *c)
{
    for (int i = 0; i < c->op->inputs; i++) {
        tn_tensor *a = c->in[i];
        if (!a)
            continue;
        a->has_grad = false;
        for (int64_t k = 0; a->g && k < tn_tensor_count(a); k++)
            a->g[k] = c->before;
    }
}

static tn_tensor *run(const tn_call *c, tn_tape *t, bool plain)
{
    tn_tape_reset(t);
    tn_tape_train(t, c->draw);
    return plain ? c->op->reference(t, c->in, c->attr) : tn_apply(t, c->op, c->in, c->attr);
}

static tn_real element(const tn_tensor *a, int64_t k)
{
    return a->dtype == TN_I32 ? (tn_real)a->i[k] : a->x[k];
}

/* Copies ids to numbers on the tape. Returns y itself if it holds numbers. */
static tn_tensor *as_numbers(tn_tape *t, tn_tensor *y)
{
    if (!y || y->dtype == TN_REAL)
        return y;
    tn_tensor *x = tn_tape_input(t, TN_REAL, y->ndim, y->dim);
    for (int64_t k = 0; x && k < tn_tensor_count(y); k++)
        x->x[k] = element(y, k);
    return x;
}

tn_tensor *tn_call_loss(const tn_call *c, tn_tape *t, bool plain, tn_tensor **out)
{
    tn_tensor *y = as_numbers(t, run(c, t, plain));
    if (out)
        *out = y;
    tn_tensor *weights = y ? tn_tape_input(t, TN_REAL, y->ndim, y->dim) : NULL;
    if (weights)
        fill_real(weights, WEIGHTS, false);
    return tn_sum(t, tn_mul(t, y, weights));
}

double tn_call_value(const tn_call *c, tn_tape *t, double *size)
{
    const tn_tensor *y = run(c, t, false);
    double sum = y ? 0 : NAN;
    *size = 0;
    for (int64_t k = 0; y && k < tn_tensor_count(y); k++) {
        const double part = (double)element(y, k) * (double)number(WEIGHTS, k);
        sum += part;
        *size += fabs(part);
    }
    return sum;
}

static int64_t gradients_count(const tn_call *c)
{
    int64_t count = 0;
    for (int i = 0; i < c->op->inputs; i++)
        count += tn_call_is_first(c, i) && c->in[i]->wants_grad ? tn_tensor_count(c->in[i]) : 0;
    return count;
}

/* Copies the gradients one after another. Returns false, with an error on the tape, if one was not
   written. */
static bool copy_gradients(const tn_call *c, tn_tape *t, tn_real *to)
{
    for (int i = 0; i < c->op->inputs; i++) {
        if (!tn_call_is_first(c, i) || !c->in[i]->wants_grad)
            continue;
        if (!c->in[i]->has_grad)
            return !tn_refuse(t, c->op, TN_ESTATE, "backward wrote no gradient of operand %d",
                              i + 1);
        memcpy(to, c->in[i]->g, (size_t)tn_tensor_count(c->in[i]) * sizeof *to);
        to += tn_tensor_count(c->in[i]);
    }
    return true;
}

/* Memory for n numbers. NULL, with an error on the tape, when memory is out. */
static tn_real *room_for(const tn_call *c, tn_tape *t, int64_t n)
{
    tn_real *x = malloc((size_t)(n + 1) * sizeof *x);
    if (!x)
        tn_refuse(t, c->op, TN_ENOMEM, "out of memory");
    return x;
}

tn_real *tn_call_gradients(const tn_call *c, tn_tape *t)
{
    tn_real *g = room_for(c, t, gradients_count(c));
    if (g && copy_gradients(c, t, g))
        return g;
    free(g);
    return NULL;
}

tn_numbers tn_call_numbers(const tn_call *c, tn_tape *t, bool plain)
{
    tn_tensor *out, *loss = tn_call_loss(c, t, plain, &out);
    if (!loss)
        return (tn_numbers){ 0 };
    tn_call_clear(c);
    tn_numbers n = { .out = tn_tensor_count(out) };
    n.count = n.out + gradients_count(c);
    n.x = room_for(c, t, n.count);
    if (!n.x)
        return n;
    memcpy(n.x, out->x, (size_t)n.out * sizeof *n.x);
    if (n.count == n.out || (!tn_backward(t, loss) && copy_gradients(c, t, n.x + n.out)))
        return n;
    free(n.x);
    return (tn_numbers){ 0 };
}

int64_t tn_samples_count(const tn_op *op)
{
    int64_t n = 0;
    while (op->samples && op->samples[n].in[0][0])
        n++;
    return n;
}
