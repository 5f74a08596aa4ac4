/* step.c - makes an optimizer, and takes its steps: check, clip, measure, step.
   All gradients are checked and clipped. Every unit measures, then every unit steps. Weights that
   the optimizer does not train go to AdamW, with AdamW's defaults and the same schedule, at the
   rate fallback_lr. */
#include "core/context.h"
#include "core/op.h"
#include "nn/model.h"
#include "optim/balora.h"
#include "optim/algebra/norm.h"
#include "optim/run/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Refuses a definition that lacks what a step needs. */
static int check_definition(const tn_optim_def *def, tn_error *e)
{
    if (!def)
        return tn_fail(e, TN_EARG,
                       "no optimizer is given; expected one of tn_optims or a definition of yours");
    if (!def->name)
        return tn_fail(e, TN_EARG, "the definition of the optimizer has no .name");
    if (!def->hyper[0].name || strcmp(def->hyper[0].name, "lr"))
        return tn_fail(e, TN_EARG, "%s: hyper[0] is %s; expected \"lr\"", def->name,
                       def->hyper[0].name ? def->hyper[0].name : "empty");
    if (!def->step)
        return tn_fail(e, TN_EARG, "%s has no .step; expected the update of a unit", def->name);
    if (def->decay && tn_settings_find(def, def->decay, strlen(def->decay)) < 0)
        return tn_fail(e, TN_EARG, "%s: .decay is %s; expected a name of .hyper", def->name,
                       def->decay);
    return TN_OK;
}

/* Refuses a fallback that cannot train every weight. */
static int check_fallback(const tn_optim_def *def, tn_error *e)
{
    const tn_optim_def *other = def->fallback;
    if (!other || other == def)
        return TN_OK;
    if (!check_definition(other, e) && (other->pairs || other->matrices))
        tn_fail(e, TN_EARG,
                "%s: .fallback is %s, which does not train every weight; expected an "
                "optimizer without .pairs and .matrices",
                def->name, other->name);
    return e->code;
}

static int check_params(const tn_params *p, tn_error *e)
{
    if (!p)
        return tn_fail(e, TN_EARG, "no params are given for the optimizer");
    const tn_error *of = tn_params_error(p);
    return of->code ? tn_fail(e, of->code, "the params hold an error: %s", of->text) : TN_OK;
}

static int choose_clipping(tn_optim *o, double wanted, tn_error *e)
{
    bool refused = o->def->clip == TN_CLIP_REFUSED;
    if (!isfinite(wanted))
        return tn_fail(e, TN_EARG,
                       "%s: max_grad_norm is %g; expected a limit above 0, 0 (no clipping) or -1 "
                       "(the default)",
                       o->def->name, wanted);
    if (refused && wanted > 0)
        return tn_fail(e, TN_EARG,
                       "%s: max_grad_norm is %g: clipping raw gradients breaks the invariance; "
                       "expected 0",
                       o->def->name, wanted);
    o->max_norm = wanted < 0 ? (refused ? 0 : 1) : wanted;
    return TN_OK;
}

tn_optim *tn_optim_new(tn_params *p, const tn_optim_def *def, const tn_optim_options *options,
                       tn_error *e)
{
    const tn_optim_options defaults = { .weight_decay = -1, .max_grad_norm = -1 };
    const tn_optim_options *how = options ? options : &defaults;
    if (!e || e->code || check_definition(def, e) || check_fallback(def, e) || check_params(p, e) ||
        tn_schedule_check(&how->schedule, e))
        return NULL;
    tn_optim *o = calloc(1, sizeof *o);
    if (!o) {
        tn_fail(e, TN_ENOMEM, "out of memory for the optimizer");
        return NULL;
    }
    tn_real *numbers;
    int64_t count;
    tn_params_hold(p);
    o->params = p;
    o->trained = tn_params_trained(p);
    o->context = tn_params_context(p);
    o->def = def;
    o->schedule = how->schedule;
    if (tn_settings_read(def, how, o->hyper, e) ||
        tn_settings_read(tn_settings_fallback(def), &defaults, o->fallback, e) ||
        choose_clipping(o, how->max_grad_norm, e) ||
        (tn_params_join(p, &numbers, &count) &&
         tn_fail(e, TN_ENOMEM, "out of memory for the gradients")) ||
        tn_units_fill(o, how, e)) {
        tn_optim_free(o);
        return NULL;
    }
    return o;
}

