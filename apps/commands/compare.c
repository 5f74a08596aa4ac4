/* compare.c - tenon compare. */
#include "apps/compare/compare.h"
#include "apps/run/output.h"
#include "apps/run/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

typedef struct watch { study *y; cell *c; tn_error *e; } watch;

static int on_event(void *arg, run *r, const run_event *event)
{
    watch *w = arg;
    if (!event->evaluated)
        w->c->train = event->loss;
    if (event->evaluated || event->step == 1 || event->step % r->o->steps_per_report == 0)
        study_point(w->y, w->c, event, w->e);
    return w->e->code || signals_stop();
}

static int open_cell(run *r, const study *y, setup *s, const cell *c, tn_error *e)
{
    const char *set[MAX_LIST + 1];
    const char *name = y->names[c->optimizer];
    choice_settings(y->o, name, set);
    return run_open(r, s, y->o, &(recipe){ .optimizer = name, .lr = c->lr, .set = set }, e);
}

/* Opens every run of a seed once: what an optimizer refuses is said before the first has run. */
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

/* Trains and evaluates a cell. A run whose numbers stop being finite is a result, not an error. */
static int run_cell(study *y, setup *s, cell *c, tn_error *e)
{
    run r;
    tn_error inner = { 0 };
    watch w = { y, c, &inner };
    if (open_cell(&r, y, s, c, e)) {
        run_close(&r);
        return e->code;
    }
    const int64_t batches = r.steps * y->o->grad_accumulation_steps;
    c->start = tn_params_hash(s->model->params, true);
    c->batches = tn_loader_hash(r.loader, batches < HASHED_BATCHES ? batches : HASHED_BATCHES);
    c->records = !tn_dataset_facts(s->data[PART_TRAIN]).stream;
    c->state = tn_optim_state_bytes(r.optim);
    const int stopped = run_go(&r, on_event, &w, &inner);
    c->seconds = r.seconds / (double)(r.state.step ? r.state.step : 1);
    if (!inner.code && !stopped && !evaluate_part(s, y->o, PART_VALID, 0, &c->valid, &inner))
        evaluate_part(s, y->o, PART_TEST, 0, &c->test, &inner);
    if (inner.code == TN_ENONFINITE)
        c->diverged = r.state.step + 1;
    else if (inner.code)
        *e = inner;
    c->done = !e->code && !stopped;
    tn_params_clear(s->model->params);
    tn_tape_reset(s->tape);
    run_close(&r);
    if (c->done)
        study_record(y, c, e);
    if (c->done)
        study_line(y, c);
    return e->code;
}

/* ---- rounds ---- */

static int open_seed(setup *s, const options *o, int64_t seed, tn_error *e)
{
    setup_model(s, o, (uint64_t)seed, e);
    for (int k = 0; k < PARTS; k++)
        setup_data(s, o, (part)k, e);
    setup_train(s, o, e);
    if (!s->task && o->given[OPT_count])
        tn_fail(e, APP_USAGE, "--count: only for a task; a file is evaluated as a whole");
    if (!e->code && !s->data[PART_VALID])
        tn_fail(e, APP_USAGE, "--data %s: expected validation data too, to choose rates by",
                o->data);
    return e->code;
}

/* Which optimizers want LoRA pairs and find none. */
static void pairs_line(const study *y, const setup *s)
{
    const char *begin = "           there are no LoRA pairs: every weight goes to adamw under ";
    bool said = false;
    for (int k = 0; k < y->optimizers && s->full; k++)
        if (tn_optim_find(y->names[k])->pairs) {
            printf("%s%s", said ? ", " : begin, y->names[k]);
            said = true;
        }
    printf("%s", said ? "\n" : "");
}

/* Runs all cells of a seed that are not done, each from the same weights. */
static int run_seed(study *y, int64_t seed, bool first, tn_error *e)
{
    setup s = { 0 };
    tn_real *start = NULL;
    if (!open_seed(&s, y->o, seed, e)) {
        start = malloc((size_t)tn_params_trained(s.model->params) * sizeof *start);
        if (!start)
            tn_fail(e, TN_ENOMEM, "a copy of the starting weights: out of memory");
    }
    if (!e->code)
        copy_weights(s.model->params, start, false);
    if (!e->code && first && !try_cells(y, &s, seed, e) && !output_make(y->o->out, e) &&
        !study_open(y, s.full, e)) {
        progress_setup(&s, y->o);
        pairs_line(y, &s);
    }
    for (int64_t i = 0; i < y->count && !e->code && !signals_stop(); i++) {
        cell *c = &y->cells[i];
        if (c->done || c->seed != seed)
            continue;
        copy_weights(s.model->params, start, true);
        run_cell(y, &s, c, e);
    }
    free(start);
    setup_close(&s);
    return e->code;
}

static int run_study(study *y, tn_error *e)
{
    int added = 1;
    for (bool first = true; added > 0 && !signals_stop(); first = false) {
        for (int64_t k = 0; k < y->o->seeds && !e->code && !signals_stop(); k++)
            run_seed(y, y->o->seed + k, first && k == 0, e);
        added = e->code || signals_stop() ? 0 : study_extend(y, e);
    }
    if (!e->code)
        study_csv(y, e);
    if (!e->code)
        study_table(y);
    return e->code;
}

static int check_options(const options *o, tn_error *e)
{
    if (!o->model)
        return tn_fail(e, APP_USAGE, "--model is missing; expected a model folder");
    if (!o->data == !o->task)
        return tn_fail(e, APP_USAGE, "--data or --task: expected one of them");
    if (!o->out)
        return tn_fail(e, APP_USAGE, "--out is missing; expected a folder for the results");
    char *path = tn_path_join(o->out, "runs.jsonl");
    if (path && !o->overwrite && !access(path, F_OK))
        tn_fail(e, TN_ESTATE, "%s: results of an older study; --overwrite replaces them", path);
    free(path);
    return e->code;
}

int command_compare(const options *o, tn_error *e)
{
    study y = { .o = o };
    if (check_options(o, e) || study_fill(&y, e) || choice_check(o, y.names, y.optimizers, e)) {
        study_close(&y);
        return 1;
    }
    signals_catch();
    run_study(&y, e);
    if (!e->code && !signals_stop())
        printf("\nwritten: %s, %s, %s, %s\n", y.paths[0], y.paths[1], y.paths[2], y.paths[3]);
    study_close(&y);
    return signals_stop() ? 130 : 0;
}
