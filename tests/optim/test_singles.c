/* test_singles.c - the optimizers of single weights, written once more in a few lines. */
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>

typedef struct plain {
    const char *name, *settings;
    double l2, decay, mu;
    bool nesterov, adam;
} plain;

START_TEST(semantics_of_torch)
{
    static const plain all[] = {
        { "sgd", "lr=0.1", 0, 0, 0, false, false },
        { "sgd", "lr=0.1 momentum=0.9 weight_decay=0.1", 0.1, 0, 0.9, false, false },
        { "sgd", "lr=0.1 momentum=0.9 nesterov=1 weight_decay=0.1", 0.1, 0, 0.9, true, false },
        { "adam", "lr=0.1 weight_decay=0.1", 0.1, 0, 0, false, true },
        { "adamw", "lr=0.1 weight_decay=0.1", 0, 0.1, 0, false, true },
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        const plain *o = &all[k];
        problem p;
        problem_pair(&p, 1, 1, 1, 1, false);
        problem_optimizer(&p, o->name, o->settings, 0);
        double x = (double)p.b[0]->x[0], m = 0, v = 0;
        for (int t = 1; t <= 50; t++) {
            double raw = normal(5, t);
            p.b[0]->g[0] = (tn_real)raw;
            p.b[0]->has_grad = true;
            problem_step(&p);
            x *= 1 - 0.1 * o->decay;
            double g = raw + o->l2 * x;
            if (o->adam) {
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                x -= 0.1 * (m / (1 - pow(0.9, t))) / (sqrt(v / (1 - pow(0.999, t))) + 1e-8);
            } else {
                m = o->mu * m + g;
                x -= 0.1 * (o->nesterov ? g + o->mu * m : m);
            }
            ck_assert_msg(fabs((double)p.b[0]->x[0] - x) < limit_of(1e-13, 1e-5),
                          "%s %s: step %d: %.17g, expected %.17g", o->name, o->settings, t,
                          (double)p.b[0]->x[0], x);
        }
        problem_free(&p);
    }
}
END_TEST

/* AMSGrad: at beta2 = 0.5 the second moment falls at every other step, its largest value does not. */
START_TEST(amsgrad_keeps_the_largest)
{
    static const char *const names[] = { "adam", "adamw" };
    for (int k = 0; k < 2; k++) {
        problem p;
        problem_pair(&p, 1, 1, 1, 1, false);
        problem_optimizer(&p, names[k], "lr=0.1 beta2=0.5 weight_decay=0 amsgrad=1", 0);
        double x = (double)p.b[0]->x[0], m = 0, v = 0, top = 0;
        for (int t = 1; t <= 20; t++) {
            double g = normal(5, t);
            p.b[0]->g[0] = (tn_real)g;
            p.b[0]->has_grad = true;
            problem_step(&p);
            m = 0.9 * m + 0.1 * g;
            v = 0.5 * v + 0.5 * g * g;
            top = fmax(top, v);
            x -= 0.1 * (m / (1 - pow(0.9, t))) / (sqrt(top / (1 - pow(0.5, t))) + 1e-8);
            ck_assert_double_eq_tol((double)p.b[0]->x[0], x, limit_of(1e-13, 1e-5));
        }
        problem_free(&p);
    }
}
END_TEST

/* Under constant gradients the variance is zero, and its rounding falls on either side of that. */
START_TEST(centred_rmsprop_stays_finite_under_constant_gradients)
{
    problem p;
    problem_pair(&p, 9, 7, 3, 1, false);
    problem_optimizer(&p, "rmsprop", "lr=1e-9 alpha=0.5 centered=1", 0);
    double *g = normals(27, 1);
    for (int t = 0; t < 100; t++) {
        for (int i = 0; i < 27; i++)
            p.b[0]->g[i] = (tn_real)g[i];
        p.b[0]->has_grad = true;
        problem_step(&p);
    }
    for (int i = 0; i < 27; i++)
        ck_assert(isfinite((double)p.b[0]->x[i]));
    free(g);
    problem_free(&p);
}
END_TEST

