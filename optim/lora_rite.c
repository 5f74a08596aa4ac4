/* lora_rite.c - LoRA-RITE, robust invariant transformation equilibration.
   Yen et al., arXiv:2410.20625, ICLR 2025, in the form of the authors' PyTorch file. It differs
   from their Algorithm 1 (lora_rite_paper.c): moving averages instead of sums, clipping, skipping.
   gauss_seidel, prior and cut are additions for gradients of few directions; preset=authors turns
   them off.

   The product is A B^T, in the paper's letters: A = lora_B (m,r), B = lora_A^T (n,r). X is one of
   the two and has d rows, Y is the other, g is the gradient of X. Numbers (1) to (9) are the lines
   of Algorithm 1; letters are not in the paper, (a) to (e) are those of rite.c. (3) to (8) use
   values from before the step.

       Y = Q R, the columns of Q orthonormal,  T = R^+                   (1)
       U = g T                                                           (2)  unmagnified gradient
       U = 0 if rms(U) > skip                                            (f)
       U = U min(1, clip / sqrt(sum over all factors of ||U||^2))        (g)
       P = Q^T Q_old                                                     (3)
       V' = sym(P V P^T)                                                 (4)
       rho = b2 (rho + min(max_i (l_i(V) - l_i(V'))+, (tr V - tr V')+))  (5)  if escape, else 0
       V = (1 - b2) U^T U / d + b2 V' = E diag(w) E^T                    (6)
       H = E diag(1 / (sqrt(w' + rho + eps_root) + eps)) E^T             (7)
       w' = (N max(w, 0) + c max_i w_i) / (N + c),  c = prior rank(Y)    (c)  with (b)
       M = (1 - b1) U H + b1 M P^T                                       (8)
       D = M T^T min(1, cap / rms(M))                                    (h)
       X = (1 - eta lambda) X - eta D                                    (9)
       A by (9), then B with D A^T A' (A'^T A')^+ for its D              (d)  if gauss_seidel
       A = A sqrt(b/a),  B = B sqrt(a/b)                                 (e)  if balance

   (6), (8): b1 and b2 are q / (1 + q) with q = beta + beta^2 + ... + beta^(t-1), beta = beta1,
   beta2. Such averages are Adam's bias corrected ones.
   (c): V averages N = 1 / (1 - b2) gradients. While N is small, V is not known well. So (c) counts
   c more gradients, which have V's largest length in every direction. Then (7) stretches no
   direction by more than sqrt((N + c) / c) relative to the longest one. cut (a) drops directions of
   rounding alone.
   (d): if both factors take D from the old values, A B^T moves by -eta (D_A B^T + A D_B^T) and by a
   cross term, eta^2 D_A D_B^T = eta^2 M_A T_B^T T_A M_B^T. The halves have the lengths eta ||M||.
   The cross term has no bound: T_A is large where A is small. So B waits until A has become A', and
   takes the step for which A' dB^T is nearest to -eta A D_B^T. It is not longer than that, and
   there is no cross term.
   Cost: five products of (m + n) r^2 and four eigenproblems of size r per pair; (d) adds one and a
   half and one. The authors' file takes about 15 products. State: D; the factor before the step;
   its T; V and rho of each factor.
   Claims: A -> A S, B -> B S^-T changes nothing in A B^T, for every invertible S.
   Traps: T comes from the Gram matrix, so a factor's condition number should stay below 1e6.
   Without (b), gradients of few directions make V slightly negative by rounding, and a NaN then
   erases the whole step of a factor. Clipping raw gradients breaks the claim. At skip = 1, the
   authors' value, a badly scaled toy never moves. The second step moves lora_A by a share of its
   size whatever eta is; every invariant method does that. */
#include "optim/rite.h"

#include <math.h>

/* clang-format off */
enum { LR, BETA1, BETA2, EPS, CLIP, SKIP, CAP, DECAY, ESCAPE, BALANCE, EPS_ROOT,
       GAUSS_SEIDEL, PRIOR, CUT };
/* clang-format on */

/* The first pass. Returns this unit's part of the sum in (g). */
static double measure(tn_unit *u)
{
    tn_rite m = tn_rite_of(u);
    double sum = 0, skip = u->h[SKIP];
    tn_rite_bases(u, &m, u->h[CUT]); /* (1), (2) */
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) {
        double square = tn_small_trace(u->r, m.uu[x]);
        m.c[x] = !(skip > 0 && sqrt(square / (double)u->f[x].n) > skip); /* (f) */
        sum += m.c[x] * square;
    }
    return sum;
}

/* q. The bits of t - 1 are read one by one, the highest first. sum and power = beta^k belong to the
   number k read so far. (1 - beta and 1 - beta^t would lose digits for beta near 1.) */
static double weight_of_the_past(double beta, int64_t t)
{
    double sum = 0, power = 1;
    for (int64_t bit = (int64_t)1 << 62; bit; bit >>= 1) {
        sum += power * sum;
        power *= power;
        if ((t - 1) & bit) {
            sum = beta + beta * sum;
            power *= beta;
        }
    }
    return sum;
}

