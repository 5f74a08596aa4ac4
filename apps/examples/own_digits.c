/* own_digits.c - a network of convolutions learns to read digits that the program draws itself.

   What goes wrong: a linear layer reads the last dimension, which of an image (B,C,H,W) is a line.

       make && build/examples/own_digits

       step 400  loss 0.062
       step 800  loss 0.059
       1923 of 2000 new digits right                                                           */
#include "nn/nn.h"
#include "optim/optim.h"

#include <math.h>
#include <stdio.h>
enum { N = 2000, SIDE = 16, B = 32, STEPS = 800 };
/* Each digit in 7 lines of 5 bits. */
static const unsigned char font[10][7] = {
    { 14, 17, 19, 21, 25, 17, 14 }, { 4, 12, 4, 4, 4, 4, 14 },  { 14, 17, 1, 2, 4, 8, 31 },
    { 31, 2, 4, 2, 1, 17, 14 },     { 2, 6, 10, 18, 31, 2, 2 }, { 31, 16, 30, 1, 1, 17, 14 },
    { 6, 8, 16, 30, 17, 17, 14 },   { 31, 1, 2, 4, 8, 8, 8 },   { 14, 17, 17, 14, 17, 17, 14 },
    { 14, 17, 17, 15, 1, 2, 12 },
};

/* Fills images (N,1,SIDE,SIDE): a digit each, in a size, place and slant of its own, in noise. */
static void draw(const char *name, tn_tensor *image, tn_tensor *digit)
{
    const uint64_t stream = tn_stream(name);
    tn_fill_normal(image->x, tn_tensor_count(image), 0.2, 1, stream);
    for (int64_t i = 0; i < image->dim[0]; i++) {
        tn_real u[5]; /* from -1 to 1 */
        tn_fill_uniform(u, 5, 1, (uint64_t)i, stream);
        const double high = 1.8 + 0.4 * (double)u[0], wide = 2 + 0.4 * (double)u[1];
        const double slant = 0.2 * (double)u[2], top = (8 - 3.5 * high) * (double)(1 + u[3]);
        const double left = (8 - 2.5 * wide) * (double)(1 + u[4]);
        digit->i[i] = (int32_t)(i % 10);
        for (int k = 0; k < SIDE * SIDE; k++) {
            const int y = k / SIDE, line = (int)floor((y - top) / high);
            const int bit = (int)floor((k % SIDE - left + slant * (y - SIDE / 2)) / wide);
            if (line >= 0 && line < 7 && bit >= 0 && bit < 5)
                image->x[i * SIDE * SIDE + k] += (tn_real)(font[i % 10][line] >> (4 - bit) & 1);
        }
    }
}

/* (B,1,16,16) -> (B,8,8,8) -> (B,16,4,4) -> (B,10) */
static tn_tensor *scores(const tn_conv_layer conv[2], const tn_linear_layer *last, tn_tape *t,
                         tn_tensor *x)
{
    const tn_pool_form half = { .size = { 2, 2 } };
    const int64_t rows = x ? x->dim[0] : 0;
    for (int i = 0; i < 2; i++)
        x = tn_max_pool2d(t, tn_relu(t, tn_conv_layer_run(&conv[i], t, x)), half);
    return tn_linear_layer_run(last, t, tn_reshape(t, x, TN_SHAPE(rows, 16 * 4 * 4)));
}

int main(void)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .seed = 1 });
    if (!c)
        return 1; /* out of memory, or this CPU does not have what $TN_ISA names */
    tn_tensor *image = tn_tensor_new(TN_REAL, TN_SHAPE(N, 1, SIDE, SIDE), false);
    tn_tensor *digit = tn_tensor_new(TN_I32, TN_SHAPE(N), false);
    draw("train", image, digit);
    tn_params *p = tn_params_new(c);
    tn_tape *t = tn_tape_new(c);
    const tn_conv_form same = { .pad = { 1, 1 } }; /* the size of an image stays */
    tn_conv_layer conv[] = { tn_conv_layer_new(p, "first", 1, 8, 3, 3, same, true, -1),
                             tn_conv_layer_new(p, "second", 8, 16, 3, 3, same, true, -1) };
    tn_linear_layer last = tn_linear_layer_new(p, "last", 16 * 4 * 4, 10, TN_OUT_IN, true, -1);
    tn_optim *o = tn_optim_new(p, tn_optim_find("adamw"), &(tn_optim_options){ .lr = 3e-3 }, &e);
    for (int64_t step = 1; step <= STEPS && !e.code; step++) {
        tn_tensor *y = scores(conv, &last, t, tn_shuffled_rows(t, image, 1, step * B, B));
        tn_tensor *loss = tn_cross_entropy(t, y, tn_shuffled_rows(t, digit, 1, step * B, B), 0);
        if (tn_backward(t, loss))
            tn_fail(&e, tn_tape_code(t), "%s", tn_tape_error(t));
        else if (tn_optim_step(o))
            e = *tn_optim_error(o);
        else if (step % 400 == 0)
            printf("step %lld  loss %.3f\n", (long long)step, (double)loss->x[0]);
        tn_tape_reset(t);
    }
    draw("test", image, digit);
    tn_tape_eval(t);
    tn_tensor *best = tn_argmax(t, scores(conv, &last, t, image), 1, false);
    int right = 0;
    for (int i = 0; best && i < N; i++)
        right += best->i[i] == digit->i[i];
    printf("%d of %d new digits right\n", right, N);
    tn_optim_free(o), tn_tape_free(t), tn_params_free(p), tn_context_free(c);
    tn_tensor_free(image), tn_tensor_free(digit);
    return e.code ? fprintf(stderr, "own_digits: %s\n", e.text), 1 : 0;
}
