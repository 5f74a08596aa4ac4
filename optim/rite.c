/* rite.c - the algebra of LoRA-RITE: moments of unmagnified gradients, in bases that turn.
   Yen et al., arXiv:2410.20625. (1) to (9) are the lines of Algorithm 1 from top to bottom. Letters
   mark what it does not have. lora_rite.c, lora_rite_paper.c and lora_muon.c use the same numbers
   and letters.

   The product is A B^T, in the paper's letters: A = lora_B (m,r), B = lora_A^T (n,r). X is one of
   the two, Y is the other, g is the gradient of X. "old" marks values from before the last step.

       Y^T Y = E diag(w) E^T,  T = E diag(w)^-1/2                  (1)  Q = Y T: basis of Y
       U = c g T,  U^T U = c^2 T^T (g^T g) T                       (2)  unmagnified gradient
       P = Q^T Q_old = T^T (Y^T Y_old) T_old                       (3)  change of basis
       V' = sym(P V P^T)                                           (4)
       rho: see lora_rite.c and lora_rite_paper.c                  (5)  escaped mass
       V = a U^T U + b V' = E diag(w) E^T                          (6)  second moment
       H = E diag(1 / (sqrt(w' + rho) + eps)) E^T                  (7)
       M = a U H + b M P^T                                         (8)  first moment
       X = X - eta M T^T                                           (9)

       T, H: 0 in the directions with w < cut max_k w_k            (a)  cut
       w' = max(w, 0)                                              (b)  clamp
       w' = (1 - share) w' + share max_k w'_k                      (c)  prior
       X = X - eta M T^T K,  K = Y^T Z (Z^T Z)^+                   (d)  order: Y has become Z
       A = A sqrt(b/a),  B = B sqrt(a/b)                           (e)  balance
           a = ||A|| + 1e-6,  b = ||B|| + 1e-6

   About (d): X should move the product by -eta M Q^T. Now that Y has become Z, a step S of X moves
   it by S Z^T. ||S Z^T + eta M Q^T|| is least for S = -eta M Q^T Z (Z^T Z)^+, and Q^T = T^T Y^T.

   Q, which is tall, is never formed: (2) and (3) do without it. The state holds D = M T^T in the
   place of M, because D is the step of (9). (8) times T^T reads
       D = g (a c T H T^T) + D (b (Y_old^T Y) T T^T)               (8')
   Each factor has its own V and D. Those of X belong to the basis of Y. */
#include "optim/rite.h"

#include "optim/algebra/norm.h"

#include <math.h>
#include <string.h>

tn_rite tn_rite_of(const tn_unit *u)
{
    const int64_t r = u->r, rr = r * r;
    tn_scratch s = { .memory = u->memory };
    tn_rite m;
    double **const squares[] = { &m.gram[0], &m.gram[1], &m.t[0], &m.t[1], &m.uu[0], &m.uu[1],
                                 &m.cross,   &m.moved,   &m.h,    &m.p,    &m.k,     &m.l };
    for (size_t i = 0; i < sizeof squares / sizeof *squares; i++)
        *squares[i] = tn_scratch_take(&s, rr);
    m.w = tn_scratch_take(&s, 2 * r);
    m.c = tn_scratch_take(&s, 2);
    m.work = tn_scratch_take(&s, (int64_t)tn_preconditioner_work(r));
    m.bytes = s.used;
    return m;
}

size_t tn_rite_scratch(const tn_unit *u)
{
    return tn_rite_of(u).bytes;
}

void tn_rite_bases(const tn_unit *u, const tn_rite *m, double cut)
{
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++)
        tn_basis(u, x, cut, m->work, m->gram[x], m->t[x]); /* (1), (a) */
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) {
        const double *t = m->t[tn_partner(x)];
        tn_tall g = tn_gradient_of(u, x);
        tn_basis_gram(u, g, t, g, t, m->work, m->uu[x]); /* (2) */
        m->c[x] = 1;
    }
}

void tn_rite_transport(const tn_unit *u, int x, const tn_rite *m)
{
    const int64_t r = u->r;
    const int y = tn_partner(x);
    const double *v = u->slot[TN_RITE_V + x][0], *t_old = u->slot[TN_RITE_T + y][0];
    tn_tall y_old = tn_tall_of(u, y, u->slot[TN_RITE_OLD][y]);
    tn_tall_gram(tn_weight_of(u, y), y_old, m->work, u->wide, m->cross);
    tn_small_ab(r, m->cross, t_old, m->k);
    tn_small_atb(r, m->t[y], m->k, m->p); /* (3) */
    tn_basis_back(r, m->p, v, m->p, m->work, m->moved);
    tn_small_symmetric(r, m->moved); /* (4) */
}

void tn_rite_spectra(const tn_unit *u, int x, const tn_rite *m)
{
    const double *of[2] = { u->slot[TN_RITE_V + x][0], m->moved };
    for (int n = 0; n < 2; n++)
        tn_eigen(u->r, of[n], m->w + n * u->r, m->work, m->l); /* for (5) */
}

