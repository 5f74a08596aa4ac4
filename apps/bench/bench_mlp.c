/* bench_mlp.c - tenon bench step --mode mlp: steps of a small network.
   784-64-64-10 with relu and cross-entropy, plain SGD, random images. The products are so small
   that the work around them matters. */
#include "apps/bench/bench.h"
#include "apps/report/lines.h"
#include "apps/report/machine.h"

#include <time.h>

enum { IMAGE = 784, HIDDEN = 64, CLASSES = 10, STEPS = 2000, WARM_UP = 50 };

typedef struct mlp {
    tn_linear_layer first, second, last;
} mlp;

static mlp mlp_new(tn_params *p)
{
    return (mlp){ tn_linear_layer_new(p, "first", IMAGE, HIDDEN, TN_OUT_IN, true, 0.05),
                  tn_linear_layer_new(p, "second", HIDDEN, HIDDEN, TN_OUT_IN, true, 0.2),
                  tn_linear_layer_new(p, "last", HIDDEN, CLASSES, TN_OUT_IN, true, 0.2) };
}

/* Seconds of CPU time of all threads of this process. */
static double cpu_seconds(void)
{
    struct timespec s;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &s);
    return (double)s.tv_sec + 1e-9 * (double)s.tv_nsec;
}

static int step(const mlp *m, tn_tape *t, tn_tensor *x, tn_tensor *class, tn_optim *o, tn_error *e)
{
    tn_tensor *h = tn_relu(t, tn_linear_layer_run(&m->first, t, x)); // (B,H)
    h = tn_relu(t, tn_linear_layer_run(&m->second, t, h));           // (B,H)
    if (tn_backward(t, tn_cross_entropy(t, tn_linear_layer_run(&m->last, t, h), class, 0)))
        return tn_fail(e, tn_tape_code(t), "%s", tn_tape_error(t));
    tn_tape_reset(t);
    if (tn_optim_step(o))
        return tn_fail(e, tn_optim_error(o)->code, "%s", tn_optim_error(o)->text);
    return 0;
}

static void measure(const options *o, tn_context *c, const mlp *m, tn_tape *t, tn_tensor *x,
                    tn_tensor *class, tn_optim *sgd, tn_error *e)
{
    const int steps = o->iters > 0 && o->iters < STEPS ? (int)o->iters : STEPS;
    double begin = 0, cpu = 0;
    for (int k = -WARM_UP; k < steps && !e->code; k++) {
        if (k == 0) {
            begin = now_seconds();
            cpu = cpu_seconds();
        }
        step(m, t, x, class, sgd, e);
    }
    cpu = cpu_seconds() - cpu; /* first: it is at most the threads times the seconds */
    double seconds = now_seconds() - begin;
    if (!e->code)
        lines_show("tenon %s MLP %d-%d-%d-%d B %lld sgd %dT: %.4g us per step | %.0f steps/s, "
                   "%.0f per CPU second\n",
                   tn_context_isa(c), IMAGE, HIDDEN, HIDDEN, CLASSES, (long long)o->batch_size,
                   tn_context_threads(c), 1e6 * seconds / steps, steps / seconds, steps / cpu);
}

int bench_mlp(const options *o, tn_error *e)
{
    tn_context *c = bench_context(NULL, (int)o->threads, e);
    tn_params *p = c ? tn_params_new(c) : NULL;
    tn_tape *t = c ? tn_tape_new(c) : NULL;
    tn_tensor *x = tn_tensor_new(TN_REAL, 2, (int64_t[]){ o->batch_size, IMAGE }, false);
    tn_tensor *class = tn_tensor_new(TN_I32, 1, (int64_t[]){ o->batch_size }, false);
    if (!p || !t || !x || !class)
        tn_fail(e, TN_ENOMEM, "bench step: no memory for the network");
    mlp m = e->code ? (mlp){ 0 } : mlp_new(p);
    tn_optim *sgd = e->code ? NULL
                            : tn_optim_new(p, tn_optim_find("sgd"),
                                           &(tn_optim_options){
                                               .lr = 0.01, .weight_decay = -1, .max_grad_norm = 0 },
                                           e);
    if (!e->code) {
        tn_fill_uniform(x->x, tn_tensor_count(x), 1, 1, 1);
        for (int64_t i = 0; i < o->batch_size; i++)
            class->i[i] = (int32_t)(tn_random(1, 2, 0, (uint64_t)i) % CLASSES);
        measure(o, c, &m, t, x, class, sgd, e);
    }
    tn_optim_free(sgd);
    tn_tensor_free(class);
    tn_tensor_free(x);
    tn_tape_free(t);
    tn_params_free(p);
    tn_context_free(c);
    return e->code != 0;
}
