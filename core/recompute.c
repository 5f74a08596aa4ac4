/* recompute.c - blocks that keep nothing: backward runs them again.

   A block always runs on an inner tape. There a tensor with the values of x stands for x:

       forward     the result is copied to the outer tape, everything else is forgotten
       backward    the block runs again. The gradient of its result is copied in, and the nodes
                   are walked. The tensor that stands for x has the gradient memory of x

   Without training the inner tape runs the block, too: it has the memory for it from training.

   The caller's tensors are used directly. So their gradients are added in the same order as without
   recompute. Dropout finds its numbers again by stream and draw. Chen et al., "Training deep nets
   with sublinear memory cost", arXiv:1604.06174. */
#include "core/ops/ops.h"
#include "core/tape.h"

#include <stdlib.h>
#include <string.h>

typedef struct run {
    tn_block *block;
    void *arg;
    const tn_tensor *y; /* the block's result in forward, on the inner tape */
} run;

/* NULL, with an error on the tape, when memory is out. */
static tn_tape *inner_of(tn_tape *t)
{
    if (!t->inner)
        t->inner = tn_checked(t, tn_tape_new(t->context));
    if (t->inner) {
        t->inner->tracer = t->tracer;
        t->inner->depth = t->depth + 1;
    }
    return t->inner;
}

/* Makes the tensor that stands for x on the inner tape. */
static tn_tensor *stand_in(tn_tape *inner, const tn_tensor *x, unsigned char place)
{
    tn_tensor *a =
        tn_made_new(inner,
                    (tn_tensor){ .dtype = x->dtype, .wants_grad = x->wants_grad, .place = place });
    if (!a)
        return NULL;
    tn_like(a, x);
    a->x = x->x;
    tn_made_share(a); /* the memory is that of x */
    return a;
}

/* Runs the block on the inner tape. Returns its result, or NULL with an error on t. */
static tn_tensor *run_block(tn_tape *t, const run *r, tn_mode mode, tn_tensor *x)
{
    tn_tape *inner = t->inner;
    tn_tape_set_mode(inner, mode);
    inner->wanting = NULL;
    tn_tensor *y = x ? r->block(inner, r->arg, x) : NULL;
    const char *fault = y ? tn_made_fault(inner, y) : NULL;
    if (inner->error.code)
        tn_fail(&t->error, inner->error.code, "%s", inner->error.text);
    else if (!y || fault)
        tn_fail(&t->error, TN_ESTATE, "recompute: the block's result %s",
                fault ? fault : "is NULL");
    else if (y->dtype != TN_REAL)
        tn_fail(&t->error, TN_EARG, "recompute: the block's result must hold real numbers");
    return t->error.code ? NULL : y;
}

static const run *run_of(const tn_node *n)
{
    return (const run *)(uintptr_t)n->attr.u;
}

static int recompute_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    (void)t;
    tn_like(out, run_of(n)->y);
    return 0;
}

static void recompute_forward(tn_tape *t, tn_node *n)
{
    const run *r = run_of(n);
    memcpy(n->out->x, r->y->x, (size_t)tn_tensor_count(n->out) * sizeof *n->out->x);
    run *kept = n->wanted ? tn_keep(t, sizeof *kept) : NULL;
    if (kept)
        *kept = (run){ .block = r->block, .arg = r->arg };
    n->saved = kept;
}

/* The gradient of out goes to the block's result, which may be x or a weight. */
static void give_gradient(tn_tape *inner, const tn_node *n, tn_tensor *y)
{
    tn_real *g = tn_tape_gradient(inner, y);
    if (g)
        tn_add_values(inner, tn_tensor_count(y), n->out->g, y->has_grad ? 1 : 0, g);
    y->has_grad = g != NULL;
}

/* Sets the gradient to zeros. */
static void clear(tn_tensor *x)
{
    memset(x->g, 0, (size_t)tn_tensor_count(x) * sizeof *x->g);
    x->has_grad = true;
}

/* y = block(x): dx, and the gradients of the block's weights */
static void recompute_backward(tn_tape *t, const tn_node *n)
{
    tn_tape *inner = inner_of(t);
    tn_tensor *x = inner ? stand_in(inner, n->in[0], LEAF) : NULL;
    tn_real beta = 0;
    if (x && x->wants_grad) {
        x->g = tn_grad(t, n, 0, &beta);
        x->has_grad = beta != 0;
        if (x->g && n->in[0]->place == LEAF && !x->has_grad) /* the block may use x itself, too */
            clear(x);
    }
    tn_tensor *y =
        x ? run_block(t, n->saved, (tn_mode){ .training = true, .draw = n->draw }, x) : NULL;
    if (y && y->wants_grad) {
        give_gradient(inner, n, y);
        tn_tape_walk_back(inner);
    }
    if (x && x->g && !x->has_grad)
        clear(x);
    if (x)
        x->g = NULL; /* it belongs to the outer tape */
    if (inner && inner->error.code)
        tn_fail(&t->error, inner->error.code, "%s", inner->error.text);
    tn_tape_reset(inner);
}

/* Operands: x, and a weight that wants a gradient, if any, so that the node is kept. */
static const tn_op recompute = {
    .name = "recompute",
    .inputs = 2,
    .optional = 2,
    .shape = recompute_shape,
    .forward = recompute_forward,
    .backward = recompute_backward,
};

tn_tensor *tn_recompute(tn_tape *t, tn_block *block, void *arg, tn_tensor *x)
{
    if (tn_tape_given(t, block && x, __func__))
        return NULL;
    const char *fault = tn_made_fault(t, x);
    if (fault)
        return tn_fail(&t->error, TN_ESTATE, "recompute: x %s", fault), NULL;
    tn_tape *inner = inner_of(t);
    if (!inner)
        return NULL;
    run r = { .block = block, .arg = arg };
    tn_tensor *y = run_block(t, &r, t->mode, stand_in(inner, x, READ));
    tn_tensor *weight = !y || !y->wants_grad ? NULL : y->tape ? inner->wanting : y;
    r.y = y;
    tn_tensor *out = y ? tn_apply(t, &recompute, (tn_tensor *[]){ x, weight },
                                  (tn_attr){ .u = (uint64_t)(uintptr_t)&r })
                       : NULL;
    tn_tape_reset(inner);
    return out;
}
