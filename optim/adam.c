/* adam.c - Adam with L2 regularisation. Kingma and Ba, arXiv:1412.6980, Algorithm 1; the L2 term as
   in torch.optim.Adam.

       g_t = g + lambda x_{t-1}                                    (1)   on weights that decay
       m_t = beta1 m_{t-1} + (1 - beta1) g_t                       (2)
       v_t = beta2 v_{t-1} + (1 - beta2) g_t^2                     (3)
       m^ = m_t / (1 - beta1^t),   v^ = v_t / (1 - beta2^t)        (4)
       x_t = x_{t-1} - eta m^ / (sqrt(v^) + eps)                   (5)

   Cost: one pass. State: m and v, like each weight.
   Claims: nothing but signed permutations of the rank; the square in (3) looks at single entries.
   Trap: sqrt(v^) is sqrt(v_t) / sqrt(1 - beta2^t), and eps is added after that; files that add it
   before (scaled_adam.c) are off by a factor in eps. */
#include "optim/adam.h"

#include <math.h>

void tn_adam_step(tn_unit *u, double coupled, double shrink)
{
    const double *h = u->h;
    tn_real b1 = (tn_real)h[TN_ADAM_BETA1], a1 = (tn_real)(1 - h[TN_ADAM_BETA1]);
    tn_real b2 = (tn_real)h[TN_ADAM_BETA2], a2 = (tn_real)(1 - h[TN_ADAM_BETA2]);
    tn_real eta = (tn_real)(u->lr / (1 - tn_power(h[TN_ADAM_BETA1], u->t)));          /* (4), m^ */
    tn_real root = (tn_real)(1 / sqrt(1 - tn_power(h[TN_ADAM_BETA2], u->t)));         /* (4), v^ */
    tn_real eps = (tn_real)h[TN_ADAM_EPS];
    for (int k = 0; k < u->factors; k++) {
        const tn_factor *f = &u->f[k];
        tn_real *restrict x = f->x, *restrict m = u->slot[0][k], *restrict v = u->slot[1][k];
        const tn_real *restrict grad = f->g;
        tn_real lambda = (tn_real)(f->decays ? coupled : 0);
        tn_real keep = (tn_real)(f->decays ? shrink : 1);
        for (int64_t i = 0; i < f->n; i++) {
            tn_real g = grad[i] + lambda * x[i];                                      /* (1) */
            m[i] = b1 * m[i] + a1 * g;                                                /* (2) */
            v[i] = b2 * v[i] + a2 * (g * g);                                          /* (3) */
            x[i] = keep * x[i] - eta * m[i] / ((tn_real)sqrt(v[i]) * root + eps);     /* (5) */
        }
    }
}

const char *tn_adam_check(const double *h)
{
    double beta1 = h[TN_ADAM_BETA1], beta2 = h[TN_ADAM_BETA2];
    if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1))
        return "beta1 and beta2 must be at least 0 and below 1";
    if (!(h[TN_ADAM_EPS] > 0))
        return "eps must be above 0";
    if (!(h[TN_ADAM_DECAY] >= 0))
        return "weight_decay must be at least 0";
    return NULL;
}

static void step(tn_unit *u)
{
    tn_adam_step(u, u->h[TN_ADAM_DECAY], 1);
}

const tn_optim_def tn_optim_adam = {
    .name = "adam", .title = "Adam with L2 regularisation", .paper = "arXiv:1412.6980",
    .update = "m, v: moving averages of g + wd x and its square; x -= lr m^ / (sqrt(v^) + eps)",
    .cost = "none",
    .hyper = {
        { "lr", 1e-3, "learning rate eta" },
        { "beta1", 0.9, "decay of the first moment" },
        { "beta2", 0.999, "decay of the second moment" },
        { "eps", 1e-8, "added to the root of the second moment" },
        { "weight_decay", 0, "L2: added to the gradient, times the weight" },
    },
    .slots = { { "m", TN_LIKE_X }, { "v", TN_LIKE_X } },
    .step = step, .check = tn_adam_check,
    .claims = TN_INVARIANT_NONE, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
