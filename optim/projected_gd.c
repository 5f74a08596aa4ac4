/* projected_gd.c - descent along the full gradient's projection on what a LoRA pair can move.
   The projection and its three splits are those of LoRA-Pro, Wang et al., arXiv:2407.18242, ICLR
   2025. LoRA-Pro itself has Adam's moments of size m x n, too. This page is the form without
   momentum. Published tables do not measure it.

   The product is A B^T, in the paper's letters: A = lora_B (m,r), B = lora_A^T (n,r). With G =
   dL/dW, g_A = s G B and g_B = s G^T A.

       C_A = (B^T B + delta I)^-1,   C_B = (A^T A + delta I)^-1    (1)
       f_A = g_A C_A / s^2,   f_B = g_B C_B / s^2                  (2)
       K = C_B A^T f_A                                             (3)   A K = P_A f_A
       A = A - eta (f_A - A (K + X))                               (4)
       B = B - eta (f_B + B X^T)                                   (5)

   P_A and P_B are the projectors on the columns of A and B. At delta = 0, for every X, s (dA B^T +
   A dB^T) = -eta (P_A G + G P_B - P_A G P_B): the orthogonal projection of G on the tangent space
   of the products. X decides who makes the part that both factors could make:

       split 0   X = 0: B makes all of it                          (6)
       split 1   X = -K / 2: half each (default)                   (7)
       split 2   A^T A X + X B^T B = -K B^T B                      (8)

   (8), the paper's, makes dA and dB as near as possible to g_A and g_B. In the eigenbases of A^T A
   (eigenvalues a_i) and B^T B (b_j) it is one equation per entry:

       X_ij = -K_ij b_j / (a_i + b_j)                              (9)

   Cost: three products of n r^2 per factor, one of m r^2 per pair, two eigenproblems of size r.
   Split 2: one more product per factor, and four eigenproblems. State: none.
   Claims: at delta = 0, splits 0 and 1 move the product the same for every basis that the pair is
   written in. (8) compares lengths of A and B, so split 2 does so for rotations only.
   Traps: those of scaled_gd.c. f_A is the least squares step in A. Its size is about that of g_A /
   ||B||^2. */
#include "optim/algebra/preconditioner.h"

enum { LR, DELTA, SPLIT, DECAY };

typedef struct page { /* (r,r) where nothing else is noted; a: of A = lora_B, b: of B = lora_A^T */
    double *ca, *cb;  /* C_A, C_B */
    double *k, *x;    /* s^2 K, s^2 X */
    double *l;        /* what A or B is multiplied by */
    double *ea, *eb;  /* eigenvectors of A^T A and B^T B, as rows */
    double *a, *b;    /* (r) their eigenvalues */
    double *turned, *t; /* K in the eigenbases; of one equation at a time */
    double *work;
    size_t bytes;
} page;

/* Lays the page into the memory of u. */
static page page_of(const tn_unit *u)
{
    const int64_t r = u->r;
    tn_scratch s = { .memory = u->memory };
    page p;
    double **const squares[] = { &p.ca, &p.cb, &p.k, &p.x, &p.l, &p.ea, &p.eb, &p.turned, &p.t };
    for (size_t i = 0; i < sizeof squares / sizeof *squares; i++)
        *squares[i] = tn_scratch_take(&s, r * r);
    p.a = tn_scratch_take(&s, r);
    p.b = tn_scratch_take(&s, r);
    p.work = tn_scratch_take(&s, (int64_t)tn_preconditioner_work(r));
    p.bytes = s.used;
    return p;
}

static size_t scratch(const tn_unit *u)
{
    return page_of(u).bytes;
}

/* Eigenvalues w and, as rows of e, eigenvectors of X^T X for factor x. */
static void eigen_of(const tn_unit *u, int x, const page *p, double *w, double *e)
{
    tn_tall f = tn_weight_of(u, x);
    tn_tall_gram(f, f, p->work, u->wide, p->t);
    tn_eigen(u->r, p->t, w, p->work, e);
}

