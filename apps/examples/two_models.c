/* two_models.c - two models learn at the same time, each in a thread of its own.
   A context serves one thread at a time, so each thread has its own context, and with it its own
   params, optimizer and tape. The points are shared, because nobody writes them. A model that
   learnt beside another has the same bits as one that learnt alone.

       make && build/examples/two_models

       circle  loss 0.0140  beside the other the same bits
       stripe  loss 0.0151  beside the other the same bits

   What goes wrong: two threads in one context. The second one is refused: TN_ESTATE. */
#include "optim/optim.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

enum { N = 256, HIDDEN = 24, STEPS = 600 };

typedef struct job {
    const char *name;
    tn_tensor *points, *inside; /* (N,2), (N) i32; shared, and read only */
    double loss;                /* of the last step */
    uint64_t hash;              /* of the trained weights */
    tn_error e;
} job;

static void train(job *j, tn_params *p, tn_tape *t)
{
    const tn_linear_layer first = tn_linear_layer_new(p, "first", 2, HIDDEN, TN_OUT_IN, true, 1),
                          last = tn_linear_layer_new(p, "last", HIDDEN, 2, TN_OUT_IN, true, 0.2);
    const tn_optim_options how = { .lr = 0.02 };
    tn_optim *o = tn_optim_new(p, tn_optim_find("adamw"), &how, &j->e);
    for (int step = 0; !j->e.code && step < STEPS; step++) {
        tn_tensor *hidden = tn_tanh(t, tn_linear_layer_run(&first, t, j->points));
        tn_tensor *loss = tn_cross_entropy(t, tn_linear_layer_run(&last, t, hidden), j->inside, 0);
        j->loss = loss ? (double)loss->x[0] : NAN;
        if (tn_backward(t, loss))
            tn_fail(&j->e, tn_tape_code(t), "%s", tn_tape_error(t));
        else if (tn_optim_step(o))
            j->e = *tn_optim_error(o);
        tn_tape_reset(t);
    }
    j->hash = tn_params_hash(p, true);
    tn_optim_free(o);
}

/* The work of one thread. A context of one thread starts no other threads. */
static void *run(void *arg)
{
    job *j = arg;
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    tn_params *p = tn_params_new(c);
    tn_tape *t = tn_tape_new(c);
    if (t)
        train(j, p, t);
    else
        tn_fail(&j->e, TN_ESTATE, "there is no context, or memory is out");
    tn_tape_free(t), tn_params_free(p), tn_context_free(c);
    return NULL;
}

int main(void)
{
    tn_tensor *points = tn_tensor_new(TN_REAL, TN_SHAPE(N, 2), false);
    tn_tensor *circle = tn_tensor_new(TN_I32, TN_SHAPE(N), false);
    tn_tensor *stripe = tn_tensor_new(TN_I32, TN_SHAPE(N), false);
    if (!points || !circle || !stripe)
        return 1;
    tn_fill_uniform(points->x, 2 * N, 1, 1, tn_stream("points"));
    for (int i = 0; i < N; i++) {
        const double x = (double)points->x[2 * i], y = (double)points->x[2 * i + 1];
        circle->i[i] = x * x + y * y < 0.5;
        stripe->i[i] = fabs(x - y) < 0.5;
    }
    job alone[] = { { "circle", points, circle, .loss = NAN },
                    { "stripe", points, stripe, .loss = NAN } },
        beside[] = { alone[0], alone[1] };
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        run(&alone[i]);
    int started = 0;
    while (started < 2 && !pthread_create(&thread[started], NULL, run, &beside[started]))
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    bool well = started == 2;
    for (int i = 0; i < started; i++) {
        const bool same = beside[i].hash == alone[i].hash && !beside[i].e.code;
        printf("%s  loss %.4f  beside the other %s\n", beside[i].name, beside[i].loss,
               same               ? "the same bits"
               : beside[i].e.code ? beside[i].e.text
                                  : "other bits");
        well &= same;
    }
    tn_tensor_free(points), tn_tensor_free(circle), tn_tensor_free(stripe);
    return !well;
}
