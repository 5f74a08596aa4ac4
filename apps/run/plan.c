/* plan.c - how many steps a run takes, at which rates, on which batches, and when it ends before. */
#include "apps/run/defaults.h"
#include "apps/run/find_rate.h"
#include "apps/run/run.h"
#include "apps/report/machine.h"

#include <math.h>

/* ---- how many steps, at which rate ---- */

static int64_t count_steps(const setup *s, const options *o, tn_error *e)
{
    enum { OVERFIT_STEPS = 100 };
    const double rows = (double)o->batch_size * (double)o->grad_accumulation_steps;
    double records = (double)tn_dataset_facts(s->data[PART_TRAIN]).records;
    const double batches = ceil(records / (double)o->batch_size);
    if (o->overfit_batches > 0 && (double)o->overfit_batches > batches)
        return tn_fail(e, APP_USAGE,
                       "--overfit-batches %lld: expected at most the %.0f of the data",
                       (long long)o->overfit_batches, batches);
    if (o->iters > 0 || o->find_lr)
        return o->iters > 0 ? o->iters : RANGE_STEPS;
    if (o->overfit_batches > 0 && o->epochs == NOT_SET)
        return OVERFIT_STEPS;
    const int64_t limit = o->overfit_batches > 0 ? o->overfit_batches : o->limit_batches;
    if (limit > 0 && records > (double)limit * (double)o->batch_size)
        records = (double)limit * (double)o->batch_size;
    const double epochs = o->epochs == NOT_SET ? default_epochs(s, records, rows) : o->epochs;
    const double steps = ceil(epochs * records / rows);
    return steps > 1 ? (int64_t)steps : 1;
}

/* A share of the steps, rounded down as the 3 % of the default are. */
static int64_t warmup_of(const options *o, int64_t steps)
{
    if (o->warmup_ratio == NOT_SET)
        return steps * 3 / 100;
    return (int64_t)(o->warmup_ratio * (double)steps + 1e-9);
}

tn_schedule run_schedule(const options *o, int64_t steps)
{
    return (tn_schedule){ .kind = (tn_schedule_kind)tn_schedule_find(o->lr_scheduler),
                          .steps = steps,
                          .warmup = o->warmup_steps >= 0 ? o->warmup_steps : warmup_of(o, steps),
                          .min = o->lr_min,
                          .decay = o->lr_decay_steps < 0 ? steps / 5 : o->lr_decay_steps };
}

int run_check_schedule(const options *o, int64_t steps, tn_error *e)
{
    const tn_schedule s = run_schedule(o, steps);
    if (e->code)
        return e->code;
    if (o->find_lr && o->iters > 0 && o->iters < RANGE_LEAST)
        return tn_fail(e, APP_USAGE, "--find-lr: %lld steps; expected %d or more",
                       (long long)o->iters, RANGE_LEAST);
    if (steps > 0 && s.warmup > steps)
        return tn_fail(e, APP_USAGE, "--warmup-steps %lld: expected at most the %lld steps",
                       (long long)s.warmup, (long long)steps);
    if (steps > 0 && s.warmup + s.decay > steps && s.kind == TN_WSD)
        return tn_fail(e, APP_USAGE,
                       "--lr-decay-steps %lld: expected at most the %lld steps after warm-up",
                       (long long)s.decay, (long long)(steps - s.warmup));
    return 0;
}

int run_plan(run *r, tn_error *e)
{
    if (e->code)
        return e->code;
    r->steps = count_steps(r->s, r->o, e);
    if (r->o->max_time != NOT_SET)
        r->until = now_seconds() + r->o->max_time;
    if (!e->code)
        r->schedule = run_schedule(r->o, r->steps);
    return run_check_schedule(r->o, r->steps, e);
}

/* ---- which batches ---- */

int64_t run_batch_index(const run *r, int64_t number)
{
    const options *o = r->o;
    const int64_t records = tn_dataset_facts(r->s->data[PART_TRAIN]).records;
    const int64_t epoch = (records + o->batch_size - 1) / o->batch_size, limit = o->limit_batches;
    if (o->overfit_batches > 0)
        return number % o->overfit_batches;
    return limit > 0 && limit < epoch ? number / limit * epoch + number % limit : number;
}

enum { VALID_ROWS = 4 }; /* rows of one of the --val-batches: the default --batch-size */

int64_t valid_rows(const options *o)
{
    const int64_t rows = o->val_batches > 0 ? VALID_ROWS * o->val_batches : 0;
    const int64_t limit = o->limit_batches > 0 ? o->limit_batches * o->batch_size : 0;
    return rows && limit ? rows < limit ? rows : limit : rows + limit;
}

/* ---- when it ends ---- */

bool run_is_done(const run *r)
{
    return r->state.step >= r->steps ||
           (r->o->max_tokens_total > 0 && r->state.tokens >= r->o->max_tokens_total);
}

run_end run_ends(const run *r)
{
    if (r->state.step >= r->steps)
        return RUN_DONE;
    if (r->o->patience > 0 && r->state.waited >= r->o->patience)
        return RUN_NO_PROGRESS;
    if (run_is_done(r))
        return RUN_TOKENS;
    return r->until > 0 && now_seconds() >= r->until ? RUN_TIME : RUN_GOES_ON;
}
