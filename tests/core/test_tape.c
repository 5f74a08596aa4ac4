/* test_tape.c - the tape: gradients are added, the first mistake sticks, operands are checked.
   Gradients are compared with derivatives by hand. */
#include "core/op.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static tn_tensor *weight(int ndim, int64_t d0, int64_t d1, bool wants)
{
    tn_tensor *a = tn_tensor_new(TN_REAL, ndim, (int64_t[]){ d0, d1 }, wants);
    for (int64_t i = 0; i < tn_tensor_count(a); i++)
        a->x[i] = (tn_real)(i + 1) / 4;
    return a;
}

/* d/da sum(a * a) = 2 a, where a is both operands. A second backward adds the same again. */
START_TEST(gradients_add_up)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_tensor *a = weight(2, 2, 3, true);
    tn_tensor *loss = tn_sum(t, tn_mul(t, a, a));
    for (int pass = 1; pass <= 2; pass++) {
        ck_assert_int_eq(tn_backward(t, loss), 0);
        for (int i = 0; i < 6; i++)
            ck_assert_double_eq((double)a->g[i], pass * 2 * (double)a->x[i]);
    }
    tn_tensor_free(a);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

START_TEST(first_mistake_sticks)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_tensor *a = weight(2, 2, 3, true), *b = weight(2, 1, 4, true);
    tn_tensor *loss = tn_sum(t, tn_relu(t, tn_matmul(t, a, b)));
    ck_assert_ptr_null(loss);
    ck_assert_str_eq(tn_tape_error(t), "matmul: shapes do not fit: (2,3) (1,4)");
    ck_assert_int_eq(tn_tape_code(t), TN_ESHAPE);
    ck_assert_ptr_null(tn_add(t, a, a));
    ck_assert_int_eq(tn_backward(t, loss), TN_ESHAPE);
    tn_tape_reset(t);
    ck_assert_ptr_null(tn_tape_error(t));
    ck_assert_ptr_nonnull(tn_add(t, a, a));
    tn_tensor_free(a);
    tn_tensor_free(b);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

START_TEST(backward_refuses)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_tensor *a = weight(2, 2, 2, true), *fixed = weight(1, 1, 1, false);
    ck_assert_int_eq(tn_backward(t, tn_add(t, a, a)), TN_ESHAPE);
    tn_tape_reset(t);
    ck_assert_int_eq(tn_backward(t, tn_scale(t, fixed, 2)), TN_ESTATE);
    ck_assert_ptr_null(strstr(tn_tape_error(t), "evaluation"));
    tn_tape_reset(t);
    tn_tape_eval(t);
    ck_assert_int_eq(tn_backward(t, tn_sum(t, a)), TN_ESTATE);
    ck_assert_ptr_nonnull(strstr(tn_tape_error(t), "the tape is in evaluation"));
    tn_tape_train(t, 0);
    tn_tape_reset(t);
    a->x[1] = (tn_real)INFINITY;
    ck_assert_int_eq(tn_backward(t, tn_sum(t, a)), TN_ENONFINITE);
    ck_assert(!a->has_grad);
    tn_tape_reset(t);
    ck_assert_ptr_null(tn_mul(t, a, NULL));
    ck_assert_str_eq(tn_tape_error(t), "mul: operand 2 is missing");
    tn_tensor_free(a);
    tn_tensor_free(fixed);
    tn_tape_free(t);
    tn_context_free(c);
}
/* clang-format off */
END_TEST

static const struct { int ndim; int64_t dim[TN_MAX_NDIM]; } odd_inputs[] = {
    { 2, { 2, 0 } }, { 2, { 2, -3 } }, { 0, { 1 } }, { 5, { 1, 1, 1, 1 } },
    { 2, { INT64_MAX, INT64_MAX } },
};
/* clang-format on */

/* A shape that no tensor has is refused before anything is computed with it. */
START_TEST(inputs_have_sane_shapes)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    ck_assert_ptr_null(tn_tape_input(t, TN_REAL, odd_inputs[_i].ndim, odd_inputs[_i].dim));
    ck_assert_int_eq(tn_tape_code(t), TN_ESHAPE);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

/* Tensors that cannot be operands: they want a gradient without memory for it, or are empty. */
static tn_tensor *odd_operand(tn_tape *t, int i, tn_tensor *own, const char **text)
{
    static const char wants[] =
        "wants a gradient but has no memory for one; expected wants_grad given to tn_tensor_new";
    static const char empty[] = "has no values; expected a tensor of tn_tensor_new";
    const int64_t dim[] = { 1, 1 };
    tn_tensor *a = i == 0   ? tn_tensor_new(TN_REAL, 2, dim, false)
                   : i == 1 ? tn_tensor_new(TN_BF16, 2, dim, false)
                   : i == 2 ? tn_tape_input(t, TN_REAL, 2, dim)
                            : own;
    *text = i < 4 ? wants : empty;
    a->wants_grad = i < 4;
    return a;
}

