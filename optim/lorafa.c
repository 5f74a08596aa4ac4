/* lorafa.c - LoRA-FA: lora_A does not move, and lora_B follows the full gradient as far as it can.
   Zhang et al., arXiv:2308.03303, in the form of PEFT's create_lorafa_optimizer.

   The product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r). g = s G B is the gradient of A for G
   = dL/dW.

       C = (B^T B + delta I)^-1                                    (1)
       ~g = g C / s^2                                              (2)   s ~g B^T = G P_B at delta 0
       m_t = beta1 m_{t-1} + (1 - beta1) ~g                        (3)
       v_t = beta2 v_{t-1} + (1 - beta2) ~g^2                      (4)
       A' = A_{t-1} - eta_t m_t / (sqrt(v_t) + eps)                (5)
       A_t = (1 - eta lambda) A'                                   (6)   on weights that decay

   eta_t = eta sqrt(1 - beta2^t) / (1 - beta1^t), or eta (bias_correction 0).
   Cost: two products of n r^2 and one eigenproblem of size r, half of scaled_adam.c. State: m and v
   of lora_B alone: half of Adam's, and less where in > out.
   Claims: nothing but signed permutations: (4) looks at single entries.
   Traps: eps has no bias correction. The decay comes after the step. If lora_A is zero, there is
   nothing to train. */
#include "optim/adam.h"
#include "optim/algebra/preconditioner.h"

enum { DELTA = TN_ADAM_DECAY + 1, BIAS_CORRECTION };

static size_t scratch(const tn_unit *u)
{
    return ((size_t)(u->r * u->r) + tn_preconditioner_work(u->r)) * sizeof(double) +
           (size_t)u->f[TN_LORA_B].n * sizeof(tn_real);
}

static bool needs(const tn_unit *u, int slot, int k)
{
    (void)u, (void)slot;
    return k == TN_LORA_B;
}

static void step(tn_unit *u)
{
    int64_t rr = u->r * u->r;
    double *c = (double *)u->memory, *work = c + rr;
    tn_real *g = (tn_real *)(work + tn_preconditioner_work(u->r));
    tn_tall grad = tn_gradient_of(u, TN_LORA_B);
    tn_preconditioner(u, TN_LORA_A, u->h[DELTA], work, c); /* (1) */
    for (int64_t j = 0; j < rr; j++)
        c[j] /= u->s * u->s;
    tn_tall_combine(grad, c, grad, NULL, work, u->wide, g); /* (2) */
    tn_bias bias = u->h[BIAS_CORRECTION] != 0 ? TN_BIAS_BUT_EPS : TN_BIAS_KEPT;
    tn_adam how = { .g = g, .rate = u->lr, .bias = bias, .shrink = 1 };
    how.fade = u->lr * u->h[TN_ADAM_DECAY]; /* (6) */
    tn_adam_step(u, TN_LORA_B, how);        /* (3), (4), (5) */
}

const tn_optim_def tn_optim_lorafa = {
    .name = "lorafa", .title = "LoRA-FA, lora_A frozen", .paper = "arXiv:2308.03303",
    .update = "AdamW on gA (B^T B + delta I)^-1 / s^2; B does not move",
    .cost = "O((m + n) r^2 + r^3)",
    .hyper = {
        { "lr", 1e-3, TN_ABOVE_0, "learning rate eta" },
        { "beta1", 0.9, TN_SHARE, "decay of the first moment" },
        { "beta2", 0.999, TN_SHARE, "decay of the second moment" },
        { "eps", 1e-6, TN_ABOVE_0, "added to the root of the second moment, not bias corrected" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: lora_B shrinks by lr times this, after the step" },
        { "delta", 1e-8, TN_FROM_0, "added to the diagonal of the Gram matrix" },
        { "bias_correction", 1, TN_SWITCH, "1: as Adam, but for eps; 0: none" },
    },
    .slots = { { "m", TN_LIKE_X }, { "v", TN_LIKE_X } }, .needs = needs,
    .pairs = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_NONE, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
