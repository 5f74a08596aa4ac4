/* test_ops_values.c - the numbers that ops compute, compared with results by hand.
   Operands are also huge, NaN or all equal. The file is long: it has some lines for each op. */
#include "tests/support/op_samples.h"

#include <math.h>

/* ---- by hand: the gradient check cannot show that forward is wrong ---- */

static void expect(const char *what, const tn_tensor *a, const double want[])
{
    ck_assert_msg(a != NULL, "%s: refused", what);
    for (int64_t i = 0; i < tn_tensor_count(a); i++)
        ck_assert_msg(fabs((double)a->x[i] - want[i]) < 1e-6 * fmax(1, fabs(want[i]) / 8),
                      "%s: element %ld is %.9g, expected %.9g", what, (long)i, (double)a->x[i],
                      want[i]);
}

#define VALUES(...) ((const double[]){ __VA_ARGS__ })

START_TEST(plain_ops_by_hand)
{
    bench b = bench_new();
    tn_tensor *a = tensor(2, DIM(2, 2), VALUES(1, -2, 3, 4), false);
    tn_tensor *c = tensor(2, DIM(2, 2), VALUES(5, 6, -7, 8), false);
    tn_tensor *row = tensor(1, DIM(2), VALUES(10, 20), false),
              *id = tn_tensor_new(TN_I32, 1, DIM(1), false),
              *mask = tn_tensor_new(TN_I32, 1, DIM(2), false);
    id->i[0] = mask->i[1] = 1;
    expect("add", tn_add(b.t, a, c), VALUES(6, 4, -4, 12));
    expect("add a row", tn_add(b.t, a, row), VALUES(11, 18, 13, 24));
    expect("mul", tn_mul(b.t, a, c), VALUES(5, -12, -21, 32));
    expect("scale", tn_scale(b.t, a, -0.5), VALUES(-0.5, 1, -1.5, -2));
    expect("sub", tn_sub(b.t, a, c), VALUES(-4, -8, 10, -4));
    expect("div", tn_div(b.t, a, c), VALUES(0.2, -1. / 3, -3. / 7, 0.5));
    expect("clamp", tn_clamp(b.t, a, -1, 3.5), VALUES(1, -1, 3, 3.5));
    expect("soft_cap", tn_soft_cap(b.t, a, 2),
           VALUES(0.9242343145, -1.5231883119, 1.8102965073, 1.9280551602));
    expect("neg", tn_neg(b.t, a), VALUES(-1, 2, -3, -4));
    expect("abs", tn_abs(b.t, a), VALUES(1, 2, 3, 4));
    expect("square", tn_square(b.t, a), VALUES(1, 4, 9, 16));
    expect("sqrt", tn_sqrt(b.t, tn_square(b.t, a)), VALUES(1, 2, 3, 4));
    expect("exp", tn_exp(b.t, a), VALUES(2.7182818285, 0.1353352832, 20.0855369232, 54.5981500331));
    expect("log", tn_log(b.t, tn_exp(b.t, a)), VALUES(1, -2, 3, 4));
    expect("tanh", tn_tanh(b.t, a),
           VALUES(0.7615941560, -0.9640275801, 0.9950547537, 0.9993292997));
    expect("sigmoid", tn_sigmoid(b.t, a),
           VALUES(0.7310585786, 0.1192029220, 0.9525741268, 0.9820137900));
    expect("softplus", tn_softplus(b.t, a),
           VALUES(1.3132616875, 0.1269280110, 3.0485873516, 4.0181499279));
    expect("relu", tn_relu(b.t, a), VALUES(1, 0, 3, 4));
    expect("gelu", tn_gelu(b.t, a), VALUES(0.8411919906, -0.0454023059, 2.9963627, 3.9999297541));
    expect("gelu_erf", tn_gelu_erf(b.t, a),
           VALUES(0.8413447461, -0.0455002639, 2.9959503059, 3.9998733150));
    expect("silu", tn_silu(b.t, a),
           VALUES(0.7310585786, -0.2384058440, 2.8577223804, 3.9280551601));
    expect("swiglu", tn_swiglu(b.t, a, tn_scale(b.t, a, 0.125)),
           VALUES(0.0913823223, 0.0596014610, 1.0716458927, 1.9640275801));
    expect("mse", tn_mse(b.t, a, c), VALUES(49));
    expect("l1", tn_l1(b.t, a, c), VALUES(6.5));
    expect("sum", tn_sum(b.t, a), VALUES(6));
    expect("mean", tn_mean(b.t, a), VALUES(1.5));
    expect("sum_dim", tn_sum_dim(b.t, a, 0, false), VALUES(4, 2));
    expect("mean_dim", tn_mean_dim(b.t, a, -1, true), VALUES(-0.5, 3.5));
    expect("max_dim", tn_max_dim(b.t, c, 1, false), VALUES(6, 8));
    expect("argmax", tn_one_hot(b.t, tn_argmax(b.t, c, 0, false), 2), VALUES(1, 0, 0, 1));
    expect("log_softmax", tn_log_softmax(b.t, a),
           VALUES(-0.0485873516, -3.0485873516, -1.3132616875, -0.3132616875));
    expect("matmul", tn_matmul(b.t, a, c), VALUES(19, -10, -13, 50));
    tn_tensor *const three = tn_stack(b.t, 2, (tn_tensor *[]){ a, c }, 0);
    expect("bmm", tn_bmm(b.t, three, three), VALUES(-5, -10, 15, 10, -17, 78, -91, 22));
    expect("linear (out,in)", tn_linear(b.t, a, c, row, TN_OUT_IN), VALUES(3, -3, 49, 31));
    expect("linear (in,out)", tn_linear(b.t, a, c, row, TN_IN_OUT), VALUES(29, 10, -3, 70));
    expect("embed", tn_embed(b.t, a, id), VALUES(3, 4));
    expect("slice", tn_slice(b.t, a, 1, 1, 2), VALUES(-2, 4));
    expect("slice of rows", tn_slice(b.t, a, -2, 1, 2), VALUES(3, 4));
    tn_tensor *const parts[] = { a, c, a, c, a, c, a };
    expect("concat", tn_concat(b.t, 2, parts, -1), VALUES(1, -2, 5, 6, 3, 4, -7, 8));
    expect("concat of 7", tn_concat(b.t, 7, parts, 0),
           VALUES(1, -2, 3, 4, 5, 6, -7, 8, 1, -2, 3, 4, 5, 6, -7, 8, 1, -2, 3, 4, 5, 6, -7, 8, 1,
                  -2, 3, 4));
    expect("stack", tn_stack(b.t, 2, parts, 0), VALUES(1, -2, 3, 4, 5, 6, -7, 8));
    expect("stack inside", tn_stack(b.t, 2, parts, 1), VALUES(1, -2, 5, 6, 3, 4, -7, 8));
    expect("stack of 7 behind", tn_stack(b.t, 7, parts, -1),
           VALUES(1, 5, 1, 5, 1, 5, 1, -2, 6, -2, 6, -2, 6, -2, 3, -7, 3, -7, 3, -7, 3, 4, 8, 4, 8,
                  4, 8, 4));
    expect("paste", tn_paste(b.t, a, tn_slice(b.t, c, 1, 0, 1), 1, 1), VALUES(1, 5, 3, -7));
    expect("transpose", tn_transpose(b.t, a, 0, -1), VALUES(1, 3, -2, 4));
    expect("gather", tn_gather(b.t, row, id, 0), VALUES(20));
    expect("masked_fill", tn_masked_fill(b.t, a, mask, 9), VALUES(1, 9, 3, 9));
    expect("one_hot", tn_one_hot(b.t, id, 3), VALUES(0, 1, 0));
    expect("reshape", tn_reshape(b.t, a, 1, DIM(4)), VALUES(1, -2, 3, 4));
    tn_tensor_free(a);
    tn_tensor_free(c);
    tn_tensor_free(row);
    tn_tensor_free(id);
    tn_tensor_free(mask);
    bench_free(b);
}
END_TEST

