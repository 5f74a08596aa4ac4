/* compare.c - tenon compare: runs a study, each run from the same weights on the same batches. */
#include "apps/compare/compare.h"
#include "apps/bench/bench.h"
#include "apps/report/lines.h"
#include "apps/report/progress.h"
#include "apps/report/show.h"
#include "apps/run/signals.h"
#include "apps/run/spool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HASHED_BATCHES = 1000 };

/* ---- the common start ---- */

/* Copies all weights that are trained out of the model, or back into it. */
static void copy_weights(const tn_params *p, tn_real *start, bool back)
{
    for (int64_t i = 0; i < tn_params_count(p); i++) {
        const tn_tensor *w = tn_params_at(p, i)->w;
        const int64_t n = tn_tensor_count(w);
        if (!w->wants_grad)
            continue;
        if (back)
            memcpy(w->x, start, (size_t)n * sizeof *start);
        else
            memcpy(start, w->x, (size_t)n * sizeof *start);
        start += n;
    }
}

/* ---- one cell ---- */

/* The record of a run while it goes on. */
typedef struct watch {
    study *y;
    cell *c;
    double *seconds, *update; /* of each step; of its tn_optim_step */
    int64_t n, room;
    tn_error *e;
} watch;

static void keep_time(watch *w, const run_event *event)
{
    if (w->n == w->room) {
        const int64_t room = w->room ? 2 * w->room : 1024;
        double *seconds = realloc(w->seconds, (size_t)room * sizeof *seconds);
        w->seconds = seconds ? seconds : w->seconds;
        double *update = realloc(w->update, (size_t)room * sizeof *update);
        w->update = update ? update : w->update;
        if (!seconds || !update) {
            tn_fail(w->e, TN_ENOMEM, "the times of the steps: out of memory");
            return;
        }
        w->room = room;
    }
    w->seconds[w->n] = event->seconds;
    w->update[w->n++] = event->update;
}

/* Answers SIGUSR1 and SIGUSR2 between two steps: flushes the files, and prints one line. */
static void serve_signals(const watch *w, const run *r, const run_event *event)
{
    char lr[SHOWN];
    const study *y = w->y;
    for (signals_request asked; (asked = signals_next()) != SIGNALS_NONE;) {
        if (asked == SIGNALS_SAVE)
            study_flush(w->y, w->e);
        show_note("%s lr %s seed %lld: step %lld/%lld  loss %.4f; %lld of %lld runs are done and "
                  "in %s",
                  y->names[w->c->optimizer], show_real(w->c->lr, lr), (long long)w->c->seed,
                  (long long)event->step, (long long)r->steps, event->loss,
                  (long long)study_done(y), (long long)y->count, y->out.work);
    }
}

static int on_event(void *arg, run *r, const run_event *event)
{
    watch *w = arg;
    if (!event->evaluated) {
        w->c->train = event->loss;
        keep_time(w, event);
        serve_signals(w, r, event);
    }
    if (event->evaluated || event->step == 1 || event->step % r->o->steps_per_report == 0)
        study_point(w->y, w->c, event, w->e);
    return w->e->code || signals_stop();
}

/* The medians over the steps after the optimizer's warm-up, or over all if there are none. */
static void take_medians(watch *w, int64_t warm_up)
{
    const int64_t from = warm_up < w->n ? warm_up : 0;
    if (w->n) {
        w->c->seconds = bench_median(w->seconds + from, w->n - from);
        w->c->update = bench_median(w->update + from, w->n - from);
    }
    free(w->seconds);
    free(w->update);
}

/* Evaluates all rows of a part. Windows of a text and preferences have no exact answers. */
static int evaluate_all(setup *s, const options *o, part which, tn_eval *out, tn_error *e)
{
    const tn_data_facts f = tn_dataset_facts(s->data[which]);
    if (!evaluate_part(s, o, which, 0, out, e) && (f.text || f.pairs))
        out->exact = -1;
    return e->code;
}

