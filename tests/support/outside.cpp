/* outside.cpp - a model, an op and an optimizer in C++17, from the installed headers alone.
   test_install.c builds it with the Makefile of the README. */
#include <tenon/core/op.h>
#include <tenon/optim/optim.h>

#include <cmath>
#include <cstdio>

/* ---- the op: y = sin a ---- */

static int sine_shape(tn_tape *, const tn_node *n, tn_tensor *out)
{
    tn_like(out, n->in[0]);
    return 0;
}

static void sine_forward(tn_tape *, tn_node *n)
{
    for (int64_t i = 0; i < tn_tensor_count(n->out); i++)
        n->out->x[i] = std::sin(n->in[0]->x[i]);
}

static void sine_backward(tn_tape *t, const tn_node *n)
{
    tn_real beta, *g = tn_grad(t, n, 0, &beta);
    for (int64_t i = 0; g && i < tn_tensor_count(n->out); i++)
        g[i] = (beta == 0 ? 0 : g[i]) + n->out->g[i] * std::cos(n->in[0]->x[i]);
}

static tn_op sine_op(const tn_sample *samples)
{
    tn_op op{};
    op.name = "sine";
    op.inputs = 1;
    op.rows = 1;
    op.shape = sine_shape;
    op.forward = sine_forward;
    op.backward = sine_backward;
    op.samples = samples;
    return op;
}

/* ---- the optimizer: gradient descent with momentum ---- */

static void ball_step(tn_unit *u)
{
    for (int k = 0; k < u->factors; k++) {
        auto *v = static_cast<tn_real *>(u->slot[0][k]);
        for (int64_t i = 0; i < u->f[k].n; i++) {
            v[i] = static_cast<tn_real>(u->h[1]) * v[i] + u->f[k].g[i];
            u->f[k].x[i] -= static_cast<tn_real>(u->lr) * v[i];
        }
    }
}

static tn_optim_def ball()
{
    tn_optim_def d{};
    d.name = "ball";
    d.hyper[0] = { "lr", 0.05, TN_ABOVE_0, "learning rate" };
    d.hyper[1] = { "momentum", 0.9, TN_SHARE, "decay of the speed" };
    d.slots[0] = { "v", TN_LIKE_X };
    d.step = ball_step;
    return d;
}

/* ---- the model ---- */

int main()
{
    tn_sample samples[3] = {};
    samples[0].in[0][0] = 5;
    samples[1].in[0][0] = samples[1].in[0][1] = 3;
    const tn_op op = sine_op(samples);
    const tn_optim_def def = ball();
    std::printf("%d findings\n", tn_op_check(&op, nullptr, nullptr));

    tn_error e{};
    tn_context *c = tn_context_new(nullptr);
    tn_params *p = tn_params_new(c);
    const tn_linear_layer first = tn_linear_layer_new(p, "first", 1, 32, TN_OUT_IN, true, 2),
                          last = tn_linear_layer_new(p, "last", 32, 1, TN_OUT_IN, true, 0.2);
    tn_optim *o = tn_optim_new(p, &def, nullptr, &e);
    tn_tape *t = tn_tape_new(c);
    double loss = 1;
    for (int step = 0; step < 500 && !e.code; step++) {
        tn_tensor *x = tn_tape_input(t, TN_REAL, TN_SHAPE(64, 1));
        tn_tensor *y = tn_tape_input(t, TN_REAL, TN_SHAPE(64, 1));
        for (int i = 0; x && y && i < 64; i++) {
            x->x[i] = static_cast<tn_real>(i) / 32 - 1;
            y->x[i] = x->x[i] * x->x[i];
        }
        tn_tensor *h = tn_linear_layer_run(&first, t, x);
        h = tn_apply(t, &op, &h, tn_attr{});
        tn_tensor *mean = tn_mse(t, tn_linear_layer_run(&last, t, h), y);
        loss = mean ? static_cast<double>(mean->x[0]) : NAN;
        if (tn_backward(t, mean))
            tn_fail(&e, tn_tape_code(t), "%s", tn_tape_error(t));
        else if (tn_optim_step(o))
            e = *tn_optim_error(o);
        tn_tape_reset(t);
    }
    std::printf("%s\n", e.code ? e.text : loss < 1e-3 ? "learnt" : "not learnt");
    tn_optim_free(o), tn_params_free(p), tn_tape_free(t), tn_context_free(c);
}
