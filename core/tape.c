/* tape.c - ops run at once and leave nodes.
   The states of a tensor are drawn in tape.h; backward.c walks the nodes. */
#include "core/tape.h"
#include "core/context.h"
#include "core/ops/ops.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const tn_op *const tn_ops[] = {
#define TN_OP(name, args) &tn_op_##name,
#include "core/ops.def"
#undef TN_OP
    NULL
};

tn_tape *tn_tape_new(tn_context *c)
{
    tn_tape *t = c ? calloc(1, sizeof *t) : NULL;
    if (t) {
        tn_context_hold(c);
        t->context = c;
        t->mode.training = true;
    }
    return t;
}

void tn_tape_free(tn_tape *t)
{
    if (!t)
        return;
    tn_tape_free(t->inner);
    tn_made_free(t);
    tn_arena_free(&t->results);
    tn_arena_free(&t->temporary);
    tn_buffers_free(&t->gradients);
    free(t->nodes);
    tn_context_free(t->context);
    free(t);
}

void tn_tape_reset(tn_tape *t)
{
    if (!t)
        return;
    tn_made_rewind(t, 0);
    tn_arena_rewind(&t->results, (tn_place){ 0 });
    tn_buffers_give_all(&t->gradients);
    t->error = (tn_error){ 0 };
}

tn_mark tn_tape_mark(tn_tape *t)
{
    if (!t)
        return 0;
    t->spare.count = 0;
    return t->made.marked = t->made.next;
}

void tn_tape_rewind(tn_tape *t, tn_mark m)
{
    if (t)
        tn_made_rewind(t, m);
}

const char *tn_tape_error(const tn_tape *t)
{
    return !t ? "there is no tape: NULL" : t->error.code ? t->error.text : NULL;
}

int tn_tape_code(const tn_tape *t)
{
    return t ? t->error.code : TN_EARG;
}

tn_context *tn_tape_context(const tn_tape *t)
{
    return t ? t->context : NULL;
}

void tn_tape_train(tn_tape *t, uint64_t draw)
{
    tn_tape_set_mode(t, (tn_mode){ .training = true, .draw = draw });
}

void tn_tape_eval(tn_tape *t)
{
    if (t)
        t->mode.training = false;
}

tn_mode tn_tape_mode(const tn_tape *t)
{
    return t ? t->mode : (tn_mode){ 0 };
}

void tn_tape_set_mode(tn_tape *t, tn_mode mode)
{
    if (t)
        t->mode = mode;
}

size_t tn_tape_memory(const tn_tape *t)
{
    if (!t)
        return 0;
    return t->results.most + t->temporary.most + t->gradients.bytes + tn_made_bytes(t) +
           t->room * sizeof *t->nodes + tn_tape_memory(t->inner);
}

/* ---- errors ---- */

int tn_tape_given(tn_tape *t, bool all, const char *function)
{
    return tn_given(t ? &t->error : NULL, all, function);
}

int tn_refuse(tn_tape *t, const tn_op *op, int code, const char *what, ...)
{
    char text[256];
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what ? what : tn_strerror(code), args);
    va_end(args);
    return tn_fail(t ? &t->error : NULL, code, "%s: %s", op ? op->name : "op", text);
}

int tn_refuse_shapes(tn_tape *t, const tn_node *n)
{
    if (tn_tape_given(t, n, __func__))
        return tn_tape_code(t);
    char text[64 * TN_MAX_INPUTS + 1] = "", shape[64];
    size_t used = 0;
    for (int i = 0; i < n->op->inputs; i++)
        if (n->in[i])
            used += (size_t)snprintf(text + used, sizeof text - used, " %s",
                                     tn_tensor_shape(n->in[i], shape));
    return tn_refuse(t, n->op, TN_ESHAPE, "shapes do not fit:%s", text);
}

void *tn_checked(tn_tape *t, void *memory)
{
    if (!memory)
        tn_fail(&t->error, TN_ENOMEM, "out of memory for a tensor");
    return memory;
}

void *tn_keep(tn_tape *t, size_t bytes)
{
    return t ? tn_checked(t, tn_arena_take(&t->results, bytes)) : NULL;
}

