/* loraplus.c - AdamW with a faster lora_B.
   Hayou, Ghosh and Yu, "LoRA+", arXiv:2402.12354, ICML 2024.

   The product is B A, in LoRA's letters: A = lora_A (r,n), random at the start, B = lora_B (m,r),
   zero at the start. g_A and g_B are their gradients.

       A_t = AdamW(A_{t-1}, g_A, eta)                              (1)
       B_t = AdamW(B_{t-1}, g_B, ratio eta)                        (2)

   AdamW is (1) of adamw.c, then (2) to (5) of adam.c. The decay of a factor is lambda times the
   rate of that factor.
   Cost: one pass. State: as Adam.
   Claims: nothing but signed permutations of the rank, as Adam.
   Traps: the larger rate is for the factor that starts at zero. In the paper the rate of A falls as
   1/n with the width n, and the rate of B stays. Its advice for random A and zero B is a ratio of
   about 16; 2 to 4 are reported for Llama. Both rates follow the schedule. */
#include "optim/adam.h"

enum { RATIO = TN_ADAM_DECAY + 1 };

static void step(tn_unit *u)
{
    const tn_real *g_a = u->f[TN_LORA_A].g, *g_b = u->f[TN_LORA_B].g;
    tn_adam_step(u, TN_LORA_A, tn_adamw(u, g_a, u->lr));               /* (1) */
    tn_adam_step(u, TN_LORA_B, tn_adamw(u, g_b, u->h[RATIO] * u->lr)); /* (2) */
}

const tn_optim_def tn_optim_loraplus = {
    .name = "loraplus", .title = "AdamW with a faster lora_B", .paper = "arXiv:2402.12354",
    .update = "AdamW at lr on lora_A and at lr ratio on lora_B",
    .cost = "none",
    .departs = "the authors train biases at lr ratio and embeddings at 1e-6; here all outside pairs has lr",
    .hyper = {
        { "lr", 2e-4, TN_ABOVE_0, "learning rate eta of lora_A" },
        { "beta1", 0.9, TN_SHARE, "decay of the first moment" },
        { "beta2", 0.999, TN_SHARE, "decay of the second moment" },
        { "eps", 1e-8, TN_ABOVE_0, "added to the root of the second moment" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: a factor shrinks by its rate times this" },
        { "ratio", 16, TN_ABOVE_0, "rate of lora_B, as a multiple of lora_A's" },
    },
    .slots = { { "m", TN_LIKE_X }, { "v", TN_LIKE_X } },
    .pairs = true, .step = step,
    .claims = TN_INVARIANT_NONE, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
