/* test_pairs.c - what the optimizers of LoRA pairs do, by their papers' theorems.
   In the papers' letters: A = lora_B (m,r), B = lora_A^T (n,r), G = dL/dW, gA = s G B, gB = s
   G^T A. */
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

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
    static const struct {
        const char *name, *settings;
    } all[] = { { "scaled-gd", "lr=1" }, { "scaled-adam", "lr=1e9 beta1=0 beta2=0 eps=1e9" } };
    double square = 0, close = limit_of(1e-4, 1e-3);
    for (int i = 0; i < M * R; i += R)
        square += cos(i) * cos(i);
    for (int k = 0; k < 2; k++) {
        static const struct {
            const char *settings;
            double size;
            bool identity;
        } runs[] = { { "delta=0", 1, false },
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
            ck_assert_msg(fabs(share / want - 1) < close, "%s %s: %g, expected %g", all[k].name,
                          settings, share, want);
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
        pair_with(&p, "projected-gd", settings);
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
    static const struct {
        const char *name, *settings;
    } all[] = { { "altlora", "lr=1 delta=0 beta1=0" },
                { "altlora", "lr=1 delta=0" }, /* the first step has no past */
                { "altlora-plus", "lr=1e9 eps=1e9 beta1=0 beta2=0 delta=0" },
                { "lorafa",
                  "lr=1e9 eps=1e9 beta1=0 beta2=0 delta=0" } }; /* no Adam is left of these */
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

/* X Y^T Y X^T, (n,n), of X (n,R) and Y (k,R). */
static void sandwich(int64_t n, int64_t k, const double *x, const double *y, double *out)
{
    double *cross = calloc((size_t)(n * k), sizeof *cross);
    multiply(n, R, k, x, y, true, cross);
    multiply(n, k, n, cross, cross, true, out);
    free(cross);
}

/* With dB = -gB S and dA = -gA S^-1, S A^T A S = B^T B says dB A^T A dB^T = gB B^T B gB^T and
   dA B^T B dA^T = gA A^T A gA^T. */
START_TEST(reflora_steps_by_the_geometric_mean)
{
    problem p;
    moved o;
    double got[M * M], want[M * M], down = 0;
    pair_with(&p, "reflora", "lr=1 adamw=0 warmup_steps=0");
    step_once(&p, &o);
    sandwich(N, M, o.db, o.a, got);
    sandwich(N, N, o.gb, o.b, want);
    same("S A^T A S", N * N, got, want, limit_of(1e-11, 1e-4));
    sandwich(M, N, o.da, o.b, got);
    sandwich(M, M, o.ga, o.a, want);
    same("S^-1 B^T B S^-1", M * M, got, want, limit_of(1e-11, 1e-4));
    for (int i = 0; i < N * R; i++)
        down += o.db[i] * o.gb[i];
    ck_assert_double_lt(down, 0);
    problem_free(&p);
}
END_TEST

/* Every third step from the third on: the rest are the plain optimizer's. */
START_TEST(reflora_waits_for_its_turn)
{
    static const char *const names[] = { "reflora", "reflora-s" };
    for (int k = 0; k < 2; k++) {
        problem p, q;
        int differ = 0;
        for (int t = 1; t <= 6; t++) {
            pair_with(&p, names[k], "lr=0.1 adamw=0 warmup_steps=2 interval=3");
            pair_with(&q, "sgd", "lr=0.1");
            for (int from = 1; from <= t; from++) { /* the plain optimizer does step t from there */
                double target[M * N] = { 1, 2, 3 };
                if (from == t)
                    for (int i = 0; i < M * R; i++)
                        q.b[0]->x[i] = p.b[0]->x[i];
                if (from == t)
                    for (int i = 0; i < N * R; i++)
                        q.a[0]->x[i] = p.a[0]->x[i];
                problem_gradients(&p, 0, target, 1);
                problem_gradients(&q, 0, target, 1);
                problem_step(&p);
                problem_step(&q);
            }
            if (tn_params_hash(p.params, false) != tn_params_hash(q.params, false))
                differ += 1 << t;
            problem_free(&p);
            problem_free(&q);
        }
        ck_assert_int_eq(differ, k ? 1 << 2 | 1 << 5 : 1 << 3 | 1 << 6);
    }
}
END_TEST

START_TEST(both_forms_of_reflora_s_move_the_product_alike)
{
    problem p, q;
    pair_with(&p, "reflora-s", "lr=0.02 adamw=0 warmup_steps=0");
    pair_with(&q, "reflora-s", "lr=0.02 adamw=0 warmup_steps=0 rescale=0");
    problem_descend(&p, 50);
    problem_descend(&q, 50);
    ck_assert_double_le(problem_difference(&p, &q), limit_of(1e-12, 1e-4));
    problem_free(&p);
    problem_free(&q);
}
END_TEST

/* ---- starts that lack rank ---- */

void tests(TCase *c)
{
    tcase_add_test(c, where_there_is_no_inverse);
    tcase_add_test(c, decay_before_all_is_a_step_from_the_decayed_pair);
    tcase_add_test(c, lora_pro_moves_along_the_projected_gradient);
    tcase_add_test(c, half_a_step_projects_on_the_rows);
    tcase_add_test(c, reflora_steps_by_the_geometric_mean);
    tcase_add_test(c, reflora_waits_for_its_turn);
    tcase_add_test(c, both_forms_of_reflora_s_move_the_product_alike);
}
