/* adam.c - Adam with L2 regularisation.
   Kingma and Ba, arXiv:1412.6980, Algorithm 1. The L2 term is that of torch.optim.Adam.

       g_t = g + lambda x_{t-1}                                    (1)   on weights that decay
       m_t = beta1 m_{t-1} + (1 - beta1) g_t                       (2)
       v_t = beta2 v_{t-1} + (1 - beta2) g_t^2                     (3)
       m^ = m_t / (1 - beta1^t),   v^ = v_t / (1 - beta2^t)        (4)
       x_t = x_{t-1} - eta m^ / (sqrt(v^) + eps)                   (5)

   AMSGrad (Reddi et al., ICLR 2018) uses w_t, the largest v so far, for v_t in (4):
       w_t = max(w_{t-1}, v_t)                                     (6)

   Other pages use this step with AdamW's decay: (5) begins with (1 - eta lambda) x_{t-1}, or x_t is
   multiplied by 1 - eta lambda after the step. Older files do not correct the bias of eps (7), or
   correct nothing (8):
       x_t = x_{t-1} - eta sqrt(1 - beta2^t) / (1 - beta1^t) m_t / (sqrt(v_t) + eps)    (7)
       x_t = x_{t-1} - eta m_t / (sqrt(v_t) + eps)                                      (8)

   Cost: one pass. State: m and v, like each weight; with AMSGrad w, too.
   Claims: nothing but signed permutations of the rank: the square in (3) looks at single entries.
   Trap: eps is added after the division in sqrt(v^) = sqrt(v_t) / sqrt(1 - beta2^t). Files that add
   it before (scaled_adam.c) have a different effective eps. */
#include "optim/adam.h"

#include <math.h>

void tn_adam_step(const tn_unit *u, int k, tn_adam how)
{
    const double *h = u->h;
    const tn_factor *f = &u->f[k];
    tn_real b1 = (tn_real)h[TN_ADAM_BETA1], a1 = (tn_real)(1 - h[TN_ADAM_BETA1]);
    tn_real b2 = (tn_real)h[TN_ADAM_BETA2], a2 = (tn_real)(1 - h[TN_ADAM_BETA2]);
    double c1 = 1 - tn_power_of(h[TN_ADAM_BETA1], u->t),
           c2 = 1 - tn_power_of(h[TN_ADAM_BETA2], u->t);
    double rate = how.rate, correct = 1; /* (8) */
    if (how.bias == TN_BIAS_CORRECTED) {
        rate = how.rate / c1;   /* (4), m^ */
        correct = 1 / sqrt(c2); /* (4), v^ */
    } else if (how.bias == TN_BIAS_BUT_EPS) {
        rate = how.rate * sqrt(c2) / c1; /* (7) */
    }
    tn_real eta = (tn_real)rate, root = (tn_real)correct;
    tn_real eps = (tn_real)h[TN_ADAM_EPS], lambda = (tn_real)(f->decays ? how.coupled : 0);
    tn_real keep = (tn_real)(f->decays ? how.shrink : 1);
    tn_real after = (tn_real)(f->decays ? 1 - how.fade : 1);
    tn_real *restrict x = f->x, *restrict m = u->slot[0][k], *restrict v = u->slot[1][k];
    tn_real *restrict top = how.top;
    const tn_real *restrict grad = how.g;
    for (int64_t i = 0; i < f->n; i++) {
        tn_real g = grad[i] + lambda * x[i]; /* (1) */
        m[i] = b1 * m[i] + a1 * g;           /* (2) */
        v[i] = b2 * v[i] + a2 * (g * g);     /* (3) */
        tn_real most = v[i];
        if (top)
            most = top[i] = v[i] > top[i] ? v[i] : top[i];                              /* (6) */
        x[i] = after * (keep * x[i] - eta * m[i] / ((tn_real)sqrt(most) * root + eps)); /* (5) */
    }
}

tn_adam tn_adamw(const tn_unit *u, const tn_real *g, double rate)
{
    return (tn_adam){ .g = g, .rate = rate, .shrink = 1 - rate * u->h[TN_ADAM_DECAY] };
}

bool tn_adam_needs(const tn_unit *u, int slot, int k)
{
    (void)k;
    return slot < 2 || u->h[TN_ADAM_AMSGRAD] != 0;
}

static void step(tn_unit *u)
{
    for (int k = 0; k < u->factors; k++) {
        tn_adam how = { .g = u->f[k].g, .rate = u->lr, .shrink = 1, .top = u->slot[2][k] };
        how.coupled = u->h[TN_ADAM_DECAY];
        tn_adam_step(u, k, how);
    }
}

const tn_optim_def tn_optim_adam = {
    .name = "adam", .title = "Adam with L2 regularisation", .paper = "arXiv:1412.6980",
    .update = "m, v: moving averages of g + wd x and its square; x -= lr m^ / (sqrt(v^) + eps)",
    .cost = "none",
    .hyper = {
        { "lr", 1e-3, TN_ABOVE_0, "learning rate eta" },
        { "beta1", 0.9, TN_SHARE, "decay of the first moment" },
        { "beta2", 0.999, TN_SHARE, "decay of the second moment" },
        { "eps", 1e-8, TN_ABOVE_0, "added to the root of the second moment" },
        { "weight_decay", 0, TN_FROM_0, "L2: added to the gradient, times the weight" },
        { "amsgrad", 0, TN_SWITCH, "1: the root is of the largest second moment so far" },
    },
    .slots = { { "m", TN_LIKE_X }, { "v", TN_LIKE_X }, { "top", TN_LIKE_X } }, .needs = tn_adam_needs,
    .step = step,
    .claims = TN_INVARIANT_NONE, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
