/* test_pairs.c - what the optimizers of LoRA pairs do in one step, by their papers' theorems. In
   the papers' letters: A = lora_B (m,r), B = lora_A^T (n,r), G = dL/dW, gA = s G B, gB = s G^T A. */
#include "tests/fixtures.h"
#include "tests/optim_problem.h"
#include "tests/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M = 9, N = 7, R = 3 };

/* One step. */
typedef struct moved {
    double s, g[M * N];
    double a[M * R], b[N * R];   /* the pair */
    double da[M * R], db[N * R]; /* added to it */
    double ga[M * R], gb[N * R]; /* its gradients */
} moved;

static void take(const problem *p, double *a, double *b)
{
    double *x = problem_factor(p, true), *y = problem_factor(p, false);
    memcpy(a, x, M * R * sizeof *a);
    memcpy(b, y, N * R * sizeof *b);
    free(x);
    free(y);
}

/* One step of p, with G normal. */
static void step_once(problem *p, moved *o)
{
    double *g = normals(M * N, 1);
    memcpy(o->g, g, sizeof o->g);
    o->s = p->size[0].s;
    take(p, o->a, o->b);
    problem_set_gradient(p, g);
    for (int i = 0; i < M * R; i++)
        o->ga[i] = (double)p->b[0]->g[i];
    for (int i = 0; i < N * R; i++)
        o->gb[i] = (double)p->a[0]->g[i % R * N + i / R];
    problem_step(p);
    take(p, o->da, o->db);
    for (int i = 0; i < M * R; i++)
        o->da[i] -= o->a[i];
    for (int i = 0; i < N * R; i++)
        o->db[i] -= o->b[i];
    free(g);
}

static void pair_with(problem *p, const char *name, const char *settings)
{
    problem_pair(p, M, N, R, 1.5, false);
    problem_optimizer(p, name, settings, 0);
}

static void same(const char *what, int64_t n, const double *got, const double *want, double limit)
{
    for (int64_t i = 0; i < n; i++)
        ck_assert_msg(fabs(got[i] - want[i]) <= limit, "%s: [%lld] is %.17g, expected %.17g", what,
                      (long long)i, got[i], want[i]);
}

/* ---- ScaledGD where there is no inverse, and with the decay before all ---- */

/* lora_A's step in units of -gB, when lora_B has only one column, of this size. */
static double share_of_gradient(const char *name, const char *settings, double size)
{
    problem p;
    moved o;
    pair_with(&p, name, settings);
    for (int i = 0; i < M * R; i++)
        p.b[0]->x[i] = (tn_real)(i % R ? 0 : size * cos(i));
    step_once(&p, &o);
    double along = 0, square = 0, off = 0;
    for (int i = 0; i < N * R; i++) {
        along -= o.db[i] * o.gb[i];
        square += o.gb[i] * o.gb[i];
    }
    for (int i = 0; i < N * R; i++)
        off += fabs(o.db[i] + along / square * o.gb[i]);
    ck_assert_double_le(off, 1e-4 * along + limit_of(1e-12, 1e-5)); /* only the size is free */
    problem_free(&p);
    return along / square;
}

/* An eps far above all gradients makes ScaledAdamW a ScaledGD. */
START_TEST(where_there_is_no_inverse)
{
    static const struct { const char *name, *settings; } all[] = {
        { "scaled-gd", "lr=1" }, { "scaled-adam", "lr=1e9 beta1=0 beta2=0 eps=1e9" } };
    double square = 0, close = limit_of(1e-4, 1e-3);
    for (int i = 0; i < M * R; i += R)
        square += cos(i) * cos(i);
    for (int k = 0; k < 2; k++) {
        static const struct { const char *settings; double size; bool identity; } runs[] = {
            { "delta=0", 1, false },
            { "delta=0 fallback=1", 1, true },
            { "preset=mix-of-show", 1, true },
            { "preset=object-generation delta=0", 1, false },
            { "preset=object-generation delta=0", 1e-3, false },
            { "preset=object-generation delta=0", 1e-4, true } };
        for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
            char settings[128];
            snprintf(settings, sizeof settings, "%s %s", runs[i].settings, all[k].settings);
            double share = share_of_gradient(all[k].name, settings, runs[i].size);
            double want = runs[i].identity ? 1 : 1 / (square * runs[i].size * runs[i].size);
            ck_assert_msg(fabs(share / want - 1) < close, "%s %s: %g, expected %g",
                          all[k].name, settings, share, want);
        }
    }
}
END_TEST

