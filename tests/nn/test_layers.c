/* test_layers.c - making and running layers without a model.
   tests/golden/layers.safetensors has weights of PyTorch modules, and what these compute. */
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

/* U(-bound, bound): within the bounds and near them, mean 0, variance bound^2 / 3. */
static void must_be_uniform(const tn_tensor *w, double bound)
{
    const int64_t n = tn_tensor_count(w);
    double sum = 0, squares = 0, largest = 0;
    for (int64_t j = 0; j < n; j++) {
        const double x = (double)w->x[j];
        sum += x;
        squares += x * x;
        largest = fmax(largest, fabs(x));
    }
    ck_assert_double_le(largest, bound * (1 + 1e-6));
    ck_assert_double_ge(largest, 0.98 * bound);
    ck_assert_double_le(fabs(sum / (double)n), 2 * bound / sqrt((double)n));
    ck_assert_double_eq_tol(squares / (double)n * 3 / (bound * bound), 1, 5 / sqrt((double)n));
}

/* Where torch starts: Linear with weight and bias in U(-1/sqrt(in), 1/sqrt(in)), whose variance is
   1/(3 in); Embedding in N(0, 1); Conv2d as Linear, where `in` is what a kernel reads; LSTM and GRU
   with all weights in U(-1/sqrt(H), 1/sqrt(H)). */
