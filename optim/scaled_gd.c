/* scaled_gd.c - Riemannian preconditioned gradient descent for LoRA. Zhang and Pilanci,
   arXiv:2402.02347, ICML 2024.

   In the paper's letters the product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r), g the gradient
   of each. Both preconditioners are taken at the old point:

       C_A = (B^T B + delta I)^-1,   C_B = (A^T A + delta I)^-1    (1)
       A = a A - b g_A C_A,   B = a B - b g_B C_B                  (2)

   with a = 1 - eta lambda and b = eta if the decay comes before the step (the authors' Mistral
   file), or b = eta a if it comes after (their GPT-2 file, the default).
   Cost: two products of n r^2 a factor and one eigenproblem of size r. State: none.
   Claims: at delta = 0 the product A B^T moves the same whatever basis the pair is written in; with
   delta only rotations are harmless. The decay changes neither.
   Traps: an inverse that does not exist (delta = 0 and lora_B still zero) is the pseudo-inverse: no
   step along missing directions; the authors' files drop the preconditioner silently there. At tiny
   delta the second step moves lora_A by a fixed share of its size, however small eta is. */
#include "optim/linalg.h"
#include "optim/optim.h"
#include "optim/preconditioner.h"

enum { LR, DELTA, DECAY, DECAY_AFTER };

static size_t scratch(const tn_unit *u)
{
    return (4 * (size_t)(u->r * u->r) + tn_preconditioner_work(u->r)) * sizeof(double);
}

static void step(tn_unit *u)
{
    int64_t r = u->r, rr = r * r;
    double *c[2] = { (double *)u->memory, (double *)u->memory + rr };
    double *k = c[1] + rr, *l = k + rr, *work = l + rr;
    for (int i = 0; i < 2; i++)
        tn_preconditioner(u, 1 - i, u->h[DELTA], work, c[i]);               /* (1) */
    for (int i = 0; i < 2; i++) {
        double a = u->f[i].decays ? 1 - u->lr * u->h[DECAY] : 1;
        double b = u->h[DECAY_AFTER] != 0 ? u->lr * a : u->lr;
        for (int64_t j = 0; j < rr; j++) {
            k[j] = -b * c[i][j];
            l[j] = j % (r + 1) ? 0 : a;
        }
        tn_tall_combine(tn_tall_of(u, i, u->f[i].g), k, tn_tall_of(u, i, u->f[i].x), l, work,
                        u->wide, u->f[i].x); /* (2) */
    }
}

static const char *check(const double *h)
{
    if (!(h[DELTA] >= 0))
        return "delta must be at least 0";
    if (!(h[DECAY] >= 0))
        return "weight_decay must be at least 0";
    return NULL;
}

const tn_optim_def tn_optim_scaled_gd = {
    .name = "scaled-gd", .title = "Riemannian preconditioned gradient descent",
    .paper = "arXiv:2402.02347",
    .update = "A -= lr gA (B^T B + delta I)^-1; B -= lr gB (A^T A + delta I)^-1",
    .cost = "O((m + n) r^2 + r^3)",
    .hyper = {
        { "lr", 2e-2, "learning rate eta" },
        { "delta", 1e-6, "added to the diagonal of the Gram matrices" },
        { "weight_decay", 0, "decoupled: the factors shrink by lr times this" },
        { "decay_after", 1, "1: decay after the step (GPT-2 file); 0: before it (Mistral file)" },
    },
    .pairs = true, .scratch = scratch, .step = step, .check = check,
    .claims = TN_INVARIANT_FULL, .claims_when = "delta=0", .clip = TN_CLIP_GLOBAL,
    .decay = "weight_decay",
};