START_TEST(decay_before_all_is_a_step_from_the_decayed_pair)
{
    problem p, q;
    moved one, two;
    pair_with(&p, "scaled-gd", "lr=0.1 delta=0.01 weight_decay=2 decay_after=-1");
    pair_with(&q, "scaled-gd", "lr=0.1 delta=0.01");
    step_once(&p, &one);
    for (int i = 0; i < M * R; i++)
        q.b[0]->x[i] *= (tn_real)0.8;
    for (int i = 0; i < N * R; i++)
        q.a[0]->x[i] *= (tn_real)0.8;
    problem_set_gradient(&q, one.g);
    for (int i = 0; i < M * R; i++) /* the gradients of the old point */
        q.b[0]->g[i] /= (tn_real)0.8;
    for (int i = 0; i < N * R; i++)
        q.a[0]->g[i] /= (tn_real)0.8;
    problem_step(&q);
    take(&q, two.a, two.b);
    for (int i = 0; i < M * R; i++)
        one.a[i] += one.da[i];
    for (int i = 0; i < N * R; i++)
        one.b[i] += one.db[i];
    same("A", M * R, one.a, two.a, limit_of(1e-13, 1e-5));
    same("B", N * R, one.b, two.b, limit_of(1e-13, 1e-5));
    problem_free(&p);
    problem_free(&q);
}
END_TEST

/* ---- LoRA-Pro ---- */

/* s (dA B^T + A dB^T). */
static void first_order(const moved *o, double *out)
{
    double second[M * N];
    multiply(M, R, N, o->da, o->b, true, out);
    multiply(M, R, N, o->a, o->db, true, second);
    for (int i = 0; i < M * N; i++)
        out[i] = o->s * (out[i] + second[i]);
}

/* P_A G + G P_B - P_A G P_B: what of G lies in the tangent space of the products at A B^T. */
static void tangent(const moved *o, double *out)
{
    double *pa = projector(M, R, o->a), *pb = projector(N, R, o->b), left[M * N], both[M * N];
    multiply(M, M, N, pa, o->g, false, left);
    multiply(M, N, N, left, pb, false, both);
    multiply(M, N, N, o->g, pb, false, out);
    for (int i = 0; i < M * N; i++)
        out[i] += left[i] - both[i];
    free(pa);
    free(pb);
}

START_TEST(lora_pro_moves_along_the_projected_gradient)
{
    for (int split = 0; split < 3; split++) {
        char settings[64];
        snprintf(settings, sizeof settings, "lr=1 delta=0 split=%d", split);
        problem p;
        moved o;
        double got[M * N], want[M * N];
        pair_with(&p, "lora-pro", settings);
        step_once(&p, &o);
        first_order(&o, got);
        tangent(&o, want);
        for (int i = 0; i < M * N; i++)
            got[i] = -got[i];
        same(settings, M * N, got, want, limit_of(1e-12, 1e-5));
        problem_free(&p);
    }
}
END_TEST

/* ---- lora_B alone: the best approximation of G that it can move along is G P_B ---- */

START_TEST(half_a_step_projects_on_the_rows)
{
    static const struct { const char *name, *settings; } all[] = {
        { "altlora", "lr=1 delta=0 beta1=0" },
        { "altlora", "lr=1 delta=0" }, /* the first step has no past */
        { "altlora-plus", "lr=1e9 eps=1e9 beta1=0 beta2=0 delta=0" },
        { "lorafa", "lr=1e9 eps=1e9 beta1=0 beta2=0 delta=0" } }; /* no Adam is left of these */
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        problem p;
        moved o;
        double got[M * N], want[M * N];
        pair_with(&p, all[k].name, all[k].settings);
        step_once(&p, &o);
        for (int i = 0; i < N * R; i++)
            ck_assert(o.db[i] == 0);
        first_order(&o, got);
        double *pb = projector(N, R, o.b);
        multiply(M, N, N, o.g, pb, false, want);
        for (int i = 0; i < M * N; i++)
            want[i] = -want[i];
        same(all[k].name, M * N, got, want, k < 2 ? limit_of(1e-13, 1e-5) : limit_of(1e-6, 1e-5));
        free(pb);
        problem_free(&p);
    }
}
END_TEST

/* ---- BaLoRA ---- */

/* X^T Y, (r,r), of tall matrices (n,r). */
static void gram(int64_t n, int64_t r, const double *x, const double *y, double *out)
{
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++) {
            out[i * r + j] = 0;
            for (int64_t k = 0; k < n; k++)
                out[i * r + j] += x[k * r + i] * y[k * r + j];
        }
}

/* As many steps of this optimizer on a noisy quadratic; p is left where it ends. */
static void descend(problem *p, const char *name, const char *settings, int from, int to)
{
    if (!from)
        pair_with(p, name, settings);
    for (int t = from; t < to; t++) {
        double target[M * N];
        for (int i = 0; i < M * N; i++)
            target[i] = normal(1, i) + 0.1 * normal(2 + (uint64_t)t, i);
        problem_gradients(p, 0, target, 1);
        problem_step(p);
    }
}

static double largest_difference(const problem *p, const problem *q)
{
    double x[M * N], y[M * N], most = 0;
    problem_product(p, 0, x);
    problem_product(q, 0, y);
    for (int i = 0; i < M * N; i++)
        most = fabs(x[i] - y[i]) > most ? fabs(x[i] - y[i]) : most;
    return most;
}

/* Every optimizer: steps without balancing are those of the optimizer to the bit, one with it keeps
   the product and makes A^T A and B^T B equal. */
