/* test_shuffle.c - shuffled rows: each once per epoch, in every order equally often. */
#include "core/core.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t sizes[] = { 1, 2, 3, 5, 16, 17, 255, 256, 257, 1000, 65537 };

START_TEST(every_row_once_per_epoch)
{
    const int64_t n = sizes[_i];
    int64_t *seen = calloc((size_t)n, sizeof *seen), same = 0;
    for (int64_t epoch = 0; epoch < 3; epoch++)
        for (int64_t i = 0; i < n; i++) {
            const int64_t row = tn_shuffled_row(n, 5, epoch * n + i);
            ck_assert(row >= 0 && row < n);
            ck_assert_int_eq(seen[row]++, epoch);
            same += row == tn_shuffled_row(n, 6, epoch * n + i);
        }
    if (n > 10) /* on average one row per epoch has the same place with another seed */
        ck_assert_int_lt(same, 20);
    free(seen);
}
END_TEST

/* Chi-square over all orders of n rows. The limits are the 99.9 % points of 5 and of 23 degrees of
   freedom (20.5, 49.7). */
static const struct {
    int64_t n, orders;
    double most;
} uniform[] = { { 3, 6, 20.5 }, { 4, 24, 49.7 } };

START_TEST(every_order_as_often)
{
    const int64_t n = uniform[_i].n, orders = uniform[_i].orders, epochs = 1000 * orders;
    int64_t count[256] = { 0 };
    double chi = 0;
    int kinds = 0;
    for (int64_t epoch = 0; epoch < epochs; epoch++) {
        int64_t order = 0;
        for (int64_t i = 0; i < n; i++)
            order = 4 * order + tn_shuffled_row(n, 1, epoch * n + i);
        count[order]++;
    }
    for (int i = 0; i < 256; i++) {
        const double off = (double)count[i] - 1000;
        kinds += count[i] > 0;
        chi += count[i] ? off * off / 1000 : 0;
    }
    ck_assert_int_eq(kinds, orders);
    ck_assert_double_lt(chi, uniform[_i].most);
}
END_TEST

/* The mean distance of two rows that follow each other is n / 3, as for independent rows. So
   neighbours in the set do not stay neighbours. */
START_TEST(neighbours_are_parted)
{
    const int64_t n = 10000;
    double sum = 0;
    for (int64_t i = 1; i < n; i++)
        sum += fabs((double)(tn_shuffled_row(n, 3, i) - tn_shuffled_row(n, 3, i - 1)));
    ck_assert_double_eq_tol(sum / (double)(n - 1), (double)n / 3, (double)n / 100);
}
END_TEST

/* Inputs and labels of the same `first` belong together, also across the end of an epoch. */
START_TEST(rows_and_labels_belong_together)
{
    tn_context *c = tn_context_new(NULL);
    tn_tape *t = tn_tape_new(c);
    tn_tensor *x = tn_tensor_new(TN_REAL, 3, (int64_t[]){ 7, 2, 3 }, false);
    tn_tensor *y = tn_tensor_new(TN_I32, 1, (int64_t[]){ 7 }, false);
    for (int i = 0; i < 42; i++)
        x->x[i] = (tn_real)i;
    for (int i = 0; i < 7; i++)
        y->i[i] = i;
    tn_tensor *xs = tn_shuffled_rows(t, x, 9, 3, 11), *ys = tn_shuffled_rows(t, y, 9, 3, 11);
    ck_assert(xs && ys && xs->dim[0] == 11 && xs->dim[1] == 2 && xs->dim[2] == 3 &&
              !xs->wants_grad);
    for (int i = 0; i < 11; i++) {
        ck_assert_int_eq(ys->i[i], tn_shuffled_row(7, 9, 3 + i));
        ck_assert_mem_eq(xs->x + 6 * i, x->x + 6 * ys->i[i], 6 * sizeof *x->x);
    }
    tn_tensor_free(x);
    tn_tensor_free(y);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

static const struct {
    int64_t first, count;
    const char *text;
} refused[] = {
    { -1, 2, "tn_shuffled_rows: 2 rows from -1 on; expected 1 or more, from 0 on" },
    { 0, 0, "tn_shuffled_rows: 0 rows from 0 on; expected 1 or more, from 0 on" },
    { INT64_MAX, 2, "tn_shuffled_rows: 2 rows from 9223372036854775807 on" },
};

START_TEST(refuses_what_is_no_row)
{
    tn_context *c = tn_context_new(NULL);
    tn_tape *t = tn_tape_new(c);
    tn_tensor *x = tn_tensor_new(TN_REAL, 2, (int64_t[]){ 3, 2 }, false);
    ck_assert_ptr_null(tn_shuffled_rows(t, x, 1, refused[_i].first, refused[_i].count));
    ck_assert_int_eq(tn_tape_code(t), TN_EARG);
    ck_assert_ptr_nonnull(strstr(tn_tape_error(t), refused[_i].text));
    ck_assert_int_eq(tn_shuffled_row(0, 1, 5), 0);
    ck_assert_int_eq(tn_shuffled_row(3, 1, -5), 0);
    tn_tensor_free(x);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, every_row_once_per_epoch, 0, sizeof sizes / sizeof *sizes);
    tcase_add_loop_test(c, every_order_as_often, 0, 2);
    tcase_add_test(c, neighbours_are_parted);
    tcase_add_test(c, rows_and_labels_belong_together);
    tcase_add_loop_test(c, refuses_what_is_no_row, 0, sizeof refused / sizeof *refused);
}
