/* lora_rite_paper.c - LoRA-RITE as published: Yen et al., arXiv:2410.20625, ICLR 2025, Algorithm 1.
   The authors' code is another method (lora_rite.c).

   The product is A B^T, in the paper's letters: A = lora_B (m,r), B = lora_A^T (n,r). Below is the
   step of A with the gradient g. B has the same step with the roles exchanged; both use values from
   before the step. As in rite.c, Q is the basis (U in the paper) and U the unmagnified gradient.

       B = Q R, the columns of Q orthonormal                       (1)
       U = g R^+                                                   (2)  unmagnified gradient
       P = Q^T Q_old                                               (3)
       V' = P V P^T                                                (4)
       rho = rho + max_i |l_i(V) - l_i(V')|                        (5)  escaped mass
       V = V' + U^T U                                              (6)
       S = U H,  H = (V + rho I)^-1/2                              (7)
       M = beta1 M P^T + (1 - beta1) S                             (8)
       A = A - eta M R^+^T                                         (9)

   rite.c has the algebra. Its (7) takes H as E diag(1 / (sqrt(max(w, 0) + rho) + eps)) E^T with the
   eigenvalues w of V, so that the root of V = 0 is not infinite.
   Cost: as lora_rite.c with escape: eight eigenproblems per pair. State: the same.
   Claims: A -> A S, B -> B S^-T changes nothing in A B^T, for every invertible S.
   Checked against: golden values and invariance cells of a NumPy reference. No code of the authors
   has this form.
   Traps: (5) and (6) only grow, so steps shrink as 1 / sqrt(t), and faster when bases turn. Rates
   are larger than those of lora_rite.c. (8) has no bias correction. Clipping raw gradients breaks
   the claim. The second step moves lora_A by a fixed share of its size whatever eta is. */
#include "optim/rite.h"

#include <math.h>

enum { LR, BETA1, EPS };

static double escaped(const tn_unit *u, int x, const tn_rite *m)
{
    double most = 0;
    tn_rite_spectra(u, x, m);
    for (int64_t k = 0; k < u->r; k++)
        most = fmax(most, fabs(m->w[k] - m->w[u->r + k]));
    return most;
}

static void step(tn_unit *u)
{
    tn_rite m = tn_rite_of(u);
    double beta1 = u->h[BETA1];
    tn_rite_bases(u, &m, 0); /* (1), (2) */
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) {
        double *rho = u->slot[TN_RITE_RHO + x][0];
        tn_rite_transport(u, x, &m);                                              /* (3), (4) */
        *rho += escaped(u, x, &m);                                                /* (5) */
        tn_rite_second_moment(u, x, &m, 1, 1);                                    /* (6) */
        tn_rite_root(u, x, &m, (tn_rite_floor){ .rho = *rho, .eps = u->h[EPS] }); /* (7) */
        tn_rite_first_moment(u, x, &m, 1 - beta1, beta1);                         /* (8) */
    }
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++)
        tn_rite_move(u, x, &m, 1, u->lr); /* (9) */
}

const tn_optim_def tn_optim_lora_rite_paper = {
    .name = "lora-rite-paper", .title = "LoRA-RITE, Algorithm 1 of the paper",
    .paper = "arXiv:2410.20625",
    .update = "U = g R^+, B = Q R; V: sum of U^T U, M: average of U (V + rho I)^-1/2, carried "
              "along with the basis; A -= lr M R^+^T",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "from the paper: eps is added to the root of V + rho I, for V = 0",
    .hyper = {
        { "lr", 1e-2, TN_ABOVE_0, "learning rate eta" },
        { "beta1", 0.9, TN_SHARE, "decay of the first moment" },
        { "eps", 1e-6, TN_ABOVE_0, "added to the root of the second moment" },
    },
    .slots = TN_RITE_SLOTS,
    .pairs = true, .scratch = tn_rite_scratch, .step = step,
    .claims = TN_INVARIANT_FULL, .clip = TN_CLIP_REFUSED,
};
