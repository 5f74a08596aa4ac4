/* test_layers.c - making and running layers without a model. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

START_TEST(linear_layer_knows_both_layouts)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_params *p = tn_params_new(c);
    tn_linear_layer a = tn_linear_layer_new(p, "a", 2, 3, TN_OUT_IN, true, 0.5);
    tn_linear_layer b = tn_linear_layer_new(p, "b", 2, 3, TN_IN_OUT, false, 0.5);
    ck_assert(a.w->dim[0] == 3 && a.w->dim[1] == 2 && a.b->dim[0] == 3 && !a.lora);
    ck_assert(b.w->dim[0] == 2 && b.w->dim[1] == 3 && !b.b);
    ck_assert_int_eq(tn_params_count(p), 3);
    tn_tensor *x = tn_tape_input(t, TN_REAL, 2, (int64_t[]){ 1, 2 });
    memcpy(x->x, (tn_real[]){ 1, 10 }, 2 * sizeof(tn_real));
    for (int i = 0; i < 6; i++)
        a.w->x[i] = b.w->x[i] = (tn_real)i;
    a.b->x[2] = 100;
    const tn_tensor *y = tn_linear_layer_run(&a, t, x), *z = tn_linear_layer_run(&b, t, x);
    /* (out,in): rows 0 1, 2 3, 4 5. (in,out): rows 0 1 2, 3 4 5. */
    ck_assert(y->x[0] == 10 && y->x[1] == 32 && y->x[2] == 154);
    ck_assert(z->x[0] == 30 && z->x[1] == 41 && z->x[2] == 52);
    tn_params_free(p);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

/* Two adapters on one layer, computed by hand: y = x W^T + s (x A^T) B^T in their columns. */
START_TEST(adapters_add_up)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_params *p = tn_params_new(c);
    tn_linear_layer l = tn_linear_layer_new(p, "l", 2, 3, TN_OUT_IN, false, 0);
    tn_tensor *a = tn_params_add(p, "a", 2, (int64_t[]){ 1, 2 }),
              *b = tn_params_add(p, "b", 2, (int64_t[]){ 3, 1 });
    tn_tensor *d = tn_params_add(p, "d", 2, (int64_t[]){ 1, 1 });
    memcpy(a->x, (tn_real[]){ 1, 2 }, 2 * sizeof(tn_real));
    memcpy(b->x, (tn_real[]){ 1, 10, 100 }, 3 * sizeof(tn_real));
    d->x[0] = 1000;
    tn_adapter second = { .a = a, .b = d, .s = 1, .col = 2 },
               first = { .a = a, .b = b, .s = 2, .next = &second };
    l.lora = &first;
    tn_tensor *x = tn_tape_input(t, TN_REAL, 2, (int64_t[]){ 1, 2 });
    x->x[0] = x->x[1] = 1;
    const tn_tensor *y = tn_linear_layer_run(&l, t, x);
    ck_assert(y->x[0] == 6 && y->x[1] == 60 && y->x[2] == 3600);
    tn_params_free(p);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

START_TEST(a_start_is_a_function_of_seed_and_name)
{
    tn_real w[3][8];
    for (int i = 0; i < 3; i++) {
        tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = i < 2 ? 1 : 2 });
        tn_params *p = tn_params_new(c);
        if (i)
            tn_embedding_new(p, "before", 5, 5, 1);
        memcpy(w[i], tn_embedding_new(p, "e", 2, 4, 1)->x, sizeof w[i]);
        ck_assert_ptr_null(tn_embedding_new(p, "e", 2, 4, 1));
        tn_error e = *tn_params_error(p);
        must_fail(&e, TN_EARG, "e.weight");
        tn_params_free(p);
        tn_context_free(c);
    }
    ck_assert_mem_eq(w[0], w[1], sizeof w[0]);
    ck_assert_mem_ne(w[0], w[2], sizeof w[0]);
}
END_TEST

/* Where torch starts: Linear with weight and bias in U(-1/sqrt(in), 1/sqrt(in)), whose variance is
   1/(3 in); Embedding in N(0, 1). */
START_TEST(layers_start_as_in_torch)
{
    enum { IN = 400, OUT = 300 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    tn_params *p = tn_params_new(c);
    for (int k = 0; k < 2; k++) {
        const tn_linear_layer l =
            tn_linear_layer_new(p, k ? "a" : "b", IN, OUT, k ? TN_IN_OUT : TN_OUT_IN, true, -1);
        const tn_tensor *of[] = { l.w, l.b };
        for (int i = 0; i < 2; i++) {
            const int64_t n = tn_tensor_count(of[i]);
            double sum = 0, squares = 0, largest = 0;
            for (int64_t j = 0; j < n; j++) {
                const double x = (double)of[i]->x[j];
                sum += x;
                squares += x * x;
                largest = fmax(largest, fabs(x));
            }
            ck_assert_double_le(largest, 0.05);
            ck_assert_double_ge(largest, 0.049);
            ck_assert_double_le(fabs(sum / (double)n), 0.1 / sqrt((double)n));
            ck_assert_double_eq_tol(squares / (double)n * 3 * IN, 1, 5 / sqrt((double)n));
        }
        ck_assert_mem_ne(l.w->x, l.b->x, OUT * sizeof *l.b->x);
    }
    const tn_tensor *e = tn_embedding_new(p, "e", IN, OUT, -1),
                    *one = tn_embedding_new(p, "f", IN, OUT, 1);
    tn_real *want = calloc(IN * OUT, sizeof *want);
    tn_fill_normal(want, IN * OUT, 1, 1, tn_stream("e.weight"));
    ck_assert_mem_eq(e->x, want, IN * OUT * sizeof *want);
    ck_assert_mem_ne(one->x, want, IN * OUT * sizeof *want);
    ck_assert(tn_embedding_new(p, "z", 2, 2, 0)->x[3] == 0);
    free(want);
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

START_TEST(norm_layer_starts_as_plain_norm)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_params *p = tn_params_new(c);
    tn_norm_layer l = tn_norm_layer_new(p, "n", 2, 1e-9);
    tn_tensor *x = tn_tape_input(t, TN_REAL, 2, (int64_t[]){ 1, 2 });
    x->x[0] = 3;
    x->x[1] = 7;
    const tn_tensor *y = tn_norm_layer_run(&l, t, x);
    ck_assert_double_eq_tol((double)y->x[0], -1, 1e-6);
    ck_assert_double_eq_tol((double)y->x[1], 1, 1e-6);
    tn_params_free(p);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, linear_layer_knows_both_layouts);
    tcase_add_test(c, adapters_add_up);
    tcase_add_test(c, a_start_is_a_function_of_seed_and_name);
    tcase_add_test(c, layers_start_as_in_torch);
    tcase_add_test(c, norm_layer_starts_as_plain_norm);
}
