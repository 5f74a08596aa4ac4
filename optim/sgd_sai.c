/* sgd_sai.c - gradient descent with one rate per weight, which its first gradient sets.
   Xu et al., "No More Adam", arXiv:2412.11768, as in the authors' sgd_sai.py.

       q = ||g_1|| / (std(g_1) + eps)                              (1)   of each weight, once
       m_t = g_1 if t = 1, else mu m_{t-1} + (1 - mu) g_t          (2)
       x_t = (1 - eta lambda) x_{t-1} - eta q m_t                  (3)  lambda on weights that decay

   std is taken about the mean and divides by n - 1; std of one number is 0. With wait = 1, t of a
   weight starts with its first gradient that is not zero.
   Cost: one pass. State: m, like each weight, and q.
   Claims: permutations of the rank without signs. Signs and rotations change the mean in (1), and
   the steps do not follow a scaling.
   Traps: with wait = 0, as in the authors' file, lora_A never moves from lora_B = 0: its first
   gradient is zero, and so is q. Entries of mean zero have q = sqrt(n - 1), so larger weights get
   larger rates. If all entries are equal, or there is only one, q = ||g_1|| / eps is too large for
   any rate. Another version of that file (1.0.4) divides every q by the largest. */
#include "optim/algebra/norm.h"
#include "optim/optim.h"

#include <math.h>

enum { LR, MOMENTUM, EPS, WAIT, DECAY };

static double ratio(const tn_real *g, int64_t n, double eps)
{
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        mean += (double)g[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        squares += ((double)g[i] - mean) * ((double)g[i] - mean);
    double std = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
    return tn_norm(g, n) / (std + eps); /* (1) */
}

static void step(tn_unit *u)
{
    const double *h = u->h;
    for (int k = 0; k < u->factors; k++) {
        const tn_factor *f = &u->f[k];
        tn_real *restrict x = f->x, *restrict m = u->slot[0][k];
        const tn_real *restrict g = f->g;
        double *q = u->slot[1][k];
        bool first = u->t == 1 || (h[WAIT] != 0 && *q == 0);
        if (first)
            *q = ratio(g, f->n, h[EPS]);
        tn_real mu = (tn_real)(first ? 0 : h[MOMENTUM]), fresh = 1 - mu;
        tn_real rate = (tn_real)(u->lr * *q);
        tn_real keep = (tn_real)(f->decays ? 1 - u->lr * h[DECAY] : 1);
        for (int64_t i = 0; i < f->n; i++) {
            m[i] = mu * m[i] + fresh * g[i];  /* (2) */
            x[i] = keep * x[i] - rate * m[i]; /* (3) */
        }
    }
}

const tn_optim_def tn_optim_sgd_sai = {
    .name = "sgd-sai", .title = "gradient descent with rates set by the first gradient",
    .paper = "arXiv:2412.11768",
    .update = "q = ||g_1|| / std(g_1), once; m: moving average of g; x -= lr q m",
    .cost = "none",
    .departs = "the authors take q at step 1 even if that gradient is zero, as lora_A's is: wait=0",
    .hyper = {
        { "lr", 1e-2, TN_ABOVE_0, "learning rate eta" },
        { "momentum", 0.9, TN_SHARE, "mu, the decay of the momentum" },
        { "eps", 1e-8, TN_ABOVE_0, "added to the standard deviation" },
        { "wait", 1, TN_SWITCH, "1: a weight starts with its first gradient that is not zero; 0: at step 1" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the weight shrinks by lr times this" },
    },
    .slots = { { "m", TN_LIKE_X }, { "q", TN_SCALAR } },
    .step = step,
    .claims = TN_INVARIANT_UNSIGNED, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
