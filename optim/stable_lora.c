/* stable_lora.c - AdamW that shrinks lora_A until lora_B has grown.
   Wu et al., "Stable-LoRA", arXiv:2603.05204, ICLR 2026; as in the authors' stable_lora.py.

   In LoRA's letters the product is B A: A = lora_A (r,n), random at the start, B = lora_B (m,r),
   zero at the start; g the gradient of each.

       A' = (1 - shrink) A_{t-1} while ||A|| >= (n / m) ||B||      (1)
       A_t = AdamW(A', g_A, eta)                                   (2)
       B_t = AdamW(B_{t-1}, g_B, eta)                              (3)

   n / m is the ratio of the numbers in A to those in B. The first step that finds (1) untrue ends it
   for good, pair by pair. The gradients are of A_{t-1}.
   Cost: two norms while (1) lasts. State: as Adam, and one number a pair: 1 when (1) has ended.
   Claims: nothing but signed permutations of the rank, as Adam.
   Traps: with lora_B = 0 (1) always holds at first; if lora_B never grows that far, A fades by
   shrink a step, whatever the learning rate. */
#include "optim/adam.h"
#include "optim/algebra/norm.h"

enum { SHRINK = TN_ADAM_DECAY + 1 };

static void step(tn_unit *u)
{
    const tn_factor *a = &u->f[0], *b = &u->f[1];
    double *ended = u->slot[2][0], ratio = (double)a->n / (double)b->n;
    if (*ended == 0 && tn_norm(a->x, a->n) < ratio * tn_norm(b->x, b->n))
        *ended = 1;
    for (int64_t i = 0; i < a->n && *ended == 0; i++)
        a->x[i] *= (tn_real)(1 - u->h[SHRINK]);                            /* (1) */
    tn_adam_step(u, 0, tn_adamw(u, a->g, u->lr));                          /* (2) */
    tn_adam_step(u, 1, tn_adamw(u, b->g, u->lr));                          /* (3) */
}

const tn_optim_def tn_optim_stable_lora = {
    .name = "stable-lora", .title = "AdamW that shrinks lora_A until lora_B has grown",
    .paper = "arXiv:2603.05204",
    .update = "lora_A *= 1 - shrink while ||lora_A|| >= (in / out) ||lora_B||; then AdamW",
    .cost = "two norms",
    .hyper = {
        { "lr", 1e-3, TN_ABOVE_0, "learning rate eta" },
        { "beta1", 0.9, TN_SHARE, "decay of the first moment" },
        { "beta2", 0.999, TN_SHARE, "decay of the second moment" },
        { "eps", 1e-8, TN_ABOVE_0, "added to the root of the second moment" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the factors shrink by lr times this" },
        { "shrink", 1e-3, TN_SHARE, "share of lora_A taken off a step, at first" },
    },
    .slots = { { "m", TN_LIKE_X }, { "v", TN_LIKE_X }, { "ended", TN_SCALAR } },
    .pairs = true, .step = step,
    .claims = TN_INVARIANT_NONE, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
