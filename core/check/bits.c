/* bits.c - checks what the bits of an op must not depend on.
   These are the instruction set, the number of threads, the batch, the old content of memory, and
   what a later op writes over the result, or over operands that are done. */
#include "core/check/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- instruction sets and threads ---- */

/* Compares every sample on every tape with the first tape. A large sample gets only `rows` rows,
   and is skipped in the double build, because the plain C kernels are slow: they call a function
   for each multiply-add. */
static void compare_tapes(tn_checker *k, tn_tape *const tapes[], const char *const names[],
                          int64_t rows)
{
    for (int i = 0; i < tn_samples_count(k->op); i++) {
        const tn_sample *s = &k->op->samples[i];
        if (s->bench && tn_in_double)
            continue;
        tn_call c = tn_call_new(k->op, s, i, s->bench && s->in[0][0] > rows ? rows : 0);
        tn_numbers first, other;
        if (!tn_check_numbers(k, &c, tapes[0], false, &first))
            first.count = -1;
        for (int j = 1; tapes[j] && first.count >= 0; j++) {
            if (tn_check_numbers(k, &c, tapes[j], false, &other))
                tn_check_same(k, c.name, names[j], &first, &other);
            free(other.x);
        }
        free(first.x);
        tn_call_free(&c);
    }
}

static void same_on_every_isa(tn_checker *k)
{
    enum { MOST = 4 };
    char text[MOST][40];
    const char *name[MOST + 1] = { 0 };
    tn_tape *tapes[MOST + 1] = { 0 };
    int count = 0;
    for (int i = 0; tn_isas[i] && count < MOST && !tn_in_double; i++) {
        name[count] = text[count];
        snprintf(text[count], sizeof text[count], "scalar and %s", tn_isas[i]);
        tapes[count] = tn_check_tape(tn_isas[i], 2);
        count += tapes[count] != NULL;
    }
    if (count)
        compare_tapes(k, tapes, name, 40);
    for (int i = 0; i < count; i++)
        tn_tape_free(tapes[i]);
}

static void same_on_any_threads(tn_checker *k)
{
    static const int threads[] = { 1, 1, 2, 3, 5, 8 };
    static const char *const names[] = { "",          "a second run", "2 threads",
                                         "3 threads", "5 threads",    "8 threads" };
    tn_tape *tapes[7] = { 0 };
    bool all = true;
    for (int i = 0; i < 6; i++)
        all = (tapes[i] = tn_check_tape(NULL, threads[i])) && all;
    if (all)
        compare_tapes(k, tapes, names, 300);
    else
        tn_found(k, "out of memory for 8 threads");
    for (int i = 0; i < 6; i++)
        tn_tape_free(tapes[i]);
}

/* ---- batches ---- */

/* A call with rows [from, from + count) of the operands of another call. */
static tn_call some_rows(const tn_call *all, const tn_sample *s, int64_t from, int64_t count)
{
    tn_call c = tn_call_new(all->op, s, 0, count);
    for (int i = 0; i < c.op->inputs; i++) {
        if (!c.in[i])
            continue;
        size_t bytes = tn_tensor_bytes(c.in[i]);
        size_t skip = tn_call_has_rows(&c, i) ? bytes / (size_t)count * (size_t)from : 0;
        memcpy(c.in[i]->data, (const char *)all->in[i]->data + skip, bytes);
    }
    return c;
}

/* Runs rows [from, from + count) alone. Their result has the same bits as among all rows. */
static void compare_results(tn_checker *k, const tn_call *all, tn_tape *t, const tn_sample *s,
                            const tn_numbers *want, int64_t from, int64_t count)
{
    tn_call c = some_rows(all, s, from, count);
    tn_tensor *y;
    if (tn_call_loss(&c, t, false, &y)) {
        tn_numbers found = { .count = tn_tensor_count(y), .out = tn_tensor_count(y), .x = y->x };
        tn_numbers part = found;
        part.x = want->x + from * (found.count / count);
        tn_check_same(k, all->name, "rows alone and in a batch", &found, &part);
    } else
        tn_found(k, "%s, %d rows: %s", all->name, (int)count, tn_tape_error(t));
    tn_call_free(&c);
}

/* The same for the gradients of operands with rows. Only the first rows can be compared: the weight
   of an element in the loss depends on its place in the result. */
