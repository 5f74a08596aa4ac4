/* altlora.c - AltLoRA: the factors move in turn, and the momentum follows the partner's columns.
   Yu et al., arXiv:2505.12455, and the authors' optimizer_new.py.

   The product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r). X is the factor that moves in this
   step, g its gradient, Y its partner. Y_old is Y as it was when M was last written. t counts the
   moves of X.

       C = (Y^T Y + delta I)^-1                                    (1)
       T = Y_old^T Y C                                             (2)
       M_t = beta1 M_{t-1} T + (1 - beta1) g C / s^2               (3)
       X' = X_{t-1} - eta / (1 - beta1^t) M_t                      (4)
       X_t = (1 - eta lambda) X'                                   (5)   on weights that decay

   The setting alternate is the order. 1: lora_B, lora_A, lora_B, ... f: f steps of lora_B, then f
   steps of lora_A (the authors' trainer has 10). 0: both in every step, lora_A first, then lora_B
   with the new lora_A. For X = A and delta = 0, s (g C / s^2) B^T is G P_B: of all motions that A
   can make, it is the nearest to G = dL/dW. M T B^T is M B_old^T P_B, so the momentum is projected,
   too.
   Cost: four products of n r^2 and one eigenproblem of size r for the factor that moves. State: M
   and the partner's last value, like each weight.
   Claims: at delta = 0 the product moves the same for every basis that the pair is written in. With
   delta above 0 this holds for rotations.
   Traps: lora_B should move first, because lora_A has no gradient at the zero start. The authors'
   file does not divide by s^2 in (3) (scale_free 0): the rate then acts as eta s^2. */
#include "optim/altlora.h"

#include <string.h>

enum { LR, BETA1, DELTA, DECAY, ALTERNATE, BIAS_CORRECTION, SCALE_FREE };
enum { M, OLD }; /* slots */

/* t of factor x after step u->t, if the factors take turns of f steps; 0: x rests in that step. */
static int64_t moves(const tn_unit *u, int x, int64_t f)
{
    if (!f)
        return u->t;
    int64_t turn = (u->t - 1) / f; /* from 0; the even ones are lora_B's */
    return turn % 2 == x ? 0 : turn / 2 * f + (u->t - 1) % f + 1;
}

void tn_altlora_step(tn_unit *u, double alternate, void (*move)(tn_unit *u, int x, int64_t t))
{
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) {
        int64_t t = moves(u, x, (int64_t)alternate);
        if (t)
            move(u, x, t);
    }
}

void tn_altlora_transport(const tn_unit *u, int x, double delta, void *const *old, double *work,
                          double *cross, double *c, double *t)
{
    const int y = tn_partner(x);
    tn_preconditioner(u, y, delta, work, c); /* (1) */
    tn_tall_gram(tn_tall_of(u, y, old[y]), tn_weight_of(u, y), work, u->wide, cross);
    tn_small_ab(u->r, cross, c, t); /* (2) */
    memcpy(old[y], u->f[y].x, (size_t)u->f[y].n * sizeof *u->f[y].x);
}

static size_t scratch(const tn_unit *u)
{
    return (3 * (size_t)(u->r * u->r) + tn_preconditioner_work(u->r)) * sizeof(double);
}

static void move(tn_unit *u, int x, int64_t moves_of_x)
{
    const double *h = u->h, b1 = h[BETA1];
    const int64_t r = u->r, rr = r * r;
    double *c = (double *)u->memory, *t = c + rr, *cross = t + rr, *work = cross + rr;
    tn_altlora_transport(u, x, h[DELTA], u->slot[OLD], work, cross, c, t);
    tn_small_scale(r, h[SCALE_FREE] != 0 ? (1 - b1) / (u->s * u->s) : 1 - b1, c);
    tn_small_scale(r, b1, t);
    tn_real *restrict w = u->f[x].x, *restrict m = u->slot[M][x];
    tn_tall_combine(tn_gradient_of(u, x), c, tn_tall_of(u, x, m), t, work, u->wide, m); /* (3) */
    double rate = h[BIAS_CORRECTION] != 0 ? u->lr / (1 - tn_power_of(b1, moves_of_x)) : u->lr;
    tn_real eta = (tn_real)rate, keep = (tn_real)(u->f[x].decays ? 1 - u->lr * h[DECAY] : 1);
    for (int64_t j = 0; j < u->f[x].n; j++)
        w[j] = keep * (w[j] - eta * m[j]); /* (4), (5) */
}

static void step(tn_unit *u)
{
    tn_altlora_step(u, u->h[ALTERNATE], move);
}

const tn_optim_def tn_optim_altlora = {
    .name = "altlora", .title = "AltLoRA, alternating projections", .paper = "arXiv:2505.12455",
    .update = "in turn: M = beta1 M Y_old^T Y C + (1 - beta1) g C, C = (Y^T Y + delta I)^-1; "
              "X -= lr M",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "as the paper: s^2 in (3), turns of one step (theirs: scale_free=0 alternate=10)",
    .hyper = {
        { "lr", 1e-2, TN_ABOVE_0, "learning rate eta" },
        { "beta1", 0.9, TN_SHARE, "decay of the momentum" },
        { "delta", 1e-5, TN_FROM_0, "added to the diagonal of the Gram matrices" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the factor shrinks by lr times this, after the step" },
        { "alternate", 1, TN_WHOLE, "steps of lora_B, then as many of lora_A; 0: both in every step" },
        { "bias_correction", 1, TN_SWITCH, "1: of the momentum; 0: none" },
        { "scale_free", 1, TN_SWITCH, "1: divide by the pair's s^2 (paper); 0: do not (authors' file)" },
    },
    .presets = {
        { "trainer", "alternate=10 scale_free=0" },
        { "class", "delta=1e-3 alternate=0 scale_free=0" },
    },
    .slots = { { "m", TN_LIKE_X }, { "old", TN_LIKE_X } },
    .pairs = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_FULL, .claims_when = "delta=0", .clip = TN_CLIP_GLOBAL,
    .decay = "weight_decay",
};