void tn_optim_free(tn_optim *o)
{
    if (!o)
        return;
    tn_units_free(o);
    tn_params_free(o->params);
    free(o);
}

static void square_chunk(void *arg, int64_t i, int thread)
{
    (void)thread;
    tn_optim *o = arg;
    const tn_gradient_chunk *p = &o->chunks[i];
    o->sums[i] = tn_sum_squares(o->members[p->member].unit.f[p->factor].g + p->from, p->n);
}

static void scale_chunk(void *arg, int64_t i, int thread)
{
    (void)thread;
    tn_optim *o = arg;
    const tn_gradient_chunk *p = &o->chunks[i];
    tn_real *g = o->members[p->member].w[p->factor]->g + p->from, c = (tn_real)o->clip;
    for (int64_t k = 0; k < p->n; k++)
        g[k] *= c;
}

static char *shared_memory(const tn_optim *o, int thread)
{
    return (char *)o->scratch + o->scratch_shared * (size_t)thread;
}

/* Unit i, ready to run on this thread. */
static tn_member *member_on(tn_optim *o, int64_t i, int thread)
{
    tn_member *m = &o->members[i];
    m->unit.thread = thread;
    if (!m->def->keeps_scratch)
        m->unit.memory = shared_memory(o, thread);
    return m;
}

static void measure_unit(void *arg, int64_t i, int thread)
{
    tn_optim *o = arg;
    tn_member *m = member_on(o, i, thread);
    o->sums[i] = m->def->measure ? m->def->measure(&m->unit) : 0;
}

static void step_unit(void *arg, int64_t i, int thread)
{
    tn_optim *o = arg;
    tn_member *m = member_on(o, i, thread);
    m->def->step(&m->unit);
    if (tn_units_balanced(o, &m->unit) && fmod((double)m->unit.t, o->hyper[TN_BALORA_EVERY]) == 0)
        tn_balora(&m->unit, o->hyper[TN_BALORA] == 2, shared_memory(o, thread));
}

static double sum_in_order(const double *s, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += s[i];
    return sum;
}

/* A call of tn_params_gradients, or another optimizer, may have moved the gradients. */
static void find_gradients(tn_optim *o)
{
    for (int64_t i = 0; i < o->count; i++)
        for (int k = 0; k < o->members[i].unit.factors; k++)
            o->members[i].unit.f[k].g = o->members[i].w[k]->g;
}

/* If nothing was added to a gradient, it is zero. Writes these zeros into its memory. */
static void zero_missing_gradients(tn_optim *o)
{
    for (int64_t i = 0; i < o->count; i++)
        for (int k = 0; k < o->members[i].unit.factors; k++) {
            tn_tensor *w = o->members[i].w[k];
            if (!w->has_grad)
                memset(w->g, 0, (size_t)tn_tensor_count(w) * sizeof *w->g);
            w->has_grad = true;
        }
}

/* Computes the norm of all gradients. Refuses the first weight whose gradient is not finite. */
static int check_gradients(tn_optim *o)
{
    tn_parallel_for(o->context, o->chunk_count, square_chunk, o);
    for (int64_t i = 0; i < o->chunk_count; i++)
        if (!isfinite(o->sums[i])) {
            const tn_gradient_chunk *p = &o->chunks[i];
            return tn_fail(&o->error, TN_ENONFINITE,
                           "step %lld: the gradient of %s is not finite; nothing was changed",
                           (long long)o->steps + 1, o->members[p->member].unit.f[p->factor].name);
        }
    o->norm = sqrt(sum_in_order(o->sums, o->chunk_count));
    return TN_OK;
}