static int open_cell(run *r, const study *y, setup *s, const cell *c, tn_error *e)
{
    const char *set[MAX_LIST + 1];
    const char *name = y->names[c->optimizer];
    choice_settings(y->o, name, set);
    return run_open(r, s, y->o, &(recipe){ .optimizer = name, .lr = c->lr, .set = set }, e);
}

/* Opens every run of a seed once: an optimizer then refuses its settings before the first run. */
static int try_cells(const study *y, setup *s, int64_t seed, tn_error *e)
{
    for (int64_t i = 0; i < y->count && !e->code; i++) {
        run r;
        if (y->cells[i].seed != seed)
            continue;
        open_cell(&r, y, s, &y->cells[i], e);
        run_close(&r);
    }
    return e->code;
}

/* Notes the facts of a run that are known before its first step. */
static void describe_cell(cell *c, run *r)
{
    const int64_t batches = r->steps * r->o->grad_accumulation_steps;
    c->start = tn_params_hash(r->s->model->params, true);
    c->batches = tn_loader_hash(r->loader, batches < HASHED_BATCHES ? batches : HASHED_BATCHES);
    c->state = (int64_t)tn_optim_state_bytes(r->optim);
}

/* Training and evaluation. A run whose numbers stop being finite is a result, not an error. */
static int go(watch *w, run *r, tn_error *e)
{
    cell *c = w->c;
    tn_error inner = { 0 };
    w->e = &inner;
    const int stopped = run_go(r, on_event, w, &inner);
    if (!inner.code && !stopped && !evaluate_all(r->s, r->o, PART_VALID, &c->valid, &inner))
        evaluate_all(r->s, r->o, PART_TEST, &c->test, &inner);
    c->diverged = 0;
    if (inner.code == TN_ENONFINITE) {
        const tn_eval none = new_cell(0, 0, 0).valid;
        c->diverged = r->state.step + 1;
        c->valid = c->test = none;
    } else if (inner.code) {
        *e = inner;
    }
    c->done = !e->code && (!stopped || c->diverged);
    return e->code;
}

static int run_cell(study *y, setup *s, cell *c, double untrained, tn_error *e)
{
    run r;
    watch w = { .y = y, .c = c };
    if (!open_cell(&r, y, s, c, e)) {
        c->untrained = untrained;
        describe_cell(c, &r);
        go(&w, &r, e);
        take_medians(&w, bench_warm_up(r.optim));
        tn_params_clear(s->model->params);
        tn_tape_reset(s->tape);
    }
    run_close(&r);
    if (c->done)
        study_record(y, c, e);
    if (c->done && !e->code)
        study_line(y, c);
    c->done = c->done && !e->code;
    return e->code;
}

/* ---- rounds ---- */

static int open_seed(setup *s, const options *o, int64_t seed, tn_error *e)
{
    char name[DATA_NAME];
    setup_model(s, o, (uint64_t)seed, e);
    setup_both(s, o, e);
    setup_data(s, o, PART_TEST, e);
    setup_train(s, o, e);
    if (!e->code && !s->data[PART_VALID])
        tn_fail(e, APP_USAGE, "--data %s: expected validation data too, to choose rates by",
                data_name(o, name));
    return e->code;
}

/* Prints which optimizers need LoRA pairs but have none. */
static void pairs_line(const study *y, const setup *s)
{
    const char *begin = "           there are no LoRA pairs: every weight goes to adamw under ";
    lines l = lines_begin();
    bool any = false;
    for (int k = 0; k < y->optimizers && s->full; k++)
        if (tn_optim_find(y->names[k])->pairs) {
            lines_add(&l, "%s%s", any ? ", " : begin, y->names[k]);
            any = true;
        }
    if (any)
        lines_add(&l, "\n");
}

/* The validation loss of the weights that every run of a seed begins with; NaN: not finite. In a
   resumed study it must be the same. */
