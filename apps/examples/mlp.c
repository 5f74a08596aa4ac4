/* mlp.c - a network with two hidden layers learns to tell two spirals apart.
   All that a program of your own needs is here: parameters, a forward pass of ops, backward, and an
   optimizer's step.

   What goes wrong: the result of an op lives until tn_tape_reset, so read the loss before it; and
   tn_backward adds to the gradients, which tn_optim_step and tn_params_clear make zero again.

       make && build/examples/mlp

       step  500  loss 0.0099  256 of 256 right
       step 1000  loss 0.0057  256 of 256 right
       step 1500  loss 0.0043  256 of 256 right
       step 2000  loss 0.0038  256 of 256 right
       step 2500  loss 0.0036  256 of 256 right
       step 3000  loss 0.0036  256 of 256 right */
#include "core/core.h"
#include "nn/nn.h"
#include "optim/optim.h"

#include <math.h>
#include <stdio.h>

enum { N = 256, HIDDEN = 32, STEPS = 3000 };

typedef struct mlp {
    tn_linear_layer first, second, last;
} mlp;

static mlp mlp_new(tn_params *p)
{
    return (mlp){ tn_linear_layer_new(p, "first", 2, HIDDEN, TN_OUT_IN, true, 0.7),
                  tn_linear_layer_new(p, "second", HIDDEN, HIDDEN, TN_OUT_IN, true, 0.25),
                  tn_linear_layer_new(p, "last", HIDDEN, 2, TN_OUT_IN, true, 0.25) };
}

/* x (N,2) -> scores (N,2) */
static tn_tensor *mlp_forward(const mlp *m, tn_tape *t, tn_tensor *x)
{
    x = tn_relu(t, tn_linear_layer_run(&m->first, t, x));
    x = tn_relu(t, tn_linear_layer_run(&m->second, t, x));
    return tn_linear_layer_run(&m->last, t, x);
}

/* Point i lies on arm i % 2; its angle grows with its distance from the middle. */
static void spirals(tn_real *x, int32_t *arm)
{
    for (int i = 0; i < N; i++) {
        double r = (i / 2 + 1.0) / (N / 2), angle = 6 * r + 3.14159265 * (i % 2);
        x[2 * i] = (tn_real)(r * cos(angle));
        x[2 * i + 1] = (tn_real)(r * sin(angle));
        arm[i] = i % 2;
    }
}

static int right(const tn_tensor *scores, const int32_t *arm)
{
    int n = 0;
    for (int i = 0; i < N; i++)
        n += (scores->x[2 * i + 1] > scores->x[2 * i]) == arm[i];
    return n;
}

int main(void)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .seed = 1 });
    if (!c)
        return 1; /* out of memory, or this CPU does not have what $TN_ISA names */
    tn_params *p = tn_params_new(c);
    mlp m = mlp_new(p);
    tn_optim *o =
        tn_optim_new(p, tn_optim_find("sgd"),
                     &(tn_optim_options){ .lr = 0.1,
                                          .set = (const char *[]){ "momentum=0.9", NULL },
                                          .schedule = { .kind = TN_COSINE, .steps = STEPS } },
                     &e);
    tn_tensor *x = tn_tensor_new(TN_REAL, TN_SHAPE(N, 2), false);
    tn_tensor *arm = tn_tensor_new(TN_I32, TN_SHAPE(N), false);
    tn_tape *t = tn_tape_new(c);
    spirals(x->x, arm->i);
    for (int step = 1; !e.code && step <= STEPS; step++) {
        tn_tensor *scores = mlp_forward(&m, t, x);
        tn_tensor *loss = tn_cross_entropy(t, scores, arm, 0);
        if (tn_backward(t, loss))
            tn_fail(&e, tn_tape_code(t), "%s", tn_tape_error(t));
        else if (tn_optim_step(o))
            e = *tn_optim_error(o);
        else if (step % 500 == 0)
            printf("step %4d  loss %.4f  %d of %d right\n", step, (double)loss->x[0],
                   right(scores, arm->i), N);
        tn_tape_reset(t);
    }
    if (e.code)
        fprintf(stderr, "mlp: %s\n", e.text);
    tn_tape_free(t), tn_tensor_free(x), tn_tensor_free(arm), tn_optim_free(o), tn_params_free(p),
        tn_context_free(c);
    return e.code != 0;
}
