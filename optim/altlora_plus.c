/* altlora_plus.c - AltLoRA+: AltLoRA with Adam's second moment.
   Yu et al., arXiv:2505.12455, and the authors' optimizer_new.py.

   Letters and order, C (1) and T (2) are those of altlora.c.

       ~g = g C / s^2                                              (3)
       D = beta1 M_{t-1} T + (1 - beta1) ~g                        (4)
       M_t = D, or beta1 M_{t-1} + (1 - beta1) ~g                  (5)   carry 1, 0
       V_t = beta2 V_{t-1} + (1 - beta2) ~g^2                      (6)
       X' = X_{t-1} - eta / (1 - beta1^t) D / (sqrt(V_t) + eps)    (7)
       X_t = (1 - eta lambda) X'                                   (8)   on weights that decay

   Cost: five products of n r^2 and one eigenproblem of size r for the factor that moves. State: M,
   V and the partner's last value, like each weight.
   Claims: nothing but signed permutations, because (6) looks at single entries.
   Traps: V has no bias correction, so the first steps are up to 1 / sqrt(1 - beta2) times Adam's:
   30 times at the defaults. V is not carried along. In the authors' file the stored first moment is
   not carried along either (carry 0): it stays in coordinates that the partner has left. */
#include "optim/altlora.h"

#include <math.h>

enum { LR, BETA1, BETA2, EPS, DELTA, DECAY, ALTERNATE, BIAS_CORRECTION, SCALE_FREE, CARRY };
enum { M, V, OLD }; /* slots */

static size_t scratch(const tn_unit *u)
{
    return (3 * (size_t)(u->r * u->r) + tn_preconditioner_work(u->r)) * sizeof(double) +
           2 * tn_unit_bytes(u);
}

/* (5) to (8) for factor x, which moves for the t-th time. */
static void descend(tn_unit *u, int x, int64_t t, const tn_real *restrict g,
                    const tn_real *restrict d)
{
    const double *h = u->h;
    tn_real b1 = (tn_real)h[BETA1], a1 = (tn_real)(1 - h[BETA1]), eps = (tn_real)h[EPS];
    tn_real b2 = (tn_real)h[BETA2], a2 = (tn_real)(1 - h[BETA2]);
    double corrected = u->lr / (1 - tn_power_of(h[BETA1], t));
    tn_real eta = (tn_real)(h[BIAS_CORRECTION] != 0 ? corrected : u->lr);
    tn_real keep = (tn_real)(u->f[x].decays ? 1 - u->lr * h[DECAY] : 1);
    bool carry = h[CARRY] != 0;
    tn_real *restrict w = u->f[x].x, *restrict m = u->slot[M][x], *restrict v = u->slot[V][x];
    for (int64_t j = 0; j < u->f[x].n; j++) {
        m[j] = carry ? d[j] : b1 * m[j] + a1 * g[j];                     /* (5) */
        v[j] = b2 * v[j] + a2 * (g[j] * g[j]);                           /* (6) */
        w[j] = keep * (w[j] - eta * d[j] / ((tn_real)sqrt(v[j]) + eps)); /* (7), (8) */
    }
}

static void move(tn_unit *u, int x, int64_t moves_of_x)
{
    const int64_t r = u->r, rr = r * r;
    double *c = (double *)u->memory, *t = c + rr, *l = t + rr, *work = l + rr;
    tn_real *g = (tn_real *)(work + tn_preconditioner_work(r)), *d = g + u->f[x].n;
    tn_tall grad = tn_gradient_of(u, x), m = tn_tall_of(u, x, u->slot[M][x]);
    tn_altlora_transport(u, x, u->h[DELTA], u->slot[OLD], work, l, c, t); /* (1), (2) */
    for (int64_t j = 0; j < rr; j++)
        c[j] /= u->h[SCALE_FREE] != 0 ? u->s * u->s : 1;
    tn_small_scale(r, u->h[BETA1], t);
    tn_small_diagonal(r, 1 - u->h[BETA1], l);
    tn_tall_combine(grad, c, grad, NULL, work, u->wide, g);          /* (3) */
    tn_tall_combine(m, t, tn_tall_of(u, x, g), l, work, u->wide, d); /* (4) */
    descend(u, x, moves_of_x, g, d);
}

static void step(tn_unit *u)
{
    tn_altlora_step(u, u->h[ALTERNATE], move);
}

const tn_optim_def tn_optim_altlora_plus = {
    .name = "altlora-plus", .title = "AltLoRA+, AltLoRA with a second moment",
    .paper = "arXiv:2505.12455",
    .update = "as altlora, with lr M / (sqrt(V) + eps), V the average of (g C)^2",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "as the paper: s^2 in (3), the moment carried along, turns of one step (theirs: "
               "scale_free=0 carry=0 alternate=10)",
    .hyper = {
        { "lr", 1e-3, TN_ABOVE_0, "learning rate eta" },
        { "beta1", 0.9, TN_SHARE, "decay of the first moment" },
        { "beta2", 0.999, TN_SHARE, "decay of the second moment" },
        { "eps", 1e-6, TN_ABOVE_0, "added to the root of the second moment" },
        { "delta", 1e-5, TN_FROM_0, "added to the diagonal of the Gram matrices" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the factor shrinks by lr times this, after the step" },
        { "alternate", 1, TN_WHOLE, "steps of lora_B, then as many of lora_A; 0: both in every step" },
        { "bias_correction", 1, TN_SWITCH, "1: of the first moment; 0: none" },
        { "scale_free", 1, TN_SWITCH, "1: divide by the pair's s^2 (paper); 0: do not (authors' file)" },
        { "carry", 1, TN_SWITCH, "1: the kept first moment is carried along; 0: it is not (authors' file)" },
    },
    .presets = {
        { "trainer", "eps=1e-4 alternate=10 scale_free=0 carry=0" },
        { "class", "delta=1e-3 alternate=0 scale_free=0 carry=0" },
    },
    .slots = { { "m", TN_LIKE_X }, { "v", TN_LIKE_X }, { "old", TN_LIKE_X } },
    .pairs = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_NONE, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
