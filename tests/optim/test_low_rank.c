/* test_low_rank.c - LoRA-RITE and LoRA-Muon with gradients of fewer than r directions.
   Batches of few tokens give such gradients. No step is longer than the two moments allow, also
   with noisy gradients of full rank. Directions without a gradient do not move. The loss falls. */
#include "optim/algebra/linalg.h"
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M = 9, N = 7, R = 4, STEPS = 15 };
enum { CHANGING = R + 1, NOISY }; /* take the place of a rank */

static const char *const invariant[] = { "lora-rite", "lora-muon" };
enum { OPTIMIZERS = sizeof invariant / sizeof *invariant };

/* ---- gradients ---- */

/* Sets a gradient of this rank, with other directions in each step. CHANGING: ranks 1, 2 ... R in
   turn. NOISY: full rank, a mean plus noise of twice its size, as in small batches. */
static void set_gradient(problem *p, int rank, int step)
{
    double g[M * N] = { 0 };
    uint64_t stream = 100 * (uint64_t)step;
    const int directions = rank == CHANGING ? 1 + step % R : rank == NOISY ? 0 : rank;
    for (int i = 0; i < M * N && rank == NOISY; i++)
        g[i] = normal(7, i) + 2 * normal(stream + 9, i);
    for (int k = 0; k < directions; k++)
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++)
                g[i * N + j] +=
                    normal(stream + 2 * (uint64_t)k, i) * normal(stream + 2 * (uint64_t)k + 1, j);
    problem_set_gradient(p, g);
}

/* ---- the length of a step ---- */

/* ||x y^T|| of tall matrices (m,R), (n,R). */
static double size_of_product(const double *x, const double *y)
{
    double z[M * N], sum = 0;
    multiply(M, R, N, x, y, true, z);
    for (int i = 0; i < M * N; i++)
        sum += z[i] * z[i];
    return sqrt(sum);
}

/* How far the product moves in one step, and the lengths of the two halves dA B^T and A dB^T. */
typedef struct motion {
    double whole, half[2];
} motion;

static motion step_of(problem *p)
{
    motion out = { 0 };
    double before[M * N], after[M * N];
    double *a = problem_factor(p, true), *b = problem_factor(p, false);
    problem_product(p, 0, before);
    problem_step(p);
    problem_product(p, 0, after);
    double *a1 = problem_factor(p, true), *b1 = problem_factor(p, false);
    for (int i = 0; i < M * N; i++)
        out.whole += (after[i] - before[i]) * (after[i] - before[i]);
    for (int i = 0; i < M * R; i++)
        a1[i] -= a[i];
    for (int i = 0; i < N * R; i++)
        b1[i] -= b[i];
    out.whole = sqrt(out.whole);
    out.half[0] = size_of_product(a1, b);
    out.half[1] = size_of_product(a, b1);
    double *all[] = { a, b, a1, b1 };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    return out;
}

/* Copies weights, state and number of steps of another problem with the same optimizer. */
static void become(problem *p, const problem *other)
{
    tn_state_block to, from;
    memcpy(p->a[0]->x, other->a[0]->x, R * N * sizeof(tn_real));
    memcpy(p->b[0]->x, other->b[0]->x, M * R * sizeof(tn_real));
    for (int64_t i = 0; tn_optim_state(other->optim, i, &from); i++)
        for (int64_t k = 0; tn_optim_state(p->optim, k, &to); k++)
            if (!strcmp(to.name, from.name))
                memcpy(to.data, from.data,
                       (size_t)to.n * (to.real ? sizeof(tn_real) : sizeof(double)));
    tn_optim_set_steps(p->optim, tn_optim_steps(other->optim));
}

/* eta (||M_A|| + ||M_B||). For LoRA-RITE a twin, in which both factors step from the old ones,
   gives it as ||dA B^T|| + ||A dB^T||. In LoRA-Muon M is half a matrix with singular values of 1 or
   0. */
static double asked_by(problem *twin, double lr)
{
    if (!strcmp(tn_optim_definition(twin->optim)->name, "lora-muon"))
        return lr * sqrt(R);
    motion m = step_of(twin);
    return m.half[0] + m.half[1];
}