/* A term alone: nothing is lost where it is small, and what is no loss is not finite. */
START_TEST(losses_of_pairs_at_the_ends)
{
    tn_tensor *(*const bce)(tn_tape *, tn_tensor *, tn_tensor *) = tn_bce_with_logits;
    const struct {
        tn_tensor *(*loss)(tn_tape *, tn_tensor *, tn_tensor *);
        double a, b, want, da, db;
    } rows[] = {
        { bce, 60, 1, 8.7565107627e-27, -8.7565107627e-27, -60 },
        { bce, -60, 0, 8.7565107627e-27, 8.7565107627e-27, 60 },
        { bce, 0, 0.25, 0.6931471806, 0.25, 0 },
        { bce, 60, 0.25, 45, 0.75, -60 },
        { tn_kl, -INFINITY, 0, 0, 0, 0 },
        { tn_kl, -2, 0, 0, 0, 0 },
        { tn_kl, -2, 1, 2, -1, 3 },
        { tn_kl, -2, -1, NAN, 0, 0 },
        { tn_kl, -2, NAN, NAN, 0, 0 },
        { bce, NAN, 1, NAN, 0, 0 },
    };
    bench b = bench_new();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tn_tensor *x = tensor(1, DIM(1), &rows[i].a, true),
                  *p = tensor(1, DIM(1), &rows[i].b, true);
        tn_tensor *y = rows[i].loss(b.t, x, p);
        ck_assert_int_eq(tn_backward(b.t, y), isnan(rows[i].want) ? TN_ENONFINITE : 0);
        const double want[] = { rows[i].want, rows[i].da, rows[i].db };
        const double all[] = { (double)y->x[0], x->has_grad ? (double)x->g[0] : 0,
                               p->has_grad ? (double)p->g[0] : 0 };
        for (int k = 0; k < 3; k++)
            ck_assert_msg(isnan(want[k]) ? isnan(all[k])
                                         : fabs(all[k] - want[k]) <= 1e-6 * fabs(want[k]),
                          "row %zu: number %d is %.9g, expected %.9g", i, k, all[k], want[k]);
        tn_tape_reset(b.t);
        tn_tensor_free(x);
        tn_tensor_free(p);
    }
    bench_free(b);
}
END_TEST

