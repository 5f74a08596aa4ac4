/* run.c - one training run: it is opened, takes steps, evaluates, and calls back after each. */
#include "apps/run/run.h"
#include "apps/options/choice.h"
#include "apps/run/defaults.h"
#include "apps/run/find_rate.h"
#include "apps/run/preference.h"
#include "apps/report/machine.h"
#include "apps/run/spread.h"
#include "apps/run/watch.h"

#include <math.h>
#include <stdlib.h>

/* ---- opening ---- */

static int make_optim(run *r, const recipe *how, tn_error *e)
{
    const options *o = r->o;
    const tn_optim_def *def = e->code ? NULL : choice_find(how->optimizer, e);
    if (!def)
        return e->code;
    r->lr_is_default = !(how->lr > 0) && !recipe_has_preset(how);
    double lr = r->lr_is_default ? default_rate(def, r->s) : how->lr;
    if (o->find_lr)
        lr = find_rate_range(lr > 0 ? lr : default_rate(def, r->s), &r->schedule);
    r->optim = recipe_optim(r->s->model->params, o, how, lr, &r->schedule, e);
    if (e->code)
        return e->code;
    r->lr = tn_optim_hyper(r->optim, "lr");
    return recipe_check_rate(o, r->lr, e);
}

/* Of an evaluation on the first `rows` rows of a part; 0: on all. */
static need need_to_evaluate(const setup *s, const options *o, part which, int64_t rows)
{
    const int64_t records = tn_dataset_facts(s->data[which]).records;
    const int64_t seen = rows > 0 && rows < records ? rows : records;
    const int64_t batch = preference_rows(s, o->batch_size < seen ? o->batch_size : seen);
    return need_of_evaluation(s->model, batch,
                              need_width(s->data[which], setup_length(s, o), seen));
}

need run_need(const run *r)
{
    const int64_t rows = r->packing.on ? 1 : preference_rows(r->s, r->o->batch_size);
    need n = need_of_training(r->s->model, tn_optim_state_bytes(r->optim), rows, r->largest / rows);
    n.sum = r->o->grad_accumulation_steps > 1 ? n.gradients : 0;
    n.reference = preference_bytes(r->s, r->o);
    n.weights += n.reference;
    n.update = (double)tn_optim_scratch_bytes(r->optim);
    if (!r->s->data[PART_VALID])
        return n;
    const need e = need_to_evaluate(r->s, r->o, PART_VALID, valid_rows(r->o));
    n.evaluation = fmax(e.activations - n.activations, 0) + fmax(e.scratch - n.scratch, 0);
    return n;
}

/* Looks at the batches of the run, but at most at those of an epoch. */
static void measure_batches(run *r)
{
    const options *o = r->o;
    const int64_t limit = o->overfit_batches > 0 ? o->overfit_batches : o->limit_batches;
    const int64_t records = tn_dataset_facts(r->s->data[PART_TRAIN]).records;
    const int64_t epoch = (records + o->batch_size - 1) / o->batch_size;
    int64_t n = r->steps > epoch ? epoch : r->steps * o->grad_accumulation_steps;
    n = limit > 0 && limit < n ? limit : n < epoch ? n : epoch;
    const tn_loader_sums s = tn_loader_sum(r->loader, n);
    r->largest = s.largest;
    r->step_tokens = (double)(r->packing.on ? s.tokens : s.padded) / (double)n *
                     (double)o->grad_accumulation_steps;
}

int run_open(run *r, setup *s, const options *o, const recipe *how, tn_error *e)
{
    *r = (run){ .s = s, .o = o, .state = { .best = (double)NAN, .progress = (double)NAN } };
    if (e->code)
        return e->code;
    run_plan(r, e);
    make_optim(r, how, e);
    r->loader = packing_loader(s->data[PART_TRAIN],
                               &(tn_loader_options){ .batch = o->batch_size,
                                                     .seed = s->seed,
                                                     .accumulate = o->grad_accumulation_steps },
                               o, &r->packing, e);
    if (e->code)
        return e->code;
    measure_batches(r);
    const need n = run_need(r);
    return tn_params_is_sketch(s->model->params) ? 0 : need_check(&n, "training", e);
}

void run_close(run *r)
{
    tn_loader_free(r->loader);
    tn_optim_free(r->optim);
    profile_free(&r->profile);
    free(r->sum);
    *r = (run){ 0 };
}

/* ---- evaluations ---- */

