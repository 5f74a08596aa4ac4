/* basis.c - small matrices in the orthonormal bases of the factors. */
#include "optim/algebra/basis.h"

void tn_basis(const tn_unit *u, int i, double cut, double *work, double *gram, double *t)
{
    tn_tall y = tn_tall_of(u, i, u->f[i].x);
    tn_tall_gram(y, y, work, u->wide, gram);
    tn_inverse_root(u->r, gram, cut, work, t);
}

void tn_basis_gram(const tn_unit *u, tn_tall x, const double *s, tn_tall y, const double *t,
                   double *work, double *out)
{
    tn_tall_gram(x, y, work, u->wide, out);
    tn_small_ab(u->r, out, t, work);
    tn_small_atb(u->r, s, work, out);
}

void tn_basis_back(int64_t r, const double *s, const double *k, const double *t, double *work,
                   double *out)
{
    tn_small_ab(r, s, k, work);
    tn_small_abt(r, work, t, out);
}

void tn_basis_follow(const tn_unit *u, int i, const tn_real *old, double cut, double *work,
                     double *memory, double *k)
{
    int64_t r = u->r;
    double *a = memory, *b = memory + r * r;
    tn_basis(u, i, cut, work, a, k);
    tn_small_abt(r, k, k, b);
    tn_tall_gram(tn_tall_of(u, i, old), tn_tall_of(u, i, u->f[i].x), work, u->wide, a);
    tn_small_ab(r, a, b, k);
}
