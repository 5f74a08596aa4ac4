/* test_ops_golden.c - results and gradients of ops against those of PyTorch.
   Each case of tests/golden/ops.json has an op, the numbers of its call, its operands, and the
   results of PyTorch in double. "torch" is the expression that PyTorch computed; a, b, c are the
   operands. */
#include "tests/support/fixtures.h"
#include "tests/support/op_samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void numbers(const tn_json *object, const char *key, double *to, int64_t most)
{
    int64_t n;
    double *x = read_numbers(object, key, &n);
    ck_assert_int_le(n, most);
    for (int64_t i = 0; i < n; i++)
        to[i] = x[i];
    free(x);
}

/* The attributes of a call: integers and reals. */
static tn_attr attributes(const tn_json *c)
{
    tn_attr attr = { 0 };
    double i[8] = { 0 };
    numbers(c, "i", i, 8);
    numbers(c, "r", attr.r, 2);
    for (int k = 0; k < 8; k++)
        attr.i[k] = (int64_t)i[k];
    return attr;
}

/* An operand: real numbers under "x", integers under "ids". */
static tn_tensor *operand(const tn_json *o, bool wants)
{
    int64_t ndim, n;
    const bool ids = tn_json_find(o, "ids") != NULL;
    double *size = read_numbers(o, "dim", &ndim), *x = read_numbers(o, ids ? "ids" : "x", &n);
    int64_t dim[TN_MAX_NDIM];
    for (int64_t i = 0; i < ndim; i++)
        dim[i] = (int64_t)size[i];
    tn_tensor *a = tn_tensor_new(ids ? TN_I32 : TN_REAL, (int)ndim, dim, wants);
    ck_assert_int_eq(tn_tensor_count(a), n);
    for (int64_t i = 0; i < n; i++)
        if (ids)
            a->i[i] = (int32_t)x[i];
        else
            a->x[i] = (tn_real)x[i];
    free(size);
    free(x);
    return a;
}

static void check(const char *name, const char *what, const tn_json *array, const tn_real *x,
                  const int32_t *ids, int64_t n)
{
    const double tolerance = sizeof(tn_real) == sizeof(double) ? 1e-10 : 2e-6;
    double largest = 1e-3;
    int64_t i = 0;
    for (const tn_json *v = array->child; v; v = v->next)
        largest = fmax(largest, fabs(strtod(v->text, NULL)));
    for (const tn_json *v = array->child; v; v = v->next, i++) {
        const double want = strtod(v->text, NULL);
        const double found = i >= n ? (double)NAN : ids ? ids[i] : (double)x[i];
        ck_assert_msg(fabs(found - want) <= tolerance * largest,
                      "%s: %s: number %ld is %.12g, expected %.12g", name, what, (long)i, found,
                      want);
    }
    ck_assert_int_eq(i, n);
}

/* The weight of y[k] in the loss is ((5 k mod 7) - 3) / 4. */
static tn_tensor *loss_of(tn_tape *t, tn_tensor *y)
{
    tn_tensor *w = tn_tape_input(t, TN_REAL, y->ndim, y->dim);
    for (int64_t k = 0; k < tn_tensor_count(y); k++)
        w->x[k] = (tn_real)(5 * k % 7 - 3) / 4;
    return tn_sum(t, tn_mul(t, y, w));
}

static void check_case(tn_tape *t, const tn_op *op, const tn_json *c)
{
    tn_tensor *in[TN_MAX_INPUTS] = { 0 };
    const char *name = tn_json_find(c, "torch")->text;
    int count = 0;
    for (const tn_json *o = tn_json_find(c, "in")->child; o; o = o->next, count++)
        in[count] = operand(o, op->backward && !(op->fixed >> count & 1));
    tn_tensor *y = tn_apply(t, op, in, attributes(c));
    ck_assert_msg(y != NULL, "%s: %s", name, tn_tape_error(t));
    double dim[TN_MAX_NDIM];
    numbers(c, "dim", dim, y->ndim);
    for (int i = 0; i < y->ndim; i++)
        ck_assert_msg(y->dim[i] == (int64_t)dim[i], "%s: dimension %d", name, i);
    const bool ids = y->dtype == TN_I32;
    check(name, "y", tn_json_find(c, "y"), ids ? NULL : y->x, ids ? y->i : NULL,
          tn_tensor_count(y));
    const tn_json *g = op->backward ? tn_json_find(c, "g")->child : NULL;
    if (g)
        ck_assert_int_eq(tn_backward(t, loss_of(t, y)), 0);
    for (int i = 0; i < count && g; i++, g = g->next)
        if (in[i]->wants_grad)
            check(name, "gradient", g, in[i]->g, NULL, tn_tensor_count(in[i]));
    tn_tape_reset(t);
    for (int i = 0; i < count; i++)
        tn_tensor_free(in[i]);
}

static const tn_op *op_of(const tn_json *c)
{
    const char *name = tn_json_find(c, "op")->text;
    for (int i = 0; tn_ops[i]; i++)
        if (!strcmp(tn_ops[i]->name, name))
            return tn_ops[i];
    ck_abort_msg("there is no op %s", name);
    return NULL;
}

START_TEST(values_are_those_of_pytorch)
{
    tn_error e = { 0 };
    const tn_json *root = tn_json_read(GOLDEN "ops.json", &e);
    must(&e);
    bench b = bench_new();
    for (const tn_json *c = tn_json_find(root, "cases")->child; c; c = c->next)
        check_case(b.t, op_of(c), c);
    bench_free(b);
    tn_json_free(root);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, values_are_those_of_pytorch);
}
