/* lora_rite.c - LoRA-RITE, robust invariant transformation equilibration. Yen et al.,
   arXiv:2410.20625, ICLR 2025; the form of the authors' PyTorch file, which differs from their
   Algorithm 1 (moving averages instead of sums, clipping, skipping).

   In the paper's letters the product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r). Below, X is
   one of the two, with d rows, Y the other, g the gradient of X; both factors use values from
   before the step. b1, b2 = beta (1 - beta^(t-1)) / (1 - beta^t), whose average is Adam's corrected
   one.

   The numbers are this file's, in the order of the paper's Algorithm 1: basis (1), unmagnified gradient
   (2), change of basis (4), second moment carried over (5), escaped mass (6), added up (7), inverse
   root (8), first moment (9), update (10). Skip, (3), cap and (11) are the authors' code alone.

       Y^T Y = E diag(w) E^T,  T = E diag(w)^-1/2  (0 where w is 0)      (1)  Q = Y T: basis of Y
       U = g T;  if rms(U) > skip, U = 0                                 (2)  unmagnified gradient
       U = U min(1, clip / sqrt(sum over all factors of ||U||^2))        (3)
       P = Q^T Q_old                                                     (4)
       V' = sym(P V P^T)                                                 (5)
       rho = b2 (rho + min(max_i (l_i(V) - l_i(V'))+, (tr V - tr V')+))  (6)  if escape, else 0
       V = (1 - b2) U^T U / d + b2 V' = E diag(w) E^T                    (7)
       H = E diag(1 / (sqrt(max(w, 0) + rho + eps_root) + eps)) E^T      (8)
       M = (1 - b1) U H + b1 M P^T                                       (9)
       X = X - eta (M T^T min(1, cap / rms(M)) + lambda X)               (10)
       A = A sqrt(b/a), B = B sqrt(a/b), a = ||A|| + 1e-6, b likewise    (11) if balance

   No tall basis is needed: U^T U = T^T (g^T g) T, P = T^T (Y^T Y_old) T_old, and M is kept as
   D = M T^T, the step in the factor's own coordinates, for which (9) times T^T reads
       D = g (1 - b1) T H T^T + D b1 (Y_old^T Y) T T^T.                  (9')
   Cost: five products of (m + n) r^2 and four eigenproblems of size r a pair; the authors' file
   takes about 15. State: D, the factor before the step, V, T (r,r) and rho of each factor.
   Claims: A -> A S, B -> B S^-T changes nothing in A B^T, for every invertible S.
   Traps: T comes from the Gram matrix, so a factor's condition number should stay below 1e6;
   singular directions are dropped, as pinv does. Without max(w, 0) rounding makes V slightly
   negative when gradients lack rank, and a NaN then erases the whole update of a factor. Clipping
   raw gradients breaks the claim. At skip = 1 (the authors' value) a badly scaled toy never moves.
   The second step moves lora_A by a fixed share of its size whatever eta is: inherent to
   invariance. States, too, are named after lora_A and lora_B. */
#include "optim/preconditioner.h"

#include <math.h>
#include <string.h>

enum { LR, BETA1, BETA2, EPS, CLIP, SKIP, CAP, DECAY, ESCAPE, BALANCE, EPS_ROOT };
enum { D, OLD, V, T_OLD = V + 2, RHO = T_OLD + 2 }; /* slots; V + 0 is lora_A's, V + 1 lora_B's */

typedef struct page { /* where things lie in the memory of a unit, doubles */
    double *gram[2], *t[2], *uu[2]; /* X^T X and its T; U^T U: from (1), (2) */
    double *kept;                   /* (2) 1, or 0 if U was skipped */
    double *p, *moved, *h, *k, *l, *spare, *w;
    double *work;
} page;

static page page_of(const tn_unit *u)
{
    int64_t rr = u->r * u->r;
    double *m = (double *)u->memory;
    return (page){
        .gram = { m, m + rr }, .t = { m + 2 * rr, m + 3 * rr }, .uu = { m + 4 * rr, m + 5 * rr },
        .p = m + 6 * rr, .moved = m + 7 * rr, .h = m + 8 * rr, .k = m + 9 * rr, .l = m + 10 * rr,
        .spare = m + 11 * rr, .w = m + 12 * rr, .kept = m + 12 * rr + 2 * u->r,
        .work = m + 12 * rr + 2 * u->r + 2,
    };
}

static size_t scratch(const tn_unit *u)
{
    size_t small = 12 * (size_t)(u->r * u->r) + 2 * (size_t)u->r + 2;
    return (small + tn_preconditioner_work(u->r)) * sizeof(double);
}

