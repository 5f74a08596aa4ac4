/* train.c - tenon train: one run with its folder, its checkpoints and its result. */
#include "apps/commands/train.h"
#include "apps/run/best.h"
#include "apps/run/find_rate.h"
#include "apps/run/config_used.h"
#include "apps/run/resume.h"
#include "apps/report/lines.h"
#include "apps/report/machine.h"
#include "apps/report/show.h"
#include "apps/run/signals.h"
#include "apps/run/spread.h"
#include "apps/run/watch.h"

#include <stdlib.h>

/* Answers a signal between two steps: saves a checkpoint, or prints the state of the run. */
static void serve_signals(train_job *j)
{
    for (signals_request asked; (asked = signals_next()) != SIGNALS_NONE;)
        if (asked == SIGNALS_SAVE)
            train_save_checkpoint(j);
        else
            progress_status(&j->p, &j->r, j->saved);
}

typedef struct sampling {
    train_job *j;
    int64_t step;
} sampling;

static int put_sample(void *arg, tn_span prompt, tn_span answer, int64_t tokens)
{
    sampling *g = arg;
    return progress_sample(&g->j->p, g->step, prompt, answer, tokens, g->j->e);
}

int train_sample(train_job *j, const run_event *event)
{
    const run *r = &j->r;
    const bool due = r->s->data[PART_VALID]
                         ? event->evaluated
                         : r->state.step % r->o->steps_per_eval == 0 || run_is_done(r);
    const double begun = now_seconds();
    if (j->e->code || !due || !j->samples.prompts.count)
        return j->e->code;
    samples_take(&j->samples, put_sample, &(sampling){ j, r->state.step }, j->e);
    j->p.eta.evaluations.seconds += now_seconds() - begun;
    return j->e->code;
}

/* The loss has risen far: stops the run before a checkpoint of it is saved. */
static int refuse_divergence(train_job *j)
{
    const run *r = &j->r;
    const bool rows = watch_rows_fires(&r->state);
    tn_fail(j->e, TN_ENONFINITE,
            "step %lld: the loss %shas risen to %.4g, from %.4g %s: "
            "the run diverges (--no-stop-on-divergence goes on)",
            (long long)r->state.step, rows ? "of the first rows " : "",
            rows ? r->rows_loss : watch_mean(&r->state),
            rows ? watch_rows_first(&r->state) : r->state.low,
            rows ? "before step 1" : "at its lowest (averages of ten steps)");
    return j->e->code;
}

/* What is tried when a loss rises far or stops being finite, if the run has changed the weights;
   and the checkpoints that there are. */
static void add_advice(const train_job *j)
{
    const run *r = &j->r;
    const double norm = r->o->max_grad_norm;
    if (j->e->code == TN_ENONFINITE && r->state.step > 0)
        tn_error_add(j->e,
                     "; try --learning-rate %.3g, a tenth, or --max-grad-norm %g, or "
                     "--warmup-steps %lld",
                     r->lr / 10,
                     norm == 0         ? 1
                     : norm == NOT_SET ? 0.1
                                       : norm / 10,
                     (long long)(r->schedule.warmup > 0 ? 10 * r->schedule.warmup : 10));
    if (j->e->code == TN_ENONFINITE && j->named > 0)
        tn_error_add(j->e, "; the best checkpoint is after step %lld", (long long)j->named);
    if (j->saved >= 0)
        tn_error_add(j->e, "; the newest checkpoint is after step %lld", (long long)j->saved);
}

/* After each step and evaluation: reports, saves when it is time, stops when a signal asks. */
static int on_event(void *arg, run *r, const run_event *event)
{
    train_job *j = arg;
    progress_event(&j->p, r, event, j->e);
    train_sample(j, event);
    if (!event->evaluated)
        drawing_write(&j->d, j->e);
    if (!event->evaluated && r->o->stop_on_divergence &&
        (run_watch_rows(r, j->e) || watch_fires(&r->state)))
        return j->e->code ? j->e->code : refuse_divergence(j);
    const bool best = r->o->save_best && r->state.best_step == r->state.step;
    if (!event->evaluated && (best || r->state.step % r->o->save_every == 0)) {
        const double begun = now_seconds();
        train_save_checkpoint(j);
        eta_pause(&j->p.eta.saves, now_seconds() - begun);
    }
    if (!event->evaluated)
        serve_signals(j);
    return j->e->code || signals_stop();
}

