/* altlora.c - AltLoRA: the factors take turns and carry the momentum along.
   The momentum follows the partner's columns. Yu et al., arXiv:2505.12455, and the authors'
   optimizer_new.py.

   The product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r). X is the factor whose turn it is, g
   its gradient, Y its partner, Y_old is Y when M was written last, t counts the moves of X:

       C = (Y^T Y + delta I)^-1                                    (1)
       T = Y_old^T Y C                                             (2)
       M_t = beta1 M_{t-1} T + (1 - beta1) g C / s^2               (3)
       X' = X_{t-1} - eta / (1 - beta1^t) M_t                      (4)
       X_t = (1 - eta lambda) X'                                   (5)   on weights that decay

   Turns: lora_B, lora_A, lora_B, ... (alternate 1), in blocks of f steps (f; the authors' trainer
   has 10), or both in every step, lora_A first and lora_B with the new lora_A (0).
   For X = A and delta = 0, s (g C / s^2) B^T is G P_B, the best approximation of G = dL/dW that A
   can move along, and M T B^T is M B_old^T P_B: the momentum, too, is projected.
   Cost: four products of n r^2 and one eigenproblem of size r for the factor that moves. State: M
   and the partner's last value, like each weight.
   Claims: at delta = 0 the product moves the same whatever basis the pair is written in; with delta
   rotations are harmless.
   Traps: moving lora_B first matters at the zero start, where lora_A has no gradient. The authors'
   file leaves s^2 out of (3) (scale_free 0): the rate then acts as eta s^2. */
#include "optim/altlora.h"

#include <string.h>

enum { LR, BETA1, DELTA, DECAY, ALTERNATE, BIAS_CORRECTION, SCALE_FREE };
enum { M, OLD }; /* slots */

/* How often factor i has moved after step u->t, f steps a turn; 0: it rests in that step. */
static int64_t turn(const tn_unit *u, int i, int64_t f)
{
    if (!f)
        return u->t;
    int64_t block = (u->t - 1) / f;
    return block % 2 == i ? 0 : block / 2 * f + (u->t - 1) % f + 1;
}

void tn_altlora_step(tn_unit *u, double alternate, void (*move)(tn_unit *u, int i, int64_t t))
{
    for (int i = 0; i < 2; i++) {
        int64_t t = turn(u, i, (int64_t)alternate);
        if (t)
            move(u, i, t);
    }
}

void tn_altlora_transport(const tn_unit *u, int i, double delta, void *const *old, double *work,
                          double *c, double *t)
{
    const tn_factor *y = &u->f[1 - i];
    double *cross = work + tn_preconditioner_work(u->r);
    tn_preconditioner(u, 1 - i, delta, work, c);                            /* (1) */
    tn_tall_gram(tn_tall_of(u, 1 - i, old[1 - i]), tn_tall_of(u, 1 - i, y->x), work, u->wide,
                 cross);
    tn_small_ab(u->r, cross, c, t);                                         /* (2) */
    memcpy(old[1 - i], y->x, (size_t)y->n * sizeof *y->x);
}

static size_t scratch(const tn_unit *u)
{
    return (3 * (size_t)(u->r * u->r) + tn_preconditioner_work(u->r)) * sizeof(double);
}

static void move(tn_unit *u, int i, int64_t turns)
{
    const double *h = u->h;
    int64_t rr = u->r * u->r;
    double *c = (double *)u->memory, *t = c + rr, *work = t + rr, b1 = h[BETA1];
    tn_altlora_transport(u, i, h[DELTA], u->slot[OLD], work, c, t);
    double fresh = h[SCALE_FREE] != 0 ? (1 - b1) / (u->s * u->s) : 1 - b1;
    for (int64_t j = 0; j < rr; j++) {
        c[j] *= fresh;
        t[j] *= b1;
    }
    tn_real *restrict x = u->f[i].x, *restrict m = u->slot[M][i];
    tn_tall_combine(tn_tall_of(u, i, u->f[i].g), c, tn_tall_of(u, i, m), t, work, u->wide,
                    m);                                                     /* (3) */
    tn_real eta = (tn_real)(h[BIAS_CORRECTION] != 0 ? u->lr / (1 - tn_power(b1, turns)) : u->lr);
    tn_real keep = (tn_real)(u->f[i].decays ? 1 - u->lr * h[DECAY] : 1);
    for (int64_t j = 0; j < u->f[i].n; j++)
        x[j] = keep * (x[j] - eta * m[j]);                                  /* (4), (5) */
}

static void step(tn_unit *u)
{
    tn_altlora_step(u, u->h[ALTERNATE], move);
}

const tn_optim_def tn_optim_altlora = {
    .name = "altlora", .title = "AltLoRA, alternating projections", .paper = "arXiv:2505.12455",
    .update = "by turns: M = beta1 M Y_old^T Y C + (1 - beta1) g C, C = (Y^T Y + delta I)^-1; "
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
