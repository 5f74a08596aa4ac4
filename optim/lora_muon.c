/* lora_muon.c - LoRA-Muon: steepest descent in the spectral norm, with momentum.
   In the metric of the factors. Cesista, Crowson, Simal and Biderman, arXiv:2606.12921, and what
   gradients of few directions need besides; gauss_seidel=0 cut=0 is theirs.

   In the paper's letters the product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r). For A with the
   gradient g, and for B with the roles exchanged, M, Z and O by values from before the step:

       M = beta M C_old (B_old^T B) + (1 - beta) g                     (1)  C = (B^T B)^+
       M = beta M + (1 - beta) g                                       (1') if gauss_seidel = 0
       S = B^T B,  Z = M S^-1/2                                        (2)
       O = msign(Z) = Z (Z^T Z)^-1/2                                   (3)  all singular values 1
       A = A - eta/2 O S^-1/2                                          (4)
       A by (4), then B with its step times A^T A' (A'^T A')^+         (5)  if gauss_seidel

   Any T with T T^T = S^-1 may stand for the root of S: T = S^-1/2 E with orthogonal E, msign(M T) =
   msign(Z) E, and E E^T drops out. So (2) to (4) are
       A = A - eta/2 M K,  K = T (T^T M^T M T)^-1/2 T^T.               (4')
   (5) is (11) of lora_rite.c: there is no cross term, and the product moves by at most
   eta/2 (||O_A|| + ||O_B||). Directions of a factor, and in (3) of Z, whose square is below cut of
   the largest one get 0: they hold rounding.
   (1) carries the unmagnified gradients along, as lora_rite.c does. (1'), the paper's, adds up raw
   ones, of factors that have moved since: where a direction of B has become small, S^-1/2 blows up
   what was added when it was large, which makes it smaller still.
   Cost: four products of (m + n) r^2 and four eigenproblems of size r a pair; two products more for
   (1), one and a half and an eigenproblem for (5). State: M and the factor before the step, like
   each weight, and C (r,r); of (1') M alone; none at beta = 0.
   Claims: A -> A R, B -> B R^-T changes nothing in A B^T, for every invertible R. It holds with
   (1'), which is linear, too, unless balora=1 changes R between the steps.
   Checked against: golden values and invariance cells of a NumPy reference of (1'); at beta = 0 a
   first step is 1 / (2 sqrt(rows)) of that of lora_rite.c.
   Traps: the inverse roots drop directions that are zero up to rounding, so a zero factor has msign
   0 for its partner; the second step then moves lora_A by a fixed share of its size whatever eta
   is. Clipping raw gradients breaks the claim and buys nothing, since (3) knows no size. */
#include "optim/algebra/basis.h"

#include <string.h>

enum { LR, BETA, GAUSS_SEIDEL, CUT };
enum { M, OLD, C }; /* slots; C + i is of factor i */

typedef struct parts { double *t[2], *zz, *k, *l, *spare, *work; tn_real *old; } parts;

static parts parts_of(const tn_unit *u)
{
    int64_t rr = u->r * u->r;
    double *m = (double *)u->memory, *work = m + 7 * rr;
    return (parts){ { m, m + rr }, m + 2 * rr, m + 3 * rr, m + 4 * rr, m + 5 * rr, work,
                    (tn_real *)(work + tn_preconditioner_work(u->r)) };
}

static size_t scratch(const tn_unit *u)
{
    return (7 * (size_t)(u->r * u->r) + tn_preconditioner_work(u->r)) * sizeof(double) +
           tn_unit_bytes(u);
}

static bool needs(const tn_unit *u, int slot, int k)
{
    (void)k;
    return u->h[BETA] != 0 && (slot == M || u->h[GAUSS_SEIDEL] != 0);
}