/* Evaluates once more, to name the op that made the first number that is not finite. */
static void blame_evaluation(setup *s, tn_loader *l, tn_error *e)
{
    tn_eval ignored;
    tn_error again = { 0 };
    if (tn_params_not_finite(s->model->params))
        return;
    tracer_seek(&s->tracer, true);
    tn_evaluate(s->model, s->tape, l, 0, &ignored, &again);
    tracer_seek(&s->tracer, false);
    tracer_blame(&s->tracer, e);
}

int evaluate_part(setup *s, const options *o, part which, int64_t rows, tn_eval *out, tn_error *e)
{
    if (!s->data[which])
        return e->code;
    const need n = need_to_evaluate(s, o, which, rows);
    if (need_check(&n, "evaluation", e))
        return e->code;
    tn_loader *l = tn_loader_new(s->data[which],
                                 &(tn_loader_options){
                                     .batch = o->batch_size, .in_order = true, .rows = rows },
                                 e);
    if (l && s->reference)
        preference_evaluate(s, o, l, out, e);
    else if (l)
        tn_evaluate(s->model, s->tape, l, 0, out, e);
    if (e->code == TN_ENONFINITE)
        blame_evaluation(s, l, e);
    tn_loader_free(l);
    return e->code;
}

/* Is it the best loss so far? Progress is counted from the last evaluation that made some, so that
   many small steps down add up. */
static void count_progress(run *r, run_event *out)
{
    tn_run_state *s = &r->state;
    const double loss = out->valid.loss;
    out->best = isnan(s->best) || loss < s->best;
    if (out->best) {
        s->best = loss;
        s->best_step = s->step;
    }
    const bool progress = isnan(s->progress) || loss < s->progress - r->o->min_delta;
    s->progress = progress ? loss : s->progress;
    s->waited = progress ? 0 : s->waited + 1;
}

/* The standard error that a loss on the rows of one step would have. */
static double step_error(const run *r, const tn_eval *v)
{
    const int64_t rows = r->o->batch_size * r->o->grad_accumulation_steps;
    return v->error * sqrt((double)v->rows / (double)rows);
}

static int evaluate(run *r, run_event *out, tn_error *e)
{
    const double begun = now_seconds();
    *out = (run_event){ .evaluated = true, .step = r->state.step };
    if (evaluate_part(r->s, r->o, PART_VALID, valid_rows(r->o), &out->valid, e))
        return e->code;
    if (r->s->reference)
        out->pairs = r->s->pairs;
    out->seconds = now_seconds() - begun;
    if (r->state.step == 0)
        watch_start(&r->state, out->valid.loss, step_error(r, &out->valid));
    count_progress(r, out);
    return 0;
}

int run_watch_rows(run *r, tn_error *e)
{
    enum { AFTER_WARMUP = 8, MOST = 100 };
    const int64_t last = r->schedule.warmup + AFTER_WARMUP;
    tn_eval rows;
    if (e->code || r->state.step > (last < MOST ? last : MOST))
        return e->code;
    if (!evaluate_part(r->s, r->o, PART_TRAIN, r->o->batch_size, &rows, e))
        watch_rows(&r->state, r->rows_loss = rows.loss);
    if (e->code == TN_ENONFINITE) /* the next step says where */
        *e = (tn_error){ 0 };
    return e->code;
}

/* A resume begins with no evaluation: two batches show now, not after hours, that one works. */
static int try_evaluation(run *r, tn_error *e)
{
    tn_eval ignored;
    return evaluate_part(r->s, r->o, PART_VALID, 2 * r->o->batch_size, &ignored, e);
}

int run_go(run *r, int (*each)(void *arg, run *r, const run_event *event), void *arg, tn_error *e)
{
    run_event step, valid;
    int stop = 0;
    const bool leads = team_number(r->o->team) == 0, valid_data = leads && r->s->data[PART_VALID];
    spread_begin(r, e);
    if (valid_data && !e->code && r->state.step == 0 && !evaluate(r, &valid, e))
        stop = each(arg, r, &valid);
    else if (valid_data && !e->code && r->state.step > 0)
        try_evaluation(r, e);
    while (spread_goes_on(r, &stop, e)) {
        const double begun = now_seconds();
        if (run_step(r, &step, e))
            break;
        step.seconds = now_seconds() - begun;
        r->seconds += step.seconds;
        const bool due =
            valid_data && (r->state.step % r->o->steps_per_eval == 0 || run_is_done(r));
        /* Evaluated before each() sees the step: a checkpoint then has the best loss. */
        if (due && evaluate(r, &valid, e))
            break;
        stop = leads ? each(arg, r, &step) : 0;
        if (due && !e->code)
            stop |= each(arg, r, &valid);
    }
    if (r->end == RUN_GOES_ON) /* stopped, perhaps after the last step */
        r->end = run_ends(r);
    return stop;
}
