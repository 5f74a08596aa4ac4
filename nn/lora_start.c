/* lora_start.c - the numbers that new adapters start with: those of PEFT's init_lora_weights.

   uniform: A ~ U(-1/sqrt(in), 1/sqrt(in)), B = 0. gaussian: A ~ N(0, 1/R^2), B = 0.
   orthogonal: Q (R,R) is the orthogonal factor of a matrix of N(0,1). Its rows 0, 2, ... are Q0, its
   rows 1, 3, ... are Q1, G and H are matrices of N(0,1), and
       A = Q0^T G / 10, G (R/2,in)        B = H Q1 / 10, H (out,R/2)
   The rows of Q are orthogonal, so that Q1 Q0^T = 0 and B A = 0: the model starts unchanged.
   Source: huggingface/peft, tuners/lora/layer.py. Random numbers are our own. */
#include "nn/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Householder's vector of x[0..n), as LAPACK chooses it: (1 - tau v v^T) x = (beta, 0, ...) with
   beta of the other sign than x[0], and v[0] = 1. x becomes v. Returns tau. */
static double reflector(double *x, int64_t n, int64_t step)
{
    double rest = 0;
    for (int64_t i = 1; i < n; i++)
        rest += x[i * step] * x[i * step];
    if (rest == 0)
        return 0;
    const double beta = -copysign(sqrt(x[0] * x[0] + rest), x[0]), tau = (beta - x[0]) / beta;
    for (int64_t i = 1; i < n; i++)
        x[i * step] /= x[0] - beta;
    x[0] = 1;
    return tau;
}

/* Applies (1 - tau v v^T) to rows [k,R) of the columns [from,R) of a matrix (R,R). */
static void reflect(double *x, int64_t R, int64_t from, const double *v, int64_t k, double tau)
{
    for (int64_t j = from; j < R; j++) {
        double sum = 0;
        for (int64_t i = k; i < R; i++)
            sum += v[i * R + k] * x[i * R + j];
        for (int64_t i = k; i < R; i++)
            x[i * R + j] -= tau * sum * v[i * R + k];
    }
}

/* x (R,R) becomes any numbers, q (R,R) its orthogonal factor: x = q r, r upper triangular. */
static void orthogonal_factor(double *x, double *tau, double *q, int64_t R)
{
    for (int64_t k = 0; k < R; k++) {
        tau[k] = reflector(x + k * R + k, R - k, R);
        reflect(x, R, k + 1, x, k, tau[k]);
    }
    for (int64_t i = 0; i < R * R; i++)
        q[i] = i % (R + 1) == 0;
    for (int64_t k = R - 1; k >= 0; k--)
        reflect(q, R, 0, x, k, tau[k]);
}

/* x (R,cols) with x[i][j] = sum over k of q[2 k + odd][i] g[k][j], or its transpose (cols,R). */
static void spread(const double *q, int odd, const tn_real *g, int64_t R, int64_t cols,
                   bool transposed, tn_real *x)
{
    for (int64_t i = 0; i < R; i++)
        for (int64_t j = 0; j < cols; j++) {
            double sum = 0;
            for (int64_t k = 0; k < R / 2; k++)
                sum += q[(2 * k + odd) * R + i] * (double)g[k * cols + j];
            x[transposed ? j * R + i : i * cols + j] = (tn_real)sum;
        }
}

/* The stream of random numbers of a factor is its name; that of Q is another one of the layer. */
static uint64_t stream_of(const char *layer, const char *what)
{
    char full[256];
    snprintf(full, sizeof full, "%s.%s", layer, what);
    return tn_stream(full);
}

static void start_orthogonal(const char *layer, const tn_adapter *a, uint64_t seed, tn_error *e)
{
    const int64_t R = a->a->dim[0], in = a->a->dim[1], out = a->b->dim[0];
    const int64_t most = in > out ? in : out;
    double *q = malloc((size_t)(2 * R * R + R) * sizeof *q), *x = q ? q + R * R : NULL;
    tn_real *g = malloc((size_t)(R > most ? R * R : R * most) * sizeof *g);
    if (q && g) {
        tn_fill_normal(g, R * R, 1, seed, stream_of(layer, "lora_Q"));
        for (int64_t i = 0; i < R * R; i++)
            x[i] = (double)g[i];
        orthogonal_factor(x, x + R * R, q, R);
        tn_fill_normal(g, R / 2 * in, 0.1, seed, stream_of(layer, "lora_A.weight"));
        spread(q, 0, g, R, in, false, a->a->x);
        tn_fill_normal(g, R / 2 * out, 0.1, seed, stream_of(layer, "lora_B.weight"));
        spread(q, 1, g, R, out, true, a->b->x);
    } else {
        tn_fail(e, TN_ENOMEM, "%s: out of memory for its orthogonal start", layer);
    }
    free(q);
    free(g);
}

const char *tn_lora_init_find(const char *name)
{
    static const char *const names[] = { "gaussian", "orthogonal" };
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return names[i];
    return NULL;
}

/* DoRA's magnitudes: the norms of W + s B A. */
static int start_magnitudes(const tn_params *p, const tn_target *t, const tn_adapter *a,
                            tn_error *e)
{
    tn_tape *tape = tn_tape_new(tn_params_context(p));
    const tn_tensor *norm =
        tn_lora_norm(tape, t->layer->w, a->a, a->b, a->s, t->layer->layout); // (out)
    if (norm)
        memcpy(a->m->x, norm->x, (size_t)t->width * sizeof *norm->x);
    else
        tn_fail(e, TN_ENOMEM, "%s: %s", t->name,
                tape ? tn_tape_error(tape) : "out of memory for its magnitudes");
    tn_tape_free(tape);
    return e->code;
}

static void start_factors(const tn_params *p, const char *layer, const tn_adapter *a,
                          const char *init, tn_error *e)
{
    const uint64_t seed = tn_context_seed(tn_params_context(p));
    const uint64_t stream = stream_of(layer, "lora_A.weight");
    const int64_t count = tn_tensor_count(a->a);
    if (!init)
        tn_fill_uniform(a->a->x, count, 1 / sqrt((double)a->a->dim[1]), seed, stream);
    else if (strcmp(init, "orthogonal"))
        tn_fill_normal(a->a->x, count, 1 / (double)a->a->dim[0], seed, stream);
    else
        start_orthogonal(layer, a, seed, e);
}

int tn_lora_start(const tn_params *p, const tn_target *t, const tn_adapter *a, const char *init,
                  tn_error *e)
{
    if (init && !strcmp(init, "orthogonal") && a->a->dim[0] % 2)
        return tn_fail(e, TN_EARG, "%s: rank %lld; expected an even one for the orthogonal start",
                       t->name, (long long)a->a->dim[0]);
    if (!a->a->x)
        return e->code;
    start_factors(p, t->name, a, init, e);
    return a->m && !e->code ? start_magnitudes(p, t, a, e) : e->code;
}
