/* optim_problem.c - LoRA pairs, their loss and gradients, and steps on them. */
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void problem_new(problem *p, int pairs, const pair_size *size, uint64_t shuffle)
{
    *p = (problem){ .pairs = pairs, .context = tn_context_new(NULL) };
    p->params = tn_params_new(p->context);
    int order[2 * MAX_PAIRS];
    for (int i = 0; i < 2 * pairs; i++)
        order[i] = i;
    for (int i = 2 * pairs - 1; i > 0 && shuffle; i--) {
        int j = (int)(tn_random(shuffle, 1, 0, (uint64_t)i) % (unsigned)(i + 1)), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (int k = 0; k < 2 * pairs; k++) {
        int i = order[k] / 2;
        char name[64];
        snprintf(name, sizeof name, "layer%d.lora_%c.weight", i, order[k] % 2 ? 'B' : 'A');
        p->size[i] = size[i];
        if (order[k] % 2)
            p->b[i] = tn_params_add(p->params, name, 2, (int64_t[]){ size[i].out, size[i].r });
        else
            p->a[i] = tn_params_add(p->params, name, 2, (int64_t[]){ size[i].r, size[i].in });
        tn_params_find(p->params, name)->lora_scale = size[i].s;
    }
}

void problem_free(problem *p)
{
    tn_optim_free(p->optim);
    tn_params_free(p->params);
    tn_context_free(p->context);
}

tn_optim *problem_try(problem *p, const tn_optim_def *def, const char *settings,
                      double max_grad_norm, tn_schedule schedule, tn_error *e)
{
    char copy[512];
    const char *set[TN_MAX_HYPER + 1] = { NULL };
    snprintf(copy, sizeof copy, "%s", settings);
    int n = 0;
    char *rest = copy;
    for (char *s; n < TN_MAX_HYPER && (s = strtok_r(rest, " ", &rest)) != NULL;)
        set[n++] = s;
    return tn_optim_new(p->params, def,
                        &(tn_optim_options){ .set = set,
                                             .weight_decay = -1,
                                             .max_grad_norm = max_grad_norm,
                                             .schedule = schedule },
                        e);
}

void problem_optimizer(problem *p, const char *name, const char *settings, double max_grad_norm)
{
    tn_error e = { 0 };
    ck_assert_msg(tn_optim_find(name) != NULL, "there is no optimizer %s", name);
    tn_optim_free(p->optim);
    p->optim = problem_try(p, tn_optim_find(name), settings, max_grad_norm, (tn_schedule){ 0 }, &e);
    ck_assert_msg(p->optim != NULL, "%s", e.text);
}

void problem_step(problem *p)
{
    ck_assert_msg(tn_optim_step(p->optim) == 0, "%s", tn_optim_error(p->optim)->text);
}

double problem_gradients(problem *p, int i, const double *target, double scale)
{
    int64_t m = p->size[i].out, n = p->size[i].in, r = p->size[i].r;
    const tn_real *a = p->a[i]->x, *b = p->b[i]->x;
    double s = p->size[i].s, loss = 0;
    double *e = calloc((size_t)(m * n), sizeof *e);
    for (int64_t j = 0; j < m; j++)
        for (int64_t k = 0; k < n; k++) {
            double sum = 0;
            for (int64_t l = 0; l < r; l++)
                sum += (double)b[j * r + l] * (double)a[l * n + k];
            double off = s * sum - target[j * n + k];
            e[j * n + k] = scale * off;
            loss += 0.5 * scale * off * off;
        }
    for (int64_t l = 0; l < r; l++) {
        for (int64_t k = 0; k < n; k++) {
            double sum = 0;
            for (int64_t j = 0; j < m; j++)
                sum += (double)b[j * r + l] * e[j * n + k];
            p->a[i]->g[l * n + k] = (tn_real)(s * sum);
        }
        for (int64_t j = 0; j < m; j++) {
            double sum = 0;
            for (int64_t k = 0; k < n; k++)
                sum += e[j * n + k] * (double)a[l * n + k];
            p->b[i]->g[j * r + l] = (tn_real)(s * sum);
        }
    }
    p->a[i]->has_grad = p->b[i]->has_grad = true;
    free(e);
    return loss;
}

void problem_product(const problem *p, int i, double *out)
{
    int64_t m = p->size[i].out, n = p->size[i].in, r = p->size[i].r;
    for (int64_t j = 0; j < m; j++)
        for (int64_t k = 0; k < n; k++) {
            double sum = 0;
            for (int64_t l = 0; l < r; l++)
                sum += (double)p->b[i]->x[j * r + l] * (double)p->a[i]->x[l * n + k];
            out[j * n + k] = sum;
        }
}

void problem_descend(problem *p, int steps)
{
    int64_t n = p->size[0].out * p->size[0].in;
    double *target = calloc((size_t)n, sizeof *target);
    for (int k = 0; k < steps; k++) {
        uint64_t noise = 2 + (uint64_t)tn_optim_steps(p->optim);
        for (int64_t i = 0; i < n; i++)
            target[i] = normal(1, i) + 0.1 * normal(noise, i);
        problem_gradients(p, 0, target, 1);
        problem_step(p);
    }
    free(target);
}

double problem_difference(const problem *p, const problem *q)
{
    int64_t n = p->size[0].out * p->size[0].in;
    double *x = calloc((size_t)n, sizeof *x), *y = calloc((size_t)n, sizeof *y), most = 0;
    problem_product(p, 0, x);
    problem_product(q, 0, y);
    for (int64_t i = 0; i < n; i++)
        most = fabs(x[i] - y[i]) > most ? fabs(x[i] - y[i]) : most;
    free(x);
    free(y);
    return most;
}

uint64_t state_hash(const tn_params *p, tn_optim *o)
{
    uint64_t h = tn_params_hash(p, false);
    tn_state_block b;
    for (int64_t i = 0; tn_optim_state(o, i, &b); i++)
        h = tn_hash64(b.data, (size_t)b.n * (b.real ? sizeof(tn_real) : sizeof(double)), h);
    return h;
}

void golden_problem(problem *p, bool zero, uint64_t shuffle)
{
    problem_new(p, 1, &(pair_size){ .out = 5, .in = 4, .r = 2, .s = 1.5 }, shuffle);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 2; j++)
            p->b[0]->x[i * 2 + j] = (tn_real)(zero ? 0 : 0.3 * sin(1 + 2 * i + j));
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++)
            p->a[0]->x[j * 4 + i] = (tn_real)(0.2 * cos(2 + 2 * i + j));
}

