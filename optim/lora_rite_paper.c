/* lora_rite_paper.c - LoRA-RITE as published: Yen et al., arXiv:2410.20625, ICLR 2025, Algorithm 1.
   The authors' code is another method (lora_rite.c).

   In the paper's letters the product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r). For A with the
   gradient g, and for B with the roles exchanged, both by values from before the step:

       B = U R, the columns of U orthonormal                             (1)
       G = g R^+                                                         (2)  unmagnified gradient
       P = U^T U_old,  V' = P V P^T                                      (3)
       rho = rho + max_i |l_i(V) - l_i(V')|                              (4)  escaped mass
       V = V' + G^T G                                                    (5)
       S = G (V + rho I)^-1/2                                            (6)
       M = beta1 M P^T + (1 - beta1) S                                   (7)
       A = A - eta M R^+^T                                               (8)

   U, P and M stay implicit: rite.c. (6) is taken as E diag(1 / (sqrt(max(l, 0) + rho) + eps)) E^T
   with the eigenvalues l of V, so that V = 0 has no infinite root.
   Cost: as lora_rite.c, with escape: eight eigenproblems a pair. State: the same.
   Claims: A -> A S, B -> B S^-T changes nothing in A B^T, for every invertible S.
   Checked against: golden values and invariance cells of a NumPy reference; code of the authors for
   this form does not exist.
   Traps: (4) and (5) only grow, so the steps shrink like 1 / sqrt(t) and faster when bases turn:
   rates are larger than those of lora_rite.c. (7) is not bias corrected. Clipping raw gradients
   breaks the claim. The second step moves lora_A by a fixed share of its size whatever eta is. */
#include "optim/rite.h"

#include <math.h>

enum { LR, BETA1, EPS };

static double escaped(const tn_unit *u, int i, const tn_rite *m)
{
    double most = 0;
    tn_rite_spectra(u, i, m);
    for (int64_t k = 0; k < u->r; k++)
        most = fmax(most, fabs(m->w[k] - m->w[u->r + k]));
    return most;
}

static void step(tn_unit *u)
{
    tn_rite m = tn_rite_of(u);
    double beta1 = u->h[BETA1];
    tn_rite_bases(u, &m, 0);                                                 /* (1), (2) */
    for (int i = 0; i < 2; i++) {
        double *rho = u->slot[TN_RITE_RHO + i][0];
        tn_rite_transport(u, i, &m);                                        /* (3) */
        *rho += escaped(u, i, &m);                                          /* (4) */
        tn_rite_second_moment(u, i, &m, 1, 1);                              /* (5) */
        tn_rite_root(u, i, &m, (tn_rite_floor){ *rho, u->h[EPS], 0, 0 });   /* (6) */
        tn_rite_first_moment(u, i, &m, 1 - beta1, beta1);                   /* (7) */
    }
    for (int i = 0; i < 2; i++)
        tn_rite_move(u, i, &m, 1, u->lr);                                   /* (8) */
}

const tn_optim_def tn_optim_lora_rite_paper = {
    .name = "lora-rite-paper", .title = "LoRA-RITE, Algorithm 1 of the paper",
    .paper = "arXiv:2410.20625",
    .update = "G = g R^+, B = U R; V: sum of G^T G, M: average of G (V + rho I)^-1/2, carried along "
              "with the basis; A -= lr M R^+^T",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "from the paper: eps is added to the root of V + rho I, for V = 0",
    .hyper = {
        { "lr", 1e-2, TN_ABOVE_0, "learning rate eta" },
        { "beta1", 0.9, TN_SHARE, "decay of the first moment" },
        { "eps", 1e-6, TN_ABOVE_0, "added to the root of the second moment" },
    },
    .slots = {
        { "d", TN_LIKE_X }, { "old", TN_LIKE_X },
        { "v.A", TN_R_BY_R }, { "v.B", TN_R_BY_R },
        { "t.A", TN_R_BY_R }, { "t.B", TN_R_BY_R },
        { "rho.A", TN_SCALAR }, { "rho.B", TN_SCALAR },
    },
    .pairs = true, .scratch = tn_rite_scratch, .step = step,
    .claims = TN_INVARIANT_FULL, .clip = TN_CLIP_REFUSED,
};
