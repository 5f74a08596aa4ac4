/* own_optimizer.c - an optimizer that is not in optim/: sign descent with momentum.
   It is "Signum", arXiv:1802.04434, written here and used like any other. It fits a straight
   line.

       build/examples/own_optimizer

       slope 2.003 (of 2), intercept -0.500 (of -0.5) */
#include "optim/optim.h"

#include <stdio.h>

/*   1. m <- beta m + (1 - beta) g      2. x <- x - lr sign(m)      */
static void signum_step(tn_unit *u)
{
    const double beta = u->h[1];
    for (int k = 0; k < u->factors; k++) {
        tn_real *m = u->slot[0][k];
        for (int64_t i = 0; i < u->f[k].n; i++) {
            m[i] = (tn_real)(beta * (double)m[i] + (1 - beta) * (double)u->f[k].g[i]); /* 1 */
            u->f[k].x[i] -= (tn_real)(u->lr * (m[i] > 0 ? 1 : m[i] < 0 ? -1 : 0));     /* 2 */
        }
    }
}

/* clang-format off */
static const tn_optim_def signum = {
    .name = "signum", .title = "sign descent with momentum", .paper = "arXiv:1802.04434",
    .update = "m <- beta m + (1 - beta) g; x <- x - lr sign(m)", .cost = "none",
    .hyper = { { "lr", 1e-2, TN_ABOVE_0, "learning rate" },
               { "beta", 0.9, TN_SHARE, "decay of the mean gradient" } },
    .slots = { { "m", TN_LIKE_X } },
    .step = signum_step,
};
/* clang-format on */

int main(void)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .seed = 1 });
    if (!c)
        return 1; /* out of memory, or this CPU does not have what $TN_ISA names */
    tn_tape *t = tn_tape_new(c);
    tn_params *p = tn_params_new(c);
    tn_tensor *line = tn_params_add(p, "line", TN_SHAPE(1, 2)); /* slope, intercept */
    const tn_optim_options how = { .weight_decay = -1, /* its default, as for the clipping */
                                   .max_grad_norm = -1,
                                   .schedule = { .kind = TN_LINEAR, .steps = 400 } };
    tn_optim *o = tn_optim_new(p, &signum, &how, &e);
    for (int step = 0; step < 400 && !e.code; step++) {
        tn_tensor *x = tn_tape_input(t, TN_REAL, TN_SHAPE(9, 2));
        tn_tensor *y = tn_tape_input(t, TN_REAL, TN_SHAPE(9, 1));
        for (int i = 0; x && y && i < 9; i++) {
            x->x[2 * i] = (tn_real)(i - 4) / 4;
            x->x[2 * i + 1] = 1;
            y->x[i] = 2 * x->x[2 * i] - (tn_real)0.5;
        }
        tn_tensor *error =
            tn_add(t, tn_linear(t, x, line, NULL, TN_OUT_IN), tn_scale(t, y, -1)); // (9,1)
        tn_tensor *loss = tn_mean(t, tn_mul(t, error, error));
        if (tn_backward(t, loss))
            tn_fail(&e, tn_tape_code(t), "%s", tn_tape_error(t));
        else if (tn_optim_step(o))
            e = *tn_optim_error(o);
        tn_tape_reset(t);
    }
    if (e.code)
        fprintf(stderr, "%s\n", e.text);
    else
        printf("slope %.3f (of 2), intercept %.3f (of -0.5)\n", (double)line->x[0],
               (double)line->x[1]);
    tn_optim_free(o);
    tn_params_free(p);
    tn_tape_free(t);
    tn_context_free(c);
    return e.code ? 1 : 0;
}
