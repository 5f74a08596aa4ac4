/* basis.c - small matrices in the orthonormal bases of the factors. */
#include "optim/algebra/basis.h"

void tn_basis(const tn_unit *u, int factor, double cut, double *work, double *gram, double *t)
{
    tn_tall y = tn_weight_of(u, factor);
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

void tn_basis_follow(const tn_unit *u, int factor, const tn_real *old, double cut, double *work,
                     double *cross, double *inverse, double *k)
{
    const int64_t r = u->r;
    tn_basis(u, factor, cut, work, cross, k);
    tn_small_abt(r, k, k, inverse);
    tn_tall_gram(tn_tall_of(u, factor, old), tn_weight_of(u, factor), work, u->wide, cross);
    tn_small_ab(r, cross, inverse, k);
}