void *tn_temporary(tn_tape *t, size_t bytes)
{
    return t ? tn_checked(t, tn_arena_take(&t->temporary, bytes)) : NULL;
}

/* ---- forward ---- */

static int check_operand(tn_tape *t, const tn_node *n, int i)
{
    const tn_op *op = n->op;
    const tn_tensor *a = n->in[i];
    bool ids = op->ids >> i & 1, frozen = op->frozen >> i & 1;
    const char *fault = tn_made_fault(t, a);
    if (fault)
        return tn_refuse(t, op, TN_ESTATE, "operand %d %s", i + 1, fault);
    if (ids != (a->dtype == TN_I32))
        return tn_refuse(t, op, TN_EARG, "operand %d must hold %s", i + 1,
                         ids ? "integers" : "real numbers");
    if (!ids && a->dtype != TN_REAL && !frozen)
        return tn_refuse(t, op, TN_EARG, "operand %d has a frozen weight's type", i + 1);
    if (op->fixed >> i & 1 && a->wants_grad)
        return tn_refuse(t, op, TN_EARG, "operand %d wants a gradient; expected a fixed table",
                         i + 1);
    if (!a->data || !tn_shape_is_sane(a->ndim, a->dim))
        return tn_refuse(t, op, TN_EARG,
                         "operand %d has no values; expected a tensor of tn_tensor_new", i + 1);
    if (!tn_dtype_takes(a->dtype, a->ndim, a->dim))
        return tn_refuse(t, op, TN_EARG,
                         "operand %d has rows of %lld numbers; expected whole "
                         "blocks of %s, %lld",
                         i + 1, (long long)tn_cols(a), tn_dtype_name(a->dtype),
                         (long long)tn_dtype_block(a->dtype));
    if (t->mode.training && a->wants_grad && a->place == LEAF && !a->g)
        return tn_refuse(t, op, TN_ESTATE,
                         "operand %d wants a gradient but has no memory for one; expected "
                         "wants_grad given to tn_tensor_new",
                         i + 1);
    return 0;
}

/* Operands must be present, of a type that the op takes, and must belong to this tape and step. */
static int check_operands(tn_tape *t, const tn_node *n)
{
    for (int i = 0; i < n->op->inputs; i++) {
        if (!n->in[i] && !(n->op->optional >> i & 1))
            return tn_refuse(t, n->op, TN_EARG, "operand %d is missing", i + 1);
        if (n->in[i] && check_operand(t, n, i))
            return t->error.code;
    }
    return 0;
}

static int check_result(tn_tape *t, const tn_node *n)
{
    char shape[64];
    if (tn_shape_is_sane(n->out->ndim, n->out->dim))
        return 0;
    return tn_refuse(t, n->op, TN_ESHAPE, "the result would be %s; expected at most 2^40 numbers",
                     tn_tensor_shape(n->out, shape));
}

/* Gives the result memory for its values: its own, or that of operand 0. The operands count as read
   from now on. Values older than a mark are not overwritten: a rewind gives them back (I10). */
static int place_result(tn_tape *t, const tn_node *n)
{
    const tn_op *op = n->op;
    tn_tensor *a = n->in[0], *out = n->out;
    for (int i = 1; i < op->inputs; i++)
        if (n->in[i] && n->in[i]->place == RESULT)
            n->in[i]->place = READ;
    bool share = op->view || (op->consumes && a->place == RESULT && !tn_made_is_marked(t, a));
    size_t bytes = tn_tensor_bytes(out);
    out->data = share ? a->data : tn_made_memory(t, bytes);
    if (out->data && op->consumes && !share)
        memcpy(out->x, a->x, bytes);
    if (op->view && a->place == LEAF)
        tn_made_hold(t, a);
    if (op->view)
        tn_made_share(out);
    if (op->view && a->tape)
        tn_made_share(a);
    if (op->consumes && a->place != LEAF)
        tn_made_consume(out, a);
    else if (a->place == RESULT)
        a->place = READ;
    return t->error.code;
}