static void published_split(const tn_unit *u, const page *p)
{
    const int64_t r = u->r;
    eigen_of(u, TN_LORA_A, p, p->b, p->eb);
    eigen_of(u, TN_LORA_B, p, p->a, p->ea);
    tn_small_ab(r, p->ea, p->k, p->t);
    tn_small_abt(r, p->t, p->eb, p->turned);
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++) {
            double a = p->a[i] > 0 ? p->a[i] : 0, b = p->b[j] > 0 ? p->b[j] : 0;
            p->turned[i * r + j] *= a + b > 0 ? -b / (a + b) : 0; /* (9) */
        }
    tn_small_atb(r, p->ea, p->turned, p->t);
    tn_small_ab(r, p->t, p->eb, p->x);
}

/* X = X L - eta g C for factor x. L is the share of (4) or (5) that the factor itself has. */
static void move(const tn_unit *u, int x, double eta, double *c, const page *p)
{
    tn_small_scale(u->r, -eta, c); /* (2) */
    tn_tall_combine(tn_gradient_of(u, x), c, tn_weight_of(u, x), p->l, p->work, u->wide, u->f[x].x);
}

static void step(tn_unit *u)
{
    const int64_t r = u->r, rr = r * r;
    const double eta = u->lr / (u->s * u->s), split = u->h[SPLIT], lost = u->lr * u->h[DECAY];
    const page p = page_of(u);
    tn_preconditioner(u, TN_LORA_B, u->h[DELTA], p.work, p.cb);
    tn_preconditioner(u, TN_LORA_A, u->h[DELTA], p.work, p.ca); /* (1) */
    tn_tall_gram(tn_weight_of(u, TN_LORA_B), tn_gradient_of(u, TN_LORA_B), p.work, u->wide, p.x);
    tn_small_ab(r, p.cb, p.x, p.t);
    tn_small_ab(r, p.t, p.ca, p.k); /* (3) */
    for (int64_t j = 0; j < rr; j++)
        p.x[j] = split == 0 ? 0 : -0.5 * p.k[j]; /* (6), (7) */
    if (split == 2)
        published_split(u, &p); /* (8) */
    tn_small_diagonal(r, u->f[TN_LORA_A].decays ? 1 - lost : 1, p.l);
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++)
            p.l[i * r + j] += eta * -p.x[j * r + i];
    move(u, TN_LORA_A, eta, p.cb, &p); /* (5) */
    tn_small_diagonal(r, u->f[TN_LORA_B].decays ? 1 - lost : 1, p.l);
    for (int64_t j = 0; j < rr; j++)
        p.l[j] += eta * (p.k[j] + p.x[j]);
    move(u, TN_LORA_B, eta, p.ca, &p); /* (4) */
}

const tn_optim_def tn_optim_projected_gd = {
    .name = "projected-gd", .also = "lora-pro",
    .title = "projected gradient descent: LoRA-Pro without its moments",
    .paper = "arXiv:2407.18242",
    .update = "s (dA B^T + A dB^T) = -lr P_T(G), G's projection on the tangent space of products",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "not what published tables call LoRA-Pro: no full-size Adam moments (their Algorithm 1 "
               "keeps m x n ones); the even split instead of (8), which costs the invariance",
    .hyper = {
        { "lr", 2e-2, TN_ABOVE_0, "learning rate eta" },
        { "delta", 1e-8, TN_FROM_0, "added to the diagonal of the Gram matrices" },
        { "split", 1, TN_0_TO_2, "the part that both could move, 0: lora_A does; 1: half each; 2: the paper's X" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the factors shrink by lr times this" },
    },
    .pairs = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_FULL, .claims_when = "delta=0", .clip = TN_CLIP_GLOBAL,
    .decay = "weight_decay",
};
