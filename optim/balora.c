/* balora.c - BaLoRA: after a step, a balanced pair takes the place of the pair.
   It works after any optimizer, and the product stays the same. arXiv:2605.31484, ICML 2026, and
   the authors' callbacks.py.

   The product is A B^T: A = lora_B (m,r), B = lora_A^T (n,r). Of all pairs A M, B M^-T with that
   product, the balanced ones have A^T A = B^T B. They are rotations of one another.

       A^T A = E diag(w) E^T,   R = diag(w)^1/2 E^T                (1)
       R (B^T B) R^T = U S^2 U^T                                   (2)   S: singular values of A B^T
       K = R^-1 U S^1/2,   L = R^T U S^-1/2                        (3)   K L^T = I
       A = A K O,   B = B L O                                      (4)   A^T A = B^T B = O^T S O

   balora=1 (the authors' ProjectionCallback) has O = I: each factor gets the root of the singular
   values. The signs of its columns are free, so an optimizer that looks at single entries depends
   on them. balora=2 (BestProjectionCallback) takes the balanced pair that is nearest to the present
   one:

       N = K^T A^T A + L^T B^T B,   O = N (N^T N)^-1/2             (5)
       O = O (3 I - O^T O) / 2                                     (6)   four times

   (5) squares N and loses half of the digits. (6) brings them back. The moments of the optimizer do
   not change. An invariant optimizer moves the product as if nothing had happened. Another one
   steps from the point where both factors have the same weight.
   Cost: two products of n r^2 per factor, two or three eigenproblems of size r. State: none.
   Departs: the authors decompose the factors; this page decomposes their Gram matrices, so
   directions of the product below 1e-8 of the largest count as zero. For (5) and (6) the authors
   take 10 Newton-Schulz steps.
   Trap: where the product lacks rank, the authors' form sets the missing directions of both factors
   to zero, and they stay zero. Here such a pair does not change. */
#include "optim/balora.h"

#include "optim/algebra/preconditioner.h"

#include <math.h>
#include <string.h>

size_t tn_balance_bytes(const tn_unit *u)
{
    return (4 * (size_t)(u->r * u->r) + tn_preconditioner_work(u->r)) * sizeof(double);
}

/* Eigenvalues w and, as rows of e, eigenvectors of a. False: a is singular. Behind w lie r r + 3 r
   more doubles for the work. */
static bool regular(int64_t r, const double *a, double *w, double *e)
{
    tn_eigen(r, a, w, w + r, e);
    return w[0] > tn_gram_cut(r) * w[r - 1];
}

bool tn_balance_of(const tn_unit *u, char *memory, tn_balance *out)
{
    int64_t r = u->r, rr = r * r;
    double *m = (double *)memory;
    *out = (tn_balance){ { m, m + rr }, m + 2 * rr, m + 3 * rr, m + 4 * rr };
    double *k = out->k, *l = out->l, *e = out->work, *root = e + rr, *t = root + rr, *w = t + rr;
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) {
        tn_tall f = tn_weight_of(u, x);
        tn_tall_gram(f, f, out->work, u->wide, out->gram[x]);
    }
    if (!regular(r, out->gram[TN_LORA_B], w, e))
        return false;
    for (int64_t j = 0; j < rr; j++)
        root[j] = sqrt(w[j / r]) * e[j]; /* (1) */
    for (int64_t j = 0; j < rr; j++)
        e[j] /= sqrt(w[j / r]); /* R^-T */
    tn_small_ab(r, root, out->gram[TN_LORA_A], k);
    tn_small_abt(r, k, root, t);
    tn_small_symmetric(r, t);
    if (!regular(r, t, w, l)) /* (2), l is U^T */
        return false;
    memcpy(t, l, (size_t)rr * sizeof *t);
    tn_small_ab(r, t, e, k);
    tn_small_ab(r, t, root, l);
    for (int64_t j = 0; j < rr; j++) {
        double s = sqrt(sqrt(w[j / r])); /* S^1/2 */
        k[j] *= s;                       /* (3) */
        l[j] /= s;
    }
    return true;
}

/* O of (5) and (6); false: N is singular. */
static bool nearest_rotation(int64_t r, const tn_balance *b, double *o)
{
    int64_t rr = r * r;
    double *n = b->work, *t = n + rr, *e = t + rr, *spare = e + rr, *w = spare + rr;
    tn_small_ab(r, b->k, b->gram[TN_LORA_B], n);
    tn_small_ab(r, b->l, b->gram[TN_LORA_A], t);
    for (int64_t j = 0; j < rr; j++)
        n[j] += t[j];
    tn_small_atb(r, n, n, t);
    if (!regular(r, t, w, e))
        return false;
    for (int64_t k = 0; k < r; k++)
        w[k] = 1 / sqrt(w[k]);
    tn_from_eigen(r, w, e, spare, t);
    tn_small_ab(r, n, t, o); /* (5) */
    for (int round = 0; round < 4; round++) {
        tn_small_atb(r, o, o, t);
        for (int64_t j = 0; j < rr; j++)
            t[j] = (j % (r + 1) ? 0 : 1.5) - 0.5 * t[j];
        memcpy(n, o, (size_t)rr * sizeof *n);
        tn_small_ab(r, n, t, o); /* (6) */
    }
    return true;
}

void tn_balora(const tn_unit *u, bool nearest, char *memory)
{
    int64_t r = u->r, rr = r * r;
    tn_balance b;
    if (!tn_balance_of(u, memory, &b))
        return;
    double *o = b.work + 4 * rr + 4 * r;
    tn_small_diagonal(r, 1, o);
    if (nearest && !nearest_rotation(r, &b, o))
        return;
    tn_small_atb(r, b.k, o, b.gram[TN_LORA_B]); /* K O */
    tn_small_atb(r, b.l, o, b.gram[TN_LORA_A]); /* L O */
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) {
        tn_tall f = tn_weight_of(u, x);
        tn_tall_combine(f, b.gram[x], f, NULL, b.work, u->wide, u->f[x].x); /* (4) */
    }
}