/* The largest movement of the product in a step, divided by asked_by. */
static double longest_step(const char *name, const char *settings, bool zero, int rank)
{
    problem p, twin;
    char by_the_old[128];
    double most = 0;
    snprintf(by_the_old, sizeof by_the_old, "%s gauss_seidel=0", settings);
    problem_pair(&p, M, N, R, 1.5, zero);
    problem_pair(&twin, M, N, R, 1.5, zero);
    problem_optimizer(&p, name, settings, 0);
    problem_optimizer(&twin, name, by_the_old, 0);
    for (int t = 0; t < STEPS; t++) {
        become(&twin, &p);
        set_gradient(&p, rank, t);
        set_gradient(&twin, rank, t);
        motion made = step_of(&p);
        double asked = asked_by(&twin, tn_optim_lr(p.optim));
        ck_assert(asked > 0 && made.whole > 0);
        most = fmax(most, made.whole / asked);
    }
    problem_free(&p);
    problem_free(&twin);
    return most;
}

START_TEST(no_step_is_longer_than_its_halves)
{
    static const char *const more[] = { "lr=0.01", "lr=0.3", "lr=0.03 balora=1" };
    for (int k = 0; k < OPTIMIZERS; k++)
        for (size_t s = 0; s < sizeof more / sizeof *more; s++)
            for (int rank = 1; rank <= NOISY; rank++)
                for (int zero = 0; zero < 2; zero++) {
                    double share = longest_step(invariant[k], more[s], zero, rank);
                    ck_assert_msg(share <= 1 + limit_of(1e-6, 1e-3) && share > 0.1,
                                  "%s %s, rank %d%s: %.9g of what its halves ask for", invariant[k],
                                  more[s], rank, zero ? ", from 0" : "", share);
                }
}
END_TEST

/* The other optimizers that claim every invertible T, with published settings. No limit is known:
   the test prints the lengths. */
START_TEST(longest_steps_of_the_others)
{
    static const struct {
        const char *name, *settings;
    } others[] = { { "lora-rite", "lr=0.01 gauss_seidel=0 prior=0 cut=0" },
                   { "lora-rite-paper", "lr=0.01" },
                   { "lora-muon", "lr=0.01 gauss_seidel=0 cut=0" },
                   { "scaled-gd", "lr=0.01 delta=0" },
                   { "projected-gd", "lr=0.01 delta=0" },
                   { "lora-tsd", "lr=0.01" },
                   { "altlora", "lr=0.01 delta=0" } };
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        double most = 0;
        for (int rank = 1; rank <= CHANGING; rank++) {
            problem p;
            problem_pair(&p, M, N, R, 1.5, true);
            problem_optimizer(&p, others[k].name, others[k].settings, 0);
            for (int t = 0; t < STEPS; t++) {
                set_gradient(&p, rank, t);
                motion m = step_of(&p);
                most = fmax(most, m.whole / (m.half[0] + m.half[1]));
            }
            problem_free(&p);
        }
        printf("%-16s %-38s %.2g times its halves\n", others[k].name, others[k].settings, most);
        ck_assert(isfinite(most));
    }
}
END_TEST

/* ---- where it moves ---- */

/* Singular value k, from 0 for the largest, of z (M,N). */
static double singular(const double *z, int k)
{
    double zz[N * N] = { 0 }, w[N], work[N * N + 3 * N], e[N * N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int q = 0; q < M; q++)
                zz[i * N + j] += z[q * N + i] * z[q * N + j];
    tn_eigen(N, zz, w, work, e);
    return sqrt(fmax(w[N - 1 - k], 0));
}

/* Sets gradients whose columns and rows all lie in one space of this many dimensions. */
static void set_confined(problem *p, int dimensions, int step)
{
    double g[M * N] = { 0 };
    for (int a = 0; a < dimensions; a++)
        for (int b = 0; b < dimensions; b++)
            for (int i = 0; i < M; i++)
                for (int j = 0; j < N; j++)
                    g[i * N + j] += normal(5 + (uint64_t)a, i) * normal(15 + (uint64_t)b, j) *
                                    normal(1000 + (uint64_t)step, a * R + b);
    problem_set_gradient(p, g);
}

