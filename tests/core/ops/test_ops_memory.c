/* test_ops_memory.c - frozen weights of any type, and what ops must not store.
   Also: both layouts of a weight, dropout without a mask in memory, sums that are cut into
   ranges. */
#include "tests/support/op_samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- frozen weights: the same bits as their values in tn_real ---- */

/* clang-format off */
typedef struct half { tn_dtype type; uint16_t bits; double value; } half;
/* clang-format on */

static const half halves[] = {
    { TN_BF16, 0x3f80, 1 },        { TN_BF16, 0xc049, -3.140625 }, { TN_BF16, 0x0001, 0x1p-133 },
    { TN_BF16, 0x7f80, INFINITY }, { TN_F16, 0x3c00, 1 },          { TN_F16, 0xc248, -3.140625 },
    { TN_F16, 0x0001, 0x1p-24 },   { TN_F16, 0x83ff, -0x3ffp-24 }, { TN_F16, 0x0400, 0x1p-14 },
    { TN_F16, 0x7bff, 65504 },     { TN_F16, 0xfc00, -INFINITY },
};

START_TEST(half_has_its_value)
{
    bench b = bench_new();
    tn_tensor *w = tn_tensor_new(halves[_i].type, 2, DIM(1, 1), false),
              *id = tn_tensor_new(TN_I32, 1, DIM(1), false);
    memcpy(w->data, &halves[_i].bits, 2);
    ck_assert_double_eq((double)tn_embed(b.t, w, id)->x[0], halves[_i].value);
    tn_tensor_free(w);
    tn_tensor_free(id);
    bench_free(b);
}
END_TEST

/* A weight of random bytes, without the exponents of infinity and NaN. */
static tn_tensor *frozen_weight(tn_dtype type, int ndim, const int64_t dim[])
{
    tn_tensor *w = tn_tensor_new(type, ndim, dim, false);
    ck_assert_ptr_nonnull(w);
    for (size_t k = 0; k < tn_tensor_bytes(w); k++)
        ((unsigned char *)w->data)[k] = (unsigned char)(tn_random(1, 1, 0, k) & 0xbf);
    return w;
}

/* Changes the sample so that rows of operand i are whole blocks. Every dimension of any operand
   that is as long as such a row becomes `block` times as long. */
static tn_sample with_blocks(tn_sample s, int i, int64_t block)
{
    int64_t row = 0;
    for (int d = 0; s.in[i][d]; d++)
        row = s.in[i][d];
    for (int k = 0; k < TN_MAX_INPUTS; k++)
        for (int d = 0; s.in[k][d]; d++)
            s.in[k][d] *= s.in[k][d] == row ? block : 1;
    return s;
}

static void check_frozen(const tn_op *op, int sample, int i, tn_dtype type, tn_tape *t)
{
    const tn_sample s = with_blocks(op->samples[sample], i, tn_dtype_block(type));
    tn_call c = tn_call_new(op, &s, sample, 0);
    tn_tensor *real = c.in[i], *frozen = frozen_weight(type, real->ndim, real->dim);
    ck_assert_int_eq(tn_widen(type, frozen->data, 0, tn_tensor_count(real), real->x), 0);
    real->wants_grad = false;
    tn_numbers with_real = tn_call_numbers(&c, t, false);
    c.in[i] = frozen;
    tn_numbers with_frozen = tn_call_numbers(&c, t, false);
    ck_assert_int_gt(with_real.count, 0);
    ck_assert_int_eq(with_frozen.count, with_real.count);
    ck_assert_msg(!memcmp(with_frozen.x, with_real.x, (size_t)with_real.count * sizeof(tn_real)),
                  "%s, %s, operand %d in %s", op->name, c.name, i, tn_dtype_name(type));
    free(with_frozen.x);
    free(with_real.x);
    c.in[i] = real;
    tn_tensor_free(frozen);
    tn_call_free(&c);
}

START_TEST(frozen_weight_gives_the_same_bits)
{
    const tn_op *op = tn_ops[_i];
    bench b = bench_new();
    for (tn_dtype type = TN_BF16; type < TN_DTYPES; type++)
        for (int i = 0; i < op->inputs; i++)
            for (int k = 0; op->frozen >> i & 1 && k < tn_samples_count(op); k++)
                if (!op->samples[k].bench && !op->samples[k].same)
                    check_frozen(op, k, i, type, b.t);
    bench_free(b);
}
END_TEST

