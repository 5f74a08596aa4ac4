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
   values of X between 0.8 and 1.1. Directions that are zero up to rounding are dropped: there are
   always some if 2 r is above min(m, n). */
#include "optim/algebra/basis.h"

#include <string.h>

enum { LR, ROUNDS };

typedef struct page { /* (r,r) unless said; [i]: of factor i, 1 is A */
    double *t[2], *c[2], *s[2], *inverse[2]; /* S and S^+ */
    double *core, *square, *polar;           /* (2 r,2 r) */
    double *k, *l, *work;
} page;

static page page_of(const tn_unit *u)
{
    int64_t rr = u->r * u->r;
    double *m = (double *)u->memory;
    return (page){
        .t = { m, m + rr }, .c = { m + 2 * rr, m + 3 * rr }, .s = { m + 4 * rr, m + 5 * rr },
        .inverse = { m + 6 * rr, m + 7 * rr }, .k = m + 8 * rr, .l = m + 9 * rr,
        .core = m + 10 * rr, .square = m + 14 * rr, .polar = m + 18 * rr, .work = m + 22 * rr,
    };
}

static size_t scratch(const tn_unit *u)
{
    size_t rr = (size_t)(u->r * u->r), core = 8 * rr + 8 * (size_t)u->r;
    size_t tall = tn_preconditioner_work(u->r);
    return (22 * rr + (tall > core ? tall : core)) * sizeof(double);
}

/* C, S and S^+ of factor i. */
static void split(const tn_unit *u, int i, const page *m)
{
    int64_t r = u->r;
    tn_tall x = tn_tall_of(u, i, u->f[i].x), g = tn_tall_of(u, i, u->f[i].g);
    const double *t = m->t[1 - i];
    tn_basis_gram(u, x, m->t[i], g, t, m->work, m->c[i]);
    tn_basis_gram(u, g, t, g, t, m->work, m->k);
    double size = tn_small_trace(r, m->k);
    tn_small_atb(r, m->c[i], m->c[i], m->l);
    for (int64_t j = 0; j < r * r; j++)
        m->k[j] -= m->l[j];
    tn_symmetric_inverse_root(r, m->k, size, m->work, m->inverse[i]);
    tn_small_ab(r, m->k, m->inverse[i], m->s[i]);                           /* (5) */
}

static void iterate(const tn_unit *u, const page *m)
{
    int64_t r = u->r, rr = r * r, n = 2 * r;
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++) {
            m->core[i * n + j] = m->c[1][i * r + j];
            m->core[i * n + r + j] = m->s[0][i * r + j];
            m->core[(r + i) * n + j] = m->s[1][i * r + j];
            m->core[(r + i) * n + r + j] = 0;                               /* (6) */
        }
    for (int round = 0; round < (int)u->h[ROUNDS]; round++) {
        tn_small_atb(n, m->core, m->core, m->square);
        tn_symmetric_inverse_root(n, m->square, tn_small_trace(n, m->square), m->work, m->polar);
        tn_small_ab(n, m->core, m->polar, m->square);
        memcpy(m->core, m->square, (size_t)(4 * rr) * sizeof *m->core);
        for (int64_t i = r; i < n; i++)
            for (int64_t j = r; j < n; j++)
                m->core[i * n + j] = 0;                                     /* (7) */
    }
}

/* J is K_21 or K_12^T, `own` what Q is multiplied by. */
static void move(tn_unit *u, int i, const page *m)
{
    int64_t r = u->r, n = 2 * r;
    const double *t = m->t[1 - i], *k = m->core;
    double *j = m->s[0], *own = m->s[1], *f = m->k;
    for (int64_t a = 0; a < r; a++)
        for (int64_t b = 0; b < r; b++)
            j[a * r + b] = i ? k[(r + a) * n + b] : k[b * n + r + a];
    tn_small_ab(r, m->inverse[i], j, f);
    tn_small_ab(r, m->c[i], f, own);
    for (int64_t a = 0; a < r; a++)
        for (int64_t b = 0; b < r; b++)
            own[a * r + b] = (i ? k[a * n + b] : 0) - own[a * r + b];       /* (8) */
    tn_basis_back(r, t, f, t, m->work, f);
    tn_basis_back(r, m->t[i], own, t, m->work, own);                        /* (9) */
    for (int64_t a = 0; a < r * r; a++) {
        f[a] *= -u->lr;
        own[a] = (a % (r + 1) == 0) - u->lr * own[a];
    }
    tn_tall g = tn_tall_of(u, i, u->f[i].g), x = tn_tall_of(u, i, u->f[i].x);
    tn_tall_combine(g, f, x, own, m->work, u->wide, u->f[i].x);             /* (4) */
}

static void step(tn_unit *u)
{
    page m = page_of(u);
    for (int i = 0; i < 2; i++)
        tn_basis(u, i, m.work, m.k, m.t[i]);                                /* (1) */
    for (int i = 0; i < 2; i++)
        split(u, i, &m);
    iterate(u, &m);                                                         /* (2) */
    for (int i = 0; i < 2; i++)
        move(u, i, &m);                                                     /* (3) */
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
