/* scaled_adam.c - Riemannian preconditioned AdamW for LoRA.
   Zhang and Pilanci, arXiv:2402.02347, ICML 2024. The authors have four files, and PEFT has
   create_riemannian_optimizer. All five differ; the presets name them. The default is the GPT-2
   file with Adam's betas and the pseudo-inverse.

   The product is A B^T, in the paper's letters: A = lora_B (m,r), B = lora_A^T (n,r). For a factor
   X with the partner Y and the gradient g:

       C = (Y^T Y + delta I)^-1                                    (1)
       ~g = g C                                                    (2)
       m_t = beta1 m_{t-1} + (1 - beta1) ~g                        (3)
       v_t = beta2 v_{t-1} + (1 - beta2) ~g^2                      (4)
       X' = X_{t-1} - eta_t m_t / (sqrt(v_t) + eps)                (5)
       X_t = (1 - eta lambda) X'                                   (6)   on weights that decay

   The files differ in four things:
   - The bias correction. bias_correction 1: eta_t = eta sqrt(1 - beta2^t) / (1 - beta1^t). 0: eta.
     2 (torch): sqrt(v_t) is divided by sqrt(1 - beta2^t) before eps is added.
   - When the weights decay. decay_after 1: by (6). 0: (5) begins with (1 - eta lambda) X_{t-1}.
   - The order. gauss_seidel 1: B = lora_A moves first, then A with the new B in (1). 0 (the paper):
     both C are from before the step. The gradients are from before the step either way.
   - C, if there is no inverse. fallback 0: the pseudo-inverse. 1: the identity. 2: the identity
     if ||Y^T Y|| is at most 1e-6.

   Cost: two products of n r^2 per factor and one eigenproblem of size r. State: m and v, like each
   weight. Claims: nothing but signed permutations, even at delta = 0: (4) looks at single entries.
   Traps: the moments are those of the preconditioned gradient, not the other way round. (5) divides
   the size of C out again, so a nearly singular Gram matrix turns the step but does not lengthen
   it. */
#include "optim/adam.h"
#include "optim/scaled_gd.h"

enum { DELTA = TN_ADAM_DECAY + 1, GAUSS_SEIDEL, BIAS_CORRECTION, DECAY_AFTER, FALLBACK };

static size_t scratch(const tn_unit *u)
{
    return (2 * (size_t)(u->r * u->r) + tn_preconditioner_work(u->r)) * sizeof(double) +
           tn_unit_bytes(u);
}

/* (3) to (6) for factor x with the preconditioned gradient ~g. */
static void descend(tn_unit *u, int x, const tn_real *g)
{
    const double *h = u->h;
    bool after = h[DECAY_AFTER] != 0;
    double lost = u->lr * h[TN_ADAM_DECAY];
    static const tn_bias bias[] = { TN_BIAS_KEPT, TN_BIAS_BUT_EPS, TN_BIAS_CORRECTED };
    tn_adam how = { .g = g, .rate = u->lr, .bias = bias[(int)h[BIAS_CORRECTION]] };
    how.shrink = after ? 1 : 1 - lost;
    how.fade = after ? lost : 0; /* (6) */
    tn_adam_step(u, x, how);     /* (3), (4), (5) */
}

static void step(tn_unit *u)
{
    int64_t rr = u->r * u->r;
    double *c[2] = { (double *)u->memory, (double *)u->memory + rr }, *work = c[1] + rr;
    tn_real *g = (tn_real *)(work + tn_preconditioner_work(u->r));
    bool old = u->h[GAUSS_SEIDEL] == 0;
    for (int x = TN_LORA_A; x <= TN_LORA_B && old; x++)
        tn_scaled_gd_inverse(u, x, u->h[DELTA], u->h[FALLBACK], work, c[x]); /* (1) */
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) { /* lora_A, then lora_B */
        tn_tall grad = tn_gradient_of(u, x);
        if (!old)
            tn_scaled_gd_inverse(u, x, u->h[DELTA], u->h[FALLBACK], work, c[x]); /* (1) */
        tn_tall_combine(grad, c[x], grad, NULL, work, u->wide, g);               /* (2) */
        descend(u, x, g);
    }
}

const tn_optim_def tn_optim_scaled_adam = {
    .name = "scaled-adam", .title = "Riemannian preconditioned AdamW", .paper = "arXiv:2402.02347",
    .update = "AdamW on gA (B^T B + delta I)^-1 and gB (A^T A + delta I)^-1",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "the GPT-2 file stacks two layers in one tensor; here each pair has its own. "
               "The pseudo-inverse takes the place of a missing inverse (fallback=1: the identity, as "
               "there)",
    .hyper = {
        { "lr", 1e-3, TN_ABOVE_0, "learning rate eta" },
        { "beta1", 0.9, TN_SHARE, "decay of the first moment" },
        { "beta2", 0.999, TN_SHARE, "decay of the second moment" },
        { "eps", 1e-6, TN_ABOVE_0, "added to the root of the second moment" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the factors shrink by lr times this" },
        { "delta", 1e-6, TN_FROM_0, "added to the diagonal of the Gram matrices" },
        { "gauss_seidel", 1, TN_SWITCH, "1: lora_A first, then lora_B by the new one; 0: both by the old" },
        { "bias_correction", 1, TN_0_TO_2, "1: but for eps (GPT-2 file); 0: none (Mistral); 2: as torch" },
        { "decay_after", 1, TN_SWITCH, "1: decay after the step (authors); 0: before it (torch)" },
        { "fallback", 0, TN_0_TO_2, "in place of a missing inverse, 0: the pseudo-inverse; 1: the identity; "
                                      "2: the identity if the Gram norm is at most 1e-6" },
    },
    .presets = {
        { "gpt2", "beta2=0.98 fallback=1" },
        { "mistral", "bias_correction=0 fallback=1" },
        { "mix-of-show", "beta2=0.98 delta=0 bias_correction=0 fallback=1" },
        { "object-generation", "eps=1e-8 gauss_seidel=0 bias_correction=2 fallback=2" },
        { "peft", "eps=1e-8 delta=0.01 gauss_seidel=0 bias_correction=2 decay_after=0" },
    },
    .slots = { { "m", TN_LIKE_X }, { "v", TN_LIKE_X } },
    .pairs = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_NONE, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
