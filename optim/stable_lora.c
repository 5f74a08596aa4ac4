/* stable_lora.c - AdamW that shrinks lora_A until lora_B has grown.
   Wu et al., "Stable-LoRA", arXiv:2603.05204, ICLR 2026, as in the authors' stable_lora.py.

   The product is B A, in LoRA's letters: A = lora_A (r,n), random at the start, B = lora_B (m,r),
   zero at the start. g_A and g_B are their gradients, of A_{t-1} and B_{t-1}.

       A' = (1 - shrink) A_{t-1} while ||A|| >= (n / m) ||B||      (1)
       A_t = AdamW(A', g_A, eta)                                   (2)
       B_t = AdamW(B_{t-1}, g_B, eta)                              (3)

   n / m is the ratio of the sizes of A and B. When the condition of (1) is false for the first
   time, (1) ends for that pair. It never begins again.
   Cost: two norms while (1) lasts. State: as Adam, and one number per pair: 1 when (1) has ended.
   Claims: nothing but signed permutations of the rank, as Adam.
   Traps: with lora_B = 0 the condition of (1) holds at first. If lora_B never grows that far, A
   fades by shrink per step, whatever the learning rate is. */
#include "optim/adam.h"
#include "optim/algebra/norm.h"

enum { SHRINK = TN_ADAM_DECAY + 1 };
enum { M, V, ENDED }; /* slots */

static void step(tn_unit *u)
{
    const tn_factor *a = &u->f[TN_LORA_A], *b = &u->f[TN_LORA_B];
    double *ended = u->slot[ENDED][0], ratio = (double)a->n / (double)b->n;
    if (*ended == 0 && tn_norm(a->x, a->n) < ratio * tn_norm(b->x, b->n))
        *ended = 1;
    for (int64_t i = 0; i < a->n && *ended == 0; i++)
        a->x[i] *= (tn_real)(1 - u->h[SHRINK]);           /* (1) */
    tn_adam_step(u, TN_LORA_A, tn_adamw(u, a->g, u->lr)); /* (2) */
    tn_adam_step(u, TN_LORA_B, tn_adamw(u, b->g, u->lr)); /* (3) */
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
        { "shrink", 1e-3, TN_SHARE, "share that each step takes off lora_A until lora_B has grown" },
    },
    .slots = { { "m", TN_LIKE_X }, { "v", TN_LIKE_X }, { "ended", TN_SCALAR } },
    .pairs = true, .step = step,
    .claims = TN_INVARIANT_NONE, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
