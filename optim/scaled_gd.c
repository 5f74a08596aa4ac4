/* scaled_gd.c - Riemannian preconditioned gradient descent for LoRA.
   Zhang and Pilanci, arXiv:2402.02347, ICML 2024. The authors' four files and PEFT's
   create_riemannian_optimizer all differ; the presets name them. The default is the GPT-2 file
   with the pseudo-inverse.

   In the paper's letters the product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r), g the gradient
   of each. Both preconditioners are taken at the old point:

       C_A = (B^T B + delta I)^-1,   C_B = (A^T A + delta I)^-1    (1)
       A = a A - b g_A C_A,   B = a B - b g_B C_B                  (2)
       A = (1 - eta lambda) A,   B = (1 - eta lambda) B            (3)   on weights that decay

   What differs:
   - a = 1 - eta lambda and b = eta a in (2): the decay comes after the step (decay_after 1: the
     GPT-2 file); b = eta: it comes with it (0: Mistral, Mix-of-Show, torch.optim.SGD under PEFT);
     or a = 1, b = eta and (3) before (1): it comes before all (-1: Object_Generation);
   - where there is no inverse: the pseudo-inverse, the identity, or the identity if the norm of the
     Gram matrix is at most 1e-6 (fallback 0, 1, 2).

   Cost: three products of n r^2 a factor and one eigenproblem of size r. State: none.
   Claims: at delta = 0 the product A B^T moves the same whatever basis the pair is written in; with
   delta only rotations are harmless. The decay changes neither.
   Traps: the pseudo-inverse (delta = 0 and lora_B still zero) makes no step along missing
   directions; the identity makes one of the size of the gradient. At tiny delta the second step
   moves lora_A by a fixed share of its size, however small eta is. */
#include "optim/algebra/preconditioner.h"

enum { LR, DELTA, DECAY, DECAY_AFTER, FALLBACK };

static size_t scratch(const tn_unit *u)
{
    return (3 * (size_t)(u->r * u->r) + tn_preconditioner_work(u->r)) * sizeof(double);
}

/* (1) with the partner of factor i. fallback 1 and 2 are the authors' files, which put the identity
   in the place of an inverse that is not there. */
static void precondition(const tn_unit *u, int i, double *work, double *c)
{
    tn_gram_facts gram = tn_preconditioner(u, tn_partner(i), u->h[DELTA], work, c);
    if ((u->h[FALLBACK] == 1 && !gram.regular) || (u->h[FALLBACK] == 2 && !(gram.norm > 1e-6)))
        tn_small_diagonal(u->r, 1, c);
}

/* (3) */
static void decay_first(const tn_unit *u)
{
    for (int i = 0; i < 2; i++)
        for (int64_t j = 0; j < u->f[i].n && u->f[i].decays; j++)
            u->f[i].x[j] *= (tn_real)(1 - u->lr * u->h[DECAY]);
}

static void step(tn_unit *u)
{
    int64_t r = u->r, rr = r * r;
    double *c[2] = { (double *)u->memory, (double *)u->memory + rr }, after = u->h[DECAY_AFTER];
    double *k = c[1] + rr, *work = k + rr;
    if (after < 0)
        decay_first(u);
    for (int i = 0; i < 2; i++)
        precondition(u, i, work, c[i]);                                     /* (1) */
    for (int i = 0; i < 2; i++) {
        double a = u->f[i].decays && after >= 0 ? 1 - u->lr * u->h[DECAY] : 1;
        double b = after > 0 ? u->lr * a : u->lr;
        for (int64_t j = 0; j < rr; j++)
            k[j] = -b * c[i][j];
        tn_tall_add(tn_tall_of(u, i, u->f[i].g), k, tn_tall_of(u, i, u->f[i].x), a, work, u->wide,
                    u->f[i].x);                                             /* (2) */
    }
}

const tn_optim_def tn_optim_scaled_gd = {
    .name = "scaled-gd", .title = "Riemannian preconditioned gradient descent",
    .paper = "arXiv:2402.02347",
    .update = "A -= lr gA (B^T B + delta I)^-1; B -= lr gB (A^T A + delta I)^-1",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "the GPT-2 file stacks two layers in one tensor; here each pair is its own. Where "
               "no inverse exists the pseudo-inverse stands (fallback=1: the identity, as there)",
    .hyper = {
        { "lr", 2e-2, TN_ABOVE_0, "learning rate eta: the authors' for GPT-2 medium; a small model wants about 2" },
        { "delta", 1e-6, TN_FROM_0, "added to the diagonal of the Gram matrices" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the factors shrink by lr times this" },
        { "decay_after", 1, TN_SIGN, "1: decay after the step (GPT-2 file); 0: with it (Mistral file); -1: "
                            "before all (Object_Generation)" },
        { "fallback", 0, TN_0_TO_2, "without an inverse 0: the pseudo-inverse; 1: the identity; 2: that "
                         "at a Gram norm up to 1e-6" },
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
