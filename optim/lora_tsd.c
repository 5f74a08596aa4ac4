/* lora_tsd.c - LoRA-TSD, tangent-space spectral descent. arXiv:2609.02734.

   In the paper's letters the product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r); G is its
   gradient, P_T(G) = Q_A Q_A^T G + G Q_B Q_B^T - Q_A Q_A^T G Q_B Q_B^T what a pair can follow:

       A = Q_A R_A,  B = Q_B R_B,  the columns of Q orthonormal          (1)
       X = P_T(G);  `rounds` times  X = P_T(msign(X))                    (2)
       dA = X (B^T)^+,  dB^T = A^+ (X - dA B^T)                          (3)
       A = A - eta dA,  B = B - eta dB                                   (4)

   X has rank 2 r and stays between the columns of [Q_A W_A] and [Q_B W_B] below, so that (2) is a
   matter of (2 r,2 r) matrices. In (5), for A, U = gA R_B^-1 is a multiple of G Q_B, and for B
   gB R_A^-1 one of G^T Q_A:

       C = Q^T U,  N = U - Q C = W S                                     (5)  S^2 = U^T U - C^T C
       X = [Q_A W_A] K [Q_B W_B]^T,  K = [C_A S_B; S_A 0]                (6)
       `rounds` times  K = msign(K), then its last block = 0             (7)
       dA = (Q_A K_11 + W_A K_21) R_B^-T,  dB = W_B K_12^T R_A^-T        (8)

   With Q = A T_A and so on (basis.h), W = N S^+ and F = S_A^+ K_21 the first of (8) is
       dA = gA (T_B F T_B^T) + A (T_A (K_11 - C_A F) T_B^T),             (9)
   and dB the same with K_12^T for K_21 and nothing for K_11.
   Cost: five products of (m + n) r^2, four eigenproblems of size r and one of 2 r a round. State:
   none. Claims: A -> A R, B -> B R^-T changes nothing in A B^T, for every invertible R.
   Checked against: invariance cells and their plain runs by a NumPy reference.
   Traps: what dA and dB could share, Q_A K_11 Q_B^T, is all dA's. Three rounds leave the singular
   values of X between 0.8 and 1.1 where S is larger than C; where C dominates, as it does when the
   factors hold most of the gradient, the smallest stay near 0 (S / C = 0.1: 0.05). Directions that are zero up to rounding are dropped: there are
   always some if 2 r is above min(m, n). */
#include "optim/algebra/basis.h"

#include <string.h>

enum { LR, ROUNDS };

typedef struct page { /* (r,r) unless said; [i]: of factor i */
    double *t[2];       /* T: factor T = Q */
    double *c[2];       /* C */
    double *s[2];       /* S */
    double *inverse[2]; /* S^+ */
    double *core;       /* (2 r,2 r) K */
    double *square, *polar; /* (2 r,2 r) K^T K, and its inverse root */
    double *k, *l;      /* of one equation */
    double *work;
} page;

/* Lays the page into memory; returns the bytes of it. */
static size_t page_of(const tn_unit *u, char *memory, page *p)
{
    const int64_t r = u->r, rr = r * r, tall = (int64_t)tn_preconditioner_work(r);
    tn_scratch s = { .memory = memory };
    for (int i = 0; i < 2; i++) {
        p->t[i] = tn_scratch_take(&s, rr);
        p->c[i] = tn_scratch_take(&s, rr);
        p->s[i] = tn_scratch_take(&s, rr);
        p->inverse[i] = tn_scratch_take(&s, rr);
    }
    p->k = tn_scratch_take(&s, rr);
    p->l = tn_scratch_take(&s, rr);
    p->core = tn_scratch_take(&s, 4 * rr);
    p->square = tn_scratch_take(&s, 4 * rr);
    p->polar = tn_scratch_take(&s, 4 * rr);
    p->work = tn_scratch_take(&s, tall > 8 * rr + 8 * r ? tall : 8 * rr + 8 * r);
    return s.used;
}

