/* lora_pro.c - LoRA-Pro without momentum: descent along the projection of the full gradient on what
   a LoRA pair can move. Wang et al., arXiv:2407.18242, ICLR 2025.

   In the paper's letters the product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r), here with
   G = dL/dW, so g_A = s G B and g_B = s G^T A.

       C_A = (B^T B + delta I)^-1,   C_B = (A^T A + delta I)^-1    (1)
       f_A = g_A C_A / s^2,   f_B = g_B C_B / s^2                  (2)
       K = C_B A^T f_A                                             (3)   A K = P_A f_A
       A = A - eta (f_A - A (K + X)),   B = B - eta (f_B + B X^T)  (4)

   With the projectors P_A, P_B on the columns of A and B and delta = 0, for every X
   s (dA B^T + A dB^T) = -eta (P_A G + G P_B - P_A G P_B), the orthogonal projection of G on the
   tangent space of the products. X says how the two factors share what both can do:

       split 0   X = 0: all of it is B's
       split 1   X = -K / 2: half each (default)                   (5)
       split 2   A^T A X + X B^T B = -K B^T B                      (6)

   (6), the paper's, makes dA and dB as near as possible to g_A and g_B. It is solved in the
   eigenbases of A^T A (eigenvalues a_i) and B^T B (b_j): X_ij = -K_ij b_j / (a_i + b_j).

   Cost: three products of n r^2 a factor, one of m r^2 a pair, two eigenproblems of size r (split 2: one
   more product a factor, four eigenproblems). State: none.
   Claims: at delta = 0, splits 0 and 1 move the product the same whatever basis the pair is written
   in; (6) compares lengths of A and B, so split 2 bears rotations alone.
   Traps: as scaled_gd.c; f_A is the least squares step in A, larger than g_A by 1 / |B|^2. */
#include "optim/algebra/preconditioner.h"

enum { LR, DELTA, SPLIT, DECAY };

static size_t scratch(const tn_unit *u)
{
    size_t rr = (size_t)(u->r * u->r), r = (size_t)u->r;
    return (9 * rr + 5 * r + tn_preconditioner_work(u->r)) * sizeof(double);
}

/* (6): X from K. room: 5 r r + 5 r doubles. */
static void published_split(const tn_unit *u, const double *k, double *work, double *room,
                            double *x)
{
    int64_t r = u->r, rr = r * r;
    double *e[2] = { room, room + rr }, *t = e[1] + rr, *spare = t + rr;
    double *w[2] = { spare + 2 * rr, spare + 2 * rr + r };
    for (int i = 0; i < 2; i++) {
        tn_tall f = tn_tall_of(u, i, u->f[i].x);
        tn_tall_gram(f, f, work, u->wide, t);
        tn_eigen(r, t, w[i], w[1] + r, e[i]);
    }
    tn_small_ab(r, e[1], k, t);
    tn_small_abt(r, t, e[0], spare); /* K in the eigenbases */
    for (int64_t j = 0; j < rr; j++) {
        double a = w[1][j / r] > 0 ? w[1][j / r] : 0, b = w[0][j % r] > 0 ? w[0][j % r] : 0;
        spare[j] *= a + b > 0 ? -b / (a + b) : 0;
    }
    tn_small_atb(r, e[1], spare, t);
    tn_small_ab(r, t, e[0], x);
}

static void step(tn_unit *u)
{
    int64_t r = u->r, rr = r * r;
    double *c[2] = { (double *)u->memory, (double *)u->memory + rr }, *k = c[1] + rr, *x = k + rr;
    double *room = x + rr, *work = room + 5 * rr + 5 * r, eta = u->lr / (u->s * u->s);
    for (int i = 0; i < 2; i++)
        tn_preconditioner(u, 1 - i, u->h[DELTA], work, c[i]);                  /* (1) */
    tn_tall_gram(tn_tall_of(u, 1, u->f[1].x), tn_tall_of(u, 1, u->f[1].g), work, u->wide, x);
    tn_small_ab(r, c[0], x, room);
    tn_small_ab(r, room, c[1], k);                                             /* (3), times s^2 */
    if (u->h[SPLIT] == 2)
        published_split(u, k, work, room, x);                                  /* (6) */
    for (int64_t j = 0; j < rr && u->h[SPLIT] != 2; j++)
        x[j] = u->h[SPLIT] == 0 ? 0 : -0.5 * k[j];                             /* (5) */
    for (int i = 0; i < 2; i++) {
        double keep = u->f[i].decays ? 1 - u->lr * u->h[DECAY] : 1, *l = room;
        tn_small_diagonal(r, keep, l);
        for (int64_t j = 0; j < rr; j++) {
            double shared = i ? k[j] + x[j] : -x[j % r * r + j / r]; /* K + X, -X^T */
            c[i][j] *= -eta;                                                   /* (2) */
            l[j] += eta * shared;
        }
        tn_tall_combine(tn_tall_of(u, i, u->f[i].g), c[i], tn_tall_of(u, i, u->f[i].x), l, work,
                        u->wide, u->f[i].x);                                   /* (4) */
    }
}

const tn_optim_def tn_optim_lora_pro = {
    .name = "lora-pro", .title = "LoRA-Pro, projected gradient descent",
    .paper = "arXiv:2407.18242",
    .update = "s (dA B^T + A dB^T) = -lr P_T(G), G's projection on the tangent space of products",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "no full-size Adam moments (their Algorithm 1 keeps m x n ones); the even split "
               "instead of (6), which costs the invariance",
    .hyper = {
        { "lr", 2e-2, TN_ABOVE_0, "learning rate eta" },
        { "delta", 1e-8, TN_FROM_0, "added to the diagonal of the Gram matrices" },
        { "split", 1, TN_0_TO_2, "who moves where both can, 0: lora_A; 1: half each; 2: the paper's X" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the factors shrink by lr times this" },
    },
    .pairs = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_FULL, .claims_when = "delta=0", .clip = TN_CLIP_GLOBAL,
    .decay = "weight_decay",
};