void tn_rite_second_moment(const tn_unit *u, int x, const tn_rite *m, double a, double b)
{
    double *v = u->slot[TN_RITE_V + x][0], fresh = a * m->c[x] * m->c[x];
    for (int64_t j = 0; j < u->r * u->r; j++)
        v[j] = fresh * m->uu[x][j] + b * m->moved[j]; /* (6) */
    tn_small_symmetric(u->r, v);
}

void tn_rite_root(const tn_unit *u, int x, const tn_rite *m, tn_rite_floor f)
{
    const int64_t r = u->r;
    tn_eigen(r, u->slot[TN_RITE_V + x][0], m->w, m->work, m->l);
    double top = fmax(m->w[r - 1], 0);
    for (int64_t k = 0; k < r; k++) {
        double w = fmax(m->w[k], 0), lifted = w + f.share * (top - w);      /* (b), (c) */
        m->w[k] = w < f.cut * top ? 0 : 1 / (sqrt(lifted + f.rho) + f.eps); /* (a) */
    }
    tn_from_eigen(r, m->w, m->l, m->k, m->h); /* (7) */
}

void tn_rite_first_moment(const tn_unit *u, int x, const tn_rite *m, double a, double b)
{
    const int64_t r = u->r;
    const double *t = m->t[tn_partner(x)];
    double *of_g = m->k, *of_d = m->l; /* what g and D are multiplied by */
    tn_basis_back(r, t, m->h, t, m->work, of_g);
    tn_small_abt(r, t, t, m->p);
    tn_small_atb(r, m->cross, m->p, of_d);
    tn_small_scale(r, a * m->c[x], of_g);
    tn_small_scale(r, b, of_d);
    tn_tall d = tn_tall_of(u, x, u->slot[TN_RITE_D][x]);
    tn_tall_combine(tn_gradient_of(u, x), of_g, d, of_d, m->work, u->wide,
                    u->slot[TN_RITE_D][x]); /* (8), (8') */
}

/* The columns of T that are not zero. */
int64_t tn_rite_rank(const tn_unit *u, int y, const tn_rite *m)
{
    int64_t rank = 0;
    for (int64_t k = 0; k < u->r; k++) {
        int64_t j = 0;
        while (j < u->r && m->t[y][j * u->r + k] == 0)
            j++;
        rank += j < u->r;
    }
    return rank;
}

/* ||M||^2 = tr(D^T D Y^T Y), because D = M T^T and Y T is orthonormal. */
double tn_rite_rms(const tn_unit *u, int x, const tn_rite *m)
{
    tn_tall d = tn_tall_of(u, x, u->slot[TN_RITE_D][x]);
    tn_tall_gram(d, d, m->work, u->wide, m->k);
    tn_small_ab(u->r, m->k, m->gram[tn_partner(x)], m->p);
    return sqrt(tn_small_trace(u->r, m->p) / (double)u->f[x].n);
}

/* X and its T become the old ones. */
static void put_away(const tn_unit *u, int x, const tn_rite *m)
{
    memcpy(u->slot[TN_RITE_OLD][x], u->f[x].x, (size_t)u->f[x].n * sizeof *u->f[x].x);
    memcpy(u->slot[TN_RITE_T + x][0], m->t[x], (size_t)(u->r * u->r) * sizeof *m->t[x]);
}

void tn_rite_move(const tn_unit *u, int x, const tn_rite *m, double keep, double eta)
{
    tn_real *restrict w = u->f[x].x;
    const tn_real *restrict d = u->slot[TN_RITE_D][x];
    put_away(u, x, m);
    for (int64_t j = 0; j < u->f[x].n; j++)
        w[j] = (tn_real)(keep * (double)w[j] - eta * (double)d[j]); /* (9) */
}

void tn_rite_follow(const tn_unit *u, int x, const tn_rite *m, double cut, double keep, double eta)
{
    const int y = tn_partner(x);
    put_away(u, x, m);
    tn_basis_follow(u, y, u->slot[TN_RITE_OLD][y], cut, m->work, m->p, m->l, m->k);
    tn_small_scale(u->r, -eta, m->k);
    tn_tall d = tn_tall_of(u, x, u->slot[TN_RITE_D][x]);
    tn_tall_add(d, m->k, tn_weight_of(u, x), keep, m->work, u->wide, u->f[x].x); /* (d) */
}

void tn_rite_balance(const tn_unit *u)
{
    double norm[2];
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++)
        norm[x] = tn_norm(u->f[x].x, u->f[x].n) + 1e-6;
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) {
        double by = sqrt(norm[tn_partner(x)] / norm[x]);
        for (int64_t j = 0; j < u->f[x].n; j++)
            u->f[x].x[j] = (tn_real)((double)u->f[x].x[j] * by); /* (e) */
    }
}