/* Keeps the node. Also holds those operands that are tensors of the caller. */
static int push(tn_tape *t, const tn_node *n)
{
    void *nodes = t->nodes;
    bool room = tn_list_grow(&nodes, t->count, &t->room, sizeof *t->nodes);
    t->nodes = nodes;
    if (!tn_checked(t, room ? nodes : NULL))
        return t->error.code;
    for (int i = 0; i < n->op->inputs; i++)
        if (n->in[i] && n->in[i]->place == LEAF && !tn_made_hold(t, n->in[i]))
            return t->error.code;
    for (int i = 0; i < n->op->inputs; i++)
        if (n->in[i] && n->in[i]->tape && (!n->op->reads || n->op->reads(n, i)))
            tn_made_keep(n->in[i]);
    if (n->op->reads_result)
        tn_made_keep(n->out);
    t->nodes[t->count++] = *n;
    return 0;
}

/* Whether the op has a gradient and an operand wants one. */
static bool is_wanted(tn_tape *t, const tn_node *n)
{
    bool wanted = false;
    for (int i = 0; i < n->op->inputs; i++) {
        tn_tensor *a = n->training && n->op->backward ? n->in[i] : NULL;
        wanted = wanted || (a && a->wants_grad);
        if (a && a->wants_grad && !a->tape)
            t->wanting = a;
    }
    return wanted;
}

static tn_tensor *apply(tn_tape *t, const tn_op *op, tn_tensor *const in[], tn_attr attr)
{
    tn_node n = { .op = op, .attr = attr, .draw = t->mode.draw, .training = t->mode.training };
    for (int i = 0; i < op->inputs; i++)
        n.in[i] = in[i];
    if (check_operands(t, &n))
        return NULL;
    n.wanted = is_wanted(t, &n);
    n.out = tn_made_new(t, (tn_tensor){ .dtype = op->gives_ids ? TN_I32 : TN_REAL,
                                        .wants_grad = n.wanted,
                                        .place = op->view || op->reads_result ? READ : RESULT });
    if (!n.out || op->shape(t, &n, n.out) || check_result(t, &n) || place_result(t, &n))
        return NULL;
    if (t->tracer)
        tn_trace_run(t, &n, false);
    else
        op->forward(t, &n);
    tn_arena_rewind(&t->temporary, (tn_place){ 0 });
    if (t->error.code || (n.wanted && push(t, &n)))
        return NULL;
    return n.out;
}

tn_tensor *tn_apply(tn_tape *t, const tn_op *op, tn_tensor *const in[], tn_attr attr)
{
    if (tn_tape_given(t, op && in, __func__))
        return NULL;
    if (!tn_context_enter(t->context)) {
        tn_refuse(t, op, TN_ESTATE, TN_BUSY);
        return NULL;
    }
    tn_tensor *out = apply(t, op, in, attr);
    tn_context_leave(t->context);
    return out;
}

tn_tensor *tn_tape_input(tn_tape *t, tn_dtype dtype, int ndim, const int64_t dim[])
{
    if (tn_tape_given(t, dim, __func__))
        return NULL;
    if (!tn_dtype_block(dtype))
        tn_fail(&t->error, TN_EARG, "input: type %d; expected 0 to %d", (int)dtype, TN_DTYPES - 1);
    if (!t->error.code && !tn_shape_is_sane(ndim, dim))
        tn_fail(&t->error, TN_ESHAPE,
                "input: expected 1 to %d dimensions from 1, at most 2^40 numbers", TN_MAX_NDIM);
    if (!t->error.code && !tn_dtype_takes(dtype, ndim, dim))
        tn_fail(&t->error, TN_ESHAPE,
                "input: rows of %lld numbers; expected whole blocks of %s, %lld",
                (long long)dim[ndim - 1], tn_dtype_name(dtype), (long long)tn_dtype_block(dtype));
    tn_tensor *a =
        t->error.code ? NULL : tn_made_new(t, (tn_tensor){ .dtype = dtype, .place = LEAF });
    if (!a)
        return NULL;
    tn_shape_copy(a, ndim, dim);
    a->data = tn_keep(t, tn_tensor_bytes(a));
    return a->data ? a : NULL;
}
