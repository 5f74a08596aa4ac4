/* test_tensor.c - the caller's tensors: their types and shapes; they may be freed in any order. */
#include "tests/support/desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- types and shapes ---- */

START_TEST(types_are_known)
{
    static const int types[] = { -1, TN_DTYPES, 99, INT32_MAX };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char want[128];
        tn_dtype type = (tn_dtype)types[i];
        snprintf(want, sizeof want, "input: type %d; expected 0 to %d", types[i], TN_DTYPES - 1);
        ck_assert_ptr_null(tn_tape_input(t, type, 1, (int64_t[]){ 3 }));
        ck_assert_str_eq(tn_tape_error(t), want);
        ck_assert_int_eq(tn_tape_code(t), TN_EARG);
        ck_assert_ptr_null(tn_tensor_new(type, 1, (int64_t[]){ 3 }, false));
        ck_assert_uint_eq(tn_dtype_bytes(type, 256), 0);
        ck_assert_int_eq(tn_dtype_block(type), 0);
        ck_assert_str_eq(tn_dtype_name(type), "unknown type");
        tn_tape_reset(t);
    }
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

/* The text of the largest shape fits exactly into 64 bytes. */
START_TEST(shapes_fit_their_room)
{
    char text[128], after[64];
    memset(text, 'x', sizeof text);
    memset(after, 'x', sizeof after);
    tn_tensor a = { .ndim = 4, .dim = { INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN } };
    ck_assert_str_eq(tn_tensor_shape(&a, text),
                     "(-9223372036854775808,-9223372036854775808,-9223372036854775808");
    ck_assert_mem_eq(text + 64, after, sizeof after);
    a = (tn_tensor){ .ndim = 2, .dim = { 2, 3 } };
    ck_assert_str_eq(tn_tensor_shape(&a, text), "(2,3)");
}
END_TEST

/* ---- freeing in any order ---- */

/* Frees the tensor, then writes over the memory where it was. */
static void free_and_overwrite(tn_tensor **a)
{
    void *more[16];
    tn_tensor_free(*a);
    *a = NULL;
    for (int i = 0; i < 16; i++) {
        more[i] = i % 2 ? aligned_alloc(64, 64) : malloc(sizeof(tn_tensor));
        memset(more[i], 0x44, i % 2 ? 64 : sizeof(tn_tensor));
    }
    for (int i = 0; i < 16; i++)
        free(more[i]);
}

static void free_leaf_before_backward(desk *d)
{
    tn_real x[4];
    memcpy(x, d->x->x, sizeof x);
    tn_tensor *loss =
        tn_sum(d->t, tn_mul(d->t, tn_reshape(d->t, d->x, 2, (int64_t[]){ 2, 2 }), d->w));
    free_and_overwrite(&d->x);
    ck_assert_int_eq(tn_backward(d->t, loss), 0);
    ck_assert_mem_eq(d->w->g, x, sizeof x);
}

static void free_weight_before_backward(desk *d)
{
    tn_tensor *loss = tn_sum(d->t, tn_mul(d->t, d->w, d->w));
    free_and_overwrite(&d->w);
    ck_assert_int_eq(tn_backward(d->t, loss), 0);
}

static void free_leaf_under_a_view(desk *d)
{
    tn_tape_eval(d->t); /* no node is kept */
    tn_tensor *y = tn_reshape(d->t, d->x, 1, (int64_t[]){ 4 });
    free_and_overwrite(&d->x);
    ck_assert_ptr_nonnull(tn_relu(d->t, y));
}

static void free_held_by_two_tapes(desk *d)
{
    tn_tensor *loss = tn_sum(d->t, tn_mul(d->t, d->w, d->w)),
              *second = tn_sum(d->other, tn_mul(d->other, d->w, d->w));
    free_and_overwrite(&d->w);
    ck_assert_int_eq(tn_backward(d->t, loss), 0);
    tn_tape_free(d->t);
    d->t = NULL;
    ck_assert_int_eq(tn_backward(d->other, second), 0);
}

static void free_result(desk *d)
{
    tn_tensor *y = desk_linear(d);
    tn_tensor_free(y);
    ck_assert_int_eq(tn_backward(d->t, tn_sum(d->t, y)), 0);
}

static void free_input(desk *d)
{
    tn_tensor_free(desk_input(d));
}

static void free_copy(desk *d)
{
    tn_tensor copy = *d->w, empty = { 0 };
    tn_tensor_free(&copy);
    tn_tensor_free(&empty);
    ck_assert_int_eq(tn_backward(d->t, desk_step(d)), 0);
}

static void freeze_result(desk *d)
{
    tn_tensor *y = desk_linear(d), *z = tn_add(d->t, y, d->w);
    tn_tensor_freeze(y); /* w gets only the gradient that does not come through y */
    ck_assert_int_eq(tn_backward(d->t, tn_sum(d->t, z)), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq((double)d->w->g[i], 1);
}

static void freeze_copy(desk *d)
{
    tn_tensor copy = *d->w;
    tn_tensor_freeze(&copy);
    ck_assert_int_eq(tn_backward(d->t, desk_step(d)), 0);
}

static void freeze_before_backward(desk *d)
{
    tn_tensor *loss = desk_step(d);
    tn_tensor_freeze(d->w);
    ck_assert_int_eq(tn_backward(d->t, loss), 0);
    ck_assert_ptr_null(d->w->g);
}

/* A struct of the caller is not read after the caller has freed it. */
static void leaf_that_is_gone_at_the_reset(desk *d)
{
    tn_real *x = calloc(4, sizeof *x);
    tn_tensor *own = calloc(1, sizeof *own);
    *own = (tn_tensor){ .ndim = 2, .dim = { 2, 2, 1, 1 }, .x = x };
    ck_assert_int_eq(tn_backward(d->t, tn_sum(d->t, tn_mul(d->t, own, d->w))), 0);
    free(own);
    free(x);
}

/* clang-format off */
static void (*const orders[])(desk *d) = {
    free_leaf_before_backward, free_weight_before_backward, free_leaf_under_a_view, free_held_by_two_tapes, free_result,
    free_input, free_copy, freeze_result, freeze_copy, freeze_before_backward, leaf_that_is_gone_at_the_reset };
/* clang-format on */

/* AddressSanitizer finds any use after a free, and any leak. */
START_TEST(any_order_of_freeing)
{
    for (int reset = 0; reset < 2; reset++) {
        desk d = desk_new();
        orders[_i](&d);
        if (reset && d.t)
            tn_tape_reset(d.t);
        desk_free(&d);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, types_are_known);
    tcase_add_test(c, shapes_fit_their_room);
    tcase_add_loop_test(c, any_order_of_freeing, 0, sizeof orders / sizeof *orders);
}
