/* lora_tsd.c - LoRA-TSD, tangent-space spectral descent. arXiv:2609.02734.

   The product is A B^T, in the paper's letters: A = lora_B (m,r), B = lora_A^T (n,r). G is the
   gradient of the product. A pair can move the product along P_T(G) = Q_A Q_A^T G + G Q_B Q_B^T -
   Q_A Q_A^T G Q_B Q_B^T, the projection of G on the tangent space.

       A = Q_A R_A,  B = Q_B R_B,  the columns of Q orthonormal          (1)
       X = P_T(G);  `rounds` times  X = P_T(msign(X))                    (2)
       dA = X (B^T)^+,  dB^T = A^+ (X - dA B^T)                          (3)
       A = A - eta dA,  B = B - eta dB                                   (4)

   X has rank 2 r, and its columns and rows stay in the spaces of [Q_A W_A] and [Q_B W_B] below. So
   (2) needs (2 r,2 r) matrices only. For A, U = gA R_B^-1 is a multiple of G Q_B. For B, U = gB
   R_A^-1 is a multiple of G^T Q_A. Then

       C = Q^T U,  N = U - Q C = W S                                     (5)  S^2 = U^T U - C^T C
       X = [Q_A W_A] K [Q_B W_B]^T,  K = [C_A S_B; S_A 0]                (6)
       `rounds` times  K = msign(K), then its last block = 0             (7)
       dA = (Q_A K_11 + W_A K_21) R_B^-T,  dB = W_B K_12^T R_A^-T        (8)

   basis.h has T with Q = A T_A. With it, W = N S^+ and F = S_A^+ K_21, the first half of (8) is
       dA = gA (T_B F T_B^T) + A (T_A (K_11 - C_A F) T_B^T)              (9)
   dB is the same with K_12^T in the place of K_21 and 0 in the place of K_11.
   Cost: five products of (m + n) r^2, four eigenproblems of size r and one of size 2 r per round.
   State: none. Claims: A -> A R, B -> B R^-T changes nothing in A B^T, for every invertible R.
   Checked against: invariance cells and their plain runs by a NumPy reference.
   Traps: both factors could make the part Q_A K_11 Q_B^T; dA makes all of it. After three rounds
   the singular values of X are between 0.8 and 1.1 where S is larger than C. Where C is larger,
   that is where the factors hold most of the gradient, the smallest stay near 0 (0.05 at S / C =
   0.1). Directions that are zero up to rounding get no step. If 2 r is above min(m, n), there are
   some. */
#include "optim/algebra/basis.h"

#include <string.h>

enum { LR, ROUNDS };

typedef struct page { /* (r,r) where nothing else is noted; [x]: of factor x */
    double *t[2], *c[2], *s[2];
    double *s_inverse[2];   /* S^+ */
    double *core;           /* (2 r,2 r) K */
    double *square, *polar; /* (2 r,2 r) K^T K, and its inverse root */
    double *k, *l;          /* of one equation at a time */
    double *work;
    size_t bytes;
} page;

/* Lays the page into the memory of u. */
static page page_of(const tn_unit *u)
{
    page p;
    const int64_t r = u->r, rr = r * r, tall = (int64_t)tn_preconditioner_work(r);
    tn_scratch s = { .memory = u->memory };
    double **const small[] = { &p.t[0], &p.t[1],         &p.c[0],         &p.c[1], &p.s[0],
                               &p.s[1], &p.s_inverse[0], &p.s_inverse[1], &p.k,    &p.l };
    double **const large[] = { &p.core, &p.square, &p.polar };
    for (size_t i = 0; i < sizeof small / sizeof *small; i++)
        *small[i] = tn_scratch_take(&s, rr);
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        *large[i] = tn_scratch_take(&s, 4 * rr);
    p.work = tn_scratch_take(&s, tall > 8 * rr + 8 * r ? tall : 8 * rr + 8 * r);
    p.bytes = s.used;
    return p;
}

static size_t scratch(const tn_unit *u)
{
    return page_of(u).bytes;
}