static double untrained_loss(const study *y, setup *s, int64_t seed, tn_error *e)
{
    tn_eval eval;
    tn_error inner = { 0 };
    if (evaluate_part(s, y->o, PART_VALID, 0, &eval, &inner)) {
        if (inner.code != TN_ENONFINITE)
            *e = inner;
        return (double)NAN;
    }
    for (int64_t i = 0; i < y->count; i++)
        if (y->cells[i].done && y->cells[i].seed == seed && y->cells[i].untrained != eval.loss) {
            tn_fail(e, TN_ESTATE,
                    "--resume: the loss of the untrained model is %.9g; expected the %.9g of %s",
                    eval.loss, y->cells[i].untrained, y->paths[0]);
            break;
        }
    return eval.loss;
}

static bool is_left(const study *y, int64_t seed)
{
    for (int64_t i = 0; i < y->count; i++)
        if (y->cells[i].seed == seed && !y->cells[i].done)
            return true;
    return false;
}

/* Reports before the first run what an optimizer refuses of its settings, and a folder in use. */
static int begin_study(study *y, setup *s, tn_error *e)
{
    if (try_cells(y, s, y->o->seed, e) || study_open(y, s, e))
        return e->code;
    progress_setup(s, y->o, e);
    pairs_line(y, s);
    if (y->resume)
        lines_show("resumed    %lld of %lld runs are done\n", (long long)study_done(y),
                   (long long)y->count);
    return e->code;
}

/* Runs all cells of a seed that are not done, each from the same weights. */
static int run_seed(study *y, int64_t seed, bool first, tn_error *e)
{
    setup s = { 0 };
    tn_real *start = NULL;
    double untrained = 0;
    if (!first && !is_left(y, seed))
        return 0;
    if (!open_seed(&s, y->o, seed, e)) {
        start = malloc((size_t)tn_params_trained(s.model->params) * sizeof *start);
        if (!start)
            tn_fail(e, TN_ENOMEM, "a copy of the starting weights: out of memory");
    }
    if (!e->code)
        copy_weights(s.model->params, start, false);
    if (!e->code && first)
        begin_study(y, &s, e);
    if (!e->code)
        untrained = untrained_loss(y, &s, seed, e);
    for (int64_t i = 0; i < y->count && !e->code && !signals_stop(); i++) {
        cell *c = &y->cells[i];
        if (c->done || c->seed != seed)
            continue;
        copy_weights(s.model->params, start, true);
        run_cell(y, &s, c, untrained, e);
    }
    free(start);
    setup_close(&s);
    return e->code;
}

/* Makes rounds until no grid grows, a signal asks to stop, or an error occurs. */
static int run_study(study *y, tn_error *e)
{
    int added = 1;
    for (bool first = true; added > 0; first = false) {
        for (int64_t k = 0; k < y->o->seeds && !e->code && !signals_stop(); k++)
            run_seed(y, y->o->seed + k, first && k == 0, e);
        const bool done = !e->code && study_done(y) == y->count;
        added = done ? study_extend(y, e) : 0;
        y->complete = done && added == 0 && !e->code;
    }
    if (!study_finish(y, e))
        study_table(y);
    return e->code;
}

int command_compare(const options *given, tn_error *e)
{
    spool in = { 0 };
    options asked = *given;
    const options *o = &asked;
    study y = { .o = o, .out = { .at = -1, .work_at = -1 } };
    int status = 1;
    if (!study_choose(&y, e) && !study_check(&y, e) && !study_fill(&y, e) &&
        !spool_open(&in, &asked, e)) {
        signals_catch();
        run_study(&y, e);
        status = y.complete ? 0 : 130;
        if (!e->code)
            lines_show("\nwritten: %s/runs.jsonl, curves.jsonl, table.csv and config.used\n",
                       y.out.work);
        if (!e->code && !y.complete)
            print_resume(o, e);
    }
    study_close(&y);
    spool_close(&in, e);
    return status;
}