/* Notes what the run depends on, which is the same in all processes. */
static int begin_all(train_job *j)
{
    config_facts(&j->r, &j->facts);
    j->r.state.options_hash = config_hash(&j->r, &j->facts, j->e);
    return spread_same(&j->r, j->e);
}

/* Makes the folder, or continues the run in it. If nothing is replaced, the log is
   visible at once. */
static int begin(train_job *j, FILE **log)
{
    tn_error *e = j->e;
    begin_all(j);
    output_begin(&j->out, j->r.state.options_hash, train_disk_bytes(j), e);
    j->r.state.run = j->out.run;
    j->r.state.before = j->out.before;
    if (!j->o->resume && !e->code && !spool_save(&j->in, j->out.work, e))
        train_write_used(j);
    else if (j->o->resume && !e->code && !resume_load(&j->r, &j->facts, &j->plans, e))
        j->saved = j->r.state.step;
    j->named = j->o->resume ? best_named(&j->out) : -1;
    j->r.state.tokenizer = j->s.lends_tokenizer ? j->s.tokenizer : NULL;
    j->r.state.adapter_config = j->s.model ? j->s.model->adapter_config : NULL;
    *log = output_lines(&j->out, "log.jsonl", -1, e);
    report_open(&j->report, &j->out, j->o, j->r.state.step, j->s.reference != NULL, e);
    return j->out.before ? e->code : output_place(&j->out, e);
}

/* Why the run ended before its last step. */
static void show_early(const run *r)
{
    const long long step = r->state.step, steps = r->steps;
    if (r->end == RUN_NO_PROGRESS)
        lines_show(
            "stopped    after step %lld of %lld: %lld evaluations without progress (--patience)\n",
            step, steps, (long long)r->state.waited);
    else if (r->end == RUN_TOKENS)
        lines_show("stopped    after step %lld of %lld: %lld tokens (--max-tokens-total)\n", step,
                   steps, (long long)r->state.tokens);
    else if (r->end == RUN_TIME)
        lines_show(
            "stopped    after step %lld of %lld: the time is over (--max-time); --resume goes on\n",
            step, steps);
}

/* Why the run took no further step, which step was the best, and how that is used. */
static void show_end(const train_job *j)
{
    const run *r = &j->r;
    const long long best = r->state.best_step;
    show_early(r);
    if (!r->s->data[PART_VALID])
        return;
    if (!best && r->end == RUN_TIME && r->state.step < r->o->steps_per_eval)
        lines_show(
            "best       no step was evaluated before the time was over (--steps-per-eval)\n");
    else if (!best)
        lines_show("best       no step: none had a lower loss than the model before step 1; "
                   "try --learning-rate %.3g, a tenth\n",
                   r->lr / 10);
    else if (best == r->state.step)
        lines_show("best       step %lld, the last\n", best);
    else if (j->o->load_best)
        lines_show("best       step %lld, loss %.4f, is the result\n", best, r->state.best);
    else if (j->named == best && r->s->full)
        lines_show("best       step %lld, loss %.4f; --resume --load-best makes it the result\n",
                   best, r->state.best);
    else if (j->named == best)
        lines_show(
            "best       step %lld, loss %.4f: --adapter-path %s/best (--resume --load-best makes it "
            "the result)\n",
            best, r->state.best, j->o->output_dir);
}

/* The losses of a run that diverged, so that its user sees where. It stays in the folder, unless
   the run was to replace an older one and has no checkpoint: then that one stays as it is. */
static void keep_picture(train_job *j)
{
    tn_error *e = j->e, ignored = { 0 };
    if (e->code != TN_ENONFINITE || j->p.steps == 0 || (j->out.before && j->saved < 0))
        return;
    j->e = &ignored;
    train_save_picture(j);
    j->e = e;
}

