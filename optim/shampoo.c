/* shampoo.c - gradients whitened from both sides.
   Gupta, Koren and Singer, arXiv:1802.09568, ICML 2018, Algorithm 1.

   For a weight W (m,n) with the gradient G:

       L_t = L_{t-1} + G G^T,   L_0 = eps I                        (1)
       R_t = R_{t-1} + G^T G,   R_0 = eps I                        (2)
       W_t = (1 - eta lambda) W_{t-1} - eta L_t^-1/4 G R_t^-1/4    (3)  lambda on weights that decay

   To whiten a matrix is to make its singular values equal. At t = 1 and eps = 0 the step is U V^T
   for G = U diag(s) V^T.

   A side longer than max_side has no matrix. The other side then has the whole exponent, L^-1/2 G
   or G R^-1/2. If both are longer, (3) is a plain step. At max_side = r, LoRA factors are whitened
   on the side of the rank only. The roots are computed by eigenvalues, every `interval` steps; an
   eigenvalue below eps counts as eps.
   Cost: m n (m + n) multiply-adds twice, and an eigenproblem of each side. State: L and R, in
   double; their roots, too, if interval is above 1.
   Claims: a rotation of the rank rotates L or R in the same way. A scaling of the rank makes one
   factor small and its gradient large. (3) hardly depends on the size of the gradient, so the step
   does not follow the factor.
   Traps: the sums only grow, so the steps shrink as 1 / sqrt(t). eps is absolute and decides where
   gradients are below its root. What libraries call Shampoo often has averages in (1) and (2), the
   length of another optimizer's step, or exponent -1/2 on both sides. */
#include "optim/algebra/linalg.h"
#include "optim/optim.h"

#include <math.h>

/* Milliseconds per step for a side of 64, 128, 256, 512, 1024: 0.5, 3.5, 25, 200, 1800. With 128, a
   small model is whitened from both sides, a large one on the side of the rank only. */
enum { LR, EPS, MAX_SIDE, INTERVAL, DECAY, DEFAULT_SIDE = 128 };

static int64_t side_of(const tn_factor *f, int side)
{
    return side ? f->cols : f->rows;
}

/* Slots 0, 1: L, R, if the side is short enough. Slots 2, 3: their roots, if they are kept. */
static bool needs(const tn_unit *u, int slot, int k)
{
    return (double)side_of(&u->f[k], slot % 2) <= u->h[MAX_SIDE] &&
           (slot < 2 || u->h[INTERVAL] > 1);
}

/* Doubles for the algebra of a side of length s. */
static size_t work_of(int64_t s)
{
    size_t tall = tn_tall_work(s), small = (size_t)(2 * s * s + 4 * s);
    return (size_t)(s * s) + (tall > small ? tall : small);
}

/* n reals, or one more, so that the doubles after them are aligned. */
static size_t even(int64_t n)
{
    return (size_t)(n + n % 2);
}

static size_t scratch(const tn_unit *u)
{
    size_t work = 0, n = 0;
    for (int k = 0; k < u->factors; k++) {
        n = even(u->f[k].n) > n ? even(u->f[k].n) : n;
        for (int side = 0; side < 2; side++) {
            size_t w = needs(u, side, k) ? work_of(side_of(&u->f[k], side)) : 0;
            work = w > work ? w : work;
        }
    }
    return work * sizeof(double) + n * sizeof(tn_real);
}

/* out = sum^-1/4 if quarter, else sum^-1/2. Eigenvalues below `least` count as `least`. */
static void root_of(int64_t s, const double *sum, bool quarter, double least, double *work,
                    double *out)
{
    double *e = work, *w = e + s * s, *rest = w + s;
    tn_eigen(s, sum, w, rest, e);
    for (int64_t i = 0; i < s; i++) {
        double root = sqrt(w[i] > least ? w[i] : least);
        w[i] = 1 / (quarter ? sqrt(root) : root);
    }
    tn_from_eigen(s, w, e, rest, out);
}

/* (1) or (2) of this side; then d = `from`, multiplied from this side by the root of the sum. */
static void whiten(const tn_unit *u, int k, int side, const tn_real *from, double *memory,
                   tn_real *d)
{
    const tn_factor *f = &u->f[k];
    int64_t s = side_of(f, side), other = side_of(f, 1 - side);
    double *sum = u->slot[side][k], *kept = u->slot[2 + side][k];
    double *gram = memory, *work = gram + s * s, *root = kept ? kept : gram;
    tn_tall g = { .x = f->g, .n = other, .r = s, .by_column = side == 0 }, x = g;
    tn_tall_gram(g, g, work, u->wide, gram);
    for (int64_t i = 0; i < s * s; i++) {
        double start = u->t == 1 && i % (s + 1) == 0 ? u->h[EPS] : 0;
        sum[i] += start + gram[i]; /* (1), (2) */
    }
    bool both = u->slot[1 - side][k] != NULL;
    if ((u->t - 1) % (int64_t)u->h[INTERVAL] == 0)
        root_of(s, sum, both, u->h[EPS], work, root);
    x.x = from;
    tn_tall_combine(x, root, x, NULL, work, u->wide, d);
}

static void step(tn_unit *u)
{
    for (int k = 0; k < u->factors; k++) {
        const tn_factor *f = &u->f[k];
        tn_real *restrict x = f->x, *d = (tn_real *)u->memory;
        double *work = (double *)(u->memory + even(f->n) * sizeof *d);
        const tn_real *direction = f->g;
        for (int side = 0; side < 2; side++)
            if (u->slot[side][k]) {
                whiten(u, k, side, direction, work, d);
                direction = d;
            }
        tn_real eta = (tn_real)u->lr, keep = (tn_real)(f->decays ? 1 - u->lr * u->h[DECAY] : 1);
        for (int64_t i = 0; i < f->n; i++)
            x[i] = keep * x[i] - eta * direction[i]; /* (3) */
    }
}

const tn_optim_def tn_optim_shampoo = {
    .name = "shampoo", .title = "gradients whitened from both sides", .paper = "arXiv:1802.09568",
    .update = "L += g g^T; R += g^T g; x -= lr L^-1/4 g R^-1/4",
    .cost = "O(m n (m + n) + m^3 + n^3), of sides up to max_side",
    .departs = "long sides are left alone; the paper keeps a diagonal there, the authors' code cuts blocks",
    .hyper = {
        { "lr", 5e-2, TN_ABOVE_0, "learning rate eta" },
        { "eps", 1e-4, TN_ABOVE_0, "start of the sums, and floor of their eigenvalues" },
        { "max_side", DEFAULT_SIDE, TN_WHOLE, "longest side that is whitened" },
        { "interval", 1, TN_COUNT, "steps from one computation of the roots to the next" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the weight shrinks by lr times this" },
    },
    .slots = { { "L", TN_ROW_SQUARE }, { "R", TN_COL_SQUARE },
               { "root_L", TN_ROW_SQUARE }, { "root_R", TN_COL_SQUARE } }, .needs = needs,
    .matrices = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_ROTATION, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
