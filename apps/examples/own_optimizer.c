/* own_optimizer.c - an optimizer that is not in optim/, for LoRA pairs and for single weights.
   It is "Signum", arXiv:1802.04434, sign descent with momentum. As in LoRA+, arXiv:2402.12354,
   lora_B moves `ratio` times as fast as lora_A. It adapts a frozen layer, and trains a bias.

       make && build/examples/own_optimizer

       step 100  loss 0.136004
       step 200  loss 0.000064
       step 300  loss 0.000020
       step 400  loss 0.000000
       bias 0.50 1.00 1.50 (of 0.5 1 1.5) */
#include "optim/optim.h"

#include <stdio.h>

/*   1. m <- beta m + (1 - beta) g      2. x <- x - lr sign(m), with lr ratio for lora_B      */
static void signum_step(tn_unit *u)
{
    const double beta = u->h[1], ratio = u->h[2];
    for (int k = 0; k < u->factors; k++) { /* a pair has two factors, another weight is one */
        const bool is_b = u->factors == 2 && k == TN_LORA_B;
        const double lr = is_b ? u->lr * ratio : u->lr;
        tn_real *m = u->slot[0][k];
        for (int64_t i = 0; i < u->f[k].n; i++) {
            m[i] = (tn_real)(beta * (double)m[i] + (1 - beta) * (double)u->f[k].g[i]); /* 1 */
            u->f[k].x[i] -= (tn_real)(lr * (m[i] > 0 ? 1 : m[i] < 0 ? -1 : 0));        /* 2 */
        }
    }
}

/* .pairs: both factors of a layer come in one call. .fallback: the other weights come, too. Without
   it AdamW would train them. */
static const tn_optim_def signum = {
    .name = "signum",
    .title = "sign descent with momentum",
    .paper = "arXiv:1802.04434",
    .hyper = { { "lr", 1e-2, TN_ABOVE_0, "learning rate" },
               { "beta", 0.9, TN_SHARE, "decay of the mean gradient" },
               { "ratio", 4, TN_ABOVE_0, "rate of lora_B over that of lora_A" } },
    .slots = { { "m", TN_LIKE_X } },
    .step = signum_step,
    .pairs = true,
    .fallback = &signum,
};

enum { ROWS = 16, IN = 4, OUT = 3, STEPS = 400 };

/* Labels of a layer whose weight is off by a matrix of rank 1, and which has a bias. */
static void fill(const tn_linear_layer *l, tn_real *x, tn_real *y)
{
    for (int r = 0; r < ROWS; r++)
        for (int o = 0; o < OUT; o++) {
            y[r * OUT + o] = (tn_real)(o + 1) / 2;
            for (int i = 0; i < IN; i++) {
                x[r * IN + i] = (tn_real)((5 * r + 3 * i) % 7 - 3) / 4;
                y[r * OUT + o] += (l->w->x[o * IN + i] + (tn_real)(o + 1) / 4) * x[r * IN + i];
            }
        }
}

int main(void)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .seed = 1 });
    if (!c)
        return 1; /* out of memory, or this CPU does not have what $TN_ISA names */
    tn_tape *t = tn_tape_new(c);
    tn_params *p = tn_params_new(c);
    tn_linear_layer layer = tn_linear_layer_new(p, "layer", IN, OUT, TN_OUT_IN, false, 0.5);
    tn_tensor *bias = tn_params_add(p, "bias", TN_SHAPE(OUT));
    tn_lora_add_layer(p, &layer, &(tn_lora_options){ .rank = 1, .alpha = 1 }, &e);
    const tn_optim_options how = { .weight_decay = -1, /* its default, as for the clipping */
                                   .max_grad_norm = -1,
                                   .schedule = { .kind = TN_LINEAR, .steps = STEPS } };
    tn_optim *o = tn_optim_new(p, &signum, &how, &e);
    for (int step = 1; step <= STEPS && !e.code; step++) {
        tn_tensor *x = tn_tape_input(t, TN_REAL, TN_SHAPE(ROWS, IN));
        tn_tensor *y = tn_tape_input(t, TN_REAL, TN_SHAPE(ROWS, OUT));
        if (x && y)
            fill(&layer, x->x, y->x);
        tn_tensor *loss = tn_mse(t, tn_add(t, tn_linear_layer_run(&layer, t, x), bias), y);
        if (tn_backward(t, loss))
            tn_fail(&e, tn_tape_code(t), "%s", tn_tape_error(t));
        else if (tn_optim_step(o))
            e = *tn_optim_error(o);
        else if (step % 100 == 0)
            printf("step %3d  loss %.6f\n", step, (double)loss->x[0]);
        tn_tape_reset(t);
    }
    if (e.code)
        fprintf(stderr, "%s\n", e.text);
    else
        printf("bias %.2f %.2f %.2f (of 0.5 1 1.5)\n", (double)bias->x[0], (double)bias->x[1],
               (double)bias->x[2]);
    tn_optim_free(o);
    tn_params_free(p);
    tn_tape_free(t);
    tn_context_free(c);
    return e.code ? 1 : 0;
}