/* Forward and backward of products. As tn_real each weight would take 8 MB or more. */
START_TEST(no_weight_is_widened_as_a_whole)
{
    enum { N = 3, C = 1024, V = 2048 };
    const tn_dtype type = (tn_dtype)_i;
    bench b = bench_new();
    tn_tensor *x = tensor(2, DIM(N, C), NULL, true), *w = frozen_weight(type, 2, DIM(V, C));
    tn_tensor *v = frozen_weight(type, 2, DIM(C, V)), *labels = tn_tensor_new(TN_I32, 1, DIM(N), 0);
    tn_tensor *y = tn_linear(b.t, x, w, NULL, TN_OUT_IN);
    tn_tensor *z = tn_linear(b.t, x, v, NULL, TN_IN_OUT);
    tn_tensor *loss = tn_linear_xent(b.t, x, w, labels, 0, 0);
    loss = tn_add(b.t, loss, tn_sum(b.t, tn_mul(b.t, y, z)));
    loss = tn_add(b.t, loss, tn_sum(b.t, tn_embed(b.t, v, labels)));
    ck_assert_ptr_nonnull(loss);
    ck_assert_int_eq(tn_backward(b.t, loss), 0);
    ck_assert_uint_lt(tn_tape_memory(b.t), (size_t)(V * C) * sizeof(tn_real) / 2);
    tn_tensor_free(x);
    tn_tensor_free(w);
    tn_tensor_free(v);
    tn_tensor_free(labels);
    bench_free(b);
}
END_TEST

/* The layout of W changes no bit, forward or backward: x W^T and x W are the same product. */
START_TEST(layouts_give_the_same_bits)
{
    enum { N = 300, IN = 400, OUT = 70 };
    bench b = bench_new();
    tn_tensor *x = tensor(2, DIM(N, IN), NULL, true), *w = tensor(2, DIM(OUT, IN), NULL, true);
    tn_tensor *v = tensor(2, DIM(IN, OUT), NULL, true);
    tn_real *dx = malloc(sizeof *dx * N * IN);
    for (int64_t i = 0; i < OUT * IN; i++)
        v->x[i % IN * OUT + i / IN] = w->x[i];
    tn_tensor *y = tn_linear(b.t, x, w, NULL, TN_OUT_IN),
              *z = tn_linear(b.t, x, v, NULL, TN_IN_OUT);
    ck_assert_mem_eq(y->x, z->x, sizeof(tn_real) * N * OUT);
    ck_assert_int_eq(tn_backward(b.t, tn_sum(b.t, tn_mul(b.t, y, y))), 0);
    memcpy(dx, x->g, sizeof *dx * N * IN);
    x->has_grad = false;
    ck_assert_int_eq(tn_backward(b.t, tn_sum(b.t, tn_mul(b.t, z, z))), 0);
    ck_assert_mem_eq(dx, x->g, sizeof *dx * N * IN);
    int64_t same = 0;
    for (int64_t i = 0; i < OUT * IN; i++)
        same += !memcmp(&w->g[i], &v->g[i % IN * OUT + i / IN], sizeof *w->g);
    ck_assert_int_eq(same, OUT * IN);
    free(dx);
    tn_tensor_free(x);
    tn_tensor_free(w);
    tn_tensor_free(v);
    bench_free(b);
}
END_TEST

/* ---- dropout ---- */

START_TEST(dropout_drops_its_share)
{
    enum { N = 100000 };
    const double p = 0.3;
    bench b = bench_new();
    tn_tensor *ones = tensor(1, DIM(N), NULL, false);
    for (int i = 0; i < N; i++)
        ones->x[i] = 1;
    tn_tape_train(b.t, 1);
    tn_tensor *first = tn_dropout(b.t, ones, p, 5), *again = tn_dropout(b.t, ones, p, 5);
    tn_tensor *stream = tn_dropout(b.t, ones, p, 6);
    tn_tape_train(b.t, 2);
    tn_tensor *draw = tn_dropout(b.t, ones, p, 5);
    int64_t kept = 0, with_stream = 0, with_draw = 0;
    for (int i = 0; i < N; i++) {
        kept += first->x[i] != 0;
        with_stream += first->x[i] != 0 && stream->x[i] != 0;
        with_draw += first->x[i] != 0 && draw->x[i] != 0;
        if (first->x[i] != 0)
            ck_assert_msg(fabs((double)first->x[i] - 1 / (1 - p)) < 1e-6, "element %d: %g", i,
                          (double)first->x[i]);
    }
    ck_assert_mem_eq(first->x, again->x, N * sizeof(tn_real));
    ck_assert_double_eq_tol((double)kept / N, 1 - p, 0.006); /* four standard deviations */
    ck_assert_double_eq_tol((double)with_stream / N, (1 - p) * (1 - p), 0.007);
    ck_assert_double_eq_tol((double)with_draw / N, (1 - p) * (1 - p), 0.007);
    tn_tape_eval(b.t);
    ck_assert_mem_eq(tn_dropout(b.t, ones, p, 5)->x, ones->x, N * sizeof(tn_real));
    tn_tensor_free(ones);
    bench_free(b);
}
END_TEST

/* ---- work that is cut into ranges ---- */