/* M of factor i, which is the gradient itself at beta = 0. */
static tn_tall momentum(const tn_unit *u, int i, const parts *p)
{
    tn_tall g = tn_tall_of(u, i, u->f[i].g), m = tn_tall_of(u, i, u->slot[M][i]);
    double beta = u->h[BETA];
    int y = tn_partner(i);
    if (beta == 0)
        return g;
    if (u->h[GAUSS_SEIDEL] != 0) {
        tn_tall_gram(tn_tall_of(u, y, u->slot[OLD][y]), tn_tall_of(u, y, u->f[y].x), p->work,
                     u->wide, p->k);
        tn_small_ab(u->r, u->slot[C + y][0], p->k, p->l);
        for (int64_t j = 0; j < u->r * u->r; j++)
            p->l[j] *= beta;
        tn_tall_add(m, p->l, g, 1 - beta, p->work, u->wide, u->slot[M][i]);  /* (1) */
        return m;
    }
    tn_real *restrict x = u->slot[M][i], old = (tn_real)beta, fresh = (tn_real)(1 - beta);
    for (int64_t j = 0; j < u->f[i].n; j++)
        x[j] = old * x[j] + fresh * u->f[i].g[j];                           /* (1') */
    return m;
}

/* (4') without its rate: k. */
static void spectral_step(const tn_unit *u, int i, tn_tall m, const parts *p)
{
    const double *t = p->t[tn_partner(i)];
    tn_basis_gram(u, m, t, m, t, p->work, p->zz);
    tn_symmetric_inverse_root(u->r, p->zz, tn_small_trace(u->r, p->zz), u->h[CUT], p->work,
                              p->k);                                        /* (3) */
    tn_basis_back(u->r, t, p->k, t, p->work, p->k);
}

static void step(tn_unit *u)
{
    int64_t r = u->r;
    const parts p = parts_of(u);
    tn_tall m[2];
    for (int i = 0; i < 2; i++)
        tn_basis(u, i, u->h[CUT], p.work, p.zz, p.t[i]);                    /* (2) */
    for (int i = 0; i < 2; i++)
        m[i] = momentum(u, i, &p);
    for (int i = 0; i < 2 && needs(u, OLD, i); i++) {
        memcpy(u->slot[OLD][i], u->f[i].x, (size_t)u->f[i].n * sizeof *u->f[i].x);
        tn_small_abt(r, p.t[i], p.t[i], u->slot[C + i][0]);
    }
    memcpy(p.old, u->f[TN_LORA_B].x, (size_t)u->f[TN_LORA_B].n * sizeof *p.old);
    for (int n = 0, i = TN_LORA_B; n < 2; n++, i = tn_partner(i)) {
        spectral_step(u, i, m[i], &p);
        double *k = p.k;
        if (n && u->h[GAUSS_SEIDEL] != 0) {
            tn_basis_follow(u, TN_LORA_B, p.old, u->h[CUT], p.work, p.spare, p.l); /* (5) */
            tn_small_ab(r, p.k, p.l, p.zz);
            k = p.zz;
        }
        for (int64_t j = 0; j < r * r; j++)
            k[j] *= -0.5 * u->lr;
        tn_tall_add(m[i], k, tn_tall_of(u, i, u->f[i].x), 1, p.work, u->wide, u->f[i].x); /* (4) */
    }
}

const tn_optim_def tn_optim_lora_muon = {
    .name = "lora-muon", .title = "LoRA-Muon, spectral steepest descent with momentum",
    .paper = "arXiv:2606.12921",
    .update = "M: average of gA; A -= lr/2 msign(M S^-1/2) S^-1/2, S = B^T B",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "from the paper: lora_A follows the new lora_B, and momentum is carried along "
               "(gauss_seidel=0 cut=0: neither); without its split weight decay and its rebalancing "
               "of the factors, for which there is nothing to compare with",
    .hyper = {
        { "lr", 5e-2, TN_ABOVE_0, "learning rate eta" },
        { "beta", 0.9, TN_SHARE, "decay of the momentum; 0: none" },
        { "gauss_seidel", 1, TN_SWITCH, "1: lora_A by the new lora_B, M carried along; 0: the paper's" },
        { "cut", 1e-11, TN_SHARE, "directions rest whose square is below this share of the largest" },
    },
    .slots = { { "m", TN_LIKE_X }, { "old", TN_LIKE_X },
               { "c.A", TN_R_BY_R }, { "c.B", TN_R_BY_R } },
    .needs = needs,
    .pairs = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_FULL, .clip = TN_CLIP_REFUSED,
};