START_TEST(nothing_moves_where_there_is_no_gradient)
{
    for (int k = 0; k < OPTIMIZERS; k++)
        for (int zero = 0; zero < 2; zero++)
            for (int dimensions = 1; dimensions <= (zero ? R - 1 : R / 2); dimensions++) {
                problem p;
                double start[M * N], now[M * N];
                problem_pair(&p, M, N, R, 1.5, zero);
                problem_product(&p, 0, start);
                problem_optimizer(&p, invariant[k], "lr=0.1", 0);
                for (int t = 0; t < STEPS; t++) {
                    set_confined(&p, dimensions, t);
                    problem_step(&p);
                    problem_product(&p, 0, now);
                    for (int i = 0; i < M * N; i++)
                        now[i] -= start[i];
                    int most = zero ? dimensions : 2 * dimensions;
                    ck_assert_msg(singular(now, most) <= 1e-6 * singular(now, 0),
                                  "%s%s, %d dimensions, step %d: singular value %d is %g of the "
                                  "largest",
                                  invariant[k], zero ? " from 0" : "", dimensions, t + 1, most + 1,
                                  singular(now, most) / singular(now, 0));
                }
                problem_free(&p);
            }
}
END_TEST

/* ---- and the loss ---- */

enum { TOKENS = 6 };

/* Token k: a vector x of length about 1, and y = Y x, where Y has rank 2. */
static void token(int k, double *x, double *y)
{
    for (int j = 0; j < N; j++)
        x[j] = normal(4, k * N + j) / sqrt(N);
    memset(y, 0, M * sizeof *y);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++)
            for (int q = 0; q < 2; q++)
                y[i] += normal(3, i * 2 + q) * normal(5, j * 2 + q) * x[j];
}

/* Sets the gradients of the sum of 1/2 ||s A B^T x - y||^2 over `count` tokens. Returns the sum. */
static double set_batch(problem *p, int first, int count)
{
    double z[M * N], g[M * N] = { 0 }, x[N], y[M], loss = 0;
    problem_product(p, 0, z);
    for (int k = first; k < first + count; k++) {
        token(k % TOKENS, x, y);
        for (int i = 0; i < M; i++) {
            double off = -y[i];
            for (int j = 0; j < N; j++)
                off += p->size[0].s * z[i * N + j] * x[j];
            for (int j = 0; j < N; j++)
                g[i * N + j] += off * x[j];
            loss += 0.5 * off * off;
        }
    }
    problem_set_gradient(p, g);
    return loss;
}

START_TEST(the_loss_falls_whatever_the_size_of_a_batch)
{
    static const char *const rates[OPTIMIZERS][3] = { { "lr=0.01", "lr=0.03", "lr=0.1" },
                                                      { "lr=0.03", "lr=0.1", "lr=0.3" } };
    for (int k = 0; k < OPTIMIZERS; k++)
        for (int rate = 0; rate < 3; rate++)
            for (int size = 1; size <= TOKENS; size++)
                for (int zero = 0; zero < 2; zero++) {
                    problem p;
                    problem_pair(&p, M, N, R, 1.5, zero);
                    problem_optimizer(&p, invariant[k], rates[k][rate], 0);
                    double start = set_batch(&p, 0, TOKENS);
                    for (int t = 0; t < 50; t++) {
                        set_batch(&p, t * size, size);
                        problem_step(&p);
                    }
                    double end = set_batch(&p, 0, TOKENS);
                    ck_assert_msg(end < start, "%s %s, batch %d%s: from %g to %g", invariant[k],
                                  rates[k][rate], size, zero ? " from 0" : "", start, end);
                    problem_free(&p);
                }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, no_step_is_longer_than_its_halves);
    tcase_add_test(c, longest_steps_of_the_others);
    tcase_add_test(c, nothing_moves_where_there_is_no_gradient);
    tcase_add_test(c, the_loss_falls_whatever_the_size_of_a_batch);
}
