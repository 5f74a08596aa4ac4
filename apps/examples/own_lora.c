/* own_lora.c - LoRA on a network of your own, with save and resume.
   It trains a base, adapts it to a task that changed, stops in the middle, and goes on in another
   set of params with the same bits.
   What goes wrong: an optimizer that is made before the adapters refuses its first step.

       make && mkdir -p /tmp/own && build/examples/own_lora /tmp/own

       base               step 2000  loss 0.0000
       adapters           step    1  loss 11.2904
       adapters           step  200  loss 0.0094
       adapters           step  400  loss 0.0067
       adapters, resumed  step  400  loss 0.0067
       the same bits                                                                           */
#include "nn/nn.h"
#include "optim/optim.h"

#include <math.h>
#include <stdio.h>
enum { N = 512, HIDDEN = 32, LAYERS = 3, BASE_STEPS = 2000, STEPS = 400 };
typedef struct net {
    tn_params *p;
    tn_linear_layer layer[LAYERS];
    tn_optim *o;
} net;

/* If the path of a base is given: loads this base and adds an adapter of rank 4 to each layer. */
static net net_new(tn_context *c, const char *base, tn_error *e)
{
    static const char *const names[] = { "first", "second", "last" };
    static const int64_t width[] = { 2, HIDDEN, HIDDEN, 2 };
    net n = { .p = tn_params_new(c) };
    for (int i = 0; i < LAYERS; i++)
        n.layer[i] = tn_linear_layer_new(n.p, names[i], width[i], width[i + 1], TN_OUT_IN, true,
                                         1 / sqrt((double)width[i]));
    if (base)
        tn_params_open(n.p, NULL, base, e);
    for (int i = 0; base && i < LAYERS; i++)
        tn_lora_add_layer(n.p, &n.layer[i], &(tn_lora_options){ .rank = 4, .alpha = 8 }, e);
    n.o = tn_optim_new(n.p, tn_optim_find("adamw"), &(tn_optim_options){ .lr = 0.01 }, e);
    return n;
}

/* Steps `from` to `to`; prints and returns the loss before the last. */
static double train(const char *what, const net *n, tn_tape *t, tn_tensor *points, tn_tensor *side,
                    int64_t from, int64_t to, tn_error *e)
{
    double loss = NAN;
    for (int64_t step = from; step < to && !e->code; step++) {
        tn_tensor *x = points;
        for (int i = 0; i < LAYERS; i++)
            x = tn_linear_layer_run(&n->layer[i], t, i ? tn_relu(t, x) : x);
        tn_tensor *mean = tn_cross_entropy(t, x, side, 0);
        loss = mean ? (double)mean->x[0] : NAN;
        if (tn_backward(t, mean))
            tn_fail(e, tn_tape_code(t), "%s", tn_tape_error(t));
        else if (tn_optim_step(n->o))
            *e = *tn_optim_error(n->o);
        tn_tape_reset(t);
    }
    if (!e->code)
        printf("%-18s step %4lld  loss %.4f\n", what, (long long)to, loss);
    return loss;
}

int main(int argc, char **argv)
{
    char base[4096];
    tn_error e = { 0 };
    tn_context *c = argc == 2 ? tn_context_new(&(tn_options){ .seed = 1 }) : NULL;
    if (!c)
        return fprintf(stderr, "usage: own_lora FOLDER\n"), 1;
    tn_tape *t = tn_tape_new(c);
    tn_tensor *x = tn_tensor_new(TN_REAL, TN_SHAPE(N, 2), false);
    tn_tensor *side = tn_tensor_new(TN_I32, TN_SHAPE(N), false);
    tn_fill_uniform(x->x, 2 * N, 1, 1, tn_stream("points"));
    snprintf(base, sizeof base, "%s/base.safetensors", argv[1]);
    for (int i = 0; i < N; i++) /* is the point above the curve? */
        side->i[i] = x->x[2 * i + 1] > sin(4 * x->x[2 * i]);
    net n = net_new(c, NULL, &e);
    train("base", &n, t, x, side, 0, BASE_STEPS, &e);
    tn_params_save(n.p, NULL, base, TN_FILE_F32, &e);
    for (int i = 0; i < N; i++) /* above another curve? */
        side->i[i] = x->x[2 * i + 1] > sin(4 * x->x[2 * i] + 1);
    net a = net_new(c, base, &e), b = net_new(c, base, &e);
    tn_run_state half = { .step = STEPS / 2 }, found = { 0 };
    train("adapters", &a, t, x, side, 0, 1, &e);
    train("adapters", &a, t, x, side, 1, STEPS / 2, &e);
    tn_checkpoint_save(argv[1], a.p, a.o, &half, 1, &e);
    const double whole = train("adapters", &a, t, x, side, STEPS / 2, STEPS, &e);
    tn_checkpoint_load(argv[1], b.p, b.o, &found, &e);
    const double rest = train("adapters, resumed", &b, t, x, side, found.step, STEPS, &e);
    if (e.code)
        fprintf(stderr, "own_lora: %s\n", e.text);
    else
        puts(rest == whole ? "the same bits" : "other bits");
    tn_optim_free(n.o), tn_optim_free(a.o), tn_optim_free(b.o), tn_params_free(n.p);
    tn_params_free(a.p), tn_params_free(b.p), tn_tape_free(t), tn_tensor_free(x);
    tn_tensor_free(side), tn_context_free(c);
    return e.code != 0;
}
