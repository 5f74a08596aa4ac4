/* adafactor.c - Adam's second moment as the product of a column and a row.
   Shazeer and Stern, arXiv:1804.04235, ICML 2018, Algorithms 4 to 6; details as in
   torch.optim.Adafactor.

   For a weight X (n,m) with the gradient G:

       w = t^-0.8,   rho = min(eta, 1 / sqrt(t))                   (1)   -0.8: beta2_decay
       alpha = max(eps2, rms(X_{t-1})) rho                         (2)
       R_t = (1 - w) R_{t-1} + w G^2 1_m / m                       (3)   n means, of the rows
       C_t = (1 - w) C_{t-1} + w 1_n^T G^2 / n                     (4)   m means, of the columns
       V = R_t C_t / max(mean(R_t), eps1)                          (5)
       U = G / sqrt(max(V, eps1^2))                                (6)
       X_t = (1 - eta lambda) X_{t-1} - alpha U / max(1,rms(U)/d)  (7)  lambda on weights that decay

   Cost: three passes. State: R and C, one number per row and one per column.
   Claims: a scaling c of the rank turns G into G / c. (6) does not change by that, and (2) makes
   the step follow c. This is exact while both factors are larger than eps2 and the gradients larger
   than eps1; torch's eps1 is 1e-7 in single precision, which is too large for it. Rotations break
   it: (5) looks at entries.
   Traps: at t = 1 w is 1, so the initial zeros of the state do not count. A weight that is
   zero, as lora_B at the start, grows by at most eps2 rho per step and stays small for long. (1) is
   also a schedule: from step 1/eta^2 on, the rate falls as 1 / sqrt(t). The square of the paper's
   eps1 = 1e-30 is zero in single precision; 0/0 in (6) then counts as 0. */
#include "optim/algebra/norm.h"
#include "optim/optim.h"

#include <float.h>
#include <math.h>

enum { LR, BETA2_DECAY, EPS1, EPS2, D, DECAY };

static size_t scratch(const tn_unit *u)
{
    size_t most = 0;
    for (const tn_factor *f = u->f; f < u->f + u->factors; f++) {
        size_t bytes = (size_t)f->cols * sizeof(double) + (size_t)f->n * sizeof(tn_real);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* (3) and (4) for factor k; returns the mean of R. sums: one number per column. */
static double row_and_column_means(const tn_unit *u, int k, double w, double *restrict sums)
{
    const tn_factor *f = &u->f[k];
    tn_real *restrict r = u->slot[0][k], *restrict c = u->slot[1][k];
    double total = 0;
    for (int64_t j = 0; j < f->cols; j++)
        sums[j] = 0;
    for (int64_t i = 0; i < f->rows; i++) {
        const tn_real *restrict g = f->g + i * f->cols;
        for (int64_t j = 0; j < f->cols; j++)
            sums[j] += (double)g[j] * (double)g[j];
        double mean = tn_sum_squares(g, f->cols) / (double)f->cols;
        r[i] = (tn_real)((1 - w) * (double)r[i] + w * mean); /* (3) */
        total += (double)r[i];
    }
    for (int64_t j = 0; j < f->cols; j++)
        c[j] = (tn_real)((1 - w) * (double)c[j] + w * sums[j] / (double)f->rows); /* (4) */
    return total / (double)f->rows;
}

/* (5) and (6). */
static void direction(const tn_unit *u, int k, double mean, double eps1, tn_real *restrict out)
{
    const tn_factor *f = &u->f[k];
    const tn_real *restrict r = u->slot[0][k], *restrict c = u->slot[1][k];
    tn_real least = (tn_real)(eps1 * eps1);
    for (int64_t i = 0; i < f->rows; i++) {
        tn_real share = (tn_real)((double)r[i] / (mean > eps1 ? mean : eps1));
        for (int64_t j = 0; j < f->cols; j++) {
            tn_real v = share * c[j]; /* (5) */
            v = v > least ? v : least;
            out[i * f->cols + j] = v > 0 ? f->g[i * f->cols + j] / (tn_real)sqrt(v) : 0; /* (6) */
        }
    }
}

static void step_factor(tn_unit *u, int k)
{
    const double *h = u->h;
    const tn_factor *f = &u->f[k];
    double epsilon = sizeof(tn_real) == sizeof(float) ? FLT_EPSILON : DBL_EPSILON;
    double eps1 = h[EPS1] > 0 ? h[EPS1] : epsilon, n = (double)f->n, t = (double)u->t;
    double *sums = (double *)u->memory;
    tn_real *restrict d = (tn_real *)(sums + f->cols), *restrict x = f->x;
    double w = tn_exp_of(h[BETA2_DECAY] * tn_log_of(t));    /* (1) */
    double rho = u->lr < 1 / sqrt(t) ? u->lr : 1 / sqrt(t); /* (1) */
    double size = sqrt(tn_sum_squares(x, f->n) / n);
    double alpha = rho * (size > h[EPS2] ? size : h[EPS2]); /* (2) */
    direction(u, k, row_and_column_means(u, k, w, sums), eps1, d);
    double over = sqrt(tn_sum_squares(d, f->n) / n) / h[D];
    tn_real rate = (tn_real)(alpha / (over > 1 ? over : 1));
    tn_real keep = (tn_real)(f->decays ? 1 - u->lr * h[DECAY] : 1);
    for (int64_t i = 0; i < f->n; i++)
        x[i] = keep * x[i] - rate * d[i]; /* (7) */
}

static void step(tn_unit *u)
{
    for (int k = 0; k < u->factors; k++)
        step_factor(u, k);
}

const tn_optim_def tn_optim_adafactor = {
    .name = "adafactor", .title = "Adam's second moment as a column times a row",
    .paper = "arXiv:1804.04235",
    .update = "v = R C / mean(R), moving averages of the rows and columns of g^2; "
              "x -= lr rms(x) g / sqrt(v), its rms at most d",
    .cost = "three passes",
    .departs = "torch keeps a second moment of vectors in full; here vectors go to AdamW",
    .hyper = {
        { "lr", 1e-2, TN_ABOVE_0, "learning rate eta: share of its size that a weight moves by" },
        { "beta2_decay", -0.8, TN_TO_0, "at step t a new gradient has the weight t to this power" },
        { "eps1", 0, TN_FROM_0, "floor of the roots; 0: the epsilon of the weights' type" },
        { "eps2", 1e-3, TN_FROM_0, "a smaller weight counts as this large" },
        { "d", 1, TN_ABOVE_0, "largest rms of the direction" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the weight shrinks by lr times this" },
    },
    .slots = { { "R", TN_ROWS }, { "C", TN_COLS } },
    .matrices = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_SCALE, .claims_when = "eps1=1e-30 eps2=0", .claims_nonzero = true,
    .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
