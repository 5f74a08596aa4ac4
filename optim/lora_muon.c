/* lora_muon.c - LoRA-Muon: steepest descent in the spectral norm, with momentum.
   Cesista, Crowson, Simal and Biderman, arXiv:2606.12921. gauss_seidel and cut are additions for
   gradients of few directions; gauss_seidel=0 cut=0 is the paper's form.

   The product is A B^T, in the paper's letters: A = lora_B (m,r), B = lora_A^T (n,r). Below is the
   step of A with the gradient g. B has the same step with the roles exchanged. (1), (8), (9), (a)
   and (d) are those of rite.c, which this page shares. M, Z and O use values from before the step.

       S = B^T B,  T T^T = S^+                                     (1)  T = S^-1/2 E, E orthogonal
       M = beta M (T T^T)_old (B_old^T B) + (1 - beta) g           (8)
       M = beta M + (1 - beta) g                                   (m)  if gauss_seidel = 0
       Z = M S^-1/2,  O = msign(Z) = Z (Z^T Z)^-1/2                (n)  singular values 1
       A = A - eta/2 O S^-1/2                                      (9)
       A by (9), then B with its step times A^T A' (A'^T A')^+     (d)  if gauss_seidel

   T may stand for S^-1/2: msign(M T) = msign(Z) E, and msign(Z) E T^T = O S^-1/2. So (n) and (9)
   are
       A = A - eta/2 M K,  K = T (T^T M^T M T)^-1/2 T^T            (9')
   (8) carries the unmagnified gradients from basis to basis: times T, it is (8) of rite.c with g T
   in the place of S. (m) is the paper's. It adds up raw gradients, but the factors have moved
   since. If a direction of B has become small, S^-1/2 enlarges what was added when it was large.
   The next step then makes that direction even smaller. (d) leaves no cross term: the product moves
   by at most eta/2 (||O_A|| + ||O_B||). cut (a) drops directions of rounding alone, in T and in
   (Z^T Z)^-1/2.
   Cost: four products of (m + n) r^2 and four eigenproblems of size r per pair; (8) adds two
   products, (d) one and a half and an eigenproblem. State: M, the factor before the step, and its T
   T^T; with (m) M alone; none at beta = 0.
   Claims: A -> A R, B -> B R^-T changes nothing in A B^T, for every invertible R. With (m) this
   holds because (m) is linear, unless balora=1 changes R between the steps.
   Checked against: golden values and invariance cells of a NumPy reference of (m); at beta = 0 a
   first step is 1 / (2 sqrt(rows)) of that of lora_rite.c.
   Traps: a zero factor has T = 0, so its partner rests. The second step then moves lora_A by a
   fixed share of its size whatever eta is. Clipping raw gradients breaks the claim and gains
   nothing, because (n) does not see their size. */
#include "optim/algebra/basis.h"

#include <string.h>

enum { LR, BETA, GAUSS_SEIDEL, CUT };
enum { M, OLD, TT }; /* slots; TT + x belongs to factor x */

typedef struct page {      /* (r,r) where nothing else is noted */
    double *t[2];          /* T of each factor */
    double *k, *l, *p, *q; /* of one equation at a time */
    double *work;
    tn_real *b_old; /* lora_A's partner lora_B, as it was before (9) */
    size_t bytes;
} page;

/* Lays the page into the memory of u. */
static page page_of(const tn_unit *u)
{
    page p;
    tn_scratch s = { .memory = u->memory };
    double **const squares[] = { &p.t[0], &p.t[1], &p.k, &p.l, &p.p, &p.q };
    for (size_t i = 0; i < sizeof squares / sizeof *squares; i++)
        *squares[i] = tn_scratch_take(&s, u->r * u->r);
    p.work = tn_scratch_take(&s, (int64_t)tn_preconditioner_work(u->r));
    p.b_old = s.memory ? (tn_real *)(s.memory + s.used) : NULL;
    p.bytes = s.used + tn_unit_bytes(u);
    return p;
}

static size_t scratch(const tn_unit *u)
{
    return page_of(u).bytes;
}

static bool needs(const tn_unit *u, int slot, int k)
{
    (void)k;
    return u->h[BETA] != 0 && (slot == M || u->h[GAUSS_SEIDEL] != 0);
}

