/* reflora.c - RefLoRA: the optimizer inside sees the gradients of the balanced pair.
   Zhang et al., arXiv:2505.18877, NeurIPS 2025, and the authors' reflora.py.

   The product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r), g_A and g_B are their gradients.

       S A^T A S = B^T B,   S symmetric and positive               (1)
       ~g_A = g_A S^-1,   ~g_B = g_B S                             (2)
       A, B: a step of AdamW, or of gradient descent, on ~g        (3)

   S is the geometric mean of (A^T A)^-1 and B^T B. balora.c has K and L, for which A K and B L are
   balanced; S = K K^T and S^-1 = L L^T. So gradient descent on ~g is a step of A K and B L, written
   in the basis of A and B. The first warmup_steps steps use the plain gradients. After them, one
   step in `interval` uses ~g and the others use the plain gradients.
   Cost: two products of n r^2 per factor and two eigenproblems of size r. State: m and v, like each
   weight; none with gradient descent.
   Claims: with gradient descent, no warm-up and factors that are not zero, the product moves the
   same for every basis that the pair is written in. With AdamW, nothing but signed permutations: it
   looks at single entries.
   Trap: at the zero start (1) has no solution. Where the product lacks rank, the step uses the
   plain gradients, whatever warmup_steps is. */
#include "optim/reflora.h"

#include "optim/balora.h"
#include "optim/algebra/preconditioner.h"

#include <math.h>

bool tn_reflora_turn(const tn_unit *u, int64_t steps)
{
    double since = (double)steps - u->h[TN_REFLORA_WARMUP];
    return since >= 0 && fmod(since, u->h[TN_REFLORA_INTERVAL]) == 0;
}

void tn_reflora_descend(const tn_unit *u, int x, const tn_real *g)
{
    const tn_factor *f = &u->f[x];
    tn_real eta = (tn_real)u->lr, keep = (tn_real)(f->decays ? 1 - u->lr * u->h[TN_ADAM_DECAY] : 1);
    if (u->h[TN_REFLORA_ADAMW] != 0)
        tn_adam_step(u, x, tn_adamw(u, g, u->lr));
    for (int64_t j = 0; j < f->n && u->h[TN_REFLORA_ADAMW] == 0; j++)
        f->x[j] = keep * f->x[j] - eta * g[j];
}

bool tn_reflora_needs(const tn_unit *u, int slot, int k)
{
    (void)slot, (void)k;
    return u->h[TN_REFLORA_ADAMW] != 0;
}

static size_t scratch(const tn_unit *u)
{
    return tn_balance_bytes(u) + tn_unit_bytes(u);
}

static void step(tn_unit *u)
{
    tn_real *g = (tn_real *)(u->memory + tn_balance_bytes(u));
    tn_balance b;
    bool balanced = tn_reflora_turn(u, u->t - 1) && tn_balance_of(u, u->memory, &b);
    if (balanced) {
        tn_small_atb(u->r, b.k, b.k, b.gram[TN_LORA_A]); /* S of (1), for g_B */
        tn_small_atb(u->r, b.l, b.l, b.gram[TN_LORA_B]); /* S^-1, for g_A */
    }
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) {
        tn_tall grad = tn_gradient_of(u, x);
        if (balanced)
            tn_tall_combine(grad, b.gram[x], grad, NULL, b.work, u->wide, g); /* (2) */
        tn_reflora_descend(u, x, balanced ? g : u->f[x].g);                   /* (3) */
    }
}

const tn_optim_def tn_optim_reflora = {
    .name = "reflora", .title = "RefLoRA, gradients of the balanced pair",
    .paper = "arXiv:2505.18877",
    .update = "AdamW on gA S^-1 and gB S, where S A^T A S = B^T B",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "plain gradients where the product lacks rank; the authors' code divides by eps there",
    .hyper = {
        { "lr", 1e-3, TN_ABOVE_0, "learning rate eta" },
        { "beta1", 0.9, TN_SHARE, "decay of the first moment" },
        { "beta2", 0.999, TN_SHARE, "decay of the second moment" },
        { "eps", 1e-8, TN_ABOVE_0, "added to the root of the second moment" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the factors shrink by lr times this" },
        { "adamw", 1, TN_SWITCH, "the optimizer inside, 1: AdamW; 0: gradient descent" },
        { "warmup_steps", 100, TN_WHOLE, "first steps, which use the plain gradients" },
        { "interval", 1, TN_COUNT, "balanced gradients at every so many steps" },
    },
    .slots = { { "m", TN_LIKE_X }, { "v", TN_LIKE_X } }, .needs = tn_reflora_needs,
    .pairs = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_FULL, .claims_when = "adamw=0 warmup_steps=0",
    .claims_nonzero = true, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
