/* balora.c - BaLoRA: after a step the pair is replaced by a balanced one.
   It follows any optimizer, and the product stays the same. arXiv:2605.31484, ICML 2026, and the
   authors' callbacks.py.

   The product is A B^T, A = lora_B (m,r), B = lora_A^T (n,r). Of all pairs A M, B M^-T with that
   product the balanced ones have A^T A = B^T B; they are one another's rotations.

       A^T A = E diag(w) E^T,   R = diag(w)^1/2 E^T                (1)
       R (B^T B) R^T = U S^2 U^T                                   (2)   S: singular values of A B^T
       K = R^-1 U S^1/2,   L = R^T U S^-1/2                        (3)   K L^T = I
       A = A K O,   B = B L O                                      (4)   A^T A = B^T B = O^T S O

   balora=1 (the authors' ProjectionCallback): O = I, the singular value decomposition shared out.
   The signs of its columns are free, so an optimizer that looks at single entries depends on them.
   balora=2 (BestProjectionCallback): of all balanced pairs the nearest to the one at hand,

       N = K^T A^T A + L^T B^T B,   O = N (N^T N)^-1/2             (5)
       O = O (3 I - O^T O) / 2                                     (6)   four times

   where (6) brings back the digits that squaring N lost.
   The moments of the optimizer stay as they are. Invariant optimizers move the product as if
   nothing had happened; the others step from the point where both factors weigh the same.
   Cost: two products of n r^2 a factor, two or three eigenproblems of size r. State: none.
   Departs: the authors decompose the factors, here their Gram matrices are, so directions of the
   product below 1e-8 of the largest are not told from zero; for (5), (6) they take 10 Newton-Schulz
   steps.
   Trap: where the product lacks rank the authors' form sets the missing directions of both factors
   to zero, where they stay for ever; here such a pair is left as it is. */
#include "optim/balora.h"

#include "optim/algebra/preconditioner.h"

#include <math.h>
#include <string.h>

static size_t work_of(int64_t r)
{
    size_t small = 5 * (size_t)(r * r) + 4 * (size_t)r, tall = tn_preconditioner_work(r);
    return small > tall ? small : tall;
}

size_t tn_balance_bytes(const tn_unit *u)
{
    return (4 * (size_t)(u->r * u->r) + work_of(u->r)) * sizeof(double);
}

/* a is destroyed; a = sum of w[k] e_k e_k^T. False: it is singular. */
static bool regular(int64_t r, double *a, double *w, double *e)
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
    for (int i = 0; i < 2; i++) {
        tn_tall f = tn_tall_of(u, i, u->f[i].x);
        tn_tall_gram(f, f, out->work, u->wide, out->gram[i]);
    }
    memcpy(t, out->gram[1], (size_t)rr * sizeof *t);
    if (!regular(r, t, w, e))
        return false;
    for (int64_t j = 0; j < rr; j++)
        root[j] = sqrt(w[j / r]) * e[j];                                   /* (1) */
    for (int64_t j = 0; j < rr; j++)
        e[j] /= sqrt(w[j / r]); /* R^-T */
    tn_small_ab(r, root, out->gram[0], k);
    tn_small_abt(r, k, root, t);
    tn_small_symmetric(r, t);
    if (!regular(r, t, w, l))                                              /* (2), l = U^T */
        return false;
    memcpy(t, l, (size_t)rr * sizeof *t);
    tn_small_ab(r, t, e, k);
    tn_small_ab(r, t, root, l);
    for (int64_t j = 0; j < rr; j++) {
        double s = sqrt(sqrt(w[j / r])); /* S^1/2 */
        k[j] *= s;                                                         /* (3) */
        l[j] /= s;
    }
    return true;
}

/* O of (5) and (6); false: N is singular. */
static bool nearest_rotation(int64_t r, const tn_balance *b, double *o)
{
    int64_t rr = r * r;
    double *n = b->work, *t = n + rr, *e = t + rr, *spare = e + rr, *w = spare + rr;
    tn_small_ab(r, b->k, b->gram[1], n);
    tn_small_ab(r, b->l, b->gram[0], t);
    for (int64_t j = 0; j < rr; j++)
        n[j] += t[j];
    tn_small_atb(r, n, n, t);
    if (!regular(r, t, w, e))
        return false;
    for (int64_t k = 0; k < r; k++)
        w[k] = 1 / sqrt(w[k]);
    tn_from_eigen(r, w, e, spare, t);
    tn_small_ab(r, n, t, o);                                               /* (5) */
    for (int turn = 0; turn < 4; turn++) {
        tn_small_atb(r, o, o, t);
        for (int64_t j = 0; j < rr; j++)
            t[j] = (j % (r + 1) ? 0 : 1.5) - 0.5 * t[j];
        memcpy(n, o, (size_t)rr * sizeof *n);
        tn_small_ab(r, n, t, o);                                           /* (6) */
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
    for (int i = 0; i < 2; i++)
        tn_small_atb(r, i ? b.k : b.l, o, b.gram[i]);
    for (int i = 0; i < 2; i++) {
        tn_tall f = tn_tall_of(u, i, u->f[i].x);
        tn_tall_combine(f, b.gram[i], f, NULL, b.work, u->wide, u->f[i].x); /* (4) */
    }
}
