/* test_lora_start.c - new adapters start with the distributions of PEFT's init_lora_weights. */
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include "nn/nn.h"

#include <math.h>
#include <stdio.h>

enum { R = 8, IN = 600, OUT = 400 };

typedef struct desk {
    tn_context *c;
    tn_params *p;
    tn_linear_layer l;
    const tn_real *a, *b; // (R,IN), (OUT,R)
} desk;

static desk make(const char *init, uint64_t seed, int64_t rank)
{
    tn_error e = { 0 };
    desk d = { .c = tn_context_new(&(tn_options){ .threads = 1, .seed = seed }) };
    d.p = tn_params_new(d.c);
    d.l = tn_linear_layer_new(d.p, "x", IN, OUT, TN_OUT_IN, false, 1);
    const tn_lora_options o = { .rank = rank, .alpha = 16, .init = init };
    if (tn_lora_add_layer(d.p, &d.l, &o, &e))
        must_fail(&e, TN_EARG, "x: rank 7; expected an even one for the orthogonal start");
    else
        d.a = d.l.lora->a->x, d.b = d.l.lora->b->x;
    ck_assert_int_eq(e.code, 0);
    return d;
}

static void end(desk *d)
{
    tn_params_free(d->p);
    tn_context_free(d->c);
}

/* The mean of x^2 and of x^4: for N(0, v) they are v and 3 v^2, for U(-u, u) u^2/3 and u^4/5. */
static void moments(const tn_real *x, int64_t n, double *two, double *four)
{
    *two = *four = 0;
    for (int64_t i = 0; i < n; i++) {
        const double square = (double)x[i] * (double)x[i];
        *two += square / (double)n;
        *four += square * square / (double)n;
    }
}

static bool is_zero(const tn_real *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (x[i] != 0)
            return false;
    return true;
}

START_TEST(uniform_and_gaussian)
{
    double two, four;
    desk d = make(NULL, 1, R), g = make("gaussian", 1, R), h = make("gaussian", 2, R);
    moments(d.a, R * IN, &two, &four);
    ck_assert_double_eq_tol(two, 1.0 / 3 / IN, 0.05 / 3 / IN);
    ck_assert_double_eq_tol(four / two / two, 9.0 / 5, 0.1);
    moments(g.a, R * IN, &two, &four);
    ck_assert_double_eq_tol(two, 1.0 / R / R, 0.08 / R / R);
    ck_assert_double_eq_tol(four / two / two, 3, 0.3);
    ck_assert(is_zero(d.b, OUT * R) && is_zero(g.b, OUT * R));
    ck_assert(g.a[0] != h.a[0]);
    end(&d);
    end(&g);
    end(&h);
}
END_TEST

/* B A = 0. Of R/2 normal directions with standard deviation 1/10, A and B have the norms. */
START_TEST(orthogonal)
{
    double two, four, most = 0;
    desk d = make("orthogonal", 3, R), odd = make("orthogonal", 3, 7);
    for (int64_t o = 0; o < OUT; o++)
        for (int64_t i = 0; i < IN; i++) {
            double sum = 0;
            for (int64_t r = 0; r < R; r++)
                sum += (double)d.b[o * R + r] * (double)d.a[r * IN + i];
            most = fmax(most, fabs(sum));
        }
    ck_assert_double_lt(most, sizeof(tn_real) == sizeof(double) ? 1e-15 : 1e-7);
    moments(d.a, R * IN, &two, &four);
    ck_assert_double_eq_tol(two, 0.005, 0.0005);
    moments(d.b, OUT * R, &two, &four);
    ck_assert_double_eq_tol(two, 0.005, 0.0005);
    ck_assert(!odd.l.lora && tn_params_count(odd.p) == 1 && odd.l.w->wants_grad);
    end(&d);
    end(&odd);
}
END_TEST

/* A A^T of the orthogonal start has half of its eigenvalues 0: the square of its trace is at most
   R/2 times the sum of its squares. For R directions of equal size it would be R times. */
START_TEST(half_of_the_directions)
{
    desk d = make("orthogonal", 4, R);
    double trace = 0, squares = 0;
    for (int i = 0; i < R; i++)
        for (int j = 0; j < R; j++) {
            double sum = 0;
            for (int64_t k = 0; k < IN; k++)
                sum += (double)d.a[i * IN + k] * (double)d.a[j * IN + k];
            trace += i == j ? sum : 0;
            squares += sum * sum;
        }
    ck_assert_double_le(trace * trace, R / 2 * squares * (1 + 1e-6));
    ck_assert_double_ge(trace * trace, 0.9 * R / 2 * squares);
    end(&d);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, uniform_and_gaussian);
    tcase_add_test(c, orthogonal);
    tcase_add_test(c, half_of_the_directions);
}