/* C, S and S^+ of factor x. */
static void split(const tn_unit *u, int x, const page *p)
{
    const int64_t r = u->r;
    tn_tall g = tn_gradient_of(u, x);
    const double *t = p->t[tn_partner(x)];
    tn_basis_gram(u, tn_weight_of(u, x), p->t[x], g, t, p->work, p->c[x]);
    tn_basis_gram(u, g, t, g, t, p->work, p->k);
    double size = tn_small_trace(r, p->k);
    tn_small_atb(r, p->c[x], p->c[x], p->l);
    for (int64_t j = 0; j < r * r; j++)
        p->k[j] -= p->l[j];
    tn_symmetric_inverse_root(r, p->k, size, 0, p->work, p->s_inverse[x]);
    tn_small_ab(r, p->k, p->s_inverse[x], p->s[x]); /* (5) */
}

static void fill_core(const tn_unit *u, const page *p)
{
    const int64_t r = u->r, n = 2 * r;
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++) {
            p->core[i * n + j] = p->c[TN_LORA_B][i * r + j];
            p->core[i * n + r + j] = p->s[TN_LORA_A][i * r + j];
            p->core[(r + i) * n + j] = p->s[TN_LORA_B][i * r + j];
            p->core[(r + i) * n + r + j] = 0; /* (6) */
        }
}

static void msign_and_project(const tn_unit *u, const page *p)
{
    const int64_t r = u->r, n = 2 * r;
    tn_small_atb(n, p->core, p->core, p->square);
    tn_symmetric_inverse_root(n, p->square, tn_small_trace(n, p->square), 0, p->work, p->polar);
    tn_small_ab(n, p->core, p->polar, p->square);
    memcpy(p->core, p->square, (size_t)(n * n) * sizeof *p->core);
    for (int64_t i = r; i < n; i++)
        for (int64_t j = r; j < n; j++)
            p->core[i * n + j] = 0; /* (7) */
}

/* (8), as (9), and (4): X = g f + X own. */
static void move(tn_unit *u, int x, const page *p)
{
    const int64_t r = u->r, n = 2 * r;
    const bool is_a = x == TN_LORA_B; /* the paper's A */
    const double *t = p->t[tn_partner(x)], *k = p->core;
    double *block = p->s[0], *own = p->s[1], *f = p->k; /* S is not needed any more */
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++)
            block[i * r + j] = is_a ? k[(r + i) * n + j] : k[j * n + r + i]; /* K_21, K_12^T */
    tn_small_ab(r, p->s_inverse[x], block, f);
    tn_small_ab(r, p->c[x], f, own);
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++)
            own[i * r + j] = (is_a ? k[i * n + j] : 0) - own[i * r + j]; /* (8) */
    tn_basis_back(r, t, f, t, p->work, f);
    tn_basis_back(r, p->t[x], own, t, p->work, own); /* (9) */
    for (int64_t j = 0; j < r * r; j++) {
        f[j] *= -u->lr;
        own[j] = (j % (r + 1) == 0) - u->lr * own[j];
    }
    tn_tall_combine(tn_gradient_of(u, x), f, tn_weight_of(u, x), own, p->work, u->wide,
                    u->f[x].x); /* (4) */
}

static void step(tn_unit *u)
{
    const page p = page_of(u);
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++)
        tn_basis(u, x, 0, p.work, p.k, p.t[x]); /* (1) */
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++)
        split(u, x, &p);
    fill_core(u, &p);
    for (int round = 0; round < (int)u->h[ROUNDS]; round++)
        msign_and_project(u, &p); /* (2) */
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++)
        move(u, x, &p); /* (3) */
}

const tn_optim_def tn_optim_lora_tsd = {
    .name = "lora-tsd", .title = "LoRA-TSD, spectral descent in the tangent space",
    .paper = "arXiv:2609.02734",
    .update = "X = P_T(G); rounds times X = P_T(msign(X)); dA = X (B^T)^+, dB^T = A^+ (X - dA B^T)",
    .cost = "O((m + n) r^2 + rounds r^3)",
    .hyper = {
        { "lr", 5e-2, TN_ABOVE_0, "learning rate eta" },
        { "rounds", 3, TN_1_TO_100, "projections after msign; more bring the singular values nearer to 1" },
    },
    .pairs = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_FULL, .clip = TN_CLIP_GLOBAL,
};
