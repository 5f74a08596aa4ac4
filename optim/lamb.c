/* lamb.c - Adam's direction, with a length in proportion to the weight that it moves.
   You et al., arXiv:1904.00962, ICLR 2020, Algorithm 2. A layer is one weight here, so each factor
   of a LoRA pair has its own length.

       m_t = beta1 m_{t-1} + (1 - beta1) g_t                       (1)
       v_t = beta2 v_{t-1} + (1 - beta2) g_t^2                     (2)
       m^ = m_t / (1 - beta1^t),   v^ = v_t / (1 - beta2^t)        (3)
       u_t = m^ / (sqrt(v^) + eps) + lambda x_{t-1}                (4)  lambda on weights that decay
       q = phi(||x_{t-1}||) / ||u_t||, or 1 if either norm is 0    (5)
       x_t = x_{t-1} - eta q u_t                                   (6)

   phi(z) = z, or min(z, clamp) if clamp is above 0.
   Cost: one pass, two norms. State: m and v, like each weight.
   Claims: a scaling c of the rank turns g into g / c. (4) does not change by that, and (5) makes
   the step follow c. This is exact for eps -> 0 without decay, while neither factor is zero.
   Rotations break it, as they break Adam.
   Traps: at lora_B = 0 its first step has q = 1, whatever the scale. Two libraries leave out (3)
   and clamp at 10; that is bias_correction=0 clamp=10. */
#include "optim/algebra/norm.h"
#include "optim/optim.h"

#include <math.h>

enum { LR, BETA1, BETA2, EPS, DECAY, BIAS_CORRECTION, CLAMP };

/* (1) to (4) for factor k. */
static void direction(const tn_unit *u, int k, tn_real *restrict out)
{
    const double *h = u->h;
    const tn_factor *f = &u->f[k];
    bool corrected = h[BIAS_CORRECTION] != 0;
    tn_real b1 = (tn_real)h[BETA1], a1 = (tn_real)(1 - h[BETA1]);
    tn_real b2 = (tn_real)h[BETA2], a2 = (tn_real)(1 - h[BETA2]);
    tn_real first = (tn_real)(corrected ? 1 / (1 - tn_power_of(h[BETA1], u->t)) : 1);      /* (3) */
    tn_real second = (tn_real)(corrected ? 1 / sqrt(1 - tn_power_of(h[BETA2], u->t)) : 1); /* (3) */
    tn_real eps = (tn_real)h[EPS], lambda = (tn_real)(f->decays ? h[DECAY] : 0);
    tn_real *restrict m = u->slot[0][k], *restrict v = u->slot[1][k];
    const tn_real *restrict g = f->g, *restrict x = f->x;
    for (int64_t i = 0; i < f->n; i++) {
        m[i] = b1 * m[i] + a1 * g[i];                                                 /* (1) */
        v[i] = b2 * v[i] + a2 * (g[i] * g[i]);                                        /* (2) */
        out[i] = first * m[i] / ((tn_real)sqrt(v[i]) * second + eps) + lambda * x[i]; /* (4) */
    }
}

static void step(tn_unit *u)
{
    tn_real *restrict d = (tn_real *)u->memory;
    for (int k = 0; k < u->factors; k++) {
        const tn_factor *f = &u->f[k];
        direction(u, k, d);
        double size = tn_norm(f->x, f->n), length = tn_norm(d, f->n);
        if (u->h[CLAMP] > 0 && size > u->h[CLAMP])
            size = u->h[CLAMP];
        double q = size > 0 && length > 0 ? size / length : 1; /* (5) */
        tn_real rate = (tn_real)(u->lr * q), *restrict x = f->x;
        for (int64_t i = 0; i < f->n; i++)
            x[i] -= rate * d[i]; /* (6) */
    }
}

const tn_optim_def tn_optim_lamb = {
    .name = "lamb", .title = "Adam's direction at the length of the weight",
    .paper = "arXiv:1904.00962",
    .update = "u = Adam's direction + wd x; x -= lr ||x|| u / ||u||",
    .cost = "two norms",
    .hyper = {
        { "lr", 1e-2, TN_ABOVE_0, "learning rate eta: share of its size that a weight moves by" },
        { "beta1", 0.9, TN_SHARE, "decay of the first moment" },
        { "beta2", 0.999, TN_SHARE, "decay of the second moment" },
        { "eps", 1e-6, TN_ABOVE_0, "added to the root of the second moment" },
        { "weight_decay", 0, TN_FROM_0, "this times the weight is part of the direction" },
        { "bias_correction", 1, TN_SWITCH, "1: of the moments, as in Adam; 0: none" },
        { "clamp", 0, TN_FROM_0, "a larger weight counts as this large; 0: no limit" },
    },
    .slots = { { "m", TN_LIKE_X }, { "v", TN_LIKE_X } },
    .scratch = tn_unit_bytes, .step = step,
    .claims = TN_INVARIANT_SCALE, .claims_when = "weight_decay=0 eps=1e-15",
    .claims_nonzero = true, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
