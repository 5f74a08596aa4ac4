/* rite.c - the algebra of LoRA-RITE: moments of unmagnified gradients.
   They are held in bases that turn with the factors. Yen et al., arXiv:2410.20625, Algorithm 1,
   without the rates at which the moments decay, in which the paper and the authors' code differ.

   In the paper's letters the product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r). Below, X is
   one of the two, Y the other, g the gradient of X:

       Y^T Y = E diag(w) E^T,  T = E diag(w)^-1/2  (0 where w is 0)  (1)  Q = Y T: basis of Y
       U = c g T,  U^T U = c^2 T^T (g^T g) T                         (2)  unmagnified gradient
       P = Q^T Q_old = T^T (Y^T Y_old) T_old                         (3)  change of basis
       V' = sym(P V P^T)                                             (4)
       V = a U^T U + b V' = E diag(w) E^T                            (5)  second moment
       H = E diag(1 / (sqrt(w' + rho) + eps)) E^T                    (6)
           w' = (1 - share) max(w, 0) + share max_k w_k
       M = a U H + b M P^T                                           (7)  first moment
       X = X - eta M T^T                                             (8)
   or, for the factor that moves last, when Y has become Z,
       X = X - eta M T^T K,  K = Y^T Z (Z^T Z)^+                     (9)

   In (6) a direction with w < cut max_k w_k gets 0. M was made for a motion -eta M Q^T of the
   product; of all steps of X, (9) is the one that comes nearest to it with Z: ||D Z^T - M Q^T|| is
   least for D = M Q^T Z (Z^T Z)^+, and Q^T = T^T Y^T.
   No tall basis is needed: (2) and (3) are written without Q, and M is kept as D = M T^T, the step
   in the factor's own coordinates, for which (7) times T^T reads
       D = g (a c T H T^T) + D (b (Y_old^T Y) T T^T).                (7')
   Both factors have a V and a D; those of X belong to the basis of Y. */
#include "optim/rite.h"

#include "optim/algebra/norm.h"

#include <math.h>
#include <string.h>

enum { SQUARES = 12 }; /* (r,r) matrices of the scratch */

tn_rite tn_rite_of(const tn_unit *u)
{
    int64_t rr = u->r * u->r;
    double *m = (double *)u->memory, *rest = m + SQUARES * rr;
    return (tn_rite){
        .gram = { m, m + rr }, .t = { m + 2 * rr, m + 3 * rr }, .uu = { m + 4 * rr, m + 5 * rr },
        .cross = m + 6 * rr, .moved = m + 7 * rr, .h = m + 8 * rr, .p = m + 9 * rr,
        .k = m + 10 * rr, .spare = m + 11 * rr, .w = rest, .c = rest + 2 * u->r,
        .work = rest + 2 * u->r + 2,
    };
}

size_t tn_rite_scratch(const tn_unit *u)
{
    size_t small = SQUARES * (size_t)(u->r * u->r) + 2 * (size_t)u->r + 2;
    return (small + tn_preconditioner_work(u->r)) * sizeof(double);
}

void tn_rite_bases(const tn_unit *u, const tn_rite *m, double cut)
{
    for (int i = 0; i < 2; i++)
        tn_basis(u, i, cut, m->work, m->gram[i], m->t[i]);                  /* (1) */
    for (int i = 0; i < 2; i++) {
        tn_tall g = tn_tall_of(u, i, u->f[i].g);
        tn_basis_gram(u, g, m->t[1 - i], g, m->t[1 - i], m->work, m->uu[i]); /* (2) */
        m->c[i] = 1;
    }
}

void tn_rite_transport(const tn_unit *u, int i, const tn_rite *m)
{
    int64_t r = u->r;
    const double *v = u->slot[TN_RITE_V + i][0], *t_old = u->slot[TN_RITE_T + 1 - i][0];
    tn_tall y = tn_tall_of(u, 1 - i, u->f[1 - i].x);
    tn_tall y_old = tn_tall_of(u, 1 - i, u->slot[TN_RITE_OLD][1 - i]);
    tn_tall_gram(y, y_old, m->work, u->wide, m->cross);
    tn_small_ab(r, m->cross, t_old, m->k);
    tn_small_atb(r, m->t[1 - i], m->k, m->p);                               /* (3) */
    tn_basis_back(r, m->p, v, m->p, m->work, m->moved);
    tn_small_symmetric(r, m->moved);                                        /* (4) */
}

void tn_rite_spectra(const tn_unit *u, int i, const tn_rite *m)
{
    const double *of[2] = { u->slot[TN_RITE_V + i][0], m->moved };
    for (int k = 0; k < 2; k++) {
        memcpy(m->k, of[k], (size_t)(u->r * u->r) * sizeof *m->k);
        tn_eigen(u->r, m->k, m->w + k * u->r, m->work, m->spare);
    }
}

