/* lora_muon.c - LoRA-Muon: steepest descent in the spectral norm, with momentum.
   In the metric of the factors. Cesista, Crowson, Simal and Biderman, arXiv:2606.12921.

   In the paper's letters the product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r). For A with the
   gradient g, and for B with the roles exchanged, both by values from before the step:

       M = beta M + (1 - beta) g                                       (1)
       S = B^T B,  Z = M S^-1/2                                        (2)
       O = msign(Z) = Z (Z^T Z)^-1/2                                   (3)  all singular values 1
       A = A - eta/2 O S^-1/2                                          (4)

   Any T with T T^T = S^-1 may stand for the root of S: T = S^-1/2 E with orthogonal E, msign(M T) =
   msign(Z) E, and E E^T drops out. So (2) to (4) are
       A = A - eta/2 M K,  K = T (T^T M^T M T)^-1/2 T^T.               (4')
   Cost: four products of (m + n) r^2 and four eigenproblems of size r a pair. State: M, like each
   weight; none at beta = 0.
   Claims: A -> A R, B -> B R^-T changes nothing in A B^T, for every invertible R: (1) is linear, so
   the momentum goes along with the gradients.
   Checked against: golden values and invariance cells of a NumPy reference; at beta = 0 a step is
   1 / (2 sqrt(rows)) of the first step of lora_rite.c.
   Traps: the inverse roots drop directions that are zero up to rounding, so a zero factor has msign
   0 for its partner; the second step then moves lora_A by a fixed share of its size whatever eta
   is. Clipping raw gradients breaks the claim and buys nothing, since (3) knows no size. */
#include "optim/algebra/basis.h"

enum { LR, BETA };

static size_t scratch(const tn_unit *u)
{
    return (5 * (size_t)(u->r * u->r) + tn_preconditioner_work(u->r)) * sizeof(double);
}

static bool needs(const tn_unit *u, int slot, int k)
{
    (void)slot, (void)k;
    return u->h[BETA] != 0;
}

/* M of factor i, which is the gradient itself at beta = 0. */
static tn_tall momentum(const tn_unit *u, int i)
{
    tn_real *restrict m = u->slot[0][i];
    const tn_real *restrict g = u->f[i].g;
    tn_real beta = (tn_real)u->h[BETA], fresh = (tn_real)(1 - u->h[BETA]);
    for (int64_t j = 0; j < u->f[i].n && m; j++)
        m[j] = beta * m[j] + fresh * g[j];                                  /* (1) */
    return tn_tall_of(u, i, m ? m : g);
}

static void step(tn_unit *u)
{
    int64_t r = u->r, rr = r * r;
    double *t[2] = { (double *)u->memory, (double *)u->memory + rr };
    double *zz = t[1] + rr, *k = zz + rr, *l = k + rr, *work = l + rr;
    for (int i = 0; i < 2; i++)
        tn_basis(u, i, work, zz, t[i]);                                     /* (2) */
    for (int i = 0; i < 2; i++) {
        tn_tall x = tn_tall_of(u, i, u->f[i].x), m = momentum(u, i);
        const double *y = t[1 - i];
        tn_basis_gram(u, m, y, m, y, work, zz);
        tn_symmetric_inverse_root(r, zz, tn_small_trace(r, zz), work, k);            /* (3) */
        tn_basis_back(r, y, k, y, work, k);
        for (int64_t j = 0; j < rr; j++)
            k[j] *= -0.5 * u->lr;
        tn_small_diagonal(r, 1, l);
        tn_tall_combine(m, k, x, l, work, u->wide, u->f[i].x);              /* (4), (4') */
    }
}

const tn_optim_def tn_optim_lora_muon = {
    .name = "lora-muon", .title = "LoRA-Muon, spectral steepest descent with momentum",
    .paper = "arXiv:2606.12921",
    .update = "M: average of gA; A -= lr/2 msign(M S^-1/2) S^-1/2, S = B^T B",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "from the paper: without its split weight decay and its rebalancing of the factors, "
               "for which there is nothing to compare with",
    .hyper = {
        { "lr", 5e-2, TN_ABOVE_0, "learning rate eta" },
        { "beta", 0.9, TN_SHARE, "decay of the momentum; 0: none" },
    },
    .slots = { { "m", TN_LIKE_X } }, .needs = needs,
    .pairs = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_FULL, .clip = TN_CLIP_REFUSED,
};