/* First pass: (1), (2); returns the sum of (3). */
static double measure(tn_unit *u)
{
    page m = page_of(u);
    double sum = 0;
    for (int i = 0; i < 2; i++) {
        tn_tall x = tn_tall_of(u, i, u->f[i].x);
        tn_tall_gram(x, x, m.work, u->wide, m.gram[i]);
        tn_inverse_root(u->r, m.gram[i], m.work, m.t[i]);                  /* (1) */
    }
    for (int i = 0; i < 2; i++) {
        tn_tall g = tn_tall_of(u, i, u->f[i].g);
        tn_tall_gram(g, g, m.work, u->wide, m.p);
        tn_small_ab(u->r, m.p, m.t[1 - i], m.h);
        tn_small_atb(u->r, m.t[1 - i], m.h, m.uu[i]);
        double square = tn_small_trace(u->r, m.uu[i]), skip = u->h[SKIP];
        m.kept[i] = !(skip > 0 && sqrt(square / (double)u->f[i].n) > skip); /* (2) */
        sum += m.kept[i] * square;
    }
    return sum;
}

static double averaging(double beta, int64_t t)
{
    return beta * (1 - tn_power(beta, t - 1)) / (1 - tn_power(beta, t));
}

/* (6): what the change of basis lost of V, by its eigenvalues and by its trace. */
static double escaped(const page *m, int64_t r, const double *v, const double *moved)
{
    double *w = m->w, *w_moved = w + r, most = 0;
    double lost = tn_small_trace(r, v) - tn_small_trace(r, moved);
    memcpy(m->k, v, (size_t)(r * r) * sizeof *v);
    tn_eigen(r, m->k, w, m->work, m->spare);
    memcpy(m->k, moved, (size_t)(r * r) * sizeof *moved);
    tn_eigen(r, m->k, w_moved, m->work, m->spare);
    for (int64_t k = 0; k < r; k++)
        most = w[k] - w_moved[k] > most ? w[k] - w_moved[k] : most;
    return lost < most ? (lost > 0 ? lost : 0) : most;
}

/* (3) to (8) for factor i: V and rho of this step, H into m->h, Y^T Y_old into m->l. */
static void second_moment(tn_unit *u, int i, const page *m, double clip)
{
    int64_t r = u->r, rr = r * r;
    double *v = u->slot[V + i][0], *rho = u->slot[RHO + i][0], b2 = averaging(u->h[BETA2], u->t);
    tn_tall y = tn_tall_of(u, 1 - i, u->f[1 - i].x);
    tn_tall y_old = tn_tall_of(u, 1 - i, u->slot[OLD][1 - i]);
    tn_tall_gram(y, y_old, m->work, u->wide, m->l);
    tn_small_ab(r, m->l, u->slot[T_OLD + 1 - i][0], m->h);
    tn_small_atb(r, m->t[1 - i], m->h, m->p);                              /* (4) */
    tn_small_ab(r, m->p, v, m->h);
    tn_small_abt(r, m->h, m->p, m->moved);
    tn_small_symmetric(r, m->moved);                                       /* (5) */
    *rho = u->h[ESCAPE] != 0 ? b2 * (*rho + escaped(m, r, v, m->moved)) : 0; /* (6) */
    double fresh = (1 - b2) * clip * clip * m->kept[i] / (double)(u->f[i].n / r);
    for (int64_t j = 0; j < rr; j++)
        v[j] = fresh * m->uu[i][j] + b2 * m->moved[j];                     /* (7) */
    tn_small_symmetric(r, v);
    memcpy(m->p, v, (size_t)rr * sizeof *v);
    tn_eigen(r, m->p, m->w, m->work, m->spare);
    for (int64_t k = 0; k < r; k++) {
        double w = m->w[k] > 0 ? m->w[k] : 0;
        m->w[k] = 1 / (sqrt(w + *rho + u->h[EPS_ROOT]) + u->h[EPS]);
    }
    tn_from_eigen(r, m->w, m->spare, m->p, m->h);                          /* (8) */
}

/* (9') for factor i: D of this step. */
static void first_moment(tn_unit *u, int i, const page *m, double clip)
{
    int64_t r = u->r, rr = r * r;
    double b1 = averaging(u->h[BETA1], u->t), *t = m->t[1 - i];
    tn_small_abt(r, t, t, m->p);
    tn_small_atb(r, m->l, m->p, m->spare);
    tn_small_ab(r, t, m->h, m->p);
    tn_small_abt(r, m->p, t, m->k);
    for (int64_t j = 0; j < rr; j++) {
        m->k[j] *= (1 - b1) * clip * m->kept[i];
        m->l[j] = b1 * m->spare[j];
    }
    tn_tall g = tn_tall_of(u, i, u->f[i].g), d = tn_tall_of(u, i, u->slot[D][i]);
    tn_tall_combine(g, m->k, d, m->l, m->work, u->wide, u->slot[D][i]);
}