/* The angle is a quarter turn at position 1, (x, y) becomes (-y, x), and 0 at position 0. The last
   column does not change. */
START_TEST(rope_by_hand)
{
    bench b = bench_new();
    tn_tensor *x = tensor(3, DIM(1, 2, 4), VALUES(1, 2, 3, 4, 5, 6, 7, 8), false);
    tn_tensor *table = tensor(2, DIM(2, 2), VALUES(1, 0, 0, 1), false),
              *trained = tensor(2, DIM(2, 2), NULL, true);
    expect("rope", tn_rope(b.t, x, table, NULL, 1), VALUES(1, 2, 3, 4, -6, 5, 7, 8));
    expect("rope of all heads", tn_rope(b.t, x, table, NULL, 2), VALUES(1, 2, 3, 4, -6, 5, -8, 7));
    ck_assert_ptr_null(tn_rope(b.t, x, trained, NULL, 1));
    ck_assert_str_eq(tn_tape_error(b.t),
                     "rope: operand 2 wants a gradient; expected a fixed table");
    tn_tensor_free(x);
    tn_tensor_free(table);
    tn_tensor_free(trained);
    bench_free(b);
}
END_TEST

static double eighth(void *arg, double f)
{
    ++*(int *)arg;
    return f / 8;
}

static double infinite(void *arg, double f)
{
    (void)arg;
    return f * INFINITY;
}

/* Compared with libm, for angles up to 200,000. The last bit of libm may be wrong. */
START_TEST(rope_table_has_its_angles)
{
    enum { POSITIONS = 200001, SIZE = 6 };
    int calls = 0;
    const tn_rope_options all[] = { { 0 }, { .theta = 5e5, .frequency = eighth, .arg = &calls } };
    for (int o = 0; o < 2; o++) {
        tn_tensor *table = tn_rope_table(POSITIONS, SIZE, o ? &all[1] : NULL);
        for (int64_t p = 0; p < POSITIONS; p += p < 100 ? 1 : 997)
            for (int i = 0; i < SIZE / 2; i++) {
                const double f = pow(o ? 5e5 : 1e4, -2.0 * i / SIZE) / (o ? 8 : 1);
                const double angle = (double)p * f;
                const tn_real *row = table->x + p * SIZE;
                ck_assert_double_eq_tol((double)row[i], cos(angle), 1e-7);
                ck_assert_double_eq_tol((double)row[i + SIZE / 2], sin(angle), 1e-7);
            }
        tn_tensor_free(table);
    }
    ck_assert_int_eq(calls, SIZE / 2);
    ck_assert_ptr_null(tn_rope_table(4, 5, NULL));
    ck_assert_ptr_null(tn_rope_table(0, 4, NULL));
    ck_assert_ptr_null(tn_rope_table(4, 4, &(tn_rope_options){ .theta = INFINITY }));
    ck_assert_ptr_null(tn_rope_table(4, 4, &(tn_rope_options){ .frequency = infinite }));
}
END_TEST