static int train(train_job *j)
{
    tn_error *e = j->e;
    FILE *log = NULL;
    char *path = tn_path_join(j->out.folder, "log.jsonl");
    if (!path)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", j->out.folder);
    begin(j, &log);
    const progress_mode mode = progress_mode_of(j->o);
    const bool talks = mode == PROGRESS_LINES || mode == PROGRESS_BAR;
    if (!e->code && talks)
        progress_block(&j->r, e);
    signals_catch();
    progress_open(&j->p, &j->r, log, path, e);
    j->p.report = &j->report;
    if (j->o->stop_on_divergence && j->r.state.step == 0)
        run_watch_rows(&j->r, e);
    const int stopped = e->code ? 0 : run_go(&j->r, on_event, j, e);
    progress_close(&j->p);
    report_close(&j->report);
    free(path);
    train_save_checkpoint(j);
    if (e->code) {
        keep_picture(j);
        add_advice(j);
        return 1;
    }
    train_save_picture(j);
    if (talks)
        train_show_profile(j);
    if (stopped && j->r.end == RUN_GOES_ON) {
        if (talks)
            lines_show("stopped and saved after step %lld\n", (long long)j->r.state.step);
        if (talks)
            print_resume(j->o, e);
        return 130;
    }
    if (talks)
        show_end(j);
    if (!train_save_result(j) && talks)
        lines_show("saved %s\n", j->o->output_dir);
    return 0;
}

/* Another process than 0 takes the steps, and neither evaluates nor writes. */
static int take_steps(train_job *j)
{
    begin_all(j);
    signals_catch();
    run_go(&j->r, NULL, NULL, j->e);
    return 0;
}

/* The same options, with --auto-resume replaced by --resume if there is a checkpoint, and the
   limits of --fast-dev-run. */
static options with_resume(const options *o, tn_error *e)
{
    options out = *o;
    if (o->fast_dev_run)
        out.limit_batches = 1;
    if (o->auto_resume && o->output_dir && tn_checkpoint_newest(o->output_dir, 0, e) >= 0)
        out.resume = true;
    return out;
}

/* Refuses options about evaluations without data for them. */
static int check_valid(const setup *s, const options *o, tn_error *e)
{
    const char *flag = o->patience > 0 ? "patience" : o->load_best ? "load-best" : NULL;
    if (!e->code && !s->data[PART_TRAIN])
        return tn_fail(e, APP_USAGE,
                       "--valid-split %g: no record is left to train on; expected a smaller share",
                       o->valid_split);
    if (!e->code && flag && !s->data[PART_VALID])
        return tn_fail(e, APP_USAGE,
                       "--%s: there are no validation data; expected a folder with train.jsonl and "
                       "valid.jsonl, a .jsonl of 40 records, a .txt, a task, or --valid-split",
                       flag);
    return e->code;
}

int train_open(train_job *j)
{
    const options *o = j->o;
    tn_error *e = j->e;
    run_open(&j->r, &j->s, o,
             &(recipe){ .optimizer = o->optimizer, .lr = o->learning_rate, .set = o->opt }, e);
    if (team_number(o->team))
        return e->code;
    if (o->dump_graph && !o->resume && !j->s.sketch) /* --auto-resume draws when it begins */
        drawing_open(&j->d, o->dump_graph, j->s.model ? j->s.model->params : NULL, e);
    j->r.graph = j->d.graph;
    return j->s.sketch ? e->code : samples_open(&j->samples, &j->s, o, e);
}

int command_train(const options *given, tn_error *e)
{
    options asked = with_resume(given, e);
    const options *o = &asked;
    train_job j = { .o = o, .e = e, .out = { .at = -1, .work_at = -1 }, .saved = -1, .named = -1 };
    int status = 1;
    const bool leads = team_number(o->team) == 0;
    const bool tries = o->dry_run || o->find_lr || o->fast_dev_run;
    if (!tries && leads && !e->code)
        output_open(&j.out, &output_train, o->output_dir, o, o->resume, e);
    if (!e->code && o->resume && !tries)
        spool_resume(&j.in, &asked, j.out.work, e);
    else if (!e->code)
        spool_open(&j.in, &asked, e);
    j.s.sketch = o->dry_run && !o->adapter_path;
    setup_model(&j.s, o, (uint64_t)o->seed, e);
    setup_both(&j.s, o, e);
    if (o->fast_dev_run)
        setup_data(&j.s, o, PART_TEST, e);
    setup_train(&j.s, o, e);
    check_valid(&j.s, o, e);
    train_open(&j);
    if (!e->code)
        status = o->find_lr        ? find_rate(&j.r, e) != 0
                 : o->fast_dev_run ? train_trial(&j)
                 : o->dry_run      ? train_probe(&j)
                 : leads           ? train(&j)
                                   : take_steps(&j);
    tn_text_free(&j.facts);
    tn_text_free(&j.plans);
    drawing_close(&j.d);
    samples_close(&j.samples);
    run_close(&j.r);
    setup_close(&j.s);
    output_close(&j.out);
    spool_close(&j.in, e);
    return status;
}
