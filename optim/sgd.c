/* sgd.c - gradient descent with momentum, as torch.optim.SGD.
   Sutskever et al., ICML 2013, but the rate is outside the momentum.

       g_t = g + lambda x_{t-1}                                    (1)   on weights that decay
       v_t = g_1 if t = 1, else mu v_{t-1} + (1 - tau) g_t         (2)
       d_t = g_t + mu v_t (Nesterov), v_t, or g_t without momentum (3)
       x_t = x_{t-1} - eta d_t                                     (4)

   Cost: one pass. State: v, like each weight; none without momentum.
   Claims: rotations of the rank change nothing, because (1) to (4) are linear. A scaling c
   multiplies the steps of the two factors by 1/c^2 and c^2.
   Trap: the dampening tau does not act in the first step. */
#include "optim/optim.h"

enum { LR, MOMENTUM, DAMPENING, NESTEROV, DECAY };

static void step(tn_unit *u)
{
    tn_real eta = (tn_real)u->lr, mu = (tn_real)u->h[MOMENTUM];
    tn_real fresh = (tn_real)(u->t == 1 ? 1 : 1 - u->h[DAMPENING]);
    bool nesterov = u->h[NESTEROV] != 0;
    for (int k = 0; k < u->factors; k++) {
        const tn_factor *f = &u->f[k];
        tn_real *restrict x = f->x, *restrict v = u->slot[0][k];
        const tn_real *restrict grad = f->g;
        tn_real lambda = (tn_real)(f->decays ? u->h[DECAY] : 0);
        for (int64_t i = 0; i < f->n && mu == 0; i++)
            x[i] -= eta * (grad[i] + lambda * x[i]); /* (1), (3), (4) */
        for (int64_t i = 0; i < f->n && mu != 0; i++) {
            tn_real g = grad[i] + lambda * x[i];         /* (1) */
            v[i] = mu * v[i] + fresh * g;                /* (2) */
            tn_real d = nesterov ? g + mu * v[i] : v[i]; /* (3) */
            x[i] -= eta * d;                             /* (4) */
        }
    }
}

static bool needs(const tn_unit *u, int slot, int k)
{
    (void)slot, (void)k;
    return u->h[MOMENTUM] != 0;
}

static const char *check(const double *h)
{
    if (h[NESTEROV] != 0 && !(h[MOMENTUM] > 0 && h[DAMPENING] == 0))
        return "nesterov needs a momentum above 0 and no dampening";
    return NULL;
}

const tn_optim_def tn_optim_sgd = {
    .name = "sgd", .title = "gradient descent with momentum",
    .paper = "Sutskever et al., ICML 2013",
    .update = "v = momentum v + (1 - dampening) g; x -= lr v",
    .cost = "none",
    .hyper = {
        { "lr", 1e-2, TN_ABOVE_0, "learning rate eta" },
        { "momentum", 0, TN_SHARE, "mu, the decay of the momentum; 0: none" },
        { "dampening", 0, TN_ANY, "tau, the share of the gradient that momentum leaves out" },
        { "nesterov", 0, TN_SWITCH, "1: Nesterov's form, one step ahead along the momentum" },
        { "weight_decay", 0, TN_FROM_0, "L2: added to the gradient, times the weight" },
    },
    .slots = { { "v", TN_LIKE_X } }, .needs = needs,
    .step = step, .check = check,
    .claims = TN_INVARIANT_ROTATION, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