/* Mean 3 and variance 3.5 of 1 2 3 6: with eps 0.5 the divisor is 2. */
START_TEST(layer_norm_by_hand)
{
    bench b = bench_new();
    tn_tensor *x = tensor(2, DIM(1, 4), VALUES(1, 2, 3, 6), false),
              *w = tensor(1, DIM(4), VALUES(1, 2, 3, 4), false);
    tn_tensor *bias = tensor(1, DIM(4), VALUES(0, 0, 10, 10), false);
    expect("layer_norm", tn_layer_norm(b.t, x, w, NULL, 0.5), VALUES(-1, -1, 0, 6));
    expect("layer_norm with bias", tn_layer_norm(b.t, x, w, bias, 0.5), VALUES(-1, -1, 10, 16));
    tn_tensor_free(x);
    tn_tensor_free(w);
    tn_tensor_free(bias);
    bench_free(b);
}
END_TEST

/* The mean square of 1 1 1 5 is 7: with eps 9 the divisor is 4. */
START_TEST(rms_norm_by_hand)
{
    bench b = bench_new();
    tn_tensor *x = tensor(2, DIM(1, 4), VALUES(1, 1, 1, 5), false),
              *w = tensor(1, DIM(4), VALUES(1, 2, -3, 4), false);
    expect("rms_norm", tn_rms_norm(b.t, x, w, 9, 0), VALUES(0.25, 0.5, -0.75, 5));
    expect("rms_norm of 1 + w", tn_rms_norm(b.t, x, w, 9, 1), VALUES(0.5, 0.75, -0.5, 6.25));
    tn_tensor_free(x);
    tn_tensor_free(w);
    bench_free(b);
}
END_TEST

/* Three rows of equal logits, two of them with a label: the loss is log 4. */
START_TEST(loss_divides_by_tokens)
{
    bench b = bench_new();
    tn_tensor *x = tensor(2, DIM(3, 1), VALUES(0, 0, 0), false),
              *w = tensor(2, DIM(4, 1), VALUES(1, 2, 3, 4), false);
    tn_tensor *labels = tn_tensor_new(TN_I32, 1, DIM(3), false),
              *z = tn_linear(b.t, x, w, NULL, TN_OUT_IN);
    labels->i[1] = -1;
    expect("cross_entropy", tn_cross_entropy(b.t, z, labels, 0), VALUES(1.3862943611));
    expect("cross_entropy of 8", tn_cross_entropy(b.t, z, labels, 8), VALUES(2 * 1.3862943611 / 8));
    expect("linear_xent of 8", tn_linear_xent(b.t, x, w, labels, 8, 0), VALUES(2 * 1.3862943611 / 8));
    tn_tensor_free(x);
    tn_tensor_free(w);
    tn_tensor_free(labels);
    bench_free(b);
}
END_TEST

/* ---- softmax and cross-entropy ---- */

enum { WIDTH = 4 };

typedef struct extreme {
    double z[WIDTH], p[WIDTH], loss;
} extreme; /* `loss` is that of label 0 */

static const extreme extremes[] = {
    { { 0, 0, 0, 0 }, { 0.25, 0.25, 0.25, 0.25 }, 1.3862943611198906 },
    { { 1e4, -1e4, -1e4, -1e4 }, { 1, 0, 0, 0 }, 0 },
    { { -1e4, 1e4, 1e4, -1e4 }, { 0, 0.5, 0.5, 0 }, 20000.693147180559945 },
    { { 3e38, -3e38, -3e38, -3e38 }, { 1, 0, 0, 0 }, 0 },
    { { 1, -INFINITY, 1, 1 }, { 1 / 3., 0, 1 / 3., 1 / 3. }, 1.0986122886681098 },
    { { -INFINITY, 0, 0, 0 }, { 0, 1 / 3., 1 / 3., 1 / 3. }, INFINITY },
    { { -INFINITY, -INFINITY, -INFINITY, -INFINITY }, { 0, 0, 0, 0 }, INFINITY },
};