/* As torch's clip_grad_norm_. */
static void clip_gradients(tn_optim *o)
{
    o->clip = o->max_norm > 0 ? o->max_norm / (o->norm + 1e-6) : 1;
    if (o->clip < 1)
        tn_parallel_for(o->context, o->chunk_count, scale_chunk, o);
}

/* The rate of a unit in this step. If a group has its own rate, the rate at the end of a schedule
   has the same share in it. */
static double rate_of(const tn_optim *o, const tn_member *m)
{
    const double all = m->left_over ? o->fallback[0] : o->hyper[0], rate = m->unit.h[0];
    tn_schedule s = o->schedule;
    if (rate != all && all > 0)
        s.min *= rate / all;
    return tn_schedule_rate(&s, rate, o->steps + 1);
}

static int measure_units(tn_optim *o)
{
    for (int64_t i = 0; i < o->count; i++) {
        o->members[i].unit.t = o->steps + 1;
        o->members[i].unit.lr = rate_of(o, &o->members[i]);
    }
    tn_parallel_for(o->context, o->count, measure_unit, o);
    double global = sum_in_order(o->sums, o->count);
    if (!isfinite(global))
        return tn_fail(&o->error, TN_ENONFINITE,
                       "step %lld: the gradients are too large for %s; nothing was changed",
                       (long long)o->steps + 1, o->def->name);
    for (int64_t i = 0; i < o->count; i++)
        o->members[i].unit.global = global;
    return TN_OK;
}

static int step(tn_optim *o)
{
    if (tn_params_is_sketch(o->params))
        return tn_fail(&o->error, TN_ESTATE, "a step on a sketch; expected params with numbers");
    o->lr = tn_schedule_rate(&o->schedule, o->hyper[0], o->steps + 1);
    if (tn_units_check(o, &o->error))
        return o->error.code;
    find_gradients(o);
    zero_missing_gradients(o);
    if (check_gradients(o))
        return o->error.code;
    clip_gradients(o);
    if (measure_units(o))
        return o->error.code;
    tn_parallel_for(o->context, o->count, step_unit, o);
    tn_params_clear(o->params);
    o->steps++;
    return TN_OK;
}

int tn_optim_step(tn_optim *o)
{
    if (!o)
        return TN_EARG;
    o->error = (tn_error){ 0 };
    if (!tn_context_enter(o->context))
        return tn_fail(&o->error, TN_ESTATE, "step %lld: " TN_BUSY, (long long)o->steps + 1);
    step(o);
    tn_context_leave(o->context);
    return o->error.code;
}

const tn_error *tn_optim_error(const tn_optim *o)
{
    static const tn_error none = { TN_EARG, "there is no optimizer: NULL" };
    return o ? &o->error : &none;
}

int64_t tn_optim_left_over(const tn_optim *o, double *lr)
{
    if (!o || !lr)
        return 0;
    int64_t numbers = 0;
    for (int64_t i = 0; i < o->count; i++)
        numbers += o->members[i].left_over ? o->members[i].unit.f[0].n : 0;
    *lr = o->fallback[0];
    return numbers;
}

int64_t tn_optim_steps(const tn_optim *o)
{
    return o ? o->steps : 0;
}

void tn_optim_set_steps(tn_optim *o, int64_t steps)
{
    if (o && steps >= 0)
        o->steps = steps;
}

double tn_optim_lr(const tn_optim *o)
{
    return o ? o->lr : 0;
}

double tn_optim_grad_norm(const tn_optim *o)
{
    return o ? o->norm : 0;
}

size_t tn_optim_state_bytes(const tn_optim *o)
{
    return o ? o->state_bytes : 0;
}

size_t tn_optim_scratch_bytes(const tn_optim *o)
{
    return o ? o->scratch_room : 0;
}

const tn_optim_def *tn_optim_definition(const tn_optim *o)
{
    return o ? o->def : NULL;
}

double tn_optim_hyper(const tn_optim *o, const char *name)
{
    int i = o && name ? tn_settings_find(o->def, name, strlen(name)) : -1;
    return i < 0 ? NAN : o->hyper[i];
}
