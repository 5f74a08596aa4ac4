/* muon.c - momentum, orthogonalised.
   Jordan et al., kellerjordan.github.io/posts/muon, 2024, as torch.optim.Muon. match_rms=1 is the
   form for AdamW's rates, Moonlight, Liu et al., arXiv:2502.16982.

   For a weight X (m,n) with the gradient G:

       B_t = mu B_{t-1} + (1 - mu) G                               (1)
       U = (1 - mu) G + mu B_t (Nesterov), or B_t                  (2)
       O = U / max(||U||, eps), or U / (||U|| + eps)               (3)
       S = O O^T,   O = a O + (b S + c S S) O,   ns_steps times    (4)
       X_t = (1 - eta lambda) X_{t-1} - eta scale O                (5)  lambda on weights that decay

   (4) is Newton and Schulz's iteration with a, b, c = 3.4445, -4.7750, 2.0315. After five rounds,
   singular values from 0.01 to 1 are between 0.68 and 1.13, not at 1. S is on the smaller side of
   O. match_rms sets the scale: 0 is sqrt(max(1, m/n)); 1 is 0.2 sqrt(max(m,n)), a step of AdamW's
   rms; 2 is sqrt(m/n), torch's spectral_unclamped.
   Cost: ns_steps (2 m n s + s^3) multiply-adds with s = min(m,n): for 768 x 3072 and five rounds 20
   G, 0.5 s on one core. State: B, like each weight.
   Claims: a rotation of the rank only rotates the result of (4). A scaling of a factor does not
   change its step, so the product moves by another amount.
   Traps: scale 0 depends on how a factor is stored: lora_B (m,r) gets sqrt(m/r), lora_A (r,n) gets
   1. lora_A does not move in the first step from lora_B = 0: U = 0 gives O = 0. Embeddings are
   matrices here; Jordan leaves them and the output layer to Adam. */
#include "core/gemm.h"
#include "optim/algebra/norm.h"
#include "optim/optim.h"

#include <math.h>

enum { LR, MOMENTUM, NESTEROV, MATCH_RMS, NS_STEPS, EPS, EPS_ADDED, DECAY };

static int64_t smaller_side(const tn_factor *f)
{
    return f->rows < f->cols ? f->rows : f->cols;
}

static size_t scratch(const tn_unit *u)
{
    int64_t most = 0;
    for (int k = 0; k < u->factors; k++) {
        int64_t s = smaller_side(&u->f[k]), n = 2 * u->f[k].n + 2 * s * s;
        most = n > most ? n : most;
    }
    return (size_t)most * sizeof(tn_real);
}

/* c (m,n) = a b, or c + a b if add. a is (m,k) and b is (k,n), row-major; at, bt: the transpose is
   stored. False: memory is out. */
static bool multiply(const tn_unit *u, int64_t m, int64_t n, int64_t k, const tn_real *a, bool at,
                     const tn_real *b, bool bt, bool add, tn_real *c)
{
    tn_matrix left = at ? tn_transposed(tn_matrix_of(a, k, m)) : tn_matrix_of(a, m, k);
    tn_matrix right = bt ? tn_transposed(tn_matrix_of(b, n, k)) : tn_matrix_of(b, k, n);
    tn_product p = tn_product_of(left, right, add, c, n);
    return tn_gemm_here(u->context, u->thread, &p) == TN_OK;
}

/* One round of (4): from o into out, which have the shape of f. small: two (s,s), overwritten. */
static bool newton_schulz(const tn_unit *u, const tn_factor *f, const tn_real *restrict o,
                          tn_real *restrict small, tn_real *restrict out)
{
    const tn_real a = (tn_real)3.4445, b = (tn_real)-4.7750, c = (tn_real)2.0315;
    int64_t s = smaller_side(f);
    tn_real *restrict gram = small, *restrict poly = small + s * s;
    bool wide = f->rows <= f->cols;
    if (!multiply(u, s, s, f->n / s, o, !wide, o, wide, false, gram) || /* O O^T or O^T O */
        !multiply(u, s, s, s, gram, false, gram, false, false, poly))
        return false;
    for (int64_t i = 0; i < s * s; i++)
        poly[i] = b * gram[i] + c * poly[i];
    for (int64_t i = 0; i < f->n; i++)
        out[i] = a * o[i];
    return wide ? multiply(u, s, f->cols, s, poly, false, o, false, true, out)
                : multiply(u, f->rows, s, s, o, false, poly, false, true, out);
}