static size_t scratch(const tn_unit *u)
{
    page p;
    return page_of(u, NULL, &p);
}

/* C, S and S^+ of a factor. */
static void split(const tn_unit *u, int factor, const page *p)
{
    const int64_t r = u->r;
    tn_tall x = tn_tall_of(u, factor, u->f[factor].x), g = tn_tall_of(u, factor, u->f[factor].g);
    const double *t = p->t[tn_partner(factor)];
    tn_basis_gram(u, x, p->t[factor], g, t, p->work, p->c[factor]);
    tn_basis_gram(u, g, t, g, t, p->work, p->k);
    double size = tn_small_trace(r, p->k);
    tn_small_atb(r, p->c[factor], p->c[factor], p->l);
    for (int64_t j = 0; j < r * r; j++)
        p->k[j] -= p->l[j];
    tn_symmetric_inverse_root(r, p->k, size, 0, p->work, p->inverse[factor]);
    tn_small_ab(r, p->k, p->inverse[factor], p->s[factor]);                 /* (5) */
}

static void fill_core(const tn_unit *u, const page *p)
{
    const int64_t r = u->r, n = 2 * r;
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++) {
            p->core[i * n + j] = p->c[TN_LORA_B][i * r + j];
            p->core[i * n + r + j] = p->s[TN_LORA_A][i * r + j];
            p->core[(r + i) * n + j] = p->s[TN_LORA_B][i * r + j];
            p->core[(r + i) * n + r + j] = 0;                               /* (6) */
        }
}

static void project_and_whiten(const tn_unit *u, const page *p)
{
    const int64_t r = u->r, n = 2 * r;
    tn_small_atb(n, p->core, p->core, p->square);
    tn_symmetric_inverse_root(n, p->square, tn_small_trace(n, p->square), 0, p->work, p->polar);
    tn_small_ab(n, p->core, p->polar, p->square);
    memcpy(p->core, p->square, (size_t)(n * n) * sizeof *p->core);
    for (int64_t i = r; i < n; i++)
        for (int64_t j = r; j < n; j++)
            p->core[i * n + j] = 0;                                         /* (7) */
}

/* factor = factor own + g f, for the f and own of (9). */
static void move(tn_unit *u, int factor, const page *p)
{
    const int64_t r = u->r, n = 2 * r;
    const bool is_a = factor == TN_LORA_B; /* the paper's A */
    const double *t = p->t[tn_partner(factor)], *k = p->core;
    double *block = p->s[0], *own = p->s[1], *f = p->k; /* S has served */
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++)
            block[i * r + j] = is_a ? k[(r + i) * n + j] : k[j * n + r + i]; /* K_21, K_12^T */
    tn_small_ab(r, p->inverse[factor], block, f);
    tn_small_ab(r, p->c[factor], f, own);
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++)
            own[i * r + j] = (is_a ? k[i * n + j] : 0) - own[i * r + j];    /* (8) */
    tn_basis_back(r, t, f, t, p->work, f);
    tn_basis_back(r, p->t[factor], own, t, p->work, own);                   /* (9) */
    for (int64_t j = 0; j < r * r; j++) {
        f[j] *= -u->lr;
        own[j] = (j % (r + 1) == 0) - u->lr * own[j];
    }
    tn_tall_combine(tn_tall_of(u, factor, u->f[factor].g), f,
                    tn_tall_of(u, factor, u->f[factor].x), own, p->work, u->wide,
                    u->f[factor].x);                                        /* (4) */
}

static void step(tn_unit *u)
{
    page p;
    page_of(u, u->memory, &p);
    for (int factor = 0; factor < 2; factor++)
        tn_basis(u, factor, 0, p.work, p.k, p.t[factor]);                   /* (1) */
    for (int factor = 0; factor < 2; factor++)
        split(u, factor, &p);
    fill_core(u, &p);
    for (int round = 0; round < (int)u->h[ROUNDS]; round++)
        project_and_whiten(u, &p);                                          /* (2) */
    for (int factor = 0; factor < 2; factor++)
        move(u, factor, &p);                                                /* (3) */
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
