/* rmsprop.c - gradients over the root of their mean square.
   Tieleman and Hinton, Lecture 6.5 of "Neural Networks for Machine Learning", 2012. The centred
   form is Graves's, arXiv:1308.0850; eps and the momentum are where torch.optim.RMSprop has them.

       g_t = g + lambda x_{t-1}                                    (1)   on weights that decay
       v_t = alpha v_{t-1} + (1 - alpha) g_t^2                     (2)
       a_t = alpha a_{t-1} + (1 - alpha) g_t, or 0 uncentred       (3)
       d_t = g_t / (sqrt(v_t - a_t^2) + eps)                       (4)
       b_t = mu b_{t-1} + d_t                                      (5)
       x_t = x_{t-1} - eta b_t                                     (6)

   Cost: one pass. State: v, like each weight; a if centred; b with momentum.
   Claims: nothing but signed permutations of the rank: (2) looks at single entries.
   Traps: there is no bias correction, so the first step is 1 / sqrt(1 - alpha) times as long as
   later ones. v_t - a_t^2 is a variance, but rounding can make it negative; it then counts as 0. */
#include "optim/optim.h"

#include <math.h>

enum { LR, ALPHA, EPS, CENTERED, MOMENTUM, DECAY };

static void step_factor(tn_unit *u, int k)
{
    const double *h = u->h;
    const tn_factor *f = &u->f[k];
    tn_real alpha = (tn_real)h[ALPHA], fresh = (tn_real)(1 - h[ALPHA]), eps = (tn_real)h[EPS];
    tn_real eta = (tn_real)u->lr, mu = (tn_real)h[MOMENTUM];
    tn_real lambda = (tn_real)(f->decays ? h[DECAY] : 0);
    tn_real *restrict x = f->x, *restrict v = u->slot[0][k];
    tn_real *restrict a = u->slot[1][k], *restrict b = u->slot[2][k];
    const tn_real *restrict grad = f->g;
    for (int64_t i = 0; i < f->n; i++) {
        tn_real g = grad[i] + lambda * x[i];   /* (1) */
        v[i] = alpha * v[i] + fresh * (g * g); /* (2) */
        tn_real square = v[i];
        if (a) {
            a[i] = alpha * a[i] + fresh * g; /* (3) */
            square -= a[i] * a[i];
        }
        tn_real d = g / ((tn_real)sqrt(square > 0 ? square : 0) + eps); /* (4) */
        if (b)
            d = b[i] = mu * b[i] + d; /* (5) */
        x[i] -= eta * d;              /* (6) */
    }
}

static void step(tn_unit *u)
{
    for (int k = 0; k < u->factors; k++)
        step_factor(u, k);
}

static bool needs(const tn_unit *u, int slot, int k)
{
    (void)k;
    return slot == 0 || u->h[slot == 1 ? CENTERED : MOMENTUM] != 0;
}

const tn_optim_def tn_optim_rmsprop = {
    .name = "rmsprop", .title = "gradients over the root of their mean square",
    .paper = "Tieleman and Hinton, Lecture 6.5, 2012",
    .update = "v: moving average of g^2; x -= lr g / (sqrt(v) + eps)",
    .cost = "none",
    .departs = "torch takes the root of v - a^2 as it is, NaN where rounding made it negative",
    .hyper = {
        { "lr", 1e-3, TN_ABOVE_0, "learning rate eta" },
        { "alpha", 0.99, TN_SHARE, "decay of the mean square" },
        { "eps", 1e-8, TN_ABOVE_0, "added to the root of the mean square" },
        { "centered", 0, TN_SWITCH, "1: the root is of the variance instead of the mean square" },
        { "momentum", 0, TN_SHARE, "mu, the decay of the sum of steps; 0: no sum" },
        { "weight_decay", 0, TN_FROM_0, "L2: added to the gradient, times the weight" },
    },
    .slots = { { "v", TN_LIKE_X }, { "a", TN_LIKE_X }, { "b", TN_LIKE_X } }, .needs = needs,
    .step = step,
    .claims = TN_INVARIANT_NONE, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