START_TEST(balora_balances_after_every_optimizer)
{
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int kind = 1; kind <= 2; kind++) {
            char settings[64];
            snprintf(settings, sizeof settings, "lr=0.01 balora=%d balora_every=3", kind);
            problem p, q;
            descend(&p, (*def)->name, settings, 0, 2);
            descend(&q, (*def)->name, "lr=0.01", 0, 2);
            ck_assert_msg(tn_params_hash(p.params, false) == tn_params_hash(q.params, false),
                          "%s: something moved before the third step", (*def)->name);
            descend(&p, (*def)->name, "", 2, 3);
            descend(&q, (*def)->name, "", 2, 3);
            double off = largest_difference(&p, &q), a[M * R], b[N * R], ga[R * R], gb[R * R];
            ck_assert_msg(off < limit_of(1e-13, 1e-5), "%s: the product moved by %g", (*def)->name,
                          off);
            take(&p, a, b);
            gram(M, R, a, a, ga);
            gram(N, R, b, b, gb);
            same((*def)->name, R * R, ga, gb, limit_of(1e-11, 1e-4));
            problem_free(&p);
            problem_free(&q);
        }
}
END_TEST

START_TEST(balora_keeps_invariant_runs)
{
    static const struct { const char *name, *plain, *balanced; bool same; } runs[] = {
        { "lora-rite", "lr=0.02", "lr=0.02 balora=1", true },
        { "lora-rite", "lr=0.02", "lr=0.02 balora=2 balora_every=7", true },
        { "scaled-gd", "lr=0.02 delta=0", "lr=0.02 delta=0 balora=1", true },
        { "adamw", "lr=0.02", "lr=0.02 balora=1", false } };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        problem p, q;
        descend(&p, runs[i].name, runs[i].plain, 0, 50);
        descend(&q, runs[i].name, runs[i].balanced, 0, 50);
        double off = largest_difference(&p, &q);
        ck_assert_msg(runs[i].same ? off < limit_of(1e-9, 1e-4) : off > 0.1,
                      "%s with %s: the product differs by %g", runs[i].name, runs[i].balanced, off);
        problem_free(&p);
        problem_free(&q);
    }
}
END_TEST

/* A O is nearest to A (and B O to B) when (A O)^T A + (B O)^T B is symmetric and positive. */
START_TEST(balora_2_goes_to_the_nearest_balanced_pair)
{
    problem p, q;
    double a[M * R], b[N * R], before_a[M * R], before_b[N * R], n[R * R], other[R * R];
    descend(&p, "sgd", "lr=0.01 balora=2", 0, 1);
    descend(&q, "sgd", "lr=0.01", 0, 1);
    take(&p, a, b);
    take(&q, before_a, before_b);
    gram(M, R, a, before_a, n);
    gram(N, R, b, before_b, other);
    for (int i = 0; i < R * R; i++)
        n[i] += other[i];
    for (int i = 0; i < R; i++)
        for (int j = 0; j < R; j++)
            ck_assert_double_eq_tol(n[i * R + j], n[j * R + i], limit_of(1e-12, 1e-5));
    double minor = n[0] * n[4] - n[1] * n[3];
    double det = n[2] * (n[3] * n[7] - n[4] * n[6]) - n[5] * (n[0] * n[7] - n[1] * n[6]) +
                 n[8] * minor;
    ck_assert(n[0] > 0 && minor > 0 && det > 0);
    problem_free(&p);
    problem_free(&q);
}
END_TEST

/* lora_B zero, or a direction that both factors lack: nothing is balanced, nothing dies. */
START_TEST(balora_leaves_products_that_lack_rank)
{
    for (int zero = 0; zero < 2; zero++)
        for (int kind = 1; kind <= 2; kind++) {
            problem p;
            char settings[64];
            snprintf(settings, sizeof settings, "lr=1 balora=%d", kind);
            pair_with(&p, "sgd", settings);
            for (int i = 0; i < M * R; i++)
                p.b[0]->x[i] *= (tn_real)(zero ? 0 : i % R < 2);
            for (int i = 0; i < N * R && !zero; i++)
                p.a[0]->x[i] *= (tn_real)(i / N < 2);
            uint64_t before = tn_params_hash(p.params, false);
            problem_step(&p); /* no gradient */
            ck_assert(tn_params_hash(p.params, false) == before);
            descend(&p, "sgd", settings, 1, 5);
            double a[M * R], b[N * R], sum = 0;
            take(&p, a, b);
            for (int i = 0; i < M * R; i++)
                sum += fabs(a[i]);
            ck_assert(isfinite(sum) && sum > 0);
            problem_free(&p);
        }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, where_there_is_no_inverse);
    tcase_add_test(c, decay_before_all_is_a_step_from_the_decayed_pair);
    tcase_add_test(c, lora_pro_moves_along_the_projected_gradient);
    tcase_add_test(c, half_a_step_projects_on_the_rows);
    tcase_add_test(c, balora_balances_after_every_optimizer);
    tcase_add_test(c, balora_keeps_invariant_runs);
    tcase_add_test(c, balora_2_goes_to_the_nearest_balanced_pair);
    tcase_add_test(c, balora_leaves_products_that_lack_rank);
}