/* What V has lost in (4), by its eigenvalues and by its trace. */
static double escaped(const tn_unit *u, int x, const tn_rite *m)
{
    const int64_t r = u->r;
    double lost = tn_small_trace(r, u->slot[TN_RITE_V + x][0]) - tn_small_trace(r, m->moved);
    double most = 0;
    tn_rite_spectra(u, x, m);
    for (int64_t k = 0; k < r; k++)
        most = fmax(most, m->w[k] - m->w[r + k]);
    return fmin(most, fmax(lost, 0));
}

/* What bounds the root in (7). n: N of (c). */
static tn_rite_floor floor_of(const tn_unit *u, int x, const tn_rite *m, double n)
{
    const double *h = u->h, c = h[PRIOR] * (double)tn_rite_rank(u, tn_partner(x), m);
    const double rho = *(double *)u->slot[TN_RITE_RHO + x][0] + h[EPS_ROOT];
    return (tn_rite_floor){ .rho = rho, .eps = h[EPS], .share = c / (n + c), .cut = h[CUT] };
}

static void step(tn_unit *u)
{
    tn_rite m = tn_rite_of(u);
    const double *h = u->h;
    double q1 = weight_of_the_past(h[BETA1], u->t), q2 = weight_of_the_past(h[BETA2], u->t);
    double b1 = q1 / (1 + q1), b2 = q2 / (1 + q2), norm = sqrt(u->global);
    for (int x = TN_LORA_A; x <= TN_LORA_B; x++) {
        double *rho = u->slot[TN_RITE_RHO + x][0], d = (double)(u->f[x].n / u->r);
        m.c[x] *= h[CLIP] > 0 && norm > h[CLIP] ? h[CLIP] / norm : 1; /* (g) */
        tn_rite_transport(u, x, &m);                                  /* (3), (4) */
        *rho = h[ESCAPE] != 0 ? b2 * (*rho + escaped(u, x, &m)) : 0;  /* (5) */
        tn_rite_second_moment(u, x, &m, 1 / (1 + q2) / d, b2);        /* (6) */
        tn_rite_root(u, x, &m, floor_of(u, x, &m, 1 + q2));           /* (7), (c) */
        tn_rite_first_moment(u, x, &m, 1 / (1 + q1), b1);             /* (8) */
    }
    for (int x = TN_LORA_B; x >= TN_LORA_A; x--) { /* lora_B, then lora_A */
        double rms = h[CAP] > 0 ? tn_rite_rms(u, x, &m) : 0;
        double eta = rms > h[CAP] ? u->lr * h[CAP] / rms : u->lr; /* (h) */
        double keep = u->f[x].decays ? 1 - u->lr * h[DECAY] : 1;
        if (x == TN_LORA_A && h[GAUSS_SEIDEL] != 0)
            tn_rite_follow(u, x, &m, h[CUT], keep, eta); /* (d) */
        else
            tn_rite_move(u, x, &m, keep, eta); /* (9) */
    }
    if (h[BALANCE] != 0)
        tn_rite_balance(u); /* (e) */
}

const tn_optim_def tn_optim_lora_rite = {
    .name = "lora-rite", .title = "LoRA-RITE, invariant adaptive matrix preconditioning",
    .paper = "arXiv:2410.20625",
    .update = "U = g T, Y T orthonormal; V, M: averages of U^T U / rows and U V^-1/2, carried "
              "along with the basis; X -= lr M T^T",
    .cost = "O((m + n) r^2 + r^3)",
    .departs = "lora_A follows the new lora_B, V has a prior, directions that are rounding errors "
               "rest, skip is off; preset=authors undoes these four. Always: eigenvalues of V below "
               "0 count as 0 (the authors' step is NaN there), bases come from Gram matrices",
    .hyper = {
        { "lr", 1e-3, TN_ABOVE_0, "learning rate eta" },
        { "beta1", 0.9, TN_SHARE, "decay of the first moment" },
        { "beta2", 0.999, TN_SHARE, "decay of the second moment" },
        { "eps", 1e-6, TN_ABOVE_0, "added to the root of the second moment" },
        { "clip", 1, TN_FROM_0, "limit of the global norm of the unmagnified gradients; 0: off" },
        { "skip", 0, TN_FROM_0, "largest rms of an unmagnified gradient, above it the factor rests; 0: off" },
        { "cap", 0, TN_FROM_0, "limit of the rms of the first moment; 0: off" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the factors shrink by lr times this" },
        { "escape", 0, TN_SWITCH, "1: add the mass that a change of basis lost" },
        { "balance", 0, TN_SWITCH, "1: give both factors the same norm after the step" },
        { "eps_root", 0, TN_FROM_0, "added under the root (a third-party port: eps^2)" },
        { "gauss_seidel", 1, TN_SWITCH, "1: lora_B first, then lora_A by the new one; 0: both by the old" },
        { "prior", 1, TN_FROM_0, "V starts as if it had seen so many gradients per direction; 0: none" },
        { "cut", 1e-11, TN_SHARE, "a direction below this share of the largest (in squares) rests" },
    },
    .presets = {
        { "authors", "gauss_seidel=0 prior=0 cut=0 skip=1" },
    },
    .slots = TN_RITE_SLOTS,
    .pairs = true, .keeps_scratch = true, .scratch = tn_rite_scratch,
    .measure = measure, .step = step,
    .claims = TN_INVARIANT_FULL, .clip = TN_CLIP_REFUSED, .decay = "weight_decay",
};
