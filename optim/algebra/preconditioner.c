/* preconditioner.c - inverse Gram matrices by their eigenvalues.
   One function serves the regular and the singular case, so it cannot fail. */
#include "optim/algebra/preconditioner.h"

#include <math.h>

tn_tall tn_tall_of(const tn_unit *u, int factor, const tn_real *x)
{
    const bool a = factor == TN_LORA_A; /* (R,in), whose rows are the columns of B */
    return (tn_tall){ .x = x, .n = a ? u->in : u->out, .r = u->r, .by_column = a };
}

tn_tall tn_weight_of(const tn_unit *u, int factor)
{
    return tn_tall_of(u, factor, u->f[factor].x);
}

tn_tall tn_gradient_of(const tn_unit *u, int factor)
{
    return tn_tall_of(u, factor, u->f[factor].g);
}

size_t tn_preconditioner_work(int64_t r)
{
    size_t tall = tn_tall_work(r), small = 5 * (size_t)(r * r) + 4 * (size_t)r;
    return tall > small ? tall : small;
}

tn_gram_facts tn_preconditioner(const tn_unit *u, int factor, double delta, double *work,
                                double *out)
{
    int64_t r = u->r, rr = r * r;
    tn_tall y = tn_weight_of(u, factor);
    tn_tall_gram(y, y, work, u->wide, out);
    double *e = work, *w = e + rr, *spare = w + r, square = 0;
    for (int64_t j = 0; j < rr; j++)
        square += out[j] * out[j];
    tn_eigen(r, out, w, spare, e);
    double least = delta > 0 ? 0 : tn_gram_cut(r) * w[r - 1];
    bool regular = w[0] + delta > least;
    for (int64_t k = 0; k < r; k++) {
        double value = w[k] > 0 ? w[k] + delta : delta;
        w[k] = value > least ? 1 / value : 0;
    }
    tn_from_eigen(r, w, e, spare, out);
    return (tn_gram_facts){ .regular = regular, .norm = sqrt(square) };
}