double golden_gradients(problem *p)
{
    double y[20];
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 4; j++)
            y[i * 4 + j] = 0.5 * cos(0.7 * i + 1.3 * j);
    return problem_gradients(p, 0, y, 1);
}

double limit_of(double in_double, double in_float)
{
    return sizeof(tn_real) == sizeof(float) ? in_float : in_double;
}

void problem_pair(problem *p, int64_t out, int64_t in, int64_t r, double s, bool zero)
{
    problem_new(p, 1, &(pair_size){ out, in, r, s }, 0);
    tn_fill_normal(p->a[0]->x, r * in, 0.3, 1, 2);
    tn_fill_normal(p->b[0]->x, out * r, zero ? 0 : 0.3, 1, 3);
}

void problem_set_gradient(problem *p, const double *g)
{
    int64_t m = p->size[0].out, n = p->size[0].in, r = p->size[0].r;
    double s = p->size[0].s;
    for (int64_t l = 0; l < r; l++) {
        for (int64_t k = 0; k < n; k++) {
            double sum = 0;
            for (int64_t j = 0; j < m; j++)
                sum += (double)p->b[0]->x[j * r + l] * g[j * n + k];
            p->a[0]->g[l * n + k] = (tn_real)(s * sum);
        }
        for (int64_t j = 0; j < m; j++) {
            double sum = 0;
            for (int64_t k = 0; k < n; k++)
                sum += g[j * n + k] * (double)p->a[0]->x[l * n + k];
            p->b[0]->g[j * r + l] = (tn_real)(s * sum);
        }
    }
    p->a[0]->has_grad = p->b[0]->has_grad = true;
}

double normal(uint64_t stream, int64_t i)
{
    return tn_random_normal(11, stream, 0, (uint64_t)i);
}

double *normals(int64_t n, uint64_t stream)
{
    double *x = calloc((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = normal(stream, i);
    return x;
}

void orthonormalise(int64_t n, int64_t r, const double *x, double *q, double *rr)
{
    memcpy(q, x, (size_t)(n * r) * sizeof *q);
    memset(rr, 0, (size_t)(r * r) * sizeof *rr);
    for (int64_t j = 0; j < r; j++) {
        for (int pass = 0; pass < 2; pass++)
            for (int64_t k = 0; k < j; k++) {
                double dot = 0;
                for (int64_t i = 0; i < n; i++)
                    dot += q[i * r + k] * q[i * r + j];
                for (int64_t i = 0; i < n; i++)
                    q[i * r + j] -= dot * q[i * r + k];
                rr[k * r + j] += dot;
            }
        double norm = 0;
        for (int64_t i = 0; i < n; i++)
            norm += q[i * r + j] * q[i * r + j];
        rr[j * r + j] = sqrt(norm);
        for (int64_t i = 0; i < n && norm > 0; i++)
            q[i * r + j] /= sqrt(norm);
    }
}

void multiply(int64_t n, int64_t r, int64_t m, const double *x, const double *y, bool yt,
              double *out)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) {
            double sum = 0;
            for (int64_t k = 0; k < r; k++)
                sum += x[i * r + k] * (yt ? y[j * r + k] : y[k * m + j]);
            out[i * m + j] = sum;
        }
}

double *problem_factor(const problem *p, bool a)
{
    int64_t n = a ? p->size[0].out : p->size[0].in, r = p->size[0].r;
    double *x = calloc((size_t)(n * r), sizeof *x);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < r; j++)
            x[i * r + j] = (double)(a ? p->b[0]->x[i * r + j] : p->a[0]->x[j * n + i]);
    return x;
}

double *projector(int64_t n, int64_t r, const double *x)
{
    double *q = calloc((size_t)(n * r), sizeof *q), *rr = calloc((size_t)(r * r), sizeof *rr);
    double *out = calloc((size_t)(n * n), sizeof *out);
    orthonormalise(n, r, x, q, rr);
    multiply(n, r, n, q, q, true, out);
    free(q);
    free(rr);
    return out;
}