static void compare_gradients(tn_checker *k, const tn_call *all, tn_tape *t, const tn_sample *s,
                              int64_t count)
{
    tn_call c = some_rows(all, s, 0, count);
    tn_numbers n;
    const bool ran = tn_check_numbers(k, &c, t, false, &n);
    for (int i = 0; ran && i < c.op->inputs; i++) {
        if (!tn_call_is_first(&c, i) || !tn_call_has_rows(&c, i) || !c.in[i]->g)
            continue;
        tn_numbers found = { .count = tn_tensor_count(c.in[i]), .x = c.in[i]->g };
        tn_numbers part = { .count = found.count, .x = all->in[i]->g };
        tn_check_same(k, all->name, "gradients of rows alone and in a batch", &found, &part);
    }
    free(n.x);
    tn_call_free(&c);
}

/* True if a part of the rows can run alone: dim[0] is a batch dimension in this sample, operand 0
   is not a single row, and every operand that is the same tensor as operand 0 has rows, too. */
static bool takes_rows(const tn_op *op, const tn_sample *s)
{
    const bool single = op->rows & 1 && !s->in[0][1];
    return op->rows && !s->mixed && !single && !((unsigned)s->same & ~op->rows);
}

/* True if the op draws random numbers. It numbers the elements from the first row of the batch on:
   a row has other random numbers if other rows come before it. */
static bool draws(const tn_call *c, tn_tape *t)
{
    tn_call other = *c;
    other.draw = 2;
    double size, now = tn_call_value(c, t, &size), then = tn_call_value(&other, t, &size);
    return memcmp(&now, &then, sizeof now) != 0;
}

static void same_in_any_batch(tn_checker *k)
{
    enum { ROWS = 8 };
    static const int64_t sizes[] = { 1, 2, 5 };
    tn_tape *t = tn_check_tape(NULL, 2);
    for (int i = 0; i < tn_samples_count(k->op) && t; i++) {
        const tn_sample *s = &k->op->samples[i];
        if (!takes_rows(k->op, s) || (s->bench && tn_in_double))
            continue;
        tn_call all = tn_call_new(k->op, s, i, ROWS);
        tn_numbers want = { 0 };
        if (!draws(&all, t) && tn_check_numbers(k, &all, t, false, &want)) {
            const int before = k->found;
            for (size_t j = 0; j < sizeof sizes / sizeof *sizes && k->found == before; j++) {
                compare_results(k, &all, t, s, &want, ROWS - sizes[j], sizes[j]);
                compare_gradients(k, &all, t, s, sizes[j]);
            }
        }
        free(want.x);
        tn_call_free(&all);
    }
    tn_tape_free(t);
}

/* ---- memory that is not written ---- */

typedef struct dirty { /* an op; the memory of its result is filled with `before` at some moment */
    tn_op op;
    const tn_op *real;
    tn_real before;
} dirty;

static void set_all(tn_tensor *a, tn_real to)
{
    for (int64_t i = 0; i < tn_tensor_count(a); i++)
        if (a->dtype == TN_I32)
            a->i[i] = (int32_t)to;
        else
            a->x[i] = to;
}

static void dirty_forward(tn_tape *t, tn_node *n)
{
    const dirty *d = (const dirty *)n->op;
    set_all(n->out, d->before);
    n->op = d->real;
    d->real->forward(t, n);
}

static void written(tn_checker *k, const tn_call *c, tn_tape *t)
{
    dirty d = { .op = *k->op, .real = k->op, .before = 1 };
    tn_call call = *c;
    if (!d.op.view && !d.op.consumes)
        d.op.forward = dirty_forward;
    tn_numbers n[2] = { { 0 }, { 0 } };
    bool ran = true;
    call.op = &d.op;
    for (int i = 0; i < 2 && ran; i++) {
        call.before = d.before = i ? -3 : 1;
        ran = tn_check_numbers(k, &call, t, false, &n[i]);
    }
    if (ran)
        tn_check_same(k, c->name, "an element is not written, or is added to old content", &n[0],
                      &n[1]);
    free(n[0].x);
    free(n[1].x);
}

/* ---- a result that a later op overwrites ---- */

static void kept_forward(tn_tape *t, tn_node *n)
{
    const tn_op *op = n->op;
    n->op = ((const dirty *)op)->real;
    n->op->forward(t, n);
    n->op = op;
}