/* M of factor x. At beta = 0 that is the gradient. */
static tn_tall momentum(const tn_unit *u, int x, const page *p)
{
    const double beta = u->h[BETA];
    const int y = tn_partner(x);
    tn_tall g = tn_gradient_of(u, x), m = tn_tall_of(u, x, u->slot[M][x]);
    if (beta == 0)
        return g;
    if (u->h[GAUSS_SEIDEL] != 0) {
        tn_tall_gram(tn_tall_of(u, y, u->slot[OLD][y]), tn_weight_of(u, y), p->work, u->wide, p->k);
        tn_small_ab(u->r, u->slot[TT + y][0], p->k, p->l);
        tn_small_scale(u->r, beta, p->l);
        tn_tall_add(m, p->l, g, 1 - beta, p->work, u->wide, u->slot[M][x]); /* (8) */
        return m;
    }
    tn_real *restrict sum = u->slot[M][x], old = (tn_real)beta, fresh = (tn_real)(1 - beta);
    for (int64_t j = 0; j < u->f[x].n; j++)
        sum[j] = old * sum[j] + fresh * u->f[x].g[j]; /* (m) */
    return m;
}

/* k = K of (9'), for factor x. */
static void spectral_step(const tn_unit *u, int x, tn_tall m, const page *p)
{
    const double *t = p->t[tn_partner(x)];
    tn_basis_gram(u, m, t, m, t, p->work, p->p);
    tn_symmetric_inverse_root(u->r, p->p, tn_small_trace(u->r, p->p), u->h[CUT], p->work,
                              p->k); /* (n), (a) */
    tn_basis_back(u->r, t, p->k, t, p->work, p->k);
}

static void step(tn_unit *u)
{
    const int64_t r = u->r;
    const bool in_order = u->h[GAUSS_SEIDEL] != 0;
    const tn_factor *b = &u->f[TN_LORA_B];
    const page p = page_of(u);
    tn_tall m[2];
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++)
        tn_basis(u, x, u->h[CUT], p.work, p.k, p.t[x]); /* (1), (a) */
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++)
        m[x] = momentum(u, x, &p);
    for (int x = TN_LORA_A; x <= TN_LORA_B && needs(u, OLD, x); x++) {
        memcpy(u->slot[OLD][x], u->f[x].x, (size_t)u->f[x].n * sizeof *u->f[x].x);
        tn_small_abt(r, p.t[x], p.t[x], u->slot[TT + x][0]);
    }
    if (in_order)
        memcpy(p.b_old, b->x, (size_t)b->n * sizeof *p.b_old);
    for (int x = TN_LORA_B; x >= TN_LORA_A; x--) { /* lora_B, then lora_A */
        spectral_step(u, x, m[x], &p);
        double *k = p.k;
        if (x == TN_LORA_A && in_order) {
            tn_basis_follow(u, TN_LORA_B, p.b_old, u->h[CUT], p.work, p.p, p.q, p.l);
            tn_small_ab(r, p.k, p.l, p.p); /* (d) */
            k = p.p;
        }
        tn_small_scale(r, -0.5 * u->lr, k);
        tn_tall_add(m[x], k, tn_weight_of(u, x), 1, p.work, u->wide, u->f[x].x); /* (9) */
    }
}

const tn_optim_def tn_optim_lora_muon = {
    .name = "lora-muon", .title = "LoRA-Muon, spectral steepest descent with momentum",
    .paper = "arXiv:2606.12921",
    .update = "M: average of gA; A -= lr/2 msign(M S^-1/2) S^-1/2, S = B^T B",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "from the paper: lora_A follows the new lora_B, and momentum is carried along "
               "(gauss_seidel=0 cut=0: neither); its split weight decay and its rebalancing "
               "are left out, because there are no figures to compare with",
    .hyper = {
        { "lr", 5e-2, TN_ABOVE_0, "learning rate eta" },
        { "beta", 0.9, TN_SHARE, "decay of the momentum; 0: none" },
        { "gauss_seidel", 1, TN_SWITCH, "1: lora_A by the new lora_B, M carried along; 0: the paper's" },
        { "cut", 1e-11, TN_SHARE, "a direction below this share of the largest (in squares) rests" },
    },
    .slots = { { "m", TN_LIKE_X }, { "old", TN_LIKE_X },
               { "c.A", TN_R_BY_R }, { "c.B", TN_R_BY_R } },
    .needs = needs,
    .pairs = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_FULL, .clip = TN_CLIP_REFUSED,
};
