/* lab_run.c - runs an optimizer on two factors whose product has a loss, in plain loops. */
#include "apps/lab/lab.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct lab_pair {
    const lab_task *t;
    tn_params *params;
    tn_optim *optim;
    tn_tensor *a, *b; /* lora_B (out,r), lora_A (r,in); Z and NULL without a pair */
    double *z, *g;    /* the product and its gradient */
} lab_pair;

static double scale_of(const lab_task *t)
{
    return t->s != 0 ? t->s : 1;
}

static tn_tensor *add(lab_pair *p, const char *name, int64_t rows, int64_t cols)
{
    tn_tensor *w = tn_params_add(p->params, name, 2, (int64_t[]){ rows, cols });
    if (w)
        tn_params_find(p->params, name)->lora_scale = p->t->r ? scale_of(p->t) : 0;
    return w;
}

static void close_pair(lab_pair *p)
{
    tn_optim_free(p->optim);
    tn_params_free(p->params);
    free(p->z);
}

static int open_pair(lab_pair *p, const lab *l, const lab_choice *how, double lr, tn_error *e)
{
    const lab_task *t = p->t;
    const size_t n = (size_t)(t->out * t->in);
    p->params = tn_params_new(l->context);
    p->z = calloc(2 * n, sizeof *p->z);
    p->a = p->params ? add(p, t->r ? "x.lora_B.weight" : "x.weight", t->out, t->r ? t->r : t->in)
                     : NULL;
    p->b = p->a && t->r ? add(p, "x.lora_A.weight", t->r, t->in) : NULL;
    if (!p->z || !p->a || (t->r && !p->b))
        return tn_fail(e, TN_ENOMEM, "lab: out of memory");
    p->g = p->z + n;
    for (int64_t i = 0; i < tn_tensor_count(p->a); i++)
        p->a->x[i] = (tn_real)t->a[i];
    for (int64_t k = 0; k < t->r; k++)
        for (int64_t j = 0; j < t->in; j++)
            p->b->x[k * t->in + j] = (tn_real)t->b[j * t->r + k];
    const tn_optim_options made = { .lr = lr, .set = how->set, .weight_decay = -1 };
    p->optim = tn_optim_new(p->params, how->def, &made, e);
    if (e->code == TN_EARG)
        e->code = APP_USAGE;
    return e->code;
}

/* z = s A B^T, or Z itself. */
static void product(const lab_pair *p)
{
    const lab_task *t = p->t;
    for (int64_t i = 0; i < t->out; i++)
        for (int64_t j = 0; j < t->in; j++) {
            double sum = t->r ? 0 : (double)p->a->x[i * t->in + j];
            for (int64_t k = 0; k < t->r; k++)
                sum += (double)p->a->x[i * t->r + k] * (double)p->b->x[k * t->in + j];
            p->z[i * t->in + j] = t->r ? scale_of(t) * sum : sum;
        }
}

/* g of the product gives s g B for A and s g^T A for B. */
static void gradients(const lab_pair *p)
{
    const lab_task *t = p->t;
    for (int64_t i = 0; i < t->out * t->in && !t->r; i++)
        p->a->g[i] = (tn_real)p->g[i];
    for (int64_t k = 0; k < t->r; k++) {
        for (int64_t i = 0; i < t->out; i++) {
            double sum = 0;
            for (int64_t j = 0; j < t->in; j++)
                sum += p->g[i * t->in + j] * (double)p->b->x[k * t->in + j];
            p->a->g[i * t->r + k] = (tn_real)(scale_of(t) * sum);
        }
        for (int64_t j = 0; j < t->in; j++) {
            double sum = 0;
            for (int64_t i = 0; i < t->out; i++)
                sum += p->g[i * t->in + j] * (double)p->a->x[i * t->r + k];
            p->b->g[k * t->in + j] = (tn_real)(scale_of(t) * sum);
        }
    }
    p->a->has_grad = true;
    if (p->b)
        p->b->has_grad = true;
}

int lab_run(const lab *l, const lab_choice *how, double lr, const lab_task *t,
            void (*each)(void *arg, const lab_state *now), void *arg, tn_error *e)
{
    lab_pair p = { .t = t };
    if (!e->code)
        open_pair(&p, l, how, lr, e);
    for (int step = 0; step <= t->steps && !e->code; step++) {
        product(&p);
        const double loss = t->loss(t->problem, p.z, p.g);
        if (!isfinite(loss))
            break;
        each(arg, &(lab_state){ step, loss, p.z, p.a->x, p.b ? p.b->x : NULL, p.optim });
        gradients(&p);
        const int code = step < t->steps ? tn_optim_step(p.optim) : 0;
        if (code == TN_ENONFINITE)
            break;
        if (code)
            tn_fail(e, code, "%s", tn_optim_error(p.optim)->text);
    }
    close_pair(&p);
    return e->code;
}

typedef struct ends {
    int steps;
    double first, last; /* losses */
} ends;

static void note_ends(void *arg, const lab_state *now)
{
    ends *s = arg;
    if (!now->step)
        s->first = now->loss;
    if (now->step == s->steps)
        s->last = now->loss;
}

double lab_rate(const lab *l, const lab_choice *how, const lab_task *t, tn_error *e)
{
    static const double rates[] = { 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1 };
    enum { RATES = sizeof rates / sizeof *rates };
    double last[RATES], best = INFINITY, first = 0;
    if (l->o->learning_rate != NOT_SET)
        return l->o->learning_rate;
    for (int i = 0; i < RATES && !e->code; i++) {
        ends s = { .steps = t->steps, .last = INFINITY };
        lab_run(l, how, rates[i], t, note_ends, &s, e);
        first = s.first;
        last[i] = s.last;
        best = fmin(best, s.last);
    }
    for (int i = 0; i < RATES && !e->code; i++)
        if (last[i] <= best + 1e-3 * first)
            return rates[i];
    return rates[0];
}

static double squares(const void *problem, const double *z, double *g)
{
    const lab_goal *t = problem;
    double sum = 0;
    for (int64_t i = 0; i < t->out * t->in; i++) {
        g[i] = z[i] - t->y[i];
        sum += 0.5 * g[i] * g[i];
    }
    return sum;
}

lab_task lab_fit(const lab_goal *y, int64_t r, const double *a, const double *b, int steps)
{
    return (lab_task){ .out = y->out,
                       .in = y->in,
                       .r = r,
                       .a = a,
                       .b = b,
                       .loss = squares,
                       .problem = y,
                       .steps = steps };
}

void lab_normal(const lab *l, const char *stream, double std, int64_t n, double *x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = std * tn_random_normal(l->seed, tn_stream(stream), 0, (uint64_t)i);
}