/* A weight of one number: row and column are the same. From step 5 on 1 / sqrt(t) is below the rate. */
START_TEST(adafactor_of_one_number)
{
    problem p;
    problem_pair(&p, 1, 1, 1, 1, false);
    problem_optimizer(&p, "adafactor", "lr=0.5", 0);
    double x = (double)p.b[0]->x[0], v = 0;
    for (int t = 1; t <= 20; t++) {
        double g = normal(5, t), w = pow(t, -0.8);
        p.b[0]->g[0] = (tn_real)g;
        p.b[0]->has_grad = true;
        problem_step(&p);
        v += w * (g * g - v);
        double u = g / sqrt(v);
        x -= fmin(0.5, 1 / sqrt(t)) * fmax(1e-3, fabs(x)) * u / fmax(1, fabs(u));
        ck_assert_double_eq_tol((double)p.b[0]->x[0], x, limit_of(1e-13, 1e-5));
    }
    problem_free(&p);
}
END_TEST

/* A weight of one number: both sums are the same. */
START_TEST(shampoo_of_one_number)
{
    static const struct {
        const char *settings;
        int interval;
        bool whitened;
    } runs[] = { { "lr=0.1 eps=0.5", 1, true },
                 { "lr=0.1 eps=0.5 interval=3", 3, true },
                 { "lr=0.1 max_side=0", 1, false } };
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        problem p;
        problem_pair(&p, 1, 1, 1, 1, false);
        problem_optimizer(&p, "shampoo", runs[k].settings, 0);
        double x = (double)p.b[0]->x[0], sum = 0.5, root = 1;
        for (int t = 1; t <= 10; t++) {
            double g = normal(5, t);
            p.b[0]->g[0] = (tn_real)g;
            p.b[0]->has_grad = true;
            problem_step(&p);
            sum += g * g;
            if (runs[k].whitened && (t - 1) % runs[k].interval == 0)
                root = sqrt(sum);
            x -= 0.1 * g / root;
            ck_assert_msg(fabs((double)p.b[0]->x[0] - x) < limit_of(1e-13, 1e-5),
                          "%s: step %d: %.17g, expected %.17g", runs[k].settings, t,
                          (double)p.b[0]->x[0], x);
        }
        problem_free(&p);
    }
}
END_TEST

/* From lora_B = 0 the first gradient of lora_A is zero: its rate is set at step 2, or never. */
START_TEST(sgd_sai_waits_for_a_gradient)
{
    for (int wait = 0; wait < 2; wait++) {
        problem p;
        golden_problem(&p, true, 0);
        problem_optimizer(&p, "sgd-sai", wait ? "lr=0.1" : "lr=0.1 wait=0", 0);
        for (int t = 1; t <= 2; t++) {
            golden_gradients(&p);
            double sum = 0, squares = 0, x[8], g[8];
            for (int i = 0; i < 8; i++) {
                x[i] = (double)p.a[0]->x[i];
                g[i] = (double)p.a[0]->g[i];
                sum += g[i];
                squares += g[i] * g[i];
            }
            double q = wait && t > 1 ? sqrt(squares / ((squares - sum * sum / 8) / 7)) : 0;
            problem_step(&p);
            for (int i = 0; i < 8; i++)
                ck_assert_double_eq_tol((double)p.a[0]->x[i], x[i] - 0.1 * q * g[i],
                                        limit_of(1e-7, 1e-6)); /* its eps */
        }
        problem_free(&p);
    }
}
END_TEST

/* Entries of one size and of mean zero: ||g|| / std = sqrt(n - 1). */
START_TEST(sgd_sai_of_equal_entries)
{
    problem p;
    problem_pair(&p, 5, 6, 2, 1, false);
    problem_optimizer(&p, "sgd-sai", "lr=0.1 weight_decay=0", 0);
    double before[12];
    for (int i = 0; i < 12; i++) {
        before[i] = (double)p.a[0]->x[i];
        p.a[0]->g[i] = (tn_real)(i % 2 ? 0.5 : -0.5);
    }
    p.a[0]->has_grad = true;
    problem_step(&p);
    for (int i = 0; i < 12; i++)
        ck_assert_double_eq_tol(((double)p.a[0]->x[i] - before[i]) / 0.1,
                                (i % 2 ? -0.5 : 0.5) * sqrt(12 - 1), limit_of(1e-6, 1e-5));
    problem_free(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, sgd_sai_of_equal_entries);
    tcase_add_test(c, semantics_of_torch);
    tcase_add_test(c, amsgrad_keeps_the_largest);
    tcase_add_test(c, centred_rmsprop_stays_finite_under_constant_gradients);
    tcase_add_test(c, adafactor_of_one_number);
    tcase_add_test(c, shampoo_of_one_number);
    tcase_add_test(c, sgd_sai_waits_for_a_gradient);
}
