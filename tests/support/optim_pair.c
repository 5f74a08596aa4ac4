/* optim_pair.c - the numbers of one step of a LoRA pair. */
#include "tests/support/optim_pair.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { M = PAIR_M, N = PAIR_N, R = PAIR_R };

void pair_take(const problem *p, double *a, double *b)
{
    double *x = problem_factor(p, true), *y = problem_factor(p, false);
    memcpy(a, x, M * R * sizeof *a);
    memcpy(b, y, N * R * sizeof *b);
    free(x);
    free(y);
}

void pair_step(problem *p, pair_move *o)
{
    double *g = normals(M * N, 1);
    memcpy(o->g, g, sizeof o->g);
    o->s = p->size[0].s;
    pair_take(p, o->a, o->b);
    problem_set_gradient(p, g);
    for (int i = 0; i < M * R; i++)
        o->ga[i] = (double)p->b[0]->g[i];
    for (int i = 0; i < N * R; i++)
        o->gb[i] = (double)p->a[0]->g[i % R * N + i / R];
    problem_step(p);
    pair_take(p, o->da, o->db);
    for (int i = 0; i < M * R; i++)
        o->da[i] -= o->a[i];
    for (int i = 0; i < N * R; i++)
        o->db[i] -= o->b[i];
    free(g);
}

void pair_with(problem *p, const char *name, const char *settings)
{
    problem_pair(p, M, N, R, 1.5, false);
    problem_optimizer(p, name, settings, 0);
}

void pair_same(const char *what, int64_t n, const double *got, const double *want, double limit)
{
    for (int64_t i = 0; i < n; i++)
        ck_assert_msg(fabs(got[i] - want[i]) <= limit, "%s: [%lld] is %.17g, expected %.17g", what,
                      (long long)i, got[i], want[i]);
}

void pair_first_order(const pair_move *o, double *out)
{
    double second[M * N];
    multiply(M, R, N, o->da, o->b, true, out);
    multiply(M, R, N, o->a, o->db, true, second);
    for (int i = 0; i < M * N; i++)
        out[i] = o->s * (out[i] + second[i]);
}