START_TEST(extreme_logits)
{
    const extreme *e = &extremes[_i];
    bench b = bench_new();
    tn_tensor *z = tensor(2, DIM(1, WIDTH), e->z, true),
              *label = tn_tensor_new(TN_I32, 1, DIM(1), false);
    tn_tensor *p = tn_softmax(b.t, z);
    for (int i = 0; i < WIDTH; i++)
        ck_assert_double_eq_tol((double)p->x[i], e->p[i], 1e-6);
    double first = (double)tn_log_softmax(b.t, z)->x[0];
    ck_assert(isinf(e->loss) ? first == -e->loss : fabs(first + e->loss) <= 1e-6 * (1 + e->loss));
    tn_tensor *loss = tn_cross_entropy(b.t, z, label, 0);
    if (isinf(e->loss)) {
        ck_assert_double_eq((double)loss->x[0], INFINITY);
        ck_assert_int_eq(tn_backward(b.t, loss), TN_ENONFINITE);
        ck_assert(!z->has_grad);
    } else {
        ck_assert_double_eq_tol((double)loss->x[0], e->loss, 1e-6 * (1 + e->loss));
        ck_assert_int_eq(tn_backward(b.t, loss), 0);
        for (int i = 0; i < WIDTH; i++)
            ck_assert_double_eq_tol((double)z->g[i], e->p[i] - (i == 0), 1e-6);
    }
    tn_tensor_free(z);
    tn_tensor_free(label);
    bench_free(b);
}
END_TEST

/* A NaN makes all results that depend on it NaN, and no result of another row. */
START_TEST(nan_comes_from_nan)
{
    bench b = bench_new();
    const double z[2 * WIDTH] = { 1, NAN, 2, 3, 1, 2, 3, 4 };
    tn_tensor *a = tensor(2, DIM(2, WIDTH), z, false), *w = tensor(1, DIM(WIDTH), NULL, false);
    tn_tensor *results[] = { tn_softmax(b.t, a), tn_layer_norm(b.t, a, w, NULL, 1e-5) };
    for (int r = 0; r < 2; r++)
        for (int i = 0; i < WIDTH; i++) {
            ck_assert(isnan(results[r]->x[i]));
            ck_assert(isfinite(results[r]->x[WIDTH + i]));
        }
    ck_assert(isnan(tn_relu(b.t, a)->x[1]));
    const tn_real *largest = tn_max_dim(b.t, a, 1, false)->x,
                  *above = tn_max_dim(b.t, a, 0, false)->x;
    ck_assert(isnan(largest[0]) && largest[1] == 4 && isnan(above[1]) && above[0] == 1);
    ck_assert_int_eq(tn_argmax(b.t, a, 1, false)->i[0], 1);
    ck_assert_int_eq(tn_argmax(b.t, tn_scale(b.t, a, -1), 1, false)->i[0], 1);
    const tn_pool_form pairs = { .size = { 1, 2 } };
    tn_tensor *image = tn_reshape(b.t, a, 4, DIM(1, 1, 2, WIDTH));
    const tn_real *pooled = tn_max_pool2d(b.t, image, pairs)->x,
                  *means = tn_mean_pool2d(b.t, image, pairs)->x;
    ck_assert(isnan(pooled[0]) && pooled[1] == 3 && pooled[2] == 2 && pooled[3] == 4);
    ck_assert(isnan(means[0]) && means[1] == (tn_real)2.5);
    ck_assert(isnan(tn_clamp(b.t, a, 0, 1)->x[1]) && isnan(tn_abs(b.t, a)->x[1]));
    ck_assert(isnan(tn_gelu(b.t, a)->x[1]) && isnan(tn_gelu_erf(b.t, a)->x[1]) &&
              isnan(tn_silu(b.t, a)->x[1]));
    tn_tensor_free(a);
    tn_tensor_free(w);
    bench_free(b);
}
END_TEST

START_TEST(long_rows_sum_to_one)
{
    bench b = bench_new();
    tn_tensor *a = tensor(2, DIM(1, 100000), NULL, false), *one = tensor(2, DIM(1, 1), NULL, false);
    double sum = 0;
    tn_tensor *p = tn_softmax(b.t, a);
    for (int64_t i = 0; i < 100000; i++)
        sum += (double)p->x[i];
    ck_assert_double_eq_tol(sum, 1, 1e-6);
    ck_assert_double_eq((double)tn_softmax(b.t, one)->x[0], 1);
    tn_tensor_free(a);
    tn_tensor_free(one);
    bench_free(b);
}
END_TEST