void tn_rite_second_moment(const tn_unit *u, int i, const tn_rite *m, double a, double b)
{
    double *v = u->slot[TN_RITE_V + i][0], fresh = a * m->c[i] * m->c[i];
    for (int64_t j = 0; j < u->r * u->r; j++)
        v[j] = fresh * m->uu[i][j] + b * m->moved[j];                       /* (5) */
    tn_small_symmetric(u->r, v);
}

void tn_rite_root(const tn_unit *u, int i, const tn_rite *m, tn_rite_floor f)
{
    int64_t r = u->r;
    memcpy(m->k, u->slot[TN_RITE_V + i][0], (size_t)(r * r) * sizeof *m->k);
    tn_eigen(r, m->k, m->w, m->work, m->spare);
    double top = fmax(m->w[r - 1], 0);
    for (int64_t k = 0; k < r; k++) {
        double w = fmax(m->w[k], 0), lifted = w + f.share * (top - w);
        m->w[k] = w < f.cut * top ? 0 : 1 / (sqrt(lifted + f.rho) + f.eps);
    }
    tn_from_eigen(r, m->w, m->spare, m->k, m->h);                           /* (6) */
}

void tn_rite_first_moment(const tn_unit *u, int i, const tn_rite *m, double a, double b)
{
    int64_t r = u->r;
    const double *t = m->t[1 - i];
    double *k = m->k, *l = m->spare;
    tn_basis_back(r, t, m->h, t, m->work, k);
    tn_small_abt(r, t, t, m->p);
    tn_small_atb(r, m->cross, m->p, l);
    for (int64_t j = 0; j < r * r; j++) {
        k[j] *= a * m->c[i];
        l[j] *= b;
    }
    tn_tall g = tn_tall_of(u, i, u->f[i].g), d = tn_tall_of(u, i, u->slot[TN_RITE_D][i]);
    tn_tall_combine(g, k, d, l, m->work, u->wide, u->slot[TN_RITE_D][i]);   /* (7), (7') */
}

int64_t tn_rite_directions(const tn_unit *u, int i, const tn_rite *m)
{
    const double *t = m->t[1 - i];
    int64_t count = 0;
    for (int64_t k = 0; k < u->r; k++) {
        int64_t j = 0;
        while (j < u->r && t[j * u->r + k] == 0)
            j++;
        count += j < u->r;
    }
    return count;
}

/* By ||M||^2 = tr(D^T D Y^T Y). */
double tn_rite_rms(const tn_unit *u, int i, const tn_rite *m)
{
    tn_tall d = tn_tall_of(u, i, u->slot[TN_RITE_D][i]);
    tn_tall_gram(d, d, m->work, u->wide, m->k);
    tn_small_ab(u->r, m->k, m->gram[1 - i], m->p);
    return sqrt(tn_small_trace(u->r, m->p) / (double)u->f[i].n);
}

/* X and its T become the old ones. */
static void put_away(const tn_unit *u, int i, const tn_rite *m)
{
    memcpy(u->slot[TN_RITE_OLD][i], u->f[i].x, (size_t)u->f[i].n * sizeof *u->f[i].x);
    memcpy(u->slot[TN_RITE_T + i][0], m->t[i], (size_t)(u->r * u->r) * sizeof(double));
}

void tn_rite_move(const tn_unit *u, int i, const tn_rite *m, double keep, double eta)
{
    tn_real *restrict x = u->f[i].x;
    const tn_real *restrict d = u->slot[TN_RITE_D][i];
    put_away(u, i, m);
    for (int64_t j = 0; j < u->f[i].n; j++)
        x[j] = (tn_real)(keep * (double)x[j] - eta * (double)d[j]);         /* (8) */
}

void tn_rite_follow(const tn_unit *u, int i, const tn_rite *m, double cut, double keep, double eta)
{
    put_away(u, i, m);
    tn_basis_follow(u, 1 - i, u->slot[TN_RITE_OLD][1 - i], cut, m->work, m->cross, m->k);
    for (int64_t j = 0; j < u->r * u->r; j++)
        m->k[j] *= -eta;
    tn_tall d = tn_tall_of(u, i, u->slot[TN_RITE_D][i]), x = tn_tall_of(u, i, u->f[i].x);
    tn_tall_add(d, m->k, x, keep, m->work, u->wide, u->f[i].x);             /* (9) */
}

void tn_rite_balance(const tn_unit *u)
{
    double norm[2];
    for (int i = 0; i < 2; i++)
        norm[i] = tn_norm(u->f[i].x, u->f[i].n) + 1e-6;
    for (int i = 0; i < 2; i++)
        for (int64_t j = 0; j < u->f[i].n; j++)
            u->f[i].x[j] = (tn_real)((double)u->f[i].x[j] * sqrt(norm[1 - i] / norm[i]));
}
