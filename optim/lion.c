/* lion.c - the sign of an interpolated momentum.
   A search over programs found it. Chen et al., arXiv:2302.06675, NeurIPS 2023, Algorithm 2.

       c_t = beta1 m_{t-1} + (1 - beta1) g_t                       (1)
       x_t = x_{t-1} - eta (sign(c_t) + lambda x_{t-1})            (2)  lambda on weights that decay
       m_t = beta2 m_{t-1} + (1 - beta2) g_t                       (3)

   Cost: one pass. State: m, like each weight; half of Adam's.
   Claims: nothing but signed permutations of the rank. Every entry moves by eta, whatever the
   gradient's size or basis.
   Traps: sign(0) = 0, so lora_A does not move in the first step from lora_B = 0, where its gradient
   is exactly zero. (1) uses the old momentum. There is no bias correction: c_1 is small, but only
   its sign matters. The authors use AdamW's rate divided by 3 to 10, and its decay multiplied by
   the same number. */
#include "optim/optim.h"

enum { LR, BETA1, BETA2, DECAY };

static void step(tn_unit *u)
{
    const double *h = u->h;
    tn_real b1 = (tn_real)h[BETA1], a1 = (tn_real)(1 - h[BETA1]), eta = (tn_real)u->lr;
    tn_real b2 = (tn_real)h[BETA2], a2 = (tn_real)(1 - h[BETA2]);
    for (int k = 0; k < u->factors; k++) {
        const tn_factor *f = &u->f[k];
        tn_real keep = (tn_real)(f->decays ? 1 - u->lr * h[DECAY] : 1);
        tn_real *restrict x = f->x, *restrict m = u->slot[0][k];
        const tn_real *restrict g = f->g;
        for (int64_t i = 0; i < f->n; i++) {
            tn_real c = b1 * m[i] + a1 * g[i];                       /* (1) */
            x[i] = keep * x[i] - eta * (tn_real)((c > 0) - (c < 0)); /* (2) */
            m[i] = b2 * m[i] + a2 * g[i];                            /* (3) */
        }
    }
}

const tn_optim_def tn_optim_lion = {
    .name = "lion", .title = "sign of an interpolated momentum", .paper = "arXiv:2302.06675",
    .update = "x -= lr (sign(beta1 m + (1 - beta1) g) + wd x); m: moving average of g by beta2",
    .cost = "none",
    .hyper = {
        { "lr", 3e-4, TN_ABOVE_0, "learning rate eta: every entry moves by it" },
        { "beta1", 0.9, TN_SHARE, "share of the old momentum in the step" },
        { "beta2", 0.99, TN_SHARE, "decay of the momentum" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the weight shrinks by lr times this" },
    },
    .slots = { { "m", TN_LIKE_X } },
    .step = step,
    .claims = TN_INVARIANT_NONE, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
