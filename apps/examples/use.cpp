/* use.cpp - use from C++17: a network with one hidden layer learns the curve sin(3 x).
   The library is the same as in C. Here objects end by themselves, and mistakes are exceptions.

       make && build/examples/use

       step  500  loss 0.000099
       step 1000  loss 0.000074
       x -1.00  curve -0.141  network -0.157
       x -0.33  curve -0.841  network -0.845
       x  0.33  curve  0.841  network  0.833
       x  1.00  curve  0.141  network  0.160  */
#include "optim/optim.h"

#include <cmath>
#include <cstdio>
#include <memory>
#include <stdexcept>

namespace
{
constexpr int points = 64, hidden = 32, steps = 1000;

/* owned<tn_tape, tn_tape_free>: a pointer whose object ends with it. */
template <auto end> struct ender {
    template <class T> void operator()(T *p) const
    {
        end(p);
    }
};
template <class T, auto end> using owned = std::unique_ptr<T, ender<end>>;

void check(const tn_error &e)
{
    if (e.code)
        throw std::runtime_error(e.text);
}

struct network {
    tn_linear_layer first, last;
    explicit network(tn_params *p)
        : first(tn_linear_layer_new(p, "first", 1, hidden, TN_OUT_IN, true, 2)),
          last(tn_linear_layer_new(p, "last", hidden, 1, TN_OUT_IN, true, 0.2))
    {
        check(*tn_params_error(p));
    }
    tn_tensor *operator()(tn_tape *t, tn_tensor *x) const /* (N,1) -> (N,1) */
    {
        return tn_linear_layer_run(&last, t, tn_gelu(t, tn_linear_layer_run(&first, t, x)));
    }
};

void learn()
{
    const owned<tn_context, tn_context_free> c(tn_context_new(nullptr));
    if (!c)
        throw std::runtime_error("out of memory, or this CPU does not have what $TN_ISA names");
    const owned<tn_params, tn_params_free> p(tn_params_new(c.get()));
    const network net(p.get());
    tn_optim_options how{};
    how.lr = 0.1;
    how.schedule.kind = TN_COSINE;
    how.schedule.steps = steps;
    tn_error e{};
    const owned<tn_optim, tn_optim_free> o(tn_optim_new(p.get(), tn_optim_find("adamw"), &how, &e));
    check(e);
    const owned<tn_tensor, tn_tensor_free> x(tn_tensor_new(TN_REAL, TN_SHAPE(points, 1), false)),
        minus_y(tn_tensor_new(TN_REAL, TN_SHAPE(points, 1), false));
    const owned<tn_tape, tn_tape_free> t(tn_tape_new(c.get()));
    if (!x || !minus_y || !t)
        throw std::bad_alloc();
    for (int i = 0; i < points; i++) {
        x->x[i] = static_cast<tn_real>(2 * i) / (points - 1) - 1;
        minus_y->x[i] = -std::sin(3 * x->x[i]);
    }
    for (int step = 1; step <= steps; step++) {
        tn_tensor *error = tn_add(t.get(), net(t.get(), x.get()), minus_y.get());
        tn_tensor *loss = tn_mean(t.get(), tn_mul(t.get(), error, error));
        if (tn_backward(t.get(), loss))
            throw std::runtime_error(tn_tape_error(t.get()));
        if (step % 500 == 0)
            std::printf("step %4d  loss %.6f\n", step, static_cast<double>(loss->x[0]));
        if (tn_optim_step(o.get()))
            check(*tn_optim_error(o.get()));
        tn_tape_reset(t.get());
    }
    tn_tape_eval(t.get());
    tn_tensor *y = net(t.get(), x.get());
    for (int i = 0; y && i < points; i += 21)
        std::printf("x %5.2f  curve %6.3f  network %6.3f\n", static_cast<double>(x->x[i]),
                    -static_cast<double>(minus_y->x[i]), static_cast<double>(y->x[i]));
}
} // namespace

int main()
try {
    learn();
} catch (const std::exception &e) {
    std::fprintf(stderr, "use: %s\n", e.what());
    return 1;
}
