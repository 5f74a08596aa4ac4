/* linear_regression.c - a straight line through noisy points, by gradient descent on a tape.
   It uses core/ alone: no params and no optimizer. The weights are two tensors, and the step is
   written out. The formula of least squares gives the same line.

       make && build/examples/linear_regression

       step   1  loss 5.83824
       step  50  loss 0.08939
       step 200  loss 0.08939
       line           2.0450 x -0.4553
       least squares  2.0450 x -0.4553 */
#include "core/core.h"

#include <stdio.h>

enum { N = 100, STEPS = 200 };

/* Points (x,y) near the line 2 x - 0.5, x in (-2,2), with noise of deviation 0.3. */
static void points(tn_tensor *x, tn_tensor *y)
{
    tn_fill_uniform(x->x, N, 2, 1, tn_stream("x"));
    tn_fill_normal(y->x, N, 0.3, 1, tn_stream("noise"));
    for (int i = 0; i < N; i++)
        y->x[i] += 2 * x->x[i] - (tn_real)0.5;
}

/* w -= rate g, and the gradient is zero again. */
static void descend(tn_tensor *w, double rate)
{
    if (w->has_grad)
        w->x[0] -= (tn_real)rate * w->g[0];
    w->has_grad = false;
}

static void least_squares(const tn_tensor *x, const tn_tensor *y)
{
    double mean_x = 0, mean_y = 0, xx = 0, xy = 0;
    for (int i = 0; i < N; i++) {
        mean_x += (double)x->x[i] / N;
        mean_y += (double)y->x[i] / N;
    }
    for (int i = 0; i < N; i++) {
        const double from = (double)x->x[i] - mean_x;
        xx += from * from;
        xy += from * ((double)y->x[i] - mean_y);
    }
    printf("least squares  %.4f x %+.4f\n", xy / xx, mean_y - xy / xx * mean_x);
}

int main(void)
{
    tn_context *c = tn_context_new(NULL);
    if (!c)
        return 1; /* out of memory, or this CPU does not have what $TN_ISA names */
    tn_tape *t = tn_tape_new(c);
    tn_tensor *x = tn_tensor_new(TN_REAL, TN_SHAPE(N, 1), false);
    tn_tensor *y = tn_tensor_new(TN_REAL, TN_SHAPE(N, 1), false);
    tn_tensor *slope = tn_tensor_new(TN_REAL, TN_SHAPE(1, 1), true);
    tn_tensor *offset = tn_tensor_new(TN_REAL, TN_SHAPE(1), true);
    if (!t || !x || !y || !slope || !offset)
        return 1;
    points(x, y);
    int failed = 0;
    for (int step = 1; !failed && step <= STEPS; step++) {
        tn_tensor *guess = tn_add(t, tn_matmul(t, x, slope), offset); /* (N,1) */
        tn_tensor *loss = tn_mse(t, guess, y);                        /* (1) */
        failed = tn_backward(t, loss);
        if (failed)
            fprintf(stderr, "linear_regression: %s\n", tn_tape_error(t));
        else if (step == 1 || step == 50 || step == STEPS)
            printf("step %3d  loss %.5f\n", step, (double)loss->x[0]);
        descend(slope, 0.1), descend(offset, 0.1);
        tn_tape_reset(t);
    }
    printf("line           %.4f x %+.4f\n", (double)slope->x[0], (double)offset->x[0]);
    least_squares(x, y);
    tn_tape_free(t), tn_tensor_free(x), tn_tensor_free(y), tn_tensor_free(slope);
    tn_tensor_free(offset), tn_context_free(c);
    return failed != 0;
}