START_TEST(no_row_counts)
{
    bench b = bench_new();
    tn_tensor *x = tensor(2, DIM(2, 3), NULL, true), *w = tensor(2, DIM(5, 3), NULL, true);
    tn_tensor *labels = tn_tensor_new(TN_I32, 1, DIM(2), false);
    labels->i[0] = labels->i[1] = -1;
    tn_tensor *loss = tn_linear_xent(b.t, x, w, labels, 0, 0);
    loss =
        tn_add(b.t, loss, tn_cross_entropy(b.t, tn_linear(b.t, x, w, NULL, TN_OUT_IN), labels, 0));
    ck_assert_double_eq((double)loss->x[0], 0);
    ck_assert_int_eq(tn_backward(b.t, loss), 0);
    for (int i = 0; i < 15; i++)
        ck_assert(w->g[i] == 0 && (i >= 6 || x->g[i] == 0));
    tn_tensor_free(x);
    tn_tensor_free(w);
    tn_tensor_free(labels);
    bench_free(b);
}
END_TEST

/* ---- layer norm and attention ---- */

START_TEST(norm_without_variance)
{
    bench b = bench_new();
    const double same[] = { 7, 7, 7, 7 }, w[] = { 1, 2, 3, 4 };
    tn_tensor *x = tensor(2, DIM(1, WIDTH), same, true), *weight = tensor(1, DIM(WIDTH), w, true);
    tn_tensor *y = tn_layer_norm(b.t, x, weight, weight, 1e-5);
    for (int i = 0; i < WIDTH; i++)
        ck_assert_double_eq((double)y->x[i], w[i]);
    ck_assert_int_eq(tn_backward(b.t, tn_sum(b.t, tn_mul(b.t, y, y))), 0);
    for (int i = 0; i < WIDTH; i++)
        ck_assert(isfinite(x->g[i]) && isfinite(weight->g[i]));
    tn_tensor_free(x);
    tn_tensor_free(weight);
    bench_free(b);
}
END_TEST

/* Scores of 1e4 and more. Each query must copy the value of the key with the largest score. */
START_TEST(attention_of_huge_scores)
{
    enum { T = 150 };
    bench b = bench_new();
    tn_tensor *q = tensor(3, DIM(1, T, 1), NULL, true), *k = tensor(3, DIM(1, T, 1), NULL, true);
    tn_tensor *v = tensor(3, DIM(1, T, 1), NULL, true);
    for (int i = 0; i < T; i++) {
        q->x[i] = 1000;
        k->x[i] = (tn_real)(i % 2 ? 10 * i : -10 * i); /* the last odd key wins */
    }
    tn_tensor *o = tn_attention(b.t, q, k, v, (tn_attention_form){ .heads = 1 });
    for (int i = 1; i < T; i++)
        ck_assert_double_eq_tol((double)o->x[i], (double)v->x[i % 2 ? i : i - 1], 1e-6);
    ck_assert_int_eq(tn_backward(b.t, tn_sum(b.t, o)), 0);
    for (int i = 0; i < T; i++)
        ck_assert(isfinite(q->g[i]) && isfinite(k->g[i]) && isfinite(v->g[i]));
    tn_tensor_free(q);
    tn_tensor_free(k);
    tn_tensor_free(v);
    bench_free(b);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, plain_ops_by_hand);
    tcase_add_test(c, losses_of_pairs_at_the_ends);
    tcase_add_test(c, rope_by_hand);
    tcase_add_test(c, rope_table_has_its_angles);
    tcase_add_test(c, layer_norm_by_hand);
    tcase_add_test(c, rms_norm_by_hand);
    tcase_add_test(c, loss_divides_by_tokens);
    tcase_add_loop_test(c, extreme_logits, 0, sizeof extremes / sizeof *extremes);
    tcase_add_test(c, nan_comes_from_nan);
    tcase_add_test(c, long_rows_sum_to_one);
    tcase_add_test(c, no_row_counts);
    tcase_add_test(c, norm_without_variance);
    tcase_add_test(c, attention_of_huge_scores);
}