static void overwritten_backward(tn_tape *t, const tn_node *n)
{
    const dirty *d = (const dirty *)n->op;
    tn_node real = *n;
    real.op = d->real;
    set_all(n->out, d->before);
    d->real->backward(t, &real);
}

/* Gradients have the same bits if the result is overwritten before backward: only an op that has
   reads_result may read it. */
static void leaves_result(tn_checker *k, const tn_call *c, tn_tape *t)
{
    dirty d = { .op = *k->op, .real = k->op, .before = -3 };
    if (!d.op.backward || d.op.reads_result || d.op.view || d.op.consumes)
        return;
    tn_call call = *c;
    d.op.forward = kept_forward;
    d.op.backward = overwritten_backward;
    call.op = &d.op;
    tn_numbers whole, overwritten = { 0 };
    if (tn_check_numbers(k, c, t, false, &whole) &&
        tn_check_numbers(k, &call, t, false, &overwritten))
        tn_check_same(k, c->name, "backward reads the result, and reads_result is not set", &whole,
                      &overwritten);
    free(whole.x);
    free(overwritten.x);
}

/* ---- operands whose memory is used again ---- */

/* Does backward read the values of this tensor, under any number? */
static bool is_read(const tn_node *n, const tn_tensor *a)
{
    bool read = false;
    for (int i = 0; i < n->op->inputs; i++)
        read = read || (n->in[i] == a && n->op->reads(n, i));
    return read;
}

/* Runs backward while the operands that it does not read hold other numbers. */
static void spoilt_backward(tn_tape *t, const tn_node *n)
{
    const dirty *d = (const dirty *)n->op;
    tn_real *was[TN_MAX_INPUTS] = { 0 };
    tn_node real = *n;
    real.op = d->real;
    for (int i = 0; i < n->op->inputs; i++) {
        tn_tensor *a = n->in[i];
        if (!a || a->dtype != TN_REAL || is_read(&real, a))
            continue;
        was[i] = malloc(tn_tensor_bytes(a) + 1);
        if (!was[i])
            continue;
        memcpy(was[i], a->x, tn_tensor_bytes(a));
        set_all(a, d->before);
    }
    d->real->backward(t, &real);
    for (int i = n->op->inputs; i-- > 0;)
        if (was[i]) {
            memcpy(n->in[i]->x, was[i], tn_tensor_bytes(n->in[i]));
            free(was[i]);
        }
}

/* Gradients have the same bits if the operands that backward does not read (.reads) are overwritten
   before it: when all operands want one, and when only one of them does. */
static void leaves_operands(tn_checker *k, const tn_call *c, tn_tape *t)
{
    dirty d = { .op = *k->op, .real = k->op, .before = -3 };
    if (!d.op.backward || !d.op.reads)
        return;
    tn_call call = *c;
    d.op.forward = kept_forward;
    d.op.backward = spoilt_backward;
    call.op = &d.op;
    bool wants[TN_MAX_INPUTS] = { 0 };
    for (int i = 0; i < d.op.inputs; i++)
        wants[i] = c->in[i] && c->in[i]->wants_grad;
    for (int only = -1; only < d.op.inputs; only++) {
        if (only >= 0 && !wants[only])
            continue;
        for (int i = 0; i < d.op.inputs; i++)
            if (c->in[i])
                c->in[i]->wants_grad = wants[i] && (only < 0 || c->in[i] == c->in[only]);
        tn_numbers whole, spoilt = { 0 };
        if (tn_check_numbers(k, c, t, false, &whole) &&
            tn_check_numbers(k, &call, t, false, &spoilt))
            tn_check_same(k, c->name, "backward reads an operand that .reads denies", &whole,
                          &spoilt);
        free(whole.x);
        free(spoilt.x);
    }
    for (int i = 0; i < d.op.inputs; i++)
        if (c->in[i])
            c->in[i]->wants_grad = wants[i];
}

void tn_check_bits(tn_checker *k)
{
    same_on_every_isa(k);
    same_on_any_threads(k);
    same_in_any_batch(k);
    tn_tape *t = tn_check_tape(NULL, 2);
    tn_check_samples(k, t, written);
    tn_check_samples(k, t, leaves_result);
    tn_check_samples(k, t, leaves_operands);
    tn_tape_free(t);
}