START_TEST(sum_of_many)
{
    enum { N = 50001 };
    bench b = bench_new();
    tn_tensor *a = tensor(1, DIM(N), NULL, true);
    for (int i = 0; i < N; i++)
        a->x[i] = (tn_real)(i % 7);
    tn_tensor *sum = tn_sum(b.t, a);
    ck_assert_double_eq((double)sum->x[0], 150003); /* 7143 times 0 + 1 + ... + 6 */
    ck_assert_int_eq(tn_backward(b.t, sum), 0);
    int64_t ones = 0;
    for (int i = 0; i < N; i++)
        ones += a->g[i] == 1;
    ck_assert_int_eq(ones, N);
    tn_tensor_free(a);
    bench_free(b);
}
END_TEST

static double distance(const tn_real *a, const tn_real *b, int64_t count)
{
    double most = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        most = fmax(most, fabs((double)(a[i] - b[i])));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return most / largest;
}

/* linear_xent equals its plain composition, without a cap and with one. There are rows for two chunks; some have no label. */
START_TEST(linear_xent_in_chunks)
{
    enum { N = 900, V = 20000, C = 3 };
    const double cap = _i ? 0.5 : 0;
    bench b = bench_new();
    tn_tensor *x[2], *w[2], *labels = tn_tensor_new(TN_I32, 1, DIM(N), false);
    for (int i = 0; i < 2; i++) {
        x[i] = tensor(2, DIM(N, C), NULL, true);
        w[i] = tensor(2, DIM(V, C), NULL, true);
    }
    for (int i = 0; i < N; i++)
        labels->i[i] = i % 5 ? i * 22 : -1;
    tn_tensor *fused = tn_linear_xent(b.t, x[0], w[0], labels, 0, cap);
    tn_tensor *z = tn_linear(b.t, x[1], w[1], NULL, TN_OUT_IN);
    tn_tensor *plain = tn_cross_entropy(b.t, _i ? tn_soft_cap(b.t, z, cap) : z, labels, 0);
    double tolerance = sizeof(tn_real) == 8 ? 1e-13 : 2e-6;
    ck_assert_double_lt(distance(fused->x, plain->x, 1), tolerance);
    ck_assert_int_eq(tn_backward(b.t, tn_add(b.t, fused, plain)), 0);
    ck_assert_double_lt(distance(x[0]->g, x[1]->g, N * C), tolerance);
    ck_assert_double_lt(distance(w[0]->g, w[1]->g, V * C), tolerance);
    for (int i = 0; i < 2; i++) {
        tn_tensor_free(x[i]);
        tn_tensor_free(w[i]);
    }
    tn_tensor_free(labels);
    bench_free(b);
}
END_TEST

/* ---- what is not stored ---- */

/* The scores (T,T) of 2 heads would take 8 MB in float: far more than the operands and results. */
START_TEST(attention_holds_no_scores)
{
    enum { T = 1024 };
    bench b = bench_new();
    tn_tensor *x = tensor(3, DIM(1, T, 3 * 8), NULL, true);
    ck_assert_int_eq(tn_backward(b.t, tn_sum(b.t, tn_attention(b.t, x, x, x,
                                                               (tn_attention_form){ .heads = 2 }))),
                     0);
    ck_assert_int_lt((int64_t)tn_tape_memory(b.t), 1 << 20);
    tn_tensor_free(x);
    bench_free(b);
}
END_TEST

/* The logits of 1,024 rows would take 82 MB in float. A chunk of them takes about 26 MB at most. */
START_TEST(linear_xent_holds_no_logits)
{
    enum { N = 1024, V = 20000 };
    bench b = bench_new();
    tn_tensor *x = tensor(2, DIM(N, 2), NULL, true), *w = tensor(2, DIM(V, 2), NULL, true);
    tn_tensor *labels = tn_tensor_new(TN_I32, 1, DIM(N), false);
    tn_tensor *loss = tn_linear_xent(b.t, x, w, labels, 0, _i ? 30 : 0);
    ck_assert_int_eq(tn_backward(b.t, loss), 0);
    ck_assert_int_lt((int64_t)tn_tape_memory(b.t), (int64_t)(8 << 20) * (int64_t)sizeof(tn_real));
    tn_tensor_free(x);
    tn_tensor_free(w);
    tn_tensor_free(labels);
    bench_free(b);
}
END_TEST

void tests(TCase *c)
{
    int ops = 0;
    while (tn_ops[ops])
        ops++;
    tcase_add_loop_test(c, half_has_its_value, 0, sizeof halves / sizeof *halves);
    tcase_add_loop_test(c, frozen_weight_gives_the_same_bits, 0, ops);
    tcase_add_loop_test(c, no_weight_is_widened_as_a_whole, TN_BF16, TN_DTYPES);
    tcase_add_test(c, layouts_give_the_same_bits);
    tcase_add_test(c, dropout_drops_its_share);
    tcase_add_test(c, sum_of_many);
    tcase_add_loop_test(c, linear_xent_in_chunks, 0, 2);
    tcase_add_test(c, attention_holds_no_scores);
    tcase_add_loop_test(c, linear_xent_holds_no_logits, 0, 2);
}