START_TEST(layers_start_as_in_torch)
{
    enum { IN = 400, OUT = 300 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    tn_params *p = tn_params_new(c);
    for (int k = 0; k < 2; k++) {
        const tn_linear_layer l =
            tn_linear_layer_new(p, k ? "a" : "b", IN, OUT, k ? TN_IN_OUT : TN_OUT_IN, true, -1);
        must_be_uniform(l.w, 1 / sqrt(IN));
        must_be_uniform(l.b, 1 / sqrt(IN));
        ck_assert_mem_ne(l.w->x, l.b->x, OUT * sizeof *l.b->x);
    }
    const tn_conv_layer l =
        tn_conv_layer_new(p, "c", 32, 400, 3, 5, (tn_conv_form){ .groups = 4 }, true, -1);
    must_be_uniform(l.w, 1 / sqrt(8 * 3 * 5));
    must_be_uniform(l.b, 1 / sqrt(8 * 3 * 5));
    ck_assert_mem_ne(l.w->x, l.b->x, 400 * sizeof *l.b->x);
    for (int k = 0; k < 2; k++) {
        const tn_recurrent_layer r =
            k ? tn_gru_layer_new(p, "g", 20, 100, true) : tn_lstm_layer_new(p, "l", 20, 100, true);
        const tn_tensor *of[] = { r.w_in, r.w, r.b_in, r.b };
        for (int i = 0; i < 4; i++) {
            must_be_uniform(of[i], 0.1);
            ck_assert_int_eq(of[i]->dim[0], k ? 300 : 400);
            ck_assert(!i || memcmp(of[i]->x, of[i - 1]->x, 300 * sizeof *of[i]->x));
        }
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

/* With std the kernels are normal and the bias is zeros; without bias there is none. */
START_TEST(conv_layer_takes_a_std)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    tn_params *p = tn_params_new(c);
    const tn_conv_layer l = tn_conv_layer_new(p, "a", 4, 6, 3, 2, (tn_conv_form){ 0 }, true, 0.5),
                        bare = tn_conv_layer_new(p, "b", 4, 6, 1, 1, (tn_conv_form){ 0 }, false, 0);
    const int64_t dim[] = { 6, 4, 3, 2 };
    ck_assert(l.w->ndim == 4 && !memcmp(l.w->dim, dim, sizeof dim));
    tn_real want[6 * 4 * 3 * 2];
    tn_fill_normal(want, 6 * 4 * 3 * 2, 0.5, 1, tn_stream("a.weight"));
    ck_assert_mem_eq(l.w->x, want, sizeof want);
    ck_assert(l.b->dim[0] == 6 && l.b->x[0] == 0 && l.b->x[5] == 0);
    ck_assert(!bare.b && bare.w->x[0] == 0);
    ck_assert_int_eq(tn_params_count(p), 3);
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

/* The weights of PyTorch modules open by their names, and the layers compute what the modules do. */
START_TEST(layers_compute_as_in_torch)
{
    static const char *const of[] = { "conv", "lstm", "gru" };
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_params *p = tn_params_new(c);
    const tn_conv_form form = { .stride = { 2, 1 }, .pad = { 1, 0 }, .groups = 2 };
    const tn_conv_layer conv = tn_conv_layer_new(p, "conv", 4, 6, 3, 2, form, true, -1);
    const tn_recurrent_layer lstm = tn_lstm_layer_new(p, "lstm", 3, 4, true),
                             gru = tn_gru_layer_new(p, "gru", 3, 4, true);
    tn_tensor *x[] = { tn_params_add(p, "conv.x", TN_SHAPE(2, 4, 5, 4)),
                       tn_params_add(p, "lstm.x", TN_SHAPE(2, 5, 3)),
                       tn_params_add(p, "gru.x", TN_SHAPE(2, 5, 3)) };
    tn_tensor *want[] = { tn_params_add(p, "conv.y", TN_SHAPE(2, 6, 3, 3)),
                          tn_params_add(p, "lstm.h", TN_SHAPE(2, 5, 4)),
                          tn_params_add(p, "gru.h", TN_SHAPE(2, 5, 4)) };
    tn_tensor *from[] = { tn_params_add(p, "lstm.start", TN_SHAPE(2, 8)),
                          tn_params_add(p, "gru.start", TN_SHAPE(2, 4)) };
    tn_params_open(p, NULL, GOLDEN "layers.safetensors", &e);
    must(&e);
    const tn_tensor *y[] = {
        tn_conv_layer_run(&conv, t, x[0]),
        tn_slice(t, tn_recurrent_layer_run(&lstm, t, x[1], from[0]), -1, 0, 4),
        tn_recurrent_layer_run(&gru, t, x[2], from[1]),
    };
    for (int i = 0; i < 3; i++) {
        ck_assert_msg(y[i] != NULL, "%s: %s", of[i], tn_tape_error(t));
        ck_assert_int_eq(tn_tensor_count(y[i]), tn_tensor_count(want[i]));
        for (int64_t k = 0; k < tn_tensor_count(y[i]); k++)
            ck_assert_double_eq_tol((double)y[i]->x[k], (double)want[i]->x[k],
                                    sizeof(tn_real) == sizeof(double) ? 1e-12 : 1e-6);
    }
    tn_params_free(p);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

/* The same bits as the ops called by hand, also for one step, without biases and from zeros. */
START_TEST(recurrent_layer_is_its_ops)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_params *p = tn_params_new(c);
    for (int k = 0; k < 4; k++) {
        const bool bias = k % 2;
        char name[] = { (char)('a' + k), 0 };
        const tn_recurrent_layer l =
            k < 2 ? tn_lstm_layer_new(p, name, 3, 5, bias) : tn_gru_layer_new(p, name, 3, 5, bias);
        ck_assert(!l.b == !bias && !l.b_in == !bias);
        tn_tensor *x = tn_tape_input(t, TN_REAL, TN_SHAPE(2, 3));
        tn_fill_normal(x->x, 6, 1, 1, 1);
        tn_tensor *gates = tn_linear(t, x, l.w_in, l.b_in, TN_OUT_IN);
        tn_tensor *want =
            k < 2 ? tn_lstm(t, gates, NULL, l.w, l.b) : tn_gru(t, gates, NULL, l.w, l.b);
        const tn_tensor *y = tn_recurrent_layer_run(&l, t, x, NULL);
        ck_assert_int_eq(y->dim[1], k < 2 ? 10 : 5);
        ck_assert_mem_eq(y->x, want->x, tn_tensor_bytes(want));
    }
    ck_assert_int_eq(tn_params_count(p), 12);
    tn_params_free(p);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

/* Sizes that no weight can have stick to the params, and all fields are 0. */
START_TEST(layers_of_no_size_are_refused)
{
    static const int64_t sizes[] = { 0, -1, (int64_t)1 << 41, INT64_MAX, INT64_MIN };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 6; k++) {
            const int64_t in = k == 0 || k == 4 ? sizes[i] : 2,
                          out = k == 1 || k > 4 ? sizes[i] : 2;
            const int64_t high = k == 2 ? sizes[i] : 2, wide = k == 3 ? sizes[i] : 2;
            tn_params *p = tn_params_new(c);
            const tn_tensor *w =
                k < 4
                    ? tn_conv_layer_new(p, "a", in, out, high, wide, (tn_conv_form){ 0 }, true, 1).w
                    : tn_lstm_layer_new(p, "a", in, out, true).w;
            tn_error e = *tn_params_error(p);
            ck_assert_ptr_null(w);
            must_fail(&e, TN_ESHAPE, "a.weight");
            tn_params_free(p);
        }
    }
    tn_context_free(c);
}
END_TEST

/* What a layer cannot take is refused with the name of the layer, and only the first mistake is. */
START_TEST(mistakes_name_the_layer)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_params *p = tn_params_new(c);
    const tn_conv_form groups = { .groups = 3 };
    const tn_linear_layer linear = tn_linear_layer_new(p, "up", 2, 3, TN_OUT_IN, true, 1);
    const tn_norm_layer norm = tn_norm_layer_new(p, "block0.norm", 4, 1e-5),
                        rms = tn_rms_layer_new(p, "rms", 4, 1e-5, 0);
    const tn_conv_layer conv = tn_conv_layer_new(p, "conv", 4, 6, 1, 1, groups, false, 1);
    const tn_recurrent_layer lstm = tn_lstm_layer_new(p, "lstm", 4, 4, true),
                             gru = tn_gru_layer_new(p, "gru", 2, 4, true);
    static const char *const text[] = {
        "linear: shapes do not fit: (1,3) (3,2) (3), in layer up",
        "layer_norm: shapes do not fit: (1,3) (4) (4), in layer block0.norm",
        "rms_norm: shapes do not fit: (1,3) (4), in layer rms",
        "conv2d: 3 groups; expected a divisor of 4 channels and 6 outputs, in layer conv",
        "linear: shapes do not fit: (1,3) (16,4) (16), in layer lstm",
        "gru: shapes do not fit: (1,12) (1,3) (12,4) (12), in layer gru",
        "add: operand 1 is missing",
    };
    for (int i = 0; i < 7; i++) {
        tn_tensor *x = tn_tape_input(t, TN_REAL, TN_SHAPE(1, 3));
        tn_tensor *image = tn_tape_input(t, TN_REAL, TN_SHAPE(1, 4, 3, 3));
        tn_tensor *pair = tn_tape_input(t, TN_REAL, TN_SHAPE(1, 2));
        tn_tensor *y = i == 0   ? tn_linear_layer_run(&linear, t, x)
                       : i == 1 ? tn_norm_layer_run(&norm, t, x)
                       : i == 2 ? tn_norm_layer_run(&rms, t, x)
                       : i == 3 ? tn_conv_layer_run(&conv, t, image)
                       : i == 4 ? tn_recurrent_layer_run(&lstm, t, x, NULL)
                       : i == 5 ? tn_recurrent_layer_run(&gru, t, pair, x)
                                : tn_add(t, NULL, x);
        /* the next layers have no operand, but the mistake is not theirs */
        y = tn_norm_layer_run(&norm, t, tn_linear_layer_run(&linear, t, y));
        ck_assert(!tn_conv_layer_run(&conv, t, y) && !tn_recurrent_layer_run(&gru, t, y, NULL));
        ck_assert_str_eq(tn_tape_error(t), text[i]);
        tn_tape_reset(t);
    }
    tn_params_free(p);
    tn_tape_free(t);
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
    tcase_add_test(c, conv_layer_takes_a_std);
    tcase_add_test(c, layers_compute_as_in_torch);
    tcase_add_test(c, recurrent_layer_is_its_ops);
    tcase_add_test(c, layers_of_no_size_are_refused);
    tcase_add_test(c, mistakes_name_the_layer);
    tcase_add_test(c, norm_layer_starts_as_plain_norm);
}
