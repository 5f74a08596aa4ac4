/* scaled_adam.c - Riemannian preconditioned AdamW for LoRA. Zhang and Pilanci, arXiv:2402.02347,
   ICML 2024; the form of the authors' GPT-2 and Mistral files.

   In the paper's letters the product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r). For a factor X
   with the partner Y and the gradient g:

       ~g = g (Y^T Y + delta I)^-1                                 (1)
       m_t = beta1 m_{t-1} + (1 - beta1) ~g                        (2)
       v_t = beta2 v_{t-1} + (1 - beta2) ~g^2                      (3)
       X' = X_{t-1} - eta_t m_t / (sqrt(v_t) + eps)                (4)
       X_t = (1 - eta lambda) X'                                   (5)   on weights that decay

   eta_t = eta sqrt(1 - beta2^t) / (1 - beta1^t), or eta without bias correction (the Mistral file).
   Order: Gauss-Seidel as in both files: B = lora_A first, then A with the new B in (1); or Jacobi
   as in the paper: both preconditioners at the old point. The gradients are of the old point in
   either. Cost: two products of n r^2 a factor and one eigenproblem of size r. State: m and v, like
   each weight. Claims: nothing but signed permutations, even at delta = 0: (3) looks at single
   entries. Traps: the moments are of the preconditioned gradient, not the other way round; eps is
   not bias corrected; where the Gram matrix is singular at delta = 0 the pseudo-inverse stands. */
#include "optim/linalg.h"
#include "optim/optim.h"
#include "optim/preconditioner.h"

#include <math.h>

enum { LR, BETA1, BETA2, EPS, DELTA, DECAY, GAUSS_SEIDEL, BIAS_CORRECTION };

static size_t scratch(const tn_unit *u)
{
    int64_t n = u->in > u->out ? u->in : u->out;
    return (2 * (size_t)(u->r * u->r) + tn_preconditioner_work(u->r)) * sizeof(double) +
           (size_t)(n * u->r) * sizeof(tn_real);
}

/* (2) to (5) for factor i with the preconditioned gradient ~g. */
static void descend(tn_unit *u, int i, const tn_real *restrict grad)
{
    const double *h = u->h;
    const tn_factor *f = &u->f[i];
    tn_real *restrict x = f->x, *restrict m = u->slot[0][i], *restrict v = u->slot[1][i];
    tn_real b1 = (tn_real)h[BETA1], a1 = (tn_real)(1 - h[BETA1]), eps = (tn_real)h[EPS];
    tn_real b2 = (tn_real)h[BETA2], a2 = (tn_real)(1 - h[BETA2]);
    double corrected = u->lr * sqrt(1 - tn_power(h[BETA2], u->t)) / (1 - tn_power(h[BETA1], u->t));
    tn_real eta = (tn_real)(h[BIAS_CORRECTION] != 0 ? corrected : u->lr);
    tn_real keep = (tn_real)(f->decays ? 1 - u->lr * h[DECAY] : 1);
    for (int64_t j = 0; j < f->n; j++) {
        m[j] = b1 * m[j] + a1 * grad[j];                                    /* (2) */
        v[j] = b2 * v[j] + a2 * (grad[j] * grad[j]);                        /* (3) */
        x[j] = keep * (x[j] - eta * m[j] / ((tn_real)sqrt(v[j]) + eps));    /* (4), (5) */
    }
}

static void step(tn_unit *u)
{
    int64_t rr = u->r * u->r;
    double *c[2] = { (double *)u->memory, (double *)u->memory + rr }, *work = c[1] + rr;
    tn_real *g = (tn_real *)(work + tn_preconditioner_work(u->r));
    bool old = u->h[GAUSS_SEIDEL] == 0;
    for (int i = 0; i < 2 && old; i++)
        tn_preconditioner(u, 1 - i, u->h[DELTA], work, c[i]);
    for (int i = 0; i < 2; i++) { /* lora_A, then lora_B */
        tn_tall grad = tn_tall_of(u, i, u->f[i].g);
        if (!old)
            tn_preconditioner(u, 1 - i, u->h[DELTA], work, c[i]);
        tn_tall_combine(grad, c[i], grad, NULL, work, u->wide, g);          /* (1) */
        descend(u, i, g);
    }
}

static const char *check(const double *h)
{
    if (!(h[BETA1] >= 0 && h[BETA1] < 1 && h[BETA2] >= 0 && h[BETA2] < 1))
        return "beta1 and beta2 must be at least 0 and below 1";
    if (!(h[EPS] > 0))
        return "eps must be above 0";
    if (!(h[DELTA] >= 0 && h[DECAY] >= 0))
        return "delta and weight_decay must be at least 0";
    return NULL;
}

const tn_optim_def tn_optim_scaled_adam = {
    .name = "scaled-adam", .title = "Riemannian preconditioned AdamW", .paper = "arXiv:2402.02347",
    .update = "AdamW on gA (B^T B + delta I)^-1 and gB (A^T A + delta I)^-1",
    .cost = "O((m + n) r^2 + r^3)",
    .hyper = {
        { "lr", 1e-3, "learning rate eta" },
        { "beta1", 0.9, "decay of the first moment" },
        { "beta2", 0.999, "decay of the second moment" },
        { "eps", 1e-6, "added to the root of the second moment, not bias corrected" },
        { "delta", 1e-6, "added to the diagonal of the Gram matrices" },
        { "weight_decay", 0, "decoupled: the factors shrink by lr times this, after the step" },
        { "gauss_seidel", 1, "1: lora_A first, then lora_B by the new one (authors); 0: both old" },
        { "bias_correction", 1, "1: as Adam (GPT-2 file); 0: none (Mistral file)" },
    },
    .slots = { { "m", TN_LIKE_X }, { "v", TN_LIKE_X } },
    .pairs = true, .scratch = scratch, .step = step, .check = check,
    .claims = TN_INVARIANT_NONE, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
