/* train_probe.c - tenon train --dry-run and --fast-dev-run: short trials whose result is not kept. */
#include "apps/commands/train.h"
#include "apps/report/lines.h"
#include "apps/report/machine.h"
#include "apps/report/show.h"

/* Steps of a dry run. The bytes of code and libraries that the first step touches: 0.4 to 1.2 MB in
   nine runs. */
enum { PROBES = 2, FIRST_STEP = 800000 };

/* Prints the memory by part, and refuses what does not fit. So far the model has no memory for its
   weights, unless there is an adapter to open. Returns the bytes of program and data. */
static double show_memory(train_job *j)
{
    const need n = run_need(&j->r);
    const double now = memory_now() - (j->s.sketch ? 0 : n.weights); /* negative: not known */
    const double others = now > 0 ? now + FIRST_STEP : 0;
    need_print(&n, j->s.model, others + need_rounding(&n, j->s.model, machine_large_page()));
    need_check(&n, "training", j->e);
    return others;
}

/* What the batches of the first steps should take: they may be smaller than the largest, of which the
   table is. There is no evaluation. */
static double probe_need(const train_job *j, int64_t steps, double others)
{
    run r = j->r;
    const int64_t limit = r.o->overfit_batches > 0 ? r.o->overfit_batches : r.o->limit_batches;
    const int64_t batches = steps * r.o->grad_accumulation_steps;
    r.largest = tn_loader_sum(r.loader, limit > 0 && limit < batches ? limit : batches).largest;
    need n = run_need(&r);
    n.evaluation = 0;
    return need_all(&n) + need_rounding(&n, j->s.model, machine_large_page()) + others;
}

int train_probe(train_job *j)
{
    char a[SHOWN], b[SHOWN], c[SHOWN];
    run_event event;
    int64_t tokens = 0, steps = 0;
    progress_block(&j->r, j->e);
    const double others = show_memory(j);
    if (j->s.random && j->o->base_dtype && !j->e->code) {
        lines_show("measured   nothing: %s has no weights; --base-dtype is for those of a file\n",
                   j->o->model);
        return 0;
    }
    if (j->s.sketch && !j->e->code) {
        run_close(&j->r);
        setup_weights(&j->s, j->o, j->e);
        train_open(j);
    }
    const double start = now_seconds();
    while (!j->e->code && steps < PROBES && steps < j->r.steps && !run_step(&j->r, &event, j->e)) {
        tokens += event.tokens;
        steps++;
    }
    drawing_write(&j->d, j->e);
    const double seconds = (now_seconds() - start) / (double)(steps ? steps : 1);
    if (j->e->code)
        return 1;
    lines_show(
        "measured   %s after %lld step%s, %.0f %% of what their batches should take; %s of it "
        "the tape\n",
        show_bytes(memory_peak(), a), (long long)steps, show_s(steps),
        100 * memory_peak() / probe_need(j, steps, others),
        show_bytes((double)tn_tape_memory(j->s.tape), b));
    lines_show("time       %s per step of %s tokens, %s in all without evaluations; %s\n",
               show_time(seconds, a), show_count(tokens / steps, c),
               show_time(seconds * (double)j->r.steps, b),
               j->o->dump_graph ? "only the picture was written" : "nothing was written");
    train_show_profile(j);
    return 0;
}

static int on_trial(void *arg, run *r, const run_event *event)
{
    train_job *j = arg;
    progress_event(&j->p, r, event, j->e);
    return train_sample(j, event);
}

/* One step, and one batch of each evaluation: a run that would fail after hours fails now. */
int train_trial(train_job *j)
{
    run *r = &j->r;
    tn_eval test = { 0 };
    char loss[SHOWN];
    r->steps = 1;
    progress_block(r, j->e);
    progress_open(&j->p, r, NULL, NULL, j->e);
    if (!j->e->code)
        run_go(r, on_trial, j, j->e);
    progress_close(&j->p);
    const int64_t rows = r->o->batch_size;
    if (!evaluate_part(r->s, r->o, PART_TEST, rows, &test, j->e) && r->s->data[PART_TEST])
        lines_show("test  loss %s\n", show_loss(test.loss, test.error, loss));
    if (j->e->code)
        return 1;
    lines_show(
        "trial      one step and one batch of each evaluation went well; nothing was written\n");
    return 0;
}
