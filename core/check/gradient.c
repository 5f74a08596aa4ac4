/* gradient.c - compares backward with differences of forward, and checks that gradients are added.

       d loss / dv  =  (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h      along a direction v

   In double h is 1e-3, and both must agree within 1e-6. In float the rounding error of a result is
   6e-8 of its size, and the division by h makes it larger. So h is 1/32, and both may differ by 1 %
   plus this error. */
#include "core/check/check.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Moves the operands by h along v, which has room for all of them. */
static void move(const tn_call *c, const tn_real *start, const double *v, double h)
{
    for (int i = 0; i < c->op->inputs; i++) {
        if (!tn_call_is_first(c, i))
            continue;
        for (int64_t k = 0; k < tn_tensor_count(c->in[i]); k++)
            c->in[i]->x[k] = *start++ + (tn_real)(h * *v++);
    }
}

/* The derivative along v. *rounding becomes the largest error that rounding can have caused. */
static double difference(const tn_call *c, tn_tape *t, const tn_real *start, const double *v,
                         double *rounding)
{
    static const double step[] = { 1, -1, 2, -2 }, at[] = { 8, -8, -1, 1 };
    const double h = tn_in_double ? 1e-3 : 1.0 / 32;
    double sum = 0, size = 0;
    for (int i = 0; i < 4; i++) {
        move(c, start, v, step[i] * h);
        sum += at[i] * tn_call_value(c, t, &size);
    }
    move(c, start, v, 0);
    *rounding = tn_in_double ? 0 : 4 * (double)FLT_EPSILON * size / h;
    return sum / (12 * h);
}

enum { FULL = 2000, DIRECTIONS = 50 };

/* v becomes direction i of `checks`: element i, or a random one. Returns the derivative along v by
   the gradients g. */
static double direction(double *v, int64_t count, int64_t i, int64_t checks, const tn_real *g)
{
    double slope = 0;
    for (int64_t k = 0; k < count; k++) {
        if (checks < count)
            v[k] = tn_random_normal(5, (uint64_t)i, 0, (uint64_t)k) / sqrt((double)count);
        else
            v[k] = k == i;
        slope += v[k] * (double)g[k];
    }
    return slope;
}

/* Copies the operands, in the order in which tn_call_numbers copies gradients. */
static void copy_operands(const tn_call *c, tn_real *to)
{
    for (int i = 0; i < c->op->inputs; i++) {
        if (!tn_call_is_first(c, i))
            continue;
        memcpy(to, c->in[i]->x, (size_t)tn_tensor_count(c->in[i]) * sizeof *to);
        to += tn_tensor_count(c->in[i]);
    }
}

static void compare(tn_checker *k, const tn_call *c, tn_tape *t, const tn_real *g, int64_t count)
{
    const int64_t checks = count <= FULL ? count : DIRECTIONS;
    double *v = calloc((size_t)count, sizeof *v), largest = 0;
    tn_real *start = malloc((size_t)count * sizeof *start);
    if (!v || !start)
        tn_found(k, "%s: out of memory", c->name);
    else
        copy_operands(c, start);
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)g[i]));
    const double share = tn_in_double ? 1e-6 : 1e-2, floor = tn_in_double ? 1e-3 : 0.1;
    for (int64_t i = 0; v && start && i < checks; i++) {
        double rounding, want = direction(v, count, i, checks, g);
        double found = difference(c, t, start, v, &rounding);
        double scale = fmax(fmax(fabs(want), floor * largest), 1e-6);
        if (fabs(found - want) < share * scale + rounding)
            continue;
        tn_found(k, "%s: direction %lld: backward %.12g, differences %.12g", c->name, (long long)i,
                 want, found);
        break;
    }
    free(v);
    free(start);
}

static void is_derivative(tn_checker *k, const tn_call *c, tn_tape *t)
{
    tn_numbers n;
    if (!tn_check_numbers(k, c, t, false, &n))
        return;
    if (n.count > n.out)
        compare(k, c, t, n.x + n.out, n.count - n.out);
    free(n.x);
}

/* A second backward adds to what the first one wrote. */
static void adds(tn_checker *k, const tn_call *c, tn_tape *t)
{
    tn_numbers once;
    if (!tn_check_numbers(k, c, t, false, &once))
        return;
    tn_numbers want = { .count = once.count - once.out, .x = once.x + once.out };
    tn_numbers twice = { .count = want.count };
    for (int64_t i = 0; i < want.count; i++)
        want.x[i] *= 2;
    tn_tensor *loss = tn_call_loss(c, t, false, NULL);
    if (want.count && !tn_backward(t, loss))
        twice.x = tn_call_gradients(c, t);
    if (twice.x)
        tn_check_close(k, c->name, "gradients added twice", &twice, &want);
    else if (want.count)
        tn_found(k, "%s: %s", c->name, tn_tape_error(t));
    free(twice.x);
    free(once.x);
}

/* The gradient of one operand has the same bits when no other operand wants one. */
static void alone(tn_checker *k, const tn_call *c, tn_tape *t)
{
    tn_numbers all, one;
    if (!tn_check_numbers(k, c, t, false, &all))
        return;
    int64_t at = all.out;
    for (int i = 0; i < c->op->inputs; i++) {
        if (!tn_call_is_first(c, i))
            continue;
        for (int j = 0; j < c->op->inputs; j++)
            if (tn_call_is_first(c, j))
                c->in[j]->wants_grad = j == i;
        if (!tn_check_numbers(k, c, t, false, &one))
            break;
        tn_numbers found = { .count = one.count - one.out, .x = one.x + one.out };
        tn_numbers want = { .count = found.count, .x = all.x + at };
        at += found.count;
        const bool same = tn_check_same(k, c->name, "gradient wanted alone", &found, &want);
        free(one.x);
        if (!same)
            break;
    }
    free(all.x);
}

void tn_check_gradients(tn_checker *k)
{
    if (!k->op->backward)
        return;
    tn_tape *t = tn_check_tape(NULL, 2);
    tn_check_samples(k, t, is_derivative);
    tn_check_samples(k, t, adds);
    tn_check_samples(k, t, alone);
    tn_tape_free(t);
}
