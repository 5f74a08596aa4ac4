/* reflora_s.c - RefLoRA-S: RefLoRA with a number in the place of its matrix.
   Both factors keep the same norm. Zhang et al., arXiv:2505.18877, NeurIPS 2025, and the authors'
   reflora.py.

   The product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r), g_A and g_B are their gradients, m
   and v the moments of AdamW.

       A, B: a step of AdamW, or of gradient descent, on g         (1)
       p = sqrt(||A|| / ||B||)                                     (2)
       B = p B,  A = A / p                                         (3)
       m_B = m_B / p,  v_B = v_B / p^2,  m_A = p m_A,  v_A = p^2 v_A  (4)

   (4) makes the moments those of the gradients at the new point. (2) to (4) come after step number
   warmup_steps and then after every interval-th step. At warmup_steps = 0 they come before the
   first step, too, and the gradients of that step become

       g_B / p,   p g_A                                            (5)

   rescale 0 is the form that does not touch the pair. It does the same for gradient descent but not
   for AdamW. In the place of (2) to (5) the step uses

       g_B ||B|| / ||A||,   g_A ||A|| / ||B||                      (6)

   Cost: one more pass over weights and moments. State: as reflora.c.
   Claims: with gradient descent, no warm-up and factors that are not zero, scalings and rotations
   of the pair change nothing in the product. With AdamW, nothing but signed permutations.
   Trap: nothing happens while a factor is zero, so at the zero start lora_A keeps its norm for the
   first step. */
#include "optim/algebra/norm.h"
#include "optim/reflora.h"

#include <math.h>

enum { RESCALE = TN_REFLORA_INTERVAL + 1 };
enum { M, V }; /* slots */

static void scale(tn_real *x, int64_t n, double by)
{
    for (int64_t j = 0; j < n && x; j++)
        x[j] = (tn_real)((double)x[j] * by);
}

/* ||A|| / ||B||; 1: one of them is zero. */
static double ratio(const tn_unit *u)
{
    const tn_factor *fa = &u->f[TN_LORA_B], *fb = &u->f[TN_LORA_A];
    double a = tn_norm(fa->x, fa->n), b = tn_norm(fb->x, fb->n);
    return a > 0 && b > 0 ? a / b : 1;
}

/* (2) to (4). Returns p. */
static double refactor(const tn_unit *u)
{
    double p = sqrt(ratio(u)); /* (2) */
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) {
        double by = x == TN_LORA_A ? p : 1 / p;
        scale(u->f[x].x, u->f[x].n, by);         /* (3) */
        scale(u->slot[M][x], u->f[x].n, 1 / by); /* (4) */
        scale(u->slot[V][x], u->f[x].n, 1 / (by * by));
    }
    return p;
}

static void step(tn_unit *u)
{
    bool rescale = u->h[RESCALE] != 0;
    double by = 1; /* of g_A; g_B is divided by it */
    if (!rescale && tn_reflora_turn(u, u->t - 1))
        by = ratio(u); /* (6) */
    else if (rescale && u->t == 1 && tn_reflora_turn(u, 0))
        by = refactor(u); /* (5) */
    tn_real *g = (tn_real *)u->memory;
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) {
        double factor = x == TN_LORA_B ? by : 1 / by;
        for (int64_t j = 0; j < u->f[x].n; j++)
            g[j] = (tn_real)((double)u->f[x].g[j] * factor);
        tn_reflora_descend(u, x, g); /* (1) */
    }
    if (rescale && tn_reflora_turn(u, u->t))
        refactor(u);
}

const tn_optim_def tn_optim_reflora_s = {
    .name = "reflora-s", .title = "RefLoRA-S, factors of equal norm", .paper = "arXiv:2505.18877",
    .update = "AdamW; then B *= p, A /= p with p = sqrt(|A| / |B|), and the moments with them",
    .cost = "O((m + n) r)",
    .hyper = {
        { "lr", 1e-3, TN_ABOVE_0, "learning rate eta" },
        { "beta1", 0.9, TN_SHARE, "decay of the first moment" },
        { "beta2", 0.999, TN_SHARE, "decay of the second moment" },
        { "eps", 1e-8, TN_ABOVE_0, "added to the root of the second moment" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the factors shrink by lr times this" },
        { "adamw", 1, TN_SWITCH, "the optimizer inside, 1: AdamW; 0: gradient descent" },
        { "warmup_steps", 100, TN_WHOLE, "steps before the factors first get the same norm" },
        { "interval", 1, TN_COUNT, "after that, so many steps to the next time" },
        { "rescale", 1, TN_SWITCH, "1: the pair and its moments (authors); 0: the gradients alone" },
    },
    .slots = { { "m", TN_LIKE_X }, { "v", TN_LIKE_X } }, .needs = tn_reflora_needs,
    .pairs = true, .scratch = tn_unit_bytes, .step = step,
    .claims = TN_INVARIANT_BOTH, .claims_when = "adamw=0 warmup_steps=0",
    .claims_nonzero = true, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