enum { ODD_OPERANDS = 6 };

START_TEST(odd_operands_are_refused)
{
    static tn_real number;
    tn_tensor own[ODD_OPERANDS] = { [3] = { .ndim = 2, .dim = { 1, 1, 1, 1 }, .x = &number },
                                    [4] = { .ndim = 2, .dim = { 1, 1, 1, 1 } },
                                    [5] = { .x = &number } };
    char want[128];
    const char *text;
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_tensor *x = tn_tensor_new(TN_REAL, 2, (int64_t[]){ 1, 1 }, true);
    tn_tensor *a = odd_operand(t, _i, &own[_i], &text);
    ck_assert_ptr_null(tn_linear(t, x, a, NULL, TN_OUT_IN));
    snprintf(want, sizeof want, "linear: operand 2 %s", text);
    ck_assert_str_eq(tn_tape_error(t), want);
    if (_i < 4 && _i != 2) { /* nobody wants a gradient in evaluation */
        tn_tape_reset(t);
        tn_tape_eval(t);
        ck_assert_ptr_nonnull(tn_linear(t, x, a, NULL, TN_OUT_IN));
    }
    tn_tensor_free(x);
    tn_tensor_free(a);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

/* An operand of this shape without memory of its own: shapes are checked before any value is
   read. */
static tn_tensor *hollow(tn_tensor *a, int64_t d0, int64_t d1)
{
    static const int32_t zeros[4];
    *a = (tn_tensor){ .ndim = 2, .dim = { d0, d1, 1, 1 }, .data = (void *)zeros };
    return a;
}

enum { TOO_LARGE = 5 };
#define LARGE ((int64_t)1 << 33)

/* Calls with good operands whose result, or whose kept values, would be too large. */
static tn_tensor *too_large(tn_tape *t, int i, const char **text)
{
    static const char *const texts[TOO_LARGE] = {
        "linear: the result would be (2147483648,8589934592); expected at most 2^40 numbers",
        "matmul: the result would be (8589934592,256); expected at most 2^40 numbers",
        "concat: the result would be (256,8589934592); expected at most 2^40 numbers",
        "embed: the result would be (4,1,1099511627776); expected at most 2^40 numbers",
        "lora: x A^T would be (8589934592,8589934592); expected at most 2^40 numbers",
    };
    tn_tensor x, y, a, b;
    *text = texts[i];
    switch (i) {
    case 0: return tn_linear(t, hollow(&x, LARGE / 4, 1), hollow(&a, LARGE, 1), NULL, TN_OUT_IN);
    case 1: return tn_matmul(t, hollow(&x, LARGE, 128), hollow(&a, 128, 256));
    case 2:
        hollow(&x, 256, LARGE / 2);
        return tn_concat(t, 2, (tn_tensor *[]){ &x, hollow(&a, 256, LARGE / 2) }, 1);
    case 3: hollow(&x, 4, 1)->dtype = TN_I32; return tn_embed(t, hollow(&a, 1, 128 * LARGE), &x);
    default:
        return tn_lora(t, hollow(&y, LARGE, 1), hollow(&x, LARGE, 1), hollow(&a, LARGE, 1),
                       hollow(&b, 1, LARGE), 1, 0, 0, 0);
    }
}

START_TEST(results_have_sane_shapes)
{
    const char *text;
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    ck_assert_ptr_null(too_large(t, _i, &text));
    ck_assert_int_eq(tn_tape_code(t), TN_ESHAPE);
    ck_assert_str_eq(tn_tape_error(t), text);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

/* A second step of the same shape takes no more memory, and evaluation between marks leaves
   nothing. */
START_TEST(memory_is_used_again)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_tensor *a = weight(2, 40, 50, true);
    size_t first = 0;
    for (int step = 0; step < 20; step++) {
        tn_tape_train(t, (uint64_t)step);
        tn_tensor *h = tn_relu(t, tn_mul(t, a, a));
        ck_assert_int_eq(tn_backward(t, tn_sum(t, h)), 0);
        tn_mark m = tn_tape_mark(t);
        tn_tape_eval(t);
        tn_tensor *same = tn_sum(t, tn_add(t, h, a));
        ck_assert(!same->wants_grad);
        tn_tape_rewind(t, m);
        tn_tape_reset(t);
        if (step == 0)
            first = tn_tape_memory(t);
    }
    ck_assert_uint_eq(tn_tape_memory(t), first);
    ck_assert_uint_ge(first, 40 * 50 * 3 * sizeof(tn_real));
    tn_tensor_free(a);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

/* lora consumes its first operand. Then the operand is refused. If it is a weight, lora copies
   it. */
START_TEST(consumed_operands)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_tensor *y = weight(2, 2, 3, true), *x = weight(2, 2, 4, true);
    tn_tensor *a = weight(2, 1, 4, true), *b = weight(2, 3, 1, true);
    tn_real before = y->x[0];
    ck_assert_ptr_nonnull(tn_lora(t, y, x, a, b, 1, 0, 0, 0));
    ck_assert_double_eq((double)y->x[0], (double)before);
    tn_tensor *h = tn_add(t, y, y);
    ck_assert_ptr_nonnull(tn_lora(t, h, x, a, b, 1, 0, 0, 0));
    ck_assert_ptr_null(tn_relu(t, h));
    ck_assert_str_eq(tn_tape_error(t), "relu: operand 1 was consumed by an earlier op");
    for (tn_tensor **w = (tn_tensor *[]){ y, x, a, b, NULL }; *w; w++)
        tn_tensor_free(*w);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

/* Each returns a result whose values are still needed elsewhere, so lora must copy it. *other
   becomes another term of the loss, or NULL. */
static tn_tensor *kept_by_its_op(tn_tape *t, tn_tensor *a, tn_tensor **other)
{
    (void)other;
    return tn_softmax(t, a);
}

static tn_tensor *kept_by_attention(tn_tape *t, tn_tensor *a, tn_tensor **other)
{
    (void)other;
    return tn_attention(t, a, a, a, (tn_attention_form){ .heads = 1 });
}

static tn_tensor *used_before(tn_tape *t, tn_tensor *a, tn_tensor **other)
{
    tn_tensor *h = tn_scale(t, a, 2);
    *other = tn_mul(t, h, h);
    return h;
}

static tn_tensor *seen_by_a_view(tn_tape *t, tn_tensor *a, tn_tensor **other)
{
    tn_tensor *h = tn_scale(t, a, 2);
    *other = tn_reshape(t, h, 1, (int64_t[]){ tn_tensor_count(h) });
    return h;
}

static tn_tensor *view_of_a_leaf(tn_tape *t, tn_tensor *a, tn_tensor **other)
{
    (void)other;
    return tn_reshape(t, a, 2, (int64_t[]){ 2, 6 });
}

static tn_tensor *(*const shared[])(tn_tape *t, tn_tensor *a, tn_tensor **other) = {
    kept_by_its_op, kept_by_attention, used_before, seen_by_a_view, view_of_a_leaf
};

/* Computes the loss and the gradient of a. lora consumes the result, or, if `fresh` is set, a
   copy. */
static double consume(tn_tape *t, int kind, bool fresh, tn_tensor *const w[4])
{
    tn_tensor *a = w[0], *other = NULL, *y = shared[kind](t, a, &other);
    a->has_grad = false;
    y = tn_lora(t, fresh ? tn_scale(t, y, 1) : y, w[1], w[2], w[3], 3, 0, 0, 0);
    tn_tensor *loss = tn_sum(t, tn_mul(t, y, y));
    if (other)
        loss = tn_add(t, loss, tn_sum(t, tn_mul(t, other, other)));
    ck_assert_int_eq(tn_backward(t, loss), 0);
    return (double)loss->x[0];
}

START_TEST(shared_results_are_not_overwritten)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_tensor *a = tn_tensor_new(TN_REAL, 3, (int64_t[]){ 1, 2, 6 }, true),
              *x = weight(2, 2, 3, true);
    tn_tensor *w[4] = { a, x, weight(2, 1, 3, true), weight(2, 2, 1, true) };
    tn_real want[12], before[12];
    tn_fill_uniform(a->x, 12, 1, 1, 1);
    memcpy(before, a->x, sizeof before);
    double loss = consume(t, _i, true, w);
    memcpy(want, a->g, sizeof want);
    ck_assert_double_eq(consume(t, _i, false, w), loss);
    ck_assert_mem_eq(a->g, want, sizeof want);
    ck_assert_mem_eq(a->x, before, sizeof before);
    for (int i = 0; i < 4; i++)
        tn_tensor_free(w[i]);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, gradients_add_up);
    tcase_add_test(c, first_mistake_sticks);
    tcase_add_test(c, backward_refuses);
    tcase_add_loop_test(c, inputs_have_sane_shapes, 0, sizeof odd_inputs / sizeof *odd_inputs);
    tcase_add_loop_test(c, odd_operands_are_refused, 0, ODD_OPERANDS);
    tcase_add_loop_test(c, results_have_sane_shapes, 0, TOO_LARGE);
    tcase_add_test(c, memory_is_used_again);
    tcase_add_test(c, consumed_operands);
    tcase_add_loop_test(c, shared_results_are_not_overwritten, 0, sizeof shared / sizeof *shared);
}
