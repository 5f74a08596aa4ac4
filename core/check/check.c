/* check.c - tn_op_check: checks the promises of op.h for an op, over its own samples. */
#include "core/check/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void tn_found(tn_checker *k, const char *format, ...)
{
    k->found++;
    if (!k->put)
        return;
    k->put(k->arg, k->op->name, strlen(k->op->name));
    k->put(k->arg, ": ", 2);
    va_list args;
    va_start(args, format);
    tn_format(k->put, k->arg, 0, format, args);
    va_end(args);
    k->put(k->arg, "\n", 1);
}

tn_tape *tn_check_tape(const char *isa, int threads)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = threads, .seed = 3, .isa = isa });
    tn_tape *t = c ? tn_tape_new(c) : NULL;
    tn_context_free(c); /* the tape keeps it */
    return t;
}

bool tn_check_numbers(tn_checker *k, const tn_call *c, tn_tape *t, bool plain, tn_numbers *n)
{
    *n = tn_call_numbers(c, t, plain);
    if (!n->x)
        tn_found(k, "%s: %s", c->name, tn_tape_error(t));
    return n->x != NULL;
}

void tn_check_samples(tn_checker *k, tn_tape *t, tn_check_body *body)
{
    for (int i = 0; i < tn_samples_count(k->op); i++) {
        if (k->op->samples[i].bench)
            continue;
        tn_call c = tn_call_new(k->op, &k->op->samples[i], i, 0);
        body(k, &c, t);
        tn_call_free(&c);
    }
}

static bool same_count(tn_checker *k, const char *name, const char *what, const tn_numbers *a,
                       const tn_numbers *b)
{
    if (a->count != b->count)
        tn_found(k, "%s: %s: %lld numbers and %lld", name, what, (long long)a->count,
                 (long long)b->count);
    return a->count == b->count;
}

bool tn_check_close(tn_checker *k, const char *name, const char *what, const tn_numbers *a,
                    const tn_numbers *b)
{
    if (!same_count(k, name, what, a, b))
        return false;
    double largest = 1, tolerance = tn_in_double ? 1e-14 : 2e-6;
    for (int64_t i = 0; i < a->count; i++)
        largest = fmax(largest, fabs((double)b->x[i]));
    int64_t i = 0;
    while (i < a->count && fabs((double)(a->x[i] - b->x[i])) <= tolerance * largest)
        i++;
    if (i < a->count)
        tn_found(k, "%s: %s: number %lld is %.9g and %.9g", name, what, (long long)i,
                 (double)a->x[i], (double)b->x[i]);
    return i == a->count;
}

bool tn_check_same(tn_checker *k, const char *name, const char *what, const tn_numbers *a,
                   const tn_numbers *b)
{
    if (!same_count(k, name, what, a, b))
        return false;
    int64_t i = 0;
    while (i < a->count && !memcmp(&a->x[i], &b->x[i], sizeof *a->x))
        i++;
    if (i < a->count)
        tn_found(k, "%s: %s: number %lld of %lld (%lld of the result): %a and %a", name, what,
                 (long long)i, (long long)a->count, (long long)a->out, (double)a->x[i],
                 (double)b->x[i]);
    return i == a->count;
}

/* ---- what an op declares ---- */

/* True if an operand can have a gradient: it is real, not fixed and not detached, and the result is
   not ids. */
static bool has_gradient(const tn_op *op)
{
    const unsigned all = (1u << op->inputs) - 1, without = op->ids | op->fixed | op->detached;
    return !op->gives_ids && (all & ~without);
}

static bool declares(tn_checker *k)
{
    const tn_op *op = k->op;
    if (!op->shape || !op->forward)
        tn_found(k, "shape or forward is not set; expected both");
    if (op->inputs < 1 || op->inputs > TN_MAX_INPUTS)
        tn_found(k, "%d operands; expected 1 to %d", op->inputs, TN_MAX_INPUTS);
    else if (!op->backward != !has_gradient(op))
        tn_found(k, "backward is %s; expected it if, and only if, an operand can have a gradient",
                 op->backward ? "set" : "not set");
    if (k->found)
        return false;
    int small = 0;
    for (int i = 0; i < tn_samples_count(op); i++)
        small += !op->samples[i].bench;
    if (!small)
        tn_found(k, "no small sample; expected at least one");
    if (op->inputs > 1 && (!op->refusals || !op->refusals->text || !*op->refusals->text))
        tn_found(k, "no refusal is declared; expected one of operands that do not fit together");
    return small > 0;
}

static void refuses(tn_checker *k, tn_tape *t)
{
    const tn_op *op = k->op;
    for (const tn_refusal *r = op->refusals; r && r->text && *r->text; r++) {
        tn_call c = tn_call_new(op, &r->call, 0, 0);
        tn_tape_reset(t);
        if (tn_apply(t, op, c.in, c.attr))
            tn_found(k, "refusal %d: not refused; expected \"%s\"", (int)(r - op->refusals),
                     r->text);
        else if (strcmp(tn_tape_error(t), r->text))
            tn_found(k, "refusal %d: \"%s\"; expected \"%s\"", (int)(r - op->refusals),
                     tn_tape_error(t), r->text);
        tn_tape_reset(t);
        tn_call_free(&c);
    }
}

/* Compares the op with its plain composition (I6). */
static void equals_reference(tn_checker *k, const tn_call *c, tn_tape *t)
{
    tn_numbers fused, plain;
    if (!tn_check_numbers(k, c, t, false, &fused))
        return;
    if (tn_check_numbers(k, c, t, true, &plain))
        tn_check_close(k, c->name, "fused and plain", &fused, &plain);
    free(fused.x);
    free(plain.x);
}

/* Checks that every sample runs. Otherwise the other checks would report one fault many times. */
static void runs(tn_checker *k, const tn_call *c, tn_tape *t)
{
    tn_numbers n;
    if (tn_check_numbers(k, c, t, false, &n))
        free(n.x);
}

int tn_op_check(const tn_op *op, tn_sink *put, void *arg)
{
    if (!op || !op->name)
        return TN_EARG;
    tn_checker k = { .op = op, .put = put, .arg = arg };
    if (!declares(&k))
        return k.found;
    tn_tape *t = tn_check_tape(NULL, 2);
    if (!t)
        return TN_ENOMEM;
    const int before = k.found;
    tn_check_samples(&k, t, runs);
    refuses(&k, t);
    if (op->reference && k.found == before)
        tn_check_samples(&k, t, equals_reference);
    tn_tape_free(t);
    if (k.found == before) {
        tn_check_gradients(&k);
        tn_check_bits(&k);
    }
    return k.found;
}
