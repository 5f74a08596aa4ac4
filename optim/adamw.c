/* adamw.c - Adam with decoupled weight decay.
   Loshchilov and Hutter, arXiv:1711.05101, Algorithm 2, as in torch.optim.AdamW. The optimizers of
   LoRA pairs and of matrices leave all other weights to it.

       x' = (1 - eta lambda) x_{t-1}                               (1)   on weights that decay
       (2) to (6) of adam.c, with g_t = g and x' in the place of x_{t-1}

   Cost: one pass. State: as Adam.
   Claims: nothing but signed permutations of the rank, as Adam.
   Trap: eta in (1) is the scheduled rate. */
#include "optim/adam.h"

static void step(tn_unit *u)
{
    for (int k = 0; k < u->factors; k++) {
        tn_adam how = tn_adamw(u, u->f[k].g, u->lr); /* (1) */
        how.top = u->slot[2][k];
        tn_adam_step(u, k, how);
    }
}

const tn_optim_def tn_optim_adamw = {
    .name = "adamw", .title = "Adam with decoupled weight decay", .paper = "arXiv:1711.05101",
    .update = "x *= 1 - lr wd; then as Adam without L2",
    .cost = "none",
    .hyper = {
        { "lr", 1e-3, TN_ABOVE_0, "learning rate eta" },
        { "beta1", 0.9, TN_SHARE, "decay of the first moment" },
        { "beta2", 0.999, TN_SHARE, "decay of the second moment" },
        { "eps", 1e-8, TN_ABOVE_0, "added to the root of the second moment" },
        { "weight_decay", 1e-2, TN_FROM_0, "decoupled: the weight shrinks by lr times this" },
        { "amsgrad", 0, TN_SWITCH, "1: the root is of the largest second moment so far" },
    },
    .slots = { { "m", TN_LIKE_X }, { "v", TN_LIKE_X }, { "top", TN_LIKE_X } }, .needs = tn_adam_needs,
    .step = step,
    .claims = TN_INVARIANT_NONE, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
