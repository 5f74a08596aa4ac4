/* scaled_gd.c - Riemannian preconditioned gradient descent for LoRA.
   Zhang and Pilanci, arXiv:2402.02347, ICML 2024. The authors have four files, and PEFT has
   create_riemannian_optimizer. All five differ; the presets name them. The default is the GPT-2
   file with the pseudo-inverse.

   The product is A B^T, in the paper's letters: A = lora_B (m,r), B = lora_A^T (n,r), g_A and g_B
   are their gradients. Both preconditioners use the factors from before the step:

       C_A = (B^T B + delta I)^-1,   C_B = (A^T A + delta I)^-1    (1)
       A = a A - b g_A C_A,   B = a B - b g_B C_B                  (2)
       A = (1 - eta lambda) A,   B = (1 - eta lambda) B            (3)   on weights that decay

   The files differ in two things:
   - When the weights decay. decay_after 1 (GPT-2 file): after the step, a = 1 - eta lambda and
     b = eta a in (2). 0 (Mistral, Mix-of-Show, torch.optim.SGD under PEFT): with the step, b = eta.
     -1 (Object_Generation): before all else, (3) comes before (1), and a = 1, b = eta.
   - C, if there is no inverse. fallback 0: the pseudo-inverse. 1: the identity. 2: the identity
     if the norm of the Gram matrix is at most 1e-6.

   Cost: three products of n r^2 per factor and one eigenproblem of size r. State: none.
   Claims: at delta = 0 the product A B^T moves the same for every basis that the pair is written
   in. With delta above 0 this holds for rotations. The decay does not matter.
   Traps: at the zero start, delta = 0, the pseudo-inverse makes no step along the missing
   directions; the identity makes a step as long as the gradient. At tiny delta the second step
   moves lora_A by a fixed share of its size, however small eta is. */
#include "optim/scaled_gd.h"

enum { LR, DELTA, DECAY, DECAY_AFTER, FALLBACK };

static size_t scratch(const tn_unit *u)
{
    return (2 * (size_t)(u->r * u->r) + tn_preconditioner_work(u->r)) * sizeof(double);
}

void tn_scaled_gd_inverse(const tn_unit *u, int x, double delta, double fallback, double *work,
                          double *c)
{
    tn_gram_facts gram = tn_preconditioner(u, tn_partner(x), delta, work, c);
    if ((fallback == 1 && !gram.regular) || (fallback == 2 && !(gram.norm > 1e-6)))
        tn_small_diagonal(u->r, 1, c);
}

/* (3) */
static void decay_first(const tn_unit *u)
{
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++)
        for (int64_t j = 0; j < u->f[x].n && u->f[x].decays; j++)
            u->f[x].x[j] *= (tn_real)(1 - u->lr * u->h[DECAY]);
}

static void step(tn_unit *u)
{
    const int64_t rr = u->r * u->r;
    double *c[2] = { (double *)u->memory, (double *)u->memory + rr }, *work = c[1] + rr;
    const double after = u->h[DECAY_AFTER];
    if (after < 0)
        decay_first(u);
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++)
        tn_scaled_gd_inverse(u, x, u->h[DELTA], u->h[FALLBACK], work, c[x]); /* (1) */
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) {
        double a = u->f[x].decays && after >= 0 ? 1 - u->lr * u->h[DECAY] : 1;
        double b = after > 0 ? u->lr * a : u->lr;
        tn_small_scale(u->r, -b, c[x]);
        tn_tall_add(tn_gradient_of(u, x), c[x], tn_weight_of(u, x), a, work, u->wide,
                    u->f[x].x); /* (2) */
    }
}

const tn_optim_def tn_optim_scaled_gd = {
    .name = "scaled-gd", .title = "Riemannian preconditioned gradient descent",
    .paper = "arXiv:2402.02347",
    .update = "A -= lr gA (B^T B + delta I)^-1; B -= lr gB (A^T A + delta I)^-1",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "the GPT-2 file stacks two layers in one tensor; here each pair has its own. "
               "The pseudo-inverse takes the place of a missing inverse (fallback=1: the identity, as "
               "there)",
    .hyper = {
        { "lr", 2e-2, TN_ABOVE_0, "learning rate eta: the authors' for GPT-2 medium; a small model needs about 2" },
        { "delta", 1e-6, TN_FROM_0, "added to the diagonal of the Gram matrices" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the factors shrink by lr times this" },
        { "decay_after", 1, TN_SIGN, "1: decay after the step (GPT-2 file); 0: with it (Mistral file); "
                                    "-1: before all (Object_Generation)" },
        { "fallback", 0, TN_0_TO_2, "in place of a missing inverse, 0: the pseudo-inverse; 1: the identity; "
                                      "2: the identity if the Gram norm is at most 1e-6" },
    },
    .presets = {
        { "gpt2", "fallback=1" },
        { "mistral", "decay_after=0 fallback=1" },
        { "mix-of-show", "delta=0 decay_after=0 fallback=1" },
        { "object-generation", "decay_after=-1 fallback=2" },
        { "peft", "delta=0.01 decay_after=0" },
    },
    .pairs = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_FULL, .claims_when = "delta=0", .clip = TN_CLIP_GLOBAL,
    .decay = "weight_decay",
};