/* The factor of (10) that limits rms(M) to cap; ||M||^2 = tr(D^T D Y^T Y). */
static double capped(const tn_unit *u, int i, const page *m)
{
    if (!(u->h[CAP] > 0))
        return 1;
    tn_tall d = tn_tall_of(u, i, u->slot[D][i]);
    tn_tall_gram(d, d, m->work, u->wide, m->k);
    tn_small_ab(u->r, m->k, m->gram[1 - i], m->p);
    double rms = sqrt(tn_small_trace(u->r, m->p) / (double)u->f[i].n);
    return rms > u->h[CAP] ? u->h[CAP] / rms : 1;
}

/* (10) for factor i, after the old values were put away. */
static void move(tn_unit *u, int i, const page *m)
{
    tn_real *restrict x = u->f[i].x;
    const tn_real *restrict d = u->slot[D][i];
    double eta = u->lr * capped(u, i, m), keep = u->f[i].decays ? 1 - u->lr * u->h[DECAY] : 1;
    memcpy(u->slot[OLD][i], x, (size_t)u->f[i].n * sizeof *x);
    memcpy(u->slot[T_OLD + i][0], m->t[i], (size_t)(u->r * u->r) * sizeof(double));
    for (int64_t j = 0; j < u->f[i].n; j++)
        x[j] = (tn_real)(keep * (double)x[j] - eta * (double)d[j]);
}

/* (11) */
static void balance(tn_unit *u)
{
    double norm[2];
    for (int i = 0; i < 2; i++) {
        double sum = 0;
        for (int64_t j = 0; j < u->f[i].n; j++)
            sum += (double)u->f[i].x[j] * (double)u->f[i].x[j];
        norm[i] = sqrt(sum) + 1e-6;
    }
    for (int i = 0; i < 2; i++)
        for (int64_t j = 0; j < u->f[i].n; j++)
            u->f[i].x[j] = (tn_real)((double)u->f[i].x[j] * sqrt(norm[1 - i] / norm[i]));
}

static void step(tn_unit *u)
{
    page m = page_of(u);
    double norm = sqrt(u->global), most = u->h[CLIP];
    double clip = most > 0 && norm > most ? most / norm : 1;               /* (3) */
    for (int i = 0; i < 2; i++) {
        second_moment(u, i, &m, clip);
        first_moment(u, i, &m, clip);
    }
    for (int i = 0; i < 2; i++)
        move(u, i, &m);
    if (u->h[BALANCE] != 0)
        balance(u);
}

static const char *check(const double *h)
{
    if (!(h[BETA1] >= 0 && h[BETA1] < 1 && h[BETA2] >= 0 && h[BETA2] < 1))
        return "beta1 and beta2 must be at least 0 and below 1";
    if (!(h[EPS] > 0))
        return "eps must be above 0";
    if (!(h[CLIP] >= 0 && h[SKIP] >= 0 && h[CAP] >= 0 && h[DECAY] >= 0 && h[EPS_ROOT] >= 0))
        return "clip, skip, cap, weight_decay and eps_root must be at least 0";
    return NULL;
}

const tn_optim_def tn_optim_lora_rite = {
    .name = "lora-rite", .title = "LoRA-RITE, invariant adaptive matrix preconditioning",
    .paper = "arXiv:2410.20625",
    .update = "U = g T, Y T orthonormal; V, M: averages of U^T U / rows and U V^-1/2, carried along "
              "with the basis; X -= lr M T^T",
    .cost = "O((m + n) r^2 + r^3)",
    .hyper = {
        { "lr", 1e-3, "learning rate eta" },
        { "beta1", 0.9, "decay of the first moment" },
        { "beta2", 0.999, "decay of the second moment" },
        { "eps", 1e-6, "added to the root of the second moment" },
        { "clip", 1, "limit of the global norm of the unmagnified gradients; 0: off" },
        { "skip", 0, "a factor whose unmagnified gradient has a larger rms rests; 0: off" },
        { "cap", 0, "limit of the rms of the first moment; 0: off" },
        { "weight_decay", 0, "decoupled: the factors shrink by lr times this" },
        { "escape", 0, "1: add the mass that a change of basis lost" },
        { "balance", 0, "1: give both factors the same norm after the step" },
        { "eps_root", 0, "added under the root (a third-party port: eps^2)" },
    },
    .slots = {
        { "d", TN_LIKE_X }, { "old", TN_LIKE_X },
        { "v.A", TN_R_BY_R }, { "v.B", TN_R_BY_R },
        { "t.A", TN_R_BY_R }, { "t.B", TN_R_BY_R },
        { "rho.A", TN_SCALAR }, { "rho.B", TN_SCALAR },
    },
    .pairs = true, .keeps_scratch = true, .scratch = scratch,
    .measure = measure, .step = step, .check = check,
    .claims = TN_INVARIANT_FULL, .clip = TN_CLIP_OWN, .decay = "weight_decay",
};