/* (1) to (3) for factor k. */
static void momentum(const tn_unit *u, int k, tn_real *restrict out)
{
    const tn_factor *f = &u->f[k];
    tn_real mu = (tn_real)u->h[MOMENTUM], fresh = (tn_real)(1 - u->h[MOMENTUM]);
    tn_real *restrict b = u->slot[0][k];
    const tn_real *restrict g = f->g;
    bool nesterov = u->h[NESTEROV] != 0;
    for (int64_t i = 0; i < f->n; i++) {
        b[i] = mu * b[i] + fresh * g[i];                     /* (1) */
        out[i] = nesterov ? fresh * g[i] + mu * b[i] : b[i]; /* (2) */
    }
    double size = tn_norm(out, f->n), eps = u->h[EPS];
    tn_real share = (tn_real)(1 / (u->h[EPS_ADDED] != 0 ? size + eps : size > eps ? size : eps));
    for (int64_t i = 0; i < f->n; i++)
        out[i] *= share; /* (3) */
}

/* If memory is out for a product, the matrix stays as it is. (This does not happen in training,
   because the forward pass before takes more memory.) */
static void step_factor(tn_unit *u, int k)
{
    const tn_factor *f = &u->f[k];
    tn_real *o[2] = { (tn_real *)u->memory, (tn_real *)u->memory + f->n }, *small = o[1] + f->n;
    int rounds = (int)u->h[NS_STEPS];
    momentum(u, k, o[0]);
    for (int n = 0; n < rounds; n++)
        if (!newton_schulz(u, f, o[n % 2], small, o[1 - n % 2])) /* (4) */
            return;
    double rows = (double)f->rows, cols = (double)f->cols;
    double scale = u->h[MATCH_RMS] == 0   ? sqrt(fmax(1, rows / cols))
                   : u->h[MATCH_RMS] == 1 ? 0.2 * sqrt(fmax(rows, cols))
                                          : sqrt(rows / cols);
    tn_real eta = (tn_real)(u->lr * scale), *restrict x = f->x, *restrict d = o[rounds % 2];
    tn_real keep = (tn_real)(f->decays ? 1 - u->lr * u->h[DECAY] : 1);
    for (int64_t i = 0; i < f->n; i++)
        x[i] = keep * x[i] - eta * d[i]; /* (5) */
}

static void step(tn_unit *u)
{
    for (int k = 0; k < u->factors; k++)
        step_factor(u, k);
}

const tn_optim_def tn_optim_muon = {
    .name = "muon", .title = "momentum, orthogonalised",
    .paper = "kellerjordan.github.io/posts/muon",
    .update = "m = momentum m + (1 - momentum) g; x -= lr scale orthogonal(m), by Newton-Schulz",
    .cost = "five rounds of 2 m n s + s^3 multiply-adds, s = min(m, n)",
    .departs = "the author's and torch's run Newton-Schulz in bfloat16, this one in the weights' type",
    .hyper = {
        { "lr", 2e-2, TN_ABOVE_0, "learning rate eta" },
        { "momentum", 0.95, TN_SHARE, "mu, the decay of the momentum" },
        { "nesterov", 1, TN_SWITCH, "1: Nesterov's form, one step ahead along the momentum" },
        { "match_rms", 0, TN_0_TO_2, "scale 0: sqrt(max(1, rows/cols)); 1: 0.2 sqrt(max(rows, cols)); "
                          "2: sqrt(rows/cols)" },
        { "ns_steps", 5, TN_1_TO_100, "rounds of Newton-Schulz" },
        { "eps", 1e-7, TN_ABOVE_0, "smallest norm that the momentum is divided by" },
        { "eps_added", 0, TN_SWITCH, "1: eps is added to that norm (Jordan); 0: as above (torch)" },
        { "weight_decay", 0, TN_FROM_0, "decoupled: the weight shrinks by lr times this" },
    },
    .presets = {
        { "keller", "lr=0.02 weight_decay=0 match_rms=0 eps_added=1" },
        { "torch", "lr=0.001 weight_decay=0.1 match_rms=0 eps_added=0" },
        { "moonlight", "lr=0.001 weight_decay=0.1 match_rms=1 eps_added=1" },
    },
    .slots = { { "m", TN_LIKE_X } },
    .matrices = true, .scratch = scratch, .step = step,
    .claims = TN_INVARIANT_ROTATION, .clip = TN_CLIP_GLOBAL, .decay = "weight_decay",
};
