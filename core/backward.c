/* backward.c - walks the nodes of a tape from the last to the first, and adds up gradients. */
#include "core/context.h"
#include "core/ops/ops.h"
#include "core/tape.h"

#include <math.h>

tn_real *tn_tape_gradient(tn_tape *t, tn_tensor *a)
{
    size_t bytes = (size_t)tn_tensor_count(a) * sizeof(tn_real);
    if (!a->g && a->place != LEAF)
        a->g = tn_checked(t, tn_buffers_take(&t->gradients, bytes));
    return a->g;
}

tn_real *tn_grad(tn_tape *t, const tn_node *n, int i, tn_real *beta)
{
    if (tn_tape_given(t, n && beta, __func__))
        return NULL;
    tn_tensor *a = n->in[i];
    if (!a || !a->wants_grad || !tn_tape_gradient(t, a))
        return NULL;
    *beta = a->has_grad ? 1 : 0;
    a->has_grad = true;
    return a->g;
}

void tn_grad_pass(tn_tape *t, const tn_node *n, int i)
{
    if (tn_tape_given(t, n, __func__))
        return;
    tn_tensor *a = n->in[i], *out = n->out;
    if (!a || !a->wants_grad)
        return;
    if (a->place != LEAF && !a->has_grad) {
        a->g = out->g;
        a->has_grad = true;
        out->g = NULL;
        return;
    }
    tn_real beta, *g = tn_grad(t, n, i, &beta);
    if (g)
        tn_add_values(t, tn_tensor_count(out), out->g, beta, g);
}

/* Gives back the gradient of a result, and values that were computed again, after the op that made the result has used it. */
static void release(tn_tape *t, tn_tensor *a)
{
    if (a->g)
        tn_buffers_give(&t->gradients, a->g);
    a->g = NULL;
    a->has_grad = false;
    tn_made_drop(t, a);
}

/* Operands that backward reads get their values again, if they were done. */
static void restore_operands(tn_tape *t, const tn_node *n)
{
    for (int i = 0; i < n->op->inputs; i++)
        if (n->in[i] && (!n->op->reads || n->op->reads(n, i)))
            tn_made_restore(t, n->in[i]);
}

void tn_tape_walk_back(tn_tape *t)
{
    for (size_t i = t->count; i-- > 0 && !t->error.code;) {
        tn_node *n = &t->nodes[i];
        if (n->out->has_grad)
            restore_operands(t, n);
        if (n->out->has_grad && !t->error.code) {
            if (t->tracer)
                tn_trace_run(t, n, true);
            else
                n->op->backward(t, n);
        }
        tn_arena_rewind(&t->temporary, (tn_place){ 0 });
        release(t, n->out);
    }
}

int tn_backward(tn_tape *t, tn_tensor *loss)
{
    if (tn_tape_given(t, true, __func__))
        return tn_tape_code(t);
    const char *fault = loss ? tn_made_fault(t, loss) : NULL;
    if (fault)
        return tn_fail(&t->error, TN_ESTATE, "backward: the loss %s", fault);
    if (!loss || tn_tensor_count(loss) != 1)
        return tn_fail(&t->error, TN_ESHAPE, "backward: the loss must have one element");
    if (!isfinite(loss->x[0]))
        return tn_fail(&t->error, TN_ENONFINITE, "backward: the loss is %g",
                       isnan(loss->x[0]) ? (double)NAN : (double)loss->x[0]); /* without a sign */
    if (!loss->wants_grad || loss->place == LEAF)
        return tn_fail(&t->error, TN_ESTATE,
                       "backward: nothing that the loss depends on wants a gradient%s",
                       t->mode.training ? ""
                                        : "; the tape is in evaluation, tn_tape_train ends that");
    if (!tn_context_enter(t->context))
        return tn_fail(&t->error, TN_ESTATE, "backward: " TN_BUSY);
    if (tn_tape_gradient(t, loss)) {
        loss->g[0] = 1;
        loss->has_grad = true;
        tn_tape_walk_back(t);
    }
    tn_context_leave(t->context);
    return t->error.code;
}
